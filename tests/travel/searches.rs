//! What is found in the past is what a run that is watched from its start says: for random words, functions and moments.

use std::collections::BTreeSet;

use wkdb_debugger::inferior::{Found, Search, SearchEnd, WatchId, Writes};
use wkdb_tracer::Event;

use super::*;

/// How far the guest runs.
const END: Tick = Tick(1_500_000);

/// Bytes in a word.
const WORD: u64 = 8;

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

/// A run that is looked at from its start on.
struct Plain {
    live: Live,
    hits: Vec<WatchHit>,
    stops: Vec<Stop>,
}

impl Plain {
    /// Runs on to a tick.
    fn run_to(&mut self, tick: Tick) {
        let deadline = Instant::now() + PATIENCE;
        let until = Resume { until_tick: Some(tick), ..Resume::go() };
        self.live.resume(&until).unwrap();
        loop {
            assert!(Instant::now() < deadline, "it does not come to tick {tick}");
            for notice in self.live.notices(Duration::from_millis(50)).unwrap() {
                match notice {
                    Notice::Stopped(stop) if stop.tick >= tick && stop.reason == StopReason::Tick => return,
                    Notice::Stopped(stop) => {
                        self.stops.push(*stop);
                        self.live.resume(&until).unwrap();
                    }
                    Notice::Event(event) => {
                        if let Event::Watch(hit) = *event {
                            self.hits.push(hit);
                        }
                    }
                    Notice::Ended(outcome, _) => panic!("{outcome:?}"),
                    _ => {}
                }
            }
        }
    }
}

/// Words whose value changed in the run, some that are near them, and some of which little is known.
fn words(random: &mut Random) -> Vec<u64> {
    let (live, _files) = storm();
    let mut plain = Plain { live, hits: Vec::new(), stops: Vec::new() };
    let (mut changed, mut before) = (BTreeSet::new(), Vec::new());
    for part in 1..=12 {
        plain.run_to(Tick(END.0 / 12 * part));
        let now = plain.live.read_memory(0x1000, 0x3f_0000).unwrap();
        let words =
            || now.chunks(WORD as usize).zip(before.chunks(WORD as usize)).zip((0x1000..).step_by(WORD as usize));
        changed.extend(words().filter(|((now, before), _)| now != before).map(|(_, address)| address));
        before = now;
    }
    let changed: Vec<u64> = changed.into_iter().collect();
    assert!(changed.len() > 1000, "{}", changed.len());
    let mut words = BTreeSet::new();
    for _ in 0..12 {
        let word = *random.of(&changed);
        words.extend([word, word + WORD, 0x1000 + WORD * random.below(0x3f_0000 / WORD)]);
    }
    words.into_iter().collect()
}

fn watch(address: u64, stop: bool) -> WatchSpec {
    WatchSpec { address, len: WORD, kind: WatchKind::Write, condition: WatchCondition::default(), stop }
}

/// A guest that does much of all kinds.
fn storm() -> (Live, Files) {
    start_with("console=hvc nr_cpus=3", 7, "expect \"minik# \"\nsend \"stress 40\\n\"\nwait 1000s\n")
}

/// What names a write: of the same bytes, by the same instruction, at the same time.
fn key(hit: &WatchHit) -> (u64, u64, Vec<u8>, Vec<u8>, Writer, Option<wkdb_tracer::Context>) {
    let WatchHit { address, store_address, old, new, writer, context, .. } = hit.clone();
    (address, store_address, old, new, writer, context)
}

fn tick(hit: &WatchHit) -> Tick {
    hit.context.as_ref().map_or(Tick(0), |context| context.tick)
}

/// A session that has run to the end, with few and uneven checkpoints.
fn session() -> Session {
    let (live, files) = storm();
    let limits = Limits { spacing: END.0 / 20, count: 7, ..Limits::default() };
    let run = TimeTravel::new(live, limits, || {}).unwrap();
    let mut session = Session { run, symbols: Symbols::load(KERNEL_7_0.to_vec()).unwrap(), _files: files };
    while session.resume(&Resume { until_tick: Some(END), ..Resume::go() }).tick < END {}
    assert!(session.run.checkpoints().len() > 4, "{:?}", session.run.checkpoints());
    session
}

impl Session {
    fn search(&mut self, address: u64, which: Writes) -> Found {
        self.run.search(&Search { address, len: WORD, which }).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "nothing is found");
            for notice in self.run.notices(Duration::from_millis(50)).unwrap() {
                if let Notice::Found(found) = notice {
                    assert_eq!(found.ending, SearchEnd::Complete);
                    return *found;
                }
            }
        }
    }

    /// To a random tick, or the end.
    fn somewhere(&mut self, random: &mut Random) -> Tick {
        if random.below(8) == 0 {
            self.go_to(Goal::Present);
            return END;
        }
        let tick = Tick(1 + random.below(END.0 - 1));
        let there = self.go_to(Goal::Tick(tick)).tick;
        assert_eq!(there, tick);
        tick
    }
}

#[test]
fn the_last_write_and_all_writes_are_those_that_a_run_watched_from_its_start_tells_of() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let words = words(&mut random);
    let (mut live, _files) = storm();
    let ids: Vec<WatchId> = words.iter().map(|word| live.insert_watch(&watch(*word, false)).unwrap()).collect();
    let mut plain = Plain { live, hits: Vec::new(), stops: Vec::new() };
    plain.run_to(END);
    let of = |word: u64, before: Tick| {
        let id = ids[words.iter().position(|known| *known == word).unwrap()];
        let all = plain.hits.iter().filter(move |hit| hit.watch == id.0 && tick(hit) < before);
        all.map(key).collect::<Vec<_>>()
    };
    let mut session = session();
    let (mut found_some, mut same_value) = (0, 0);
    for round in 0..60 {
        let word = *random.of(&words);
        let here = session.somewhere(&mut random);
        let at_it = plain.hits.iter().any(|hit| tick(hit) == here);
        if at_it {
            // Whether it is before or behind a point of this tick is more than ticks can tell.
            continue;
        }
        let expected = of(word, here);
        let context = |what: &str| format!("round {round}: {what} into {word:#x} before tick {here}");
        let found = session.search(word, Writes::Last);
        let last: Vec<_> = expected.last().cloned().into_iter().collect();
        assert_eq!(found.writes.iter().map(key).collect::<Vec<_>>(), last, "{}", context("the last write"));
        found_some += last.len();
        same_value += last.iter().filter(|(_, _, old, new, ..)| old == new).count();
        let most = random.below(9) as usize;
        let found = session.search(word, Writes::All { most });
        assert_eq!(found.count, expected.len() as u64, "{}", context("all writes"));
        let told = &expected[expected.len().saturating_sub(most)..];
        assert_eq!(found.writes.iter().map(key).collect::<Vec<_>>(), told, "{}", context("the last of all writes"));
        // Going there stops behind it.
        let stop = session.go_to(Goal::LastWrite { address: word, len: WORD });
        match (&stop.reason, expected.last()) {
            (StopReason::Watch(hits), Some(expected)) => {
                let there: Vec<_> = hits.iter().map(|(_, hit)| (hit.address, hit.new.clone())).collect();
                assert!(
                    there.contains(&(expected.0, expected.3.clone())),
                    "{}: {stop:?}",
                    context("going to the last write")
                );
                assert_eq!(stop.tick, expected.5.as_ref().map_or(Tick(0), |context| context.tick));
            }
            (StopReason::HistoryStart, None) => {}
            _ => panic!("{}: {stop:?}, not {:?}", context("going to the last write"), expected.last()),
        }
    }
    assert!(found_some > 15 && same_value > 0, "{found_some} writes found, {same_value} of the same value");
}

#[test]
fn backwards_to_breakpoints_and_watches_is_to_the_last_stop_that_a_run_from_its_start_makes() {
    let mut random = Random(0xfeed_beef_1234_0001);
    let words = words(&mut random);
    let symbols = Symbols::load(KERNEL_7_0.to_vec()).unwrap();
    let functions: Vec<_> = (0..2000).filter_map(|index| symbols.function(index)).collect();
    assert!(functions.len() > 100);
    let mut session = session();
    let mut stopped = 0;
    for round in 0..25 {
        // Hot ones and others; and lines in the middle of a function.
        let mut specs = Vec::new();
        for _ in 0..random.below(3) {
            let function = random.of(&functions);
            let inside = random.below(2) * random.below(u64::from(function.end.0 - function.start.0) / 2 + 1);
            let offset = wkdb_tracer::CodeOffset(function.start.0 + inside as u32);
            specs.push(BreakpointSpec {
                address: CodeAddress { module: ModuleId::KERNEL, offset },
                only: None,
                temporary: false,
            });
        }
        let watched = (random.below(3) > 0).then(|| *random.of(&words));
        let (mut live, _files) = storm();
        // Where no code is, there is nothing to stop at.
        specs.retain(|spec| live.insert_breakpoint(spec).is_ok());
        if let Some(word) = watched {
            live.insert_watch(&watch(word, true)).unwrap();
        }
        let mut plain = Plain { live, hits: Vec::new(), stops: Vec::new() };
        let end = Tick(END.0 / 4 + random.below(END.0 / 8));
        plain.run_to(end);
        let wanted = |stop: &&Stop| matches!(stop.reason, StopReason::Breakpoint(_) | StopReason::Watch(_));
        let stops: Vec<&Stop> = plain.stops.iter().filter(wanted).collect();
        session.go_to(Goal::Tick(end));
        let points: Vec<_> = specs.iter().map(|spec| session.run.insert_breakpoint(spec).unwrap()).collect();
        let watches: Vec<_> =
            watched.iter().map(|word| session.run.insert_watch(&watch(*word, true)).unwrap()).collect();
        if stops.last().is_none_or(|stop| stop.tick < end) {
            // The last one, and the one before that.
            for expected in stops.iter().rev().take(2).map(|stop| Some(*stop)).chain([None]).take(2) {
                let stop = session.back();
                let what = format!("round {round}, {specs:?}, {watched:?}: {stop:?}, not {expected:?}");
                match expected {
                    Some(expected) => {
                        assert!(here(&stop).same_place(&here(expected)), "{what}");
                        stopped += 1;
                    }
                    None => assert_eq!(stop.reason, StopReason::HistoryStart, "{what}"),
                }
                if stop.reason == StopReason::HistoryStart {
                    break;
                }
            }
        }
        points.into_iter().for_each(|id| session.run.remove_breakpoint(id).unwrap());
        watches.into_iter().for_each(|id| session.run.remove_watch(id).unwrap());
    }
    assert!(stopped > 8, "{stopped}");
}

/// Such a run is over where it ended: it stops there before anything else could stop it.
#[test]
fn from_the_end_of_a_run_that_ended_by_itself_all_of_it_can_be_looked_through() {
    let script = "expect \"minik# \"\nsend \"stress 4\\n\"\nexpect \"minik# \"\n";
    for until in ["script", "tick=123457", "time=500ms", "console=stress"] {
        let symbols = Symbols::load(KERNEL_7_0.to_vec()).unwrap();
        let jiffies = symbols.data_symbol("jiffies_64").unwrap().address;
        let (mut live, _files) = start_until("console=hvc nr_cpus=3", 7, script, &[until]);
        live.insert_watch(&watch(jiffies, false)).unwrap();
        let mut written = Vec::new();
        live.resume(&Resume::go()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut ended = false;
        while !ended {
            assert!(Instant::now() < deadline, "until {until}: no end");
            for notice in live.notices(Duration::from_millis(50)).unwrap() {
                match notice {
                    Notice::Stopped(stop) => ended = matches!(stop.reason, StopReason::End(_)),
                    Notice::Event(event) => {
                        if let Event::Watch(hit) = *event {
                            written.push(hit);
                        }
                    }
                    _ => {}
                }
            }
        }
        assert!(!written.is_empty(), "until {until}");

        let (live, files) = start_until("console=hvc nr_cpus=3", 7, script, &[until]);
        let limits = Limits { spacing: 50_000, ..Limits::default() };
        let run = TimeTravel::new(live, limits, || {}).unwrap();
        let mut session = Session { run, symbols, _files: files };
        let stop = session.go();
        assert!(matches!(stop.reason, StopReason::End(_)), "until {until}: {stop:?}");
        let found = session.search(jiffies, Writes::All { most: 3 });
        let told = &written[written.len().saturating_sub(3)..];
        let keys = |hits: &[WatchHit]| hits.iter().map(key).collect::<Vec<_>>();
        assert_eq!((found.count, keys(&found.writes)), (written.len() as u64, keys(told)), "until {until}");
        let found = session.search(jiffies, Writes::Last);
        assert_eq!(keys(&found.writes), keys(&told[told.len() - 1..]), "until {until}");
        // What the first call of all entered is under way until the end.
        session.insert("start_kernel");
        let stop = session.back();
        assert!(matches!(stop.reason, StopReason::Breakpoint(_)), "until {until}: {stop:?}");
        assert_eq!(session.name(&stop), "start_kernel");
        assert_eq!(session.back().reason, StopReason::HistoryStart, "until {until}");
    }
}

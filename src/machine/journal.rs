//! The machine's side of a recording: it tells what came from outside and where, with checks between; or takes all
//! that from a recording, to be the same run again.
//!
//! Everything here happens between slices, at the top of the executor's loop, in the same order when it is recorded
//! and when it is replayed.

use std::collections::VecDeque;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use wkdb_debugger::inferior::InferiorError;
use wkdb_tracer::recording::{Check, CodePlace, Ending, Entries, Entry, Intervention, OpenError, Position, Recording};
use wkdb_tracer::{Event, GuestTime, Outcome, Tick};

use super::core::{Core, Output};
use super::debug::{Place, Request};
use super::own_offset::OwnOffset;

/// What a machine tells and takes for recordings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalConfig {
    /// A recording to run again: what came from outside comes from it, input from elsewhere is dropped, and checks are
    /// made where it has them. The rest of the configuration is to be the recorded one.
    pub replay: Option<PathBuf>,
    /// Otherwise: ticks from one check of memory to the next; where the guest has much memory, more.
    pub check_ticks: u64,
    /// And from one to the next at least so many times the time that the last one took: nothing in the run depends on
    /// where the checks are.
    pub check_rarity: u32,
    /// More places for checks of memory: after that many slices; ascending.
    pub checks_at: Vec<u64>,
}

impl JournalConfig {
    /// About half a second of work from check to check.
    pub const CHECK_TICKS: u64 = 50_000_000;
    /// Checks take a hundredth of the time at most.
    pub const CHECK_RARITY: u32 = 100;

    /// A run is recorded.
    pub fn record() -> Self {
        JournalConfig { check_ticks: Self::CHECK_TICKS, check_rarity: Self::CHECK_RARITY, ..JournalConfig::default() }
    }

    /// A recording is run again.
    pub fn replay(recording: impl Into<PathBuf>) -> Self {
        JournalConfig { replay: Some(recording.into()), ..JournalConfig::default() }
    }
}

/// For so much memory, in bytes, checks are as frequent as asked for: hashing it takes about 2 ms.
const MEMORY: u64 = 16 << 20;
/// Guest time after which there is a check of schedule and console, which costs nothing.
const LIGHT_CHECK_NS: u64 = 1_000_000_000;
/// The same in parts of the ticks from one check of memory to the next.
const LIGHT_CHECKS: u64 = 10;

/// So many ticks after a machine that follows another one to a place has said how far it is, it says so again.
const WAY_TICKS: u64 = 1_000_000;

/// Something to be done at a place.
enum Step {
    Outside(Entry),
    Check {
        memory: bool,
    },
    /// The recording was cut off.
    Stop,
    /// The instruction at which something was due was not come to.
    Missed,
}

impl Step {
    /// Whether its place is in the middle of a slice.
    fn is_in_slice(&self) -> bool {
        let in_slice = |what: &_| matches!(what, Intervention::QuitInSlice | Intervention::InSlice { .. });
        matches!(self, Step::Outside(Entry::Intervention(what)) if in_slice(what))
    }

    /// The instruction at which it is due, if it is at one.
    fn place(&self) -> Option<CodePlace> {
        match self {
            Step::Outside(Entry::Intervention(Intervention::InSlice { at, .. })) => *at,
            _ => None,
        }
    }
}

/// From where a run is taken.
enum Source {
    /// From a recording, which is whole or was cut off. Its offset in the file is its own, so that a copy of this
    /// process reads on by itself.
    File { entries: Entries<BufReader<OwnOffset>>, whole: bool },
    /// From what the machine is given: it follows another one.
    Given(VecDeque<(Position, Entry)>),
}

/// What a run is taken from.
struct Replay {
    source: Source,
    next: Option<(Position, Step)>,
}

impl Replay {
    fn open(path: &Path) -> Result<Self, OpenError> {
        let recording = Recording::open(BufReader::new(OwnOffset::new(File::open(path)?)))?;
        let whole = matches!(recording.ending(), Ending::Complete(_));
        let mut replay = Replay { source: Source::File { entries: recording.into_entries(), whole }, next: None };
        replay.advance();
        Ok(replay)
    }

    /// Reads on to the next step.
    fn advance(&mut self) {
        self.next = match &mut self.source {
            Source::Given(entries) => entries.pop_front().map(|(position, entry)| (position, Step::Outside(entry))),
            Source::File { entries, whole } => loop {
                match entries.next() {
                    Some(Ok((position, Entry::Check(check)))) => {
                        break Some((position, Step::Check { memory: check.memory.is_some() }));
                    }
                    Some(Ok((position, entry))) if entry.is_from_outside() => {
                        break Some((position, Step::Outside(entry)));
                    }
                    Some(Ok(_)) => {}
                    None if *whole => break None,
                    // The one who compares says what is wrong with the recording.
                    Some(Err(_)) | None => {
                        *whole = true;
                        break Some((Entries::position(entries), Step::Stop));
                    }
                }
            },
        };
    }

    /// The next step, if its place is here or behind.
    fn due(&mut self, here: Position, in_slice: bool) -> Option<Step> {
        let (at, step) = self.next.as_ref()?;
        if step.place().is_some() {
            // It is come to by a breakpoint, in this tick.
            return (here.tick > at.tick).then_some(Step::Missed);
        }
        // The end of a slice may be at the same tick as a place in the middle of it.
        if (at.slices, at.time) > (here.slices, here.time) || in_slice && !step.is_in_slice() {
            return None;
        }
        let (_, step) = self.next.take()?;
        self.advance();
        Some(step)
    }
}

/// When a machine that is recorded makes its next checks.
struct Schedule {
    check_ticks: u64,
    /// When memory was last checked, and when it will be next.
    checked: Tick,
    memory: Tick,
    light: (Tick, GuestTime),
    /// Something happened after which a check is worth its time.
    notable: bool,
    rarity: u32,
    /// When a check of memory was last made, and how long it took.
    last: Option<(Instant, Duration)>,
}

pub(super) struct Journal {
    replay: Option<Replay>,
    /// Where a machine that follows another one stops.
    pause: Option<Place>,
    /// On the way there: where it says next how far it is.
    way: Tick,
    schedule: Schedule,
    /// More places, the next one last.
    checks_at: Vec<u64>,
    /// The position that was told last.
    told: Option<Position>,
}

impl Journal {
    /// # Errors
    ///
    /// Where the recording to be replayed cannot be opened.
    pub(super) fn new(config: &JournalConfig) -> Result<Self, OpenError> {
        let replay = config.replay.as_deref().map(Replay::open).transpose()?;
        let check_ticks = config.check_ticks.max(1);
        let first = Tick(check_ticks);
        let light = (Tick(check_ticks / LIGHT_CHECKS), GuestTime(LIGHT_CHECK_NS));
        let schedule = Schedule {
            check_ticks,
            checked: Tick(0),
            memory: first,
            light,
            notable: false,
            rarity: config.check_rarity,
            last: None,
        };
        let mut checks_at = config.checks_at.clone();
        checks_at.reverse();
        Ok(Journal { replay, pause: None, way: Tick(0), schedule, checks_at, told: None })
    }

    /// Whether the run is taken from a recording, or follows another one.
    pub(super) fn is_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// From now on what comes from outside is taken from `entries`, after those that it was given before, and the
    /// machine stops at `pause`.
    ///
    /// # Errors
    ///
    /// The run is taken from a recording already.
    pub(super) fn follow(
        &mut self,
        entries: Vec<(Position, Entry)>,
        pause: Option<Place>,
    ) -> Result<(), InferiorError> {
        let source = Source::Given(VecDeque::new());
        let replay = self.replay.get_or_insert(Replay { source, next: None });
        match &mut replay.source {
            Source::Given(given) => given.extend(entries),
            Source::File { .. } if entries.is_empty() => {}
            Source::File { .. } => {
                let text = "a machine that replays a recording cannot follow another one";
                return Err(InferiorError::Refused(text.into()));
            }
        }
        if replay.next.is_none() {
            replay.advance();
        }
        self.pause = pause;
        Ok(())
    }

    /// This machine is a copy now: it takes what it will be given, and nothing that was meant for the original.
    pub(super) fn is_copied(&mut self) {
        if !matches!(&self.replay, Some(Replay { source: Source::File { .. }, .. })) {
            self.replay = Some(Replay { source: Source::Given(VecDeque::new()), next: None });
        }
        self.pause = None;
    }

    /// From now on what comes from outside is this machine's own.
    pub(super) fn lead(&mut self) {
        self.replay = None;
        self.pause = None;
        // Who listens from now on may not have heard what was told so far.
        self.told = None;
    }

    /// When the next thing from the recording is due, if that may be before another slice is given.
    pub(super) fn next_time(&self, core: &Core) -> Option<GuestTime> {
        let slices = core.scheduler.slices();
        let step = self.replay.as_ref().and_then(|replay| replay.next.as_ref());
        let step = step.filter(|(_, step)| step.place().is_none()).map(|(at, _)| *at);
        let pause = self.pause.filter(|pause| !pause.in_slice).map(|pause| pause.position);
        [step, pause].into_iter().flatten().filter(|at| at.slices <= slices).map(|at| at.time).min()
    }

    /// At which tick of the slice that begins or goes on now something is due, if anything is.
    pub(super) fn due_in_slice(&self, core: &Core) -> Option<Tick> {
        let slices = core.scheduler.slices();
        let step = self.replay.as_ref().and_then(|replay| replay.next.as_ref());
        // To an instruction the tick is the way, and no more than that.
        let ahead = |at: &Position, step: &Step| step.place().is_none() || at.tick > core.ticks;
        let step = step.filter(|(at, step)| step.is_in_slice() && ahead(at, step)).map(|(at, _)| *at);
        let pause = self.pause.filter(|pause| pause.in_slice).map(|pause| pause.position);
        [step, pause].into_iter().flatten().filter(|at| at.slices == slices).map(|at| at.tick).min()
    }

    /// The instruction at which something is due, if that is in this tick of the slice that begins or goes on now.
    pub(super) fn meeting(&self, core: &Core) -> Option<CodePlace> {
        let (at, step) = self.replay.as_ref()?.next.as_ref()?;
        step.place().filter(|_| (at.slices, at.tick) == (core.scheduler.slices(), core.ticks))
    }

    /// A runner is at the instruction at which something is due: does all that is due there. Gives what is to be told.
    pub(super) fn meet(&mut self, core: &mut Core) -> Vec<Output> {
        let mut told = Vec::new();
        let Some(place) = core.debug.meeting.take() else { return told };
        core.debug.version += 1;
        let here = core.position();
        while let Some(replay) = &mut self.replay
            && let Some((_, step)) =
                replay.next.take_if(|(at, step)| step.place() == Some(place) && at.tick == here.tick)
        {
            replay.advance();
            if let Step::Outside(entry) = step {
                told.extend(self.position(core));
                core.take_over(&entry);
                told.push(Output::Took(entry));
            }
        }
        told
    }

    /// Whether the machine stops here, or should have before.
    fn pauses(&mut self, here: Position, in_slice: bool) -> bool {
        let due = self.pause.is_some_and(|Place { position: at, in_slice: inside }| match (inside, in_slice) {
            (false, false) => (at.slices, at.time) <= (here.slices, here.time),
            (true, true) => (at.slices, at.tick) <= (here.slices, here.tick),
            // Past it: who waits for it sees that this is another run.
            (true, false) => at.tick < here.tick,
            (false, true) => at.slices < here.slices,
        });
        due && self.pause.take().is_some()
    }

    /// `output` happened in the slice that ends here: gives the position to tell before it, unless it was told.
    pub(super) fn before(&mut self, core: &Core, output: &[Output]) -> Option<Output> {
        self.schedule.notable |=
            output.iter().any(|o| matches!(o, Output::Event(Event::Panic { .. } | Event::Trap { .. })));
        if output.is_empty() { None } else { self.position(core) }
    }

    fn position(&mut self, core: &Core) -> Option<Output> {
        let here = core.position();
        (self.told.replace(here) != Some(here)).then_some(Output::At(here))
    }

    /// Does what is due here, between two slices or in the middle of one: takes over what the recording has for this
    /// place, makes checks. Gives what is to be told.
    pub(super) fn keep(&mut self, core: &mut Core, in_slice: bool) -> Vec<Output> {
        let mut told = Vec::new();
        while let Some(step) = self.replay.as_mut().and_then(|replay| replay.due(core.position(), in_slice)) {
            told.extend(self.position(core));
            match step {
                Step::Outside(entry) => {
                    core.take_over(&entry);
                    told.push(Output::Took(entry));
                }
                Step::Check { memory } => told.push(Output::Took(Entry::Check(core.check(memory)))),
                Step::Stop => core.stop(Outcome::RecordingEnds),
                Step::Missed => {
                    let text = "it did not come to the instruction at which a debugger changed the recorded run";
                    core.stop(Outcome::Broken(text.into()));
                    break;
                }
            }
        }
        if self.pauses(core.position(), in_slice) {
            core.debug.interrupted = true;
        }
        if in_slice {
            return told;
        }
        if self.pause.is_some() && core.ticks >= self.way {
            self.way = Tick(core.ticks.0.saturating_add(WAY_TICKS));
            told.extend(self.position(core));
        }
        while self.checks_at.pop_if(|at| *at <= core.scheduler.slices()).is_some() {
            told.extend(self.position(core));
            told.push(Output::Took(Entry::Check(core.check(true))));
        }
        if self.replay.is_none()
            && let Some(memory) = self.schedule.due(core)
        {
            told.extend(self.position(core));
            let start = Instant::now();
            told.push(Output::Took(Entry::Check(core.check(memory))));
            if memory {
                self.schedule.last = Some((Instant::now(), start.elapsed()));
            }
        }
        told
    }

    /// Something came from outside: does it and tells it. In a replay it is dropped: a replay is what was recorded.
    pub(super) fn take(&mut self, core: &mut Core, entry: Entry) -> Vec<Output> {
        if self.is_replay() && !matches!(entry, Entry::Intervention(Intervention::Quit | Intervention::QuitInSlice)) {
            return Vec::new();
        }
        core.take_over(&entry);
        let mut told: Vec<_> = self.position(core).into_iter().collect();
        told.push(Output::Took(entry));
        told
    }
}

impl Schedule {
    /// Whether a check is due, and whether one of memory.
    fn due(&mut self, core: &Core) -> Option<bool> {
        let ticks = core.ticks;
        // What is notable may come often.
        let since_last = ticks.0.saturating_sub(self.checked.0);
        let notable = std::mem::take(&mut self.notable) && since_last >= self.check_ticks / LIGHT_CHECKS;
        let may = || self.last.is_none_or(|(at, took)| at.elapsed() >= took * self.rarity);
        let memory = (ticks >= self.memory || notable) && may();
        if !memory && ticks < self.light.0 && core.now < self.light.1 {
            return None;
        }
        if memory {
            let often = (core.memory.backed_bytes() / MEMORY).max(1);
            self.checked = ticks;
            self.memory = Tick(ticks.0.saturating_add(self.check_ticks.saturating_mul(often)));
        }
        self.light = (Tick(ticks.0.saturating_add(self.check_ticks / LIGHT_CHECKS)), core.now.after_ns(LIGHT_CHECK_NS));
        Some(memory)
    }
}

impl Core {
    /// The machine's place, between two slices.
    pub(super) fn position(&self) -> Position {
        Position { slices: self.scheduler.slices(), tick: self.ticks, time: self.now }
    }

    /// What the machine is now.
    pub(super) fn check(&self, memory: bool) -> Check {
        Check {
            memory: memory.then(|| self.memory.hash()),
            schedule: self.scheduler.hash(),
            console: self.console.hash(),
        }
    }

    /// Does what came from outside.
    pub(super) fn take_over(&mut self, entry: &Entry) {
        match entry {
            Entry::Input(bytes) => self.console.type_in(bytes),
            Entry::Intervention(intervention) => self.intervene(intervention),
            Entry::Console(_) | Entry::Event(_) | Entry::Check(_) => {}
        }
    }

    fn intervene(&mut self, intervention: &Intervention) {
        match intervention {
            Intervention::Quit | Intervention::QuitInSlice => self.stop(Outcome::Quit),
            Intervention::WriteMemory { address, bytes } => {
                // As when it was recorded, a write outside of memory does nothing, and no watch sees one inside.
                if self.memory.write(*address, bytes).is_ok() {
                    self.watches.refresh(&(*address..address.saturating_add(bytes.len() as u64)));
                }
            }
            Intervention::Script(text) => self.set_script(text),
            Intervention::Only(only) => self.debug.forced = *only,
            &Intervention::SetGlobal { runner, module, global, value } => {
                self.debug.globals.push(Request::SetGlobal { runner, module, global, value });
            }
            Intervention::InSlice { what, .. } => self.intervene(what),
        }
    }
}

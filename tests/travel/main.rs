//! Going back in time in a real machine process: minik, with a script in place of a person.

mod searches;
mod steps;

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::demo::{Files, KERNEL_7_0, scene};
use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{Cache, MachineConfig};
use wkdb::process::MachineProcess;
use wkdb::session::Live;
use wkdb_debugger::inferior::{
    BreakpointSpec, Direction, History, Inferior, InferiorError, Notice, Resume, Status, StepKind, Stop, StopReason,
    WatchCondition, WatchKind, WatchSpec,
};
use wkdb_debugger::symbols::Symbols;
use wkdb_debugger::timeline::{Branch, Goal, Limits, Position, TimeTravel};
use wkdb_tracer::{CodeAddress, ModuleId, Tick, WatchHit, Writer};

const PATIENCE: Duration = Duration::from_secs(60);

struct Session {
    run: TimeTravel<Live>,
    symbols: Symbols,
    _files: Files,
}

fn start(bug: &str) -> (Live, Files) {
    let scene = scene(bug).unwrap();
    start_with(&format!("console=hvc bug={bug}"), scene.seed, scene.script)
}

fn start_with(command_line: &str, seed: u64, script: &str) -> (Live, Files) {
    start_until(command_line, seed, script, &[])
}

fn start_until(command_line: &str, seed: u64, script: &str, until: &[&str]) -> (Live, Files) {
    let files = Files::write(KERNEL_7_0).unwrap();
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
    config.cache = Some(Cache { directory, limit: DEFAULT_LIMIT });
    config.engine = EngineOptions { opt_level: OptLevelChoice::None, debug: true };
    config.store_checks = true;
    config.attach = true;
    config.command_line = command_line.to_owned();
    config.seed = seed;
    config.script = Some(script.to_owned());
    config.until = until.iter().map(|condition| condition.parse().unwrap()).collect();
    let process = MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config).unwrap();
    let mut live = Live::over(process);
    let deadline = Instant::now() + PATIENCE;
    while !matches!(live.status(), Status::Stopped(_)) {
        assert!(Instant::now() < deadline);
        live.notices(Duration::from_millis(50)).unwrap();
    }
    (live, files)
}

impl Session {
    fn start(bug: &str, spacing: u64) -> Session {
        let (live, files) = start(bug);
        let limits = Limits { spacing, ..Limits::default() };
        let run = TimeTravel::new(live, limits, || {}).unwrap();
        Session { run, symbols: Symbols::load(KERNEL_7_0.to_vec()).unwrap(), _files: files }
    }

    fn stop(&mut self) -> Stop {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no stop");
            for notice in self.run.notices(Duration::from_millis(100)).unwrap() {
                match notice {
                    Notice::Stopped(stop) => return *stop,
                    Notice::Ended(outcome, _) => panic!("{outcome:?}"),
                    Notice::Event(event) if self.run.in_the_past() => panic!("{event:?}"),
                    _ => {}
                }
            }
        }
    }

    fn resume(&mut self, resume: &Resume) -> Stop {
        self.run.resume(resume).unwrap();
        self.stop()
    }

    fn go(&mut self) -> Stop {
        self.resume(&Resume::go())
    }

    fn back(&mut self) -> Stop {
        self.resume(&Resume { direction: Direction::Backward, ..Resume::go() })
    }

    fn go_to(&mut self, goal: Goal) -> Stop {
        self.run.go_to(goal).unwrap();
        self.stop()
    }

    fn insert(&mut self, function: &str) {
        let offset = self.symbols.functions_named(function)[0].start;
        let address = CodeAddress { module: ModuleId::KERNEL, offset };
        self.run.insert_breakpoint(&BreakpointSpec { address, only: None, temporary: false }).unwrap();
    }

    fn name(&self, stop: &Stop) -> String {
        self.symbols.function_name(stop.frame.unwrap().function)
    }
}

fn here(stop: &Stop) -> Position {
    Position::of(stop)
}

#[test]
fn a_copy_of_a_machine_process_does_what_the_original_does_and_neither_disturbs_the_other() {
    let (mut live, _files) = start("stray-write");
    let mut copy = live.fork().unwrap();
    assert!(copy.cost() > 0);
    assert_ne!(copy.link().id(), live.link().id());
    let mut stops = Vec::new();
    for branch in [&mut copy, &mut live] {
        branch.resume(&Resume { until_tick: Some(Tick(200_000)), ..Resume::go() }).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !matches!(branch.status(), Status::Stopped(_)) {
            assert!(Instant::now() < deadline);
            branch.notices(Duration::from_millis(50)).unwrap();
        }
        let Status::Stopped(stop) = branch.status().clone() else { unreachable!() };
        stops.push((stop, branch.tasks().unwrap(), branch.read_memory(0x10000, 0x20000).unwrap()));
    }
    assert!(stops[0].0.tick >= Tick(200_000));
    assert!(stops[0] == stops[1], "{:?} and {:?}", stops[0].0, stops[1].0);
    drop(live);
    assert!(!copy.tasks().unwrap().is_empty(), "a copy outlives the original");
}

#[test]
fn reverse_continue_goes_to_earlier_hits_of_a_breakpoint_then_to_the_start_and_forward_to_the_present() {
    let mut session = Session::start("stray-write", 50_000);
    session.insert("schedule");
    let hits: Vec<_> = (0..30).map(|_| session.go()).collect();
    assert!(hits.iter().all(|hit| matches!(hit.reason, StopReason::Breakpoint(_))));
    for hit in hits.iter().rev().skip(1).take(5) {
        let stop = session.back();
        assert_eq!((here(&stop), &stop.reason), (here(hit), &hit.reason));
        assert!(session.run.in_the_past());
    }
    // Forwards, to where history ends.
    for hit in &hits[25..29] {
        assert_eq!(here(&session.go()), here(hit));
    }
    let stop = session.go();
    assert_eq!(stop.reason, StopReason::HistoryEnd);
    assert!(here(&stop).same_place(&here(&hits[29])));
    assert!(!session.run.in_the_past());
    assert_eq!(here(&session.back()), here(&hits[28]), "back from the end of history");
    // From the first hit there is nothing before but the start.
    let start = session.go_to(Goal::Start);
    assert_eq!(start.tick, Tick(0));
    assert_eq!(here(&session.go()), here(&hits[0]));
    assert_eq!(session.back().reason, StopReason::HistoryStart);
    let middle = Tick(hits[29].tick.0 / 2);
    assert_eq!(session.go_to(Goal::Tick(middle)).tick, middle);
    assert!(here(&session.go_to(Goal::Present)).same_place(&here(&hits[29])));
}

#[test]
fn steps_back_and_as_many_forward_lead_to_the_same_place() {
    let mut session = Session::start("stray-write", 50_000);
    session.insert("schedule");
    for _ in 0..3 {
        let mut stop = session.go();
        for _ in 0..4 {
            stop = session.go();
        }
        let runner = stop.context.as_ref().unwrap().runner;
        let mut places = vec![here(&stop)];
        for _ in 0..20 {
            let back = Resume { direction: Direction::Backward, ..Resume::step(runner, StepKind::Instruction) };
            let stop = session.resume(&back);
            assert_eq!(stop.reason, StopReason::Step);
            places.push(here(&stop));
        }
        for place in places.iter().rev().skip(1) {
            let stop = session.resume(&Resume::step(runner, StepKind::Instruction));
            let there = here(&stop);
            assert_eq!((there.tick, there.runner, there.address), (place.tick, place.runner, place.address));
        }
        session.go_to(Goal::Present);
    }
}

/// Runs to the trap of a planted bug, then back to the last write into the word that it fell over.
fn culprit(bug: &str, variable: &str) -> (String, WatchHit, Session) {
    let mut session = Session::start(bug, 100_000);
    let stop = session.go();
    assert!(matches!(stop.reason, StopReason::Trap { .. } | StopReason::Panic { .. }), "{stop:?}");
    let address = session.symbols.data_symbol(variable).unwrap().address;
    let goal = Goal::LastWrite { address, len: 4 };
    let stop = session.go_to(goal);
    let StopReason::Watch(hits) = &stop.reason else { panic!("{stop:?}") };
    (session.name(&stop), hits[0].1.clone(), session)
}

#[test]
fn the_last_write_into_a_corrupted_word_is_the_planted_bugs() {
    let (function, hit, mut session) = culprit("stray-write", "first_worker_pool");
    assert_eq!((function.as_str(), &hit.new[..]), ("evdev_stop_autorepeat", &[0xff; 4][..]));
    assert_ne!(hit.old, hit.new);
    let memory = session.run.read_memory(hit.address, 4).unwrap();
    assert_eq!(memory, hit.new, "the machine stands behind the write");
    let refused = session.run.write_memory(hit.address, &hit.old);
    assert!(matches!(refused, Err(InferiorError::Refused(_))), "the past was changed");

    // Written byte by byte.
    let (_, hit, mut session) = culprit("user-write", "fb_info_fbops");
    assert_eq!(hit.new, [0xf0]);
    let address = session.symbols.data_symbol("fb_info_fbops").unwrap().address;
    assert_eq!(hit.address, address + 3, "the last of them");
    assert_eq!(session.run.read_memory(address, 4).unwrap(), [0xf0; 4]);
    assert!(matches!(hit.writer, Writer::Guest { .. }), "{hit:?}");
}

/// Stopped for something else than the store that it stands behind: that is the first on the way back.
#[test]
fn a_store_that_the_machine_stands_behind_is_met_on_the_way_back() {
    let (_, hit, mut session) = culprit("stray-write", "first_worker_pool");
    let watch = |address, len| WatchSpec {
        address,
        len,
        kind: WatchKind::Write,
        condition: WatchCondition::default(),
        stop: true,
    };
    let Status::Stopped(stop) = session.run.status().clone() else { panic!("it runs") };
    let behind = here(&stop);
    session.run.insert_watch(&watch(hit.address, 4)).unwrap();
    // It has been told of that store.
    let earlier = session.back();
    assert!(earlier.tick < behind.tick && matches!(earlier.reason, StopReason::Watch(_)), "{earlier:?}");
    // From where a step, a breakpoint or a finding would have led to.
    let stop = session.go_to(Goal::Position(behind));
    assert_eq!((stop.reason, session.run.read_memory(hit.address, 4).unwrap()), (StopReason::Tick, hit.new.clone()));
    let stop = session.back();
    let StopReason::Watch(hits) = &stop.reason else { panic!("{stop:?}") };
    assert_eq!((&hits[0].1.new, hits[0].1.store_address), (&hit.new, hit.store_address));
    assert!(here(&stop).same_place(&behind), "{stop:?}");
    // And only once.
    assert!(here(&session.back()).same_place(&here(&earlier)));
}

#[test]
fn the_way_back_goes_on_from_an_earlier_checkpoint_when_one_is_killed_and_can_be_interrupted() {
    let before: Vec<_> = children();
    let mut session = Session::start("stray-write", 50_000);
    let end = session.go();
    let checkpoints = session.run.checkpoints();
    assert!(checkpoints.len() > 3, "{checkpoints:?}");
    assert!(checkpoints.iter().all(|checkpoint| checkpoint.cost > 0));
    // The copies are of the process that was started here.
    let machine = session.run.present().unwrap().link().id();
    assert!(!before.contains(&machine));
    let copies = children_of(machine);
    assert_eq!(copies.len(), checkpoints.len());
    // Processes are born in the order of the checkpoints: all but the origin go.
    for &copy in &copies[1..] {
        kill(Pid::from_raw(copy as i32), Signal::SIGKILL).unwrap();
    }
    let middle = Tick(end.tick.0 - 1000);
    assert_eq!(session.go_to(Goal::Tick(middle)).tick, middle);
    session.go_to(Goal::Present);
    let back = Resume { direction: Direction::Backward, ..Resume::go() };
    session.run.resume(&back).unwrap();
    session.run.interrupt().unwrap();
    let stop = session.stop();
    assert!(matches!(stop.reason, StopReason::Interrupt | StopReason::HistoryStart), "{stop:?}");
}

fn children() -> Vec<u32> {
    children_of(std::process::id())
}

fn children_of(process: u32) -> Vec<u32> {
    let mut all: Vec<u32> = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let text = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        all.extend(text.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
    }
    all.sort_unstable();
    all
}

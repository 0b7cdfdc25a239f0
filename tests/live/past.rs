//! A machine with a past: what becomes of it when somebody interrupts, leaves, or kills what it goes back to.

use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::condition::Condition;
use wkdb::demo::{Files, KERNEL_7_0};
use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{Cache, JournalConfig, MachineConfig};
use wkdb::process::MachineProcess;
use wkdb::session::{Live, Rewindable, Tapped};
use wkdb_debugger::inferior::{
    Direction, Goal, History, Inferior, InferiorError, Limits, Notice, Resume, Status, StepKind, Stop, StopReason,
    WatchCondition, WatchKind, WatchSpec,
};
use wkdb_tracer::{Event, Outcome, Tick, Totals};

use super::PATIENCE;

const BACK: Resume = Resume {
    direction: Direction::Backward,
    who: wkdb_debugger::inferior::Who::All,
    step: None,
    until_tick: None,
    until_time: None,
};

struct Session {
    machine: Rewindable,
    complaints: Vec<String>,
    end: Option<(Outcome, Totals)>,
    _files: Files,
}

fn config(files: &Files) -> MachineConfig {
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
    config.cache = Some(Cache { directory, limit: DEFAULT_LIMIT });
    config.engine = EngineOptions { opt_level: OptLevelChoice::None, debug: true };
    (config.store_checks, config.load_checks) = (true, true);
    config.journal = Some(JournalConfig::record());
    config.attach = true;
    config
}

fn process(config: MachineConfig) -> MachineProcess {
    MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config).unwrap()
}

fn spaced(spacing: u64) -> Limits {
    Limits { spacing, ..Limits::default() }
}

impl Session {
    fn start(limits: Limits, change: impl FnOnce(&mut MachineConfig)) -> Session {
        let files = Files::write(KERNEL_7_0).unwrap();
        let mut config = config(&files);
        change(&mut config);
        let machine = Rewindable::over(Live::over(Tapped::silent(process(config))), limits).unwrap();
        Session { machine, complaints: Vec::new(), end: None, _files: files }
    }

    /// The next stop; none if the run ends instead.
    fn next(&mut self) -> Option<Stop> {
        let deadline = Instant::now() + PATIENCE;
        while self.end.is_none() {
            assert!(Instant::now() < deadline, "no stop: {:?}", self.complaints);
            let mut stopped = None;
            for notice in self.machine.notices(Duration::from_millis(50)).unwrap() {
                match notice {
                    Notice::Stopped(stop) => stopped = Some(*stop),
                    Notice::Ended(outcome, totals) => self.end = Some((*outcome, *totals)),
                    Notice::Event(event) => {
                        if let Event::Complaint { text, .. } = *event {
                            self.complaints.push(text);
                        }
                    }
                    _ => {}
                }
            }
            if stopped.is_some() {
                return stopped;
            }
        }
        None
    }

    fn stop(&mut self) -> Stop {
        self.next().unwrap_or_else(|| panic!("{:?}", self.end))
    }

    fn run_to(&mut self, tick: u64) -> Stop {
        loop {
            self.machine.resume(&Resume { until_tick: Some(Tick(tick)), ..Resume::go() }).unwrap();
            let stop = self.stop();
            if stop.tick >= Tick(tick) {
                return stop;
            }
        }
    }

    fn go_to(&mut self, goal: Goal) -> Stop {
        self.machine.history().unwrap().go_to(goal).unwrap();
        self.stop()
    }

    fn id(&self) -> u32 {
        self.machine.run().present().unwrap().link().process().id()
    }

    /// All copies of the machine, and copies of these: the processes of its group.
    fn copies(&self) -> Vec<i32> {
        let machine = self.id() as i32;
        let processes =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let copy = |id: &i32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            // Behind the name: state, parent, group.
            let group = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(2)?.parse::<i32>().ok());
            *id != machine && group == Some(machine)
        };
        processes.filter(copy).collect()
    }

    fn checkpoints(&self) -> (usize, u64) {
        let all = History::checkpoints(&self.machine);
        (all.len(), all.iter().map(|checkpoint| checkpoint.cost).sum())
    }
}

#[test]
fn a_long_way_back_is_interrupted_on_the_way_and_the_present_is_where_it_was() {
    // Without checkpoints all of it has to be run again.
    let mut session = Session::start(spaced(u64::MAX), |_| {});
    let here = session.run_to(60_000_000);
    // Nobody knows where something was not read.
    let condition = WatchCondition { runners: Some(Vec::new()), ..WatchCondition::default() };
    let watch = WatchSpec { address: 0x1000, len: 4, kind: WatchKind::Read, condition, stop: true };
    session.machine.insert_watch(&watch).unwrap();
    let started = Instant::now();
    session.machine.resume(&BACK).unwrap();
    assert_eq!(session.stop().reason, StopReason::HistoryStart);
    println!("the whole way back takes {:?}", started.elapsed());
    assert_eq!(session.go_to(Goal::Present).tick, here.tick);

    // Before it has set out, and on the way.
    for on_the_way in [Duration::ZERO, Duration::from_millis(30), Duration::from_millis(100)] {
        session.machine.resume(&BACK).unwrap();
        std::thread::sleep(on_the_way);
        let asked = Instant::now();
        session.machine.interrupt().unwrap();
        let stop = session.stop();
        println!("interrupted after {:?}", asked.elapsed());
        if !on_the_way.is_zero() && stop.reason == StopReason::HistoryStart {
            // On a computer that was there sooner.
            session.go_to(Goal::Present);
            continue;
        }
        assert_eq!((&stop.reason, stop.tick, stop.time), (&StopReason::Interrupt, here.tick, here.time));
        assert!(!session.machine.run().in_the_past());
    }
    assert_eq!(session.complaints, Vec::<String>::new());
    // And goes on as if nothing had been.
    assert_eq!(session.run_to(here.tick.0 + 1000).reason, StopReason::Tick);
}

#[test]
fn when_the_copies_of_a_machine_are_killed_the_session_goes_on_in_the_present() {
    let mut session = Session::start(spaced(200_000), |_| {});
    let here = session.run_to(2_000_000);
    session.go_to(Goal::Tick(Tick(here.tick.0 / 2)));
    assert!(session.machine.run().in_the_past());
    let copies = session.copies();
    assert!(copies.len() > 5);
    for copy in copies {
        kill(Pid::from_raw(copy), Signal::SIGKILL).unwrap();
    }
    let refused = session.machine.tasks().unwrap_err();
    assert!(matches!(&refused, InferiorError::Refused(text) if text.contains("present")), "{refused:?}");
    let stop = session.stop();
    assert_eq!((&stop.reason, stop.tick), (&StopReason::HistoryEnd, here.tick));
    assert!(!session.machine.tasks().unwrap().is_empty());
    assert_eq!(session.complaints.len(), 1, "{:?}", session.complaints);
    // There is no way back any more; it is said, and nothing else is lost.
    session.machine.resume(&BACK).unwrap();
    assert_eq!(session.stop().tick, here.tick);
    assert_eq!(session.complaints.len(), 2, "{:?}", session.complaints);
    let there = session.run_to(here.tick.0 + 1_000_000);
    session.machine.resume(&BACK).unwrap();
    session.stop();
    assert_eq!(session.run_to(there.tick.0 + 1000).reason, StopReason::Tick);
}

#[test]
fn checkpoints_take_no_more_memory_than_they_may() {
    let mut free = Session::start(spaced(100_000), |_| {});
    free.run_to(4_000_000);
    let (many, dear) = free.checkpoints();
    assert!(many > 20 && dear > 0, "{many} checkpoints of {dear} bytes");
    let limit = dear / 3;
    let mut bounded = Session::start(Limits { memory: limit, ..spaced(100_000) }, |_| {});
    let end = bounded.run_to(4_000_000);
    let (few, cheap) = bounded.checkpoints();
    assert!(few < many && few >= 2, "{few} of {many}");
    // Their cost changes while the machine goes on: what is shared with it becomes their own.
    assert!(cheap <= limit + limit / 2, "{few} checkpoints of {cheap} bytes, {limit} allowed");
    assert_eq!(bounded.machine.history().unwrap().limits().memory, limit);
    let middle = Tick(end.tick.0 / 2);
    assert_eq!(bounded.go_to(Goal::Tick(middle)).tick, middle, "every moment can still be gone to");
}

#[test]
fn copies_that_are_kept_beside_checkpoints_count_with_them() {
    let far = 3_000_000;
    let look_around = |session: &mut Session| {
        session.run_to(far);
        session.go_to(Goal::Tick(Tick(far / 2)));
        let Status::Stopped(stop) = session.machine.status().clone() else { panic!("it runs") };
        let runner = stop.context.unwrap().runner;
        session
            .machine
            .resume(&Resume { direction: Direction::Backward, ..Resume::step(runner, StepKind::Instruction) })
            .unwrap();
        session.stop();
    };
    let mut free = Session::start(spaced(u64::MAX), |_| {});
    look_around(&mut free);
    // The origin, and what is shown.
    assert!(free.copies().len() > 2, "no copies are kept at all");
    let mut bounded = Session::start(Limits { memory: 1, ..spaced(u64::MAX) }, |_| {});
    look_around(&mut bounded);
    let deadline = Instant::now() + PATIENCE;
    // What is given up is killed, which takes a moment.
    while bounded.copies().len() > 2 {
        assert!(Instant::now() < deadline, "{} copies are kept", bounded.copies().len());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(bounded.go_to(Goal::Tick(Tick(far / 3))).tick, Tick(far / 3));
}

#[test]
fn a_machine_that_cannot_be_copied_goes_on_without_checkpoints_and_has_them_again_when_it_can() {
    let mut session = Session::start(spaced(100_000), |_| {});
    // The guest has booted, and loads no more code.
    session.run_to(3_000_000);
    let before = session.checkpoints().0;
    let machine = rustix::process::Pid::from_raw(session.id() as i32);
    let all = getrlimit(Resource::Nofile);
    prlimit(machine, Resource::Nofile, Rlimit { current: Some(3), maximum: all.maximum }).unwrap();
    let there = session.run_to(4_000_000);
    let during = session.checkpoints().0;
    assert!(during <= before);
    // What is there can still be copied: only the present cannot.
    let earlier = Tick(there.tick.0 - 1_500_000);
    assert_eq!(session.go_to(Goal::Tick(earlier)).tick, earlier, "{:?}", session.complaints);
    session.go_to(Goal::Present);
    prlimit(machine, Resource::Nofile, all).unwrap();
    session.run_to(5_000_000);
    let after = session.checkpoints();
    assert!(after.0 > during, "{before} checkpoints, {during} while no copy could be made, then {after:?}");
}

fn scripted(config: &mut MachineConfig) {
    let script = "expect \"minik# \"\nsend \"stress 20\\n\"\nexpect \"minik# \"\nwait 10s\n";
    config.script = Some(script.to_owned());
    config.until.push(Condition::Script);
}

#[test]
fn a_debugger_that_vanishes_on_its_way_back_or_in_the_past_leaves_the_run_in_the_present() {
    let files = Files::write(KERNEL_7_0).unwrap();
    let mut alone = config(&files);
    scripted(&mut alone);
    alone.attach = false;
    let mut alone = Live::over(process(alone));
    let end = loop {
        let notices = alone.notices(PATIENCE).unwrap();
        let end = notices.into_iter().find_map(|notice| match notice {
            Notice::Ended(outcome, totals) => Some((*outcome, *totals)),
            _ => None,
        });
        if let Some(end) = end {
            break end;
        }
    };
    let mut session = Session::start(spaced(u64::MAX), scripted);
    let leave = |session: &mut Session, here: &Stop| {
        session.machine.set_attached(false).unwrap();
        let stop = session.stop();
        assert_eq!((stop.tick, stop.time), (here.tick, here.time));
        assert!(!session.machine.run().in_the_past());
        session.machine.set_attached(true).unwrap();
    };
    // On the way back; in the past; and while the past runs forwards.
    let here = session.run_to(500_000);
    session.machine.resume(&BACK).unwrap();
    leave(&mut session, &here);
    let here = session.run_to(600_000);
    session.go_to(Goal::Tick(Tick(300_000)));
    leave(&mut session, &here);
    let here = session.run_to(700_000);
    session.go_to(Goal::Tick(Tick(300_000)));
    session.machine.resume(&Resume::go()).unwrap();
    leave(&mut session, &here);
    assert_eq!(session.complaints, Vec::<String>::new());
    session.machine.set_attached(false).unwrap();
    assert!(matches!(session.machine.status(), Status::Stopped(_)));
    session.machine.resume(&Resume::go()).unwrap();
    assert_eq!(session.next(), None);
    assert_eq!(session.end, Some(end));
}

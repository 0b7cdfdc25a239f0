//! Copies of a machine process are given what came from outside to the original, and then they are the same.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use wkdb::machine::{Cache, JournalConfig, MachineConfig, Pace, Place};
use wkdb::process::MachineProcess;
use wkdb::recording::Replayable;
use wkdb::recording::replayable::Named;
use wkdb::session::Live;
use wkdb_debugger::inferior::{Inferior, Notice, Resume, Status, Stop, StopReason, TaskInfo};
use wkdb_debugger::timeline::Branch;
use wkdb_tracer::{Outcome, Tick};

use super::{PATIENCE, Session};

fn stop(live: &mut Live) -> Stop {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no stop");
        for notice in live.notices(Duration::from_millis(100)).unwrap() {
            match notice {
                Notice::Stopped(stop) => return *stop,
                Notice::Ended(outcome, _) => panic!("{outcome:?}"),
                _ => {}
            }
        }
    }
}

/// Lets a copy come to where the original is.
fn catch_up(copy: &mut Live, place: Place) {
    copy.catch_up(Some(place)).unwrap();
    copy.resume(&Resume::go()).unwrap();
    assert_eq!(stop(copy).reason, StopReason::Interrupt);
}

/// All of the guest's memory, its tasks, and the machine's place.
fn state(live: &mut Live) -> (Vec<u8>, Vec<TaskInfo>, Place) {
    let memory = live.read_memory(0, 1 << 32).unwrap();
    (memory, live.tasks().unwrap(), live.place().unwrap().0)
}

/// Runs until the console has printed `text` behind what it had printed.
fn until(session: &mut Session, text: &str) {
    session.console.clear();
    session.live.resume(&Resume::go()).unwrap();
    session.expect(text);
    session.live.interrupt().unwrap();
    assert_eq!(session.stop().reason, StopReason::Interrupt);
}

#[test]
fn a_copy_that_is_given_what_was_typed_since_comes_to_the_same_state() {
    let mut session = Session::start(|c| {
        c.pace = Pace::Real;
        c.journal = Some(JournalConfig::record());
    });
    let mut first = session.live.fork().unwrap();
    until(&mut session, "minik# ");
    let mut second = session.live.fork().unwrap();
    // Typed while it is stopped, and while it runs.
    session.live.type_in(b"echo one; crash div0\r").unwrap();
    let mut third = session.live.fork().unwrap();
    until(&mut session, "minik# ");
    let mut between = session.live.fork().unwrap();
    session.live.resume(&Resume::go()).unwrap();
    session.live.type_in(b"ps").unwrap();
    std::thread::sleep(Duration::from_millis(30));
    session.live.type_in(b" | wc\recho th").unwrap();
    session.live.interrupt().unwrap();
    session.stop();
    session.live.type_in(b"ree\r").unwrap();
    until(&mut session, "three");
    session.live.set_attached(true).unwrap();
    let there = state(&mut session.live);
    for (name, copy) in
        [("first", &mut first), ("second", &mut second), ("third", &mut third), ("fourth", &mut between)]
    {
        catch_up(copy, there.2);
        assert!(state(copy) == there, "the {name} copy is another machine than the original");
    }
    // A copy of a copy takes part in what comes later.
    let mut grandchild = second.fork().unwrap();
    session.live.type_in(b"uptime\r").unwrap();
    until(&mut session, "minik# ");
    let later = state(&mut session.live);
    assert!(later != there);
    catch_up(&mut grandchild, later.2);
    assert!(state(&mut grandchild) == later);
}

#[test]
fn a_copy_that_was_given_nothing_is_another_machine() {
    // What the test above compares does depend on what was typed.
    let mut session = Session::start(|c| c.journal = Some(JournalConfig::record()));
    session.live.resume(&Resume { until_tick: Some(Tick(600_000)), ..Resume::go() }).unwrap();
    session.stop();
    let mut copy = session.live.fork().unwrap();
    session.live.type_in(b"echo something\r").unwrap();
    let mut states = Vec::new();
    for live in [&mut session.live, &mut copy] {
        live.resume(&Resume { until_tick: Some(Tick(900_000)), ..Resume::go() }).unwrap();
        assert_eq!(stop(live).reason, StopReason::Tick);
        states.push(live.read_memory(0, 1 << 32).unwrap());
    }
    assert!(states[0] != states[1]);
}

fn replay(path: &Path) -> (Live, Replayable) {
    let recording = Replayable::open(path, &Named::default()).unwrap();
    let mut config: MachineConfig = recording.config().unwrap();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
    config.cache = Some(Cache { directory, limit: wkdb::code_cache::store::DEFAULT_LIMIT });
    config.attach = true;
    let process = MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config).unwrap();
    let mut live = Live::of_recording(process);
    assert_eq!(stop(&mut live).reason, StopReason::Start);
    (live, recording)
}

/// Runs to the end: how it ends, and the machine's state there.
fn end(live: &mut Live) -> (Outcome, Vec<u8>) {
    loop {
        live.resume(&Resume::go()).unwrap();
        if let StopReason::End(outcome) = stop(live).reason {
            assert!(matches!(live.status(), Status::Stopped(_)));
            return (*outcome, live.read_memory(0, 1 << 32).unwrap());
        }
    }
}

#[test]
fn copies_of_the_replay_of_a_recording_each_read_on_in_it_by_themselves() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/minik.wkr");
    let (mut live, _recording) = replay(&path);
    let mut origin = live.fork().unwrap();
    live.resume(&Resume { until_tick: Some(Tick(500_000)), ..Resume::go() }).unwrap();
    stop(&mut live);
    let mut middle = live.fork().unwrap();
    let there = end(&mut live);
    assert!(end(&mut origin) == there);
    assert!(end(&mut middle) == there);
}

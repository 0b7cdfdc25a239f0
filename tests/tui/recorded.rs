//! States of real machines, kept for the tests of screens in `debugger/src/tui/tests`. `BLESS=1` keeps them anew; without
//! it, a real machine has to come to the same states.

use std::path::PathBuf;

use wkdb_debugger::tui::sample::{Doing, Sample};
use wkdb_debugger::tui::{Effect, FromSession};

use super::machine::{Session, machine};

/// Samples of a machine that ran which are kept.
const RUNNING: usize = 64;

/// What a screen needs to be as it was: the last samples, and the last before each stop; all of the rest.
fn thinned(told: Vec<FromSession>) -> Vec<FromSession> {
    let len = told.len();
    let mut seen = 0;
    let mut kept: Vec<FromSession> = Vec::new();
    for (n, told) in told.into_iter().enumerate().rev() {
        let keep = match &told {
            FromSession::Sample(sample) => {
                seen += 1;
                let stopped = sample.doing != Doing::Running;
                let enough = if stopped { 3 } else { RUNNING };
                n + 1 == len || seen <= enough
            }
            FromSession::Stopped(_) => {
                seen = 0;
                true
            }
            _ => true,
        };
        if keep {
            kept.push(told);
        }
    }
    kept.reverse();
    kept
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("debugger/src/tui/tests/recorded/{name}.json.zst"))
}

/// The last sample that was kept.
pub(crate) fn kept_last(name: &str) -> Sample {
    let kept = std::fs::read(path(name)).unwrap();
    let kept: Vec<FromSession> = serde_json::from_slice(&zstd::decode_all(&kept[..]).unwrap()).unwrap();
    last(&kept).clone()
}

/// The last sample.
fn last(told: &[FromSession]) -> &Sample {
    let sample = told.iter().rev().find_map(|told| match told {
        FromSession::Sample(sample) => Some(sample.as_ref()),
        _ => None,
    });
    sample.expect("there is one")
}

/// Keeps what was told; or compares it with what was kept, by its last sample.
fn kept(name: &str, told: Vec<FromSession>) {
    let told = thinned(told);
    let path = path(name);
    if std::env::var_os("BLESS").is_some() {
        let json = serde_json::to_vec(&told).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, zstd::encode_all(&json[..], 19).unwrap()).unwrap();
        return;
    }
    let before = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}: BLESS=1", path.display()));
    let before: Vec<FromSession> = serde_json::from_slice(&zstd::decode_all(&before[..]).unwrap()).unwrap();
    let (before, now) = (last(&before), last(&told));
    assert_eq!(now.cpus.len(), before.cpus.len(), "{name}");
    if now.doing != Doing::Running {
        assert_eq!((now.tick, now.time), (before.tick, before.time), "{name}: BLESS=1 if this is another run now");
        assert_eq!(now.stack, before.stack, "{name}");
        assert_eq!(now.variables, before.variables, "{name}");
        assert_eq!(now.memory.bytes, before.memory.bytes, "{name}");
    }
}

#[test]
fn a_stop_at_the_store_of_a_planted_bug() {
    let mut session = Session::new(machine(Some("stray-write"), "nr_cpus=4", None));
    session.stop();
    session.want_all("first_worker");
    session.command("watch first_worker.pool if (int)first_worker.pool == -1");
    session.command("tbreak evdev_stop_autorepeat");
    session.command("continue");
    assert!(session.stop().contains("evdev_stop_autorepeat"));
    session.sample(|sample| sample.doing == Doing::Stopped && !sample.memory.bytes.is_empty());
    session.command("continue");
    assert!(session.stop().contains("evdev.c:25"));
    let sample = session.sample(|sample| sample.doing == Doing::Stopped && sample.timers.is_some());
    assert!(sample.history.is_some_and(|history| !history.in_the_past));
    kept("watch-hit", std::mem::take(&mut session.kept));
    session.end();
}

#[test]
fn sixty_four_cpus_at_work() {
    let mut session = Session::new(machine(None, "nr_cpus=64 tasks=300 stress=64", None));
    session.stop();
    session.want_all("&jiffies_64");
    session.command("continue");
    for _ in 0..RUNNING {
        session.sample(|sample| sample.doing == Doing::Running && sample.cpus.len() == 64);
    }
    kept("running", std::mem::take(&mut session.kept));
    session.end();
}

#[test]
fn a_crash_and_a_moment_before_it() {
    let mut session = Session::new(machine(Some("fdtable"), "nr_cpus=2", None));
    session.stop();
    session.want_all("");
    session.command("continue");
    let stop = session.stop();
    assert!(stop.contains("panic") || stop.contains("Trap"), "{stop}");
    let crash = session.sample(|sample| sample.doing == Doing::Stopped);
    kept("crash", session.kept.clone());
    session.ask(Effect::Explain);
    session.until(|told| matches!(told, FromSession::Explained { at: Some(_), .. }));
    let explained = session.kept.clone();
    session.sample(|sample| sample.doing == Doing::Stopped);
    kept("explained", explained);
    session.command(&format!("goto {}", crash.tick.0 / 2));
    session.stop();
    let past = session.sample(|sample| sample.history.as_ref().is_some_and(|history| history.in_the_past));
    assert!(past.tick < crash.tick);
    kept("past", std::mem::take(&mut session.kept));
    session.end();
}

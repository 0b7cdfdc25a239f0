//! A live run behind a session: in fast code until somebody stops it, with all of its past then, and fast again.

use wkdb::machine::{DetectConfig, JournalConfig};
use wkdb_debugger::tui::sample::{Code, CpuRow, Doing, EventKind, Sample};
use wkdb_debugger::tui::{Effect, FromSession};

use super::machine::{Session, shown, shown_with};
use super::recorded::kept_last;

fn runs_in(sample: &Sample, code: Code) -> bool {
    sample.doing == Doing::Running && sample.code == code
}

#[test]
fn a_run_that_is_shown_is_fast_until_it_is_stopped_and_fast_again_when_nothing_is_set() {
    let mut session = Session::new(shown(None, "nr_cpus=4", Some("expect \"minik# \"\n")));
    session.want_all("&jiffies_64");
    // Functions, tasks and the kernel's own structures are known of fast code too, and the past that there will be.
    let runs = session.sample(|sample| {
        let known = |cpu: &&CpuRow| {
            let pid = cpu.task.as_ref().is_some_and(|task| task.pid.is_some());
            cpu.kernel.is_some() && cpu.function.is_some() && cpu.ticks > 0 && pid
        };
        runs_in(sample, Code::Fast) && sample.cpus.iter().filter(known).count() > 1 && sample.timers.is_some()
    });
    assert!(runs.ns_per_tick > 0);
    assert!(runs.history.is_some_and(|history| !history.in_the_past && history.present == runs.tick));

    session.ask(Effect::Interrupt);
    assert!(session.stop().starts_with("Interrupted"));
    let stopped = session.sample(|sample| sample.doing == Doing::Stopped);
    assert_eq!(stopped.code, Code::Debug);
    assert!(stopped.tick >= runs.tick);
    session.command("goto 100000");
    session.stop();
    session.sample(|sample| sample.history.as_ref().is_some_and(|history| history.in_the_past));
    session.command("goto end");
    session.stop();
    session.command("continue");
    session.sample(|sample| runs_in(sample, Code::Fast) && sample.tick > stopped.tick);

    // A breakpoint is set while it runs: it is stopped for that, which is nobody's business, and goes on.
    session.command("break tick_do_update_jiffies64");
    let mut told = Vec::new();
    session.until(|said| {
        if let FromSession::Stopped(text) = said {
            told.extend(text.headline());
        }
        !told.is_empty()
    });
    assert!(told[0].starts_with("Breakpoint 1"), "{told:?}");
    // Where something is set it stays in code in which it can be met.
    session.command("continue");
    session.stop();
    let again = session.sample(|sample| sample.doing == Doing::Stopped && sample.points[0].hits == 2);
    assert_eq!(again.code, Code::Debug);
    session.command("delete");
    session.command("continue");
    session.sample(|sample| runs_in(sample, Code::Fast) && sample.tick > again.tick);

    // Back in time from a run that runs: it is stopped for that.
    session.command("goto 200000");
    let past = session.sample(|sample| sample.tick.0 == 200_000 && sample.doing == Doing::Stopped);
    assert!(past.history.is_some_and(|history| history.in_the_past && history.present > again.tick));
    assert!(session.end().gone.is_none());
}

#[test]
fn a_trap_in_fast_code_is_looked_at_in_code_for_debugging_with_its_past() {
    let mut session = Session::new(shown(Some("stray-write"), "nr_cpus=4", None));
    session.want_all("first_worker");
    let stop = session.stop();
    assert!(stop.starts_with("Trap"), "{stop}");
    let trap = session.sample(|sample| sample.doing == Doing::Stopped && !sample.variables.is_empty());
    assert_eq!(trap.code, Code::Debug);
    assert!(trap.stack.frames[0].function.contains("lock"), "{:?}", trap.stack);
    session.ask(Effect::Explain);
    session.until(|told| match told {
        FromSession::Explained { text, at } => {
            assert!(at.is_some_and(|at| at < trap.tick), "{text:?}");
            assert!(format!("{text:?}").contains("evdev_stop_autorepeat"), "{text:?}");
            true
        }
        _ => false,
    });
    session.command("watch first_worker.pool if (int)first_worker.pool == -1");
    session.command("reverse-continue");
    assert!(session.stop().contains("evdev.c:25"));
    session.command("delete");
    session.command("goto end");
    session.stop();
    let back = session.sample(|sample| sample.doing == Doing::Stopped && sample.tick == trap.tick);
    assert_eq!(back.stack, trap.stack);
    // What the kernel makes of it is told once, and ends the run, whichever machine leads.
    session.command("continue");
    let stop = session.stop();
    assert!(stop.contains("panic"), "{stop}");
    let crash = |told: &FromSession| match told {
        FromSession::Events { rows, .. } => rows.iter().filter(|row| row.text.contains("unaligned atomic")).count(),
        _ => 0,
    };
    assert_eq!(session.kept.iter().map(crash).sum::<usize>(), 1);
    session.end();
}

#[test]
fn a_run_stops_where_the_same_run_stops_that_is_compiled_for_debugging_throughout() {
    let mut session = Session::new(shown(Some("fdtable"), "nr_cpus=2", None));
    session.want_all("");
    session.stop();
    let stopped = session.sample(|sample| sample.doing == Doing::Stopped);
    let before = kept_last("crash");
    assert_eq!((stopped.tick, stopped.time), (before.tick, before.time));
    assert_eq!((stopped.stack.frames, stopped.variables), (before.stack.frames, before.variables));
    session.end();
}

/// As `wkdb demo --tui` has it: with the detectors that are on by default.
fn detecting(bug: &str) -> Session {
    Session::new(shown_with(Some(bug), "nr_cpus=4", None, |config| config.detect = DetectConfig::defaults()))
}

/// How often a text was told among the events of a kind.
fn told(session: &Session, kind: EventKind, text: &str) -> usize {
    let count = |told: &FromSession| match told {
        FromSession::Events { rows, .. } => {
            rows.iter().filter(|row| row.kind == kind && row.text.contains(text)).count()
        }
        _ => 0,
    };
    session.kept.iter().map(count).sum()
}

#[test]
fn what_a_detector_finds_in_fast_code_is_shown_at_once_with_the_past_of_the_run() {
    let mut session = detecting("stray-write");
    session.want_all("first_worker");
    let stop = session.stop();
    assert!(stop.starts_with("workqueues: the pool of the worker"), "{stop}");
    let found = session.sample(|sample| sample.doing == Doing::Stopped && !sample.memory.fields.is_empty());
    assert_eq!(found.code, Code::Debug);
    let pool = found.memory.fields.iter().find(|field| field.name == "pool").expect("it is a member");
    assert_eq!((pool.value.as_str(), pool.expression.as_str()), ("0xffffffff", "first_worker.pool"));
    let task = found.memory.fields.iter().find(|field| field.name == "task").expect("it is a member");
    assert!(task.value.ends_with(" kworker/0:0>"), "{task:?}");
    // Who did it, by one key; and step by step.
    session.ask(Effect::Explain);
    session.until(|told| match told {
        FromSession::Explained { text, at } => {
            assert!(at.is_some_and(|at| at < found.tick), "{text:?}");
            assert!(format!("{text:?}").contains("evdev_stop_autorepeat"), "{text:?}");
            true
        }
        _ => false,
    });
    session.command("watch first_worker.pool");
    session.command("reverse-continue");
    assert!(session.stop().contains("evdev.c:25"));
    session.command("delete");
    session.command("goto end");
    session.stop();
    // It goes on as one that nobody has looked at: to the trap, and what was found is not found again.
    session.command("continue");
    let stop = session.stop();
    assert!(stop.starts_with("Trap"), "{stop}");
    let trap = session.sample(|sample| sample.doing == Doing::Stopped);
    assert!(trap.tick > found.tick);
    session.command("continue");
    assert!(session.stop().contains("panic"));
    assert_eq!(told(&session, EventKind::Problem, "the pool of the worker"), 1);
    session.end();
}

#[test]
fn a_stop_says_how_far_the_run_in_code_for_debugging_is() {
    /// As much work as takes a while to be run again.
    const WORK: u64 = 200_000_000;
    let script = "expect \"minik# \"\nsend \"stress 8 1000000\\n\"\n";
    let journal = |config: &mut wkdb::machine::MachineConfig| config.journal = Some(JournalConfig::record());
    let mut session = Session::new(shown_with(None, "nr_cpus=4", Some(script), journal));
    session.want_all("");
    let before = session.sample(|sample| runs_in(sample, Code::Fast) && sample.tick.0 > WORK);
    session.ask(Effect::Interrupt);
    let mut seen: Vec<u8> = Vec::new();
    session.until(|told| match told {
        FromSession::Sample(sample) => {
            if let Code::Changing(percent) = sample.code {
                assert_eq!(sample.doing, Doing::Running, "it has not stopped yet");
                seen.push(percent);
            }
            false
        }
        FromSession::Stopped(text) => {
            assert_eq!(text.headline().as_deref(), Some("Interrupted."));
            true
        }
        _ => false,
    });
    assert!(seen.is_sorted(), "{seen:?}");
    seen.dedup();
    assert!(seen.len() > 3 && seen.iter().all(|percent| *percent <= 100), "{seen:?}");
    let stopped = session.sample(|sample| sample.doing == Doing::Stopped);
    assert_eq!(stopped.code, Code::Debug);
    assert!(stopped.tick >= before.tick);
    session.end();
}

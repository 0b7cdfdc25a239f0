//! Storms of system calls, on many seeds; and the same seed twice.

use wkdb::machine::Policy;
use wkdb::machine::engine::{EngineOptions, OptLevelChoice};

use crate::run::{Run, run, typed};

const KINDS: [&str; 7] = ["exec", "clone", "pipe", "signal", "thread", "file", "timer"];

fn storm(cpus: u32, seed: u64, policy: Policy) -> Run {
    let script = typed(&["stress all 60", "repeat 10 seq 20 | cat | wc", "stress all 60 & stress all 60; wait"]);
    run(&format!("nr_cpus={cpus}"), &script, |config| (config.seed, config.policy) = (seed, policy))
}

fn assert_complete(run: &Run, what: &str) {
    let session = run.session();
    for kind in KINDS {
        let line = format!("stress: {kind} 60 of 60\n");
        assert_eq!(session.matches(&line).count(), 3, "{what}: {kind}: {session}");
    }
    assert_eq!(session.matches("20 20 51\n").count(), 10, "{what}: {session}");
}

#[test]
fn fifty_seeds_lose_nothing() {
    for seed in 0..50 {
        let (cpus, policy) = match seed % 10 {
            0..6 => (4, Policy::Fair),
            6..9 => (6, Policy::Random),
            _ => (4, Policy::Pct),
        };
        assert_complete(&storm(cpus, seed, policy), &format!("seed {seed}, {policy:?}, {cpus} CPUs"));
    }
}

#[test]
fn a_seed_is_a_run() {
    let first = storm(4, 7, Policy::Fair);
    for _ in 0..4 {
        let again = storm(4, 7, Policy::Fair);
        assert_eq!(first.totals, again.totals);
        assert_eq!(first.console, again.console);
    }
    assert_ne!(first.totals.memory_hash, storm(4, 8, Policy::Fair).totals.memory_hash);
}

#[test]
fn code_for_a_debugger_runs_the_same() {
    let script = typed(&["stress clone 20; ps"]);
    let plain = run("nr_cpus=4", &script, |_| {});
    for stores in [false, true] {
        let debugged = run("nr_cpus=4", &script, |c| {
            c.engine = EngineOptions { opt_level: OptLevelChoice::None, debug: true };
            c.store_checks = stores;
        });
        assert_eq!((&debugged.totals, &debugged.console), (&plain.totals, &plain.console), "store checks: {stores}");
    }
}

#[test]
fn sixty_four_cpus_and_hundreds_of_tasks() {
    let run = run("nr_cpus=64", &typed(&["stress clone 200; stress exec 50"]), |_| {});
    assert!(run.session().contains("stress: clone 200 of 200\nstress: exec 50 of 50\n"), "{}", run.console);
    assert_eq!(run.totals.cpus, 64);
    assert!(run.totals.tasks > 500, "{}", run.totals.tasks);
}

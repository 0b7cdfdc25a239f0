//! Storms of system calls, on many seeds; and the same seed twice.

use wkdb::machine::Policy;
use wkdb::machine::engine::{EngineOptions, OptLevelChoice};

use crate::run::{Run, run, typed};

const KINDS: [&str; 8] = ["exec", "clone", "pipe", "signal", "thread", "file", "timer", "crowd"];

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

/// The kernel counts them, and so does the host; they end well, too.
#[test]
fn hundreds_of_tasks_are_alive_at_once_on_sixty_four_cpus() {
    let alive = |run: &Run| -> u32 {
        let line = run.session().split(" tasks alive").next().unwrap_or_default();
        line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default()
    };
    let script = "expect \"\\n# \"\nsend \"stress crowd 500\\n\"\nexpect \"tasks alive\"\n";
    let at_once = run("nr_cpus=64", script, |_| {});
    assert!(at_once.totals.cpus == 64 && at_once.totals.tasks_alive >= 900, "{:?}", at_once.totals);
    assert!(alive(&at_once) >= 850, "{}", at_once.console);
    // A second or two on any machine: CPUs that wait for each other take a hundred times as many.
    assert!(at_once.totals.ticks.0 < 200_000_000, "{:?}", at_once.totals);
    let to_the_end = run("nr_cpus=64", &typed(&["stress crowd 500; stress clone 200; stress exec 50"]), |_| {});
    let all = "stress: crowd 500 of 500\nstress: clone 200 of 200\nstress: exec 50 of 50\n";
    assert!(to_the_end.session().contains(all), "{}", to_the_end.console);
    assert!(to_the_end.totals.ticks.0 < 400_000_000, "{:?}", to_the_end.totals);
}

#[test]
fn eighty_pipelines_of_three_commands_lose_no_line() {
    let eight = ["echo a b c | cat | cat"; 8].join("; ");
    let run = run("nr_cpus=4", &typed(&[eight.as_str(); 10]), |_| {});
    let lines = run.session().lines().filter(|line| *line == "a b c").count();
    assert_eq!(lines, 80, "{}", run.console);
}

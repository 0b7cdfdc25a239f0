//! The same seed is the same run, whatever is compiled in to observe it; another seed is another.

use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{MachineConfig, Policy, WatchRange};
use wkdb_tracer::Totals;

use crate::run::{Era, Run, assert_script_done, run};

/// Work on several CPUs: pipes, clones, threads, a user trap, and some idle time.
const SCRIPT: &str = "expect \"minik# \"
send \"stress 2\\n\"
expect \"ok\"
expect \"minik# \"
send \"ps | wc\\n\"
expect \"minik# \"
send \"crash div0\\n\"
expect \"Illegal instruction\"
expect \"minik# \"
wait 20s
send \"random\\n\"
expect \"minik# \"
";

fn stress(change: impl FnOnce(&mut MachineConfig)) -> Run {
    let run = run(Era::Linux7_0, "nr_cpus=8", SCRIPT, change);
    assert_script_done(&run);
    run
}

fn totals(change: impl FnOnce(&mut MachineConfig)) -> Totals {
    stress(change).totals
}

#[test]
fn twenty_runs_are_one() {
    let first = stress(|_| {});
    for _ in 1..20 {
        let again = stress(|_| {});
        assert_eq!(first.totals, again.totals);
        assert_eq!(first.console, again.console);
        assert_eq!(first.events, again.events);
    }
}

#[test]
fn what_only_observes_changes_nothing() {
    for policy in [Policy::Fair, Policy::Random, Policy::Pct] {
        let plain = totals(|c| c.policy = policy);
        let checked = totals(|c| (c.policy, c.store_checks) = (policy, true));
        let slow_code = totals(|c| {
            c.policy = policy;
            c.engine = EngineOptions { opt_level: OptLevelChoice::None, ..EngineOptions::default() };
        });
        let watched = stress(|c| {
            c.policy = policy;
            c.watch = vec![WatchRange { address: 0x11000, len: 0x400 }];
        });
        for stores in [false, true] {
            let debugged = totals(|c| {
                (c.policy, c.store_checks) = (policy, stores);
                c.engine.debug = true;
            });
            assert_eq!(plain, debugged, "{policy:?} for a debugger, store checks: {stores}");
        }
        assert!(watched.events.iter().any(|e| matches!(e, wkdb_tracer::Event::Watch(_))), "nothing was watched");
        let read = totals(|c| (c.policy, c.load_checks) = (policy, true));
        assert_eq!(plain, read, "{policy:?} with checks of loads");
        assert_eq!(plain, checked, "{policy:?} with store checks");
        assert_eq!(plain, slow_code, "{policy:?} without optimisation");
        assert_eq!(plain, watched.totals, "{policy:?} with a watch");
    }
}

#[test]
fn another_seed_is_another_run() {
    let runs: Vec<_> = (0..8).map(|seed| totals(|c| c.seed = seed)).collect();
    for (i, a) in runs.iter().enumerate() {
        for b in &runs[..i] {
            assert_ne!(a.schedule_hash, b.schedule_hash, "seeds {} and {}", a.seed, b.seed);
            assert_ne!(a.memory_hash, b.memory_hash, "seeds {} and {}", a.seed, b.seed);
        }
    }
}

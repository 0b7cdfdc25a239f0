//! Guests in which nothing is wrong: not one finding.

use wkdb::machine::{DetectConfig, Policy};
use wkdb_tracer::{Detector, Outcome};

use crate::run::{Run, linux, minik, typed};

fn assert_clean(run: &Run, what: &str) {
    assert_eq!(run.findings, [], "{what}: {}", run.console);
    assert_eq!(run.outcome, Outcome::Until("script".into()), "{what}: {}", run.console);
}

fn policy(seed: u64) -> Policy {
    [Policy::Fair, Policy::Random, Policy::Pct, Policy::Starve][seed as usize % 4]
}

#[test]
fn fifty_runs_of_minik_under_stress_have_no_finding() {
    let script = typed("minik# ", &["stress 4", "ps | wc", "crash div0", "sleep 20", "stress 2"]);
    for seed in 0..50 {
        let run = minik("nr_cpus=8", &script, |config| (config.seed, config.policy) = (seed, policy(seed)));
        assert_clean(&run, &format!("seed {seed}"));
    }
}

/// With the detectors that a run has unless it is told otherwise.
#[test]
fn fifty_runs_of_linux_under_stress_have_no_finding() {
    let script =
        typed("\\n# ", &["stress all 60", "repeat 10 seq 20 | cat | wc", "stress all 60 & stress all 60; wait"]);
    for seed in 0..50 {
        let run = linux("nr_cpus=4", &script, |config| {
            (config.seed, config.policy) = (seed, policy(seed));
            config.detect = DetectConfig::defaults();
        });
        assert_clean(&run, &format!("seed {seed}"));
    }
}

/// With all detectors: those that look at every store, too.
#[test]
fn twenty_runs_of_linux_under_stress_have_no_finding_of_any_detector() {
    let script = typed("\\n# ", &["stress all 60", "stress all 60 & stress all 60; wait"]);
    for seed in 0..20 {
        let run = linux("nr_cpus=4", &script, |config| {
            (config.seed, config.policy) = (seed, policy(seed));
            config.detect = DetectConfig::of(Detector::ALL);
        });
        assert_clean(&run, &format!("seed {seed}"));
    }
}

#[test]
fn sixty_four_cpus_have_no_finding() {
    let script = typed("minik# ", &["stress 40", "sleep 30", "ps | wc"]);
    assert_clean(&minik("nr_cpus=64 tasks=400 quiet", &script, |_| {}), "minik");
    assert_clean(&linux("nr_cpus=64", &typed("\\n# ", &["stress crowd 200; stress clone 50"]), |_| {}), "linux");
}

#[test]
fn an_hour_in_which_nobody_does_anything_has_no_finding() {
    assert_clean(&minik("", "expect \"minik# \"\nwait 3600s\nsend \"ps\\n\"\nexpect \"minik# \"\n", |_| {}), "minik");
    assert_clean(
        &minik("nohz", "expect \"minik# \"\nwait 3600s\nsend \"ps\\n\"\nexpect \"minik# \"\n", |_| {}),
        "nohz",
    );
    assert_clean(
        &linux("nr_cpus=4", "expect \"\\n# \"\nwait 3600s\nsend \"ps\\n\"\nexpect \"\\n# \"\n", |_| {}),
        "linux",
    );
}

/// Whoever looks changes nothing.
#[test]
fn the_run_is_the_same_with_and_without_detectors() {
    let script = typed("\\n# ", &["stress all 20", "sleep 10", "ps"]);
    let (with, without) =
        (linux("nr_cpus=4", &script, |_| {}), linux("nr_cpus=4", &script, |config| config.detect = Default::default()));
    assert_eq!((with.totals, with.console), (without.totals, without.console));
}

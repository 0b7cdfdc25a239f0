//! Linux's planted bugs: each is found by the detector that it is for.

use wkdb::machine::MachineConfig;
use wkdb_tracer::Detector;

use crate::run::{Run, found_after, linux, seconds, text};

fn planted(bug: &str, script: &str, seed: u64) -> Run {
    planted_with(bug, script, seed, &|_| ())
}

fn planted_with(bug: &str, script: &str, seed: u64, change: &dyn Fn(&mut MachineConfig)) -> Run {
    linux(&format!("nr_cpus=4 wkdbbug={bug}"), script, |config| {
        config.seed = seed;
        config.expect_timeout_ns = 60_000_000_000;
        change(config);
    })
}

const WAIT: &str = "expect \"\\n# \"\nwait 8s\n";

#[test]
fn a_timer_wheel_that_stands_still_is_told_within_a_second() {
    let run = planted("timer-stall", WAIT, 0);
    let timers = run.by(Detector::Timers);
    assert!(!timers.is_empty() && timers.len() == run.findings.len(), "{:#?}", run.findings);
    let said = text(timers[0]);
    assert!(said.contains("timer wheel stands still: its clock is "), "{said}");
    assert!(said.contains("timer_bases[") && said.contains("].clk is at 0x"), "{said}");
    for seed in 0..5 {
        let after = found_after(|change| planted_with("timer-stall", WAIT, seed, change));
        assert!((0.0..=1.0).contains(&after), "seed {seed}: {after} s");
    }
}

#[test]
fn workers_whose_pool_is_overwritten_are_told_before_anybody_uses_it() {
    for bug in ["stray-write", "wq-corrupt"] {
        let run = planted(bug, WAIT, 0);
        let finding = run.only(Detector::Workqueues);
        let said = text(finding);
        assert!(said.contains("the pool of the worker ") && said.contains(" is 0xffffffff, "), "{bug}: {said}");
    }
}

#[test]
fn a_callback_that_is_overwritten_is_told() {
    let run = planted("rcu", WAIT, 0);
    let said: String = run.findings.iter().map(text).collect();
    let by_rcu = run.by(Detector::Rcu);
    // It waits for its grace period for some hundredths of a second: it may be called before anybody looks.
    assert_eq!(by_rcu.len(), run.findings.len(), "{said}");
    assert!(by_rcu.is_empty() || said.contains("0x6b6b6b6b"), "{said}");
}

#[test]
fn a_wakeup_that_is_lost_is_told_on_the_seeds_that_lose_it() {
    let mut shown = 0;
    for seed in 0..10 {
        let run = planted("lost-wakeup", "expect \"\\n# \"\nwait 260s\n", seed);
        if !run.console.contains("INFO: task ring_consumer/0:") {
            // On some of them it is lost too late for the kernel to say so by then.
            let said: String = run.findings.iter().map(text).collect();
            assert!(run.findings.is_empty() || said.contains("ring_consumer/0"), "seed {seed}: {said}");
            continue;
        }
        shown += 1;
        let said = text(run.only(Detector::Lockup));
        assert!(
            said.contains("ring_consumer/0/") && said.contains("sleeps in ring_consumer, and nothing will"),
            "{said}"
        );
        assert!(said.contains("ring.consumer points to it"), "{said}");
    }
    assert_eq!(shown, 7, "tests/linux/bugs.rs says on which seeds it shows");
}

#[test]
fn two_mutexes_in_both_orders_are_told_with_who_holds_and_who_waits() {
    let mut shown = 0;
    for seed in 0..10 {
        let run = planted("deadlock", "expect \"\\n# \"\nwait 260s\n", seed);
        if !run.console.contains("INFO: task netdev_up/0:") {
            let said: String = run.findings.iter().map(text).collect();
            assert!(run.findings.is_empty() || said.contains("netdev_up/0"), "seed {seed}: {said}");
            continue;
        }
        shown += 1;
        let finding = run.only(Detector::Lockup);
        let said = text(finding);
        for part in [
            "for address_lock, a struct mutex, which netdev_addr/",
            "for netdev_lock, a struct mutex, which netdev_up/0",
        ] {
            assert!(said.contains(part), "seed {seed}: {said}");
        }
        assert!(seconds(finding) < 140.0, "seed {seed}: {}", seconds(finding));
    }
    assert_eq!(shown, 3, "tests/linux/bugs.rs says on which seeds it shows");
}

//! minik's planted bugs: each is found by the detector that it is for; races on every seed that shows them.

use wkdb::demo::scene;
use wkdb::machine::MachineConfig;
use wkdb_tracer::{Detector, Outcome};

use crate::run::{Run, found_after, minik, seconds, text};

fn struck(bug: &str, seed: u64) -> Run {
    struck_with(bug, seed, &|_| ())
}

fn struck_with(bug: &str, seed: u64, change: &dyn Fn(&mut MachineConfig)) -> Run {
    let scene = scene(bug).unwrap();
    minik(&format!("bug={bug}"), scene.script, |config| {
        config.seed = seed;
        config.max_time = Some(wkdb_tracer::GuestTime(scene.seconds * 1_000_000_000));
        change(config);
    })
}

const SEEDS: std::ops::Range<u64> = 1..21;

#[test]
fn a_timer_wheel_that_stands_still_is_told_within_a_second() {
    let run = struck("timer-stall", 1);
    let finding = run.only(Detector::Timers);
    let said = text(finding);
    assert!(said.contains("cpu0's timer wheel stands still: its clock is "), "{said}");
    assert!(said.contains("cpu0's timer_bases[0].clk is at 0x"), "{said}");
    let jiffies: i64 = said.split("its clock is ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(jiffies > 1_000_000, "{said}");
    for seed in SEEDS {
        let after = found_after(|change| struck_with("timer-stall", seed, change));
        assert!((0.0..=1.0).contains(&after), "seed {seed}: {after} s");
    }
}

#[test]
fn a_wakeup_that_is_lost_is_told_long_before_the_kernel_does_on_every_seed_that_loses_it() {
    let mut shown = 0;
    for seed in SEEDS {
        let run = struck("lost-wakeup", seed);
        if !run.console.contains("INFO: task ring_reader:") {
            assert_eq!(run.findings, [], "seed {seed}: {}", run.console);
            continue;
        }
        shown += 1;
        let finding = run.only(Detector::Lockup);
        let said = text(finding);
        assert!(
            said.contains("ring_reader/") && said.contains("sleeps in ring_wait, and nothing will wake it"),
            "{said}"
        );
        assert!(said.contains("msg_ring.reader points to it"), "{said}");
        assert!(seconds(finding) < 15.0, "seed {seed}: {}", seconds(finding));
    }
    assert!((1..20).contains(&shown), "{shown}");
}

#[test]
fn two_spin_locks_in_both_orders_are_told_on_every_seed_that_deadlocks() {
    let mut shown = 0;
    for seed in SEEDS {
        let run = struck("deadlock", seed);
        if !matches!(run.outcome, Outcome::Spin(_)) {
            assert_eq!(run.findings, [], "seed {seed}: {}", run.console);
            continue;
        }
        shown += 1;
        assert!(!run.findings.is_empty(), "seed {seed}");
        let said: String = run.findings.iter().map(text).collect();
        for part in [
            "_raw_spin_lock < eth_get_stats",
            "_raw_spin_lock < eth_start_xmit",
            "minik_eth0.tx_lock is held by eth0_tx/",
            "minik_eth0.stats_lock is held by eth0_watchdog/",
        ] {
            assert!(said.contains(part), "seed {seed}: {part}: {said}");
        }
        assert!(run.findings.iter().all(|finding| finding.detector == Detector::Lockup), "{said}");
    }
    assert!((1..20).contains(&shown), "{shown}");
}

#[test]
fn two_mutexes_in_both_orders_are_told_with_who_holds_and_who_waits() {
    let run = struck("deadlock-sleep", 1);
    let finding = run.only(Detector::Lockup);
    let said = text(finding);
    assert!(said.contains("deadlock: ") && said.contains("wait for each other's locks"), "{said}");
    assert!(said.contains("khvcd/") && said.contains("a struct mutex, which "), "{said}");
    // The machine itself says so only when the last timer has run, at 305 s.
    assert!(seconds(finding) < 70.0, "{}", seconds(finding));
}

#[test]
fn a_workers_pool_that_is_overwritten_is_told_before_anybody_uses_it() {
    let run = struck("stray-write", 1);
    let finding = run.by(Detector::Workqueues);
    let said = text(finding.first().unwrap_or_else(|| panic!("{:?} {}", run.findings, run.console)));
    assert!(
        said.contains("the pool of the worker kworker/0:0/") && said.contains("is 0xffffffff, not pool 0"),
        "{said}"
    );
    assert!(said.contains("first_worker"), "{said}");
    assert!(run.is_found_before_it_traps(), "{:?}", run.events);
}

#[test]
fn a_work_that_is_freed_while_it_waits_is_told_on_every_seed_that_shows_it() {
    let mut shown = 0;
    for seed in SEEDS {
        let run = struck("wq-corrupt", seed);
        if run.outcome != Outcome::Panic {
            assert_eq!(run.findings, [], "seed {seed}: {}", run.console);
            continue;
        }
        shown += 1;
        let said: String = run.findings.iter().map(text).collect();
        assert!(!run.by(Detector::Workqueues).is_empty(), "seed {seed}: {said} {}", run.console);
        assert!(said.contains("the worklist of pool 0 of cpu0"), "seed {seed}: {said}");
    }
    assert!((1..20).contains(&shown), "{shown}");
}

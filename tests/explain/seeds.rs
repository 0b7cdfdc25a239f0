//! Bugs that depend on timing, on every seed of many on which they show: who planted them is named.

use crate::bugs::{Bug, LINUX, MINIK};
use crate::recorded::Recorded;

/// Looks at all the seeds of a bug; gives how many show it.
fn every_seed(bug: &Bug) -> u64 {
    let mut shown = 0;
    for seed in bug.seeds.clone() {
        let recorded = Recorded::run(bug, seed);
        if !recorded.said.contains(bug.shows) {
            continue;
        }
        shown += 1;
        let said = recorded.explained();
        assert!(bug.is_named(&said), "{}, seed {seed}: none of {:?} is named:\n{said}", bug.name, bug.planted_in);
    }
    shown
}

fn bug<'a>(of: &'a [Bug], name: &str) -> &'a Bug {
    of.iter().find(|bug| bug.name == name).unwrap()
}

#[test]
fn a_corrupt_workqueue_is_explained_on_every_seed() {
    assert!(every_seed(bug(MINIK, "wq-corrupt")) >= 8);
}

#[test]
fn a_callback_queued_twice_is_explained_on_every_seed() {
    assert!(every_seed(bug(MINIK, "rcu")) >= 12);
}

#[test]
fn a_lost_wakeup_is_explained_on_every_seed() {
    assert!(every_seed(bug(MINIK, "lost-wakeup")) >= 12);
}

#[test]
fn spinning_cpus_are_explained_on_every_seed() {
    assert!(every_seed(bug(MINIK, "deadlock")) >= 18);
}

#[test]
fn in_linux_a_lost_wakeup_is_explained_on_every_seed() {
    assert!(every_seed(bug(LINUX, "lost-wakeup")) >= 7);
}

#[test]
fn in_linux_two_mutexes_are_explained_on_every_seed() {
    assert!(every_seed(bug(LINUX, "deadlock")) >= 3);
}

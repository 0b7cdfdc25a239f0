//! Every planted bug, on many seeds on which it shows: it is found, and explained, and who planted it is named.
//!
//! `WKDB_TEST_SEEDS=20` looks at twenty seeds of each; src/demo/README.md and scripts/linux-guest/README.md have what came
//! of that.

use crate::bugs::{Bug, LINUX, MINIK};
use crate::recorded::Recorded;

const SCHEDULES: [&str; 4] = ["fair", "random", "pct", "starve"];

/// Seeds that are gone through for one that shows a race.
const PATIENCE: u64 = 40;

/// How many seeds of each bug are looked at.
fn seeds(unless_told: u64) -> u64 {
    match std::env::var("WKDB_TEST_SEEDS") {
        Ok(count) => count.parse().unwrap_or_else(|_| panic!("WKDB_TEST_SEEDS is a number, not {count}")),
        Err(_) => unless_told,
    }
}

fn assert_named(bug: &Bug, recorded: &Recorded, what: &str) {
    let said = recorded.explained();
    assert!(bug.is_named(&said), "{}, {what}: none of {:?} is named:\n{said}", bug.name, bug.planted_in);
}

/// Goes through seeds until so many have shown the bug, each by a run that nobody looks at. The same run with detectors is
/// found to go wrong then; and both are explained.
fn recall(bug: &Bug, count: u64, options: impl Fn(u64) -> Vec<&'static str>, looked_at: &[&[&str]]) {
    let (mut shown, mut seed) = (0, 0);
    while shown < count {
        assert!(seed < count * PATIENCE, "{}: of {seed} seeds {shown} show it", bug.name);
        let (own, this) = (options(seed), seed);
        let run = |more: &[&str]| Recorded::with(bug, this, &[&own[..], more].concat());
        let plain = run(&["--detect", "none"]);
        let what = format!("seed {seed}, {}", own.join(" "));
        seed += 1;
        if !plain.said.contains(bug.shows) {
            assert!(bug.race, "{}, {what}: it does not show: {}", bug.name, plain.said);
            continue;
        }
        shown += 1;
        assert_named(bug, &plain, &what);
        for detectors in looked_at {
            let what = format!("{what}, {}", detectors.join(" "));
            let looked_at = run(detectors);
            // That something has trapped is seen by everybody.
            let found = looked_at.found();
            let by_detector = found.iter().any(|detector| *detector != "trap");
            let is_told = by_detector || !detectors.contains(&"all") && looked_at.said.contains("wkdb: trap: ");
            assert!(is_told, "{}, {what}: not found: {}", bug.name, looked_at.said);
            assert_named(bug, &looked_at, &what);
        }
    }
}

fn minik(race: bool, era: &'static str) {
    for bug in MINIK.iter().filter(|bug| bug.race == race) {
        let options = |seed: u64| vec!["--era", era, "--sched", SCHEDULES[seed as usize % SCHEDULES.len()]];
        recall(bug, seeds(3), options, &[&["--detect", "default"], &["--detect", "all"]]);
    }
}

#[test]
fn miniks_races_are_found_and_explained_on_every_seed_that_shows_them() {
    minik(true, "7.0");
}

#[test]
fn miniks_races_of_the_older_era_are_found_and_explained_on_every_seed_that_shows_them() {
    minik(true, "6.4");
}

#[test]
fn miniks_other_bugs_show_on_every_seed_and_are_found_and_explained() {
    minik(false, "7.0");
    minik(false, "6.4");
}

/// A task that hangs is found within seconds: what comes after that need not be run.
#[test]
fn the_races_of_linux_are_found_and_explained_on_every_seed_that_shows_them() {
    for bug in LINUX.iter().filter(|bug| bug.race) {
        recall(bug, seeds(3), |_| Vec::new(), &[&["--detect", "default", "--until", "finding"]]);
    }
}

#[test]
fn the_other_bugs_of_linux_show_on_every_seed_and_are_found_and_explained() {
    for bug in LINUX.iter().filter(|bug| !bug.race) {
        recall(bug, seeds(2), |_| Vec::new(), &[&["--detect", "default"]]);
    }
}

/// An object that is freed twice makes the list of free objects lead in a circle, which hands out others twice as well; who
/// frees these twice is right to.
#[test]
fn what_was_handed_out_twice_leads_to_who_freed_another_object_twice() {
    let rcu = MINIK.iter().find(|bug| bug.name == "rcu").unwrap();
    for (era, sched, seed) in [("7.0", "random", 9), ("7.0", "pct", 20), ("6.4", "pct", 17)] {
        let recorded = Recorded::with(rcu, seed, &["--era", era, "--sched", sched, "--detect", "none"]);
        let said = recorded.explained();
        assert!(said.contains("had been handed out twice, and not freed in between"), "{said}");
        assert!(said.contains("is a callback: it was queued 2 times for this object"), "{said}");
        assert_named(rcu, &recorded, &format!("{era}, {sched}, seed {seed}"));
    }
}

/// Memory that was freed and handed out anew just before: the callback that is overwritten is one of the new owner's, so it
/// does not matter who freed it.
#[test]
fn a_callback_that_was_queued_since_is_no_use_of_what_was_freed() {
    let rcu = LINUX.iter().find(|bug| bug.name == "rcu").unwrap();
    let recorded = Recorded::with(rcu, 2, &["--detect", "none"]);
    let said = recorded.explained();
    assert!(said.contains("handed out to dst_gc") && !said.contains("freed too early"), "{said}");
    assert_named(rcu, &recorded, "seed 2");
}

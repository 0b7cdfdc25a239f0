//! The demo guest's races: every policy finds each of them, on some seeds and not on others.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::dice::{groups, names, results};
use crate::program::{Ended, wkdb};

/// The four races, and what each of them shows.
const RACES: [(&str, &str); 4] = [
    ("wq-corrupt", "panic: trap: out of bounds memory access in list_del_init < process_one_work < worker_thread"),
    (
        "rcu",
        "panic: trap: undefined element: out of bounds table access in rcu_do_batch < rcu_nocb_cb_kthread < __ret_from_fork",
    ),
    ("lost-wakeup", "console: INFO: task ring_reader:# blocked for more than # seconds."),
    ("deadlock", "spin: tasks run and nothing gets done in eth_get_stats < eth_start_xmit"),
];

fn hunt_demo(name: &str, out: &Path, arguments: &[&str]) -> Ended {
    let mut command: Command = wkdb();
    command.args(["hunt", "demo", name, "--json", "--out"]).arg(out).args(arguments);
    command.output().unwrap().into()
}

/// Ten seeds, on all of which the race shows in one way only.
fn finds_each_race(policy: &str) -> Vec<Vec<u64>> {
    let found = RACES.iter().map(|(name, symptom)| {
        let folder = tempfile::tempdir().unwrap();
        // A machine that spins does so in a second as well as in ten.
        let ended = hunt_demo(name, folder.path(), &["--seeds", "10", "--sched", policy, "--stall", "1s"]);
        assert_eq!(ended.code, Some(10), "{name}: {}", ended.stderr);
        let groups = groups(&ended.json());
        assert_eq!(groups.keys().map(String::as_str).collect::<Vec<_>>(), [*symptom], "{name}");
        assert_eq!(names(folder.path()).len(), 1, "{name}");
        groups[*symptom].clone()
    });
    found.collect()
}

#[test]
fn the_fair_schedule_finds_them_on_the_seeds_that_are_known() {
    let found = finds_each_race("fair");
    // src/demo/README.md: seed 1 shows each of them, and this one does not.
    for ((seeds, (name, _)), good) in found.iter().zip(RACES).zip([4, 4, 4, 6]) {
        assert!(seeds.contains(&1) && !seeds.contains(&good), "{name}: {seeds:?}");
    }
}

#[test]
fn the_random_schedule_finds_them() {
    assert!(finds_each_race("random").iter().all(|seeds| seeds.len() < 10), "they are races");
}

#[test]
fn the_schedule_of_priorities_finds_them() {
    assert!(finds_each_race("pct").iter().all(|seeds| seeds.len() < 10), "they are races");
}

#[test]
fn the_schedule_that_starves_finds_them() {
    assert!(finds_each_race("starve").iter().any(|seeds| seeds.len() < 10), "they are races");
}

/// A hunt's runs are the runs of `wkdb demo`, whatever that watches; and what is kept replays.
#[test]
fn a_seed_of_a_hunt_is_the_seed_of_a_run_and_its_recording_replays() {
    let folder = tempfile::tempdir().unwrap();
    let json = hunt_demo("wq-corrupt", folder.path(), &["--seeds", "8", "--sched", "fair"]).json();
    let bad = groups(&json).into_values().next().unwrap();
    for (seed, result) in results(folder.path()) {
        let number = seed.to_string();
        let run = ["demo", "wq-corrupt", "--seed", &number, "--json"];
        let run = Ended::from(wkdb().args(run).output().unwrap());
        assert_eq!(run.code, Some(if bad.contains(&seed) { 3 } else { 0 }), "seed {seed}");
        assert_eq!(
            (&result["ticks"], &result["memory"], &result["schedule"], &result["console"]),
            (
                &run.json()["ticks"],
                &run.json()["memory_hash"],
                &run.json()["schedule_hash"],
                &run.json()["console_hash"]
            ),
        );
    }
    let recording = json["groups"][0]["recording"].as_str().unwrap();
    let replayed: Value = Ended::from(wkdb().args(["replay", recording, "--json"]).output().unwrap()).json();
    assert_eq!((&replayed["same"], &replayed["outcome"]), (&true.into(), &"panic".into()), "{replayed}");
}

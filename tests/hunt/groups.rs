//! Runs are judged right, and the shortest of each kind is kept.

use std::process::Command;

use serde_json::Value;

use crate::dice::{IGNORE, SYMPTOMS, UNTIL, dice, groups, hunt, names, results};
use crate::program::{Ended, wkdb};

/// Each seed alone, through `wkdb run`: what it shows, by what is printed.
fn alone(guest: &str, seed: u64) -> (Option<&'static str>, Value) {
    let seed = seed.to_string();
    let run = ["run", guest, "--until", UNTIL, "--sched", "random", "--seed", &seed, "--json"];
    let ended = Ended::from(wkdb().args(run).output().unwrap());
    let symptom = match ended.code {
        Some(4) => Some(SYMPTOMS[1]),
        Some(3) if ended.stderr.contains("divide by zero") => Some(SYMPTOMS[3]),
        Some(3) => Some(SYMPTOMS[2]),
        _ if ended.stdout.contains("BUG: counter") => Some(SYMPTOMS[0]),
        Some(0) => None,
        _ => panic!("{ended:?}"),
    };
    (symptom, ended.json())
}

#[test]
fn every_seed_is_what_it_is_when_run_alone_and_in_the_group_of_its_symptom() {
    let guest = dice(100);
    let path = guest.path().to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ended = hunt(path, folder.path(), &["--seeds", "40", "--until", UNTIL]);
    assert_eq!(ended.code, Some(10), "{}", ended.stderr);
    let json = ended.json();
    let (groups, results) = (groups(&json), results(folder.path()));
    assert_eq!(groups.keys().map(String::as_str).collect::<Vec<_>>(), SYMPTOMS, "{json}");
    for seed in 0..40 {
        let (symptom, run) = alone(path, seed);
        let found: Vec<_> = groups.iter().filter(|(_, seeds)| seeds.contains(&seed)).map(|(name, _)| name).collect();
        assert_eq!(found, symptom.iter().collect::<Vec<_>>(), "seed {seed}");
        let result = &results[&seed];
        for (ours, theirs) in [
            ("outcome", "outcome"),
            ("ticks", "ticks"),
            ("guest_ns", "guest_ns"),
            ("memory", "memory_hash"),
            ("schedule", "schedule_hash"),
        ] {
            assert_eq!(result[ours], run[theirs], "{ours} of seed {seed}");
        }
    }
    let bad: u64 = groups.values().map(|seeds| seeds.len() as u64).sum();
    assert_eq!((&json["done"], &json["bad"], &json["left"]), (&40.into(), &bad.into(), &0.into()));
    assert!(json["failed"].as_object().unwrap().is_empty());
    let share = json["probability"]["share"].as_f64().unwrap();
    assert!((share - bad as f64 / 40.0).abs() < 1e-9, "{share}");
}

#[test]
fn the_shortest_run_of_each_group_is_kept_and_replays_as_it_ended() {
    let guest = dice(100);
    let folder = tempfile::tempdir().unwrap();
    let json = hunt(guest.path(), folder.path(), &["--seeds", "40", "--until", UNTIL]).json();
    let results = results(folder.path());
    let groups = json["groups"].as_array().unwrap();
    assert_eq!(names(folder.path()).len(), SYMPTOMS.len());
    for group in groups {
        let seeds = group["seeds"].as_array().unwrap().iter().map(|seed| seed.as_u64().unwrap());
        let shortest = seeds.min_by_key(|seed| (results[seed]["ticks"].as_u64(), *seed)).unwrap();
        assert_eq!(group["shortest"]["seed"], shortest, "{group}");
        let recording = group["recording"].as_str().unwrap();
        assert!(recording.ends_with(&format!("-seed{shortest}.wkr")), "{recording}");
        assert_eq!(group["replay"], format!("wkdb replay {recording}"));
        let replay = group["replay"].as_str().unwrap().split(' ').skip(1);
        let replayed = Ended::from(wkdb().args(replay).arg("--json").output().unwrap());
        let replayed = replayed.json();
        assert_eq!((&replayed["same"], &replayed["to_the_end"]), (&true.into(), &true.into()), "{replayed}");
        for (ours, theirs) in [("outcome", "outcome"), ("ticks", "ticks"), ("memory", "memory_hash")] {
            assert_eq!(results[&shortest][ours], replayed[theirs], "{ours} of seed {shortest}");
        }
    }
}

/// A shorter run that is found later takes the place of the one that was kept.
#[test]
fn a_shorter_run_found_later_takes_the_place_of_the_longer_one() {
    let guest = dice(100);
    let (folder, whole) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut kept = Vec::new();
    for seeds in ["8", "16", "40"] {
        hunt(guest.path(), folder.path(), &["--seeds", seeds, "--until", UNTIL]);
        kept.push(names(folder.path()));
    }
    hunt(guest.path(), whole.path(), &["--seeds", "40", "--until", UNTIL]);
    assert_eq!(kept[2], names(whole.path()));
    let replaced = |name: &String| !kept[2].contains(name);
    assert!(
        kept[0].iter().chain(&kept[1]).any(replaced),
        "the first ones were the shortest: take other seeds: {kept:?}"
    );

    // One that is gone is recorded again, and then nothing is left to do.
    std::fs::remove_file(folder.path().join(&kept[2][0])).unwrap();
    let again = hunt(guest.path(), folder.path(), &["--seeds", "40", "--until", UNTIL]);
    assert_eq!(names(folder.path()), kept[2], "{}", again.stderr);
    assert_eq!(
        again.json()["groups"],
        hunt(guest.path(), folder.path(), &["--seeds", "40", "--until", UNTIL]).json()["groups"]
    );
}

#[test]
fn good_runs_leave_nothing() {
    let guest = dice(1);
    let folder = tempfile::tempdir().unwrap();
    let all = [&["--seeds", "24", "--until", UNTIL][..], &IGNORE].concat();
    let ended = hunt(guest.path(), folder.path(), &all);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!((&ended.json()["done"], &ended.json()["bad"]), (&24.into(), &0.into()));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["hunt.jsonl"]);
}

#[test]
fn what_counts_as_wrong_can_be_said() {
    let guest = dice(1);
    let folder = tempfile::tempdir().unwrap();
    let good = hunt(guest.path(), &folder.path().join("a"), &["--seeds", "12", "--until", UNTIL]).json();
    // Nothing but the time ends these; that is as it was asked for.
    let time =
        hunt(guest.path(), &folder.path().join("b"), &["--seeds", "12", "--max-time", "1ms", "--ignore", "deadlock"]);
    assert!(groups(&time.json()).keys().all(|symptom| !symptom.starts_with("max-time")), "{time:?}");
    // Here something was waited for, for less time than any of them works.
    let (long, time) = (dice(100), ["--seeds", "12", "--until", "console=never", "--max-time", "500ns"]);
    let missed = hunt(long.path(), &folder.path().join("c"), &time);
    assert_eq!(groups(&missed.json()).len(), 1, "{missed:?}");
    assert_eq!(missed.json()["groups"][0]["kind"], "max-time");
    let listened =
        hunt(guest.path(), &folder.path().join("d"), &["--seeds", "12", "--until", "console=d", "--bad", "done"])
            .json();
    let done = groups(&listened).get("console: done").map_or(0, Vec::len) as u64;
    assert_eq!(listened["bad"], 12, "{listened}");
    assert_eq!(done, 12 - good["bad"].as_u64().unwrap(), "{listened}");
}

#[test]
fn a_person_is_told_how_likely_it_is_and_how_to_see_it_again() {
    let guest = dice(1);
    let folder = tempfile::tempdir().unwrap();
    let mut command: Command = wkdb();
    command.current_dir(folder.path()).arg("hunt").arg(guest.path()).args(["--seeds", "40", "--until", UNTIL]);
    let ended = Ended::from(command.output().unwrap());
    assert_eq!(ended.code, Some(10), "{}", ended.stderr);
    let directory = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().file_name();
    let (directory, stem) = (directory.to_str().unwrap(), guest.path().file_stem().unwrap().to_str().unwrap());
    assert_eq!(directory, format!("hunt-{stem}"), "named after the guest");
    let counts: u64 = SYMPTOMS
        .iter()
        .map(|symptom| {
            let line = ended
                .stdout
                .lines()
                .find(|line| line.ends_with(&format!(" × {symptom}")))
                .unwrap_or_else(|| panic!("{symptom}: {}", ended.stdout));
            line.split(' ').next().unwrap().parse::<u64>().unwrap()
        })
        .sum();
    let first = ended.stdout.lines().next().unwrap();
    assert!(first.starts_with(&format!("{stem}: {counts} of 40 seeds went wrong: ")), "{first}");
    assert!(first.contains("95 % interval: "), "{first}");
    for name in names(&folder.path().join(directory)) {
        assert!(ended.stdout.contains(&format!("  wkdb replay {directory}/{name}\n")), "{name}: {}", ended.stdout);
    }
}

//! Runs in which nothing went wrong, and files that are none.

use crate::bugs::MINIK;
use crate::recorded::{Recorded, text, wkdb};

#[test]
fn a_run_that_ended_well_has_nothing_to_explain() {
    let race = MINIK.iter().find(|bug| bug.name == "wq-corrupt").unwrap();
    // A seed on which nothing happens.
    let recorded = Recorded::run(race, 4);
    assert!(!recorded.said.contains(race.shows), "{}", recorded.said);
    assert_eq!(recorded.explained(), "Nothing went wrong in this run that is known of: there is nothing to explain.\n");
    assert_eq!(recorded.json()["symptom"], serde_json::Value::Null);
}

#[test]
fn what_machines_read_says_the_same() {
    let bug = MINIK.iter().find(|bug| bug.name == "stray-write").unwrap();
    let json = Recorded::run(bug, bug.seed).json();
    assert_eq!(json["symptom"]["kind"], "kernel-trap");
    assert_eq!(json["culprits"][0]["place"]["function"], "evdev_stop_autorepeat");
    assert_eq!(json["culprits"][0]["place"]["file"], "drivers/evdev.c");
    assert_eq!(json["culprits"][0]["called_by"]["function"], "evdev_repeat_work");
    assert!(json["steps"].as_array().unwrap().len() > 2, "{json}");
}

#[test]
fn the_prompt_explains_and_stays_where_it_is() {
    let bug = MINIK.iter().find(|bug| bug.name == "stray-write").unwrap();
    let recorded = Recorded::run(bug, bug.seed);
    let mut command = wkdb();
    command
        .args(["debug", "x.wkr", "-e", "goto 100000", "-e", "explain", "-e", "info history"])
        .current_dir(recorded.folder());
    let output = command.output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(bug.is_named(&said), "{said}");
    assert!(said.lines().any(|line| line.starts_with("now  tick 100000 ")), "{said}");
}

/// A run of minik in which this is typed.
fn typed(line: &str) -> Recorded {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("expect \"minik# \"\nsend \"{line}\\r\"\nwait 3s\n");
    std::fs::write(folder.path().join("input"), script).unwrap();
    let mut command = wkdb();
    command.args(["demo", "--input", "input", "--record", "x.wkr", "--detect", "none"]).current_dir(folder.path());
    let output = command.output().unwrap();
    Recorded::of(folder, text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn what_is_not_known_is_said_and_nobody_is_named() {
    for line in ["ktrap unreachable", "panic"] {
        let said = typed(line).explained();
        assert!(said.contains("\nnot known: ") && !said.contains("\nculprit: "), "{line}:\n{said}");
    }
}

#[test]
fn traps_of_all_kinds_lead_to_the_code_that_made_them() {
    for (line, function) in [
        ("ktrap div0", "trap_div0"),
        ("ktrap oob", "trap_oob"),
        ("ktrap badcall", "trap_badcall"),
        ("ktrap wrongtype", "trap_wrong_type"),
        ("ktrap stackoverflow", "trap_recursion"),
        ("crash div0", "cmd_crash"),
    ] {
        let said = typed(line).explained();
        let named = said.lines().any(|line| line.starts_with(&format!("culprit: {function} (")));
        assert!(named, "{line}: {function} is not named:\n{said}");
    }
}

#[test]
fn what_is_no_recording_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("no.wkr"), b"this is no recording").unwrap();
    for (file, cause) in [("no.wkr", "no recording"), ("absent.wkr", "No such file")] {
        let output = wkdb().args(["explain", file]).current_dir(folder.path()).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(file) && said.contains(cause), "{said}");
    }
    let output = wkdb().arg("explain").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

//! A hunt in parts, on several machines, is the hunt in one go.

use std::path::{Path, PathBuf};

use crate::dice::{UNTIL, dice, groups, hunt, lines, names};
use crate::program::{Ended, wkdb};

fn merge(inputs: &[PathBuf], more: &[&str]) -> Ended {
    wkdb().arg("hunt").arg("--merge").args(inputs).arg("--json").args(more).output().unwrap().into()
}

#[test]
fn parts_join_to_what_one_hunt_finds() {
    let guest = dice(20);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = hunt(guest.path(), &at("whole"), &["--seeds", "30", "--until", UNTIL]).json();
    let mut parts: Vec<_> = (1..=3).map(|n| at(&format!("part{n}"))).collect();
    for (n, part) in parts.iter().enumerate() {
        let shard = format!("{}/3", n + 1);
        let ended = hunt(guest.path(), part, &["--seeds", "30", "--until", UNTIL, "--shard", &shard]);
        assert_eq!(ended.json()["done"], 10, "{}", ended.stderr);
    }
    // Seeds that two of them have run count once.
    hunt(guest.path(), &at("more"), &["--seeds", "5..15", "--until", UNTIL]);
    parts.push(at("more").join("hunt.jsonl"));

    let joined = merge(&parts, &[]);
    assert_eq!(joined.code, Some(10), "{}", joined.stderr);
    assert_eq!(groups(&joined.json()), groups(&whole));
    for field in ["done", "bad", "probability", "config"] {
        assert_eq!(joined.json()[field], whole[field], "{field}");
    }

    let out = at("joined");
    let kept = merge(&parts, &["--out", out.to_str().unwrap()]);
    assert_eq!(groups(&kept.json()), groups(&whole));
    assert_eq!(lines(&out), lines(&at("whole")));
    assert_eq!(names(&out), names(&at("whole")));
    // It can be gone on with, and joined once more.
    assert_eq!(groups(&hunt(guest.path(), &out, &["--seeds", "30", "--until", UNTIL]).json()), groups(&whole));
    merge(&parts, &["--out", out.to_str().unwrap()]);
    assert_eq!(lines(&out), lines(&at("whole")));
    // Lines that were only put one after another are as good.
    let both = [&parts[0], &parts[1]].map(|part| std::fs::read(part.join("hunt.jsonl")).unwrap()).concat();
    std::fs::write(at("both.jsonl"), both).unwrap();
    assert_eq!(merge(&[at("both.jsonl"), parts[2].clone()], &[]).json()["bad"], whole["bad"]);
}

fn refused(inputs: &[&Path], words: &[&str]) {
    let inputs: Vec<_> = inputs.iter().map(|path| path.to_path_buf()).collect();
    merge(&inputs, &[]).refused(1, words);
}

#[test]
fn what_does_not_belong_together_is_not_joined() {
    let guest = dice(1);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    hunt(guest.path(), &at("random"), &["--seeds", "4", "--until", UNTIL]);
    hunt(guest.path(), &at("pct"), &["--seeds", "4", "--until", UNTIL, "--sched", "pct"]);
    let other = dice(2);
    hunt(other.path(), &at("other"), &["--seeds", "4", "--until", UNTIL]);
    refused(&[&at("random"), &at("pct")], &["pct/hunt.jsonl", "policy: \"Pct\" and \"Random\""]);
    refused(&[&at("random"), &at("other")], &["other/hunt.jsonl", "kernel: "]);
    refused(&[&at("nowhere")], &["cannot read", "nowhere", "No such file"]);
    std::fs::write(at("empty"), "").unwrap();
    refused(&[&at("empty")], &["has no results of a hunt"]);

    // A result that was tampered with, or is of another program.
    let text = std::fs::read_to_string(at("random").join("hunt.jsonl")).unwrap();
    let line = text.lines().nth(1).unwrap();
    let ticks = line.split("\"ticks\":").nth(1).unwrap().split(',').next().unwrap();
    std::fs::write(at("changed.jsonl"), text.replace(&format!("\"ticks\":{ticks},"), "\"ticks\":1,")).unwrap();
    refused(&[&at("random"), &at("changed.jsonl")], &["changed.jsonl: seed ", "ended otherwise"]);
}

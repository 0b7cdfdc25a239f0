//! The races of the bundled Linux: a hunt finds them on the seeds that are known.

use crate::dice::{groups, names};
use crate::program::{Ended, file, wkdb};

/// The seeds of the first ten on which this bug shows as this symptom, and what replays the shortest.
fn hunt(bug: &str, task: &str) -> (Vec<u64>, Vec<String>) {
    let script = file(b"expect \"\\n# \"\nwait 260s\n");
    let folder = tempfile::tempdir().unwrap();
    let mut command = wkdb();
    command.args(["hunt", "linux", "--json", "--sched", "fair", "--seeds", "10", "--expect-timeout", "60s"]);
    command.args(["--append", &format!("wkdbbug={bug}"), "--input"]).arg(script.path()).arg("--out").arg(folder.path());
    let ended = Ended::from(command.output().unwrap());
    assert_eq!(ended.code, Some(10), "{}", ended.stderr);
    let symptom = format!("console: INFO: task {task}:# blocked for more than # seconds.");
    let groups = groups(&ended.json());
    assert_eq!(groups.keys().collect::<Vec<_>>(), [&symptom]);
    let recording = ended.json()["groups"][0]["recording"].as_str().unwrap().to_owned();
    let replayed = Ended::from(wkdb().args(["replay", &recording, "--verify", "--json"]).output().unwrap());
    assert_eq!((&replayed.json()["same"], &replayed.json()["to_the_end"]), (&true.into(), &true.into()));
    (groups[&symptom].clone(), names(folder.path()))
}

const MOVED: &str = "tests/linux/bugs.rs has the same seeds";

#[test]
fn a_lost_wakeup_on_its_seeds() {
    let (seeds, kept) = hunt("lost-wakeup", "ring_consumer/#");
    assert_eq!(seeds, [0, 1, 2, 5, 6, 8, 9], "{MOVED}");
    assert_eq!(kept.len(), 1, "{kept:?}");
}

#[test]
fn two_mutexes_on_theirs() {
    let (seeds, kept) = hunt("deadlock", "netdev_up/#");
    assert_eq!(seeds, [0, 7, 8], "{MOVED}");
    assert_eq!(kept.len(), 1, "{kept:?}");
}

//! `wkdb branch`: a recorded run up to a moment, and from there on another one, which is recorded in its turn.

use std::path::{Path, PathBuf};

use crate::program::{Ended, call};

const RECORDED: &str = "expect \"minik# \"\nsend \"uptime\\n\"\nexpect \"minik# \"\nwait 2s\nsend \"ps\\n\"\nexpect \"minik# \"\nwait 1s\n";
/// Typed in place of `ps`.
const OTHER: &str = "send \"echo another way\\n\"\nexpect \"\\nanother way\"\nexpect \"minik# \"\n";

/// A folder with a recording and a script for a branch of it.
struct Fork {
    folder: tempfile::TempDir,
    /// How the recorded run ended.
    end: serde_json::Value,
    console: String,
}

impl Fork {
    fn new() -> Fork {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(file("script"), RECORDED).unwrap();
        std::fs::write(file("other"), OTHER).unwrap();
        let ended = call(&["demo", "--seed", "3", "--json", "--input", &file("script"), "--record", &file("run.wkr")]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let (end, console) = (ended.json(), console(&ended));
        Fork { folder, end, console }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Branches off.
    fn branch(&self, options: &[&str]) -> Ended {
        let file = self.file("run.wkr");
        let mut arguments = vec!["branch", file.as_str()];
        arguments.extend(options);
        call(&arguments)
    }

    /// Branches off with the other script, recorded as `name`.
    fn other_way(&self, at: &str, name: &str) -> (Ended, PathBuf) {
        let new = self.folder.path().join(name);
        let options = ["--at", at, "--input", &self.file("other"), "--json", "--record", new.to_str().unwrap()];
        let ended = self.branch(&options);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        (ended, new)
    }
}

/// What the guest printed: all but the closing line.
fn console(ended: &Ended) -> String {
    ended.stdout.trim_end().rsplit_once('\n').unwrap().0.to_owned()
}

fn replays(path: &Path) -> serde_json::Value {
    let replayed = call(&["replay", path.to_str().unwrap(), "--verify", "--json"]);
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    let json = replayed.json();
    assert_eq!((&json["same"], &json["complete"], &json["to_the_end"]), (&true.into(), &true.into(), &true.into()));
    json
}

#[test]
fn a_branch_is_the_recorded_run_up_to_its_moment_and_then_what_is_typed_makes_it() {
    let fork = Fork::new();
    let before = std::fs::read(fork.file("run.wkr")).unwrap();
    let (ended, new) = fork.other_way("1s", "new.wkr");
    let (old, said) = (&fork.console, console(&ended));
    // All that was printed before anything else was typed.
    let common = old.bytes().zip(said.bytes()).take_while(|(old, new)| old == new).count();
    assert!(old[..common].contains("uptime") && old[..common].ends_with("minik# "), "{said}");
    assert!(old[common..].contains("PID") && !said.contains("PID"), "{said}");
    assert!(said[common..].contains("another way"), "{said}");
    // The new run is one, from its boot on: a replay in another process comes to the same end.
    let replayed = replays(&new);
    assert_eq!((&replayed["ticks"], &replayed["memory_hash"]), (&ended.json()["ticks"], &ended.json()["memory_hash"]));
    assert!(std::fs::read(fork.file("run.wkr")).unwrap() == before, "the recording was changed");
    replays(Path::new(&fork.file("run.wkr")));

    // Once more, it is the same; also from a recording of a branch, and by a tick in place of a time.
    let (again, _) = fork.other_way("1s", "again.wkr");
    let hashes = |ended: &Ended| {
        let json = ended.json();
        ["ticks", "memory_hash", "schedule_hash", "console_hash"].map(|key| json[key].clone())
    };
    assert_eq!(hashes(&again), hashes(&ended));
    let at = (ended.json()["ticks"].as_u64().unwrap() - 1000).to_string();
    let twig = fork.folder.path().join("twig.wkr");
    let options = [
        "branch",
        new.to_str().unwrap(),
        "--at",
        &at,
        "--until",
        "time=20s",
        "--json",
        "--record",
        twig.to_str().unwrap(),
    ];
    let ended = call(&options);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.json()["guest_ns"], 20_000_000_000_u64);
    assert!(console(&ended).contains("another way"), "{ended:?}");
    replays(&twig);
}

#[test]
fn a_branch_can_begin_where_the_recorded_run_does_and_where_it_ends() {
    let fork = Fork::new();
    let (ended, new) = fork.other_way("0", "first.wkr");
    assert!(!console(&ended).contains("uptime"), "{ended:?}");
    replays(&new);
    let ticks = fork.end["ticks"].to_string();
    let (ended, new) = fork.other_way(&ticks, "last.wkr");
    let (old, said) = (fork.console.trim_end(), console(&ended));
    assert!(said.starts_with(old) && said[old.len()..].contains("another way"), "{said}");
    replays(&new);
}

#[test]
fn a_branch_that_makes_no_sense_is_refused() {
    let fork = Fork::new();
    let refused = |options: &[&str], code: i32, words: &[&str]| {
        let ended = fork.branch(options);
        assert_eq!(ended.code, Some(code), "{options:?}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{options:?}: {word:?} is not in {}", ended.stderr);
        }
    };
    let (other, own) = (fork.file("other"), fork.file("run.wkr"));
    let before = std::fs::read(&own).unwrap();
    refused(&[], 2, &["--at"]);
    refused(&["--at", "soon"], 2, &["soon", "12.5s"]);
    refused(&["--at", "1s", "--until", "script"], 2, &["--input"]);
    refused(&["--at", "1s", "--gdb-wait"], 2, &["--gdb"]);
    refused(&["--at", "1s", "--input", "/nonexistent/script"], 1, &["/nonexistent/script"]);
    // Nothing is known of what comes behind the end.
    refused(&["--at", "100s", "--input", &other], 1, &["the recording ends at tick", "100.000000", "--at"]);
    let behind = (fork.end["ticks"].as_u64().unwrap() + 1).to_string();
    refused(&["--at", &behind, "--input", &other], 1, &["the recording ends at tick", &behind]);
    refused(&["--at", "2s", "--until", "time=1s"], 1, &["before guest time 2.000000", "time=1s", "earlier moment"]);
    refused(&["--at", "1s", "--input", &other, "--record", &own], 2, &["never changed", "another file"]);
    assert!(std::fs::read(&own).unwrap() == before, "the recording was changed");
    let none = call(&["branch", "/nonexistent/run.wkr", "--at", "1s"]);
    assert!(none.code == Some(1) && none.stderr.contains("/nonexistent/run.wkr"), "{}", none.stderr);
}

#[test]
fn what_is_left_of_a_recording_can_be_branched_from() {
    let fork = Fork::new();
    let whole = std::fs::read(fork.file("run.wkr")).unwrap();
    // The guest comes first in the file, what happened at its end.
    std::fs::write(fork.file("run.wkr"), &whole[..whole.len() - 40]).unwrap();
    let (ended, new) = fork.other_way("0.2s", "new.wkr");
    assert!(console(&ended).contains("another way"), "{ended:?}");
    replays(&new);
}

//! Hunts that are stopped, killed, or run out of disk: what was found is kept, the rest is run by the same hunt again, and
//! nothing that was not run to its end counts as good.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::dice::{IGNORE, UNTIL, command, dice, groups, hunt, lines, names, results};
use crate::program::Ended;

const SEEDS: &[&str] = &["--seeds", "24", "--until", UNTIL];

/// Long enough runs to be interrupted: up to 256 million ticks, a quarter of a second or so.
const TURNS: u32 = 1_000_000;

const DEADLINE: Duration = Duration::from_secs(60);

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// How many seeds have a line there.
fn count(out: &Path) -> usize {
    std::fs::read_to_string(out.join("hunt.jsonl")).unwrap_or_default().lines().count().saturating_sub(1)
}

/// The machine processes of a hunt.
fn machines(hunt: &Child) -> Vec<Pid> {
    let threads = std::fs::read_dir(format!("/proc/{}/task", hunt.id())).into_iter().flatten().flatten();
    let children = threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    let ids: Vec<_> =
        children.flat_map(|ids| ids.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>()).collect();
    ids.into_iter().map(Pid::from_raw).collect()
}

/// The same hunt, to its end, is the hunt in one go.
fn goes_on(guest: impl AsRef<OsStr>, out: &Path) {
    let whole = tempfile::tempdir().unwrap();
    let expected = hunt(guest.as_ref(), whole.path(), SEEDS).json();
    let ended = hunt(guest, out, SEEDS);
    assert_eq!(ended.code, Some(10), "{}", ended.stderr);
    assert_eq!(groups(&ended.json()), groups(&expected));
    assert_eq!((&ended.json()["left"], &ended.json()["done"]), (&0.into(), &24.into()));
    assert!(ended.json()["failed"].as_object().unwrap().is_empty(), "{}", ended.json());
    assert_eq!(lines(out), lines(whole.path()));
    assert_eq!(names(out), names(whole.path()));
}

#[test]
fn ctrl_c_ends_it_cleanly_and_the_same_command_goes_on() {
    let guest = dice(TURNS);
    let folder = tempfile::tempdir().unwrap();
    let child = start(command(guest.path(), folder.path(), SEEDS));
    wait_for("a result", || count(folder.path()) >= 5);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    let done = results(folder.path()).len();
    assert!((5..24).contains(&done), "{done} were done");
    let told = format!("stopped with {} of 24 seeds left: the same command goes on with them", 24 - done);
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    assert_eq!(ended.json()["left"], 24 - done as u64);
    let bad = ended.json()["bad"].as_u64().unwrap();
    assert_eq!(ended.code, Some(if bad > 0 { 10 } else { 130 }));
    // What was found is recorded all the same.
    assert_eq!(ended.json()["groups"].as_array().unwrap().len(), names(folder.path()).len());
    goes_on(guest.path(), folder.path());
}

#[test]
fn a_hunt_stopped_before_it_found_anything_is_no_success() {
    let guest = dice(TURNS);
    let folder = tempfile::tempdir().unwrap();
    let nothing = [SEEDS, &IGNORE].concat();
    let child = start(command(guest.path(), folder.path(), &nothing));
    wait_for("a result", || count(folder.path()) >= 1);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
}

#[test]
fn a_hunt_killed_at_any_moment_goes_on_where_it_was() {
    let guest = dice(TURNS / 4);
    let folder = tempfile::tempdir().unwrap();
    let mut before = BTreeSet::new();
    for moment in 0..8u64 {
        let mut child = start(command(guest.path(), folder.path(), SEEDS));
        std::thread::sleep(Duration::from_millis(60 + moment * 37));
        let orphans = machines(&child);
        child.kill().unwrap();
        child.wait().unwrap();
        // What was known is known still, and nobody runs on.
        let known: BTreeSet<_> = std::fs::read(folder.path().join("hunt.jsonl")).map_or(BTreeSet::new(), |bytes| {
            let text = String::from_utf8(bytes).unwrap();
            text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
        });
        assert!(known.is_superset(&before), "{moment}");
        before = known;
        wait_for("the machines' end", || orphans.iter().all(|&id| kill(id, None).is_err() || is_zombie(id)));
    }
    goes_on(guest.path(), folder.path());
}

/// Ended, but not yet waited for.
fn is_zombie(id: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn a_machine_that_is_killed_is_a_failure_of_its_seed_and_run_again() {
    let guest = dice(TURNS);
    let folder = tempfile::tempdir().unwrap();
    let child = start(command(guest.path(), folder.path(), &[SEEDS, &["--jobs", "1"]].concat()));
    let mut killed = BTreeSet::new();
    wait_for("machines to kill", || {
        killed.extend(machines(&child).into_iter().filter(|&id| kill(id, Signal::SIGKILL).is_ok()));
        killed.len() >= 3
    });
    let ended = Ended::from(child.wait_with_output().unwrap());
    let json = ended.json();
    let failed = json["failed"].as_object().unwrap();
    // A process may be killed when it has said all that it had to say; or be one that makes a recording.
    assert!(!failed.is_empty(), "{json}");
    assert!(failed.values().all(|why| why.as_str().unwrap().contains("SIGKILL")), "{json}");
    assert_eq!(json["done"].as_u64().unwrap() as usize + failed.len(), 24, "never taken for good");
    let done = results(folder.path());
    assert!(failed.keys().all(|seed| !done.contains_key(&seed.parse().unwrap())), "{json}");
    assert!(ended.stderr.contains("could not be run: the machine process ended unexpectedly"), "{}", ended.stderr);
    goes_on(guest.path(), folder.path());
}

#[test]
fn a_hunt_none_of_whose_seeds_went_wrong_but_one_failed_is_no_success() {
    let guest = dice(TURNS);
    let folder = tempfile::tempdir().unwrap();
    let nothing = [&["--seeds", "3", "--until", UNTIL, "--jobs", "1"][..], &IGNORE].concat();
    // As this hunt may be over before its machine is killed, another one tries.
    let code = (0..10).find_map(|attempt| {
        let out = folder.path().join(attempt.to_string());
        let child = start(command(guest.path(), &out, &nothing));
        wait_for("a machine", || machines(&child).iter().any(|&id| kill(id, Signal::SIGKILL).is_ok()));
        let ended = Ended::from(child.wait_with_output().unwrap());
        let failed = !ended.json()["failed"].as_object().unwrap().is_empty();
        failed.then_some(ended.code)
    });
    assert_eq!(code, Some(Some(1)));
}

#[test]
fn a_full_disk_ends_it_with_what_was_written_and_the_rest_is_run_again() {
    let guest = dice(100);
    let (folder, warm) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The guest's code is compiled and kept before files may not grow.
    hunt(guest.path(), warm.path(), &["--seeds", "1", "--until", UNTIL]);
    let full = command(guest.path(), folder.path(), SEEDS);
    let mut limited = Command::new("sh");
    // Blocks of 512 bytes: some lines, and no recording.
    limited.args(["-c", "ulimit -f 6; exec \"$@\"", "sh"]).arg(full.get_program()).args(full.get_args());
    for (name, value) in full.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let ended = Ended::from(limited.output().unwrap());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("hunt.jsonl: File too large"), "{}", ended.stderr);
    assert!(ended.stderr.contains("the same hunt goes on where it ended"), "{}", ended.stderr);
    let done = results(folder.path()).len();
    assert!((1..24).contains(&done), "{done} were done");
    goes_on(guest.path(), folder.path());
}

#[test]
fn until_bad_ends_at_the_same_seed_however_many_run_at_a_time() {
    let guest = dice(TURNS / 10);
    let whole = tempfile::tempdir().unwrap();
    let all = groups(&hunt(guest.path(), whole.path(), SEEDS).json());
    let first = *all.values().flatten().min().unwrap();
    for jobs in ["1", "2", "7"] {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [SEEDS, &["--until", "bad", "--jobs", jobs]].concat();
        let ended = hunt(guest.path(), folder.path(), &arguments);
        assert_eq!(ended.code, Some(10), "{}", ended.stderr);
        let told = format!("seed {first} is the first that goes wrong");
        assert!(ended.stderr.contains(&told), "{jobs} at a time: {}", ended.stderr);
        let done = results(folder.path());
        assert!((0..=first).all(|seed| done.contains_key(&seed)), "{jobs} at a time");
        if jobs == "1" {
            assert_eq!(done.keys().last(), Some(&first), "none after it was run");
            let kept = names(folder.path());
            assert!(matches!(&kept[..], [one] if one.ends_with(&format!("-seed{first}.wkr"))), "{kept:?}");
        }
        // Again: it is known already, and nothing is run.
        let before = lines(folder.path());
        let again = hunt(guest.path(), folder.path(), &arguments);
        assert!(again.stderr.contains(&told), "{}", again.stderr);
        assert_eq!(lines(folder.path()), before);
    }
}

#[test]
fn two_hunts_do_not_write_to_one_directory() {
    let guest = dice(TURNS);
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(command(guest.path(), folder.path(), SEEDS));
    wait_for("a result", || count(folder.path()) >= 1);
    let second = hunt(guest.path(), folder.path(), SEEDS);
    child.kill().unwrap();
    child.wait().unwrap();
    second.refused(1, &["another hunt is under way in", "--out"]);
}

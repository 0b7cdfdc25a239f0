//! What a run leaves behind: a recording if it ends badly, and the command that replays it.

use std::path::{Path, PathBuf};

use crate::program::{Ended, file, kernel, wkdb};

/// Recordings in a directory.
fn recordings(directory: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.collect()
}

fn run_in(directory: &Path, arguments: &[&str]) -> Ended {
    let mut command = wkdb();
    command.env_remove("WKDB_RECORD_DIR").current_dir(directory).args(arguments);
    command.output().unwrap().into()
}

#[test]
fn a_run_that_ends_badly_leaves_a_recording_and_says_how_to_replay_it() {
    let panics = kernel("(call $hello) (call $sleep (i64.const 5_000_000)) (call $no_init)");
    let spins = kernel("(call $hello) (loop $more (br $more))");
    let traps = kernel("(call $hello) unreachable");
    let stuck = kernel("(call $hello) (call $sleep (i64.const -1))");
    let waits = file(b"expect \"good bye\"\n");
    let script = waits.path().to_str().unwrap();
    for (kernel, arguments, code, outcome) in [
        (&panics, &[][..], 3, "panic"),
        (&panics, &["--until", "panic"], 0, "until"),
        (&spins, &["--stall", "100ms"], 5, "spin"),
        (&traps, &["--until", "trap"], 0, "until"),
        (&stuck, &["--max-time", "5s"], 4, "deadlock"),
        (&spins, &["--max-time", "1s", "--input", script], 6, "script"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = kernel.path().to_str().unwrap();
        let ended = run_in(folder.path(), &[&["run", path][..], arguments].concat());
        assert_eq!(ended.code, Some(code), "{outcome}: {}", ended.stderr);
        let left = recordings(folder.path());
        let [recording] = &left[..] else { panic!("{outcome}: {left:?}: {}", ended.stderr) };
        let name = recording.file_name().unwrap().to_str().unwrap();
        let told = format!("wkdb: the run is recorded; to see it again: wkdb replay {name}");
        assert!(ended.stderr.contains(&told), "{outcome}: {}", ended.stderr);

        // The guest is in it.
        let replayed = run_in(folder.path(), &["replay", name, "--json"]);
        assert_eq!(replayed.code, Some(0), "{outcome}: {}", replayed.stderr);
        let json = replayed.json();
        assert_eq!(json["outcome"], outcome);
        assert_eq!((&json["same"], &json["to_the_end"]), (&true.into(), &true.into()), "{json}");
        let console = |ended: &Ended| ended.stdout.lines().next().unwrap().to_owned();
        assert_eq!(console(&ended), console(&replayed));
    }
}

#[test]
fn a_run_that_ends_well_leaves_nothing() {
    let good = kernel("(call $hello) (call $sleep (i64.const -1))");
    let folder = tempfile::tempdir().unwrap();
    let path = good.path().to_str().unwrap();
    let ended = run_in(folder.path(), &["run", path, "--until", "console=hello"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let panics = kernel("(call $no_init)");
    let ended = run_in(folder.path(), &["run", panics.path().to_str().unwrap(), "--no-record"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(!ended.stderr.contains("recorded"), "{}", ended.stderr);
    assert_eq!(recordings(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_place_that_cannot_be_written_to_is_told_and_changes_nothing_else() {
    let panics = kernel("(call $no_init)");
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    let ended = wkdb()
        .args(["run", panics.path().to_str().unwrap(), "--json", "--record-dir", nowhere.to_str().unwrap()])
        .output()
        .unwrap();
    let ended = Ended::from(ended);
    assert_eq!(ended.code, Some(3));
    assert_eq!(ended.json()["outcome"], "panic");
    let told = format!("wkdb: the recording of this run cannot be left in {}: No such file", nowhere.display());
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);

    let ended =
        Ended::from(wkdb().args(["run", panics.path().to_str().unwrap(), "--record", "/dev/full"]).output().unwrap());
    ended.refused(1, &["cannot record to /dev/full: No space left on device"]);
}

#[test]
fn two_recordings_of_one_second_have_two_names() {
    let panics = kernel("(call $no_init)");
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..4 {
        run_in(folder.path(), &["run", panics.path().to_str().unwrap()]);
    }
    assert_eq!(recordings(folder.path()).len(), 4);
}

#[test]
fn a_machine_process_that_is_killed_leaves_what_was_recorded() {
    use std::io::{BufRead, BufReader};
    let kernel = crate::program::echo();
    let folder = tempfile::tempdir().unwrap();
    let mut child = wkdb()
        .env_remove("WKDB_RECORD_DIR")
        .current_dir(folder.path())
        .arg("run")
        .arg(kernel.path())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let pid = child.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let machine = nix::unistd::Pid::from_raw(children.trim().parse().unwrap());
    nix::sys::signal::kill(machine, nix::sys::signal::Signal::SIGKILL).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let left = recordings(folder.path());
    let [recording] = &left[..] else { panic!("{left:?}: {}", ended.stderr) };
    let replayed = run_in(folder.path(), &["replay", recording.to_str().unwrap(), "--json"]);
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    let json = replayed.json();
    assert_eq!((&json["same"], &json["complete"]), (&true.into(), &false.into()), "{json}");
    assert!(replayed.stdout.starts_with("hello\n"), "{}", replayed.stdout);
}

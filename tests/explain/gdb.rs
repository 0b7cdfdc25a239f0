//! The commands that an explanation ends with, given to a shell as they are: gdb shows what was said.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::bugs::{Bug, LINUX, MINIK};
use crate::recorded::{Recorded, text, wkdb};

/// The gdbs to test with, as tests/gdb has them.
pub(crate) fn gdbs() -> Vec<PathBuf> {
    match std::env::var_os("WKDB_TEST_GDBS") {
        Some(paths) => std::env::split_paths(&paths).collect(),
        None => {
            let runs = Command::new("gdb").arg("--version").output().is_ok_and(|output| output.status.success());
            if !runs {
                eprintln!("nothing is tested: there is no gdb on the PATH, and WKDB_TEST_GDBS is not set");
            }
            Some(PathBuf::from("gdb")).into_iter().filter(|_| runs).collect()
        }
    }
}

/// A replay that waits for a debugger, and its port.
pub(crate) struct Waiting(Child, pub(crate) u16);

impl Waiting {
    pub(crate) fn start(recorded: &Recorded, shown: &str) -> Waiting {
        let arguments = shown.trim().strip_prefix("wkdb ").unwrap().replace("1234", "0");
        let mut command = wkdb();
        command.args(arguments.split_whitespace()).current_dir(recorded.folder());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut messages = BufReader::new(child.stderr.take().unwrap());
        let mut port = None;
        let mut line = String::new();
        while port.is_none() && messages.read_line(&mut line).unwrap() > 0 {
            let number = |line: &str| line.trim_end().rsplit(':').next()?.trim_end_matches('\'').parse().ok();
            port = line.contains("waiting for a debugger").then(|| number(&line)).flatten();
            line.clear();
        }
        // What else it says is read, so that it can say it.
        std::thread::spawn(move || while messages.read_line(&mut String::new()).is_ok_and(|read| read > 0) {});
        Waiting(child, port.expect("it waits for a debugger"))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Does what an explanation says; gdb shows a frame of one of these.
fn shows(recorded: &Recorded, functions: &[&str]) {
    let said = recorded.explained();
    let mut commands = said.lines().skip_while(|line| *line != "To see it:").skip(1).map(str::trim);
    let (replay, attach) = (commands.next().unwrap().to_owned(), commands.next().unwrap().to_owned());
    for gdb in gdbs() {
        let replay = Waiting::start(recorded, &replay);
        let attach = attach.replace("1234", &replay.1.to_string());
        let attach = attach.replacen("gdb ", &format!("{} -nx -batch ", gdb.display()), 1);
        let output = Command::new("sh").args(["-c", &attach]).stdin(Stdio::null()).output().unwrap();
        let shown = text(&output.stdout) + &text(&output.stderr);
        let is_one = |line: &str| functions.iter().any(|function| line.contains(&format!("{function} (")));
        let frame = shown.lines().any(|line| line.starts_with('#') && is_one(line));
        assert!(frame, "{attach}: no frame of {functions:?} in:\n{shown}\nas said in:\n{said}");
    }
}

/// The functions that an explanation names as culprits.
fn culprits(said: &str) -> Vec<&str> {
    let culprits = said.lines().filter_map(|line| line.strip_prefix("culprit: "));
    culprits.filter_map(|line| line.split([' ', ',']).next()).collect()
}

fn assert_culprit_is_shown(bug: &Bug, detectors: &str) {
    let recorded = Recorded::detected(bug, bug.seed, detectors);
    let said = recorded.explained();
    shows(&recorded, &culprits(&said));
}

fn bug<'a>(of: &'a [Bug], name: &str) -> &'a Bug {
    of.iter().find(|bug| bug.name == name).unwrap()
}

#[test]
fn gdb_shows_what_the_culprits_of_minik_did() {
    MINIK.iter().for_each(|bug| assert_culprit_is_shown(bug, "none"));
}

/// A finding stops the machine behind the very store.
#[test]
fn gdb_shows_what_culprits_did_where_a_detector_stops_it() {
    for name in ["stray-write", "timer-stall", "wq-corrupt", "fdtable", "rcu", "stack-overflow", "user-write"] {
        assert_culprit_is_shown(bug(MINIK, name), "all");
    }
}

#[test]
fn gdb_shows_what_linux_did_to_its_worker_and_to_its_stack() {
    assert_culprit_is_shown(bug(LINUX, "wq-corrupt"), "none");
    assert_culprit_is_shown(bug(LINUX, "stack-overflow"), "none");
}

/// What a program trapped for before is gone past.
#[test]
fn gdb_is_taken_past_traps_that_came_before() {
    let folder = tempfile::tempdir().unwrap();
    let script = "expect \"minik# \"\nsend \"crash div0\r\"\nexpect \"minik# \"\nwait 10s\n";
    std::fs::write(folder.path().join("input"), script).unwrap();
    let mut command = wkdb();
    command.args(["demo", "stray-write", "--input", "input", "--record", "x.wkr", "--detect", "none"]);
    let output = command.current_dir(folder.path()).output().unwrap();
    let recorded = Recorded::of(folder, text(&output.stdout) + &text(&output.stderr));
    assert!(recorded.said.contains("integer divide by zero"), "{}", recorded.said);
    shows(&recorded, &["evdev_stop_autorepeat"]);
}

//! `--detect`, exit codes, recordings and their replays.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the program; a run that goes badly leaves nothing.
pub(crate) fn wkdb(args: &[&str]) -> Output {
    wkdb_in(args, "")
}

fn wkdb_in(args: &[&str], recordings: impl AsRef<std::ffi::OsStr>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wkdb"))
        .args(args)
        .env("WKDB_RECORD_DIR", recordings)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_name_that_no_detector_has_is_a_usage_error_that_lists_them() {
    for command in [&["run", "linux"][..], &["demo"], &["debug", "demo"], &["hunt", "demo"], &["replay", "x.wkr"]] {
        let output = wkdb(&[command, &["--detect", "stack,heap"]].concat());
        assert_eq!(output.status.code(), Some(2), "{command:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("there is no detector \"heap\"; there are stack, "), "{}", stderr(&output));
    }
    let output = wkdb(&["demo", "--guard", "worker.pool"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("write it as 'struct worker.pool only kernel/workqueue.c'"),
        "{}",
        stderr(&output)
    );
}

/// What a run leaves, and how it is run again.
#[test]
fn a_run_with_findings_is_a_bad_one_and_is_found_again_in_its_recording() {
    let directory = tempfile::tempdir().unwrap();
    let args = ["demo", "timer-stall", "--detect", "guard", "--until", "time=6s", "--json"];
    let output = wkdb_in(&args, directory.path());
    assert_eq!(output.status.code(), Some(11), "{}", stderr(&output));
    assert!(stderr(&output).contains("to see it again: wkdb replay "), "{}", stderr(&output));
    let line = String::from_utf8(output.stdout).unwrap();
    let line: serde_json::Value = serde_json::from_str(line.lines().last().unwrap()).unwrap();
    assert!(line["findings"].as_u64().unwrap() > 0 && line["exit_code"] == 11, "{line}");

    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    let again = |more: &[&str]| replay(file, more);
    let recorded = again(&[]);
    assert!(recorded.contains("finding: guard: struct timer_base.clk"), "{recorded}");
    // With other detectors it is the same run, and findings are not compared.
    for (detectors, finds) in [("none", false), ("stack,null", false), ("all", true)] {
        let said = again(&["--detect", detectors]);
        assert_eq!(said.contains("finding: "), finds, "{detectors}: {said}");
    }
    // Whatever the code is compiled to.
    for variant in [["--store-checks", "true"], ["--opt-level", "none"]] {
        assert!(again(&variant).contains("finding: guard: struct timer_base.clk"));
    }
    let info = wkdb(&["info", file.to_str().unwrap()]);
    let said = String::from_utf8(info.stdout).unwrap();
    assert!(said.contains(": guard: struct timer_base.clk is written by"), "{said}");
    let output = wkdb(&["replay", file.to_str().unwrap(), "--until", "finding"]);
    assert!(stderr(&output).contains("reached finding"), "{}", stderr(&output));
}

/// A replay that is the recorded run; what it says.
fn replay(file: &Path, more: &[&str]) -> String {
    let output = wkdb(&[&["replay", file.to_str().unwrap(), "--verify"], more].concat());
    assert_eq!(output.status.code(), Some(0), "{more:?}: {}", stderr(&output));
    stderr(&output)
}

#[test]
fn a_rule_of_ones_own_turns_its_detector_on() {
    let args = ["demo", "--until", "time=1s", "--guard"];
    let output = wkdb(&[&args[..], &["struct task_struct.comm only kernel/nothing.c"]].concat());
    let said = stderr(&output);
    assert!(said.contains("guard: struct task_struct.comm is written by what is not kernel/nothing.c"), "{said}");
    let output = wkdb(&[&args[..], &["struct gravity.pull only kernel/nothing.c"]].concat());
    assert!(stderr(&output).contains("--guard: this kernel has no struct gravity with a member pull"));
}

#[test]
fn a_finding_stops_the_machine_behind_the_instruction_and_can_be_gone_to_again() {
    let output = wkdb(&[
        "debug",
        "demo",
        "stack-overflow",
        "-e",
        "continue",
        "-e",
        "p $sp",
        "-e",
        "reverse-stepi",
        "-e",
        "stepi",
        "-e",
        "info events finding",
        "-e",
        "info events kacpid is",
    ]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", stderr(&output));
    assert!(said.contains("stack: kacpid is 144 bytes below its kernel stack\n"), "{said}");
    assert!(said.contains("there lies the task_struct of kacpi_notify"), "{said}");
    assert!(said.matches("in acpi_ns_walk (depth=38").count() >= 2, "{said}");
    let events = said.rsplit("info events kacpid is").next().unwrap();
    assert!(events.contains("stack: kacpid is 144 bytes below"), "{said}");
}

#[test]
fn a_hunt_groups_runs_by_detector_and_function() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let output = wkdb(&["hunt", "demo", "stack-overflow", "--seeds", "3", "--out", out]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(10), "{said}{}", stderr(&output));
    assert!(said.contains("3 × finding: stack in acpi_ns_walk"), "{said}");
}

#[test]
fn what_reads_the_kernel_looks_until_a_debugger_comes_and_not_where_one_is_there_from_the_start() {
    let found = "workqueues: the pool of the worker kworker/0:0/5 is 0xffffffff";
    let said = stderr(&wkdb(&["demo", "stray-write", "--gdb", "0", "--pace", "warp"]));
    assert!(said.contains("waiting for a debugger") && said.contains(&format!("finding: {found}")), "{said}");
    let session = |more: &[&str]| {
        let output = wkdb(&[&["debug", "demo", "stray-write", "-e", "continue"], more].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let said = session(&[]);
    assert!(said.contains("Trap: unaligned atomic") && !said.contains(found), "{said}");
    let said = session(&["--detect", "default"]);
    assert!(said.contains(found) && !said.contains("Trap: unaligned atomic"), "{said}");
}

//! Commands from files and pipes, and exit codes.

use std::io::Write;
use std::process::{Output, Stdio};

use crate::wkdb;

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn commands_are_read_from_a_pipe() {
    let mut child = wkdb()
        .args(["debug", "demo"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"tbreak start_kernel\ncontinue\nbt\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = text(&output);
    assert!(said.contains("(wkdb) bt\n#0") && said.contains("in start_kernel ("), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
}

#[test]
fn a_command_that_fails_makes_the_exit_code_1_and_the_next_one_is_run() {
    let output = wkdb().args(["debug", "demo", "-e", "brek", "-e", "tick"]).output().unwrap();
    let said = text(&output);
    assert!(said.contains("error: there is no command \"brek\"; did you mean break?"), "{said}");
    assert!(said.contains("(wkdb) tick\ntick 0\n"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}

#[test]
fn scripts_are_run_and_given_up_at_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    std::fs::write(&inner, "# at the start\ntick\nnosuch\ntime\n").unwrap();
    let outer = directory.path().join("outer");
    std::fs::write(&outer, format!("source {}\necho behind it\n", inner.display())).unwrap();
    let output = wkdb().args(["debug", "demo", "-x"]).arg(&outer).output().unwrap();
    let said = text(&output);
    assert!(said.contains("tick 0\n") && said.contains("no command \"nosuch\""), "{said}");
    assert!(!said.contains("(wkdb) time") && said.contains("behind it\n"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}

#[test]
fn a_guest_that_is_let_go_runs_to_its_end() {
    let output =
        wkdb().args(["debug", "demo", "stray-write", "-e", "break start_kernel", "-e", "c", "-e", "detach"]).output();
    let output = output.unwrap();
    let said = text(&output);
    assert!(said.contains("Breakpoint 1\n") && said.contains("Kernel panic"), "{said}");
    assert_eq!(output.status.code(), Some(3), "as of a run that panics: {said}");
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_runs() {
    for (arguments, part) in [
        (&["debug", "demo", "nosuch"][..], "there is no demo called"),
        (&["debug", "linux", "stray-write"], "only `wkdb debug demo` takes the name of a bug"),
        (&["debug", "demo", "--watch", "jiffies"], "watch EXPR --log"),
        (&["debug", "demo", "--json"], "--json is for `wkdb run`"),
    ] {
        let output = wkdb().args(arguments).output().unwrap();
        let said = text(&output);
        assert!(said.contains(part) && output.status.code() == Some(2), "{arguments:?}: {said}");
    }
    let output = wkdb().args(["debug", "demo", "-x", "/nosuch/file"]).output().unwrap();
    assert!(text(&output).contains("cannot read the commands in /nosuch/file") && output.status.code() == Some(1));
}

#[test]
fn values_that_a_call_has_consumed_are_optimized_out() {
    let commands = ["-e", "run-to 0.5s", "-e", "task apply all bt full"];
    let output = wkdb().args(["debug", "demo"]).args(commands).output().unwrap();
    let said = text(&output);
    // Descriptions speak of operands that are there only before the call.
    assert!(said.contains("timeout = <optimized out>") && said.contains("worker = <optimized out>"), "{said}");
    assert!(!said.contains("$op"), "{said}");
    assert_eq!(output.status.code(), Some(0), "{said}");
}

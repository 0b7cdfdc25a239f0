//! The planted bugs: each shows what scripts/linux-guest/README.md says.

use std::io::Write;
use std::process::{Command, Stdio};

/// What the program prints when it boots the bundled Linux with this bug.
fn planted(name: &str, script: &str) -> String {
    planted_with(name, script, "fair")
}

/// The same under a schedule of one's choice.
fn planted_with(name: &str, script: &str, schedule: &str) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(script.as_bytes()).unwrap();
    let append = format!("wkdbbug={name}");
    let output = Command::new(env!("CARGO_BIN_EXE_wkdb"))
        .env("WKDB_RECORD_DIR", "")
        .args(["run", "linux", "--sched", schedule, "--expect-timeout", "60s", "--append", &append, "--input"])
        .arg(file.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A kernel trap in `function`, with its file, and the panic that follows.
fn assert_traps_in(said: &str, function: &str) {
    let trap = said.split_once("wkdb: trap: ").map(|(_, trap)| trap).unwrap_or_default();
    let stack = trap.split_once("wkdb: guest panic").map(|(stack, _)| stack).unwrap_or_default();
    assert!(stack.contains(&format!("{function} (linux-source-6.12/")), "{said}");
    assert!(said.contains("the guest panicked"), "{said}");
}

const THEN_PS: &str = "expect \"\\n# \"\nwait 6s\nsend \"ps\\n\"\nexpect \"\\n# \"\nwait 1s\n";

#[test]
fn a_worker_without_its_pool() {
    assert_traps_in(&planted("stray-write", THEN_PS), "wq_worker_comm");
    assert_traps_in(&planted("wq-corrupt", THEN_PS), "wq_worker_comm");
}

#[test]
fn a_table_of_files_that_is_gone() {
    assert_traps_in(&planted("fdtable", THEN_PS), "dup_fd");
}

#[test]
fn a_callback_that_is_gone() {
    assert_traps_in(&planted("rcu", THEN_PS), "rcu_do_batch");
}

#[test]
fn a_program_that_writes_into_the_kernel() {
    assert_traps_in(
        &planted("user-write", "expect \"\\n# \"\nsend \"wild fb\\n\"\nexpect \"\\n# \"\nwait 5s\n"),
        "call_timer_fn",
    );
}

#[test]
fn a_stack_that_overflows() {
    let said = planted("stack-overflow", "expect \"\\n# \"\nwait 200s\nsend \"ps\\n\"\nexpect \"\\n# \"\n");
    assert!(said.contains("the guest panicked"), "{said}");
}

#[test]
fn a_timer_wheel_that_stands_still() {
    let said = planted("timer-stall", "expect \"\\n# \"\nwait 6s\nsend \"uptime\\n\"\nexpect \"up \"\n");
    assert!(said.contains("expect \"up \" was not printed"), "{said}");
}

/// A schedule that cuts in anywhere; a fair one starts its slice where the consumer wakes, and does not.
#[test]
fn a_wakeup_that_is_lost() {
    let said = planted_with("lost-wakeup", "expect \"\\n# \"\nwait 300s\n", "random");
    assert!(said.contains("INFO: task ring_consumer/0:") && said.contains("reached script"), "{said}");
}

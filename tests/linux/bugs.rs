//! The planted bugs: each shows what scripts/linux-guest/README.md says.

use std::io::Write;
use std::process::{Command, Stdio};

/// What the program prints when it boots the bundled Linux with this bug.
fn planted(name: &str, script: &str) -> String {
    planted_on(name, script, 0)
}

/// The same on a seed of one's choice.
fn planted_on(name: &str, script: &str, seed: u64) -> String {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(script.as_bytes()).unwrap();
    let (append, seed) = (format!("wkdbbug={name}"), seed.to_string());
    let output = Command::new(env!("CARGO_BIN_EXE_wkdb"))
        .env("WKDB_RECORD_DIR", "")
        .args(["run", "linux", "--seed", &seed, "--expect-timeout", "60s", "--append", &append, "--input"])
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

/// Before anything is written below the stack: by name, and with the function that was one too many.
#[test]
fn a_stack_that_overflows() {
    let said = planted("stack-overflow", "expect \"\\n# \"\nwait 20s\n");
    let panic = said.split_once("wkdb: guest panic: ").map(|(_, panic)| panic).unwrap_or_default();
    assert!(panic.starts_with("kernel stack overflow: acpi_ns/"), "{said}");
    assert!(panic.contains("acpi_walk (linux-source-6.12/arch/wasm/kernel/planted_bugs.c:"), "{said}");
}

#[test]
fn a_timer_wheel_that_stands_still() {
    let said = planted("timer-stall", "expect \"\\n# \"\nwait 6s\nsend \"uptime\\n\"\nexpect \"up \"\n");
    assert!(said.contains("expect \"up \" was not printed"), "{said}");
}

/// The seeds, of the first ten, on which this task is found to hang within 260 s.
fn seeds_that_hang(name: &str, task: &str) -> Vec<u64> {
    let hangs = |seed: &u64| {
        let said = planted_on(name, "expect \"\\n# \"\nwait 260s\n", *seed);
        assert!(said.contains("reached script"), "seed {seed}: {said}");
        said.contains(&format!("INFO: task {task}:"))
    };
    (0..10).filter(hangs).collect()
}

const MOVED: &str = "another kernel or schedule, other seeds: say which here and in scripts/linux-guest/README.md";

/// Races: with the default schedule they show on some seeds, as scripts/linux-guest/README.md says, and not on others.
#[test]
fn a_wakeup_that_is_lost_on_some_seeds() {
    assert_eq!(seeds_that_hang("lost-wakeup", "ring_consumer/0"), [0, 1, 2, 5, 6, 8, 9], "{MOVED}");
}

#[test]
fn two_mutexes_that_deadlock_on_some_seeds() {
    assert_eq!(seeds_that_hang("deadlock", "netdev_up/0"), [0, 7, 8], "{MOVED}");
}

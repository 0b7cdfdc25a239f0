//! Runs a debugger on a file for a while, without its user's settings. What is run: `WKDB_TEST_GDB` and
//! `WKDB_TEST_LLDB` when the tests are built, else `gdb` and `lldb-22` or `lldb`.

use std::path::Path;
use std::process::{Command, Stdio};

/// The gdb to test with, if this machine has one. Everything else that the companion promises is tested without.
pub(crate) fn gdb() -> Option<&'static str> {
    found("gdb", &[option_env!("WKDB_TEST_GDB").unwrap_or("gdb")])
}

/// The lldb to test with, if this machine has one.
pub(crate) fn lldb() -> Option<&'static str> {
    found("lldb", &[option_env!("WKDB_TEST_LLDB").unwrap_or("lldb-22"), "lldb"])
}

fn found(what: &str, names: &[&'static str]) -> Option<&'static str> {
    let runs = |name: &&str| {
        let status = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let name = names.iter().copied().find(runs);
    if name.is_none() {
        eprintln!("skipped: there is no {what} on this machine");
    }
    name
}

/// What lldb says to commands.
pub(crate) fn run_lldb(lldb: &str, elf: &Path, commands: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.arg("60").arg(lldb).args(["--batch", "--no-lldbinit"]);
    for text in commands {
        command.arg("-o").arg(text);
    }
    let output = command.arg(elf).stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.code() != Some(124), "lldb hangs");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// What gdb says to commands. It has no complaint about the debug information.
pub(crate) fn run(gdb: &str, elf: &Path, commands: &[&str]) -> String {
    let text = run_with_complaints(gdb, elf, commands);
    assert!(!text.contains("During symbol reading"), "gdb complains:\n{text}");
    text
}

/// What gdb says to commands, and what it finds wrong with the debug information.
pub(crate) fn run_with_complaints(gdb: &str, elf: &Path, commands: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.arg("60").arg(gdb).args(["-nx", "-batch", "-ex", "set complaints 100000", "-ex", "set width 0"]);
    command.arg("-ex").arg(format!("file {}", elf.display()));
    for text in commands {
        command.arg("-ex").arg(text);
    }
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.code() != Some(124), "gdb hangs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!text.contains("internal-error"), "gdb is at a loss:\n{text}");
    text
}

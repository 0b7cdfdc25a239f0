//! Runs a debugger on a file for a while, without its user's settings.

use std::path::Path;
use std::process::{Command, Stdio};

/// The gdb to test with, if this machine has one. Everything else that the companion promises is tested without.
pub(crate) fn gdb() -> Option<&'static str> {
    let gdb = option_env!("WKDB_TEST_GDB").unwrap_or("gdb");
    let found = Command::new(gdb).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        eprintln!("skipped: there is no {gdb} on this machine");
        return None;
    }
    Some(gdb)
}

/// What gdb says to commands. It has no complaint about the debug information.
pub(crate) fn run(gdb: &str, elf: &Path, commands: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.arg("60").arg(gdb).args(["-nx", "-batch", "-ex", "set complaints 1000", "-ex", "set width 0"]);
    command.arg("-ex").arg(format!("file {}", elf.display()));
    for text in commands {
        command.arg("-ex").arg(text);
    }
    let output = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(output.status.code() != Some(124), "gdb hangs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(!text.contains("During symbol reading"), "gdb complains:\n{text}");
    assert!(!text.contains("internal-error"), "gdb is at a loss:\n{text}");
    text
}

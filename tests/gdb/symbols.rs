//! Symbols from files, and what a user of an installed wkdb has.

use std::path::Path;
use std::process::Command;

use wasm_encoder::RawSection;
use wasmparser::{Parser, Payload};

use crate::debuggers::{gdb, gdbs};
use crate::guest::Guest;

/// A module without its debug information.
pub(crate) fn stripped(module: &[u8]) -> Vec<u8> {
    let mut out = wasm_encoder::Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.unwrap();
        let debug = matches!(&payload, Payload::CustomSection(section) if section.name().starts_with(".debug"));
        if let Some((id, range)) = payload.as_section().filter(|_| !debug) {
            out.section(&RawSection { id, data: &module[range] });
        }
    }
    out.finish()
}

#[test]
fn symbols_that_a_guest_lacks_come_from_files_with_the_same_code() {
    let directory = tempfile::tempdir().unwrap();
    let (bare, full) = (directory.path().join("bare"), directory.path().join("full"));
    let initramfs = concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/initramfs.cpio");
    std::fs::create_dir_all(full.join("deeper")).unwrap();
    std::fs::write(full.join("deeper/vmlinux"), wkdb::demo::KERNEL_7_0).unwrap();
    std::fs::write(&bare, stripped(wkdb::demo::KERNEL_7_0)).unwrap();
    let run = format!("run {} --initrd {initramfs} --gdb-wait", bare.display());
    let commands = ["tbreak start_kernel", "continue", "p init_task.comm", "monitor print init_task.comm", "kill"];
    for program in gdbs() {
        let guest = Guest::start(&run);
        let without = gdb(&program, guest.port, &commands);
        assert!(!without.contains("init/main.c:92") && !without.contains("swapper"), "{without}");
        let guest = Guest::start(&format!("{run} --symbols {}", full.display()));
        let with = gdb(&program, guest.port, &commands);
        assert!(with.contains("start_kernel () at minik/init/main.c:92"), "{with}");
        assert_eq!(with.matches("= \"swapper/0").count(), 2, "{with}");
    }
}

/// Puts a name in place of another one of the same length, in all files with this ending.
fn rename_in(directory: &Path, ending: &str, from: &str, to: &str) {
    let mut renamed = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == ending) {
            let mut bytes = std::fs::read(&path).unwrap();
            for at in 0..bytes.len() - from.len() {
                if &bytes[at..at + from.len()] == from.as_bytes() {
                    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
                    renamed += 1;
                }
            }
            std::fs::write(path, bytes).unwrap();
        }
    }
    assert!(renamed > 0, "{from} is in no kept symbols");
}

#[test]
fn a_kernels_symbols_are_made_once_and_kept() {
    let Some(program) = gdbs().into_iter().next() else { return };
    let kept = tempfile::tempdir().unwrap();
    let commands = ["tbreak start_kernel", "tbreak smart_kernel", "kill"];
    let guest = Guest::start_keeping(kept.path(), "demo --gdb-wait");
    let made = gdb(&program, guest.port, &commands);
    assert!(made.contains("Function \"smart_kernel\" not defined") && made.contains("init/main.c"), "{made}");
    // Whoever reads them again sees what was changed in them.
    rename_in(kept.path(), "elf", "start_kernel", "smart_kernel");
    let guest = Guest::start_keeping(kept.path(), "demo --gdb-wait");
    let found = gdb(&program, guest.port, &commands);
    assert!(found.contains("Function \"start_kernel\" not defined") && found.contains("init/main.c"), "{found}");
}

#[test]
fn a_directory_of_symbols_that_cannot_be_read_is_an_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
    let output = command.args(["demo", "--gdb", "0", "--symbols", "/nonexistent/symbols"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--symbols /nonexistent/symbols"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}

#[test]
fn symbols_without_a_debugger_are_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
    let output = command.args(["demo", "--symbols", "."]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--gdb"), "{said}");
    assert_eq!(output.status.code(), Some(2), "{said}");
}

#[test]
fn the_script_for_gdb_is_printed_and_works_over_the_connection() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
    let printed = command.arg("gdb-script").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&printed.stdout), wkdb_debugger::gdb::GDB_SCRIPT);
    for program in gdbs() {
        let guest = Guest::start("demo --gdb-wait");
        let load = "python exec(gdb.execute('monitor python-script', to_string=True))";
        let said =
            gdb(&program, guest.port, &[load, "tbreak start_kernel", "continue", "x/2i $pc", "info wkdb", "kill"]);
        assert!(said.contains("<start_kernel+") && said.contains("call "), "{said}");
        assert!(said.contains("CPUs\n") && said.contains("cpu0: swapper/0"), "{said}");
    }
}

//! Machines that cannot be made, each with an error that says why.

use wkdb::machine::{Machine, MachineConfig, MachineError, WatchRange};

use crate::guest::{Kernel, kernel};

fn refused(kernel: &Kernel, set: impl FnOnce(&mut MachineConfig)) -> MachineError {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &kernel.wasm()).unwrap();
    let mut config = MachineConfig::new(file.path());
    set(&mut config);
    match Machine::new(config) {
        Ok(_) => panic!("it was made"),
        Err(error) => error,
    }
}

fn small() -> Kernel {
    kernel(r#"(func $_start (export "_start") (call $done))"#)
}

#[test]
fn missing_files() {
    let error = refused(&small(), |config| config.kernel = "/nowhere/vmlinux.wasm".into());
    assert!(error.to_string().starts_with("cannot read the kernel /nowhere/vmlinux.wasm: "), "{error}");
    let error = refused(&small(), |config| config.initrd = Some("/nowhere/initrd".into()));
    assert!(error.to_string().starts_with("cannot read the initramfs /nowhere/initrd: "), "{error}");
}

#[test]
fn a_command_line_without_room() {
    let error = refused(&small(), |config| config.command_line = "x".repeat(512));
    assert_eq!(error.to_string(), "the kernel command line has 512 bytes and there is room for 511");
}

#[test]
fn a_script_with_a_mistake() {
    let error = refused(&small(), |config| config.script = Some("expect \"a\"\nsend b".into()));
    assert!(
        error.to_string().starts_with("input script, line 2, column 6: expected a text in double quotes"),
        "{error}"
    );
}

#[test]
fn watches_that_see_nothing() {
    let watch = |address, len| move |config: &mut MachineConfig| config.watch = vec![WatchRange { address, len }];
    let error = refused(&small(), watch(0x10000, 0));
    assert_eq!(error.to_string(), "a watched range of 0 bytes at 0x10000: give a length of at least 1");
    let limited = small().pages("32 64");
    for (address, len) in [(64 << 16, 1), ((64 << 16) - 3, 4), (u64::MAX, 1), (0, u64::MAX), (u64::MAX, u64::MAX)] {
        let error = refused(&limited, watch(address, len)).to_string();
        assert!(error.contains("the guest's memory can grow to 0x400000 bytes"), "{error}");
    }
}

#[test]
fn more_memory_than_addresses_reach() {
    let wide = kernel("").wasm_with(|_| {
        r#"(module (import "env" "memory" (memory i64 65537 65540 shared))
             (global (export "init_task") i64 (i64.const 0)) (global (export "boot_command_line") i64 (i64.const 0))
             (func (export "_start")))"#
            .to_owned()
    });
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, &wide).unwrap();
    let Err(error) = Machine::new(MachineConfig::new(file.path())) else { panic!("it was made") };
    assert_eq!(error.to_string(), "the guest asks for 65537 pages of 64 KiB at its start, and there is room for 65536");
}

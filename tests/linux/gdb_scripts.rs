//! The kernel's commands for gdb that come with it.

use std::path::Path;

use wkdb::demo::linux::write_gdb_scripts;

#[test]
fn the_kernels_commands_for_gdb_can_be_written_out() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("made/on/the/way");
    let loader = write_gdb_scripts(&at).unwrap();
    assert_eq!(loader, at.join("vmlinux-gdb.py"));
    let read = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    // The loader looks for the rest where it is itself.
    assert!(read("vmlinux-gdb.py").contains("\"/scripts/gdb\""));
    for (module, command) in [
        ("proc", "lx-version"),
        ("dmesg", "lx-dmesg"),
        ("tasks", "lx-ps"),
        ("timerlist", "lx-timerlist"),
        ("cpus", "lx-cpus"),
    ] {
        assert!(read(&format!("scripts/gdb/linux/{module}.py")).contains(&format!("\"{command}\"")), "{command}");
    }
    // Made for the bundled kernel's configuration.
    let constants = read("scripts/gdb/linux/constants.py");
    assert!(constants.contains("LX_NR_CPUS = 64\n") && constants.contains("LX_CONFIG_SMP = 1\n"), "{constants}");
}

#[test]
fn a_place_that_cannot_be_written_to_is_an_error() {
    assert!(write_gdb_scripts(Path::new("/proc/self/nowhere")).is_err());
}

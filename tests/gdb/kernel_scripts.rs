//! The kernel's own scripts for gdb, as they come with its source, on the running guest.

use crate::debuggers::{gdb, gdbs};
use crate::guest::Guest;

#[test]
fn the_kernels_own_scripts_for_gdb_work() {
    let directory = tempfile::tempdir().unwrap();
    let script = wkdb::demo::linux::write_gdb_scripts(directory.path()).unwrap();
    let source = format!("source {}", script.display());
    let commands = [&source, "lx-version", "lx-cmdline", "lx-cpus", "lx-ps", "lx-dmesg", "lx-timerlist"];
    for program in gdbs() {
        let guest = Guest::start("run linux");
        guest.shows("\n# ");
        let said = gdb(&program, guest.port, &commands);
        for part in [
            // lx-version, lx-cmdline
            "Linux version 6.12.",
            "console=hvc nr_cpus=4",
            // lx-cpus
            "Online CPUs   : [0, 1, 2, 3]",
            // lx-ps
            "   0   swapper/0",
            "   1   init",
            "khvcd",
            // lx-dmesg
            "Run /init as init process",
            // lx-timerlist
            "jiffies: ",
            "<ktime_get_boottime>",
        ] {
            assert!(said.contains(part), "{}: no {part:?} in:\n{said}", program.display());
        }
        assert!(!said.contains("Traceback") && !said.contains("Python Exception"), "{said}");
    }
}

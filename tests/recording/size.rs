//! How large recordings are beside the guest that is in them.

use std::path::Path;

use wkdb::machine::MachineConfig;
use wkdb_tracer::recording::{BlockKind, Recording};
use wkdb_tracer::{GuestTime, Totals};

use crate::run::{Guest, Typist, config, record};

/// Bytes of what happened, for each second of guest time.
fn bytes_per_second(config: MachineConfig, path: &Path) -> (f64, Totals) {
    let (_, totals) = record(config, Typist::default(), path);
    let recording = Recording::open(std::fs::File::open(path).unwrap()).unwrap();
    let bytes = recording.share(BlockKind::Entries).stored + recording.share(BlockKind::End).stored;
    (bytes as f64 / (totals.time.0 as f64 / 1e9), totals)
}

#[test]
fn an_idle_guest_takes_less_than_a_kilobyte_a_second() {
    let folder = tempfile::tempdir().unwrap();
    for guest in [Guest::Minik, Guest::Linux] {
        let mut idle = config(guest, "nr_cpus=4", None);
        idle.max_time = Some(GuestTime(120_000_000_000));
        let (rate, totals) = bytes_per_second(idle, &folder.path().join("idle.wkr"));
        assert_eq!(totals.time, GuestTime(120_000_000_000));
        println!("{guest:?} idle: {rate:.0} bytes a second");
        assert!(rate < 1000.0, "{guest:?}: {rate} bytes a second");
    }
}

#[test]
fn a_busy_shell_takes_less_than_ten_kilobytes_a_second() {
    let folder = tempfile::tempdir().unwrap();
    for (guest, prompt) in [(Guest::Minik, "minik# "), (Guest::Linux, "\\n# ")] {
        let mut script = format!("expect \"{prompt}\"\n");
        for n in 0..60 {
            let line = ["ps", "uptime", "cat /proc/version"][n % 3];
            script.push_str(&format!("send \"{line}\\n\"\nexpect \"{prompt}\"\nwait 500ms\n"));
        }
        let (rate, totals) =
            bytes_per_second(config(guest, "nr_cpus=4", Some(&script)), &folder.path().join("shell.wkr"));
        assert!(totals.time.0 > 30_000_000_000);
        println!("{guest:?} with two commands a second: {rate:.0} bytes a second");
        assert!(rate < 10_000.0, "{guest:?}: {rate} bytes a second");
    }
}

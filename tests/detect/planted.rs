//! The planted bugs of the demo guest: the detectors name the function with the mistake.

use crate::command_line::wkdb;

/// What a run of the demo guest with a bug finds: each finding's first lines.
fn found(bug: &str, seed: u32, detectors: &str) -> Vec<String> {
    let seed = seed.to_string();
    let output = wkdb(&["demo", bug, "--seed", &seed, "--detect", detectors]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    said.split("wkdb: finding: ").skip(1).map(|text| text.lines().take(8).collect::<Vec<_>>().join("\n")).collect()
}

#[test]
fn the_function_with_the_mistake_is_named_on_every_seed() {
    for (bug, finding, culprit) in [
        ("stack-overflow", "stack: kacpid is ", "acpi_ns_walk (drivers/acpi.c:"),
        ("stray-write", "guard: struct worker.pool is written by", "evdev_stop_autorepeat (drivers/evdev.c:"),
        ("timer-stall", "guard: struct timer_base.clk is written by", "rtc_set_next_alarm (drivers/rtc.c:"),
        ("fdtable", "guard: struct fdtable.fd[] is written by", "binder_reserve_fd (drivers/binder.c:"),
    ] {
        for seed in 1..=3 {
            let found = found(bug, seed, "default,null,guard");
            let first = found.first().unwrap_or_else(|| panic!("{bug}, seed {seed}: nothing was found"));
            assert!(first.starts_with(finding) && first.contains(culprit), "{bug}, seed {seed}: {found:#?}");
        }
    }
}

/// Races: on the seeds on which they show.
#[test]
fn what_was_freed_and_is_in_use_is_found_where_it_is_overwritten() {
    for (bug, finding, culprit) in [
        ("wq-corrupt", "guard: struct work_struct.", "hub_disconnect (drivers/usbhub.c:"),
        ("rcu", "guard: struct callback_head.", "send_packet (drivers/dst.c:"),
    ] {
        let found = found(bug, 1, "guard");
        let first = found.first().unwrap_or_else(|| panic!("{bug}: nothing was found"));
        assert!(first.starts_with(finding) && first.contains(culprit), "{bug}: {found:#?}");
    }
}

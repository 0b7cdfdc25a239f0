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
        // The frame buffer is mapped and may be written: this is the first byte behind it.
        (
            "user-write",
            "user-stores: init writes 1 byte at 0x1eda0, which is not its own",
            "draw_frame (user/fbtest.c:13)",
        ),
        ("fdtable", "guard: struct fdtable.fd[] is written by", "binder_reserve_fd (drivers/binder.c:"),
    ] {
        for seed in 1..=3 {
            let found = found(bug, seed, "default,null,guard,user-stores");
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

/// What guards have found out of a kernel is kept beside its compiled code: a run that knows it finds the same, and so does
/// one that finds the file damaged.
#[test]
fn a_run_that_knows_what_others_found_out_finds_the_same() {
    let cache = tempfile::tempdir().unwrap();
    let run = |bug: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_wkdb"))
            .args(["demo", bug, "--seed", "1", "--detect", "guard", "--no-record", "--until", "time=4s"])
            .env("WKDB_CACHE_DIR", cache.path())
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let at = said.find("wkdb: finding: ").unwrap_or_else(|| panic!("{bug}: {said}"));
        said[at..].to_owned()
    };
    let kept = || {
        let files = std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "guards")).collect::<Vec<_>>()
    };
    // Two kernels are told of each other, if at all, by their code: this is one.
    let first: Vec<String> = ["stray-write", "rcu"].map(run).into();
    let [file] = &kept()[..] else { panic!("{:?}", kept()) };
    let whole = std::fs::read(file).unwrap();
    assert_eq!(["stray-write", "rcu"].map(run)[..], first[..]);
    for damaged in [&whole[..whole.len() / 2], b"\x03\x01", b""] {
        std::fs::write(file, damaged).unwrap();
        assert_eq!(run("stray-write"), first[0]);
        assert!(std::fs::read(file).unwrap().len() > damaged.len());
    }
}

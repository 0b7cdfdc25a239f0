//! The program: views of recordings, at the prompt, and as JSON.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use wkdb_debugger::inferior::StopReason;

use crate::seen::{Guest, Seen, cache};

fn wkdb(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_wkdb"))
        .args(args)
        .env("WKDB_CACHE_DIR", cache().with_file_name("user-cache"))
        .env("WKDB_RECORD_DIR", "")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_recording_shows_its_kernel_where_it_ends_and_at_any_moment_before() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.wkr");
    let path = file.to_str().unwrap();
    wkdb(&["demo", "stray-write", "--record", path]);
    assert!(Path::new(path).exists());

    let at_end = said(&wkdb(&["inspect", path, "cpus", "workqueues", "addr", "&first_worker"]));
    assert!(at_end.contains("its pool is 0xffffffff") && at_end.contains("variable first_worker+0x0"), "{at_end}");
    let before = said(&wkdb(&["inspect", path, "--at", "1.5s", "cpus", "workqueues", "fds"]));
    assert!(before.contains("time 1.500000") && !before.contains("problem: "), "{before}");
    assert!(before.contains("/dev/console"), "{before}");
    let at_tick = said(&wkdb(&["inspect", path, "--at", "200000", "cpus"]));
    assert!(at_tick.contains("tick 200000,"), "{at_tick}");

    // The same as in the run itself.
    let json = said(&wkdb(&["inspect", path, "--json", "tasks", "dmesg"]));
    let views: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let scene = wkdb::demo::scene("stray-write").unwrap();
    let mut seen = Seen::after(Guest::Minik7_0, "bug=stray-write", scene.script, scene.seed);
    assert!(matches!(seen.reason, StopReason::Panic { .. }), "{:?}", seen.reason);
    let live = serde_json::to_value(seen.view(wkdb_debugger::kernel::ViewKind::Tasks)).unwrap();
    assert_eq!(views[0]["tasks"], live["tasks"]);
    let live = serde_json::to_value(seen.view(wkdb_debugger::kernel::ViewKind::Dmesg)).unwrap();
    assert_eq!(views[1], live);

    for (args, complaint) in [
        (vec!["inspect", path, "--at", "1h", "cpus"], "the run ends before that"),
        (vec!["inspect", path, "fds", "4711"], "there is no task"),
        (vec!["inspect", path, "cpu"], "is no view"),
        (vec!["inspect", path, "addr"], "of which address?"),
        (vec!["inspect", "/nonexistent.wkr", "cpus"], "cannot be replayed"),
    ] {
        let output = wkdb(&args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(complaint), "{args:?}: {text}");
    }
}

#[test]
fn views_are_commands_of_the_prompt() {
    let output = wkdb(&[
        "debug",
        "demo",
        "-e",
        "run-to 1s",
        "-e",
        "kernel",
        "-e",
        "kernel cpus",
        "-e",
        "kernel wo --json",
        "-e",
        "kernel addr &jiffies_64",
        "-e",
        "kernel maps 1",
    ]);
    let text = said(&output);
    for part in [
        "kernel timers  ", // The list of views.
        "swapper/0/0",
        "{\"view\":\"workqueues\"",
        "variable jiffies_64+0x0",
        "memory of init/1",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let output = wkdb(&["debug", "demo", "-e", "kernel task", "-e", "kernel nothing", "-e", "kernel addr"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("there is no view nothing") && text.contains("an address is missing"), "{text}");
}

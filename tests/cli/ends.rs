//! How runs end: exit codes, the closing line, and what goes to which stream.

use serde_json::json;

use crate::program::{echo, file, kernel, kernel_with, run, wkdb};

#[test]
fn every_end_has_its_exit_code_and_says_so_in_json() {
    let spin = kernel("(loop $for_ever (br $for_ever))");
    let wait = kernel("(call $hello) (call $sleep (i64.const -1))");
    let panic = kernel("(call $hello) (call $no_init)");
    let broken = kernel("(call $hello)");
    let script = file(b"expect \"hello\"\n");
    let script = script.path().to_str().unwrap();
    let wrong = file(b"# greet\nexpect \"bye\"\n");
    let wrong = wrong.path().to_str().unwrap();
    let echo = echo();
    for (kernel, arguments, code, outcome, detail, said) in [
        (&panic, &[][..], 3, "panic", None, "the guest panicked"),
        (&panic, &["--until", "panic"], 0, "until", Some("panic"), "reached panic"),
        (&wait, &[], 4, "deadlock", None, "deadlock: every task waits"),
        (&spin, &["--stall", "1ms"], 5, "spin", None, "the machine only spins"),
        (&echo, &["--input", wrong, "--max-time", "1s"], 6, "script", Some("line 2: expect \"bye\""), "  | hello"),
        (&echo, &["--input", wrong, "--expect-timeout", "1s"], 6, "script", Some("in time"), "  | hello"),
        (&echo, &["--max-time", "1s"], 7, "max-time", None, "--max-time"),
        (&broken, &[], 8, "broken", Some("_start returned"), "_start returned"),
        (&echo, &["--input", script], 0, "until", Some("script"), "reached script"),
        (&echo, &["--until", "console=ello"], 0, "until", Some("console=ello"), "reached console=ello"),
        (&echo, &["--until", "time=1s"], 0, "until", Some("time=1s"), "reached time=1s"),
        (&spin, &["--until", "tick=12345"], 0, "until", Some("tick=12345"), "reached tick=12345"),
    ] {
        let arguments = [arguments, &["--json", "--opt-level", "none"]].concat();
        let ended = run(kernel, &arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(said), "{arguments:?}: {ended:?}");
        let json = ended.json();
        assert_eq!((&json["outcome"], &json["exit_code"]), (&json!(outcome), &json!(code)), "{ended:?}");
        match detail {
            Some(detail) => assert!(json["detail"].as_str().unwrap().contains(detail), "{json}"),
            None => assert!(json["detail"].is_null(), "{json}"),
        }
        assert_eq!(json["tasks"], 1);
        let hello = if std::ptr::eq(kernel, &spin) { 0 } else { 1 };
        assert_eq!(ended.stdout.lines().count(), hello + 1, "the console, and the closing line: {ended:?}");
    }
}

#[test]
fn the_closing_line_says_what_the_run_amounts_to() {
    let kernel = kernel("(call $hello) (call $sleep (i64.const 1_000_000_000)) (call $no_init)");
    let json = |arguments: &[&str]| run(&kernel, &[&["--json"], arguments].concat()).json();
    let first = json(&["--seed", "5"]);
    assert_eq!(first["ticks"], 5, "init, start, hello, sleep, no_init");
    assert_eq!((&first["guest_ns"], &first["seed"]), (&json!(1_000_000_050_u64), &json!(5)));
    assert_eq!((&first["tasks"], &first["tasks_alive"], &first["cpus"]), (&json!(1), &json!(1), &json!(1)));
    for hash in ["memory_hash", "schedule_hash", "console_hash"] {
        assert_eq!(first[hash].as_str().unwrap().len(), 16, "{first}");
    }
    assert!(first["wall_ms"].as_f64().unwrap() > 0.0);
    let without_wall = |mut json: serde_json::Value| {
        json.as_object_mut().unwrap().remove("wall_ms");
        json
    };
    let first = without_wall(first);
    for same in
        [&["--seed", "5"][..], &["--seed", "5", "--opt-level", "none"], &["--seed", "5", "--watch", "jiffies_64:8"]]
    {
        assert_eq!(without_wall(json(same)), first, "{same:?}");
    }
    let other = json(&["--seed", "6"]);
    assert_ne!(other["schedule_hash"], first["schedule_hash"]);
    assert_eq!(other["console_hash"], first["console_hash"]);
}

#[test]
fn the_guests_console_is_all_of_standard_output() {
    let echo = echo();
    let script = file(b"expect \"hello\"\nsend \"a\\x00b\\xff\\r\\n\"\nexpect \"\\xff\\r\\n\"\n");
    let output = wkdb().arg("run").arg(echo.path()).arg("--input").arg(script.path()).output().unwrap();
    assert_eq!(output.stdout, b"hello\na\0b\xff\r\n");
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("wkdb: reached script"));
}

#[test]
fn standard_input_is_typed_at_the_console() {
    let echo = echo();
    let mut child = wkdb()
        .arg("run")
        .arg(echo.path())
        .args(["--until", "console=bye"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"good\x01xbye").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"hello\ngood\x01xbye\n"[..]));
}

#[test]
fn traps_and_panics_are_told_with_their_place() {
    let kernel = kernel_with("(func $worker (unreachable))", "(call $worker)");
    let ended = run(&kernel, &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(3), ""));
    let told = &ended.stderr;
    assert!(told.starts_with("wkdb: trap: wasm `unreachable` instruction executed\n  task 0x10000 (swapper/0) on cpu0, tick 3, guest time 0.000000\n"), "{told}");
    let at = |word: &str| told.find(word).unwrap_or_else(|| panic!("{word} is not in {told}"));
    assert!(at("worker") < at("start") && at("start") < at("wkdb: guest panic: found"), "{told}");
    assert_eq!(run(&kernel, &["--until", "trap"]).code, Some(0));
}

#[test]
fn a_watch_tells_of_each_store() {
    let kernel = kernel_with(
        "(func $do_timer (i64.store (i32.const 0x10700) (i64.add (i64.load (i32.const 0x10700)) (i64.const 1))))",
        "(call $do_timer) (call $do_timer) (i32.store8 (i32.const 0x10706) (i32.const 9)) (call $no_init)",
    );
    let ended = run(&kernel, &["--watch", "jiffies_64:8", "--watch", "0x10701:1"]);
    let told: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with("watch ")).collect();
    let zeros = "00 00 00 00 00 00 00";
    let task = "cpu0 swapper/0 (0x10000)";
    assert_eq!(told.len(), 5, "{ended:?}");
    assert!(
        told[0].starts_with(&format!(
            "watch jiffies_64:8: tick 3 time 0.000000 {task}: 0x10700: 00 {zeros} -> 01 {zeros} by do_timer"
        )),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("watch 0x10701:1: ")
            && told[1].contains("0x10701: 00 -> 00 (of a store of 8 bytes at 0x10700) by do_timer"),
        "{told:?}"
    );
    assert!(told[2].contains(&format!("01 {zeros} -> 02 {zeros} by do_timer")), "{told:?}");
    assert!(told[4].contains("0x10706: 00 -> 09 by start"), "{told:?}");
}

#[test]
fn a_cache_that_cannot_be_used_is_done_without() {
    let kernel = kernel("(call $hello) (call $no_init)");
    let not_a_directory = file(b"");
    let output = wkdb().arg("run").arg(kernel.path()).env("WKDB_CACHE_DIR", not_a_directory.path()).output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(3), &b"hello\n"[..]));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.starts_with("wkdb: ") && told.contains(not_a_directory.path().to_str().unwrap()), "{told}");
}

#[test]
fn code_is_compiled_once() {
    let cache = tempfile::tempdir().unwrap();
    let kernel = kernel("(call $hello) (call $no_init)");
    let files = || {
        let files = std::fs::read_dir(cache.path()).unwrap().map(|f| f.unwrap());
        let mut files: Vec<_> = files.map(|f| (f.file_name(), f.metadata().unwrap().len())).collect();
        files.sort();
        files
    };
    let boot = |arguments: &[&str]| {
        let ended =
            wkdb().arg("run").arg(kernel.path()).args(arguments).env("WKDB_CACHE_DIR", cache.path()).output().unwrap();
        assert_eq!(ended.status.code(), Some(3));
        files()
    };
    let first = boot(&[]);
    assert!(!first.is_empty());
    assert_eq!(boot(&["--seed", "9"]), first);
    // Another variant is other code.
    assert!(boot(&["--watch", "0x10700"]).len() > first.len());
}

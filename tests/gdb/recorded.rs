//! Recordings under gdb: `wkdb replay --gdb`, which is never changed, and `wkdb branch --gdb`, which begins in the middle
//! of one and is a run of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::debuggers::{gdb, gdbs};
use crate::guest::{Guest, wkdb};
use crate::reverse::after;
use crate::symbols::stripped;

/// Calls the program; gives its exit code and what it said.
fn call(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = wkdb().args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The line of JSON at the end of what was printed.
fn json(stdout: &str) -> Value {
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap_or_else(|error| panic!("{error}: {stdout}"))
}

/// A recording of the demo guest, which lists its tasks; and the ticks that it took.
fn recording(guest: &[&str]) -> (TempDir, PathBuf, u64) {
    let folder = tempfile::tempdir().unwrap();
    let (script, path) = (folder.path().join("script"), folder.path().join("run.wkr"));
    let mut file = std::fs::File::create(&script).unwrap();
    file.write_all(b"expect \"minik# \"\nsend \"ps\\n\"\nexpect \"minik# \"\nwait 1s\n").unwrap();
    let mut arguments = guest.to_vec();
    arguments.extend(["--json", "--input", script.to_str().unwrap(), "--record", path.to_str().unwrap()]);
    let (code, stdout, stderr) = call(&arguments);
    assert_eq!(code, Some(0), "{stderr}");
    let ticks = json(&stdout)["ticks"].as_u64().unwrap();
    (folder, path, ticks)
}

fn is_whole(path: &Path) -> Value {
    let (code, stdout, stderr) = call(&["replay", path.to_str().unwrap(), "--verify", "--json"]);
    assert_eq!(code, Some(0), "{stderr}");
    let json = json(&stdout);
    assert_eq!((&json["same"], &json["complete"]), (&true.into(), &true.into()), "{json}");
    json
}

#[test]
fn a_recording_is_debugged_forwards_and_backwards_and_is_never_changed() {
    let (_folder, path, ticks) = recording(&["demo"]);
    let before = std::fs::read(&path).unwrap();
    for program in gdbs() {
        let mut guest = Guest::start(&format!("replay {}", path.display()));
        let said = gdb(
            &program,
            guest.port,
            &[
                "break cat_path",
                "tbreak schedule",
                "continue",
                "p $pc",
                "set var jiffies_64 = 5",
                "p jiffies_64 == 5",
                "stepi",
                "set var $eax = 1",
                "reverse-stepi",
                "p $pc == $1",
                "reverse-continue",
                "bt",
                "continue",
                "continue",
                "monitor tick",
                "continue",
                "detach",
            ],
        );
        let whole = format!("{}:\n{said}", program.display());
        assert!(after(&said, "(gdb) p jiffies_64 == 5\n").starts_with("$2 = 0\n"), "it was changed: {whole}");
        // gdb itself says only that there is no such memory.
        let told = "wkdb: memory was not changed: a recording is never changed: to go on from here in another way";
        assert!(after(&said, "(gdb) stepi\n").contains(told) && said.contains("wkdb branch "), "{whole}");
        assert!(after(&said, "(gdb) set var $eax = 1\n").contains("eax cannot be changed"), "{whole}");
        assert!(after(&said, "(gdb) p $pc == $1\n").starts_with("$3 = 1\n"), "{whole}");
        let back = after(&said, "(gdb) reverse-continue\n");
        let told = ["No more reverse-execution history", "Backward execution from here not possible"];
        assert!(told.iter().any(|words| back.contains(words)), "{whole}");
        assert!(after(&said, "(gdb) bt\n").contains("[host]"), "{whole}");
        assert!(after(&said, "(gdb) monitor tick\n").starts_with(&format!("tick {ticks},")), "{whole}");
        assert_eq!(guest.ended(), Some(0), "{whole}");
        assert!(guest.messages().contains("the debugger changed nothing: a recording is never changed"));
        assert!(!guest.messages().contains("is not the run that was recorded"), "{}", guest.messages());
    }
    assert!(std::fs::read(&path).unwrap() == before);
}

#[test]
fn a_branch_is_debugged_from_its_moment_on_with_the_past_of_the_recording_and_can_be_changed() {
    let (folder, path, _) = recording(&["demo"]);
    let before = std::fs::read(&path).unwrap();
    for program in gdbs() {
        let new = folder.path().join("new.wkr");
        let arguments =
            format!("branch {} --at 0.3s --until time=0.5s --gdb-wait --record {}", path.display(), new.display());
        let mut guest = Guest::start(&arguments);
        let said = gdb(
            &program,
            guest.port,
            &[
                "monitor time",
                "tbreak start_kernel",
                "reverse-continue",
                "continue",
                "monitor time",
                "set var init_task.comm = \"branched\"",
                "p init_task.comm",
                "break tick_do_update_jiffies64",
                "continue",
                "delete",
                "detach",
            ],
        );
        let whole = format!("{}:\n{said}", program.display());
        assert!(after(&said, "(gdb) reverse-continue\n").contains("start_kernel ()"), "{whole}");
        assert_eq!(said.matches("\ntime 0.300000\n").count(), 2, "{whole}");
        assert!(after(&said, "(gdb) p init_task.comm\n").contains("\"branched"), "{whole}");
        assert!(after(&said, "(gdb) continue\n").contains("tick_do_update_jiffies64"), "{whole}");
        assert_eq!(guest.ended(), Some(0), "{whole}\n{}", guest.messages());
        // What the debugger did is part of it.
        is_whole(&new);
    }
    assert!(std::fs::read(&path).unwrap() == before);
}

#[test]
fn symbols_that_a_recorded_guest_lacks_come_from_files_with_the_same_code() {
    let directory = tempfile::tempdir().unwrap();
    let (bare, full) = (directory.path().join("bare"), directory.path().join("full"));
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("vmlinux"), wkdb::demo::KERNEL_7_0).unwrap();
    std::fs::write(&bare, stripped(wkdb::demo::KERNEL_7_0)).unwrap();
    let initramfs = concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/initramfs.cpio");
    let (_folder, path, _) = recording(&["run", bare.to_str().unwrap(), "--initrd", initramfs]);
    let (path, full) = (path.display(), full.display());
    let places = [
        (format!("replay {path}"), "continue", "start_kernel () at minik/init/main.c:92"),
        (format!("branch {path} --at 0.3s --gdb-wait"), "reverse-continue", "start_kernel () at minik/init/main.c:92"),
    ];
    for (n, program) in gdbs().iter().enumerate() {
        let (arguments, go, there) = &places[n % 2];
        for (arguments, known) in [(arguments.clone(), false), (format!("{arguments} --symbols {full}"), true)] {
            let guest = Guest::start(&arguments);
            let said = gdb(program, guest.port, &["tbreak start_kernel", go, "p init_task.comm", "kill"]);
            assert_eq!(said.contains(there), known, "{arguments}: {said}");
            assert_eq!(said.contains("= \"swapper/0"), known, "{arguments}: {said}");
        }
    }
    for command in [&["replay"][..], &["branch", "--at", "0"]] {
        let file = path.to_string();
        let mut arguments = command.to_vec();
        arguments.extend([file.as_str(), "--symbols", "."]);
        let (code, _, said) = call(&arguments);
        assert!(code == Some(2) && said.contains("--gdb"), "{said}");
        arguments.extend(["--gdb", "0"]);
        let missing = arguments.iter().position(|argument| *argument == ".").unwrap();
        arguments[missing] = "/nonexistent/symbols";
        let (code, _, said) = call(&arguments);
        assert!(code == Some(1) && said.contains("--symbols /nonexistent/symbols"), "{said}");
    }
}

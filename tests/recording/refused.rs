//! What cannot be replayed is refused with a reason and advice; what is replayed is told as it is.

use std::path::Path;

use wkdb_tracer::recording::{Entry, Header, Position, Recording, Writer};
use xxhash_rust::xxh3::xxh3_64;

use crate::program::{Ended, call, kernel, kernel_with, run, wkdb};

/// Records a run of a small kernel and gives its bytes.
fn recorded(extra: &[&str]) -> (tempfile::TempDir, tempfile::NamedTempFile) {
    let folder = tempfile::tempdir().unwrap();
    let nap = "(func $nap (call $sleep (i64.const 1_000_000_000)))";
    let panics = kernel_with(nap, "(call $hello) (call $nap) (call $nap) (call $nap) (call $hello) (call $no_init)");
    let path = folder.path().join("run.wkr");
    let ended = run(&panics, &[&["--record", path.to_str().unwrap()], extra].concat());
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    (folder, panics)
}

/// The same recording with another header.
fn with_header(path: &Path, change: impl FnOnce(&mut Header)) {
    let bytes = std::fs::read(path).unwrap();
    let mut recording = Recording::open(std::io::Cursor::new(bytes)).unwrap();
    let mut header = recording.header().clone();
    change(&mut header);
    for file in &mut header.files {
        file.embedded = false;
    }
    let entries: Vec<(Position, Entry)> = recording.entries().map(Result::unwrap).collect();
    let mut writer = Writer::new(Vec::new(), &header).unwrap();
    for (position, entry) in entries {
        writer.entry(position, &entry).unwrap();
    }
    let wkdb_tracer::recording::Ending::Complete(end) = recording.ending().clone() else { panic!() };
    std::fs::write(path, writer.end(&end).unwrap()).unwrap();
}

fn replay(folder: &tempfile::TempDir, arguments: &[&str]) -> Ended {
    let path = folder.path().join("run.wkr");
    call(&[&["replay", path.to_str().unwrap()], arguments].concat())
}

#[test]
fn other_versions_of_format_and_machine() {
    let (folder, kernel) = recorded(&[]);
    let path = folder.path().join("run.wkr");
    let kernel = kernel.path().to_str().unwrap();
    with_header(&path, |header| (header.semantics, header.wkdb) = (99, "7.5.0".into()));
    replay(&folder, &["--kernel", kernel])
        .refused(1, &["it was recorded by wkdb 7.5.0, whose machine has version 99", "replay it with wkdb 7.5.0"]);
    with_header(&path, |header| {
        header.semantics = wkdb::machine::SEMANTICS;
        header.machine["gravity"] = 9.into();
    });
    replay(&folder, &["--kernel", kernel]).refused(1, &["its configuration makes no sense", "gravity"]);

    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 2;
    let check = xxh3_64(&bytes[..12]) as u32;
    bytes[12..16].copy_from_slice(&check.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    for command in ["replay", "info"] {
        let ended = call(&[command, path.to_str().unwrap()]);
        ended.refused(1, &["version 2 of the format and this wkdb reads up to 1: use a newer wkdb"]);
    }
}

#[test]
fn a_guest_that_is_not_there_is_asked_for_by_its_hash() {
    let (folder, kernel) = recorded(&["--no-embed"]);
    let size = std::fs::metadata(folder.path().join("run.wkr")).unwrap().len();
    assert!(size < 1500, "{size} bytes");
    let hash = blake3::hash(&std::fs::read(kernel.path()).unwrap()).to_hex().to_string();
    let ended = replay(&folder, &[]);
    ended.refused(1, &["the kernel is not in the recording, and no file of that name is here", "--kernel FILE", &hash]);
    let other = crate::program::kernel("(call $hello)");
    let ended = replay(&folder, &["--kernel", other.path().to_str().unwrap()]);
    ended.refused(1, &["is another; name it with --kernel FILE", &hash]);
    let ended = replay(&folder, &["--kernel", kernel.path().to_str().unwrap(), "--json"]);
    assert_eq!(ended.json()["same"], true, "{ended:?}");
    // Beside the recording it is found by its name.
    std::fs::copy(kernel.path(), folder.path().join(kernel.path().file_name().unwrap())).unwrap();
    assert_eq!(replay(&folder, &["--verify"]).code, Some(0));
}

#[test]
fn what_is_no_recording() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.wkr");
    let ended = replay(&folder, &[]);
    ended.refused(1, &["cannot be replayed", "No such file"]);
    std::fs::write(&path, b"").unwrap();
    replay(&folder, &[]).refused(1, &["this is no recording of wkdb's"]);
    std::fs::write(&path, b"\0asm\x01\0\0\0").unwrap();
    replay(&folder, &[]).refused(1, &["this is no recording of wkdb's"]);
}

#[test]
fn a_divergence_has_its_own_exit_code_and_says_what_differs_where() {
    let (folder, kernel) = recorded(&[]);
    let path = folder.path().join("run.wkr");
    // The clock of the replay goes at another rate than the recorded one's.
    with_header(&path, |header| header.machine["ns_per_tick"] = 11.into());
    let ended = replay(&folder, &["--verify", "--json", "--kernel", kernel.path().to_str().unwrap()]);
    assert_eq!(ended.code, Some(9), "{ended:?}");
    let json = ended.json();
    assert_eq!((&json["same"], &json["exit_code"]), (&false.into(), &9.into()));
    assert!(
        json["divergence"]["what"].as_str().unwrap().contains(
            "a panic of swapper/0 (runner0) at tick 11, guest time 3.000000 was recorded, now there is a panic"
        ),
        "{json}"
    );
    for words in ["the replay is not the run that was recorded\n  at tick ", "guest time ", "wkdb replay --bisect "] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
    // Every variant makes that same other run, which is what narrowing it says.
    let ended = replay(&folder, &["--verify", "--bisect", "--json", "--kernel", kernel.path().to_str().unwrap()]);
    assert_eq!(ended.code, Some(9), "{ended:?}");
    assert_eq!(ended.json()["bisect"]["cause"], "recording");
    assert!(ended.stderr.contains("however its code is compiled"), "{}", ended.stderr);
}

#[test]
fn a_recursion_without_end_is_replayed_in_any_variant() {
    // The size of its frames in compiled code depends on the variant; after how many calls it is stopped does not.
    let recurse = r#"(func $deep (param i32) (result i32)
                       (i32.store (i32.const 0x10700) (local.get 0))
                       (i32.add (local.get 0) (call $deep (i32.add (local.get 0) (i32.const 1)))))"#;
    let kernel = kernel_with(recurse, "(drop (call $deep (i32.const 0)))");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.wkr");
    assert_eq!(run(&kernel, &["--record", path.to_str().unwrap()]).code, Some(3));
    assert_eq!(replay(&folder, &["--verify"]).code, Some(0));
    for variant in [&["--opt-level", "none"][..], &["--store-checks=true"], &["--watch", "0x10700:4"]] {
        let ended = replay(&folder, &[&["--verify", "--json"], variant].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.json()["same"], true, "{ended:?}");
    }
}

#[test]
fn a_replay_ends_where_it_is_asked_to() {
    let (folder, _kernel) = recorded(&[]);
    let ended = replay(&folder, &["--until", "time=2s", "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let json = ended.json();
    assert_eq!((&json["guest_ns"], &json["to_the_end"]), (&2_000_000_000u64.into(), &false.into()));
    assert!(json["checks"].as_u64() > Some(0), "{json}");
    assert!(ended.stderr.contains("replayed as far as asked for, as recorded"), "{}", ended.stderr);
}

#[test]
fn any_store_can_be_watched_in_a_replay() {
    let folder = tempfile::tempdir().unwrap();
    let kernel = kernel("(i32.store (i32.const 0x10700) (i32.const 7)) (call $no_init)");
    let path = folder.path().join("run.wkr");
    run(&kernel, &["--record", path.to_str().unwrap()]);
    let ended = replay(&folder, &["--watch", "0x10700", "--json"]);
    assert!(ended.stderr.contains("watch 0x10700"), "{}", ended.stderr);
    assert_eq!(ended.json()["same"], true);
}

#[test]
fn info_says_what_is_in_a_recording() {
    let (folder, kernel) = recorded(&["--seed", "77", "--append", "quiet"]);
    let path = folder.path().join("run.wkr");
    let path = path.to_str().unwrap();
    let text = call(&["info", path]);
    let name = kernel.path().file_name().unwrap().to_str().unwrap();
    for words in [
        name,
        "in the recording",
        "console=hvc quiet",
        "77",
        "complete: it ended with panic at tick ",
        "12 bytes printed",
    ] {
        assert!(text.stdout.contains(words), "{words}: {}", text.stdout);
    }
    let json: serde_json::Value = serde_json::from_str(&call(&["info", path, "--json"]).stdout).unwrap();
    assert_eq!(json["machine"]["seed"], 77);
    assert_eq!(json["ending"]["outcome"], "panic");
    assert_eq!(json["console_bytes"], 12);
    assert!(json["checks"].as_u64() >= Some(2), "{json}");
}

#[test]
fn a_disk_that_fills_up_ends_the_recording_and_not_the_run() {
    let chatty = kernel(
        r#"(local $n i32)
           (loop $more
             (call $hello)
             (local.set $n (i32.add (local.get $n) (i32.const 1)))
             (br_if $more (i32.lt_u (local.get $n) (i32.const 1000000))))
           (call $no_init)"#,
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.wkr");
    // The code is compiled before files are limited.
    run(&chatty, &["--until", "console=hello"]);
    let limited = format!(
        "ulimit -f 8; exec '{}' run '{}' --record '{}' --json --stall 1h",
        env!("CARGO_BIN_EXE_wkdb"),
        chatty.path().display(),
        path.display()
    );
    let like = wkdb();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &limited]).envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = Ended::from(shell.output().unwrap());
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let told = format!("wkdb: {}: the recording cannot be written: File too large", path.display());
    assert_eq!(ended.stderr.matches(&told).count(), 1, "{}", ended.stderr);
    assert_eq!(ended.json()["outcome"], "panic");
    assert_eq!(ended.stdout.matches("hello\n").count(), 1_000_000);
    let replayed = replay(&folder, &["--verify", "--json"]);
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    let json = replayed.json();
    assert_eq!((&json["same"], &json["complete"]), (&true.into(), &false.into()), "{json}");
    assert!(json["console_bytes"].as_u64() > Some(10_000), "{json}");
}

//! What makes no sense is refused, with what to do about it, and harms nothing.

use crate::dice::{UNTIL, dice, hunt, lines};
use crate::program::{call, file};

#[test]
fn command_lines_that_make_no_sense() {
    let guest = dice(1);
    let path = guest.path().to_str().unwrap();
    for (arguments, words) in [
        (&["hunt"][..], "required"),
        (&["hunt", path, "--seeds", "0"], "names no seeds"),
        (&["hunt", path, "--seeds", "9..3"], "100..200"),
        (&["hunt", path, "--shard", "0/4"], "1/4 to 4/4"),
        (&["hunt", path, "--shard", "5/4"], "is no part of a hunt"),
        (&["hunt", path, "--sched", "unfair"], "possible values"),
        (&["hunt", path, "--until", "worse"], "is no condition"),
        (&["hunt", path, "--jobs", "0"], "1..=1024"),
        (&["hunt", path, "--bad", ""], "value"),
        (&["hunt", path, "rcu"], "only `wkdb hunt demo` takes the name of a bug"),
        (&["hunt", "demo", "heisenbug"], "there is no demo called"),
        (&["hunt", path, "--merge", "x"], "cannot be used with"),
    ] {
        call(arguments).refused(2, &[words]);
    }
}

#[test]
fn a_guest_that_cannot_be_run_leaves_no_results() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let text = file(b"not a kernel");
    hunt(text.path(), &out, &[]).refused(1, &["cannot be booted"]);
    hunt("/nowhere/vmlinux.wasm", &out, &[]).refused(1, &["cannot read the kernel"]);
    assert!(!out.exists());
}

#[test]
fn a_hunt_with_other_options_in_the_same_directory_is_told_which() {
    let guest = dice(1);
    let folder = tempfile::tempdir().unwrap();
    hunt(guest.path(), folder.path(), &["--seeds", "3", "--until", UNTIL]);
    let before = lines(folder.path());
    for (more, words) in [
        (&["--sched", "starve"][..], "policy: \"Random\" and \"Starve\""),
        (&["--append", "quiet"], "command_line: \"console=hvc\" and \"console=hvc quiet\""),
        (&["--bad", "oops"], "listen_for: [] and [\"oops\"]"),
        (&["--slice", "77"], "slice: 50000 and 77"),
    ] {
        let arguments = [&["--seeds", "3", "--until", UNTIL][..], more].concat();
        hunt(guest.path(), folder.path(), &arguments).refused(1, &[words, "another directory with --out"]);
    }
    assert_eq!(lines(folder.path()), before);
    // How many seeds, and how many at a time, is no part of what is run.
    let more = hunt(guest.path(), folder.path(), &["--seeds", "6", "--jobs", "1", "--until", UNTIL, "--until", "bad"]);
    assert!(matches!(more.code, Some(0 | 10)), "{}", more.stderr);
}

#[test]
fn a_directory_that_cannot_be_made_is_told() {
    let guest = dice(1);
    let text = file(b"");
    hunt(guest.path(), &text.path().join("x"), &[]).refused(1, &["cannot make the directory"]);
}

/// Where nothing can be run there is no sense in trying the other ten thousand.
#[test]
fn a_hunt_none_of_whose_machines_can_be_made_gives_up_and_says_why() {
    let kernel = wat::parse_str(
        r#"(module (import "env" "memory" (memory i64 70000 80000 shared))
             (import "env" "wasm_panic" (func (param i64)))
             (global (export "init_task") i64 (i64.const 0x10000))
             (global (export "boot_command_line") i64 (i64.const 0x10200))
             (global (export "initrd_start") i64 (i64.const 0x10400))
             (global (export "initrd_end") i64 (i64.const 0x10408))
             (global (export "jiffies_64") i64 (i64.const 0x10700))
             (func (export "raise_exception")) (func (export "_start")))"#,
    );
    let kernel = file(&kernel.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let ended = hunt(kernel.path(), folder.path(), &["--seeds", "10000"]);
    ended.refused(1, &["8 runs in a row came to no end", "there is room for 65536"]);
}

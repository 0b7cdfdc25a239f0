//! What the program says of input that makes no sense.

use crate::program::{call, file, kernel, kernel_wasm, run, wkdb};

#[test]
fn files_that_are_no_kernel() {
    for (bytes, words) in [
        (&b""[..], "not a WebAssembly module"),
        (b"\0", "truncated"),
        (b"#!/bin/sh\necho hello\n", "not a WebAssembly module"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", "ELF"),
        (b"\0asm\x02\0\0\0", "version 2"),
        (b"\0asm\x01\0\0\0", "no memory is imported"),
        (&wat::parse_str("(component)").unwrap(), "component"),
    ] {
        let kernel = file(bytes);
        run(&kernel, &[]).refused(1, &["wkdb: ", "cannot be booted", words]);
    }
}

#[test]
fn a_kernel_cut_anywhere() {
    let wasm = kernel_wasm("", "(call $hello) (call $no_init)");
    assert_eq!(run(&file(&wasm), &[]).code, Some(3), "whole, it boots");
    let mut cuts = vec![4, 8];
    for payload in wasmparser::Parser::new(0).parse_all(&wasm) {
        if let Some((_, range)) = payload.unwrap().as_section() {
            cuts.extend([range.start, range.start + 1, range.start.midpoint(range.end), range.end - 1, range.end]);
        }
    }
    cuts.retain(|&cut| cut < wasm.len());
    assert!(cuts.len() > 30, "{cuts:?}");
    for cut in cuts {
        let ended = run(&file(&wasm[..cut]), &[]);
        // At the end of a section it is a whole module, which lacks something; the name section it can do without.
        if ended.code == Some(3) {
            assert!(wasm[cut..].windows(5).any(|w| w == b"\x04name"), "{cut}");
            continue;
        }
        ended.refused(1, &["wkdb: "]);
        let told = ["truncated", "missing export", "not a WebAssembly module", "no memory", "malformed", "offset"];
        assert!(told.iter().any(|word| ended.stderr.contains(word)), "{cut}: {}", ended.stderr);
    }
}

#[test]
fn kernels_that_the_host_cannot_run() {
    let text = wasmprinter::print_bytes(kernel_wasm("", "(call $no_init)")).unwrap();
    for (old, new, words) in [
        ("2 64 shared", "2 64", "the imported memory is not shared"),
        ("\"env\" \"memory\"", "\"env\" \"heap\"", "unknown import env.heap"),
        (
            "\"wasm_driver_hvc_get\"",
            "\"wasm_driver_hvc_ioctl\"",
            "unknown import env.wasm_driver_hvc_ioctl: function (i32, i32) -> i32",
        ),
        ("\"env\" \"wasm_panic\"", "\"wasi\" \"wasm_panic\"", "unknown import wasi.wasm_panic"),
        (
            "\"wasm_driver_hvc_get\"",
            "\"wasm_release_task\"",
            "import env.wasm_release_task has the wrong type: expected (i32) -> ()",
        ),
        ("(export \"_start\"", "(export \"main\"", "missing export _start"),
        ("(export \"init_task\"", "(export \"task\"", "missing export init_task"),
        ("i32.const 6\n", "i64.const 6\n", "type mismatch"),
        ("2 64 shared", "70000 80000 shared", "limits are impossible: 70000 to 80000 pages of at most 65536"),
    ] {
        assert!(text.contains(old), "{old}: {text}");
        let wasm = wat::parse_str(text.replacen(old, new, 1)).unwrap();
        run(&file(&wasm), &[]).refused(1, &["wkdb: ", words]);
    }
}

#[test]
fn a_guest_that_wants_more_memory_than_there_is() {
    let wasm = wat::parse_str(
        r#"(module (import "env" "memory" (memory i64 70000 80000 shared))
             (global (export "init_task") i64 (i64.const 0)) (global (export "boot_command_line") i64 (i64.const 0))
             (func (export "_start")))"#,
    )
    .unwrap();
    run(&file(&wasm), &[])
        .refused(1, &["the guest asks for 70000 pages of 64 KiB at its start, and there is room for 65536"]);
}

#[test]
fn missing_files() {
    call(&["run", "/nowhere/vmlinux.wasm"]).refused(1, &["cannot read the kernel /nowhere/vmlinux.wasm: No such file"]);
    let kernel = kernel("(call $no_init)");
    run(&kernel, &["--initrd", "/nowhere/initrd"])
        .refused(1, &["cannot read the initramfs /nowhere/initrd: No such file"]);
    run(&kernel, &["--input", "/nowhere/script"])
        .refused(1, &["cannot read the input script /nowhere/script: No such file"]);
    call(&["info", "/nowhere/a.wasm"]).refused(1, &["cannot read /nowhere/a.wasm: No such file"]);
    call(&["run", "/"]).refused(1, &["cannot read the kernel /: "]);
}

#[test]
fn scripts_with_mistakes() {
    let kernel = kernel("(call $no_init)");
    for (script, place, words) in [
        ("expect \"a\"\nsned \"b\"", "line 2, column 1", "sned"),
        ("send \"a\\q\"", "line 1, column 8", "escape"),
        ("\n\nsend \"abc", "line 3, column", "quote"),
        ("wait 5", "line 1, column 6", "5"),
        ("@soon send \"a\"", "line 1, column", "soon"),
    ] {
        run(&kernel, &["--input", file(script.as_bytes()).path().to_str().unwrap()]).refused(1, &[place, words]);
    }
}

#[test]
fn command_lines_that_make_no_sense() {
    let kernel = kernel("(call $no_init)");
    for (arguments, words) in [
        (&["--until", "reboot"][..], "\"reboot\" is no condition"),
        (&["--until", "tick=soon"], "tick=soon: expected a whole number"),
        (&["--until", "script"], "--until script needs a script"),
        (&["--watch", "x:0"], "must be a number of bytes, at least 1"),
        (&["--watch", "0xffffffffffffffff:2"], "past the end of the address space"),
        (&["--max-time", "5"], "\"5\" is not a time span"),
        (&["--cpus", "0"], "0 is not in 1..=1024"),
        (&["--slice", "0"], "0 is not in"),
        (&["--seed", "-1"], "-1"),
        (&["--sched", "unfair"], "[possible values: fair, random, pct, starve]"),
        (&["--frobnicate"], "unexpected argument '--frobnicate'"),
    ] {
        run(&kernel, arguments).refused(2, &[words]);
    }
    run(&kernel, &["--append", &"x".repeat(512)])
        .refused(2, &["the kernel command line has 524 bytes; it can have 511"]);
    call(&["frob"]).refused(2, &["unrecognized subcommand 'frob'"]);
    call(&[]).refused(2, &["Usage: wkdb"]);
    call(&["completions", "tcsh"]).refused(2, &["[possible values: bash"]);
}

#[test]
fn watches_of_what_is_not_there() {
    let kernel = kernel("(call $no_init)");
    run(&kernel, &["--watch", "jiffys"]).refused(1, &["--watch jiffys: the kernel has no such variable"]);
    run(&kernel, &["--watch", "jiffies_64"]).refused(1, &["give a length, as in jiffies_64:4"]);
    run(&kernel, &["--watch", "0x400000"]).refused(1, &["the guest's memory can grow to 0x400000 bytes"]);
}

#[test]
fn the_machine_process_is_not_for_people() {
    let mut command = wkdb();
    command.arg("__machine").output().unwrap();
    let ended: crate::program::Ended = command.output().unwrap().into();
    ended.refused(1, &["wkdb: "]);
    let garbage = file(&[0xff; 64]);
    let ended: crate::program::Ended =
        wkdb().arg("__machine").stdin(std::fs::File::open(garbage.path()).unwrap()).output().unwrap().into();
    ended.refused(1, &["this subcommand is for wkdb itself"]);
}

//! User programs: images, clones, system calls, and programs that cannot run.

use wkdb_tracer::{Event, ModuleId};

use crate::guest::{boot, kernel, user_image};

#[test]
fn an_image_is_relocated_constructed_and_started() {
    let image = user_image(
        r#"(type $number (func (result i32)))
           (func $seven (result i32) (i32.const 7))
           (elem (offset (global.get $__table_base)) func $seven)
           (func (export "__wasm_apply_data_relocs") {{relocs }})
           (func (export "__wasm_call_ctors") {{ctors }})
           (func (export "_start")
             {{start }}
             (call $say (global.get $__memory_base))
             (call $say (global.get $__table_base))
             (call $say (global.get $__stack_pointer))
             (call $say (table.size $table))
             (call $say (call_indirect $table (type $number) (i32.const 16)))
             (call $done))"#,
    );
    assert_eq!(kernel("").init(image).console(), format!("relocs ctors start {} 16 {} 4096 7 ", 0x80000, 0x7fff0));
}

#[test]
fn a_table_is_as_large_as_the_image_asks_for() {
    let image = user_image(
        r#"(func (export "_start")
             (call $say (table.size $table))
             (drop (table.grow $table (ref.null func) (i32.const 10)))
             (call $say (table.size $table))
             (call $done))"#,
    );
    let large = wasmprinter::print_bytes(&image).unwrap().replace("4 funcref", "5000 funcref");
    assert_eq!(kernel("").init(wat::parse_str(large).unwrap()).console(), "5000 5010 ");
}

#[test]
fn system_calls_of_every_arity_reach_the_kernel_with_their_arguments() {
    let params = |n: usize| "i32 ".repeat(n + 3);
    let mut kernel_side = String::new();
    let mut imports = String::new();
    let mut calls = String::new();
    let mut expected = String::new();
    for n in 0..=6 {
        let say: String = (0..n + 3).map(|i| format!("(call $say (local.get {i}))")).collect();
        kernel_side.push_str(&format!(
            "(func $syscall_{n} (export \"wasm_syscall_{n}\") (param {}) (result i32) {say} {{{{/ }}}} (i32.const {n}00))\n",
            params(n)
        ));
        imports.push_str(&format!(
            "(import \"env\" \"__wasm_syscall_{n}\" (func $s{n} (param {}) (result i32)))\n",
            params(n)
        ));
        let arguments: String = (0..n + 3).map(|i| format!("(i32.const {n}{i})")).collect();
        let next = format!("(local.set $sum (i32.add (local.get $sum) (call $s{n} {arguments})))");
        calls.push_str(&next);
        expected.push_str(&(0..n + 3).map(|i| format!("{} ", n * 10 + i)).collect::<String>());
        expected.push_str("/ ");
    }
    let image = wat::parse_str(format!(
        r#"(module (@dylink.0 (mem-info (memory 0 0)))
             (import "env" "memory" (memory 1 65536 shared)) {imports}
             (func (export "_start") (local $sum i32) {calls}
               (i32.store (i32.const 0x10600) (local.get $sum)) (unreachable)))"#
    ))
    .unwrap();
    let raise =
        r#"(func $raise_exception (export "raise_exception") (call $say (i32.load (i32.const 0x10600))) (call $done))"#;
    assert_eq!(kernel(&format!("{kernel_side}{raise}")).init(image).console(), expected + "2100 ");
}

/// A kernel whose system call 9 clones the caller on a runner of its own, at 0x12000, with `$user_sp` 0x7e000 and
/// thread pointer 0x7100; `before` runs before the clone is made.
fn cloning(before: &str, from_fork: &str) -> String {
    format!(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (if (i32.eq (local.get $new) (i32.const 0x12000))
               (then
                 (global.set $user_sp (i32.const 0x7e000))
                 (global.set $user_tp (i32.const 0x7100))
                 {from_fork}
                 (return (i32.const 1))))
             (call $exec (global.get $init) (global.get $init_end))
             (i32.const 0))
           (func $sys (param $nr i32) (param $a i32) (param $b i32) (result i32)
             (if (i32.eq (local.get $nr) (i32.const 11)) (then (call $user_mode_tail (i32.const 2))))
             {before}
             (drop (call $create (i32.const 0x11000) (i32.const 0x12000) (i32.const 0x10540)
               (global.get $init) (global.get $init_end) (i32.const 0x80000) (i32.const 16)))
             (i32.const 0))"#
    )
}

const CLONED: &str = r#"
    (func (export "_start") {{parent }} (drop (call $call (i32.const 9) (i32.const 0))))
    (func $child {{child }} (call $say (global.get $tls)) (call $say (global.get $__stack_pointer)) (call $done))"#;

#[test]
fn a_clone_enters_by_its_callback_whatever_its_type() {
    for callback in [
        r#"(func (export "__libc_clone_callback") (call $child))"#,
        r#"(func (export "__libc_clone_callback") (result i32) (call $child) (i32.const 0))"#,
    ] {
        let image = user_image(&format!("{CLONED} {callback}"));
        let run = kernel(&cloning("", "")).init(image).run();
        assert_eq!(run.done(), format!("parent child {} {} ", 0x7100, 0x7e000));
    }
}

#[test]
fn a_clone_runs_its_parents_image_though_the_bytes_are_gone() {
    let image = user_image(&format!(r#"{CLONED} (func (export "__libc_clone_callback") (call $child))"#));
    let other =
        user_image(r#"(func (export "_start")) (func (export "__libc_clone_callback") {{other}} (call $done))"#);
    let garbage =
        "(memory.fill (global.get $init) (i32.const 0xcc) (i32.sub (global.get $init_end) (global.get $init)))";
    // Another image, padded to the same length by a custom section.
    let padding = image.len() - other.len() - 3;
    let mut padded = other;
    padded.extend([0, padding as u8 | 0x80, (padding >> 7) as u8]);
    padded.extend(vec![0; padding]);
    let replaced =
        "(memory.copy (global.get $init) (global.get $other) (i32.sub (global.get $init_end) (global.get $init)))";
    for overwritten in [garbage, replaced] {
        let run = kernel(&cloning(overwritten, "")).init(image.clone()).image("other", padded.clone()).run();
        assert_eq!(run.done(), format!("parent child {} {} ", 0x7100, 0x7e000));
    }
}

#[test]
fn a_clone_born_with_a_pending_signal_handles_it_first() {
    let image = user_image(&format!(
        r#"{CLONED}
           (func (export "__libc_clone_callback") (call $child))
           (func (export "__libc_handle_signal")
             {{{{signal }}}} (call $say (global.get $tls)) (call $say (global.get $__stack_pointer))
             (drop (call $call (i32.const 11) (i32.const 0)))
             {{{{never}}}})"#
    ));
    // The kernel restores the stack pointer as its sigreturn does: the handler's system calls changed it.
    let from_fork = r#"
        (call $user_mode_tail (i32.const 1))
        {{tail }}
        (global.set $user_sp (i32.const 0x7e000))"#;
    let run = kernel(&cloning("", from_fork)).init(image).run();
    let (tls, sp) = (0x7100, 0x7e000);
    assert_eq!(run.done(), format!("parent signal {tls} {sp} tail child {tls} {sp} "));
}

#[test]
fn equal_images_are_one_module() {
    let image = user_image(r#"(func (export "_start") {{trap }} (unreachable))"#);
    // Two tasks, from two places in memory.
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (if (i32.eq (local.get $new) (i32.const 0x11000))
               (then (call $exec (global.get $init) (global.get $init_end)))
               (else (call $exec (global.get $again) (global.get $again_end))))
             (i32.const 0))
           (func $raise_exception (export "raise_exception")
             (drop (call $switch (i32.const 0x11000) (i32.const 0x10000))))
           (func $_start (export "_start")
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x12000)))
             (call $done))"#,
    )
    .init(image.clone())
    .image("again", image.clone());
    let run = kernel.run();
    assert_eq!(run.done(), "trap trap ");
    let modules: Vec<_> = run
        .events
        .iter()
        .filter_map(|e| if let Event::Trap { stack, .. } = e { Some(stack[0].address.module) } else { None })
        .collect();
    assert_eq!(modules, [ModuleId(1), ModuleId(1)]);
    assert_eq!(run.modules, [(ModuleId(1), image)]);
}

#[test]
fn an_image_that_cannot_run_kills_its_task_and_no_more() {
    let import = r#"(import "env" "wasm_panic" (func (param i32)))"#;
    let with_import = wasmprinter::print_bytes(user_image(r#"(func (export "_start"))"#)).unwrap();
    let with_import = with_import.replacen("(import ", &format!("{import} (import "), 1);
    let ok = user_image(r#"(func (export "_start") {{never}})"#);
    let invalid = {
        let text = r#"(module (@dylink.0 (mem-info)) (import "env" "memory" (memory 1 65536 shared)) (func (export "_start") (i32.add)))"#;
        wat::parse_str(text).unwrap()
    };
    for (bytes, complaint) in [
        (b"#!/bin/sh\n".to_vec(), "not a WebAssembly module"),
        (ok[..ok.len() / 2].to_vec(), "truncated"),
        (invalid, "type mismatch"),
        (wat::parse_str(with_import).unwrap(), "unknown import env.wasm_panic"),
        (wat::parse_str("(module)").unwrap(), "no dylink.0 section"),
        (Vec::new(), "not a WebAssembly module"),
    ] {
        let run = kernel(
            r#"(func $raise_exception (export "raise_exception")
                 {{killed }}
                 (drop (call $switch (i32.const 0x11000) (i32.const 0x10000))))"#,
        )
        .init(bytes)
        .run();
        assert_eq!(run.console, "killed ", "{complaint}: {:?}", run.outcome);
        let [text] = &run.complaints()[..] else { panic!("{:?}", run.complaints()) };
        assert!(text.starts_with("the user image at 0x40000..") && text.contains(complaint), "{text}");
        assert_eq!(run.traps()[0].0, "no image was loaded for this task, or it could not be compiled");
    }
}

#[test]
fn an_image_whose_range_makes_no_sense() {
    for (start, end) in [("0x100", "0"), ("0x1ffff0", "0x200001"), ("-16", "16"), ("0", "0")] {
        let exec = format!(
            r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
                 (call $load (i32.const {start}) (i32.const {end}) (i32.const 0) (i32.const 0)) (i32.const 0))"#
        );
        let run = kernel(&exec).init(Vec::new()).run();
        assert_eq!(run.died(), "");
        assert_eq!(run.complaints().len(), 1);
    }
}

#[test]
fn a_task_without_an_image_cannot_go_to_user_mode() {
    for result in [0, 1] {
        let fork = format!(
            r#"(func $ret_from_fork (export "ret_from_fork") (param i32 i32) (result i32) (i32.const {result}))"#
        );
        let run = kernel(&fork).init(Vec::new()).run();
        assert_eq!(run.died(), "");
        assert_eq!(run.traps()[0], ("no image was loaded for this task, or it could not be compiled", vec![]));
    }
}

#[test]
fn a_user_program_that_returns() {
    let run = kernel("").init(user_image(r#"(func (export "_start") {{main }})"#)).run();
    assert_eq!(run.died(), "main ");
    assert_eq!(run.complaints(), ["the user program returned instead of exiting"]);
}

#[test]
fn a_clone_of_an_image_without_the_entry() {
    let run = kernel(&cloning("", "")).init(user_image(CLONED)).run();
    assert_eq!(run.died(), "parent ");
    assert_eq!(run.traps()[0].0, "the image has no export __libc_clone_callback");
}

#[test]
fn abort_is_a_trap() {
    let image = wat::parse_str(
        r#"(module (@dylink.0 (mem-info))
             (import "env" "memory" (memory 1 65536 shared))
             (import "env" "__wasm_abort" (func $abort))
             (func $assert (call $abort))
             (func $main (export "_start") (call $assert)))"#,
    )
    .unwrap();
    let run = kernel("").init(image).run();
    run.died();
    assert_eq!(run.traps(), [("wasm `unreachable` instruction executed", vec!["assert".into(), "main".into()])]);
}

#[test]
fn a_user_program_without_system_calls_is_preempted() {
    // It spins until another CPU's kernel code, which must run meanwhile, stores a word.
    let image = user_image(
        r#"(func (export "_start")
             (i32.atomic.store (i32.const 0x10600) (i32.const 1))
             (loop $spin (br_if $spin (i32.ne (i32.atomic.load (i32.const 0x10600)) (i32.const 2))))
             {{freed}}
             (call $done))"#,
    );
    let kernel = kernel(
        r#"(func $_start_secondary (export "_start_secondary") (param i32)
             (loop $spin (br_if $spin (i32.ne (i32.atomic.load (i32.const 0x10600)) (i32.const 1))))
             (i32.atomic.store (i32.const 0x10600) (i32.const 2))
             (call $sleep (i64.const -1)))
           (func $_start (export "_start")
             (call $start_cpu (i32.const 1) (i32.const 0x13000) (i32.const 0))
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (call $done))"#,
    )
    .init(image);
    let run = boot(&kernel, |config| config.slice = 50);
    assert_eq!(run.done(), "freed");
}

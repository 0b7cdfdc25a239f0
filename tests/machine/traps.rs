//! Traps: told with their reason and stack, then handed to the kernel, and never the end of the host.

use wkdb::condition::Condition;
use wkdb_tracer::{Cpu, Event, Outcome, RunnerState, TaskId};

use crate::guest::{boot, kernel, user_image};

/// Code that traps, and the reason in Wasmtime's words.
const TRAPS: &[(&str, &str)] = &[
    ("(unreachable)", "wasm `unreachable` instruction executed"),
    ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "integer divide by zero"),
    ("(drop (i64.rem_s (i64.const 1) (i64.const 0)))", "integer divide by zero"),
    ("(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", "integer overflow"),
    ("(drop (i32.trunc_f64_s (f64.const 1e10)))", "integer overflow"),
    ("(drop (i32.trunc_f32_u (f32.const nan)))", "invalid conversion to integer"),
    ("(drop (i32.load (i32.const 0x200000)))", "out of bounds memory access"),
    ("(drop (i32.load (i32.const 0x1ffffd)))", "out of bounds memory access"),
    ("(drop (i64.load offset=0xffffffff (i32.const -1)))", "out of bounds memory access"),
    ("(i32.store (i32.const 0x200000) (i32.const 1))", "out of bounds memory access"),
    ("(i32.store8 (i32.const -1) (i32.const 1))", "out of bounds memory access"),
    ("(f64.store (i32.const 0x1ffff9) (f64.const 1))", "out of bounds memory access"),
    ("(v128.store (i32.const 0x1ffff1) (v128.const i64x2 1 1))", "out of bounds memory access"),
    ("(memory.fill (i32.const 0x1ffff0) (i32.const 1) (i32.const 17))", "out of bounds memory access"),
    ("(memory.copy (i32.const 0x10600) (i32.const 0x1ffff0) (i32.const 17))", "out of bounds memory access"),
    ("(memory.init $bytes (i32.const 0x10600) (i32.const 0) (i32.const 17))", "out of bounds memory access"),
    ("(drop (i32.atomic.load (i32.const 0x200000)))", "out of bounds memory access"),
    ("(drop (i64.atomic.rmw.add (i32.const 0x200000) (i64.const 1)))", "out of bounds memory access"),
    (
        "(drop (i32.atomic.rmw8.cmpxchg_u (i32.const 0x200000) (i32.const 0) (i32.const 1)))",
        "out of bounds memory access",
    ),
    ("(i32.atomic.store (i32.const 0x10602) (i32.const 1))", "unaligned atomic"),
    ("(drop (i64.atomic.load (i32.const 0x10604)))", "unaligned atomic"),
    ("(drop (i32.atomic.rmw16.or_u (i32.const 0x10601) (i32.const 1)))", "unaligned atomic"),
    ("(drop (memory.atomic.notify (i32.const 0x10602) (i32.const 1)))", "unaligned atomic"),
    ("(drop (memory.atomic.notify (i32.const 0x200000) (i32.const 1)))", "out of bounds memory access"),
    ("(drop (memory.atomic.wait32 (i32.const 0x10602) (i32.const 0) (i64.const 0)))", "unaligned atomic"),
    ("(drop (memory.atomic.wait64 (i32.const 0x10604) (i64.const 0) (i64.const 0)))", "unaligned atomic"),
    (
        "(drop (memory.atomic.wait32 offset=4 (i32.const 0x1ffffc) (i32.const 0) (i64.const 0)))",
        "out of bounds memory access",
    ),
    (
        "(drop (memory.atomic.wait64 offset=0xfffffff8 (i32.const -8) (i64.const 0) (i64.const 0)))",
        "out of bounds memory access",
    ),
    (
        "(call_indirect $functions (type $nothing) (i32.const 0x7fffffff))",
        "undefined element: out of bounds table access",
    ),
    ("(call_indirect $functions (type $nothing) (i32.const 100))", "uninitialized element"),
    ("(call_indirect $functions (type $number) (i32.const 17)) (drop)", "indirect call type mismatch"),
    ("(call $deep (i32.const 0))", "call stack exhausted"),
];

/// A function that recurses for ever, a table with `$culprit` at 17, and `$culprit`, which runs `code`.
fn culprit(code: &str, table: &str) -> String {
    format!(
        r#"(type $nothing (func)) (type $number (func (result i32)))
           {table}
           (data $bytes "0123456789abcdef")
           (func $deep (param i32) (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.store (i32.const 0x10600) (local.get 0)))
           (func $culprit {code})"#
    )
}

#[test]
fn in_the_kernel() {
    for (code, reason) in TRAPS {
        let culprit = culprit(code, "(table $functions 200 funcref) (elem (i32.const 17) $culprit)");
        let kernel = kernel(&format!(
            r#"{culprit}
               (func $raise_exception (export "raise_exception") {{{{exception}}}} (call $done))
               (func $_start (export "_start") (call $culprit) {{{{after}}}})"#
        ));
        for watched in [false, true] {
            let run = boot(&kernel, |config| config.store_checks = watched);
            assert_eq!(run.done(), "exception", "{code}");
            let [(found, functions)] = &run.traps()[..] else { panic!("{code}: {:?}", run.events) };
            assert_eq!(found, reason, "{code}");
            match code.contains("$deep") {
                true => assert!(functions.len() > 100 && functions[..100].iter().all(|f| f == "deep"), "{functions:?}"),
                false => assert_eq!(functions, &["culprit", "_start"], "{code}"),
            }
            let [.., Event::Trap { context: trap, .. }, Event::Panic { context: panic, stack, .. }] = &run.events[..]
            else {
                panic!("{:?}", run.events)
            };
            assert_eq!((trap.runner, trap.task, trap.cpu), (panic.runner, TaskId(0x10000), Cpu(0)));
            assert_eq!(run.functions(stack), ["done", "raise_exception"], "its old stack is gone: {code}");
        }
    }
}

#[test]
fn in_a_user_program() {
    for (code, reason) in TRAPS {
        let culprit =
            culprit(code, r#"(elem (offset (i32.const 17)) func $culprit) "#).replace("$functions ", "$table ");
        let image = user_image(&format!(r#"{culprit} (func $main (export "_start") (call $culprit) {{{{after}}}})"#));
        let kernel = kernel(
            r#"(func $raise_exception (export "raise_exception")
                 {{SIGILL }}
                 (drop (call $switch (i32.const 0x11000) (i32.const 0x10000))))"#,
        )
        .init(image);
        for watched in [false, true] {
            let run = boot(&kernel, |config| config.store_checks = watched);
            assert_eq!(run.done(), "SIGILL ", "{code}");
            let [(found, functions)] = &run.traps()[..] else { panic!("{code}: {:?}", run.events) };
            assert_eq!(found, reason, "{code}");
            match code.contains("$deep") {
                true => assert!(functions.len() > 100 && functions[..100].iter().all(|f| f == "deep"), "{functions:?}"),
                false => assert_eq!(functions, &["culprit", "main"], "{code}"),
            }
        }
    }
}

#[test]
fn in_a_system_call_the_stack_goes_through_both_modules() {
    let image = user_image(r#"(func $main (export "_start") (drop (call $call (i32.const 9) (i32.const 0))))"#);
    let kernel = kernel(
        r#"(type $wrong (func (param i64) (result i32)))
           (table 1 funcref) (elem (i32.const 0) $sys_pause)
           (func $sys_pause (param i32 i32) (result i32) (i32.const 0))
           (func $sys (param $nr i32) (param $a i32) (param $b i32) (result i32)
             (call_indirect (type $wrong) (i64.const 0) (i32.const 0)))"#,
    )
    .init(image);
    let run = kernel.run();
    run.died();
    let [(reason, functions)] = &run.traps()[..] else { panic!("{:?}", run.events) };
    assert_eq!(*reason, "indirect call type mismatch");
    assert_eq!(functions, &["sys", "syscall", "syscall_1", "call", "main"]);
}

#[test]
fn in_the_kernels_start_function() {
    let kernel = kernel(
        r#"(func $_start (export "_start") {{never}})
           (func $boom (unreachable))
           (func $raise_exception (export "raise_exception") {{exception}} (call $done))"#,
    );
    let wasm = kernel.wasm_with(|text| text.replace("(func $init (if", "(func $init (call $boom) (if"));
    let run = crate::guest::boot_wasm(wasm, |_| {}, Vec::new());
    // The strings are not there yet: as many zeros are printed.
    assert_eq!(run.done(), "\0".repeat(9));
    assert_eq!(run.traps()[0].1, ["boom", "init"]);
}

#[test]
fn in_an_images_start_function_and_constructors() {
    for (function, name) in [
        ("(func (export \"__wasm_call_ctors\") (call $boom))", "__wasm_call_ctors"),
        ("(func (export \"__wasm_apply_data_relocs\") (call $boom))", "__wasm_apply_data_relocs"),
    ] {
        let image =
            user_image(&format!("{function} (func $boom (unreachable)) (func (export \"_start\") {{{{never}}}})"));
        let run = kernel("").init(image).run();
        assert_eq!(run.died(), "", "{name}");
        assert_eq!(run.traps()[0].1[0], "boom", "{name}");
    }
    let started = user_image(r#"(func $boom (unreachable)) (func (export "_start") {{never}})"#);
    let text = wasmprinter::print_bytes(&started)
        .unwrap()
        .replace("(func $init (;", "(func $init (;")
        .replace("memory.init $strings", "call $boom memory.init $strings");
    let run = kernel("").init(wat::parse_str(text).unwrap()).run();
    assert_eq!(run.died(), "");
    assert_eq!(run.traps()[0].1, ["boom", "init"]);
}

#[test]
fn an_exception_that_nobody_catches() {
    let kernel = kernel(
        r#"(tag $longjmp (param i32))
           (func $jump (throw $longjmp (i32.const 1)))
           (func $_start (export "_start")
             (block $caught (result i32)
               (try_table (catch $longjmp $caught) (call $jump))
               (i32.const 5))
             (call $say)
             (call $jump))
           (func $raise_exception (export "raise_exception") {{exception}} (call $done))"#,
    );
    let run = kernel.run();
    assert_eq!(run.done(), "1 exception");
    let (reason, functions) = &run.traps()[0];
    assert!(reason.contains("exception"), "{reason}");
    assert_eq!(functions, &["jump", "_start"]);
}

#[test]
fn a_kernel_that_handles_its_exception_badly_ends_the_run() {
    let cases = [
        ("", "raise_exception returned, which the host contract forbids", 1),
        ("(call $boom)", "the kernel trapped while it handled a trap", 2),
    ];
    for (handler, message, traps) in cases {
        let kernel = kernel(&format!(
            r#"(func $boom (unreachable))
               (func $raise_exception (export "raise_exception") {handler})
               (func $_start (export "_start") (drop (i32.load (i32.const -1))))"#
        ));
        let run = kernel.run();
        let Outcome::Broken(reason) = &run.outcome else { panic!("{:?}", run.outcome) };
        assert!(reason.contains(message) && reason.contains("swapper/0") && reason.contains("cpu0"), "{reason}");
        assert_eq!(run.traps().len(), traps);
    }
    let wasm = kernel(r#"(func $_start (export "_start") (unreachable))"#)
        .wasm_with(|text| text.replace("(export \"raise_exception\")", ""));
    let run = crate::guest::boot_wasm(wasm, |_| {}, Vec::new());
    let Outcome::Broken(reason) = &run.outcome else { panic!("{:?}", run.outcome) };
    assert!(reason.contains("raise_exception"), "{reason}");
    assert_eq!(run.traps().len(), 1);
}

#[test]
fn entries_that_must_not_return() {
    let run = kernel(r#"(func $_start (export "_start"))"#).run();
    let Outcome::Broken(reason) = &run.outcome else { panic!("{:?}", run.outcome) };
    assert!(reason.contains("_start returned"), "{reason}");
    let run = kernel(
        r#"(func $_start_secondary (export "_start_secondary") (param i32))
           (func $_start (export "_start") (call $start_cpu (i32.const 3) (i32.const 0x13000) (i32.const 0)) (call $sleep (i64.const -1)))"#,
    )
    .run();
    let Outcome::Broken(reason) = &run.outcome else { panic!("{:?}", run.outcome) };
    assert!(reason.contains("_start_secondary returned") && reason.contains("cpu3"), "{reason}");
    let run = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param i32 i32) (result i32) (i32.const 2))
           (func $_start (export "_start") (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000))))"#,
    )
    .run();
    let Outcome::Broken(reason) = &run.outcome else { panic!("{:?}", run.outcome) };
    assert!(reason.contains("ret_from_fork returned 2"), "{reason}");
}

#[test]
fn a_run_until_a_trap_keeps_the_trapped_runner() {
    let kernel = kernel(
        r#"(func $raise_exception (export "raise_exception") {{exception}})
           (func $_start (export "_start") (unreachable))"#,
    );
    let mut run = boot(&kernel, |config| config.until = vec![Condition::Trap]);
    assert_eq!((&run.outcome, run.console.as_str()), (&Outcome::Until("trap".into()), ""));
    assert_eq!(run.machine.reports()[0].state, RunnerState::Stopped);
}

#[test]
fn a_trapped_task_leaves_the_others_alone() {
    let kernel = kernel(
        r#"(func $_start_secondary (export "_start_secondary") (param i32) (drop (i32.load (i32.const -4))))
           (func $raise_exception (export "raise_exception") (call $stop_cpu (i32.const 1)))
           (func $_start (export "_start")
             (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
             (call $sleep (i64.const 1_000_000))
             {{alive}}
             (call $done))"#,
    );
    let run = kernel.run();
    assert_eq!(run.done(), "alive");
    assert_eq!(run.traps().len(), 1);
}

//! Calls without end: the same number of them in all variants of the code; and what is left of the stack is right after
//! every way in which frames can go.

use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{Cache, MachineConfig};
use wkdb_debugger::inferior::{WatchCondition, WatchKind, WatchSpec};
use wkdb_tracer::Outcome;

use crate::guest::{Kernel, Run, boot, kernel, user_image};

/// Functions that come to call themselves in different ways, each counting in `$depth`; the frames of those with many
/// values are of very different sizes in compiled code.
const ENDLESS: &str = r#"
(type $nothing (func))
(type $values (func (param i32 i64 f64 v128) (result i64 i32)))
(tag $thrown)
(global $depth (mut i32) (i32.const 0))
(func $deeper (global.set $depth (i32.add (global.get $depth) (i32.const 1))))
(func $direct (call $deeper) (call $direct) (call $deeper))
(func $even (local i64 i64 i64) (call $deeper) (call $odd) (local.set 0 (i64.const 1)))
(func $odd (local f64 v128) (call $deeper) (call $even) (local.set 0 (f64.const 1)))
(func $indirect (call $deeper) (call_indirect $functions (type $nothing) (i32.const 17)) (call $deeper))
(func $wide (type $values)
  (local $a i32) (local $b i32) (local $c i64)
  (call $deeper)
  (local.set $a (i32.mul (local.get 0) (i32.const 3)))
  (local.set $b (i32.load (i32.const 0x10700)))
  (call $wide (i32.add (local.get $a) (local.get $b)) (local.get 1) (f64.add (local.get 2) (f64.const 1)) (local.get 3))
  (br_if 0 (local.get $a))
  (i32.store (i32.const 0x10700) (i32.xor (local.get $a) (local.get $b)))
  (i32.add (local.get $b)))
(func $call_wide
  (call $wide (i32.const 1) (i64.const 2) (f64.const 3) (v128.const i64x2 4 5)) (drop) (drop))
(func $looping (local $n i32)
  (local.set $n (i32.const 3))
  (loop $again
    (i32.store (i32.const 0x10704) (local.get $n))
    (call $deeper)
    (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (call $looping)
  (i32.store (i32.const 0x10704) (local.get $n)))
(func $catching
  (call $deeper)
  (block $caught (try_table (catch $thrown $caught) (call $catching) (throw $thrown)))
  (call $deeper))
(func $tail (call $deeper) (call $before_tail) (call $deeper))
(func $before_tail (call $deeper) (return_call $tail))
(func $returning (result i32)
  (call $deeper)
  (if (i32.eqz (global.get $depth)) (then (return (i32.const 1))))
  (return (i32.add (call $returning) (i32.const 1))))
(func $call_returning (drop (call $returning)))
"#;

const KINDS: [&str; 9] =
    ["direct", "even", "indirect", "call_wide", "looping", "catching", "tail", "call_returning", "odd"];

/// The run in each variant of the code.
fn variants(kernel: &Kernel) -> Vec<(String, Run)> {
    let cache = tempfile::tempdir().unwrap();
    let with = |name: &str, set: &dyn Fn(&mut MachineConfig)| {
        let run = boot(kernel, |config| {
            config.cache = Some(Cache { directory: cache.path().into(), limit: 1 << 30 });
            set(config);
        });
        (name.to_owned(), run)
    };
    let reads = WatchSpec {
        address: 0x10700,
        len: 4,
        kind: WatchKind::Access,
        condition: WatchCondition::default(),
        stop: false,
    };
    let engine = |opt_level, debug| EngineOptions { opt_level, debug };
    vec![
        with("not optimised", &|_| {}),
        with("fast", &|config| config.engine = engine(OptLevelChoice::Speed, false)),
        with("checked", &|config| config.store_checks = true),
        with("fast, reads checked", &|config| {
            config.engine = engine(OptLevelChoice::Speed, false);
            config.watch_specs = vec![reads.clone()];
        }),
        with("for a debugger", &|config| config.engine = engine(OptLevelChoice::Speed, true)),
        with("for a debugger, not optimised, reads checked", &|config| {
            config.engine = engine(OptLevelChoice::None, true);
            config.load_checks = true;
        }),
    ]
}

/// All variants print the same, trap at the same place of the same run, and all is theirs.
fn the_same(kernel: &Kernel, reason: &str) -> String {
    let runs = variants(kernel);
    let (_, first) = &runs[0];
    for (name, run) in &runs {
        let console = run.done();
        assert_eq!(run.traps(), first.traps(), "{name}");
        assert_eq!((&console, &run.totals), (&first.console, &first.totals), "{name}");
    }
    let [(found, functions)] = &first.traps()[..] else { panic!("{:?}", first.events) };
    assert_eq!((*found, functions.len()), (reason, 256));
    first.console.clone()
}

#[test]
fn a_kernel_that_recurses_without_end_does_so_equally_often_in_all_variants() {
    for kind in KINDS {
        let kernel = kernel(&format!(
            r#"{ENDLESS}
               (table $functions 200 funcref) (elem (i32.const 17) $indirect)
               (func $raise_exception (export "raise_exception") (call $say (global.get $depth)) (call $done))
               (func $_start (export "_start") (call ${kind}))"#
        ));
        let depth: u32 = the_same(&kernel, "call stack exhausted").trim().parse().unwrap();
        assert!((3_000..100_000).contains(&depth), "{kind}: {depth}");
    }
}

#[test]
fn so_does_a_user_program() {
    for kind in ["direct", "even", "indirect", "call_wide", "catching"] {
        let body = ENDLESS.replace("$functions ", "$table ");
        // What it counts is said in the kernel, where it is written with each call.
        let body = body.replace(
            "(func $deeper (global.set $depth (i32.add (global.get $depth) (i32.const 1))))",
            "(func $deeper (i32.store (i32.const 0x10710) (i32.add (i32.load (i32.const 0x10710)) (i32.const 1))))",
        );
        let image = user_image(&format!(
            r#"{body} (elem (offset (i32.const 17)) func $indirect)
               (func (export "_start") (call ${kind}))"#
        ));
        let kernel = kernel(
            r#"(func $raise_exception (export "raise_exception")
                 (call $say (i32.load (i32.const 0x10710)))
                 (drop (call $switch (i32.const 0x11000) (i32.const 0x10000))))"#,
        )
        .init(image);
        let depth: u32 = the_same(&kernel, "call stack exhausted").trim().parse().unwrap();
        assert!((3_000..100_000).contains(&depth), "{kind}: {depth}");
    }
}

#[test]
fn a_deep_recursion_that_ends_is_none_without_end() {
    // Deeper than any stack holds if each of the thousand rounds left something behind.
    let kernel = kernel(
        r#"(tag $thrown)
           (func $down (param $n i32) (result i32)
             (if (i32.eqz (local.get $n)) (then (return (i32.const 1))))
             (br_if 0 (i32.const 2) (i32.eq (local.get $n) (i32.const 7)))
             (drop)
             (i32.add (call $down (i32.sub (local.get $n) (i32.const 1))) (i32.const 1)))
           (func $throws (param $n i32)
             (if (i32.eqz (local.get $n)) (then (throw $thrown)))
             (call $throws (i32.sub (local.get $n) (i32.const 1))))
           (func $_start (export "_start") (local $round i32)
             (loop $again
               (if (i32.ne (call $down (i32.const 500)) (i32.const 495)) (then {{wrong}}))
               (if (i32.ne (call $down (i32.const 6)) (i32.const 7)) (then {{wrong}}))
               (block $caught (try_table (catch $thrown $caught) (call $throws (i32.const 500))))
               (br_if $again (i32.lt_u (local.tee $round (i32.add (local.get $round) (i32.const 1))) (i32.const 1000))))
             {{whole}}
             (call $done))"#,
    );
    for (name, run) in variants(&kernel) {
        assert_eq!(run.done(), "whole", "{name}");
    }
}

#[test]
fn what_signals_exec_and_exceptions_unwind_is_given_back() {
    // 300 times some 70 calls deep, in a program, its handler, and a program after exec: more than the stack has.
    const DOWN: &str = r#"
        (func $down (param $n i32) (param $nr i32)
          (if (i32.eqz (local.get $n)) (then (drop (call $call (local.get $nr) (i32.const 0))) (return)))
          (call $down (i32.sub (local.get $n) (i32.const 1)) (local.get $nr)))"#;
    let image = user_image(&format!(
        r#"{DOWN}
           (func (export "__libc_handle_signal") (call $down (i32.const 70) (i32.const 11)))
           (func (export "_start")
             (call $down (i32.const 70) (i32.const 10))
             (call $down (i32.const 70) (i32.const 12)))"#
    ));
    let kernel = kernel(
        r#"(func $sys (param $nr i32) (param $a i32) (param $b i32) (result i32)
             (if (i32.eq (local.get $nr) (i32.const 10)) (then (call $user_mode_tail (i32.const 1))))
             (if (i32.eq (local.get $nr) (i32.const 11)) (then (call $user_mode_tail (i32.const 2))))
             (if (i32.eq (local.get $nr) (i32.const 12))
               (then
                 (i32.store (i32.const 0x10710) (i32.add (i32.load (i32.const 0x10710)) (i32.const 1)))
                 (if (i32.eq (i32.load (i32.const 0x10710)) (i32.const 300)) (then {{whole}} (call $done)))
                 (call $exec (global.get $init) (global.get $init_end))
                 (call $user_mode_tail (i32.const -1))))
             (i32.const 0))"#,
    )
    .init(image);
    for (name, run) in variants(&kernel) {
        assert_eq!(run.done(), "whole", "{name}");
    }
}

#[test]
fn a_kernel_that_recurses_in_its_exception_handler_has_the_whole_stack_there() {
    let kernel = kernel(&format!(
        r#"{ENDLESS}
           (table $functions 200 funcref) (elem (i32.const 17) $indirect)
           (func $raise_exception (export "raise_exception")
             (call $say (global.get $depth))
             (global.set $depth (i32.const 0))
             (call $direct))
           (func $_start (export "_start") (call $direct))"#
    ));
    let mut ends = variants(&kernel).into_iter().map(|(name, run)| {
        let Outcome::Broken(reason) = &run.outcome else { panic!("{name}: {:?}", run.outcome) };
        assert!(reason.contains("the kernel trapped while it handled a trap"), "{reason}");
        assert_eq!(run.traps().len(), 2);
        assert_eq!(run.complaints(), [""; 0]);
        (run.totals, run.console)
    });
    let first = ends.next().unwrap();
    assert!(ends.all(|end| end == first));
}

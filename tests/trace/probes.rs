//! Functions with probes: they tell of every call and every way back, and compute what they did.

use crate::guest::{check_nesting, events, named};
use crate::program::{kernel_with, wkdb};

/// Functions of many types that return in many ways, called in many ways.
const FUNCTIONS: &str = r#"
  (type $binary (func (param i32 i32) (result i32)))
  (table 4 funcref)
  (elem (i32.const 1) $sum)
  (func $sum (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func $early (param $n i32) (result i64)
    (block $out
      (br_if $out (i32.gt_s (local.get $n) (i32.const 5)))
      (return (i64.const -1)))
    (br_if 0 (i64.const 7) (i32.gt_s (local.get $n) (i32.const 8)))
    (drop)
    (i64.const 8))
  (func $down (param $n i32) (result i32)
    (if (result i32) (local.get $n)
      (then (i32.add (i32.const 1) (call $down (i32.sub (local.get $n) (i32.const 1)))))
      (else (i32.const 0))))
  (func $tail (param i32 i32) (result i32) (return_call $sum (local.get 1) (local.get 0)))
  (func $pair (param f32 f64) (result i32 i64) (i32.const 3) (i64.const 4))
  (func $half (param f64) (result f64) (f64.div (local.get 0) (f64.const 2)))
  (func $check (param i32) (if (i32.eqz (local.get 0)) (then (unreachable))))"#;

const START: &str = r#"
  (local $n i32)
  (call $check (i32.eq (call_indirect (type $binary) (i32.const 20) (i32.const 22) (i32.const 1)) (i32.const 42)))
  (call $check (i64.eq (call $early (i32.const 1)) (i64.const -1)))
  (call $check (i64.eq (call $early (i32.const 9)) (i64.const 7)))
  (call $check (i64.eq (call $early (i32.const 7)) (i64.const 8)))
  (call $check (i32.eq (call $down (i32.const 3)) (i32.const 3)))
  (call $check (i32.eq (call $tail (i32.const 1) (i32.const 2)) (i32.const 3)))
  (call $check (i64.eq (call $pair (f32.const 1) (f64.const 2)) (i64.const 4)))
  (drop)
  (call $check (f64.eq (call $half (f64.const 3)) (f64.const 1.5)))
  (call $hello)
  (loop $forever (call $sleep (i64.const 1000000)) (br $forever))"#;

#[test]
fn every_call_and_every_return_is_told_with_its_values() {
    // `$pair` leaves two values for one check.
    let start = START.replace(
        "(call $check (i64.eq (call $pair (f32.const 1) (f64.const 2)) (i64.const 4)))",
        "(call $pair (f32.const 1) (f64.const 2)) (call $check (i64.eq (i64.const 4)))",
    );
    let kernel = kernel_with(FUNCTIONS, &start);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.wkr");
    let run =
        wkdb().arg("run").arg(kernel.path()).args(["--until", "time=10ms", "--record"]).arg(&file).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let events = events(&file, &["--events", "function", "--trace", "sum,early,down,tail,pair,half"]);
    let calls = check_nesting(&events);
    let of = |name: &str, phase: &str, field: &str| -> Vec<String> {
        let found = named(&events, name, phase).into_iter();
        found.map(|event| event["fields"][field].as_str().unwrap_or("none").to_owned()).collect()
    };
    // What `$tail` calls in the place of its return is not told.
    assert_eq!(of("sum", "begin", "args"), ["20, 22"]);
    assert_eq!(of("sum", "end", "result"), ["42"]);
    assert_eq!(of("early", "end", "result"), ["-1", "7", "8"]);
    assert_eq!(of("down", "begin", "args"), ["3", "2", "1", "0"]);
    assert_eq!(of("down", "end", "result"), ["0", "1", "2", "3"]);
    assert_eq!(of("tail", "begin", "args"), ["1, 2"]);
    assert_eq!(of("tail", "end", "result"), ["3"]);
    assert_eq!(of("pair", "begin", "args"), [format!("{:#x}, {:#x}", 1f32.to_bits(), 2f64.to_bits())]);
    assert_eq!(of("pair", "end", "result"), ["none"]);
    assert_eq!(of("half", "end", "result"), [format!("{:#x}", 1.5f64.to_bits())]);
    assert_eq!(calls, 1 + 3 + 4 + 1 + 1 + 1);
}

#[test]
fn calls_that_a_trap_leaves_are_ended() {
    let functions = r#"
      (func $outer (call $inner (i32.const 1)))
      (func $inner (param i32) (unreachable))"#;
    let kernel = kernel_with(functions, "(call $outer)");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.wkr");
    let run = wkdb().arg("run").arg(kernel.path()).arg("--record").arg(&file).output().unwrap();
    assert_eq!(run.status.code(), Some(3), "{}", String::from_utf8_lossy(&run.stderr));
    let events = events(&file, &["--trace", "outer,inner"]);
    assert_eq!(check_nesting(&events), 2);
    let trap = events.iter().position(|event| event["name"] == "trap").unwrap();
    let end = events.iter().position(|event| event["phase"] == "end").unwrap();
    assert!(trap < end, "{events:?}");
}

#[test]
fn endless_recursion_and_long_chains_of_tail_calls_end_where_they_do_without_probes() {
    let functions = r#"
      (func $down (param i32) (result i32) (i32.add (call $down (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
      (func $hop (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 5))))
        (return_call $hop (i32.sub (local.get 0) (i32.const 1))))"#;
    let kernel = kernel_with(functions, "(drop (call $hop (i32.const 1000000))) (drop (call $down (i32.const 0)))");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("run.wkr");
    let run = wkdb().arg("run").arg(kernel.path()).arg("--record").arg(&file).output().unwrap();
    assert_eq!(run.status.code(), Some(3), "{}", String::from_utf8_lossy(&run.stderr));
    // It is compared with the recording.
    let events = events(&file, &["--trace", "down,hop"]);
    let calls = named(&events, "down", "begin").len();
    assert!(calls > 5000, "{calls}");
    assert_eq!(check_nesting(&events), calls + 1);
}

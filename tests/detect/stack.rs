//! The stack pointer against the bounds of its stack. Kernels without debug information are taken for the port's: stacks
//! of 8 KiB, with the task at the top.

use wkdb::condition::Condition;
use wkdb::machine::DetectConfig;
use wkdb_tracer::{Detector, Outcome};

use crate::guest::{Kernel, boot, kernel};
use crate::{boot_everywhere, findings};

/// A kernel whose task, at 0x33f00, calls a function so often inside of itself, and prints what follows. Its stack reaches
/// down to 0x32000; each call takes 1024 bytes.
fn deep(calls: u32, more: &str) -> Kernel {
    kernel(&format!(
        r#"(func $_start (export "_start") (drop (call $spawn (i32.const 0x10000) (i32.const 0x33f00))) (call $done))
           (func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (global.set $__stack_pointer (local.get $new))
             (call $deep (i32.const {calls}))
             {{{{back }}}}
             {more}
             (drop (call $switch (local.get $new) (i32.const 0x10000)))
             (i32.const 0))
           (func $deep (param $more i32) (local $frame i32)
             (global.set $__stack_pointer
               (local.tee $frame (i32.sub (global.get $__stack_pointer) (i32.const 1024))))
             (if (i32.gt_u (local.get $more) (i32.const 1))
               (then (call $deep (i32.sub (local.get $more) (i32.const 1)))))
             (global.set $__stack_pointer (i32.add (local.get $frame) (i32.const 1024))))"#
    ))
}

#[test]
fn a_function_that_leaves_the_stack_is_found_where_it_does() {
    let run = boot_everywhere(&deep(8, ""), Detector::Stack);
    let found = findings(&run);
    let [finding] = found[..] else { panic!("{found:#?}") };
    assert!(finding.headline.ends_with("is 256 bytes below its kernel stack"), "{finding}");
    assert_eq!(finding.area.map(|area| (area.address, area.len)), Some((0x31f00, 256)));
    let functions = run.functions(&finding.stack);
    assert_eq!(functions[..9], [["deep"; 8].as_slice(), &["ret_from_fork"]].concat());
    assert_eq!(finding.context.as_ref().unwrap().task.0, 0x33f00);
}

#[test]
fn a_stack_that_is_full_to_its_last_byte_is_no_mistake() {
    assert_eq!(findings(&boot_everywhere(&deep(7, ""), Detector::Stack)).len(), 0);
    // 7936 bytes are all there is.
    let all = "(global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 7936)))
               (global.set $__stack_pointer (i32.add (global.get $__stack_pointer) (i32.const 7936)))";
    assert_eq!(findings(&boot_everywhere(&deep(1, all), Detector::Stack)).len(), 0);
}

#[test]
fn each_function_is_told_once_and_a_stack_that_was_left_can_be_left_again() {
    let again = "(call $deep (i32.const 9)) (call $deep (i32.const 2)) (call $other)";
    let kernel = deep(9, again);
    let other = r#"(func $other
        (global.set $__stack_pointer (i32.sub (global.get $__stack_pointer) (i32.const 7952)))
        (global.set $__stack_pointer (i32.add (global.get $__stack_pointer) (i32.const 7952))))"#;
    let run = boot_everywhere(&kernel.with(other), Detector::Stack);
    let found: Vec<_> = findings(&run).iter().map(|finding| run.functions(&finding.stack)[0].clone()).collect();
    assert_eq!(found, ["deep", "other"]);
}

#[test]
fn one_that_leaves_it_at_the_top_is_found_too() {
    let up = "(global.set $__stack_pointer (i32.const 0x33f20))
              (global.set $__stack_pointer (local.get $new))";
    let run = boot_everywhere(&deep(1, up), Detector::Stack);
    let found = findings(&run);
    assert_eq!(found.len(), 1);
    assert!(found[0].headline.ends_with("is 32 bytes above its kernel stack"), "{}", found[0]);
}

#[test]
fn a_run_can_end_at_the_first_finding() {
    let run = boot(&deep(8, ""), |config| {
        config.detect = DetectConfig::of([Detector::Stack]);
        config.until.push(Condition::Finding);
    });
    assert_eq!(run.outcome, Outcome::Until("finding".into()));
    assert_eq!((findings(&run).len(), run.console.as_str()), (1, ""));
}

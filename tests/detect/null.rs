//! Writes into the first 64 KiB.

use wkdb_tracer::{Detector, ModuleId};

use crate::guest::{kernel, user_image};
use crate::{boot_everywhere, findings};

fn starting(body: &str) -> crate::guest::Kernel {
    kernel(&format!(r#"(func $_start (export "_start") {body} {{{{on}}}} (call $done))"#))
}

#[test]
fn every_kind_of_write_near_null_is_found_with_what_was_there() {
    for (write, old, new, address) in [
        ("(i32.store (i32.const 8) (i32.const 7))", vec![0; 4], vec![7, 0, 0, 0], 8),
        ("(i64.store8 offset=65535 (i32.const 0) (i64.const 1))", vec![0], vec![1], 0xffff),
        ("(i32.store offset=65532 (i32.const 2) (i32.const -1))", vec![0; 2], vec![0xff; 2], 0xfffe),
        ("(drop (i32.atomic.rmw.or (i32.const 0) (i32.const 3)))", vec![0; 4], vec![3, 0, 0, 0], 0),
        ("(memory.fill (i32.const 0x100) (i32.const 5) (i32.const 3))", vec![0; 3], vec![5; 3], 0x100),
    ] {
        let run = boot_everywhere(&starting(write), Detector::Null);
        let found = findings(&run);
        let [finding] = found[..] else { panic!("{write}: {found:#?}") };
        let change = finding.change.clone().unwrap();
        assert_eq!((change.old, change.new), (Some(old), new), "{write}");
        assert_eq!(finding.area.unwrap().address, address, "{write}");
        assert_eq!(run.functions(&finding.stack), ["_start"]);
        assert_eq!(run.done(), "on");
    }
}

#[test]
fn what_reads_there_or_writes_behind_is_no_mistake() {
    let run = boot_everywhere(
        &starting(
            "(drop (i32.load (i32.const 0))) (i32.store (i32.const 0x10600) (i32.const 1))
             (memory.fill (i32.const 0) (i32.const 1) (i32.const 0))
             (drop (i32.atomic.rmw.cmpxchg (i32.const 0) (i32.const 9) (i32.const 1)))",
        ),
        Detector::Null,
    );
    assert_eq!(findings(&run).len(), 0);
}

#[test]
fn a_loop_that_writes_there_is_told_once() {
    let body = "(loop $again (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
        (br_if $again (i32.lt_u (i32.load (i32.const 16)) (i32.const 1000))))";
    assert_eq!(findings(&boot_everywhere(&starting(body), Detector::Null)).len(), 1);
}

#[test]
fn a_program_that_writes_there_is_named() {
    let image = user_image(r#"(func (export "_start") (i32.store (i32.const 4) (i32.const 1)) (call $done))"#);
    let run = boot_everywhere(&kernel("").init(image), Detector::Null);
    let found = findings(&run);
    assert_eq!(found.len(), 1);
    assert_ne!(found[0].stack[0].address.module, ModuleId::KERNEL);
}

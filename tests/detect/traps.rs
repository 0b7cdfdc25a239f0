//! What is said of traps: through which pointer a function was called, which memory was accessed.

use wkdb_tracer::Detector;

use crate::guest::{Kernel, kernel, user_image};
use crate::{boot_everywhere, findings};

/// A kernel that does this, which traps.
fn trapping(body: &str) -> Kernel {
    kernel(&format!(
        r#"(table 8 funcref) (elem (i32.const 1) $one $caller)
           (type $one (func (param i32)))
           (type $two (func (param i32 i64) (result i32)))
           (func $one (type $one))
           (func $caller {body})
           (func $_start (export "_start") (call $caller) (call $done))"#
    ))
}

#[test]
fn a_call_through_what_is_no_pointer_is_told_with_the_pointer_and_both_types() {
    let call =
        |index: u32| format!("(drop (call_indirect (type $two) (i32.const 7) (i64.const 7) (i32.const {index})))");
    let wants = "the call passes and wants (i32, i64) -> (i32)";
    for (index, headline, details) in [
        (
            1,
            "calls one through a pointer (0x1) to a function of another type",
            &[wants, "one is of type (i32) -> ()"][..],
        ),
        (5, "calls through 0x5, which is no pointer to a function", &[wants]),
        (0x6b6b_6b6b, "calls through 0x6b6b6b6b, which is no pointer to a function", &[wants]),
    ] {
        let run = boot_everywhere(&trapping(&call(index)), Detector::Callbacks);
        run.died();
        let found = findings(&run);
        let [finding] = found[..] else { panic!("{index}: {found:#?}") };
        assert_eq!((finding.headline.as_str(), &finding.details[..]), (headline, &details.map_to_owned()[..]));
        assert_eq!(run.functions(&finding.stack), ["caller", "_start"]);
    }
}

#[test]
fn of_a_program_too() {
    let image = user_image(
        r#"(type $number (func (result i32)))
           (func $seven (result i32) (i32.const 7))
           (elem (offset (global.get $__table_base)) func $seven $plain)
           (func $plain)
           (func (export "_start")
             (call $say (call_indirect $table (type $number) (i32.const 16)))
             (call $say (call_indirect $table (type $number) (i32.const 17))))"#,
    );
    let run = boot_everywhere(&kernel("").init(image), Detector::Callbacks);
    assert_eq!(run.died(), "7 ");
    let found = findings(&run);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].headline, "calls plain through a pointer (0x11) to a function of another type");
}

#[test]
fn other_traps_and_good_calls_are_none_of_its_business() {
    for body in
        ["(call_indirect (type $one) (i32.const 7) (i32.const 1)) (unreachable)", "(drop (i32.load (i32.const -8)))"]
    {
        let run = boot_everywhere(&trapping(body), Detector::Callbacks);
        run.died();
        assert_eq!(findings(&run).len(), 0, "{body}");
    }
}

#[test]
fn an_access_that_traps_is_told_with_its_address_and_its_pointer() {
    let beyond = "beyond the memory, which ends at 0x200000";
    for (access, headline, details) in [
        (
            "(drop (i32.load offset=4 (i32.const 0x64203a39)))",
            format!("reads 4 bytes at 0x64203a3d, {beyond}"),
            "the pointer is 0x64203a39, the text \"9: d\", and the access 4 bytes behind it",
        ),
        (
            "(i64.store8 (i32.const -1) (i64.const 7))",
            format!("writes 1 byte at 0xffffffff, {beyond}"),
            "the pointer is 0xffffffff, −1",
        ),
        (
            "(f64.store offset=16 (i32.const -8) (f64.const 7))",
            format!("writes 8 bytes at 0x100000008, {beyond}"),
            "the pointer is 0xfffffff8, and the access 16 bytes behind it",
        ),
        (
            "(drop (i64.load (i32.const 0x1ffffc)))",
            format!("reads 8 bytes at 0x1ffffc, {beyond}"),
            "the pointer is 0x1ffffc",
        ),
        (
            "(drop (i32.atomic.rmw.add (i32.const 0x62622) (i32.const 1)))",
            "reads and writes 4 bytes at 0x62622, which is no multiple of 4".to_owned(),
            "the pointer is 0x62622",
        ),
        (
            "(drop (i64.atomic.rmw.cmpxchg offset=4 (i32.const 0x62620) (i64.const 1) (i64.const 1)))",
            "reads and writes 8 bytes at 0x62624, which is no multiple of 8".to_owned(),
            "the pointer is 0x62620, and the access 4 bytes behind it",
        ),
    ] {
        let run = boot_everywhere(&trapping(access), Detector::Trap);
        run.died();
        let found = findings(&run);
        let [finding] = found[..] else { panic!("{access}: {found:#?}") };
        assert_eq!((finding.headline.as_str(), &finding.details[..1]), (headline.as_str(), &[details.to_owned()][..]));
        assert_eq!(run.functions(&finding.stack), ["caller", "_start"]);
    }
    let image = user_image(r#"(func (export "_start") (i32.store8 offset=1 (i32.const 0x300000) (i32.const 1)))"#);
    let run = boot_everywhere(&kernel("").init(image), Detector::Trap);
    let found = findings(&run);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].headline.starts_with("writes 1 byte at 0x300001, beyond the memory"), "{}", found[0]);
}

#[test]
fn a_trap_of_another_kind_has_no_address() {
    for body in ["(unreachable)", "(drop (i32.div_u (i32.load (i32.const 8)) (i32.const 0)))"] {
        let run = boot_everywhere(&trapping(body), Detector::Trap);
        run.died();
        assert_eq!(findings(&run).len(), 0, "{body}");
    }
}

trait MapToOwned {
    fn map_to_owned(&self) -> Vec<String>;
}

impl MapToOwned for &[&str] {
    fn map_to_owned(&self) -> Vec<String> {
        self.iter().map(|&text| text.to_owned()).collect()
    }
}

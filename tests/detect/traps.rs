//! What is said of traps: through which pointer a function was called, which address was used.

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
fn an_access_beyond_the_memory_is_told_with_its_address() {
    for (address, detail) in [
        ("0x6b6b6b6b", Some("all its bytes are 0x6b: as of memory that was filled with that")),
        ("0x74786574", Some("its bytes are text: \"text\"")),
        ("0xfffffff0", Some("as a signed number it is -16: an error, or a null pointer less an offset")),
        ("0x8000000", None),
    ] {
        let run = boot_everywhere(&trapping(&format!("(drop (i32.load (i32.const {address})))")), Detector::Trap);
        run.died();
        let found = findings(&run);
        let [finding] = found[..] else { panic!("{address}: {found:#?}") };
        assert!(finding.headline.starts_with(&format!("the address {address} is used, ")), "{finding}");
        assert_eq!(finding.details.first().map(String::as_str), detail);
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

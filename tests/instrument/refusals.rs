//! Input that cannot be rewritten, and what is said about it.

use proptest::prelude::*;
use wkdb::instrument::{InstrumentError, Options, RuntimeGlobals, rewrite};

/// All there is, as the kernel is rewritten.
fn everything() -> Options {
    Options { ticks: true, host_waits: true, host_memory: true, stores: true, ..Options::identity() }
}

fn error(module: &[u8]) -> InstrumentError {
    rewrite(module, &everything()).expect_err("the module is to be refused")
}

fn wat_error(module: &str) -> String {
    error(&wat::parse_str(module).expect("the test's module is well-formed")).to_string()
}

/// One of everything, so that a cut can go through everything.
const SMALL: &str = r#"(module
    (@custom "dylink.0" (before first) "\01\02\00\00")
    (type $t (func (param i32) (result i32)))
    (import "env" "f" (func $f (type $t)))
    (import "env" "memory" (memory 1 2 shared))
    (import "env" "g" (global $g i32))
    (table 2 funcref)
    (tag $e)
    (global $h (mut i32) (i32.const 5))
    (export "run" (func $run))
    (export "h" (global $h))
    (start $init)
    (elem (i32.const 0) $f $run)
    (func $init global.get $g global.set $h)
    (func $run (param i32) (result i32)
        loop
            (i32.store (local.get 0) (call $f (global.get $h)))
            (br_if 0 (i32.atomic.rmw8.cmpxchg_u (i32.const 8) (i32.const 1) (i32.const 2)))
        end
        (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1)))
    (data $d "some data")
    (@custom ".debug_info" "not really"))"#;

#[test]
fn every_cut_is_noticed() {
    let module = wat::parse_str(SMALL).expect("the module is well-formed");
    rewrite(&module, &everything()).expect("the whole module is fine");
    let boundaries: Vec<_> =
        (0..module.len()).filter(|&length| rewrite(&module[..length], &everything()).is_ok()).collect();
    for length in 0..module.len() {
        match rewrite(&module[..length], &everything()) {
            // A cut at a section's end may leave a smaller module.
            Ok(_) => {}
            Err(InstrumentError::Truncated { end, .. }) => assert_eq!(end, length),
            Err(InstrumentError::NotWasm) => assert_eq!(length, 0),
            Err(InstrumentError::Invalid { offset, .. }) => assert!(offset <= length),
            Err(other) => panic!("cut at {length}: {other}"),
        }
    }
    // Behind the header, dylink.0, types, imports; and behind code, data, and each of the custom sections at the end.
    assert!(boundaries.len() < 10, "{boundaries:?}");
    assert_eq!(
        error(&module[..boundaries[2] + 9]).to_string(),
        format!(
            "the file ends at offset {:#x}, inside the import section: it is incomplete, fetch or build it again",
            boundaries[2] + 9
        )
    );
}

#[test]
fn not_a_module() {
    assert_eq!(error(b""), InstrumentError::NotWasm);
    assert_eq!(error(b"(module)"), InstrumentError::NotWasm);
    assert_eq!(error(b"\x7fELF\x02\x01\x01\x00\x00\x00"), InstrumentError::NotWasm);
    assert!(matches!(error(b"\0as"), InstrumentError::Truncated { .. }));
    assert_eq!(error(b"\0asm\x02\0\0\0"), InstrumentError::UnknownVersion { version: 2 });
    assert_eq!(error(&wat::parse_str("(component)").expect("a component")), InstrumentError::Component);
}

#[test]
fn invalid_modules() {
    let unbalanced = wat::parse_str("(module (func i32.add drop))").expect("syntactically fine");
    assert_eq!(
        error(&unbalanced).to_string(),
        "the module is not valid: type mismatch: expected i32 but nothing on stack (at offset 0x17); rebuild it, or \
         check it with `wasm-tools validate`"
    );
}

#[test]
fn unknown_proposals_are_named() {
    let message = wat_error("(module (type (shared (func))))");
    assert!(message.contains("shared-everything-threads"), "{message}");
    let message = wat_error("(module (memory 1) (func (memory.discard (i32.const 0) (i32.const 0))))");
    assert!(message.contains("memory-control") || message.contains("memory control"), "{message}");
    let message = wat_error("(module (type $f (func)) (type $c (cont $f)))");
    assert!(message.contains("stack-switching") || message.contains("stack switching"), "{message}");
}

#[test]
fn other_memories_cannot_be_observed() {
    let memories = r#"(import "env" "m" (memory 1 1 shared)) (import "env" "n" (memory 1 1 shared))"#;
    let store = format!("(module {memories} (func (i32.store 1 (i32.const 0) (i32.const 0))))");
    assert!(wat_error(&store).contains("works on memory 1, but only memory 0"));
    let wait = format!("(module {memories} (func (drop (memory.atomic.notify 1 (i32.const 0) (i32.const 0)))))");
    assert!(wat_error(&wait).starts_with("memory.atomic.notify at offset 0x"));
    let copy = format!("(module {memories} (func (memory.copy 1 0 (i32.const 0) (i32.const 0) (i32.const 0))))");
    assert!(wat_error(&copy).starts_with("memory.copy at offset 0x"));
    // Reading another memory, even to write the first, is fine.
    let read = format!("(module {memories} (func (memory.copy 0 1 (i32.const 0) (i32.const 0) (i32.const 0))))");
    rewrite(&wat::parse_str(read).expect("well-formed"), &everything()).expect("memory 0 is written");
}

#[test]
fn names_of_the_workbench_are_reserved() {
    let original = wat::parse_str(SMALL).expect("well-formed");
    for runtime_globals in [RuntimeGlobals::Define, RuntimeGlobals::Import] {
        let options = Options { runtime_globals, ..everything() };
        let once = rewrite(&original, &options).expect("the module is fine");
        let twice = rewrite(&once.wasm, &options).expect_err("it was rewritten before");
        assert_eq!(twice, InstrumentError::Reserved { what: "import", name: "wkdb.tick".to_owned() });
    }
    let message =
        wat_error(r#"(module (import "env" "m" (memory 1)) (global (export "wkdb:ticks") i32 (i32.const 0)))"#);
    assert!(message.contains(r#"the export "wkdb:ticks", which belongs to the workbench"#), "{message}");
    // Other names of that module are the guest's own business.
    let module = wat::parse_str(r#"(module (import "wkdb" "something" (func)))"#).expect("well-formed");
    rewrite(&module, &everything()).expect("nothing is in the way");
}

#[test]
fn a_memory_of_its_own() {
    assert_eq!(wat_error("(module (memory 1))"), InstrumentError::OwnMemory.to_string());
    rewrite(&wat::parse_str("(module)").expect("well-formed"), &everything()).expect("no memory is no problem");
}

#[test]
fn more_locals_than_engines_accept() {
    let body = "(func (local i64) loop end)".replace("i64", &"i64 ".repeat(50_000));
    let module = wat::parse_str(format!("(module {body})")).expect("well-formed");
    assert_eq!(
        error(&module).to_string(),
        "rewritten, the number of locals of function 0 would exceed the limit of 50000"
    );
}

proptest! {
    #![proptest_config(crate::generated::config(2000))]

    #[test]
    fn damaged_modules_never_panic(damage in prop::collection::vec(any::<(u16, u8)>(), 1..6)) {
        let mut module = wat::parse_str(SMALL).expect("the module is well-formed");
        for (at, value) in damage {
            let at = 8 + usize::from(at) % (module.len() - 8);
            module[at] = value;
        }
        // Whatever is accepted is valid before and after.
        if let Ok(rewritten) = rewrite(&module, &everything()) {
            let valid = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
                .validate_all(&rewritten.wasm);
            prop_assert!(valid.is_ok(), "{:?}", valid.err());
        }
    }
}

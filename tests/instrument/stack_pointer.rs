//! Which moves of the stack pointer are checked.

use wkdb::instrument::{Options, RuntimeGlobals, rewrite};

/// How often the rewritten module asks where its stack is.
fn checks(module: &str, globals: RuntimeGlobals) -> usize {
    let module = wat::parse_str(module).expect("the test's module is well-formed");
    let options = Options { stack_pointer: true, runtime_globals: globals, ..Options::identity() };
    let rewritten = rewrite(&module, &options).expect("the module can be rewritten").wasm;
    wasmparser::Validator::new().validate_all(&rewritten).unwrap_or_else(|error| panic!("{error}"));
    let text = wasmprinter::print_bytes(&rewritten).expect("the rewritten module is well-formed");
    text.matches("call $wkdb.stack_left").count().max(text.matches("call 0").count())
}

#[test]
fn what_only_puts_it_back_is_not_checked() {
    let set = |value: &str| {
        format!(
            "(module (global $__stack_pointer (mut i32) (i32.const 0)) (func (param i32) (local i32)
          (global.set $__stack_pointer {value})))"
        )
    };
    for (value, checked) in [
        ("(i32.sub (global.get $__stack_pointer) (i32.const 16))", 1),
        ("(local.tee 1 (i32.sub (global.get $__stack_pointer) (i32.const 16)))", 1),
        ("(i32.add (global.get $__stack_pointer) (i32.const -16))", 1),
        ("(i32.add (global.get $__stack_pointer) (local.get 0))", 1),
        ("(local.get 0)", 1),
        ("(i32.add (local.get 0) (i32.const 16))", 0),
    ] {
        assert_eq!(checks(&set(value), RuntimeGlobals::Define), checked, "{value}");
    }
}

#[test]
fn it_is_known_by_its_name_its_export_or_its_import() {
    let define = RuntimeGlobals::Define;
    let body = "(func (global.set 1 (i32.const 1)) (global.set 0 (i32.const 1)))";
    let two = "(global (mut i32) (i32.const 0)) (global (mut i32) (i32.const 0))";
    assert_eq!(checks(&format!("(module {two} {body})"), define), 0);
    assert_eq!(checks(&format!("(module {two} (export \"__stack_pointer\" (global 1)) {body})"), define), 1);
    let imports =
        "(import \"env\" \"other\" (global (mut i32))) (import \"env\" \"__stack_pointer\" (global (mut i32)))";
    assert_eq!(checks(&format!("(module {imports} {body})"), RuntimeGlobals::Import), 1);
    let wide = "(module (memory i64 1) (global $__stack_pointer (mut i64) (i64.const 0))
      (func (global.set 0 (i64.sub (global.get 0) (i64.const 16)))))";
    assert_eq!(checks(wide, define), 1);
    // One that nobody can move, or that is no integer.
    let fixed = "(module (global $__stack_pointer i32 (i32.const 0)) (func (drop (global.get 0))))";
    assert_eq!(checks(fixed, define), 0);
}

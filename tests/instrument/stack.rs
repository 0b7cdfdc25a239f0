//! Which functions count the stack that they take.

use wkdb::instrument::{Options, UNCOUNTED_STACK, rewrite};

/// How many functions of a module count.
fn counting(module: &str) -> usize {
    let module = wat::parse_str(module).expect("the test's module is well-formed");
    let options = Options { call_stack: Some(1 << 20), ..Options::identity() };
    let rewritten = rewrite(&module, &options).expect("the module can be rewritten").wasm;
    wasmparser::Validator::new().validate_all(&rewritten).unwrap_or_else(|error| panic!("{error}"));
    let text = wasmprinter::print_bytes(&rewritten).expect("the rewritten module is well-formed");
    text.matches("call $wkdb.overflow").count().max(text.matches("call 0").count())
}

#[test]
fn only_what_can_come_to_call_itself_counts() {
    for (functions, counted) in [
        ("(func $leaf) (func (call $leaf)) (func (call 1) (call 1) (call $leaf))", 0),
        ("(func $itself (call $itself)) (func $leaf) (func (call $itself) (call $leaf))", 1),
        ("(func $a (call $b)) (func $b (call $c)) (func $c (call $a) (call $d)) (func $d)", 3),
        ("(func $a (call $b)) (func $b (return_call $a))", 2),
        // Through a table: whatever has the type, if a reference to it was taken.
        (
            "(type $v (func)) (type $n (func (param i32))) (table 9 funcref) (elem (i32.const 1) $a $b $other)
             (func $a (type $v) (call_indirect (type $v) (i32.const 0)))
             (func $b (type $v))
             (func $unreferenced (type $v) (call $a))
             (func $other (type $n) (call $a))
             (func $calls (call_indirect (type $n) (i32.const 0) (i32.const 0)))",
            1,
        ),
        (
            "(type $v (func)) (func $a (type $v) (call $b)) (elem declare func $a)
             (func $b (call_ref $v (ref.func $a)))",
            2,
        ),
        // What was thrown has not been given back: whoever catches it does that.
        ("(tag $t) (func $a (throw $t)) (func (block $b (try_table (catch $t $b) (call $a))))", 1),
        // A function of a subtype is called by the type.
        (
            "(type $v (sub (func))) (type $w (sub $v (func))) (table 9 funcref) (elem (i32.const 1) $a)
             (func $a (type $w) (call $b))
             (func $b (call_indirect (type $v) (i32.const 0)))",
            2,
        ),
    ] {
        assert_eq!(counting(&format!("(module {functions})")), counted, "{functions}");
    }
}

#[test]
fn a_long_way_without_a_cycle_counts_where_it_would_take_too_much() {
    let chain = |functions: usize| {
        let locals = "i64 ".repeat(100);
        let bodies: String =
            (0..functions).map(|n| format!("(func $f{n} (local {locals}) (call $f{}))", n + 1)).collect();
        counting(&format!("(module {bodies} (func $f{functions}))"))
    };
    // 64 bytes and 8 for each local.
    let fits = UNCOUNTED_STACK as usize / 864;
    assert_eq!(chain(fits - 1), 0);
    assert_eq!(chain(fits + 1), fits + 2);
}

//! Which functions count the stack that they take.

use wkdb::instrument::{Options, UNCOUNTED_STACK, rewrite};

/// The rewritten module as text.
fn rewritten(module: &str) -> String {
    let module = wat::parse_str(module).expect("the test's module is well-formed");
    let options = Options { call_stack: Some(1 << 20), ..Options::identity() };
    let rewritten = rewrite(&module, &options).expect("the module can be rewritten").wasm;
    wasmparser::Validator::new().validate_all(&rewritten).unwrap_or_else(|error| panic!("{error}"));
    wasmprinter::print_bytes(&rewritten).expect("the rewritten module is well-formed")
}

/// How many functions of a module count.
fn counting(module: &str) -> usize {
    let text = rewritten(module);
    text.matches("call $wkdb.overflow").count().max(text.matches("call 0").count())
}

#[test]
fn each_cycle_of_calls_comes_through_a_function_that_counts() {
    for (functions, counted) in [
        ("(func $leaf) (func (call $leaf)) (func (call 1) (call 1) (call $leaf))", 0),
        ("(func $itself (call $itself)) (func $leaf) (func (call $itself) (call $leaf))", 1),
        ("(func $a (call $b)) (func $b (call $c)) (func $c (call $a) (call $d)) (func $d)", 1),
        // The frame of one that goes on in another is gone: it is the other that has to count, if there is one.
        ("(func $a (call $b)) (func $b (return_call $c)) (func $c (return_call $a)) (func (call $a) (call $b))", 1),
        ("(func $a (return_call $b)) (func $b (return_call $a))", 0),
        // Two cycles with a function in common; and two without.
        ("(func $a (call $b) (call $c)) (func $b (call $a)) (func $c (call $a))", 1),
        ("(func $a (call $b)) (func $b (call $a) (call $c)) (func $c (call $d)) (func $d (call $c))", 2),
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
            1,
        ),
        // What was thrown has not been given back: whoever catches it does that.
        ("(tag $t) (func $a (throw $t)) (func (block $b (try_table (catch $t $b) (call $a))))", 1),
        // A function of a subtype is called by the type.
        (
            "(type $v (sub (func))) (type $w (sub $v (func))) (table 9 funcref) (elem (i32.const 1) $a)
             (func $a (type $w) (call $b))
             (func $b (call_indirect (type $v) (i32.const 0)))",
            1,
        ),
    ] {
        assert_eq!(counting(&format!("(module {functions})")), counted, "{functions}");
    }
}

/// What the functions of a module count, in their order.
fn counts(module: &str) -> Vec<u32> {
    let text = rewritten(module);
    let frame = |line: &str| line.trim().strip_prefix("i32.const ")?.parse::<u32>().ok();
    let lines: Vec<_> = text.lines().collect();
    let taken = lines.windows(2).filter(|pair| pair[1].trim() == "i32.sub");
    taken.filter_map(|pair| frame(pair[0])).collect()
}

#[test]
fn a_function_that_counts_does_so_for_those_that_it_calls() {
    // 64 bytes, and 8 for each local and the deepest operand.
    assert_eq!(
        counts("(module (func $a (local i32) (call $b) (call $a)) (func $b (call $c)) (func $c (local i64 i64)))"),
        [72 + 64 + 80]
    );
    // What counts for itself is left out.
    assert_eq!(
        counts("(module (func $a (call $b) (call $a)) (func $b (call $c) (call $b)) (func $c (local i64)))"),
        [64, 64 + 72]
    );
}

#[test]
fn a_long_way_without_a_cycle_counts_here_and_there() {
    let chain = |functions: usize| {
        let locals = "i64 ".repeat(10);
        let bodies: String =
            (0..functions).map(|n| format!("(func $f{n} (local {locals}) (call $f{}))", n + 1)).collect();
        counts(&format!("(module {bodies} (func $f{functions} (local {locals})))"))
    };
    // 64 bytes and 8 for each local.
    let fits = UNCOUNTED_STACK as usize / 144;
    assert_eq!(chain(fits - 1), [0; 0]);
    // Whoever would be too much counts for all of them.
    let all = (fits as u32 + 1) * 144;
    assert_eq!(chain(fits), [all]);
    assert_eq!(chain(3 * (fits + 1) - 1), [all; 3]);
}

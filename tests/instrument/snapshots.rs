//! What the rewriting makes of small modules, as text.

use wkdb::instrument::{HostMemory, Options, rewrite};

/// The rewritten module as text.
fn rewritten(module: &str, options: &Options) -> String {
    let module = wat::parse_str(module).expect("the test's module is well-formed");
    let rewritten = rewrite(&module, options).expect("the module can be rewritten");
    let text = wasmprinter::print_bytes(&rewritten.wasm).expect("the rewritten module is well-formed");
    wasmparser::Validator::new().validate_all(&rewritten.wasm).unwrap_or_else(|error| panic!("{error}\n{text}"));
    text
}

#[test]
fn ticks() {
    let options = Options { ticks: true, ..Options::identity() };
    insta::assert_snapshot!(rewritten(
        r#"(module
            (import "env" "f" (func $f))
            (func $leaf (export "leaf"))
            (func $loops (param i32) (result i32)
                (local i64)
                loop $again (result i32)
                    call $leaf
                    local.get 0
                    br_if $again
                    call $f
                    local.get 0
                end
                call $leaf)
        )"#,
        &options
    ));
}

#[test]
fn everything_at_once() {
    let options = Options {
        ticks: true,
        host_waits: true,
        host_memory: HostMemory::Import,
        stores: true,
        runtime_globals: wkdb::instrument::RuntimeGlobals::Import,
        ..Options::identity()
    };
    insta::assert_snapshot!(rewritten(
        r#"(module
            (import "env" "memory" (memory 1 4 shared))
            (global $g (mut i32) (i32.const 7))
            (data $d "abc")
            (table 1 funcref)
            (elem (i32.const 0) $f)
            (func $f (export "f") (param i32)
                local.get 0
                global.get $g
                i32.store offset=4
                loop
                    local.get 0
                    i32.const 1
                    i32.const 2
                    i32.atomic.rmw8.cmpxchg_u offset=1
                    br_if 0
                end
                (i32.const 0) (i32.const 0) (i64.const -1) memory.atomic.wait32 drop
                (i32.const 0) (i32.const 0) memory.atomic.notify offset=4 drop
                (memory.grow (i32.const 1)) drop
                (memory.init $d (i32.const 0) (i32.const 0) (i32.const 3)))
        )"#,
        &options
    ));
}

#[test]
fn accesses_off_one_base() {
    let options = Options { stores: true, ..Options::identity() };
    insta::assert_snapshot!(rewritten(
        r#"(module
            (memory 1)
            (func $f (param i32)
                (i32.store offset=8 (local.get 0) (i32.const 1))
                (i32.store8 (i32.add (local.get 0) (i32.const -4)) (i32.const 2))
                (if (local.get 0) (then (i32.store16 offset=12 (local.get 0) (i32.const 3))))
                (i64.store offset=16 (local.get 0) (i64.const 4)))
        )"#,
        &options
    ));
}

#[test]
fn a_footprint() {
    let options = Options { stores: true, footprint: true, ..Options::identity() };
    insta::assert_snapshot!(rewritten(
        r#"(module
            (memory 1)
            (func $f (param i32)
                (i32.store offset=8 (local.get 0) (i32.const 1))
                (memory.fill (local.get 0) (i32.const 0) (i32.const 9)))
        )"#,
        &options
    ));
}

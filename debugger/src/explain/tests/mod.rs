//! Functions taken apart.

use std::collections::BTreeSet;

use super::body::{Body, Definition, Kind, Source};
use super::code::Code;

fn code(text: &str) -> Code {
    Code::read(wat::parse_str(text).unwrap().into())
}

fn body(text: &str) -> Body {
    code(text).body(0).unwrap()
}

/// The only instruction of a kind.
fn find(body: &Body, wanted: impl Fn(&Kind) -> bool) -> usize {
    let mut found = (0..body.instructions.len()).filter(|&at| wanted(&body.instructions[at].kind));
    let first = found.next().unwrap();
    assert_eq!(found.next(), None);
    first
}

#[test]
fn operands_are_known_by_what_made_them() {
    let body = body(
        "(module (memory 1) (func (param i32 i32) (result i32)
            (i32.store offset=4 (local.get 0) (i32.const 7))
            (i32.load offset=8 (i32.add (local.get 1) (i32.const 12)))))",
    );
    let store = find(&body, |kind| matches!(kind, Kind::Store { .. }));
    assert_eq!(body.instructions[store].kind, Kind::Store { offset: 4, len: 4 });
    assert_eq!(body.instructions[store].takes, [Source::From(store - 2), Source::From(store - 1)]);
    let load = find(&body, |kind| matches!(kind, Kind::Load { .. }));
    assert_eq!(body.instructions[load].takes, [Source::From(load - 1)]);
    assert_eq!(body.returned(), [(load + 1, Source::From(load))]);
}

#[test]
fn definitions_reach_through_loops_and_branches() {
    let body = body(
        "(module (memory 1) (func (param i32)
            (loop $again
                (if (i32.eqz (local.get 0)) (then (local.set 0 (i32.const 1))))
                (local.set 0 (i32.load (local.get 0)))
                (br_if $again (i32.const 1)))))",
    );
    let load = find(&body, |kind| matches!(kind, Kind::Load { .. }));
    let constant = body.instructions.iter().position(|one| one.kind == Kind::LocalSet(0)).unwrap();
    let next = body.instructions.iter().rposition(|one| one.kind == Kind::LocalSet(0)).unwrap();
    let expected = BTreeSet::from([Definition::Entry, Definition::At(constant), Definition::At(next)]);
    assert_eq!(body.definitions(0, load - 1), expected);
    assert_eq!(body.definitions(0, next + 1), BTreeSet::from([Definition::At(next)]));
    assert!(body.is_parameter(0) && !body.is_parameter(1));
}

#[test]
fn what_a_block_gives_may_come_on_several_ways() {
    let body = body(
        "(module (func (param i32) (result i32)
            (block (result i32)
                (drop (br_if 0 (i32.const 5) (local.get 0)))
                (i32.const 6))))",
    );
    let [(_, Source::OneOf(ways))] = &body.returned()[..] else { panic!("{:?}", body.returned()) };
    let value = |way: &Source| match way {
        Source::From(from) => body.instructions[*from].kind.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ways.iter().map(value).collect::<Vec<_>>(), [Kind::Constant(5), Kind::Constant(6)]);
}

#[test]
fn code_behind_a_branch_takes_nothing() {
    let body = body(
        "(module (memory 1) (func (result i32)
            (return (i32.const 3))
            (i32.load)))",
    );
    let load = find(&body, |kind| matches!(kind, Kind::Load { .. }));
    assert_eq!(body.instructions[load].takes, [Source::Unknown]);
    assert_eq!(body.returned()[0].1, Source::From(0));
}

#[test]
fn a_condition_is_made_of_loads() {
    let body = body(
        "(module (memory 1) (func (param i32) (local i32)
            (local.set 1 (i32.load offset=4 (local.get 0)))
            (block
                (br_if 0 (i32.ne (i32.load (local.get 0)) (local.get 1)))
                (i32.store (local.get 0) (i32.const 2)))))",
    );
    let branch = find(&body, |kind| *kind == Kind::Branch);
    let condition = body.instructions[branch].takes[0].clone();
    assert_eq!(body.loads_behind(branch, &condition).len(), 2);
    let store = find(&body, |kind| matches!(kind, Kind::Store { .. }));
    assert!(body.before(store).contains(&branch));
    assert!(!body.before(branch).contains(&store));
}

#[test]
fn damaged_modules_have_no_bodies() {
    for bytes in [&b""[..], b"\0asm\x01\0\0\0", b"\0asm\x01\0\0\0\x0a\x04\x01\x02\0"] {
        assert!(Code::read(bytes.to_vec().into()).body(0).is_none());
    }
    let module = wat::parse_str("(module (memory 1) (func (param i32) (drop (i32.load (local.get 0)))))").unwrap();
    for len in 0..module.len() {
        // What is cut off is missing; nothing else.
        let _ = Code::read(module[..len].to_vec().into()).body(0);
    }
}

#[test]
fn types_of_functions_are_told() {
    let code =
        code("(module (import \"env\" \"host\" (func (param i64))) (func (param i32 i32) (result i32) (local.get 0)))");
    assert!(code.is_import(0) && !code.is_import(1));
    assert_eq!(code.type_of(1).as_deref(), Some("(i32, i32) → (i32)"));
    assert_eq!(code.type_of(0).as_deref(), Some("(i64) → ()"));
}

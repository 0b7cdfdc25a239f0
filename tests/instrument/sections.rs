//! What becomes of the sections around the code.

use wasmparser::{BranchHint, KnownCustom, Name, Parser, Payload};
use wkdb::instrument::{DebugSections, Options, RuntimeGlobals, rewrite};

fn ticks() -> Options {
    Options { ticks: true, ..Options::identity() }
}

fn rewritten(module: &[u8], options: &Options) -> Vec<u8> {
    rewrite(module, options).expect("the module can be rewritten").wasm
}

/// Names and data of the custom sections, in order.
fn customs(module: &[u8]) -> Vec<(String, Vec<u8>)> {
    let payloads = Parser::new(0).parse_all(module);
    payloads
        .filter_map(|payload| match payload.expect("the module is valid") {
            Payload::CustomSection(section) => Some((section.name().to_owned(), section.data().to_vec())),
            _ => None,
        })
        .collect()
}

/// The hints of each function by its index.
fn hints(module: &[u8]) -> Vec<(u32, Vec<BranchHint>)> {
    let sections = Parser::new(0).parse_all(module);
    let mut functions = Vec::new();
    for payload in sections {
        if let Ok(Payload::CustomSection(section)) = payload
            && let KnownCustom::BranchHints(hints) = section.as_known()
        {
            for function in hints {
                let function = function.expect("the hints are well-formed");
                let hints = function.hints.into_iter().collect::<Result<_, _>>().expect("the hints are well-formed");
                functions.push((function.func, hints));
            }
        }
    }
    functions
}

/// The opcode at an offset that counts from the start of a defined function's body.
fn opcode(module: &[u8], function: usize, offset: u32) -> u8 {
    let bodies: Vec<_> = Parser::new(0)
        .parse_all(module)
        .filter_map(|payload| match payload {
            Ok(Payload::CodeSectionEntry(body)) => Some(body.range().start),
            _ => None,
        })
        .collect();
    module[bodies[function] + offset as usize]
}

const CUSTOMS: &str = r#"(module
    (@custom "dylink.0" (before first) "\01\04\10\04\00\00")
    (import "env" "f" (func $f))
    (func $loops (export "loops") (local $i i32) loop call $f end)
    (@custom ".debug_info" "one")
    (@custom ".debug_line" "two")
    (@custom "external_debug_info" "\01x")
    (@custom "sourceMappingURL" "\01y")
    (@custom "producers" (after code) "\00")
    (@custom "mine" "anything"))"#;

#[test]
fn custom_sections_stay_as_they_are() {
    let module = wat::parse_str(CUSTOMS).expect("well-formed");
    let unnamed = |customs: Vec<(String, Vec<u8>)>| -> Vec<_> {
        customs.into_iter().filter(|(name, _)| name != "name" && name != "metadata.code.branch_hint").collect()
    };
    assert_eq!(unnamed(customs(&rewritten(&module, &ticks()))), unnamed(customs(&module)));
    assert_eq!(customs(&module)[0].0, "dylink.0");
    // The first section, and that means before any other.
    let kept = rewritten(&module, &ticks());
    assert_eq!(kept[8..10 + "dylink.0".len() + 1], module[8..10 + "dylink.0".len() + 1]);

    let dropped = Options { debug_sections: DebugSections::Drop, ..ticks() };
    let names: Vec<_> = unnamed(customs(&rewritten(&module, &dropped))).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["dylink.0", "producers", "mine"]);
}

#[test]
fn names_move_with_their_indices() {
    let module = wat::parse_str(
        r#"(module $m
            (import "env" "f" (func $f)) (import "env" "g" (global $g i32))
            (global $h (mut i32) (i32.const 0))
            (memory $mem 1)
            (func $first (param $p i32) (local $l i64) loop $label br $label end)
            (func $second (local $k f32))
            (data $d "x"))"#,
    )
    .expect("well-formed");
    let options = Options { runtime_globals: RuntimeGlobals::Import, ..ticks() };
    let module = rewritten(&module, &options);
    let (mut direct, mut locals, mut others) = (Vec::new(), Vec::new(), 0);
    for payload in Parser::new(0).parse_all(&module) {
        let Ok(Payload::CustomSection(section)) = payload else { continue };
        let KnownCustom::Name(names) = section.as_known() else { continue };
        for subsection in names {
            match subsection.expect("well-formed") {
                Name::Function(map) | Name::Global(map) => {
                    for naming in map {
                        let naming = naming.expect("well-formed");
                        direct.push((naming.index, naming.name));
                    }
                }
                Name::Local(map) => {
                    for naming in map {
                        let naming = naming.expect("well-formed");
                        let names: Vec<_> = naming.names.into_iter().map(|n| n.expect("well-formed").name).collect();
                        locals.push((naming.index, names));
                    }
                }
                Name::Label(_) => panic!("labels are numbered by blocks, which have moved"),
                Name::Module { name, .. } => assert_eq!(name, "m"),
                _ => others += 1,
            }
        }
    }
    let functions = [(0, "f"), (1, "wkdb.tick"), (2, "first"), (3, "second")];
    let globals = [(0, "g"), (1, "wkdb:ticks"), (2, "h")];
    assert_eq!(direct, [&functions[..], &globals[..]].concat());
    assert_eq!(locals, [(2, vec!["p", "l"]), (3, vec!["k"])]);
    assert_eq!(others, 2, "memories and data segments");
}

#[test]
fn a_broken_name_section_does_no_harm() {
    let mut module = wat::parse_str("(module (func $f) (func $g))").expect("well-formed");
    let at = module.len() - 2;
    module[at] = 0x7f; // the length of the last name
    let module = rewritten(&module, &ticks());
    wasmparser::validate(&module).expect("names do not matter");
}

#[test]
fn hints_of_both_sides_are_merged() {
    let module = wat::parse_str(
        r#"(module
            (import "env" "f" (func $f))
            (func (param i32)
                loop
                    call $f
                    local.get 0
                    (@metadata.code.branch_hint "\01")
                    br_if 0
                end)
            (func (param i32)
                local.get 0
                (@metadata.code.branch_hint "\00")
                if end))"#,
    )
    .expect("well-formed");
    assert_eq!(hints(&module).len(), 2);
    let module = rewritten(&module, &ticks());
    let functions = hints(&module);
    // One import is added.
    assert_eq!(functions.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2, 3]);
    let with_opcodes = |function: usize| -> Vec<_> {
        let hints = functions[function].1.iter();
        hints.map(|hint| (opcode(&module, function, hint.func_offset), hint.taken)).collect()
    };
    const IF: u8 = 0x04;
    const BR_IF: u8 = 0x0d;
    assert_eq!(with_opcodes(0), [(IF, false), (IF, false), (BR_IF, true)]);
    assert_eq!(with_opcodes(1), [(IF, false), (IF, false)]);
    let customs = customs(&module);
    assert_eq!(customs.iter().filter(|(name, _)| name == "metadata.code.branch_hint").count(), 1);
}

#[test]
fn sections_that_are_missing_come_in_order() {
    // No types, imports, globals or exports to append to.
    for text in ["(module)", "(module (memory 1))", "(module (func))", "(module (memory 1) (data (i32.const 0) \"x\"))"]
    {
        for runtime_globals in [RuntimeGlobals::Define, RuntimeGlobals::Import] {
            let options = Options { stores: true, host_waits: true, runtime_globals, ..ticks() };
            let module = rewritten(&wat::parse_str(text).expect("well-formed"), &options);
            wasmparser::validate(&module).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}

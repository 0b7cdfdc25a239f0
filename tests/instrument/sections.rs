//! What becomes of the sections around the code.

use wasmparser::{BranchHint, ExternalKind, KnownCustom, Name, Parser, Payload};
use wkdb::instrument::{DebugSections, Exports, HostMemory, Options, RuntimeGlobals, rewrite};

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
    assert_eq!(with_opcodes(0), [(IF, true), (IF, true), (BR_IF, true)]);
    assert_eq!(with_opcodes(1), [(IF, true), (IF, false)]);
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

/// Names, kinds and indices of the exports, and how many globals the module defines.
fn exports(module: &[u8]) -> (Vec<(&str, ExternalKind, u32)>, u32) {
    wasmparser::validate(module).expect("the module is valid");
    let (mut exports, mut globals) = (Vec::new(), 0);
    for payload in Parser::new(0).parse_all(module) {
        match payload.expect("the module is valid") {
            Payload::ExportSection(section) => {
                let section = section.into_iter().map(|export| export.expect("the module is valid"));
                exports.extend(section.map(|export| (export.name, export.kind, export.index)));
            }
            Payload::GlobalSection(section) => globals = section.count(),
            _ => {}
        }
    }
    (exports, globals)
}

#[test]
fn exports_and_globals_that_nobody_needs_go() {
    let text = |used: &str| {
        format!(
            r#"(module
                (import "env" "imported" (global i32))
                (global $stack (export "stack") (mut i32) (i32.const 7))
                (global $first (export "first") i32 (i32.const 1))
                (global $second (export "second") i32 (i32.const 2))
                (global $third (export "third") i32 (i32.const 3))
                (memory (export "memory") 1)
                (table $t 1 funcref)
                (func (export "run"))
                (func (export "unused"))
                {used})"#
        )
    };
    let only = |names| Options { exports: Exports::Only(names), ..ticks() };
    let check = |used: &str, names, globals: u32| {
        let module = rewritten(&wat::parse_str(text(used)).expect("well-formed"), &only(names));
        let (exports, defined) = exports(&module);
        assert_eq!(defined, globals + 1, "{used}: with the tick counter");
        let mut expected: Vec<_> = exports.iter().map(|(name, ..)| *name).filter(|n| names.contains(n)).collect();
        expected.push("wkdb:ticks");
        assert_eq!(exports.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), expected, "{used}");
        // Behind the imported global and those that stay.
        assert_eq!(exports.last(), Some(&("wkdb:ticks", ExternalKind::Global, 1 + globals)), "{used}");
        module
    };
    let module = check("", &["run", "absent"], 0);
    // Behind the function that is imported.
    assert_eq!(exports(&module).0[0], ("run", ExternalKind::Func, 1));
    check("", &["memory", "stack"], 1);
    check("", &["second"], 3);
    check("(func (drop (global.get $second)))", &[], 3);
    check("(func (global.set $stack (i32.const 0)))", &[], 1);
    check("(global i32 (global.get $third))", &[], 0);
    check("(data (offset (i32.add (global.get $first) (i32.const 4))) \"x\")", &[], 2);
    check("(elem (table $t) (offset (global.get $third)) func)", &[], 4);
    check("(elem $e i31ref (ref.i31 (global.get $first)))", &[], 2);

    // All at once: as without the option, byte for byte.
    let module = wat::parse_str(text("")).expect("well-formed");
    let all = &["stack", "first", "second", "third", "memory", "run", "unused"];
    assert_eq!(rewritten(&module, &only(all)), rewritten(&module, &ticks()));
}

#[test]
fn what_allows_references_to_functions_stays() {
    let module = wat::parse_str(
        r#"(module
            (global i32 (i32.const 1))
            (global $holder funcref (ref.func $held))
            (global i32 (i32.const 2))
            (func $exported (export "exported"))
            (func $held)
            (func (export "other"))
            (func (drop (ref.func $exported)) (drop (ref.func $held))))"#,
    )
    .expect("well-formed");
    let module = rewritten(&module, &Options { exports: Exports::Only(&[]), ..Options::identity() });
    assert_eq!(exports(&module), (vec![("exported", ExternalKind::Func, 0)], 2));
}

#[test]
fn the_stack_pointer_stays_and_names_of_lost_globals_go() {
    let text = r#"(module
        (global $a i32 (i32.const 0))
        (global $__stack_pointer (mut i32) (i32.const 0))
        (global $lost (export "lost") i32 (i32.const 0)))"#;
    let module =
        rewritten(&wat::parse_str(text).expect("well-formed"), &Options { exports: Exports::Only(&[]), ..ticks() });
    let global = ExternalKind::Global;
    assert_eq!(exports(&module), (vec![("wkdb:ticks", global, 2), ("wkdb:stack_pointer", global, 1)], 3));
    let mut named = Vec::new();
    for payload in Parser::new(0).parse_all(&module) {
        if let Ok(Payload::CustomSection(section)) = payload
            && let KnownCustom::Name(names) = section.as_known()
        {
            for subsection in names {
                if let Name::Global(map) = subsection.expect("well-formed") {
                    named.extend(map.into_iter().map(|naming| naming.expect("well-formed").name));
                }
            }
        }
    }
    assert_eq!(named, ["a", "__stack_pointer"]);
}

#[test]
fn the_memory_is_defined_instead_of_imported() {
    let text = |memory: &str| {
        format!(
            r#"(module
                (import "env" "f" (func $f)) {memory} (import "env" "g" (func $g (param i32)))
                (table 1 funcref)
                (func (export "run") (call $g (memory.size))))"#
        )
    };
    let options = Options { host_memory: HostMemory::Define, ..ticks() };
    let module = wat::parse_str(text(r#"(import "env" "memory" (memory 3 9 shared))"#)).expect("well-formed");
    let module = rewritten(&module, &options);
    let memory = ("wkdb:memory", ExternalKind::Memory, 0);
    assert_eq!(exports(&module).0, [("run", ExternalKind::Func, 4), memory, ("wkdb:ticks", ExternalKind::Global, 0)]);
    let (mut imports, mut memories) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(&module) {
        match payload.expect("the module is valid") {
            Payload::ImportSection(section) => {
                imports.extend(section.into_imports().map(|import| import.expect("the module is valid").name));
            }
            Payload::MemorySection(section) => {
                memories.extend(section.into_iter().map(|memory| memory.expect("the module is valid")));
            }
            _ => {}
        }
    }
    assert_eq!(imports, ["f", "g", "tick", "memory_grow"]);
    let [memory] = memories[..] else { panic!("{memories:?}") };
    assert_eq!((memory.initial, memory.maximum, memory.shared, memory.memory64), (3, Some(9), false, false));

    // The only import, and a module without a memory.
    let only = r#"(module (import "env" "memory" (memory i64 1 2 shared)))"#;
    let module = rewritten(&wat::parse_str(only).expect("well-formed"), &options);
    assert_eq!(exports(&module).0[0], ("wkdb:memory", ExternalKind::Memory, 0));
    let module = rewritten(&wat::parse_str("(module (func))").expect("well-formed"), &options);
    assert_eq!(exports(&module).0, [("wkdb:ticks", ExternalKind::Global, 0)]);
}

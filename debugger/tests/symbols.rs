//! Symbols of small modules: compiled ones (fixtures/symbols, with a script that makes them again) and broken ones.

use proptest::prelude::*;
use wkdb_debugger::symbols::{DataSource, Location, Symbols, SymbolsError, backtrace};
use wkdb_tracer::CodeOffset;

const DWARF_5: &[u8] = include_bytes!("fixtures/symbols/workqueue-dwarf5.wasm");
const DWARF_4: &[u8] = include_bytes!("fixtures/symbols/workqueue-dwarf4.wasm");
const NAMES: &[u8] = include_bytes!("fixtures/symbols/workqueue-names.wasm");
const PIC: &[u8] = include_bytes!("fixtures/symbols/workqueue-pic.wasm");
const SOURCE: &str = include_str!("fixtures/symbols/workqueue.c");

fn load(module: &[u8]) -> Symbols {
    Symbols::load(module).unwrap()
}

/// The line of the source that has this text.
fn line_of(text: &str) -> u32 {
    let line = SOURCE.lines().position(|line| line.contains(text)).unwrap();
    u32::try_from(line).unwrap() + 1
}

/// All instructions' offsets of a function.
fn offsets(symbols: &Symbols, function: &str) -> Vec<CodeOffset> {
    let [function] = &symbols.functions_named(function)[..] else { panic!("{function} is not one function") };
    (function.start.0..function.end.0).map(CodeOffset).collect()
}

/// The innermost line and function at an instruction.
fn innermost(location: &Location) -> (Option<u32>, &str) {
    let frame = &location.frames[0];
    (frame.source.as_ref().and_then(|source| source.line), &frame.function)
}

#[test]
fn lines_and_inlined_calls_with_both_versions() {
    for module in [DWARF_5, DWARF_4] {
        let symbols = load(module);
        assert!(symbols.has_dwarf());
        let inlined: Vec<Location> = offsets(&symbols, "process_one_work")
            .into_iter()
            .map(|offset| symbols.locate(offset))
            .filter(|location| location.frames.len() == 2)
            .collect();
        let lines: Vec<_> = inlined.iter().map(innermost).collect();
        for line in ["pool->watchdog_ts", "pool->nr_workers"] {
            assert!(lines.contains(&(Some(line_of(line)), "touch_pool")), "{line} in {lines:?}");
        }
        let [inner, outer] = &inlined[0].frames[..] else { panic!("{inlined:?}") };
        assert!(inner.inlined && !outer.inlined);
        assert_eq!(outer.function, "process_one_work");
        let call = outer.source.as_ref().unwrap();
        assert_eq!(call.line, Some(line_of("touch_pool(pool);")));
        assert_eq!((call.file.as_str(), call.directory.as_deref()), ("workqueue.c", Some("/linux")));
        assert_eq!(call.column, Some(2));
        assert_eq!(symbols.problems(), [""; 0]);
    }
}

#[test]
fn every_instruction_is_in_its_function() {
    for module in [DWARF_5, DWARF_4, NAMES] {
        let symbols = load(module);
        for name in ["worker_thread", "process_one_work", "lost"] {
            for offset in offsets(&symbols, name) {
                let location = symbols.locate(offset);
                assert_eq!(location.function.unwrap().name, name);
                assert_eq!(location.frames.last().unwrap().function, name, "at {offset}");
            }
        }
        // The count of functions and a body's length are no code.
        for outside in [CodeOffset(0), CodeOffset(1), CodeOffset(100_000), CodeOffset(u32::MAX)] {
            let location = symbols.locate(outside);
            assert_eq!((location.function, location.frames[0].function.as_str()), (None, "??"));
        }
    }
}

#[test]
fn what_the_linker_dropped_is_nowhere() {
    for module in [DWARF_5, DWARF_4] {
        let symbols = load(module);
        assert!(symbols.functions_named("never_called").is_empty());
        assert_eq!(symbols.data_symbol("nr_unused"), None);
        let all: Vec<String> = (0..2000)
            .flat_map(|offset| symbols.locate(CodeOffset(offset)).frames)
            .map(|frame| frame.function)
            .collect();
        assert!(!all.iter().any(|name| name == "never_called"));
    }
}

#[test]
fn data_by_name_and_by_address() {
    for module in [DWARF_5, DWARF_4] {
        let symbols = load(module);
        let pools = symbols.data_symbol("worker_pools").unwrap();
        assert_eq!((pools.size, pools.external, pools.source), (Some(48), true, DataSource::Dwarf));
        assert_eq!(symbols.data_symbols("worker_pools").count(), 2, "by its debug information and by its export");
        assert_eq!(symbols.data_symbol("jiffies_64").unwrap().size, Some(8));
        assert_eq!(symbols.data_symbol("state_names").unwrap().size, Some(8));
        let calls = symbols.data_symbol("nr_calls").unwrap();
        assert_eq!((calls.size, calls.external), (Some(4), false), "a static of a function");

        let at = |address| symbols.symbol_at(address).map(|(symbol, offset)| (symbol.name.as_str(), offset));
        assert_eq!(at(pools.address), Some(("worker_pools", 0)));
        assert_eq!(at(pools.address + 47), Some(("worker_pools", 47)));
        assert_ne!(at(pools.address + 48).map(|(name, _)| name), Some("worker_pools"));
        assert_eq!(at(0), None);
        assert_eq!(at(u64::MAX), None);
        assert_eq!(symbols.problems(), [""; 0]);
    }
}

#[test]
fn data_of_a_user_image_are_relative_to_its_base() {
    assert!(!load(DWARF_5).is_position_independent());
    let symbols = load(PIC);
    assert!(symbols.is_position_independent());
    let pools = symbols.data_symbol("worker_pools").unwrap();
    assert_eq!((pools.address, pools.size), (0x20, Some(48)));
    assert_eq!(
        symbols.symbol_at(0x21).map(|(symbol, offset)| (symbol.name.as_str(), offset)),
        Some(("worker_pools", 1))
    );
    assert_eq!(symbols.data_symbol("nr_unused"), None);
    let code = offsets(&symbols, "lost");
    let last = symbols.locate(*code.last().unwrap());
    assert_eq!(innermost(&last), (Some(line_of("return nr_lost")), "lost"));
    assert_eq!(symbols.problems(), [""; 0]);
}

#[test]
fn without_dwarf_names_and_exports_answer() {
    let symbols = load(NAMES);
    assert!(!symbols.has_dwarf());
    let pools = symbols.data_symbol("worker_pools").unwrap();
    assert_eq!((pools.size, pools.source), (None, DataSource::Export));
    let segment = symbols.data_symbol(".data.worker_pools").unwrap();
    assert_eq!((segment.size, segment.address), (Some(48), pools.address));
    let (symbol, offset) = symbols.symbol_at(pools.address + 20).unwrap();
    assert_eq!((symbol.address, offset), (pools.address, 20));
    let start = symbols.functions_named("lost")[0].start;
    let location = symbols.locate(CodeOffset(start.0 + 1));
    assert_eq!(backtrace([&location]), format!("#0 {} lost+0x1\n", location.offset));
}

#[test]
fn a_backtrace_has_a_line_for_every_source_function() {
    let symbols = load(DWARF_5);
    let at = |function: &str, line: u32| {
        let locations = offsets(&symbols, function).into_iter().map(|offset| symbols.locate(offset));
        locations.into_iter().find(|location| innermost(location).0 == Some(line)).unwrap()
    };
    let stack = [
        at("process_one_work", line_of("pool->watchdog_ts")),
        at("worker_thread", line_of("process_one_work(&worker_pools[which])")),
    ];
    let (inner, outer) = (stack[0].offset, stack[1].offset);
    let expected = format!(
        "#0 {inner} touch_pool (workqueue.c:20) [inlined]\n\
         #1 {inner} process_one_work (workqueue.c:29)\n\
         #2 {outer} worker_thread (workqueue.c:42)\n"
    );
    assert_eq!(backtrace(&stack), expected);
}

#[test]
fn functions_without_names_have_numbers() {
    let module = wat::parse_str(
        r#"(module
            (import "env" "wasm_panic" (func (param i32)))
            (global (export "init_task") i32 (i32.const 0x80000000))
            (global (export "__heap_base") i32 (i32.const 0x80001000))
            (func nop)
            (func (export "_start") nop))"#,
    )
    .unwrap();
    let symbols = load(&module);
    assert_eq!(symbols.function_name(0), "wasm_panic");
    assert_eq!(symbols.function(0), None, "an imported function has no body");
    // The code section's contents: a count, then length, locals and two instructions for every body.
    let names = [2, 6].map(|offset| symbols.locate(CodeOffset(offset)).frames[0].function.clone());
    assert_eq!(names, ["func[1]", "_start"]);
    let (symbol, offset) = symbols.symbol_at(0x8000_0123).unwrap();
    assert_eq!((symbol.name.as_str(), offset), ("init_task", 0x123));
    assert_eq!(symbols.symbol_at(0x8000_1000), None, "behind the static data");
}

#[test]
fn what_is_not_a_module_is_refused() {
    assert!(matches!(Symbols::load(&b"hello"[..]), Err(SymbolsError::Malformed { .. })));
    assert!(matches!(Symbols::load(&b"\0asm\x0d\0\x01\0"[..]), Err(SymbolsError::Component)));
    assert!(matches!(Symbols::load(&DWARF_5[..DWARF_5.len() / 2]), Err(SymbolsError::Malformed { .. })));
}

/// Asks everything there is to ask.
fn interrogate(module: &[u8]) {
    let Ok(symbols) = Symbols::load(module) else { return };
    for offset in 0..200 {
        assert!(!symbols.locate(CodeOffset(offset)).frames.is_empty());
    }
    let _ = (symbols.data_symbol("worker_pools"), symbols.symbol_at(0x10020), symbols.problems());
}

#[test]
fn broken_dwarf_is_told_and_the_names_still_answer() {
    let whole = load(DWARF_5);
    let start = whole.functions_named("worker_thread")[0].start;
    // The first unit's version, two bytes after its length, becomes 0x7f05.
    let mut module = DWARF_5.to_vec();
    let name = b".debug_info";
    let at = module.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4;
    module[at + 1] = 0x7f;
    let symbols = load(&module);
    assert_eq!(symbols.locate(start).frames[0].function, "worker_thread");
    assert_eq!(symbols.data_symbol("worker_pools").unwrap().source, DataSource::Export);
    assert!(!symbols.problems().is_empty());
}

proptest! {
    // A failing input is printed; there is no source folder here to keep it in.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn damaged_debug_information_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        older in any::<bool>(),
    ) {
        let mut module = if older { DWARF_4.to_vec() } else { DWARF_5.to_vec() };
        // Mostly the custom sections: they begin about here.
        let first = 0x160;
        for (index, byte) in damage {
            let at = first + index.index(module.len() - first);
            module[at] = byte;
        }
        interrogate(&module);
    }
}

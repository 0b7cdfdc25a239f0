//! With nothing to insert, nothing changes; and whatever is inserted, the map is exact.

use proptest::prelude::*;
use wasmparser::{FunctionBody, Operator, Parser, Payload};
use wkdb::instrument::{
    DebugSections, Exports, HostMemory, InstrumentError, OffsetMap, Options, Probes, Rewritten, RuntimeGlobals,
    TickCounter, rewrite,
};
use wkdb_tracer::CodeOffset;

use crate::generated::{any_module, entropy};

/// All there is to insert.
pub(crate) fn options() -> impl Strategy<Value = Options> {
    let globals = prop_oneof![Just(RuntimeGlobals::Define), Just(RuntimeGlobals::Import)];
    let counter = prop_oneof![Just(TickCounter::Local), Just(TickCounter::Global)];
    let debug = prop_oneof![Just(DebugSections::Keep), Just(DebugSections::Drop)];
    let exports = prop_oneof![Just(Exports::All), Just(Exports::Only(&[])), Just(Exports::Only(&["", "0", "a"]))];
    let memory = prop_oneof![Just(HostMemory::Keep), Just(HostMemory::Import), Just(HostMemory::Define)];
    let all = (any::<[bool; 8]>(), memory, globals, counter, exports, debug);
    all.prop_map(|(on, host_memory, runtime_globals, tick_counter, exports, debug_sections)| {
        let [ticks, host_waits, stores, loads, footprint, call_stack, sites, faults] = on;
        Options {
            ticks,
            tick_counter,
            call_stack: call_stack.then_some(1 << 20),
            host_waits,
            host_memory,
            host_start: false,
            probes: Probes::NONE,
            stack_pointer: false,
            callees: false,
            sites,
            faults,
            stores,
            loads,
            footprint,
            runtime_globals,
            exports,
            debug_sections,
        }
    })
}

/// A function's body: where its locals' declarations are in the file, its operators with their places, and its end.
struct Body<'m> {
    start: usize,
    operators: Vec<(usize, Operator<'m>)>,
    end: usize,
}

/// The start of the code section's contents, and all bodies.
fn bodies(module: &[u8]) -> (usize, Vec<Body<'_>>) {
    let mut bodies = Vec::new();
    let mut code = 0;
    for payload in Parser::new(0).parse_all(module) {
        match payload.expect("the module is valid") {
            Payload::CodeSectionStart { range, .. } => code = range.start,
            Payload::CodeSectionEntry(body) => bodies.push(read_body(&body)),
            _ => {}
        }
    }
    (code, bodies)
}

fn read_body<'m>(body: &FunctionBody<'m>) -> Body<'m> {
    let operators = body.get_operators_reader().expect("the module is valid").into_iter_with_offsets();
    let operators = operators.map(|item| item.map(|(operator, offset)| (offset, operator)));
    let operators = operators.collect::<Result<Vec<_>, _>>().expect("the module is valid");
    Body { start: body.range().start, operators, end: body.range().end }
}

/// Whether `new` is what an operator may have become: the same but for moved indices, or a call of the host.
fn corresponds(old: &Operator<'_>, new: &Operator<'_>, map: &OffsetMap) -> bool {
    match (old, new) {
        (Operator::Call { function_index: old }, Operator::Call { function_index: new })
        | (Operator::ReturnCall { function_index: old }, Operator::ReturnCall { function_index: new })
        | (Operator::RefFunc { function_index: old }, Operator::RefFunc { function_index: new }) => {
            map.rewritten_function(*old) == *new && map.original_function(*new) == Some(*old)
        }
        (Operator::GlobalGet { global_index: old }, Operator::GlobalGet { global_index: new })
        | (Operator::GlobalSet { global_index: old }, Operator::GlobalSet { global_index: new }) => {
            map.rewritten_global(*old) == Some(*new)
        }
        // The host call's offset operand comes first.
        (
            Operator::MemoryAtomicWait32 { memarg }
            | Operator::MemoryAtomicWait64 { memarg }
            | Operator::MemoryAtomicNotify { memarg },
            Operator::I32Const { .. } | Operator::I64Const { .. },
        ) => match new {
            Operator::I32Const { value } => u64::from(value.cast_unsigned()) == memarg.offset,
            Operator::I64Const { value } => value.cast_unsigned() == memarg.offset,
            _ => false,
        },
        (Operator::MemoryGrow { .. }, Operator::Call { function_index }) => {
            map.original_function(*function_index).is_none()
        }
        _ => old == new,
    }
}

/// Checks the map operator by operator, in both directions, against the decoded code of both sides.
fn check_map(original: &[u8], rewritten: &Rewritten, imported_functions: u32) {
    let map = &rewritten.map;
    let (base, old_bodies) = bodies(original);
    let (_, new_bodies) = bodies(&rewritten.wasm);
    // Behind the original functions come some that belong to none of them.
    assert!(old_bodies.len() <= new_bodies.len());
    let indices = map.rewritten_function(imported_functions)..;
    for (index, added) in indices.zip(&new_bodies).skip(old_bodies.len()) {
        assert_eq!((map.original(added.start as u32), map.original_function(index)), (None, None));
    }
    for (index, (old, new)) in old_bodies.iter().zip(&new_bodies).enumerate() {
        let code = |offset: usize| CodeOffset((offset - base) as u32);
        let function = imported_functions + index as u32;
        assert_eq!(map.function_range(function), Some(code(old.start)..code(old.end)));
        // The declarations of the locals stand for the first operator.
        assert_eq!(map.rewritten(code(old.start)), map.rewritten(code(old.operators[0].0)));
        assert_eq!(map.original(new.start as u32), Some(code(old.operators[0].0)));
        let mut remaining = new.operators.iter().peekable();
        for (position, (offset, operator)) in old.operators.iter().enumerate() {
            let here = code(*offset);
            assert_eq!(map.function_at(here), Some(function));
            let first = map.rewritten(here).expect("the operator has a place");
            let place = map.rewritten_operator(here).expect("the operator has a place");
            assert!(first <= place);
            // All new operators up to the next original one's first byte belong to this one.
            let next = old.operators.get(position + 1);
            let end = next.map_or(new.end as u32, |(next, _)| map.rewritten(code(*next)).expect("it has a place"));
            let mine: Vec<_> = std::iter::from_fn(|| remaining.next_if(|(at, _)| (*at as u32) < end)).collect();
            assert_eq!(mine.first().map(|(at, _)| *at as u32), Some(first), "of operator {operator:?} at {here}");
            for (at, _) in &mine {
                assert_eq!(map.original(*at as u32), Some(here), "of operator {operator:?} at {here}");
            }
            let (_, itself) = mine.iter().find(|(at, _)| *at as u32 == place).expect("an operator starts there");
            assert!(corresponds(operator, itself, map), "{operator:?} became {itself:?}");
        }
        assert!(remaining.next().is_none());
        assert_eq!(map.original(new.end as u32 - 1), Some(code(old.end - 1)));
    }
    let bytes = map.to_bytes();
    assert_eq!(OffsetMap::from_bytes(&bytes).as_ref(), Ok(map));
}

fn imported_functions(module: &[u8]) -> u32 {
    let sections = Parser::new(0).parse_all(module);
    let imports = sections.filter_map(|payload| match payload {
        Ok(Payload::ImportSection(imports)) => Some(imports.into_imports()),
        _ => None,
    });
    let functions = imports.flatten().filter(|import| {
        let import = import.as_ref().expect("the module is valid");
        matches!(import.ty, wasmparser::TypeRef::Func(_) | wasmparser::TypeRef::FuncExact(_))
    });
    functions.count() as u32
}

proptest! {
    #![proptest_config(crate::generated::config(400))]

    #[test]
    fn nothing_to_insert_changes_no_byte(entropy in entropy()) {
        let Some(module) = any_module(&entropy) else { return Ok(()) };
        let rewritten = rewrite(&module, &Options::identity()).expect("the module is valid");
        prop_assert!(rewritten.wasm == module);
        check_map(&module, &rewritten, imported_functions(&module));
    }

    #[test]
    fn the_map_is_exact_for_every_operator(entropy in entropy(), options in options()) {
        let Some(module) = any_module(&entropy) else { return Ok(()) };
        let rewritten = match rewrite(&module, &options) {
            Ok(rewritten) => rewritten,
            // The only reasons to refuse what wasm-smith makes.
            Err(InstrumentError::OwnMemory) if options.host_memory != HostMemory::Keep => return Ok(()),
            Err(InstrumentError::ManyMemories { .. }) if options.host_memory == HostMemory::Define => return Ok(()),
            Err(InstrumentError::OtherMemory { .. })
                if options.stores || options.loads || options.host_waits || options.faults =>
            {
                return Ok(());
            }
            Err(InstrumentError::OwnMemory) if options.runtime_globals == RuntimeGlobals::Import => return Ok(()),
            Err(other) => panic!("{other}"),
        };
        let valid = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::all())
            .validate_all(&rewritten.wasm);
        if let Err(error) = valid {
            panic!("{error}");
        }
        check_map(&module, &rewritten, imported_functions(&module));
    }

    #[test]
    fn damaged_maps_are_refused_or_answer(entropy in entropy(), damage in prop::collection::vec(any::<(u16, u8)>(), 1..8)) {
        let Some(module) = any_module(&entropy) else { return Ok(()) };
        let options = Options { ticks: true, ..Options::identity() };
        let rewritten = rewrite(&module, &options).expect("the module is valid");
        let mut bytes = rewritten.map.to_bytes();
        for (at, value) in damage {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        if let Ok(map) = OffsetMap::from_bytes(&bytes) {
            for offset in (0..module.len() as u32 + 16).chain([u32::MAX - 1, u32::MAX]) {
                let _ = (map.original(offset), map.rewritten(CodeOffset(offset)), map.function_at(CodeOffset(offset)));
                let _ = (map.function_range(offset), map.original_function(offset), map.rewritten_global(offset));
            }
        }
        for length in 0..bytes.len().min(200) {
            let _ = OffsetMap::from_bytes(&bytes[..length]);
        }
    }
}

//! What lldb is told by expressions is what gdb is told by lists and registers: both are evaluated, at every instruction,
//! with the same frame.

use gimli::{AttributeValue, Dwarf, EvaluationResult, Expression, LittleEndian, Location, Piece, Unit, Value};
use wkdb_tracer::{ModuleId, RunnerId};

use super::super::wasm::Wasm;
use super::super::{CompanionError, CompanionModule, WasmObject, build_object, table};
use super::reading::{Slice, borrow, of_elf};
use super::{built, fixture, layout, minik};

/// The frame that everything is evaluated in.
const CFA: u64 = 0xf00f_0000;
const STACK_POINTER: u64 = 0x8000;
/// Which frame of its task it is.
const DEPTH: u64 = 3;

fn object(wasm: &[u8]) -> WasmObject {
    let (object, problems) = build_object(&CompanionModule { id: ModuleId::KERNEL, wasm }).expect("it is a module");
    assert_eq!(problems, Vec::<String>::new());
    object
}

/// Some value for what is at an address.
fn memory(address: u64, pc: u64) -> u64 {
    // Evaluated by gimli, addresses have the bits of the guest's: those above are lost.
    let row = (table::address(RunnerId(0)) + DEPTH * table::ROW_BYTES) & 0xffff_ffff;
    match address.checked_sub(row) {
        Some(table::CFA) => CFA,
        Some(table::PC) => pc,
        Some(table::STACK_POINTER) => STACK_POINTER,
        _ => address.wrapping_mul(0x9e37_79b9) >> 3 & 0xffff_fff8,
    }
}

/// What lldb finds by an expression. Behind the one that a list's choice falls on is a jump to the end, and gimli wants none
/// behind values and pieces: so all that can be chosen are tried, each up to its jump. Those that are not jump out of that.
fn choose(expression: Expression<Slice<'_>>, unit: &Unit<Slice<'_>>, pc: u64) -> Option<Vec<Piece<Slice<'static>>>> {
    let bytes = expression.0.slice();
    let mut ends = Vec::new();
    let mut operations = expression.operations(unit.encoding());
    while let Some(operation) = operations.next().expect("readable") {
        if let gimli::Operation::Skip { .. } = operation {
            ends.push(operations.offset_from(&expression) - 3);
        }
    }
    if ends.is_empty() {
        return evaluate(expression, unit, pc);
    }
    let mut chosen = ends.into_iter().filter_map(|end| {
        evaluate(Expression(Slice::new(&bytes[..end], LittleEndian)), unit, pc).filter(|pieces| !pieces.is_empty())
    });
    let found = chosen.next();
    assert!(chosen.next().is_none(), "two are chosen");
    found
}

/// What a debugger finds by an expression, with the pc as the input counts; the frame base is some address.
fn evaluate(expression: Expression<Slice<'_>>, unit: &Unit<Slice<'_>>, pc: u64) -> Option<Vec<Piece<Slice<'static>>>> {
    let mut evaluation = expression.evaluation(unit.encoding());
    let mut result = evaluation.evaluate();
    loop {
        result = match result {
            Err(_) => return None,
            Ok(result) => match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresFrameBase => evaluation.resume_with_frame_base(STACK_POINTER),
                EvaluationResult::RequiresCallFrameCfa => evaluation.resume_with_call_frame_cfa(CFA),
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = match register.0 {
                        n if n == u16::from(table::TASK_REGISTER) => table::address(RunnerId(0)),
                        n if n == u16::from(table::ZERO_REGISTER) => 0,
                        // The stack pointer's, and the base of globals, of the processor.
                        4 => STACK_POINTER,
                        register => panic!("register {register}"),
                    };
                    evaluation.resume_with_register(Value::Generic(value))
                }
                EvaluationResult::RequiresWasmLocal { index } => {
                    assert_eq!(index, table::ROW_LOCAL);
                    evaluation.resume_with_wasm_value(Value::Generic(DEPTH * table::ROW_BYTES))
                }
                EvaluationResult::RequiresMemory { address, .. } => {
                    evaluation.resume_with_memory(Value::Generic(memory(address, pc)))
                }
                EvaluationResult::RequiresRelocatedAddress(address) => {
                    evaluation.resume_with_relocated_address(address)
                }
                EvaluationResult::RequiresBaseType(_) => evaluation.resume_with_base_type(gimli::ValueType::Generic),
                other => panic!("{other:?}"),
            },
        };
    }
    let pieces = evaluation.as_result();
    // Both files have other bytes; what is compared are places.
    pieces
        .iter()
        .map(|piece| {
            let location = match piece.location {
                Location::Empty => Location::Empty,
                Location::Address { address } => Location::Address { address },
                Location::Value { value } => Location::Value { value },
                Location::Bytes { value } => {
                    let bytes: [u8; 8] = value.slice().try_into().ok()?;
                    Location::Value { value: Value::Generic(u64::from_le_bytes(bytes)) }
                }
                _ => return None,
            };
            Some(Piece { size_in_bits: piece.size_in_bits, bit_offset: piece.bit_offset, location })
        })
        .collect()
}

fn same(lldbs: &[Piece<Slice<'_>>], gdbs: &[Piece<Slice<'_>>]) -> bool {
    // Constants are in memory; gimli has kept only the lower bits of where.
    let constant =
        |address: u64, value: u64| table::constant_address(value).map(|at| at & 0xffff_ffff) == Some(address);
    lldbs.len() == gdbs.len()
        && lldbs.iter().zip(gdbs).all(|(ours, theirs)| {
            let same = match (&ours.location, &theirs.location) {
                (Location::Address { address }, Location::Value { value: Value::Generic(value) }) => {
                    constant(*address, *value)
                }
                (ours, theirs) => format!("{ours:?}") == format!("{theirs:?}"),
            };
            same && ours.size_in_bits == theirs.size_in_bits
        })
}

/// The expression of a list that is for an instruction.
fn at<'m>(
    dwarf: &Dwarf<Slice<'m>>,
    unit: &Unit<Slice<'m>>,
    value: AttributeValue<Slice<'m>>,
    pc: u64,
) -> Option<Expression<Slice<'m>>> {
    let mut list = dwarf.attr_locations(unit, value).expect("readable")?;
    while let Some(entry) = list.next().expect("readable") {
        if (entry.range.begin..entry.range.end).contains(&pc) {
            return Some(entry.data);
        }
    }
    None
}

/// Compares all variables of a module at all instructions; how often they were somewhere.
fn compare(wasm: &[u8]) -> usize {
    let outline = Wasm::read(wasm, &mut Vec::new()).expect("a module");
    let base = layout(wasm).code_base(ModuleId::KERNEL).expect("placed");
    let object = object(wasm);
    let given = Wasm::read(&object.wasm, &mut Vec::new()).expect("a module");
    let section = |id: gimli::SectionId| {
        Ok::<_, ()>(Slice::new(given.debug.get(id.name()).copied().unwrap_or_default(), LittleEndian))
    };
    let lldbs = Dwarf::load(section).expect("nothing fails");
    let sections = of_elf(&built(wasm).elf);
    let gdbs = borrow(&sections);
    let (mut left, mut right) = (lldbs.units(), gdbs.units());
    let mut found = 0;
    while let (Some(ours), Some(theirs)) = (left.next().expect("readable"), right.next().expect("readable")) {
        let (ours, theirs) = (lldbs.unit(ours).expect("readable"), gdbs.unit(theirs).expect("readable"));
        let (mut mine, mut other) = (ours.entries(), theirs.entries());
        let mut function = 0..0;
        while let (Some(entry), Some(processor)) =
            (mine.next_dfs().expect("readable"), other.next_dfs().expect("readable"))
        {
            assert_eq!(entry.tag(), processor.tag());
            if entry.tag() == gimli::DW_TAG_subprogram {
                let low = match entry.attr_value(gimli::DW_AT_low_pc) {
                    Some(AttributeValue::Addr(low)) => low,
                    _ => 0,
                };
                let len = entry.attr_value(gimli::DW_AT_high_pc).and_then(|len| len.udata_value()).unwrap_or(0);
                function = low..low + len;
                assert!(low == 0 || outline.functions.iter().any(|function| u64::from(function.first) == low));
            }
            let Some(AttributeValue::Exprloc(expression)) = entry.attr_value(gimli::DW_AT_location) else {
                assert!(entry.attr_value(gimli::DW_AT_location).is_none(), "a list is left");
                continue;
            };
            // Those that are not in frames say so, however their place is given.
            let address = match processor.attr_value(gimli::DW_AT_location) {
                // Nothing but that.
                Some(AttributeValue::Exprloc(place)) => {
                    let bytes = place.0.slice();
                    entry.tag() == gimli::DW_TAG_variable && bytes.len() == 5 && bytes[0] == gimli::DW_OP_addr.0
                }
                _ => false,
            };
            assert_eq!(entry.attr_value(gimli::DW_AT_linkage_name).is_some(), address, "{:?}", entry.offset());
            for pc in function.clone() {
                let theirs_here = match processor.attr_value(gimli::DW_AT_location).expect("it has one too") {
                    AttributeValue::Exprloc(expression) => Some(expression),
                    list => at(&gdbs, &theirs, list, base + pc),
                };
                // What needs values of 8 bytes is compared by real debuggers.
                if theirs_here.is_some_and(|expression| expression.0.slice().contains(&0xa6)) {
                    continue;
                }
                let theirs_here = theirs_here
                    .filter(|expression| !expression.0.is_empty())
                    .and_then(|expression| evaluate(expression, &theirs, pc));
                let ours_here = choose(expression, &ours, pc).filter(|pieces| !pieces.is_empty());
                let at = entry.offset();
                match (&ours_here, &theirs_here) {
                    (None, None) => {}
                    (Some(ours), Some(theirs)) if same(ours, theirs) => found += 1,
                    (ours, theirs) => panic!("{at:?} at {pc:#x}: lldb {ours:?}, gdb {theirs:?}"),
                }
            }
        }
    }
    found
}

#[test]
fn a_variable_is_where_gdb_finds_it_at_every_instruction() {
    for (name, wasm) in [("O0", fixture("O0")), ("O2", fixture("O2")), ("minik", minik())] {
        let found = compare(&wasm);
        println!("{name}: {found}");
        assert!(found > 100, "{name}: {found}");
    }
}

#[test]
fn functions_have_one_name_each() {
    let wasm = minik();
    let object = object(&wasm);
    let before = Wasm::read(&wasm, &mut Vec::new()).expect("a module");
    let given = Wasm::read(&object.wasm, &mut Vec::new()).expect("a module");
    assert_eq!(before.functions.len(), given.functions.len());
    for (before, given) in before.functions.iter().zip(&given.functions) {
        assert_eq!((before.index, before.start, before.first), (given.index, given.start, given.first));
    }
    let named = |wasm: &Wasm<'_>, name: &str| {
        wasm.functions.iter().filter(|function| wasm.function_name(function.index) == name).count()
    };
    // Written in assembly, and in C.
    assert_eq!((named(&before, "_start"), named(&given, "_start")), (1, 1));
    assert_eq!((named(&before, "start_kernel"), named(&given, "start_kernel")), (1, 0), "the debug information has it");
    assert_eq!(WasmObject::of(object.wasm.clone()), Some(object));
}

#[test]
fn what_lldb_does_not_know_is_refused() {
    let wasm = fixture("O2-wasm64");
    let error = build_object(&CompanionModule { id: ModuleId::KERNEL, wasm: &wasm }).expect_err("64 bits");
    assert!(matches!(error, CompanionError::WordSize { module: 8, layout: 4 }), "{error}");
    assert_eq!(WasmObject::of(b"\0asm\x01\0\0\0".to_vec()), None, "no code");
}

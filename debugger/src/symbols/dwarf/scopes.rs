//! What is in scope at an instruction: the function, the blocks in it, what is inlined there, and their variables.

use std::collections::BTreeMap;
use std::ops::Range;

use gimli::AttributeValue;
use wkdb_tracer::CodeOffset;

use super::super::module::ModuleNames;
use super::super::{FrameObjects, FunctionSymbol, Scope, SourceFrame, SourcePosition, Symbols, TypeKind, Variable};
use super::info::{DebugInfo, Die, Entry, Shared};
use super::line_table::LineTables;
use super::types::children;

/// How deep blocks are followed.
const MAX_BLOCKS: usize = 256;

/// Blocks of a function that are looked into for its variables.
const MAX_OBJECTS: usize = 10_000;

/// The entry of the function around an instruction.
pub(in super::super) fn function_at(info: &DebugInfo, offset: CodeOffset, function: &FunctionSymbol) -> Option<Die> {
    let probe = u64::from(offset.0);
    let body = u64::from(function.start.0)..u64::from(function.end.0);
    let mut partly = None;
    for unit in info.units_at(offset) {
        for (range, die) in info.functions(unit) {
            // A weak function that was replaced has the address of what replaced it, with its own length.
            if *range == body {
                return Some(*die);
            }
            if range.contains(&probe) && body.contains(&range.start) && range.end <= body.end {
                partly = partly.or(Some(*die));
            }
        }
    }
    partly
}

/// The functions of the source that are active at an instruction, innermost first: slower than `Lines`, but never those
/// of other functions.
pub(in super::super) fn frames(
    info: &DebugInfo,
    tables: &LineTables,
    names: &ModuleNames,
    offset: CodeOffset,
    function: &FunctionSymbol,
) -> Vec<SourceFrame> {
    let unit = function_at(info, offset, function).map(|die| die.unit);
    let row = unit.and_then(|unit| {
        let rows = tables.rows(info, names, unit);
        let row = &rows[rows.partition_point(|row| row.code.start <= offset.0).checked_sub(1)?];
        row.code.contains(&offset.0).then_some((unit, u64::from(row.file), row.line))
    });
    let position = |unit: u32, file: u64, line: Option<u32>| {
        let file = tables.files(info, unit).get(usize::try_from(file).ok()?)?.as_ref()?;
        let directory = (file.shown != file.path).then(|| file.path.strip_suffix(&file.shown)).flatten();
        let directory = directory.map(|directory| directory.trim_end_matches('/').to_owned());
        Some(SourcePosition { file: file.shown.clone(), directory, line, column: None })
    };
    let mut source = row.and_then(|(unit, file, line)| position(unit, file, Some(line).filter(|&line| line > 0)));
    let mut frames = Vec::new();
    for (die, entry) in blocks(info, offset, function) {
        let inlined = match entry.tag() {
            gimli::DW_TAG_subprogram => false,
            gimli::DW_TAG_inlined_subroutine => true,
            _ => continue,
        };
        let number = |name| entry.attr_value(name).and_then(|value| value.udata_value());
        let call_file = match entry.attr_value(gimli::DW_AT_call_file) {
            Some(AttributeValue::FileIndex(file)) => Some(file),
            other => other.and_then(|value| value.udata_value()),
        };
        let line = number(gimli::DW_AT_call_line).and_then(|line| u32::try_from(line).ok()).filter(|&line| line > 0);
        let call = call_file.and_then(|file| position(die.unit, file, line));
        frames.push(SourceFrame {
            function: info.name(die).unwrap_or_else(|| function.name.clone()),
            source: std::mem::replace(&mut source, call),
            inlined,
        });
    }
    frames
}

/// The innermost function or inlined copy around an instruction, and whether it is inlined.
pub(in super::super) fn instance_at(
    info: &DebugInfo,
    offset: CodeOffset,
    function: &FunctionSymbol,
) -> Option<(Die, bool)> {
    blocks(info, offset, function).into_iter().find_map(|(die, entry)| match entry.tag() {
        gimli::DW_TAG_subprogram => Some((die, false)),
        gimli::DW_TAG_inlined_subroutine => Some((die, true)),
        _ => None,
    })
}

/// The blocks around an instruction, innermost first; the last one is the function.
fn blocks(info: &DebugInfo, offset: CodeOffset, function: &FunctionSymbol) -> Vec<(Die, Entry)> {
    let Some(die) = function_at(info, offset, function) else { return Vec::new() };
    let Some(entry) = info.entry(die) else { return Vec::new() };
    let probe = u64::from(offset.0);
    let mut blocks = vec![(die, entry)];
    while let Some((outer, _)) = blocks.last()
        && blocks.len() < MAX_BLOCKS
    {
        let unit = outer.unit;
        let inner = children(info, *outer).into_iter().find(|child| {
            is_block(child) && info.ranges(unit, child).iter().any(|range: &Range<u64>| range.contains(&probe))
        });
        match inner {
            Some(inner) => blocks.push((Die { unit, offset: inner.offset() }, inner)),
            None => break,
        }
    }
    blocks.reverse();
    blocks
}

fn is_block(entry: &Entry) -> bool {
    matches!(entry.tag(), gimli::DW_TAG_lexical_block | gimli::DW_TAG_inlined_subroutine | gimli::DW_TAG_try_block)
}

/// The scopes around an instruction, innermost first.
pub(in super::super) fn scopes(symbols: &Symbols, offset: CodeOffset, function: &FunctionSymbol) -> Vec<Scope> {
    let Some(info) = symbols.info() else { return Vec::new() };
    let blocks = blocks(info, offset, function);
    let outermost = blocks.last().map(|(die, _)| *die);
    let mut frame = 0;
    let mut scopes = Vec::new();
    for (die, entry) in blocks {
        let is_function = entry.tag() != gimli::DW_TAG_lexical_block && entry.tag() != gimli::DW_TAG_try_block;
        scopes.push(Scope {
            frame,
            function: is_function.then(|| info.name(die)).flatten(),
            variables: children(info, die)
                .iter()
                .filter_map(|child| {
                    let parameter = child.tag() == gimli::DW_TAG_formal_parameter;
                    let wanted = parameter || child.tag() == gimli::DW_TAG_variable;
                    wanted
                        .then(|| variable(symbols, info, Die { unit: die.unit, offset: child.offset() }, parameter))?
                })
                .map(|variable| Variable { function: outermost, ..variable })
                .collect(),
        });
        if is_function {
            frame += 1;
        }
    }
    scopes
}

/// The variable of an entry; `None` if it has no name.
pub(in super::super) fn variable(symbols: &Symbols, info: &DebugInfo, die: Die, parameter: bool) -> Option<Variable> {
    let chain = info.chain(die);
    let (unit, name) = DebugInfo::chained(&chain, gimli::DW_AT_name)?;
    let line = DebugInfo::chained(&chain, gimli::DW_AT_decl_line).and_then(|(_, line)| line.udata_value());
    Some(Variable {
        name: info.string(unit, name)?,
        ty: info.type_of(die).map_or_else(|| symbols.unsettled_type(), |ty| symbols.types.of_die(ty)),
        parameter,
        line: line.and_then(|line| u32::try_from(line).ok()),
        die,
        function: None,
    })
}

/// Whether variables of a function are in its frame in memory, so that they are there only after its prologue.
pub(in super::super) fn has_memory_frame(info: &DebugInfo, function: Die) -> bool {
    let Some(unit) = info.unit(function.unit) else { return false };
    children(info, function).iter().any(|child| match child.attr_value(gimli::DW_AT_location) {
        Some(AttributeValue::Exprloc(expression)) => {
            matches!(expression.operations(unit.encoding()).next(), Ok(Some(gimli::Operation::FrameOffset { .. })))
        }
        _ => false,
    })
}

/// The places in a function's frame at which an expression says that a variable begins, whole or in pieces. None if it is in
/// memory at a place that `local` does not know.
fn begins_at(
    expression: gimli::Expression<Shared>,
    encoding: gimli::Encoding,
    local: &dyn Fn(u32) -> Option<i64>,
) -> Option<Vec<i64>> {
    let mut operations = expression.operations(encoding);
    // Where the present piece is, if it is in memory; and how many bytes are before it.
    let (mut places, mut at, mut before) = (Vec::new(), None, 0_i64);
    while let Ok(Some(operation)) = operations.next() {
        match operation {
            gimli::Operation::FrameOffset { offset } => at = Some(Some(offset)),
            gimli::Operation::WasmLocal { index } => at = Some(local(index)),
            gimli::Operation::PlusConstant { value } => {
                at = at.map(|at| at.map(|at| at.wrapping_add(i64::try_from(value).unwrap_or(0))));
            }
            gimli::Operation::Piece { size_in_bits, .. } => {
                if let Some(at) = at.take() {
                    places.push(at?.wrapping_sub(before));
                }
                before = before.wrapping_add(i64::try_from(size_in_bits / 8).unwrap_or(0));
            }
            // It is a value, or somewhere else.
            _ => at = None,
        }
    }
    if let Some(at) = at {
        places.push(at?.wrapping_sub(before));
    }
    Some(places)
}

fn is_variable(entry: &Entry) -> bool {
    matches!(entry.tag(), gimli::DW_TAG_variable | gimli::DW_TAG_formal_parameter)
}

/// The variables of a function, as it is written, that are structures or arrays, but for those that are static.
fn structures(symbols: &Symbols, info: &DebugInfo, function: Die) -> Vec<Die> {
    let mut found = Vec::new();
    let mut blocks = vec![function];
    while let Some(block) = blocks.pop().filter(|_| found.len() < MAX_OBJECTS) {
        for child in children(info, block) {
            let die = Die { unit: block.unit, offset: child.offset() };
            if child.tag() == gimli::DW_TAG_lexical_block {
                blocks.push(die);
                continue;
            }
            let is_large = || {
                let ty = info.type_of(die).map(|ty| symbols.resolve(symbols.types.of_die(ty)).1);
                ty.is_none_or(|ty| matches!(ty.kind, TypeKind::Composite(_) | TypeKind::Array { .. }))
            };
            let is_static = || match (info.unit(block.unit), child.attr_value(gimli::DW_AT_location)) {
                (Some(unit), Some(AttributeValue::Exprloc(expression))) => {
                    let first = expression.operations(unit.encoding()).next();
                    matches!(first, Ok(Some(gimli::Operation::Address { .. } | gimli::Operation::AddressIndex { .. })))
                }
                _ => child.attr_value(gimli::DW_AT_declaration).is_some(),
            };
            if is_variable(&child) && is_large() && !is_static() {
                found.push(die);
            }
        }
    }
    found
}

/// The variables that a function, and what is inlined into it, keeps in memory, wherever in the function they are. None if
/// the function is not known, or one of them is at a place that `local` does not know: the address in a local, counted from
/// the frame's base.
pub(in super::super) fn frame_objects(
    symbols: &Symbols,
    function: &FunctionSymbol,
    local: &dyn Fn(u32) -> Option<i64>,
) -> Option<FrameObjects> {
    let info = symbols.info()?;
    let mut blocks = vec![function_at(info, function.start, function)?];
    let mut objects = FrameObjects::default();
    // Structures, by their entries in the functions as they are written: how often they are there, less how often it is told
    // where. An optimising compiler forgets some at times.
    let mut untold: BTreeMap<Die, i64> = BTreeMap::new();
    let size_of = |die| info.type_of(die).and_then(|ty| symbols.size_of(symbols.types.of_die(ty)));
    let mut seen = 0;
    while let Some(block) = blocks.pop() {
        let unit = info.unit(block.unit)?;
        seen += 1;
        if info.entry(block).is_some_and(|entry| entry.tag() != gimli::DW_TAG_lexical_block) {
            for structure in structures(symbols, info, info.origin(block)) {
                *untold.entry(structure).or_default() += 1;
            }
        }
        for child in children(info, block) {
            let die = Die { unit: block.unit, offset: child.offset() };
            if is_block(&child) {
                // More are no function's.
                if seen < MAX_OBJECTS {
                    blocks.push(die);
                }
                continue;
            }
            if !is_variable(&child) {
                continue;
            }
            let mut expressions = Vec::new();
            match child.attr_value(gimli::DW_AT_location) {
                None => {}
                Some(AttributeValue::Exprloc(expression)) => expressions.push(expression),
                Some(list) => {
                    let Ok(Some(mut locations)) = unit.attr_locations(list) else { continue };
                    while let Ok(Some(entry)) = locations.next() {
                        expressions.push(entry.data);
                    }
                }
            }
            // It says of parts of a variable, at times, that they are in memory, and in between that others have this value:
            // the variable is there as a whole.
            let size = i64::try_from(size_of(die).unwrap_or(symbols.address_size())).unwrap_or(i64::MAX);
            let mut is_told = false;
            for expression in expressions {
                for begin in begins_at(expression, unit.encoding(), local)? {
                    is_told = true;
                    let name = variable(symbols, info, die, false).map(|variable| variable.name);
                    objects.told.push((begin..begin.saturating_add(size), name.unwrap_or_default()));
                }
            }
            if is_told && let Some(count) = untold.get_mut(&info.origin(die)) {
                *count -= 1;
            }
        }
    }
    let untold = untold.into_iter().filter(|(_, count)| *count > 0);
    objects.untold = untold.map(|(die, _)| size_of(die).unwrap_or(u64::MAX)).max();
    Some(objects)
}

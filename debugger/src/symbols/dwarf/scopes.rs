//! What is in scope at an instruction: the function, the blocks in it, what is inlined there, and their variables.

use std::ops::Range;

use gimli::AttributeValue;
use wkdb_tracer::CodeOffset;

use super::super::{FunctionSymbol, Scope, Symbols, Variable};
use super::info::{DebugInfo, Die, Entry};
use super::types::children;

/// How deep blocks are followed.
const MAX_BLOCKS: usize = 256;

/// The entry of the function around an instruction.
pub(in super::super) fn function_at(info: &DebugInfo, offset: CodeOffset, function: &FunctionSymbol) -> Option<Die> {
    let probe = u64::from(offset.0);
    let body = u64::from(function.start.0)..u64::from(function.end.0);
    info.units_at(offset).into_iter().find_map(|unit| {
        let found =
            info.functions(unit).iter().find(|(range, _)| range.contains(&probe) && body.contains(&range.start));
        found.map(|(_, die)| *die)
    })
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

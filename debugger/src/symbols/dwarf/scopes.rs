//! What is in scope at an instruction: the function, the blocks in it, what is inlined there, and their variables.

use std::ops::Range;

use gimli::AttributeValue;
use wkdb_tracer::CodeOffset;

use super::super::module::ModuleNames;
use super::super::{FunctionSymbol, Scope, SourceFrame, SourcePosition, Symbols, Variable};
use super::info::{DebugInfo, Die, Entry};
use super::line_table::LineTables;
use super::types::children;

/// How deep blocks are followed.
const MAX_BLOCKS: usize = 256;

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

//! The only place that knows DWARF.
//!
//! For Wasm, code addresses are offsets from the start of the code section's contents, and a function's `low_pc` is the
//! start of its body, where its locals are declared. Data addresses are guest addresses.
//!
//! ```text
//! info:  units and entries, read when needed ─▶ types, scopes ─▶ location: where a variable is
//! index: all names, one pass ──────────────────▶ the same
//! lines: instruction ─▶ line, inlined calls;   line_table: line ─▶ instructions
//! ```

mod index;
mod info;
mod line_table;
mod lines;
mod location;
mod scopes;
mod types;

use std::ops::Range;

use gimli::{Dwarf, LittleEndian, Reader};

use super::module::DebugSections;

pub(super) use index::{NameIndex, TypeSpace, Variable};
pub(super) use info::{DebugInfo, Die};
pub(super) use line_table::{LineTables, Row, SourceFile};
pub(super) use lines::Lines;
pub(super) use location::place;
pub(super) use scopes::{frame_objects, frames, function_at, has_memory_frame, instance_at, scopes, variable};
pub(super) use types::read_type;

/// Opens the DWARF sections of a module; `None` if it has no `.debug_info`.
fn open<R: Reader<Endian = LittleEndian>>(
    sections: &DebugSections,
    bytes: impl Fn(Range<usize>) -> R,
) -> Result<Option<Dwarf<R>>, gimli::Error> {
    if !sections.contains_key(".debug_info") {
        return Ok(None);
    }
    Dwarf::load(|id| Ok(bytes(sections.get(id.name()).cloned().unwrap_or(0..0)))).map(Some)
}

/// The code of an entry; none where its debug information makes no sense. gimli adds a length to a start without a look
/// whether that is past the end of all addresses.
fn code_ranges<R: gimli::Reader>(
    unit: gimli::UnitRef<'_, R>,
    entry: &gimli::DebuggingInformationEntry<R>,
) -> Option<gimli::RangeIter<R>> {
    let low = entry.attr_value(gimli::DW_AT_low_pc);
    let low = low.and_then(|value| unit.attr_address(value).ok().flatten());
    if let (Some(low), Some(gimli::AttributeValue::Udata(length))) = (low, entry.attr_value(gimli::DW_AT_high_pc)) {
        low.checked_add(length)?;
    }
    unit.die_ranges(entry).ok()
}

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
pub(super) use scopes::{frames, function_at, has_memory_frame, instance_at, scopes, variable};
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

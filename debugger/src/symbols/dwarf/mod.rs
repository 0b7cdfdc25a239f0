//! The only place that knows DWARF.
//!
//! For Wasm, code addresses are offsets from the start of the code section's contents, and a function's `low_pc` is the
//! start of its body, where its locals are declared. Data addresses are guest addresses.

mod lines;
mod variables;

use std::ops::Range;

use gimli::{Dwarf, LittleEndian, Reader};

use super::module::DebugSections;

pub(super) use lines::Lines;
pub(super) use variables::{Variable, variables};

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

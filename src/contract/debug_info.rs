//! How much a module tells a debugger: its `name` section and its DWARF sections, measured but not interpreted.

use wasmparser::{BinaryReader, Name, NameSectionReader};

use super::sections::{Section, id};

/// What the `name` section names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NameSummary {
    /// Its size in bytes.
    pub bytes: usize,
    /// Named functions.
    pub functions: u32,
    /// Named globals.
    pub globals: u32,
    /// Named data segments.
    pub data_segments: u32,
}

impl NameSummary {
    /// Counts the names; `None` if there are none that can be read.
    pub(super) fn of(reader: BinaryReader<'_>) -> Option<NameSummary> {
        let mut summary = NameSummary { bytes: reader.bytes_remaining(), ..NameSummary::default() };
        for part in NameSectionReader::new(reader) {
            match part.ok()? {
                Name::Function(names) => summary.functions = names.count(),
                Name::Global(names) => summary.globals = names.count(),
                Name::Data(names) => summary.data_segments = names.count(),
                _ => {}
            }
        }
        Some(summary)
    }
}

/// The DWARF sections of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DwarfSummary {
    /// The size of all `.debug_*` sections in bytes.
    pub bytes: usize,
    /// The version that the first unit in `.debug_info` declares.
    pub version: Option<u16>,
    /// Whether there are line tables.
    pub has_lines: bool,
}

impl DwarfSummary {
    /// Measures the DWARF sections; `None` if there are none.
    pub(super) fn of(module: &[u8], sections: &[Section]) -> Option<DwarfSummary> {
        let debug = |section: &&Section| section.id == id::CUSTOM && section.name.starts_with(".debug_");
        let mut summary = DwarfSummary { bytes: 0, version: None, has_lines: false };
        let mut any = false;
        for section in sections.iter().filter(debug) {
            any = true;
            summary.bytes += section.size();
            summary.has_lines |= section.name == ".debug_line" && section.size() > 0;
            if section.name == ".debug_info" && summary.version.is_none() {
                summary.version = first_unit_version(module.get(section.contents.clone()).unwrap_or_default());
            }
        }
        any.then_some(summary)
    }
}

/// A unit begins with its length (4 bytes, or ffffffff and 8 bytes), then its version (2 bytes).
fn first_unit_version(info: &[u8]) -> Option<u16> {
    let at = if info.starts_with(&[0xff; 4]) { 12 } else { 4 };
    let version = info.get(at..at + 2)?;
    Some(u16::from_le_bytes([version[0], version[1]]))
}

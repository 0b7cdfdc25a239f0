//! The sections of a module as ranges of bytes, found without decoding what is in them.

use std::ops::Range;

use super::error::InstrumentError;

/// The bytes that every core module starts with: the magic number and version 1.
pub(super) const PREAMBLE: &[u8; 8] = b"\0asm\x01\0\0\0";

/// Identifiers of the sections that are rewritten.
pub(super) mod id {
    pub(crate) const CUSTOM: u8 = 0;
    pub(crate) const TYPE: u8 = 1;
    pub(crate) const IMPORT: u8 = 2;
    pub(crate) const FUNCTION: u8 = 3;
    pub(crate) const TABLE: u8 = 4;
    pub(crate) const MEMORY: u8 = 5;
    pub(crate) const GLOBAL: u8 = 6;
    pub(crate) const EXPORT: u8 = 7;
    pub(crate) const START: u8 = 8;
    pub(crate) const ELEMENT: u8 = 9;
    pub(crate) const CODE: u8 = 10;
    pub(crate) const DATA: u8 = 11;
}

/// One section of the original file.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// Its identifier.
    pub(super) id: u8,
    /// How many bytes its size takes in the file: linkers pad it to 5.
    pub(super) size_width: usize,
    /// Its contents in the file, without identifier and size.
    pub(super) contents: Range<usize>,
}

/// Divides a module into its sections.
///
/// # Errors
/// The file is not Wasm, is a component, or ends inside a section.
pub(super) fn sections(module: &[u8]) -> Result<Vec<Section>, InstrumentError> {
    check_preamble(module)?;
    let truncated = |part| InstrumentError::Truncated { end: module.len(), part };
    let mut sections = Vec::new();
    let mut at = PREAMBLE.len();
    while let Some(&id) = module.get(at) {
        let size_width = leb_width(&module[at + 1..]).ok_or(truncated("the header of a section"))?;
        let size = wasmparser::BinaryReader::new(&module[at + 1..], at + 1).read_var_u32()? as usize;
        let start = at + 1 + size_width;
        let end = start.checked_add(size).filter(|&end| end <= module.len()).ok_or(truncated(section_name(id)))?;
        sections.push(Section { id, size_width, contents: start..end });
        at = end;
    }
    Ok(sections)
}

fn check_preamble(module: &[u8]) -> Result<(), InstrumentError> {
    let magic = &PREAMBLE[..4];
    if module.len() < PREAMBLE.len() {
        let given = module.len().min(magic.len());
        return Err(match !module.is_empty() && module[..given] == magic[..given] {
            true => InstrumentError::Truncated { end: module.len(), part: "the file's header" },
            false => InstrumentError::NotWasm,
        });
    }
    if &module[..4] != magic {
        return Err(InstrumentError::NotWasm);
    }
    // The upper half of the version field is the layer: 0 for core modules, 1 for components.
    match (u16::from_le_bytes([module[4], module[5]]), u16::from_le_bytes([module[6], module[7]])) {
        (1, 0) => Ok(()),
        (_, 1) => Err(InstrumentError::Component),
        _ => {
            let version = u32::from_le_bytes([module[4], module[5], module[6], module[7]]);
            Err(InstrumentError::UnknownVersion { version })
        }
    }
}

/// The number of bytes of the LEB128 integer that `bytes` starts with; `None` if they end inside it.
pub(super) fn leb_width(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| byte & 0x80 == 0).map(|last| last + 1)
}

/// A section's name in messages.
pub(super) fn section_name(id: u8) -> &'static str {
    match id {
        0 => "a custom section",
        1 => "the type section",
        2 => "the import section",
        3 => "the function section",
        4 => "the table section",
        5 => "the memory section",
        6 => "the global section",
        7 => "the export section",
        8 => "the start section",
        9 => "the element section",
        10 => "the code section",
        11 => "the data section",
        12 => "the data count section",
        13 => "the tag section",
        _ => "a section of unknown kind",
    }
}

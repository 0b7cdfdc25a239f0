//! The frames of a binary module: which sections it has and where.
//!
//! Done apart from reading their contents so that a file that was cut short is called just that, with the section that
//! is cut, rather than by whatever its last bytes happen to look like.

use std::ops::Range;

use wasmparser::BinaryReader;

use super::error::ContractError;

/// The ids of the sections, by the binary format.
pub(super) mod id {
    pub(in super::super) const CUSTOM: u8 = 0;
    pub(in super::super) const TYPE: u8 = 1;
    pub(in super::super) const IMPORT: u8 = 2;
    pub(in super::super) const FUNCTION: u8 = 3;
    pub(in super::super) const MEMORY: u8 = 5;
    pub(in super::super) const GLOBAL: u8 = 6;
    pub(in super::super) const EXPORT: u8 = 7;
    pub(in super::super) const START: u8 = 8;
    pub(in super::super) const CODE: u8 = 10;
    pub(in super::super) const DATA: u8 = 11;
    pub(in super::super) const DATA_COUNT: u8 = 12;
}

/// The names of the sections in the order in which they must appear, with their ids.
const ORDER: [(u8, &str); 13] = [
    (1, "type"),
    (2, "import"),
    (3, "function"),
    (4, "table"),
    (5, "memory"),
    (13, "tag"),
    (6, "global"),
    (7, "export"),
    (8, "start"),
    (9, "element"),
    (12, "data count"),
    (10, "code"),
    (11, "data"),
];

const HEADER_BYTES: usize = 8;

/// One section of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its id in the binary format; 0 is a custom section.
    pub id: u8,
    /// Its name: `code`, `data`, …, or a custom section's own.
    pub name: String,
    /// Its contents' place in the file. A custom section's contents begin after its name.
    pub contents: Range<usize>,
}

impl Section {
    /// The size of the contents in bytes.
    pub fn size(&self) -> usize {
        self.contents.len()
    }

    /// How messages call it.
    pub(super) fn title(&self) -> String {
        title(self.id, &self.name)
    }
}

fn title(id: u8, name: &str) -> String {
    if id == id::CUSTOM { format!("custom section {name:?}") } else { format!("the {name} section") }
}

/// Splits a module into its sections, which must all be there, in order and at most once.
///
/// # Errors
///
/// [`ContractError`] for anything that is not a whole core module.
pub(super) fn split(bytes: &[u8]) -> Result<Vec<Section>, ContractError> {
    check_header(bytes)?;
    let mut sections = Vec::new();
    let mut reader = BinaryReader::new(&bytes[HEADER_BYTES..], HEADER_BYTES);
    let mut next_rank = 0;
    while !reader.eof() {
        let start = reader.original_position();
        let section_id = reader.read_u8().map_err(|error| Fault::from(error).within("a section's header"))?;
        let rank = ORDER.iter().position(|&(id, _)| id == section_id);
        let name = match (section_id, rank) {
            (id::CUSTOM, _) => "custom",
            (_, Some(rank)) => ORDER[rank].1,
            (_, None) => {
                return Err(ContractError::Malformed {
                    section: "a section's header".into(),
                    offset: start,
                    message: format!("there is no section with id {section_id}"),
                });
            }
        };
        let size = match reader.read_var_u32() {
            Ok(size) => size as usize,
            // The length itself is cut: it needs at least one byte more.
            Err(error) if reader.bytes_remaining() == 0 && error.offset() >= bytes.len() => {
                return Err(ContractError::Truncated {
                    section: title(section_id, name),
                    offset: start,
                    needed: bytes.len() - start + 1,
                    available: bytes.len() - start,
                });
            }
            Err(error) => return Err(Fault::from(error).within(&title(section_id, name))),
        };
        let offset = reader.original_position();
        let Ok(contents) = reader.read_bytes(size) else {
            let section = if section_id == id::CUSTOM {
                BinaryReader::new(&bytes[offset..], offset)
                    .read_string()
                    .map_or_else(|_| "a custom section".into(), |name| title(section_id, name))
            } else {
                title(section_id, name)
            };
            return Err(ContractError::Truncated { section, offset, needed: size, available: bytes.len() - offset });
        };
        let end = offset + size;
        if section_id == id::CUSTOM {
            let mut contents = BinaryReader::new(contents, offset);
            let name = contents.read_string().map_err(|error| Fault::from(error).within("a custom section's name"))?;
            sections.push(Section { id: section_id, name: name.into(), contents: contents.original_position()..end });
            continue;
        }
        let rank = rank.unwrap_or(ORDER.len());
        if rank < next_rank {
            let twice = sections.iter().any(|section: &Section| section.id == section_id);
            return Err(ContractError::Malformed {
                section: title(section_id, name),
                offset: start,
                message: if twice { "it appears twice".into() } else { "it is out of order".into() },
            });
        }
        next_rank = rank + 1;
        sections.push(Section { id: section_id, name: name.into(), contents: offset..end });
    }
    Ok(sections)
}

fn check_header(bytes: &[u8]) -> Result<(), ContractError> {
    const MAGIC: &[u8] = b"\0asm";
    let magic_seen = &bytes[..bytes.len().min(MAGIC.len())];
    if !MAGIC.starts_with(magic_seen) || bytes.is_empty() {
        return Err(ContractError::NotWasm { looks_like: looks_like(bytes) });
    }
    let Some(&[v0, v1, layer0, layer1]) = bytes.get(MAGIC.len()..HEADER_BYTES) else {
        return Err(ContractError::Truncated {
            section: "the header".into(),
            offset: 0,
            needed: HEADER_BYTES,
            available: bytes.len(),
        });
    };
    match (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([layer0, layer1])) {
        (1, 0) => Ok(()),
        (_, 1) => Err(ContractError::Component),
        (version, _) => Err(ContractError::Version(version)),
    }
}

/// Names the usual mistakes by their first bytes.
fn looks_like(bytes: &[u8]) -> String {
    match bytes {
        [] => "is empty".into(),
        [0x7f, b'E', b'L', b'F', ..] => "is an ELF file (a kernel for another architecture?)".into(),
        [0x1f, 0x8b, ..] => "is compressed with gzip".into(),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "is compressed with zstd".into(),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => "is compressed with xz".into(),
        [b'B', b'C', 0xc0, 0xde, ..] => "is LLVM bitcode".into(),
        [b'!', b'<', b'a', b'r', b'c', b'h', b'>', ..] => "is an archive of object files".into(),
        _ if bytes.trim_ascii_start().starts_with(b"(module") => "is WebAssembly text".into(),
        _ => {
            let first: Vec<String> = bytes.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("begins with the bytes {}, not 00 61 73 6d", first.join(" "))
        }
    }
}

/// Something in a section that is not as the format asks, before it is known which section it is in.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) message: String,
}

impl From<wasmparser::Error> for Fault {
    fn from(error: wasmparser::Error) -> Self {
        Fault { offset: error.offset(), message: error.message().to_owned() }
    }
}

impl Fault {
    pub(super) fn within(self, section: &str) -> ContractError {
        ContractError::Malformed { section: section.into(), offset: self.offset, message: self.message }
    }
}

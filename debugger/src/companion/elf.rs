//! Writes an ELF file: sections that only name parts of the address space, sections with contents, and symbols.
//!
//! ```text
//! file header | program headers | contents of sections | section headers
//! ```

use super::CompanionError;
use super::bytes::Put;
use super::layout::WordSize;

const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
/// Where a file has its type.
const TYPE_AT: std::ops::Range<usize> = 16..18;
const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_STRTAB: u32 = 3;
const SHT_NOBITS: u32 = 8;
const SHF_WRITE: u64 = 1;
const SHF_ALLOC: u64 = 2;
const SHF_EXECINSTR: u64 = 4;
const PT_LOAD: u32 = 1;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const PF_R: u32 = 4;
const SHN_ABS: u16 = 0xfff1;

/// What a symbol names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SymbolKind {
    Function,
    Object,
}

/// A symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Symbol {
    pub(super) name: String,
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) kind: SymbolKind,
    pub(super) global: bool,
}

/// A part of the address space without contents in the file: what is there is the target's to say. All of them are said to
/// be writable: of what is not, lldb would ask the file, and read zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) name: &'static str,
    pub(super) address: u64,
    pub(super) size: u64,
    pub(super) code: bool,
}

/// What a file is made of.
#[derive(Debug)]
pub(super) struct Elf<'a> {
    pub(super) word: WordSize,
    /// Where a debugger takes execution to begin: its backtraces end there.
    pub(super) entry: u64,
    /// Whether it is a shared object rather than a program.
    pub(super) shared: bool,
    /// In ascending order of addresses, without overlaps.
    pub(super) spaces: &'a [Space],
    pub(super) contents: &'a [(&'static str, Vec<u8>)],
    pub(super) symbols: &'a [Symbol],
}

/// The same file as a shared object: only that is another.
pub(super) fn as_shared(elf: &[u8]) -> Vec<u8> {
    let mut shared = elf.to_vec();
    if let Some(ty) = shared.get_mut(TYPE_AT) {
        ty.copy_from_slice(&ET_DYN.to_le_bytes());
    }
    shared
}

struct Header {
    name: u32,
    ty: u32,
    flags: u64,
    address: u64,
    offset: u64,
    size: u64,
    link: u32,
    info: u32,
    align: u64,
    entry_size: u64,
}

impl Elf<'_> {
    /// The bytes of the file.
    pub(super) fn write(&self) -> Result<Vec<u8>, CompanionError> {
        let word = self.word;
        let wide = word == WordSize::Eight;
        let (file_header, program_header, section_header, symbol_size) =
            if wide { (64_u16, 56_u16, 64_u16, 24) } else { (52, 32, 40, 16) };
        let mut names = vec![0];
        let mut headers = vec![Header {
            name: 0,
            ty: 0,
            flags: 0,
            address: 0,
            offset: 0,
            size: 0,
            link: 0,
            info: 0,
            align: 0,
            entry_size: 0,
        }];
        let mut named = |name: &str| {
            let at = names.len() as u32;
            names.string(name.as_bytes());
            at
        };
        for space in self.spaces {
            headers.push(Header {
                name: named(space.name),
                ty: SHT_NOBITS,
                flags: SHF_ALLOC | SHF_WRITE | if space.code { SHF_EXECINSTR } else { 0 },
                address: space.address,
                offset: 0,
                size: space.size,
                link: 0,
                info: 0,
                align: 1,
                entry_size: 0,
            });
        }
        let capacity: usize = self.contents.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut file = Vec::with_capacity(capacity + self.symbols.len() * 64 + 4096);
        file.resize(usize::from(file_header) + usize::from(program_header) * self.spaces.len(), 0);
        let mut add = |file: &mut Vec<u8>, name, ty, bytes: &[u8], link, info, align: usize, entry_size| {
            file.align(align);
            let (offset, size) = (file.len() as u64, bytes.len() as u64);
            headers.push(Header {
                name,
                ty,
                flags: 0,
                address: 0,
                offset,
                size,
                link,
                info,
                align: align as u64,
                entry_size,
            });
            file.extend_from_slice(bytes);
        };
        for (name, bytes) in self.contents {
            add(&mut file, named(name), SHT_PROGBITS, bytes, 0, 0, 1, 0);
        }
        let (symbols, strings, locals) = self.symbol_table();
        let strings_section = (1 + self.spaces.len() + self.contents.len() + 1) as u32;
        add(&mut file, named(".symtab"), SHT_SYMTAB, &symbols, strings_section, locals, 8, symbol_size);
        add(&mut file, named(".strtab"), SHT_STRTAB, &strings, 0, 0, 1, 0);
        let names_name = named(".shstrtab");
        add(&mut file, names_name, SHT_STRTAB, &names, 0, 0, 1, 0);

        file.align(8);
        let headers_at = file.len() as u64;
        if !wide && u32::try_from(headers_at + 64 * headers.len() as u64).is_err() {
            return Err(CompanionError::TooLarge);
        }
        let section_count = headers.len() as u16;
        for header in &headers {
            file.u32(header.name);
            file.u32(header.ty);
            for value in [header.flags, header.address, header.offset, header.size] {
                file.word(word, value);
            }
            file.u32(header.link);
            file.u32(header.info);
            file.word(word, header.align);
            file.word(word, header.entry_size);
        }

        let mut start = vec![0x7f, b'E', b'L', b'F', if wide { 2 } else { 1 }, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        start.u16(if self.shared { ET_DYN } else { ET_EXEC });
        start.u16(if wide { 62 } else { 3 });
        start.u32(1);
        start.word(word, self.entry);
        start.word(word, u64::from(file_header));
        start.word(word, headers_at);
        start.u32(0);
        for value in [file_header, program_header, self.spaces.len() as u16, section_header] {
            start.u16(value);
        }
        start.u16(section_count);
        start.u16(section_count - 1);
        for space in self.spaces {
            let flags = PF_R | PF_W | if space.code { PF_X } else { 0 };
            start.u32(PT_LOAD);
            if wide {
                start.u32(flags);
            }
            for value in [0, space.address, space.address, 0, space.size] {
                start.word(word, value);
            }
            if !wide {
                start.u32(flags);
            }
            start.word(word, 1);
        }
        file[..start.len()].copy_from_slice(&start);
        Ok(file)
    }

    /// The symbol table, its strings, and how many symbols come before the first global one.
    fn symbol_table(&self) -> (Vec<u8>, Vec<u8>, u32) {
        let mut strings = vec![0];
        let mut table = Vec::new();
        let mut put = |name: u32, symbol: Option<&Symbol>| {
            let (address, size) = symbol.map_or((0, 0), |symbol| (symbol.address, symbol.size));
            let section = symbol.map_or(0, |symbol| self.section_of(symbol.address));
            let info = symbol.map_or(0, |symbol| {
                let ty = if symbol.kind == SymbolKind::Function { 2 } else { 1 };
                u8::from(symbol.global) << 4 | ty
            });
            table.u32(name);
            if self.word == WordSize::Eight {
                table.u8(info);
                table.u8(0);
                table.u16(section);
                table.u64(address);
                table.u64(size);
            } else {
                table.u32(address as u32);
                table.u32(size as u32);
                table.u8(info);
                table.u8(0);
                table.u16(section);
            }
        };
        put(0, None);
        let mut locals = 1;
        for global in [false, true] {
            for symbol in self.symbols.iter().filter(|symbol| symbol.global == global) {
                let name = strings.len() as u32;
                strings.string(symbol.name.replace('\0', "?").as_bytes());
                put(name, Some(symbol));
                locals += u32::from(!global);
            }
        }
        (table, strings, locals)
    }

    fn section_of(&self, address: u64) -> u16 {
        let after = self.spaces.partition_point(|space| space.address <= address);
        match after.checked_sub(1).and_then(|index| self.spaces.get(index)) {
            // Section 0 is none; the spaces are the first ones.
            Some(space) if address < space.address + space.size => after as u16,
            _ => SHN_ABS,
        }
    }
}

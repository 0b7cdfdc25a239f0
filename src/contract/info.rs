//! What a module is, for people and for programs: the data behind `wkdb info`.

use std::fmt;

use serde::Serialize;

use super::error::{ContractError, Refusal};
use super::imports::Offer;
use super::kernel::{self, KernelModule};
use super::outline::Outline;
use super::sections::id;
use super::types::ExternType;
use super::user::{self, UserModule};
use crate::units::format_size;

/// Data of the kernel that the host or a debugger looks for by name.
const SYMBOLS: [&str; 9] = [
    "init_task",
    "boot_command_line",
    "initrd_start",
    "initrd_end",
    "__per_cpu_offset",
    "jiffies_64",
    "runqueues",
    "timer_bases",
    "linux_banner",
];

/// 64 KiB.
const PAGE_BYTES: u64 = 1 << 16;

/// A module as `wkdb info` describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModuleInfo {
    /// Whether it is a kernel or a user image.
    pub kind: ModuleKind,
    /// The generation of the port; only kernels have one.
    pub era: Option<String>,
    /// Every memory that it imports.
    pub memories: Vec<MemoryInfo>,
    /// Its imports, in order.
    pub imports: Vec<ImportInfo>,
    /// How many functions it exports.
    pub exported_functions: usize,
    /// How many data symbols it exports.
    pub exported_data: usize,
    /// The data symbols that the host and the debugger look for, as far as it exports them.
    pub symbols: Vec<SymbolInfo>,
    /// The mutable globals that it exports.
    pub mutable_globals: Vec<String>,
    /// How many functions it defines.
    pub functions: u32,
    /// How many data segments it has.
    pub data_segments: u32,
    /// Whether a start function runs at every instantiation.
    pub has_start: bool,
    /// The `name` section.
    pub names: Option<NamesInfo>,
    /// The DWARF sections.
    pub dwarf: Option<DwarfInfo>,
    /// What a position-independent image asks of its loader.
    pub dylink: Option<LoaderInfo>,
    /// All sections, in the file's order.
    pub sections: Vec<SectionInfo>,
    /// Why the host would not run it; empty if it would.
    pub refusals: Vec<String>,
}

/// What a module is meant as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModuleKind {
    /// vmlinux.
    Kernel,
    /// A process image.
    User,
}

/// An imported memory, in pages of 64 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryInfo {
    /// Pages to begin with.
    pub min_pages: u64,
    /// Pages at most, if that is limited.
    pub max_pages: Option<u64>,
    /// Whether several instances may share it.
    pub shared: bool,
    /// The width of its addresses: 32 or 64.
    pub address_bits: u32,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportInfo {
    /// The module it is imported from.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
}

/// A data symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SymbolInfo {
    /// Its name.
    pub name: String,
    /// Its guest address.
    pub address: u64,
}

/// How much the `name` section names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamesInfo {
    /// Its size in bytes.
    pub bytes: usize,
    /// Named functions.
    pub functions: u32,
    /// Named globals.
    pub globals: u32,
    /// Named data segments.
    pub data_segments: u32,
}

/// How much DWARF there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DwarfInfo {
    /// The size of all its sections in bytes.
    pub bytes: usize,
    /// Its version, by the first unit.
    pub version: Option<u16>,
    /// Whether it has line tables.
    pub has_lines: bool,
}

/// The `dylink.0` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoaderInfo {
    /// Bytes of memory.
    pub memory_bytes: u32,
    /// Their alignment in bytes, as a power of two.
    pub memory_align_log2: u32,
    /// Table entries.
    pub table_entries: u32,
}

/// A section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionInfo {
    /// `code`, `data`, … or a custom section's name.
    pub name: String,
    /// Whether it is a custom section.
    pub custom: bool,
    /// Where its contents begin in the file.
    pub offset: usize,
    /// Their size in bytes.
    pub bytes: usize,
}

impl ModuleInfo {
    /// Describes a module, also one that the host refuses.
    ///
    /// A module with a `dylink.0` section or a memory base is taken for a user image, every other for a kernel.
    ///
    /// # Errors
    ///
    /// [`ContractError`] if it is not a whole core module; never [`ContractError::Refused`].
    pub fn of(bytes: &[u8]) -> Result<ModuleInfo, ContractError> {
        let outline = Outline::parse(bytes)?;
        if is_user_image(&outline) {
            return Ok(match UserModule::from_outline(outline) {
                Ok(user) => describe(ModuleKind::User, &user.outline, &[]),
                Err((outline, refusals)) => describe(ModuleKind::User, &outline, &refusals),
            });
        }
        Ok(match KernelModule::from_outline(outline) {
            Ok(kernel) => describe(ModuleKind::Kernel, &kernel.outline, &[]),
            Err((outline, refusals)) => describe(ModuleKind::Kernel, &outline, &refusals),
        })
    }
}

/// Whether a module without a verdict yet is meant as a user image.
fn is_user_image(outline: &Outline) -> bool {
    outline.dylink.is_some() || outline.imports.iter().any(|import| import.name == user::MEMORY_BASE)
}

fn describe(kind: ModuleKind, outline: &Outline, refusals: &[Refusal]) -> ModuleInfo {
    let symbol =
        |&name: &&str| outline.data_symbols.get(name).map(|&address| SymbolInfo { name: name.to_owned(), address });
    let memory = |import: &super::Import| match import.ty {
        ExternType::Memory(ty) => Some(MemoryInfo {
            min_pages: ty.initial,
            max_pages: ty.maximum,
            shared: ty.shared,
            address_bits: if ty.memory64 { 64 } else { 32 },
        }),
        _ => None,
    };
    ModuleInfo {
        kind,
        era: (kind == ModuleKind::Kernel).then(|| kernel::era(outline).to_string()),
        memories: outline.imports.iter().filter_map(memory).collect(),
        imports: outline
            .imports
            .iter()
            .map(|import| ImportInfo {
                module: import.module.clone(),
                name: import.name.clone(),
                ty: import.ty.to_string(),
            })
            .collect(),
        exported_functions: outline.functions.len(),
        exported_data: outline.data_symbols.len(),
        symbols: SYMBOLS.iter().filter_map(symbol).collect(),
        mutable_globals: outline.mutable_globals.keys().cloned().collect(),
        functions: outline.defined_functions,
        data_segments: outline.data_segments,
        has_start: outline.has_start,
        names: outline.names.map(|names| NamesInfo {
            bytes: names.bytes,
            functions: names.functions,
            globals: names.globals,
            data_segments: names.data_segments,
        }),
        dwarf: outline.dwarf.map(|dwarf| DwarfInfo {
            bytes: dwarf.bytes,
            version: dwarf.version,
            has_lines: dwarf.has_lines,
        }),
        dylink: outline.dylink.map(|dylink| LoaderInfo {
            memory_bytes: dylink.memory_bytes,
            memory_align_log2: dylink.memory_align_log2,
            table_entries: dylink.table_entries,
        }),
        sections: outline
            .sections
            .iter()
            .map(|section| SectionInfo {
                name: section.name.clone(),
                custom: section.id == id::CUSTOM,
                offset: section.contents.start,
                bytes: section.size(),
            })
            .collect(),
        refusals: refusals.iter().map(Refusal::to_string).collect(),
    }
}

impl fmt::Display for ModuleInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_summary(f)?;
        writeln!(f, "\nimports")?;
        for import in &self.imports {
            // The text of a user's file may hold anything.
            let name = format!("{}.{}", import.module.escape_debug(), import.name.escape_debug());
            let absent = self.kind == ModuleKind::Kernel
                && Offer::named(&import.name).is_some_and(|offer| offer.kind() == super::ImportKind::AbsentSyscall);
            writeln!(f, "  {name:<34} {}{}", import.ty, if absent { "  (answers -ENOSYS)" } else { "" })?;
        }
        if !self.symbols.is_empty() {
            writeln!(f, "\nsymbols")?;
            for symbol in &self.symbols {
                writeln!(f, "  {:<34} {:#010x}", symbol.name, symbol.address)?;
            }
        }
        writeln!(f, "\nsections                                  offset         size")?;
        for section in &self.sections {
            let name = if section.custom { format!("{:?}", section.name) } else { section.name.clone() };
            writeln!(f, "  {name:<34} {:>#11x} {:>12}", section.offset, format_size(section.bytes as u64))?;
        }
        if self.refusals.is_empty() {
            return writeln!(f, "\nThe host can run it.");
        }
        writeln!(f, "\nThe host refuses it:")?;
        for refusal in &self.refusals {
            writeln!(f, "  - {refusal}")?;
        }
        Ok(())
    }
}

impl ModuleInfo {
    fn write_summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.kind, &self.era) {
            (ModuleKind::User, _) => writeln!(f, "user module")?,
            (ModuleKind::Kernel, Some(era)) => writeln!(f, "kernel of the {era} era")?,
            (ModuleKind::Kernel, None) => writeln!(f, "kernel")?,
        }
        for memory in &self.memories {
            let pages = |pages: u64| format_size(pages.saturating_mul(PAGE_BYTES));
            writeln!(
                f,
                "  memory      {} to {}, {}, {}-bit addresses",
                pages(memory.min_pages),
                memory.max_pages.map_or("any size".into(), pages),
                if memory.shared { "shared" } else { "not shared" },
                memory.address_bits,
            )?;
        }
        let size = |name: &str| {
            let bytes = self.sections.iter().filter(|section| !section.custom && section.name == name);
            format_size(bytes.map(|section| section.bytes as u64).sum())
        };
        writeln!(f, "  code        {}, {}", count(self.functions, "function"), size("code"))?;
        writeln!(f, "  data        {}, {}", count(self.data_segments, "segment"), size("data"))?;
        let (functions, data) = (count(self.exported_functions, "function"), count(self.exported_data, "data symbol"));
        writeln!(f, "  exports     {functions}, {data}")?;
        match &self.names {
            Some(names) => writeln!(
                f,
                "  names       {}, {}, {}, {}",
                count(names.functions, "function"),
                count(names.globals, "global"),
                count(names.data_segments, "data segment"),
                format_size(names.bytes as u64)
            )?,
            None => writeln!(f, "  names       none: functions are shown by their numbers")?,
        }
        match &self.dwarf {
            Some(dwarf) => writeln!(
                f,
                "  debug info  DWARF{}{}, {}",
                dwarf.version.map_or(String::new(), |version| format!(" {version}")),
                if dwarf.has_lines { " with line tables" } else { " without line tables" },
                format_size(dwarf.bytes as u64)
            )?,
            None => writeln!(f, "  debug info  none: compile with -g to see files and lines")?,
        }
        if let Some(dylink) = &self.dylink {
            let (memory, entries) = (format_size(u64::from(dylink.memory_bytes)), dylink.table_entries);
            let entries = if entries == 1 { "1 table entry".into() } else { format!("{entries} table entries") };
            writeln!(f, "  loader      {memory} of memory, {entries}")?;
        }
        Ok(())
    }
}

/// A number of things, in words.
fn count<N: fmt::Display + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{KERNEL_64, USER, wasm};
    use super::*;

    #[test]
    fn a_kernel_is_described() {
        let info = ModuleInfo::of(&wasm(KERNEL_64)).unwrap();
        assert_eq!(info.kind, ModuleKind::Kernel);
        let text = info.to_string();
        for expected in [
            "kernel of the 6.4 era\n  memory      960 KiB to 4 GiB, shared, 32-bit addresses\n",
            "  code        13 functions, ",
            "  exports     13 functions, 2 data symbols\n",
            "  debug info  none",
            "  env.memory                         shared memory, 15 to 65536 pages\n",
            "  env.sys_ni                         function (i64, f32) -> f64  (answers -ENOSYS)\n",
            "  init_task                          0x80001000\n",
            "\nThe host can run it.\n",
        ] {
            assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
        }
    }

    #[test]
    fn a_refused_kernel_is_described_with_the_reasons() {
        let info = ModuleInfo::of(&wasm("(module (memory 1))")).unwrap();
        assert_eq!(info.refusals.len(), 4);
        let text = info.to_string();
        assert!(text.contains("The host refuses it:\n  - the memory is defined by the module"), "{text}");
    }

    #[test]
    fn a_user_image_is_described() {
        let info = ModuleInfo::of(&wasm(USER)).unwrap();
        assert_eq!((info.kind, info.era.as_deref()), (ModuleKind::User, None));
        let text = info.to_string();
        assert!(text.starts_with("user module\n"), "{text}");
        assert!(text.contains("  loader      1.2 KiB of memory, 5 table entries\n"), "{text}");
        assert!(text.ends_with("The host can run it.\n"), "{text}");
    }

    #[test]
    fn dwarf_is_measured() {
        // A custom section ".debug_info" of one unit's length and version, and an empty ".debug_line".
        let mut module = wasm("(module)");
        module.extend(b"\0\x12\x0b.debug_info\x07\0\0\0\x05\0".iter().copied());
        module.extend(b"\0\x0c\x0b.debug_line".iter().copied());
        let info = ModuleInfo::of(&module).unwrap();
        assert_eq!(info.dwarf, Some(DwarfInfo { bytes: 6, version: Some(5), has_lines: false }));
    }

    #[test]
    fn programs_read_it_as_json() {
        let json = serde_json::to_value(ModuleInfo::of(&wasm(KERNEL_64)).unwrap()).unwrap();
        assert_eq!(json["kind"], "kernel");
        assert_eq!(json["imports"][1]["type"], "function (i32, i32, i32) -> ()");
        assert_eq!(json["symbols"][0]["address"], 0x8000_1000u64);
        assert_eq!(json["refusals"], serde_json::json!([]));
    }
}

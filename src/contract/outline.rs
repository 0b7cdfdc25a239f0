//! What the sections of a core module say, before anyone judges it.
//!
//! Function bodies are not read, only counted: this is for looking at a module of 30 MB in a few milliseconds. The
//! engine validates the code when it compiles it.

use std::collections::BTreeMap;

use wasmparser::{
    BinaryReader, CodeSectionReader, DataSectionReader, Dylink0SectionReader, Dylink0Subsection, ExportSectionReader,
    ExternalKind, FunctionSectionReader, GlobalSectionReader, ImportSectionReader, MemorySectionReader, TypeRef,
    TypeSectionReader, ValType,
};

use super::const_eval;
use super::debug_info::{DwarfSummary, NameSummary};
use super::error::ContractError;
use super::sections::{self, Fault, Section, id};
use super::types::{ExternType, FuncType};

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The module it is imported from, `env` by the contract.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// Its type.
    pub ty: ExternType,
}

/// The `dylink.0` section's memory information: what a position-independent image asks of its loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DylinkInfo {
    /// Bytes of memory from `__memory_base` on.
    pub memory_bytes: u32,
    /// The base must be a multiple of 2 to this power.
    pub memory_align_log2: u32,
    /// Table entries from `__table_base` on.
    pub table_entries: u32,
    /// The table base must be a multiple of 2 to this power.
    pub table_align_log2: u32,
}

/// A core module as its sections describe it.
#[derive(Debug, Clone, Default)]
pub struct Outline {
    /// All imports, in order.
    pub imports: Vec<Import>,
    /// Exported functions.
    pub functions: BTreeMap<String, FuncType>,
    /// Exported immutable integer globals with a constant value: the linker's way to export the address of a datum.
    pub data_symbols: BTreeMap<String, u64>,
    /// Exported mutable globals.
    pub mutable_globals: BTreeMap<String, ValType>,
    /// Names of exported tables.
    pub tables: Vec<String>,
    /// Memories that the module defines itself.
    pub defined_memories: u32,
    /// Functions that the module defines.
    pub defined_functions: u32,
    /// Data segments.
    pub data_segments: u32,
    /// Whether it has a start function.
    pub has_start: bool,
    /// Its sections, in the file's order.
    pub sections: Vec<Section>,
    /// The `dylink.0` section, if it has one.
    pub dylink: Option<DylinkInfo>,
    /// The `name` section, if it has one that can be read.
    pub names: Option<NameSummary>,
    /// The DWARF sections, if it has any.
    pub dwarf: Option<DwarfSummary>,
}

/// What is needed while reading, to resolve indices.
#[derive(Default)]
struct Indices {
    /// Function types; `None` for the other kinds of types.
    types: Vec<Option<FuncType>>,
    /// The type index of every function, imported ones first.
    functions: Vec<u32>,
    /// The type of every global, imported ones first, and its value where it is known.
    globals: Vec<(wasmparser::GlobalType, Option<u64>)>,
    /// How many functions the function section declares.
    declared: u32,
    /// What the data count section announces.
    data_count: Option<u32>,
}

impl Outline {
    /// Reads a module's sections.
    ///
    /// # Errors
    ///
    /// [`ContractError`] if the bytes are not a whole and well-formed core module.
    pub fn parse(bytes: &[u8]) -> Result<Outline, ContractError> {
        let mut outline = Outline { sections: sections::split(bytes)?, ..Outline::default() };
        let mut indices = Indices::default();
        for section in outline.sections.clone() {
            let reader = BinaryReader::new(&bytes[section.contents.clone()], section.contents.start);
            outline.read_section(&section, reader, &mut indices).map_err(|fault| fault.within(&section.title()))?;
        }
        outline.check_counts(&indices)?;
        outline.dwarf = DwarfSummary::of(bytes, &outline.sections);
        Ok(outline)
    }

    fn read_section(
        &mut self,
        section: &Section,
        reader: BinaryReader<'_>,
        indices: &mut Indices,
    ) -> Result<(), Fault> {
        match section.id {
            id::TYPE => {
                for group in TypeSectionReader::new(reader)? {
                    for ty in group?.into_types() {
                        indices.types.push(match &ty.composite_type.inner {
                            wasmparser::CompositeInnerType::Func(ty) => Some(ty.into()),
                            _ => None,
                        });
                    }
                }
            }
            id::IMPORT => {
                for import in ImportSectionReader::new(reader)?.into_imports_with_offsets() {
                    let (offset, import) = import?;
                    self.read_import(offset, &import, indices)?;
                }
            }
            id::FUNCTION => {
                for ty in FunctionSectionReader::new(reader)? {
                    indices.functions.push(ty?);
                    indices.declared += 1;
                }
            }
            id::MEMORY => self.defined_memories = MemorySectionReader::new(reader)?.count(),
            id::GLOBAL => {
                for global in GlobalSectionReader::new(reader)? {
                    let global = global?;
                    let value = const_eval::evaluate(&global.init_expr, |index| {
                        let (ty, value) = indices.globals.get(index as usize)?;
                        if ty.mutable { None } else { *value }
                    });
                    indices.globals.push((global.ty, value));
                }
            }
            id::EXPORT => {
                for export in ExportSectionReader::new(reader)?.into_iter_with_offsets() {
                    let (offset, export) = export?;
                    self.read_export(offset, &export, indices)?;
                }
            }
            id::START => self.has_start = true,
            id::DATA_COUNT => {
                let mut reader = reader;
                indices.data_count = Some(reader.read_var_u32()?);
            }
            id::CODE => {
                for body in CodeSectionReader::new(reader)? {
                    body?;
                    self.defined_functions += 1;
                }
            }
            id::DATA => {
                for segment in DataSectionReader::new(reader)? {
                    segment?;
                    self.data_segments += 1;
                }
            }
            id::CUSTOM => self.read_custom(section, reader),
            _ => {}
        }
        Ok(())
    }

    fn read_import(
        &mut self,
        offset: usize,
        import: &wasmparser::Import<'_>,
        indices: &mut Indices,
    ) -> Result<(), Fault> {
        let ty = match import.ty {
            TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                indices.functions.push(index);
                ExternType::Func(indices.func_type(index, offset)?)
            }
            TypeRef::Memory(ty) => ExternType::Memory(ty),
            TypeRef::Table(ty) => ExternType::Table(ty),
            TypeRef::Global(ty) => {
                indices.globals.push((ty, None));
                ExternType::Global(ty)
            }
            TypeRef::Tag(_) => ExternType::Tag,
        };
        self.imports.push(Import { module: import.module.into(), name: import.name.into(), ty });
        Ok(())
    }

    fn read_export(&mut self, offset: usize, export: &wasmparser::Export<'_>, indices: &Indices) -> Result<(), Fault> {
        let name = export.name.to_owned();
        match export.kind {
            ExternalKind::Func | ExternalKind::FuncExact => {
                let Some(&ty) = indices.functions.get(export.index as usize) else {
                    return Err(bad_index("function", export.index, offset));
                };
                self.functions.insert(name, indices.func_type(ty, offset)?);
            }
            ExternalKind::Global => {
                let Some((ty, value)) = indices.globals.get(export.index as usize) else {
                    return Err(bad_index("global", export.index, offset));
                };
                if ty.mutable {
                    self.mutable_globals.insert(name, ty.content_type);
                } else if let Some(value) = value {
                    self.data_symbols.insert(name, *value);
                }
            }
            ExternalKind::Table => self.tables.push(name),
            ExternalKind::Memory | ExternalKind::Tag => {}
        }
        Ok(())
    }

    /// Custom sections never make a module unusable: one that cannot be read counts as absent.
    fn read_custom(&mut self, section: &Section, reader: BinaryReader<'_>) {
        match section.name.as_str() {
            "dylink.0" => {
                self.dylink = Dylink0SectionReader::new(reader).into_iter().find_map(|part| match part {
                    Ok(Dylink0Subsection::MemInfo(info)) => Some(DylinkInfo {
                        memory_bytes: info.memory_size,
                        memory_align_log2: info.memory_alignment,
                        table_entries: info.table_size,
                        table_align_log2: info.table_alignment,
                    }),
                    _ => None,
                });
            }
            "name" => self.names = NameSummary::of(reader),
            _ => {}
        }
    }

    /// A module cut between two sections has whole sections and yet is not whole.
    fn check_counts(&self, indices: &Indices) -> Result<(), ContractError> {
        let missing = |section: &str, message: String| ContractError::Malformed {
            section: section.into(),
            offset: self.sections.last().map_or(0, |section| section.contents.end),
            message,
        };
        if indices.declared != self.defined_functions {
            return Err(missing(
                "the code section",
                format!("{} functions are declared, {} have code", indices.declared, self.defined_functions),
            ));
        }
        match indices.data_count {
            Some(count) if count != self.data_segments => Err(missing(
                "the data section",
                format!("{count} data segments are announced, {} are there", self.data_segments),
            )),
            _ => Ok(()),
        }
    }

    /// The sections of one id, in order.
    pub fn sections_with_id(&self, id: u8) -> impl Iterator<Item = &Section> {
        self.sections.iter().filter(move |section| section.id == id)
    }
}

impl Indices {
    fn func_type(&self, index: u32, offset: usize) -> Result<FuncType, Fault> {
        match self.types.get(index as usize) {
            Some(Some(ty)) => Ok(ty.clone()),
            _ => Err(bad_index("function type", index, offset)),
        }
    }
}

fn bad_index(what: &str, index: u32, offset: usize) -> Fault {
    Fault { offset, message: format!("there is no {what} {index}") }
}

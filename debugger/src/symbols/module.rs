//! What a module itself says about its functions and data: bodies, the `name` section, exports, active segments.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use wasmparser::{
    BinaryReader, ConstExpr, DataKind, Element, ElementItems, ElementKind, Encoding, ExternalKind, FunctionBody, Name,
    NameSectionReader, Operator, Parser, Payload, TypeRef,
};
use wkdb_tracer::CodeOffset;

use super::{FunctionSymbol, SymbolsError};

/// The places of the custom sections whose names begin with `.debug_`, in the file.
pub(super) type DebugSections = BTreeMap<String, Range<usize>>;

/// The names and places that a module gives without DWARF.
#[derive(Debug, Default)]
pub(super) struct ModuleNames {
    /// How many functions are imported: the index of the first body.
    imported: u32,
    /// The bodies, in order.
    bodies: Vec<Range<u32>>,
    /// Where the contents of the code section begin in the file: code offsets count from here.
    code_start: usize,
    /// By the `name` section.
    function_names: HashMap<u32, String>,
    /// By exports and imports; of several, the first.
    other_names: HashMap<u32, String>,
    /// Exported immutable globals with constant values.
    exported_data: Vec<(String, u64)>,
    /// Segments with a place of their own: name, address, size.
    segments: Vec<(String, u64, u64)>,
    debug_sections: DebugSections,
    /// The index of the imported global that holds the address of a position-independent module's data.
    memory_base: Option<u32>,
    /// The same for its functions' places in the table.
    table_base: Option<u32>,
    /// The function table as active element segments fill it: place, function.
    table: BTreeMap<u64, u32>,
    /// The table's place of a function, the first one.
    in_table: HashMap<u32, u64>,
    /// Whether its memory has 64-bit addresses.
    memory64: bool,
    /// The names of globals, by the `name` section, imports and exports.
    global_names: HashMap<u32, String>,
}

impl ModuleNames {
    pub(super) fn read(module: &[u8], problems: &mut Vec<String>) -> Result<ModuleNames, SymbolsError> {
        let mut reader = Reading::default();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload.map_err(malformed)?;
            if let Payload::Version { encoding: Encoding::Component, .. } = payload {
                return Err(SymbolsError::Component);
            }
            reader.payload(payload, problems).map_err(malformed)?;
        }
        Ok(reader.finish())
    }

    pub(super) fn debug_sections(&self) -> &DebugSections {
        &self.debug_sections
    }

    pub(super) fn exported_data(&self) -> &[(String, u64)] {
        &self.exported_data
    }

    pub(super) fn segments(&self) -> &[(String, u64, u64)] {
        &self.segments
    }

    pub(super) fn memory_base(&self) -> Option<u32> {
        self.memory_base
    }

    pub(super) fn memory64(&self) -> bool {
        self.memory64
    }

    /// The global that is added to the places of a position-independent module's functions in the table.
    pub(super) fn table_base(&self) -> Option<u32> {
        self.table_base
    }

    pub(super) fn table_function(&self, place: u64) -> Option<u32> {
        self.table.get(&place).copied()
    }

    pub(super) fn table_entries(&self) -> impl Iterator<Item = (u64, u32)> {
        self.table.iter().map(|(&place, &function)| (place, function))
    }

    pub(super) fn table_place(&self, function: u32) -> Option<u64> {
        self.in_table.get(&function).copied()
    }

    pub(super) fn global_named(&self, name: &str) -> Option<u32> {
        let found = self.global_names.iter().filter(|(_, known)| *known == name).map(|(&index, _)| index);
        found.min()
    }

    /// Where a body is in the file.
    pub(super) fn file_range(&self, function: &FunctionSymbol) -> Option<Range<usize>> {
        let at = |offset: CodeOffset| usize::try_from(offset.0).ok()?.checked_add(self.code_start);
        Some(at(function.start)?..at(function.end)?)
    }

    /// The first instruction of a body: behind the declaration of its locals.
    pub(super) fn first_instruction(&self, module: &[u8], function: &FunctionSymbol) -> Option<CodeOffset> {
        let range = self.file_range(function)?;
        let start = range.start;
        let body = FunctionBody::new(BinaryReader::new(module.get(range)?, start));
        let instructions = body.get_binary_reader_for_operators().ok()?;
        u32::try_from(instructions.original_position() - self.code_start).ok().map(CodeOffset)
    }

    pub(super) fn global_name(&self, index: u32) -> Option<&str> {
        self.global_names.get(&index).map(String::as_str)
    }

    /// Whether a body ends right before an offset.
    pub(super) fn is_body_end(&self, offset: u32) -> bool {
        let after = self.bodies.partition_point(|body| body.end < offset);
        self.bodies.get(after).is_some_and(|body| body.end == offset)
    }

    /// All functions that the module defines.
    pub(super) fn functions(&self) -> impl Iterator<Item = FunctionSymbol> {
        (self.imported..).take(self.bodies.len()).filter_map(|index| self.function(index))
    }

    /// The names of functions, some twice.
    pub(super) fn all_function_names(&self) -> impl Iterator<Item = &str> {
        self.function_names.values().chain(self.other_names.values()).map(String::as_str)
    }

    pub(super) fn function_at(&self, offset: CodeOffset) -> Option<FunctionSymbol> {
        let after = self.bodies.partition_point(|body| body.start <= offset.0);
        let position = after.checked_sub(1)?;
        if !self.bodies[position].contains(&offset.0) {
            return None;
        }
        self.function(self.imported + u32::try_from(position).ok()?)
    }

    pub(super) fn function(&self, index: u32) -> Option<FunctionSymbol> {
        let body = self.bodies.get(usize::try_from(index.checked_sub(self.imported)?).ok()?)?;
        Some(FunctionSymbol {
            index,
            name: self.function_name(index),
            start: CodeOffset(body.start),
            end: CodeOffset(body.end),
        })
    }

    pub(super) fn function_name(&self, index: u32) -> String {
        let name = self.function_names.get(&index).or_else(|| self.other_names.get(&index));
        name.cloned().unwrap_or_else(|| format!("func[{index}]"))
    }

    pub(super) fn functions_named(&self, name: &str) -> Vec<FunctionSymbol> {
        let mut indices: Vec<u32> = [&self.function_names, &self.other_names]
            .into_iter()
            .flatten()
            .filter(|(_, candidate)| *candidate == name)
            .map(|(&index, _)| index)
            .collect();
        indices.sort_unstable();
        indices.dedup();
        indices.into_iter().filter_map(|index| self.function(index)).collect()
    }
}

fn malformed(error: wasmparser::Error) -> SymbolsError {
    SymbolsError::Malformed { offset: error.offset(), message: error.message().to_owned() }
}

/// What has to be remembered while reading.
#[derive(Default)]
struct Reading {
    names: ModuleNames,
    /// For every global, imported ones first, its value if it is immutable and constant.
    globals: Vec<Option<u64>>,
    /// For every data segment its address, if it has one, and its size.
    segments: Vec<(Option<u64>, u64)>,
    segment_names: HashMap<u32, String>,
}

impl Reading {
    fn payload(&mut self, payload: Payload<'_>, problems: &mut Vec<String>) -> Result<(), wasmparser::Error> {
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    match import.ty {
                        TypeRef::Func(_) | TypeRef::FuncExact(_) => {
                            self.names.other_names.insert(self.names.imported, import.name.into());
                            self.names.imported += 1;
                        }
                        TypeRef::Global(_) => {
                            let index = u32::try_from(self.globals.len()).ok();
                            match import.name {
                                "__memory_base" => self.names.memory_base = index,
                                "__table_base" => self.names.table_base = index,
                                _ => {}
                            }
                            self.names.global_names.extend(index.map(|index| (index, import.name.to_owned())));
                            self.globals.push(None);
                        }
                        TypeRef::Memory(memory) => self.names.memory64 = memory.memory64,
                        _ => {}
                    }
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.names.memory64 = memory?.memory64;
                }
            }
            Payload::ElementSection(segments) => {
                for segment in segments {
                    self.elements(segment?)?;
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let global = global?;
                    self.globals.push(constant(&global.init_expr).filter(|_| !global.ty.mutable));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    match export.kind {
                        ExternalKind::Func => {
                            self.names.other_names.entry(export.index).or_insert_with(|| export.name.into());
                        }
                        ExternalKind::Global => {
                            self.names.global_names.entry(export.index).or_insert_with(|| export.name.into());
                            if let Some(&Some(value)) = self.globals.get(export.index as usize) {
                                self.names.exported_data.push((export.name.into(), value));
                            }
                        }
                        _ => {}
                    }
                }
            }
            Payload::CodeSectionStart { range, .. } => self.names.code_start = range.start,
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                let offset = |at: usize| u32::try_from(at - self.names.code_start).unwrap_or(u32::MAX);
                self.names.bodies.push(offset(range.start)..offset(range.end));
            }
            Payload::DataSection(segments) => {
                for segment in segments {
                    let segment = segment?;
                    let address = match segment.kind {
                        DataKind::Active { offset_expr, .. } => constant(&offset_expr),
                        DataKind::Passive => None,
                    };
                    self.segments.push((address, segment.data.len() as u64));
                }
            }
            Payload::CustomSection(custom) => {
                if custom.name() == "name" {
                    let reader = BinaryReader::new(custom.data(), custom.data_offset());
                    if let Err(error) = self.name_section(NameSectionReader::new(reader)) {
                        problems.push(format!("the name section is read in part: {error}"));
                    }
                } else if custom.name().starts_with(".debug_") {
                    let range = custom.data_offset()..custom.data_offset() + custom.data().len();
                    self.names.debug_sections.insert(custom.name().into(), range);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn name_section(&mut self, parts: NameSectionReader<'_>) -> Result<(), wasmparser::Error> {
        for part in parts {
            let (names, map) = match part? {
                Name::Function(names) => (names, &mut self.names.function_names),
                Name::Data(names) => (names, &mut self.segment_names),
                Name::Global(names) => (names, &mut self.names.global_names),
                _ => continue,
            };
            for naming in names {
                let naming = naming?;
                map.insert(naming.index, naming.name.into());
            }
        }
        Ok(())
    }

    /// What an active segment puts into the table. Of a position-independent module, places count from its own base.
    fn elements(&mut self, segment: Element<'_>) -> Result<(), wasmparser::Error> {
        let ElementKind::Active { table_index: None | Some(0), offset_expr } = segment.kind else { return Ok(()) };
        let Some(first) = constant(&offset_expr).or_else(|| self.is_table_base(&offset_expr).then_some(0)) else {
            return Ok(());
        };
        let mut functions = Vec::new();
        match segment.items {
            ElementItems::Functions(items) => {
                for function in items {
                    functions.push(Some(function?));
                }
            }
            ElementItems::Expressions(_, items) => {
                for item in items {
                    functions.push(match item?.get_operators_reader().read()? {
                        Operator::RefFunc { function_index } => Some(function_index),
                        _ => None,
                    });
                }
            }
        }
        for (number, function) in (0..).zip(functions) {
            if let (Some(function), Some(place)) = (function, first.checked_add(number)) {
                self.names.table.insert(place, function);
                self.names.in_table.entry(function).or_insert(place);
            }
        }
        Ok(())
    }

    fn is_table_base(&self, offset: &ConstExpr<'_>) -> bool {
        match offset.get_operators_reader().read() {
            Ok(Operator::GlobalGet { global_index }) => Some(global_index) == self.names.table_base,
            _ => false,
        }
    }

    fn finish(mut self) -> ModuleNames {
        for (index, (address, size)) in (0..).zip(&self.segments) {
            if let (Some(address), Some(name)) = (*address, self.segment_names.get(&index)) {
                self.names.segments.push((name.clone(), address, *size));
            }
        }
        self.names
    }
}

/// The value of an integer constant, zero-extended as an address.
fn constant(expression: &ConstExpr<'_>) -> Option<u64> {
    let mut reader = expression.get_operators_reader();
    let value = match reader.read().ok()? {
        Operator::I32Const { value } => u64::from(value.cast_unsigned()),
        Operator::I64Const { value } => value.cast_unsigned(),
        _ => return None,
    };
    matches!(reader.read(), Ok(Operator::End)).then_some(value)
}

//! What the companion needs of a Wasm module: where functions begin, the types of their locals, names, data, tables.

use std::collections::{BTreeMap, HashMap};

use wasmparser::{
    BinaryReader, CompositeInnerType, ConstExpr, DataKind, Element, ElementItems, ElementKind, Encoding, ExternalKind,
    FunctionBody, Name, NameSectionReader, Operator, Parser, Payload, TypeRef, ValType,
};

use super::CompanionError;
use super::layout::WordSize;

/// How many entries of a table are looked at: an element segment of an impossible size is not followed.
const MAX_TABLE: u64 = 1 << 20;

/// A function that the module defines; places are offsets in the contents of the code section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    /// Its index among all functions of the module.
    pub(super) index: u32,
    /// Where its body begins, with the declarations of locals: what DWARF calls its `low_pc`.
    pub(super) start: u32,
    /// Its first instruction.
    pub(super) first: u32,
    /// The first byte after its body.
    pub(super) end: u32,
    /// Whether it gives a result.
    pub(super) returns: bool,
    /// Runs of locals, parameters first: the index after each run, and whether it is of i64.
    locals: Vec<(u32, bool)>,
}

impl Function {
    /// Whether a local is an i64.
    pub(super) fn is_i64(&self, local: u32) -> bool {
        let run = self.locals.partition_point(|&(end, _)| end <= local);
        self.locals.get(run).is_some_and(|&(_, is_i64)| is_i64)
    }

    fn add_locals(&mut self, count: u32, ty: ValType) {
        let end = self.locals.last().map_or(0, |&(end, _)| end).saturating_add(count);
        let is_i64 = ty == ValType::I64;
        match self.locals.last_mut() {
            Some(last) if last.1 == is_i64 => last.0 = end,
            _ => self.locals.push((end, is_i64)),
        }
    }
}

/// A value that may be relative to where an instance of a position-independent module is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) value: u64,
    pub(super) relative: bool,
}

/// A datum that the module names outside of DWARF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedData {
    pub(super) name: String,
    pub(super) address: Placed,
    /// In bytes, if it is told.
    pub(super) size: Option<u64>,
    pub(super) exported: bool,
}

/// An outline of a module.
#[derive(Debug)]
pub(super) struct Wasm<'m> {
    pub(super) word: WordSize,
    /// Bytes of the contents of the code section.
    pub(super) code_len: u32,
    /// Those bytes.
    pub(super) code: &'m [u8],
    /// In the order of their places.
    pub(super) functions: Vec<Function>,
    function_names: HashMap<u32, &'m str>,
    exported_functions: Vec<(u32, &'m str)>,
    pub(super) data: Vec<NamedData>,
    /// Address and size of the active data segments.
    pub(super) segments: Vec<(Placed, u64)>,
    /// Table index and function index of the entries of the first table.
    pub(super) table: Vec<(Placed, u32)>,
    /// The global that data addresses are relative to.
    pub(super) memory_base: Option<u32>,
    /// The global that is the guest's stack pointer.
    pub(super) stack_pointer: Option<u32>,
    /// The custom sections of debug information.
    pub(super) debug: BTreeMap<&'m str, &'m [u8]>,
}

impl<'m> Wasm<'m> {
    pub(super) fn read(bytes: &'m [u8], problems: &mut Vec<String>) -> Result<Wasm<'m>, CompanionError> {
        let mut reading = Reading::default();
        for payload in Parser::new(0).parse_all(bytes) {
            payload.and_then(|payload| reading.payload(payload, problems)).map_err(|error| {
                CompanionError::Malformed { offset: error.offset(), message: error.message().to_owned() }
            })?;
            if reading.component {
                return Err(CompanionError::Component);
            }
        }
        Ok(reading.finish(bytes))
    }

    /// The function whose body holds a place.
    pub(super) fn function_at(&self, offset: u64) -> Option<&Function> {
        let index = self.functions.partition_point(|function| u64::from(function.start) <= offset).checked_sub(1)?;
        self.functions.get(index).filter(|function| offset < u64::from(function.end))
    }

    /// The name of a function by the name section, else an export, else its index.
    pub(super) fn function_name(&self, index: u32) -> String {
        match self.function_names.get(&index) {
            Some(name) => (*name).to_owned(),
            None => format!("func[{index}]"),
        }
    }

    /// Names under which functions are exported that are not their own.
    pub(super) fn aliases(&self) -> impl Iterator<Item = (u32, &'m str)> {
        self.exported_functions.iter().copied().filter(|(index, name)| self.function_names.get(index) != Some(name))
    }

    /// Whether a function is exported.
    pub(super) fn is_exported(&self, index: u32) -> bool {
        self.exported_functions.binary_search_by_key(&index, |&(index, _)| index).is_ok()
    }
}

#[derive(Default)]
struct Reading<'m> {
    component: bool,
    wide: bool,
    /// The parameters of each type that is a function's.
    /// Parameters, and whether there is a result.
    types: Vec<(Vec<ValType>, bool)>,
    /// The type of each function that is defined.
    defined: Vec<u32>,
    imported: u32,
    globals: Vec<Option<Placed>>,
    table_base: Option<u32>,
    memory_base: Option<u32>,
    stack_pointer: Option<u32>,
    code_start: usize,
    code_len: u32,
    functions: Vec<Function>,
    names: HashMap<u32, &'m str>,
    imports: HashMap<u32, &'m str>,
    exports: Vec<(u32, &'m str)>,
    data_exports: Vec<(&'m str, Placed)>,
    segments: Vec<(Option<Placed>, u64)>,
    segment_names: HashMap<u32, &'m str>,
    table: Vec<(Placed, u32)>,
    debug: BTreeMap<&'m str, &'m [u8]>,
}

impl<'m> Reading<'m> {
    fn payload(&mut self, payload: Payload<'m>, problems: &mut Vec<String>) -> Result<(), wasmparser::Error> {
        match payload {
            Payload::Version { encoding, .. } => self.component = encoding == Encoding::Component,
            Payload::TypeSection(groups) => {
                for group in groups {
                    for ty in group?.into_types() {
                        self.types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(function) => {
                                (function.params().to_vec(), !function.results().is_empty())
                            }
                            _ => (Vec::new(), false),
                        });
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    self.import(import.name, import.ty);
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions {
                    self.defined.push(ty?);
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.wide |= memory?.memory64;
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let global = global?;
                    let value = self.constant(&global.init_expr).filter(|_| !global.ty.mutable);
                    self.globals.push(value);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    match export.kind {
                        ExternalKind::Func => self.exports.push((export.index, export.name)),
                        ExternalKind::Global => self.global_export(export.index, export.name),
                        _ => {}
                    }
                }
            }
            Payload::ElementSection(elements) => {
                for element in elements {
                    self.element(element?)?;
                }
            }
            Payload::CodeSectionStart { range, .. } => {
                self.code_start = range.start;
                self.code_len = u32::try_from(range.len()).unwrap_or(u32::MAX);
            }
            Payload::CodeSectionEntry(body) => self.body(&body)?,
            Payload::DataSection(segments) => {
                for segment in segments {
                    let segment = segment?;
                    let address = match &segment.kind {
                        DataKind::Active { offset_expr, .. } => self.constant(offset_expr),
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
                    self.debug.insert(custom.name(), custom.data());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn import(&mut self, name: &'m str, ty: TypeRef) {
        match ty {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => {
                self.imports.insert(self.imported, name);
                self.imported += 1;
            }
            TypeRef::Global(_) => {
                let index = u32::try_from(self.globals.len()).ok();
                match name {
                    "__memory_base" => self.memory_base = index,
                    "__table_base" => self.table_base = index,
                    "__stack_pointer" => self.stack_pointer = index,
                    _ => {}
                }
                self.globals.push(None);
            }
            TypeRef::Memory(memory) => self.wide |= memory.memory64,
            _ => {}
        }
    }

    fn global_export(&mut self, index: u32, name: &'m str) {
        if name == "__stack_pointer" {
            self.stack_pointer = Some(index);
        } else if let Some(&Some(value)) = self.globals.get(index as usize) {
            // A position-independent module exports its data as offsets.
            let relative = value.relative || self.memory_base.is_some();
            self.data_exports.push((name, Placed { relative, ..value }));
        }
    }

    fn body(&mut self, body: &FunctionBody<'m>) -> Result<(), wasmparser::Error> {
        let offset = |at: usize| u32::try_from(at - self.code_start).unwrap_or(u32::MAX);
        let defined = self.functions.len();
        let range = body.range();
        let ty = self.defined.get(defined).and_then(|&ty| self.types.get(ty as usize));
        let mut function = Function {
            index: self.imported.saturating_add(u32::try_from(defined).unwrap_or(u32::MAX)),
            start: offset(range.start),
            first: offset(body.get_binary_reader_for_operators()?.original_position()),
            end: offset(range.end),
            returns: ty.is_some_and(|(_, returns)| *returns),
            locals: Vec::new(),
        };
        for &ty in ty.iter().flat_map(|(params, _)| params) {
            function.add_locals(1, ty);
        }
        for run in body.get_locals_reader()? {
            let (count, ty) = run?;
            function.add_locals(count, ty);
        }
        self.functions.push(function);
        Ok(())
    }

    fn element(&mut self, element: Element<'m>) -> Result<(), wasmparser::Error> {
        let ElementKind::Active { table_index: None | Some(0), offset_expr } = &element.kind else { return Ok(()) };
        let Some(start) = self.constant(offset_expr) else { return Ok(()) };
        let mut index = start.value;
        let mut put = |function: Option<u32>| {
            if let Some(function) = function
                && index < MAX_TABLE
            {
                self.table.push((Placed { value: index, relative: start.relative }, function));
            }
            index = index.saturating_add(1);
        };
        match element.items {
            ElementItems::Functions(functions) => {
                for function in functions {
                    put(Some(function?));
                }
            }
            ElementItems::Expressions(_, expressions) => {
                for expression in expressions {
                    let mut operators = expression?.get_operators_reader();
                    put(match operators.read()? {
                        Operator::RefFunc { function_index } => Some(function_index),
                        _ => None,
                    });
                }
            }
        }
        Ok(())
    }

    fn name_section(&mut self, parts: NameSectionReader<'m>) -> Result<(), wasmparser::Error> {
        for part in parts {
            match part? {
                Name::Function(names) => {
                    for naming in names {
                        let naming = naming?;
                        self.names.insert(naming.index, naming.name);
                    }
                }
                Name::Data(names) => {
                    for naming in names {
                        let naming = naming?;
                        self.segment_names.insert(naming.index, naming.name);
                    }
                }
                Name::Global(names) => {
                    for naming in names {
                        let naming = naming?;
                        if naming.name == "__stack_pointer" {
                            self.stack_pointer = Some(naming.index);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The value of a constant expression of integers and of the bases of position-independent modules.
    fn constant(&self, expression: &ConstExpr<'_>) -> Option<Placed> {
        let mut reader = expression.get_operators_reader();
        let mut sum = Placed { value: 0, relative: false };
        loop {
            let (value, relative) = match reader.read().ok()? {
                Operator::I32Const { value } => (u64::from(value.cast_unsigned()), false),
                Operator::I64Const { value } => (value.cast_unsigned(), false),
                Operator::GlobalGet { global_index }
                    if [self.memory_base, self.table_base].contains(&Some(global_index)) =>
                {
                    (0, true)
                }
                Operator::I32Add | Operator::I64Add => continue,
                Operator::End => return Some(sum),
                _ => return None,
            };
            sum = Placed { value: sum.value.wrapping_add(value), relative: sum.relative | relative };
        }
    }

    fn finish(mut self, bytes: &'m [u8]) -> Wasm<'m> {
        self.exports.sort_by_key(|&(index, _)| index);
        for &(index, name) in &self.exports {
            self.names.entry(index).or_insert(name);
        }
        for (&index, &name) in &self.imports {
            self.names.entry(index).or_insert(name);
        }
        let exported = self.data_exports.into_iter().map(|(name, address)| NamedData {
            name: name.to_owned(),
            address,
            size: None,
            exported: true,
        });
        let named_segments = (0..).zip(&self.segments).filter_map(|(index, &(address, size))| {
            let name = self.segment_names.get(&index)?;
            Some(NamedData { name: (*name).to_owned(), address: address?, size: Some(size), exported: false })
        });
        Wasm {
            word: if self.wide { WordSize::Eight } else { WordSize::Four },
            code_len: self.code_len,
            code: bytes.get(self.code_start..).and_then(|rest| rest.get(..self.code_len as usize)).unwrap_or_default(),
            data: exported.chain(named_segments).collect(),
            functions: self.functions,
            function_names: self.names,
            exported_functions: self.exports,
            segments: self.segments.into_iter().filter_map(|(address, size)| Some((address?, size))).collect(),
            table: self.table,
            memory_base: self.memory_base,
            // Where it has no name, it is the first global, as the linker lays them out.
            stack_pointer: self.stack_pointer.or_else(|| (!self.globals.is_empty()).then_some(0)),
            debug: self.debug,
        }
    }
}

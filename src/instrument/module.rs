//! Puts the rewritten module together, section by section.

use std::collections::HashMap;

use wasm_encoder::{Encode, EntityType, GlobalType, ValType};
use wasmparser::{BinaryReader, ConstExpr, ElementItems, ElementKind, Operator, TableInit, TypeRef};

use super::code::{Code, rewrite_code};
use super::error::InstrumentError;
use super::exports::Kept;
use super::hints;
use super::host::{
    EXPORT_PREFIX, Host, HostGlobal, IMPORT_MODULE, MEMORY_EXPORT, STACK_POINTER_EXPORT, START_EXPORT,
    WATCH_MAP_EXPORT, WATCH_MAP_IMPORT,
};
use super::lookup::{FOOTPRINT_PAGES, WATCH_MAP_PAGES};
use super::map::MAX_FILE;
use super::names::rewrite_names;
use super::probes;
use super::sections::{PREAMBLE, Section, id, leb_width, section_name};
use super::splice::{Splice, write_u32_at_least};
use super::survey::Survey;
use super::{DebugSections, HostMemory, Options, Rewritten, RuntimeGlobals};

/// The order that sections other than custom ones come in: tags are between memories and globals, the data count
/// before the code.
const ORDER: [u8; 13] = [1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11];

/// How many types, imports, globals or exports engines accept.
const MAX_ENTRIES: usize = 1_000_000;

/// A module in the making.
struct Rewriter<'m, 'o> {
    survey: Survey<'m>,
    options: &'o Options,
    kept: Kept,
    host: Host,
    out: Vec<u8>,
}

/// See [`super::rewrite`].
pub(super) fn rewrite_module(module: &[u8], options: &Options) -> Result<Rewritten, InstrumentError> {
    let survey = Survey::take(module)?;
    let kept = Kept::plan(&survey, options)?;
    let host = Host::plan(&survey, options, kept.globals)?;
    let rewriter = Rewriter { survey, options, kept, host, out: PREAMBLE.to_vec() };
    rewriter.check_names()?;
    rewriter.rewrite()
}

impl<'m> Rewriter<'m, '_> {
    fn rewrite(mut self) -> Result<Rewritten, InstrumentError> {
        let (hints_section, original_hints) = self.original_hints().unzip();
        let mut code = match self.survey.section(id::CODE) {
            Some(section) => {
                let hints = original_hints.unwrap_or_default();
                Some(rewrite_code(&self.survey, section, &self.host, self.options, &hints)?)
            }
            None => None,
        };
        let hints = code.as_mut().map(|code| std::mem::take(&mut code.hints)).unwrap_or_default();
        let mut hints = (!hints.is_empty()).then(|| hints::encode(&hints));

        // Sections that are added, or appended to when the module has one of the kind.
        let mut additions: Vec<(u8, u32, Vec<u8>)> = [
            self.added_types(),
            self.added_imports(),
            self.added_functions()?,
            self.added_memories(),
            self.added_globals(),
            self.added_exports(),
        ]
        .into_iter()
        .filter(|(_, count, _)| *count > 0)
        .collect();
        let mut code_start = 0;
        for (index, section) in self.survey.sections.clone().into_iter().enumerate() {
            if section.id == id::CUSTOM {
                match hints_section == Some(index) {
                    true => self.out.extend(hints.take().unwrap_or_default()),
                    false => self.custom(&section),
                }
                continue;
            }
            if section.id == id::START && self.options.host_start {
                continue;
            }
            let place = order(section.id);
            while additions.first().is_some_and(|(id, ..)| order(*id) < place) {
                let (id, count, entries) = additions.remove(0);
                self.new_section(id, count, &entries);
            }
            let added = additions.first().is_some_and(|(id, ..)| *id == section.id).then(|| additions.remove(0));
            match (section.id, &code) {
                (id::CODE, Some(Code { contents, .. })) => {
                    if let Some(hints) = hints.take().filter(|_| hints_section.is_none()) {
                        self.out.extend(hints);
                    }
                    self.section(&section, contents);
                    code_start = self.out.len() - contents.len();
                }
                _ => {
                    let contents = self.contents(&section, added)?;
                    self.section(&section, &contents);
                }
            }
        }
        for (id, count, entries) in additions {
            self.new_section(id, count, &entries);
        }
        if self.out.len() >= MAX_FILE {
            return Err(InstrumentError::TooLarge { what: "the module".to_owned(), limit: MAX_FILE });
        }
        let map = code.map(|code| code.map).unwrap_or_default();
        // It fits: it is below MAX_FILE.
        let (functions, globals) = (self.host.function_shift, self.host.global_shift);
        let map = map.finish(code_start as u32, functions, globals, self.kept.globals);
        Ok(Rewritten { wasm: self.out, map })
    }

    /// The names that the rewriting adds must not be there yet.
    fn check_names(&self) -> Result<(), InstrumentError> {
        let Host { functions, globals, .. } = &self.host;
        if let Some(section) = self.survey.section(id::IMPORT) {
            for import in self.survey.entries::<wasmparser::Imports>(&section.contents)?.into_imports() {
                let import = import?;
                let ours = (self.host.watch_map.is_some() && import.name == WATCH_MAP_IMPORT)
                    || functions.iter().any(|f| f.name() == import.name)
                    || globals.iter().any(|g| g.name() == import.name);
                if import.module == IMPORT_MODULE && ours {
                    let name = format!("{IMPORT_MODULE}.{}", import.name);
                    return Err(InstrumentError::Reserved { what: "import", name });
                }
            }
        }
        if let Some(section) = self.survey.section(id::EXPORT) {
            let added = self.new_exports();
            for export in self.survey.entries::<wasmparser::Export>(&section.contents)? {
                let export = export?;
                if self.kept.keeps(&export) && added.iter().any(|(name, ..)| name == export.name) {
                    return Err(InstrumentError::Reserved { what: "export", name: export.name.to_owned() });
                }
            }
        }
        Ok(())
    }

    /// The first well-formed section of branch hints: its place among the sections and what it says.
    fn original_hints(&self) -> Option<(usize, HashMap<u32, Vec<wasmparser::BranchHint>>)> {
        self.survey.sections.iter().enumerate().filter(|(_, s)| s.id == id::CUSTOM).find_map(|(index, section)| {
            let (name, data) = self.survey.custom_parts(section)?;
            let data = (name == hints::SECTION).then_some(data)?;
            Some((index, hints::read(BinaryReader::new(&self.survey.module[data.clone()], data.start))?))
        })
    }

    fn custom(&mut self, section: &Section) {
        let module = self.survey.module;
        let name = self.survey.custom_parts(section);
        if let Some((name, data)) = name {
            if self.options.debug_sections == DebugSections::Drop && is_debug_section(name) {
                return;
            }
            let moved = !self.host.functions.is_empty()
                || self.host.global_shift.added > 0
                || self.kept.drops_globals(&self.survey);
            if name == "name" && moved {
                let mut contents = module[section.contents.start..data.start].to_vec();
                contents.extend(rewrite_names(&self.survey, &self.kept, &self.host, data));
                return self.section(section, &contents);
            }
        }
        self.section(section, &module[section.contents.clone()]);
    }

    /// Writes a section in the place of an original one, with a size as wide as the original's.
    fn section(&mut self, original: &Section, contents: &[u8]) {
        self.out.push(original.id);
        // It fits, or the file is refused at the end.
        write_u32_at_least(&mut self.out, contents.len() as u32, original.size_width);
        self.out.extend_from_slice(contents);
    }

    fn new_section(&mut self, id: u8, count: u32, entries: &[u8]) {
        let mut contents = Vec::new();
        count.encode(&mut contents);
        contents.extend_from_slice(entries);
        self.out.push(id);
        contents.as_slice().encode(&mut self.out);
    }

    fn added_types(&self) -> (u8, u32, Vec<u8>) {
        let mut entries = Vec::new();
        for function in &self.host.functions {
            let (parameters, results) = function.signature(self.host.address);
            entries.push(0x60); // a function type
            parameters.as_slice().encode(&mut entries);
            results.as_slice().encode(&mut entries);
        }
        (id::TYPE, self.host.functions.len() as u32, entries)
    }

    fn added_imports(&self) -> (u8, u32, Vec<u8>) {
        let mut entries = Vec::new();
        let first_type = self.survey.types.as_ref().core_type_count_in_module();
        let functions = self.host.functions.iter().zip(first_type..);
        let functions = functions.map(|(function, ty)| (function.name(), EntityType::Function(ty)));
        let globals = match self.options.runtime_globals {
            RuntimeGlobals::Import => self.host.globals.as_slice(),
            RuntimeGlobals::Define => &[],
        };
        let globals = globals.iter().map(|&global| (global.name(), EntityType::Global(self.global_type(global))));
        let mut count = 0;
        let map = self.host.watch_map.filter(|_| self.options.runtime_globals == RuntimeGlobals::Import);
        let map = map.map(|_| (WATCH_MAP_IMPORT, EntityType::Memory(self.watch_map_type())));
        for (name, ty) in functions.chain(globals).chain(map) {
            IMPORT_MODULE.encode(&mut entries);
            name.encode(&mut entries);
            ty.encode(&mut entries);
            count += 1;
        }
        (id::IMPORT, count, entries)
    }

    /// The lookups have the types of the host functions that they call, probes those of the functions that they are for.
    fn added_functions(&self) -> Result<(u8, u32, Vec<u8>), InstrumentError> {
        let mut entries = Vec::new();
        let first_type = self.survey.types.as_ref().core_type_count_in_module();
        for lookup in &self.host.lookups {
            let ty = self.host.functions.iter().zip(first_type..).find(|(function, _)| *function == lookup);
            ty.map_or(0, |(_, ty)| ty).encode(&mut entries);
        }
        let probes = probes::types(&self.survey, &self.host.probed)?;
        for ty in &probes {
            ty.encode(&mut entries);
        }
        Ok((id::FUNCTION, (self.host.lookups.len() + probes.len()) as u32, entries))
    }

    fn added_memories(&self) -> (u8, u32, Vec<u8>) {
        let mut entries = Vec::new();
        let memory = self.survey.memory.filter(|_| self.options.host_memory == HostMemory::Define);
        let own = memory.map(|memory| wasm_encoder::MemoryType {
            minimum: memory.initial,
            maximum: memory.maximum,
            memory64: memory.memory64,
            shared: false,
            page_size_log2: memory.page_size_log2,
        });
        let map = self.host.watch_map.filter(|_| self.options.runtime_globals == RuntimeGlobals::Define);
        let memories: Vec<_> = own.into_iter().chain(map.map(|_| self.watch_map_type())).collect();
        for memory in &memories {
            memory.encode(&mut entries);
        }
        (id::MEMORY, memories.len() as u32, entries)
    }

    fn added_globals(&self) -> (u8, u32, Vec<u8>) {
        let mut entries = Vec::new();
        if self.options.runtime_globals == RuntimeGlobals::Import {
            return (id::GLOBAL, 0, entries);
        }
        for &global in &self.host.globals {
            let ty = self.global_type(global);
            ty.encode(&mut entries);
            let value = match global {
                HostGlobal::Ticks
                | HostGlobal::StackLow
                | HostGlobal::StackRoom
                | HostGlobal::Callee
                | HostGlobal::Site
                | HostGlobal::Fault => 0,
                HostGlobal::Stack => self.options.call_stack.unwrap_or(0),
            };
            match ty.val_type {
                ValType::I64 => wasm_encoder::ConstExpr::i64_const(value.into()),
                _ => wasm_encoder::ConstExpr::i32_const(value.cast_signed()),
            }
            .encode(&mut entries);
        }
        (id::GLOBAL, self.host.globals.len() as u32, entries)
    }

    fn added_exports(&self) -> (u8, u32, Vec<u8>) {
        let exports = self.new_exports();
        let mut entries = Vec::new();
        for (name, kind, index) in &exports {
            name.as_str().encode(&mut entries);
            kind.encode(&mut entries);
            index.encode(&mut entries);
        }
        (id::EXPORT, exports.len() as u32, entries)
    }

    /// Names, kinds and indices of the exports that the rewriting adds.
    fn new_exports(&self) -> Vec<(String, wasm_encoder::ExportKind, u32)> {
        let mut exports = Vec::new();
        if let Some(start) = self.start_function().filter(|_| self.options.host_start) {
            let index = self.host.target(start);
            exports.push((START_EXPORT.to_owned(), wasm_encoder::ExportKind::Func, index));
        }
        if self.options.host_memory == HostMemory::Define && self.survey.memory.is_some() {
            exports.push((MEMORY_EXPORT.to_owned(), wasm_encoder::ExportKind::Memory, 0));
        }
        let added = !self.host.globals.is_empty() || self.host.watch_map.is_some();
        if self.options.runtime_globals == RuntimeGlobals::Define && added {
            if let Some(map) = self.host.watch_map {
                exports.push((WATCH_MAP_EXPORT.to_owned(), wasm_encoder::ExportKind::Memory, map));
            }
            for &global in &self.host.globals {
                let name = format!("{EXPORT_PREFIX}{}", global.name());
                exports.push((name, wasm_encoder::ExportKind::Global, self.host.global(global)));
            }
            if let Some(global) = self.survey.stack_pointer() {
                let index = self.host.global_shift.apply(global);
                exports.push((STACK_POINTER_EXPORT.to_owned(), wasm_encoder::ExportKind::Global, index));
            }
        }
        exports
    }

    /// The original index of the start function.
    fn start_function(&self) -> Option<u32> {
        let contents = self.survey.section(id::START)?.contents.clone();
        BinaryReader::new(&self.survey.module[contents.clone()], contents.start).read_var_u32().ok()
    }

    fn global_type(&self, global: HostGlobal) -> GlobalType {
        GlobalType { val_type: self.host.type_of(global), mutable: true, shared: false }
    }

    /// The contents of a section with indices put right and `added` entries behind its own.
    fn contents(&self, section: &Section, added: Option<(u8, u32, Vec<u8>)>) -> Result<Vec<u8>, InstrumentError> {
        let module = self.survey.module;
        let contents = section.contents.clone();
        let mut splice = Splice::new(module, contents.start);
        let defines_memory = self.options.host_memory == HostMemory::Define && self.survey.memory.is_some();
        let kept = match section.id {
            id::IMPORT if defines_memory => Some(self.read_count(section)? - 1),
            id::GLOBAL => Some(self.kept.globals - self.survey.imported_globals),
            id::EXPORT => Some(self.kept.count_exports(&self.survey, section)?),
            _ => None,
        };
        if kept.is_some() || added.is_some() {
            let width = leb_width(&module[contents.clone()]).unwrap_or(1);
            let old = self.read_count(section)?;
            let new = kept.unwrap_or(old).saturating_add(added.as_ref().map_or(0, |(_, count, _)| *count));
            if new as usize > MAX_ENTRIES {
                let what = format!("the number of entries of {}", section_name(section.id));
                return Err(InstrumentError::TooLarge { what, limit: MAX_ENTRIES });
            }
            splice.replace_u32(contents.start..contents.start + width, new);
        }
        match section.id {
            id::IMPORT if self.options.host_memory != HostMemory::Keep => self.take_memory(section, &mut splice)?,
            id::TABLE => {
                for table in self.survey.entries::<wasmparser::Table>(&contents)? {
                    if let TableInit::Expr(init) = table?.init {
                        self.const_expr(&init, &mut splice)?;
                    }
                }
            }
            id::GLOBAL => {
                let globals = self.survey.entries::<wasmparser::Global>(&contents)?;
                for (index, global) in (self.survey.imported_globals..).zip(globals.into_iter_with_offsets()) {
                    let (start, global) = global?;
                    if index >= self.kept.globals {
                        splice.skip(start..contents.end);
                        break;
                    }
                    self.const_expr(&global.init_expr, &mut splice)?;
                }
            }
            id::EXPORT => self.kept.exports(&self.survey, &self.host, section, &mut splice)?,
            id::START => self.function_index(contents.start, &mut splice),
            id::ELEMENT => self.elements(section, &mut splice)?,
            id::DATA => {
                for data in self.survey.entries::<wasmparser::Data>(&contents)? {
                    if let wasmparser::DataKind::Active { offset_expr, .. } = data?.kind {
                        self.const_expr(&offset_expr, &mut splice)?;
                    }
                }
            }
            _ => {}
        }
        if let Some((_, _, entries)) = added {
            splice.out_at(contents.end).extend_from_slice(&entries);
        }
        Ok(splice.finish(contents.end))
    }

    /// The number of entries that a section says it has.
    fn read_count(&self, section: &Section) -> Result<u32, InstrumentError> {
        let contents = section.contents.clone();
        Ok(BinaryReader::new(&self.survey.module[contents.clone()], contents.start).read_var_u32()?)
    }

    /// Clears the shared flag of memory 0, which is imported, or leaves the import out.
    fn take_memory(&self, section: &Section, splice: &mut Splice<'_>) -> Result<(), InstrumentError> {
        const SHARED: u8 = 0b10;
        for import in self.survey.entries::<wasmparser::Imports>(&section.contents)?.into_imports_with_offsets() {
            let (start, import) = import?;
            if let TypeRef::Memory(memory) = import.ty {
                let mut reader = BinaryReader::new(&self.survey.module[start..section.contents.end], start);
                reader.read_string()?;
                reader.read_string()?;
                reader.read_u8()?; // the kind of import
                let at = reader.original_position();
                if self.options.host_memory == HostMemory::Define {
                    reader.read::<wasmparser::MemoryType>()?;
                    splice.skip(start..reader.original_position());
                } else if memory.shared {
                    splice.replace_byte(at, reader.read_u8()? & !SHARED);
                }
                break;
            }
        }
        Ok(())
    }

    fn elements(&self, section: &Section, splice: &mut Splice<'_>) -> Result<(), InstrumentError> {
        for element in self.survey.entries::<wasmparser::Element>(&section.contents)? {
            let element = element?;
            if let ElementKind::Active { offset_expr, .. } = &element.kind {
                self.const_expr(offset_expr, splice)?;
            }
            match element.items {
                ElementItems::Functions(functions) => {
                    for function in functions.into_iter_with_offsets() {
                        self.function_index(function?.0, splice);
                    }
                }
                ElementItems::Expressions(_, expressions) => {
                    for expression in expressions {
                        self.const_expr(&expression?, splice)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn const_expr(&self, expression: &ConstExpr<'_>, splice: &mut Splice<'_>) -> Result<(), InstrumentError> {
        let mut operators = expression.get_operators_reader();
        while !operators.eof() {
            let (operator, start) = operators.read_with_offset()?;
            match operator {
                Operator::RefFunc { .. } => self.function_index(start + 1, splice),
                Operator::GlobalGet { .. } => self.global_index(start + 1, splice),
                _ => {}
            }
        }
        Ok(())
    }

    /// Puts the function index at `at` right.
    fn function_index(&self, at: usize, splice: &mut Splice<'_>) {
        self.index(at, |old| self.host.target(old), splice);
    }

    /// Puts the global index at `at` right.
    fn global_index(&self, at: usize, splice: &mut Splice<'_>) {
        self.index(at, |old| self.host.global_shift.apply(old), splice);
    }

    fn watch_map_type(&self) -> wasm_encoder::MemoryType {
        let pages = if self.host.footprint { FOOTPRINT_PAGES } else { WATCH_MAP_PAGES };
        wasm_encoder::MemoryType {
            minimum: pages,
            maximum: Some(pages),
            memory64: false,
            shared: false,
            page_size_log2: None,
        }
    }

    fn index(&self, at: usize, new: impl FnOnce(u32) -> u32, splice: &mut Splice<'_>) {
        let mut reader = BinaryReader::new(&self.survey.module[at..], at);
        // The module is valid, so an index is there.
        if let Ok(old) = reader.read_var_u32() {
            splice.replace_u32(at..reader.original_position(), new(old));
        }
    }
}

fn order(id: u8) -> usize {
    ORDER.iter().position(|&known| known == id).unwrap_or(ORDER.len())
}

/// Debug information: DWARF, its relocations, and references to where it is.
fn is_debug_section(name: &str) -> bool {
    let name = name.strip_prefix("reloc.").unwrap_or(name);
    name.starts_with(".debug_") || matches!(name, "external_debug_info" | "sourceMappingURL")
}

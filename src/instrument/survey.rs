//! The first pass: checks that the module is valid and learns its index spaces.

use std::ops::Range;

use wasmparser::types::Types;
use wasmparser::{
    BinaryReader, FuncValidator, FuncValidatorAllocations, FunctionBody, MemoryType, Parser, SectionLimited, TypeRef,
    ValidPayload, Validator, ValidatorResources, WasmFeatures,
};

use super::error::InstrumentError;
use super::map::MAX_FILE;
use super::sections::{Section, id, sections};

/// What the rewriting has to know of the original module before it starts.
pub(super) struct Survey<'m> {
    /// The whole original file.
    pub(super) module: &'m [u8],
    /// Its sections in the file's order.
    pub(super) sections: Vec<Section>,
    /// The types of everything in it.
    pub(super) types: Types,
    /// How many functions it imports.
    pub(super) imported_functions: u32,
    /// How many globals it imports.
    pub(super) imported_globals: u32,
    /// Memory 0, if there is one.
    pub(super) memory: Option<MemoryType>,
    /// Whether memory 0 is imported.
    pub(super) memory_imported: bool,
    /// How many memories it defines itself.
    pub(super) defined_memories: u32,
    /// The highest that the operand stack becomes in each function with a body.
    operands: Vec<u32>,
}

/// The Wasm features that a module may use: every finished proposal, and what engines run besides.
fn features() -> WasmFeatures {
    WasmFeatures::default()
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::CUSTOM_PAGE_SIZES
        | WasmFeatures::WIDE_ARITHMETIC
}

impl<'m> Survey<'m> {
    /// Validates the module and takes stock of it.
    ///
    /// # Errors
    /// The module is no Wasm, incomplete, invalid, or uses a proposal outside of [`features`].
    pub(super) fn take(module: &'m [u8]) -> Result<Self, InstrumentError> {
        if module.len() >= MAX_FILE {
            return Err(InstrumentError::TooLarge { what: "the module".to_owned(), limit: MAX_FILE });
        }
        let sections = sections(module)?;
        let (types, operands) = validate(module)?;
        let mut survey = Survey {
            module,
            sections,
            types,
            imported_functions: 0,
            imported_globals: 0,
            memory: None,
            memory_imported: false,
            defined_memories: 0,
            operands,
        };
        let imported_memories = survey.count_imports()?;
        let types = survey.types.as_ref();
        survey.defined_memories = types.memory_count() - imported_memories;
        survey.memory = (types.memory_count() > 0).then(|| types.memory_at(0));
        Ok(survey)
    }

    /// The only section with this identifier, custom sections excepted.
    pub(super) fn section(&self, id: u8) -> Option<&Section> {
        self.sections.iter().find(|s| s.id == id)
    }

    /// A reader over the entries of a section.
    pub(super) fn entries<T>(&self, contents: &Range<usize>) -> Result<SectionLimited<'m, T>, InstrumentError>
    where
        T: wasmparser::FromReader<'m>,
    {
        Ok(SectionLimited::new(BinaryReader::new(&self.module[contents.clone()], contents.start))?)
    }

    /// A custom section's name, and the range of what follows it.
    pub(super) fn custom_parts(&self, section: &Section) -> Option<(&'m str, Range<usize>)> {
        let contents = section.contents.clone();
        let mut reader = BinaryReader::new(&self.module[contents.clone()], contents.start);
        let name = reader.read_unlimited_string().ok()?;
        Some((name, reader.original_position()..contents.end))
    }

    /// The index of the global that the name section calls `__stack_pointer`.
    pub(super) fn stack_pointer(&self) -> Option<u32> {
        let sections = self.sections.iter().filter(|s| s.id == id::CUSTOM);
        let (_, data) = sections.filter_map(|s| self.custom_parts(s)).find(|(name, _)| *name == "name")?;
        let reader = BinaryReader::new(&self.module[data.clone()], data.start);
        let subsections = wasmparser::NameSectionReader::new(reader).map_while(Result::ok);
        let mut globals = subsections.filter_map(|subsection| match subsection {
            wasmparser::Name::Global(names) => Some(names),
            _ => None,
        });
        let named = |names: wasmparser::NameMap<'_>| {
            names.into_iter().map_while(Result::ok).find(|n| n.name == "__stack_pointer").map(|n| n.index)
        };
        // Names are not validated.
        globals.find_map(named).filter(|&index| index < self.types.as_ref().global_count())
    }

    /// How many parameters a function takes.
    pub(super) fn parameters(&self, function: u32) -> usize {
        let types = self.types.as_ref();
        types[types.core_function_at(function)].unwrap_func().params().len()
    }

    /// The highest that the operand stack becomes in a function with a body.
    pub(super) fn operands(&self, function: u32) -> u32 {
        let defined = function.checked_sub(self.imported_functions);
        defined.and_then(|defined| self.operands.get(defined as usize)).copied().unwrap_or(0)
    }

    /// The index of the type of a function with a body.
    ///
    /// # Errors
    /// The module cannot be read.
    pub(super) fn type_index(&self, function: u32) -> Result<u32, InstrumentError> {
        let defined = function.saturating_sub(self.imported_functions) as usize;
        let section = self.section(id::FUNCTION);
        let index = match section {
            Some(section) => self.entries::<u32>(&section.contents)?.into_iter().nth(defined).transpose()?,
            None => None,
        };
        Ok(index.unwrap_or(0))
    }

    /// Counts functions and globals; gives how many memories are imported.
    fn count_imports(&mut self) -> Result<u32, InstrumentError> {
        let mut memories = 0;
        let Some(section) = self.section(id::IMPORT) else { return Ok(memories) };
        let imports = self.entries::<wasmparser::Imports>(&section.contents)?;
        for import in imports.into_imports() {
            match import?.ty {
                TypeRef::Func(_) | TypeRef::FuncExact(_) => self.imported_functions += 1,
                TypeRef::Global(_) => self.imported_globals += 1,
                TypeRef::Memory(_) => memories += 1,
                TypeRef::Table(_) | TypeRef::Tag(_) => {}
            }
        }
        self.memory_imported = memories > 0;
        Ok(memories)
    }
}

/// The module's types, and the highest that the operand stack becomes in each function with a body.
fn validate(module: &[u8]) -> Result<(Types, Vec<u32>), InstrumentError> {
    let mut validator = Validator::new_with_features(features());
    let mut parser = Parser::new(0);
    parser.set_features(features());
    let mut allocations = FuncValidatorAllocations::default();
    let mut operands = Vec::new();
    for payload in parser.parse_all(module) {
        match validator.payload(&payload?)? {
            ValidPayload::Func(function, body) => {
                let mut function = function.into_validator(allocations);
                operands.push(validate_body(&mut function, &body)?);
                allocations = function.into_allocations();
            }
            ValidPayload::End(types) => return Ok((types, operands)),
            ValidPayload::Ok | ValidPayload::Parser(_) => {}
        }
    }
    Err(InstrumentError::Truncated { end: module.len(), part: "the module" })
}

/// Validates a function's body; gives the highest that its operand stack becomes.
fn validate_body(
    function: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
) -> Result<u32, InstrumentError> {
    function.read_locals(&mut body.get_binary_reader())?;
    let mut operators = body.get_operators_reader()?;
    let mut highest = 0;
    while !operators.eof() {
        let (operator, offset) = operators.read_with_offset()?;
        function.op(offset, &operator)?;
        highest = highest.max(function.operand_stack_height());
    }
    operators.finish()?;
    Ok(highest)
}

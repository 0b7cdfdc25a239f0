//! The code of a module as explanations need it: bodies of functions, and what their instructions take and give.

use std::sync::Arc;

use wasmparser::{
    BinaryReader, CompositeInnerType, ContType, FrameKind, FuncType, FunctionBody, ModuleArity, Parser, Payload,
    RefType, SubType, TypeRef,
};
use wkdb_tracer::CodeOffset;

use super::body::Body;

/// A module's types and bodies. What cannot be read is missing.
pub(super) struct Code {
    module: Arc<[u8]>,
    types: Vec<SubType>,
    /// The type of each function, imported ones first.
    functions: Vec<u32>,
    /// How many functions are imported.
    imported: u32,
    /// Where the bodies are in the file.
    bodies: Vec<std::ops::Range<usize>>,
    /// Where the contents of the code section begin in the file.
    start: usize,
    memory64: bool,
}

impl Code {
    /// Reads the outline of a module.
    pub(super) fn read(module: Arc<[u8]>) -> Code {
        let mut code = Code {
            module: Arc::clone(&module),
            types: Vec::new(),
            functions: Vec::new(),
            imported: 0,
            bodies: Vec::new(),
            start: 0,
            memory64: false,
        };
        for payload in Parser::new(0).parse_all(&module) {
            let Ok(payload) = payload else { break };
            if code.payload(payload).is_none() {
                break;
            }
        }
        code
    }

    fn payload(&mut self, payload: Payload<'_>) -> Option<()> {
        match payload {
            Payload::TypeSection(groups) => {
                for group in groups {
                    self.types.extend(group.ok()?.into_types());
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    match import.ok()?.ty {
                        TypeRef::Func(ty) => self.functions.push(ty),
                        TypeRef::Memory(memory) => self.memory64 |= memory.memory64,
                        _ => {}
                    }
                }
                self.imported = u32::try_from(self.functions.len()).ok()?;
            }
            Payload::FunctionSection(types) => {
                for ty in types {
                    self.functions.push(ty.ok()?);
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.memory64 |= memory.ok()?.memory64;
                }
            }
            Payload::CodeSectionStart { range, .. } => self.start = range.start,
            Payload::CodeSectionEntry(body) => self.bodies.push(body.range()),
            _ => {}
        }
        Some(())
    }

    /// Bytes of an address.
    pub(super) fn word(&self) -> u64 {
        if self.memory64 { 8 } else { 4 }
    }

    /// Whether a function is imported: the host's.
    pub(super) fn is_import(&self, function: u32) -> bool {
        function < self.imported
    }

    fn function_type(&self, ty: u32) -> Option<&FuncType> {
        match &self.types.get(ty as usize)?.composite_type.inner {
            CompositeInnerType::Func(ty) => Some(ty),
            _ => None,
        }
    }

    /// A type of functions in words: `(i32, i32) → ()`.
    pub(super) fn type_text(&self, ty: u32) -> Option<String> {
        let ty = self.function_type(ty)?;
        let list = |types: &[wasmparser::ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        Some(format!("({}) → ({})", list(ty.params()), list(ty.results())))
    }

    /// The type of a function by its index, in words, and whether it is the one with this index.
    pub(super) fn type_of(&self, function: u32) -> Option<String> {
        self.type_text(*self.functions.get(function as usize)?)
    }

    /// A function's body, taken apart. `None` for imports and what cannot be read.
    pub(super) fn body(&self, function: u32) -> Option<Body> {
        let range = self.bodies.get(function.checked_sub(self.imported)? as usize)?.clone();
        let start = range.start;
        let body = FunctionBody::new(BinaryReader::new(self.module.get(range)?, start));
        let offset = |file: usize| Some(CodeOffset(u32::try_from(file.checked_sub(self.start)?).ok()?));
        let ty = self.function_type(*self.functions.get(function as usize)?)?;
        Body::read(self, &body, (ty.params().len() as u32, ty.results().len() as u32), &offset)
    }
}

/// What [`wasmparser`] asks to know how many operands an operator has. Branches and blocks are dealt with apart.
impl ModuleArity for Code {
    fn sub_type_at(&self, ty: u32) -> Option<&SubType> {
        self.types.get(ty as usize)
    }

    fn tag_type_arity(&self, _: u32) -> Option<(u32, u32)> {
        None
    }

    fn type_index_of_function(&self, function: u32) -> Option<u32> {
        self.functions.get(function as usize).copied()
    }

    fn func_type_of_cont_type(&self, _: &ContType) -> Option<&FuncType> {
        None
    }

    fn sub_type_of_ref_type(&self, _: &RefType) -> Option<&SubType> {
        None
    }

    fn control_stack_height(&self) -> u32 {
        0
    }

    fn label_block(&self, _: u32) -> Option<(wasmparser::BlockType, FrameKind)> {
        None
    }
}

//! What the server has to know of a module's code: its bytes, how long a call is, and what a function does with the
//! stack pointer before its body begins.

use std::ops::Range;
use std::sync::Arc;

use wasmparser::{BinaryReader, Encoding, FunctionBody, Name, Operator, OperatorsReader, Parser, Payload, TypeRef};
use wkdb_tracer::{CodeOffset, WasmValue};

use super::disas;
use crate::companion::layout::WordSize;

/// How many instructions a prologue has at most: at -O0, each step of it goes through a local.
const LONGEST_PROLOGUE: usize = 24;

/// The name of the shadow stack's pointer, by the tool conventions of Wasm.
const STACK_POINTER: &str = "__stack_pointer";

/// A module's code.
#[derive(Debug)]
pub(super) struct Code {
    module: Arc<[u8]>,
    /// The contents of the code section, in the file.
    section: Range<usize>,
    /// The function bodies, by code offset.
    bodies: Vec<Range<u32>>,
    imported: u32,
    stack_pointer: Option<u32>,
    word: WordSize,
}

/// How a function takes room on the shadow stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prologue {
    /// The instruction after which the stack pointer is lower.
    pub(super) end: CodeOffset,
    /// By how many bytes.
    pub(super) size: u64,
    /// The local that keeps the lowered pointer.
    pub(super) local: Option<u32>,
}

impl Code {
    /// Reads the outline of a module. What cannot be read is left out: the guest runs with it, so it has code.
    pub(super) fn read(module: Arc<[u8]>) -> Code {
        let mut code = Code {
            module: Arc::clone(&module),
            section: 0..0,
            bodies: Vec::new(),
            imported: 0,
            stack_pointer: None,
            word: WordSize::Four,
        };
        let mut imported_globals = 0;
        let mut named = None;
        for payload in Parser::new(0).parse_all(&module) {
            match payload {
                Ok(Payload::Version { encoding: Encoding::Module, .. }) => {}
                Ok(Payload::ImportSection(imports)) => {
                    for import in imports.into_imports().flatten() {
                        match import.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => code.imported += 1,
                            TypeRef::Global(_) => {
                                if import.name == STACK_POINTER {
                                    named = Some(imported_globals);
                                }
                                imported_globals += 1;
                            }
                            TypeRef::Memory(memory) if memory.memory64 => code.word = WordSize::Eight,
                            _ => {}
                        }
                    }
                }
                Ok(Payload::MemorySection(memories)) => {
                    if memories.into_iter().flatten().any(|memory| memory.memory64) {
                        code.word = WordSize::Eight;
                    }
                }
                Ok(Payload::CodeSectionStart { range, .. }) => code.section = range,
                Ok(Payload::CodeSectionEntry(body)) => {
                    let range = body.range();
                    let offset = |place: usize| u32::try_from(place.saturating_sub(code.section.start));
                    if let (Ok(start), Ok(end)) = (offset(range.start), offset(range.end)) {
                        code.bodies.push(start..end);
                    }
                }
                Ok(Payload::CustomSection(section)) if section.name() == "name" && named.is_none() => {
                    let names =
                        wasmparser::NameSectionReader::new(BinaryReader::new(section.data(), section.data_offset()));
                    named = names.into_iter().flatten().find_map(|name| match name {
                        Name::Global(globals) => {
                            let found = globals.into_iter().flatten().find(|naming| naming.name == STACK_POINTER);
                            found.map(|naming| naming.index)
                        }
                        _ => None,
                    });
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        // Linkers put it first.
        code.stack_pointer = named.or(Some(0));
        code
    }

    /// The word size of the memory that the module uses.
    pub(super) fn word(&self) -> WordSize {
        self.word
    }

    /// The global that is the shadow stack's pointer.
    pub(super) fn stack_pointer(&self) -> Option<u32> {
        self.stack_pointer
    }

    /// Bytes of the code section's contents.
    pub(super) fn len(&self) -> u64 {
        self.section.len() as u64
    }

    /// Bytes of the code section's contents; fewer where they end.
    pub(super) fn bytes(&self, offset: CodeOffset, len: usize) -> &[u8] {
        let contents = self.module.get(self.section.clone()).unwrap_or_default();
        let rest = contents.get(offset.0 as usize..).unwrap_or_default();
        &rest[..rest.len().min(len)]
    }

    /// Whether there is an instruction, or anything else of a function, at an offset.
    pub(super) fn has(&self, offset: CodeOffset) -> bool {
        self.body_at(offset).is_some()
    }

    /// The instruction after the one at `offset`.
    pub(super) fn after(&self, offset: CodeOffset) -> CodeOffset {
        self.instruction(offset).1
    }

    /// An instruction in words, where it ends, and the function that it calls.
    pub(super) fn disassembled(&self, offset: CodeOffset) -> (String, CodeOffset, Option<u32>) {
        let (operator, end) = self.instruction(offset);
        let text = operator.as_ref().map_or_else(|| "(no instruction)".to_owned(), disas::text);
        let callee = operator.and_then(|operator| match operator {
            Operator::Call { function_index } | Operator::ReturnCall { function_index } => Some(function_index),
            _ => None,
        });
        (text, end, callee)
    }

    /// Whether an instruction calls a function.
    pub(super) fn is_call(&self, offset: CodeOffset) -> bool {
        matches!(
            self.instruction(offset).0,
            Some(Operator::Call { .. } | Operator::CallIndirect { .. } | Operator::CallRef { .. })
        )
    }

    /// An instruction, and where it ends: one byte on, where there is none.
    fn instruction(&self, offset: CodeOffset) -> (Option<Operator<'_>>, CodeOffset) {
        let end = self.body_at(offset).map_or(offset.0, |body| body.end);
        let bytes = self.bytes(offset, end.saturating_sub(offset.0) as usize);
        let mut reader = OperatorsReader::new(BinaryReader::new(bytes, 0));
        let operator = reader.read().ok();
        let len = if operator.is_some() { reader.original_position() } else { 1 };
        (operator, CodeOffset(offset.0.saturating_add(len as u32)))
    }

    /// Where execution comes to first at or after an offset in a function: past the declarations of its locals.
    pub(super) fn landing(&self, offset: CodeOffset) -> Option<CodeOffset> {
        let operators = self.reader(self.body_at(offset)?)?.get_operators_reader().ok()?;
        let first = u32::try_from(operators.original_position().checked_sub(self.section.start)?).ok()?;
        Some(CodeOffset(offset.0.max(first)))
    }

    /// The first instruction of a function, by its index.
    pub(super) fn first_instruction(&self, function: u32) -> Option<CodeOffset> {
        let body = self.body(function)?;
        let reader = self.reader(body)?;
        let operators = reader.get_operators_reader().ok()?;
        u32::try_from(operators.original_position()).ok()?.checked_sub(self.section.start as u32).map(CodeOffset)
    }

    /// What a function's prologue does, if it has one.
    pub(super) fn prologue(&self, function: u32) -> Option<Prologue> {
        let body = self.body(function)?;
        let mut operators = self.reader(body)?.get_operators_reader().ok()?;
        let mut machine = Abstract::default();
        for _ in 0..LONGEST_PROLOGUE {
            let operator = operators.read().ok()?;
            if let Operator::GlobalSet { global_index } = operator
                && Some(global_index) == self.stack_pointer
            {
                let Some(Known::Lowered(size)) = machine.stack.pop() else { return None };
                let end = operators.original_position().checked_sub(self.section.start)?;
                let local = machine.locals.iter().find(|(_, known)| *known == Known::Lowered(size));
                return Some(Prologue {
                    end: CodeOffset(u32::try_from(end).ok()?),
                    size,
                    local: local.map(|&(local, _)| local),
                });
            }
            machine.step(&operator, self.stack_pointer)?;
        }
        None
    }

    fn body(&self, function: u32) -> Option<&Range<u32>> {
        self.bodies.get(usize::try_from(function.checked_sub(self.imported)?).ok()?)
    }

    fn body_at(&self, offset: CodeOffset) -> Option<&Range<u32>> {
        let after = self.bodies.partition_point(|body| body.start <= offset.0);
        self.bodies.get(after.checked_sub(1)?).filter(|body| body.contains(&offset.0))
    }

    fn reader(&self, body: &Range<u32>) -> Option<FunctionBody<'_>> {
        let place = self.section.start + body.start as usize;
        let bytes = self.module.get(place..self.section.start + body.end as usize)?;
        Some(FunctionBody::new(BinaryReader::new(bytes, place)))
    }
}

/// What is known of a value while a prologue is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// A constant.
    Constant(u64),
    /// The stack pointer as it was when the function was called, less this many bytes.
    Lowered(u64),
}

/// Runs the straight-line code at the beginning of a function on what is known.
#[derive(Debug, Default)]
struct Abstract {
    stack: Vec<Known>,
    locals: Vec<(u32, Known)>,
}

impl Abstract {
    /// One instruction; none where it is not one of a prologue.
    fn step(&mut self, operator: &Operator<'_>, stack_pointer: Option<u32>) -> Option<()> {
        match *operator {
            Operator::GlobalGet { global_index } if Some(global_index) == stack_pointer => {
                self.stack.push(Known::Lowered(0));
            }
            Operator::I32Const { value } => self.stack.push(Known::Constant(value as u32 as u64)),
            Operator::I64Const { value } => self.stack.push(Known::Constant(value as u64)),
            Operator::LocalGet { local_index } => {
                let found = self.locals.iter().find(|(local, _)| *local == local_index)?;
                self.stack.push(found.1);
            }
            Operator::LocalSet { local_index } => {
                let known = self.stack.pop()?;
                self.keep(local_index, known);
            }
            Operator::LocalTee { local_index } => {
                let known = *self.stack.last()?;
                self.keep(local_index, known);
            }
            Operator::I32Sub | Operator::I64Sub => {
                let (Known::Constant(size), Known::Lowered(by)) = (self.stack.pop()?, self.stack.pop()?) else {
                    return None;
                };
                self.stack.push(Known::Lowered(by.checked_add(size)?));
            }
            // A negative constant is added as well.
            Operator::I32Add | Operator::I64Add => {
                let (Known::Constant(size), Known::Lowered(by)) = (self.stack.pop()?, self.stack.pop()?) else {
                    return None;
                };
                let size = if matches!(operator, Operator::I32Add) { size as u32 as i32 as i64 } else { size as i64 };
                self.stack.push(Known::Lowered(by.checked_add(u64::try_from(size.checked_neg()?).ok()?)?));
            }
            _ => return None,
        }
        Some(())
    }

    fn keep(&mut self, local: u32, known: Known) {
        self.locals.retain(|(other, _)| *other != local);
        self.locals.push((local, known));
    }
}

impl Code {
    /// The stack pointer of the caller of a frame in `function`: there are calls only where it is lowered for good.
    pub(super) fn callers_stack_pointer(&self, function: u32, at: CodeOffset, locals: &[WasmValue], own: u64) -> u64 {
        let Some(prologue) = self.prologue(function).filter(|prologue| at >= prologue.end) else { return own };
        let kept = prologue.local.and_then(|local| locals.get(local as usize));
        let base = match kept {
            Some(WasmValue::I32(value)) => u64::from(*value),
            Some(WasmValue::I64(value)) => *value,
            _ => own,
        };
        base.wrapping_add(prologue.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Code {
        Code::read(wat::parse_str(text).unwrap().into())
    }

    const MODULE: &str = r#"(module
        (import "env" "f" (func $f (param i32)))
        (import "env" "__indirect" (global i32))
        (import "env" "__stack_pointer" (global $sp (mut i32)))
        (func $optimised (param i32) (local i32)
            (global.set $sp (local.tee 1 (i32.sub (global.get $sp) (i32.const 48))))
            (call $f (i32.const 1)) (global.set $sp (i32.add (local.get 1) (i32.const 48))))
        (func $plain (param i32) (local i32 i32 i32)
            global.get $sp local.set 1 i32.const 32 local.set 2 local.get 1 local.get 2 i32.sub local.set 3
            local.get 3 global.set $sp (call $f (i32.const 2)))
        (func $leaf (param i32) (result i32) (i32.add (local.get 0) (global.get $sp)))
        (func $added (global.set $sp (i32.add (global.get $sp) (i32.const -16)))))"#;

    #[test]
    fn calls_end_where_their_operands_do() {
        let code = code(MODULE);
        let start = code.first_instruction(1).unwrap();
        // global.get, i32.const, i32.sub, local.tee, global.set, i32.const, call, and what is behind it.
        let offsets: Vec<u32> = std::iter::successors(Some(start), |&offset| Some(code.after(offset)))
            .take(8)
            .map(|offset| offset.0 - start.0)
            .collect();
        assert_eq!(offsets, [0, 2, 4, 5, 7, 9, 11, 13]);
        assert_eq!(code.bytes(start, 2), [0x23, 1]);
        assert_eq!(code.bytes(CodeOffset(1 << 20), 2), [0u8; 0]);
        assert!(code.has(start) && !code.has(CodeOffset(0)));
    }

    #[test]
    fn prologues_are_understood_with_and_without_optimisation() {
        let code = code(MODULE);
        let size_and_local = |function| code.prologue(function).map(|prologue| (prologue.size, prologue.local));
        assert_eq!(size_and_local(1), Some((48, Some(1))));
        assert_eq!(size_and_local(2), Some((32, Some(3))));
        assert_eq!(size_and_local(3), None);
        assert_eq!(size_and_local(4), Some((16, None)));
        assert_eq!(size_and_local(0), None, "imported");
    }

    #[test]
    fn the_callers_stack_pointer_is_above_what_the_prologue_took() {
        let code = code(MODULE);
        let start = code.first_instruction(1).unwrap();
        let locals = [WasmValue::I32(0), WasmValue::I32(0x1000)];
        assert_eq!(code.callers_stack_pointer(1, start, &locals, 0x2000), 0x2000, "nothing is taken yet");
        assert_eq!(code.callers_stack_pointer(1, CodeOffset(start.0 + 11), &locals, 0x0f00), 0x1030);
        assert_eq!(code.callers_stack_pointer(4, CodeOffset(u32::MAX), &[], 0x2000), 0x2010);
        assert_eq!(code.callers_stack_pointer(3, CodeOffset(u32::MAX), &[], 0x2000), 0x2000);
    }

    #[test]
    fn a_module_that_cannot_be_read_has_no_code() {
        let code = Code::read(Arc::from(&b"\0asm\x01\0\0\0\x0a\xff"[..]));
        assert_eq!(code.bytes(CodeOffset(0), 16), [0u8; 0]);
        assert_eq!(code.prologue(0), None);
        assert_eq!(code.after(CodeOffset(7)), CodeOffset(8));
    }
}

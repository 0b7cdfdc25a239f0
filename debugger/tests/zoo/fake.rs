//! A guest that stands still: the module's initial memory, and one frame that the test makes up.

use wasmparser::{DataKind, Operator, Parser, Payload};
use wkdb_debugger::expr::{Evaluator, ExprError, Format, Letter, Register, Target, Value};
use wkdb_debugger::symbols::{FrameReader, Slot, Symbols, Unavailable};
use wkdb_tracer::{CodeOffset, WasmValue};

const MEMORY: usize = 0x20000;
/// Where tests put frames in memory.
pub(crate) const FRAME: u32 = 0x8000;

pub(crate) struct Fake {
    pub(crate) memory: Vec<u8>,
    pub(crate) pc: Option<CodeOffset>,
    pub(crate) inlined: usize,
    pub(crate) locals: Vec<WasmValue>,
    pub(crate) operands: Vec<WasmValue>,
    pub(crate) globals: Vec<WasmValue>,
    /// What was set: the slots.
    pub(crate) set: Vec<(Slot, WasmValue)>,
}

impl Fake {
    pub(crate) fn new(module: &[u8]) -> Fake {
        let mut memory = vec![0; MEMORY];
        for payload in Parser::new(0).parse_all(module) {
            let Payload::DataSection(segments) = payload.unwrap() else { continue };
            for segment in segments {
                let segment = segment.unwrap();
                let DataKind::Active { offset_expr, .. } = segment.kind else { continue };
                let at = match offset_expr.get_operators_reader().read().unwrap() {
                    Operator::I32Const { value } => value as usize,
                    Operator::I64Const { value } => value as usize,
                    _ => continue,
                };
                memory[at..at + segment.data.len()].copy_from_slice(segment.data);
            }
        }
        let (locals, operands, globals) = (Vec::new(), Vec::new(), vec![WasmValue::I32(FRAME)]);
        Fake { memory, pc: None, inlined: 0, locals, operands, globals, set: Vec::new() }
    }

    /// Stopped at an instruction, with these locals.
    pub(crate) fn at(mut self, pc: CodeOffset, locals: &[WasmValue]) -> Fake {
        self.pc = Some(pc);
        self.locals = locals.to_vec();
        self
    }

    pub(crate) fn put(&mut self, address: u32, bytes: &[u8]) {
        self.memory[address as usize..address as usize + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn evaluate(&mut self, symbols: &Symbols, text: &str) -> Result<Value, ExprError> {
        Evaluator::new(symbols, self).evaluate(text)
    }

    /// The value as gdb would print it, or the error.
    pub(crate) fn print(&mut self, symbols: &Symbols, text: &str) -> String {
        self.print_as(symbols, text, None)
    }

    pub(crate) fn print_as(&mut self, symbols: &Symbols, text: &str, letter: Option<char>) -> String {
        let mut evaluator = Evaluator::new(symbols, self);
        let format = Format { letter: letter.map(|letter| Letter::from_letter(letter).unwrap()), ..Format::default() };
        match evaluator.evaluate(text) {
            Ok(value) => evaluator.format(&value, &format),
            Err(error) => format!("error: {error}"),
        }
    }
}

impl FrameReader for Fake {
    fn slot(&mut self, slot: Slot) -> Result<WasmValue, Unavailable> {
        let (slots, index) = match slot {
            Slot::Local(index) => (&self.locals, index),
            Slot::Operand(index) => (&self.operands, index),
            Slot::Global(index) => (&self.globals, index),
        };
        slots.get(index as usize).copied().ok_or_else(|| Unavailable(format!("there is no {slot}")))
    }

    fn memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>, Unavailable> {
        let range = address as usize..address.saturating_add(len) as usize;
        self.memory.get(range).map(<[u8]>::to_vec).ok_or_else(|| Unavailable(format!("no memory at {address:#x}")))
    }
}

impl Target for Fake {
    fn pc(&self) -> Option<CodeOffset> {
        self.pc
    }

    fn inlined_frame(&self) -> usize {
        self.inlined
    }

    fn register(&mut self, register: Register) -> Result<u64, Unavailable> {
        Ok(match register {
            Register::Pc => self.pc.map(|pc| u64::from(pc.0)).ok_or_else(|| Unavailable("no frame".into()))?,
            Register::Sp => u64::from(FRAME),
            Register::Cpu => 2,
            Register::Task => 0x1000,
        })
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), Unavailable> {
        let range = address as usize..address as usize + bytes.len();
        let memory = self.memory.get_mut(range).ok_or_else(|| Unavailable(format!("no memory at {address:#x}")))?;
        memory.copy_from_slice(bytes);
        Ok(())
    }

    fn set_slot(&mut self, slot: Slot, value: WasmValue) -> Result<(), Unavailable> {
        self.set.push((slot, value));
        if let Slot::Local(index) = slot {
            self.locals[index as usize] = value;
        }
        Ok(())
    }
}

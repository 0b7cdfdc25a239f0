//! Expressions: what the input says of the Wasm machine's locals, operands and globals becomes what the debugger's
//! architecture has: memory below a frame, and registers.
//!
//! ```text
//! WASM_location local n, stack_value            call_frame_cfa, consts off, plus              (so it can be changed)
//! the same, followed by operators               …, deref, the operators
//! WASM_location local n alone                   …, deref                                      (the value is the place)
//! WASM_location global g, stack_value           breg globals, 8 g
//! WASM_location memory base, …                  constu its place, deref, …
//! WASM_location memory base, addr a, plus       addr base + a
//! consts k, stack_value                         implicit_value k in 8 bytes
//! ```
//!
//! In lldb's own terms of Wasm ([`Terms::Wasm`]) there are no such registers. What stands for them is read from
//! [tables](super::super::table), which name the task and the frame that are asked about.
//!
//! A frame base is always the value: gdb takes what is on the stack for it.
//!
//! Where addresses have 4 bytes, so have the debugger's untyped stack entries: an i64 is read with a type of 8 bytes, and
//! the constants that it is combined with are converted to the same type, for gdb refuses to combine different ones. Of
//! one that is cut to 4 bytes at once only these are read: that is what most are for, and lldb has no typed reads.

use gimli::{AttributeValue, Dwarf, EndianSlice, Expression, LittleEndian, Operation, Unit};

use super::super::bytes::{PADDED_ULEB, Put};
use super::super::layout::{GLOBALS_SHOWN, SLOT_BYTES, Slot, WordSize};
use super::super::table;
use super::super::wasm::Function;
use super::target::{DataBase, Target, Terms};

type Slice<'m> = EndianSlice<'m, LittleEndian>;

const DW_OP_ADDR: u8 = 0x03;
const DW_OP_DEREF: u8 = 0x06;
const DW_OP_CONSTU: u8 = 0x10;
const DW_OP_CONSTS: u8 = 0x11;
const DW_OP_PLUS: u8 = 0x22;
const DW_OP_BREG0: u8 = 0x70;
const DW_OP_DEREF_SIZE: u8 = 0x94;
const DW_OP_CALL_FRAME_CFA: u8 = 0x9c;
const DW_OP_IMPLICIT_VALUE: u8 = 0x9e;
const DW_OP_STACK_VALUE: u8 = 0x9f;
const DW_OP_CONST_TYPE: u8 = 0xa4;
const DW_OP_DEREF_TYPE: u8 = 0xa6;
const DW_OP_CONVERT: u8 = 0xa8;
const DW_OP_REINTERPRET: u8 = 0xa9;
const DW_OP_WASM_LOCATION: u8 = 0xed;

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Where a variable is, or its value.
    Location,
    /// The frame base of a function.
    FrameBase,
}

/// A base type that an expression names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TypeRef {
    /// The entry at this offset in the unit of the input.
    Input(u32),
    /// One of 8 bytes that the unit is given.
    Wide,
}

/// A place in converted bytes where the offset of a base type is still to be filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeFixup {
    pub(super) at: usize,
    pub(super) to: TypeRef,
}

/// The conversion of the expressions of one unit.
pub(super) struct Expressions<'u, 'm> {
    pub(super) dwarf: &'u Dwarf<Slice<'m>>,
    pub(super) unit: &'u Unit<Slice<'m>>,
    pub(super) target: Target<'m>,
}

/// An operation and its bytes.
struct Op<'m> {
    operation: Operation<Slice<'m>>,
    raw: &'m [u8],
}

impl<'m> Expressions<'_, 'm> {
    /// Writes an expression of a function anew. `None` if it has no meaning that could be told a debugger; what is in
    /// `out` then is to be forgotten.
    pub(super) fn convert(
        &self,
        expression: Expression<Slice<'m>>,
        purpose: Purpose,
        function: Option<&Function>,
        out: &mut Vec<u8>,
        fixups: &mut Vec<TypeFixup>,
    ) -> Option<()> {
        let ops = self.operations(expression)?;
        let mut writer = Writer { target: &self.target, unit: self.unit, out, fixups, ty: None };
        let mut rest = ops.as_slice();
        if purpose == Purpose::FrameBase
            && let [value, Op { operation: Operation::StackValue, .. }] = rest
        {
            return writer.frame_base(&value.operation);
        }
        while let [op, after @ ..] = rest {
            rest = &rest[writer.next(op, after, function)?..];
        }
        Some(())
    }

    /// The address, if an expression is nothing but one of data.
    pub(super) fn address(&self, expression: Expression<Slice<'m>>) -> Option<u64> {
        let ops = self.operations(expression)?;
        match ops.as_slice() {
            [Op { operation: Operation::Address { address }, .. }] => {
                (!self.target.is_dropped(*address, false)).then_some(*address)
            }
            [base, address, plus] => self.target.based([base, address, plus].map(|op| &op.operation)).flatten(),
            _ => None,
        }
    }

    fn operations(&self, expression: Expression<Slice<'m>>) -> Option<Vec<Op<'m>>> {
        let bytes = expression.0.slice();
        let mut ops = Vec::new();
        let mut operations = expression.operations(self.unit.encoding());
        let mut start = 0;
        while let Some(operation) = operations.next().ok()? {
            let end = operations.offset_from(&expression);
            let operation = match operation {
                Operation::AddressIndex { index } => {
                    Operation::Address { address: self.dwarf.address(self.unit, index).ok()? }
                }
                Operation::ConstantIndex { index } => {
                    Operation::UnsignedConstant { value: self.dwarf.address(self.unit, index).ok()? }
                }
                operation => operation,
            };
            ops.push(Op { operation, raw: bytes.get(start..end)? });
            start = end;
        }
        Some(ops)
    }
}

impl Target<'_> {
    /// The address that `memory base, addr, plus` comes to, if operations are that and the base is known: of what the
    /// linker dropped, none.
    fn based(&self, [base, address, plus]: [&Operation<Slice<'_>>; 3]) -> Option<Option<u64>> {
        match (base, address, plus, self.data) {
            (
                Operation::WasmGlobal { index },
                Operation::Address { address },
                Operation::Plus,
                DataBase::Fixed(memory_base),
            ) if Some(*index) == self.wasm.memory_base => {
                Some((!self.is_dropped(*address, true)).then(|| memory_base.wrapping_add(*address)))
            }
            _ => None,
        }
    }
}

struct Writer<'w, 'm> {
    target: &'w Target<'m>,
    unit: &'w Unit<Slice<'m>>,
    out: &'w mut Vec<u8>,
    fixups: &'w mut Vec<TypeFixup>,
    /// The type of the top of the stack, if it has one.
    ty: Option<TypeRef>,
}

impl Writer<'_, '_> {
    fn frame_base(&mut self, value: &Operation<Slice<'_>>) -> Option<()> {
        match *value {
            Operation::WasmGlobal { index } if self.is_stack_pointer(index) => {
                self.stack_pointer();
            }
            _ => {
                self.place(value)?;
                self.out.u8(DW_OP_DEREF);
            }
        }
        Some(())
    }

    /// A relocatable index that nothing resolved, as in position-independent modules, is that of the stack pointer too.
    fn is_stack_pointer(&self, global: u32) -> bool {
        Some(global) == self.target.wasm.stack_pointer || global == u32::MAX
    }

    /// The place of a local, operand or global.
    fn place(&mut self, value: &Operation<Slice<'_>>) -> Option<()> {
        let slot = match *value {
            Operation::WasmLocal { index } => Slot::Local(index),
            Operation::WasmStack { index } => Slot::Operand(index),
            // Without a register: of a variable that needs one, gdb believes that it is gone when the function returns, and
            // does not watch it.
            Operation::WasmGlobal { index }
                if Some(index) == self.target.wasm.memory_base
                    && self.target.terms == Terms::Processor
                    && u64::from(index) < GLOBALS_SHOWN =>
            {
                let offset = self.target.globals_offset + SLOT_BYTES * u64::from(index);
                self.out.u8(DW_OP_CONSTU);
                self.out.uleb(self.target.globals_base + offset);
                return Some(());
            }
            Operation::WasmGlobal { index } if u64::from(index) < GLOBALS_SHOWN => {
                self.global(self.target.globals_offset + SLOT_BYTES * u64::from(index));
                return Some(());
            }
            _ => return None,
        };
        match self.target.terms {
            Terms::Processor => self.out.u8(DW_OP_CALL_FRAME_CFA),
            Terms::Wasm => from_table(self.out, table::CFA),
        }
        self.out.u8(DW_OP_CONSTS);
        self.out.sleb(slot.offset(self.target.word));
        self.out.u8(DW_OP_PLUS);
        Some(())
    }

    /// Writes the next operation, or several; how many it was.
    fn next(&mut self, op: &Op<'_>, after: &[Op<'_>], function: Option<&Function>) -> Option<usize> {
        let next = after.first().map(|op| &op.operation);
        match &op.operation {
            value @ (Operation::WasmLocal { .. } | Operation::WasmStack { .. } | Operation::WasmGlobal { .. }) => {
                if let [address, plus, ..] = after
                    && let Some(address) = self.target.based([value, &address.operation, &plus.operation])
                {
                    self.address(address?);
                    return Some(3);
                }
                self.place(value)?;
                if self.is_last(after) {
                    return Some(2);
                }
                let read = self.value(value, after, function);
                return Some(1 + read);
            }
            Operation::Address { address } => {
                if self.target.is_dropped(*address, self.target.wasm.memory_base.is_some()) {
                    return None;
                }
                self.address(*address);
            }
            Operation::UnsignedConstant { value } if self.is_constant(after) => {
                self.implicit(*value);
                return Some(2);
            }
            Operation::SignedConstant { value } if self.is_constant(after) => {
                self.implicit(value.cast_unsigned());
                return Some(2);
            }
            Operation::UnsignedConstant { .. } | Operation::SignedConstant { .. } => {
                match op.operation {
                    // The input may have had an index into a section that is not there any more.
                    Operation::UnsignedConstant { value } => {
                        self.out.u8(DW_OP_CONSTU);
                        self.out.uleb(value);
                    }
                    _ => self.out.extend_from_slice(op.raw),
                }
                self.unify(next);
            }
            Operation::PlusConstant { value } if self.ty.is_some() => {
                self.out.u8(DW_OP_CONSTU);
                self.out.uleb(*value);
                self.unify(None);
                self.out.u8(DW_OP_PLUS);
            }
            Operation::Convert { base_type } => self.typed(DW_OP_CONVERT, &[], input(base_type.0)?),
            // lldb takes what follows for other operations.
            Operation::Reinterpret { .. } | Operation::TypedLiteral { .. } if self.target.terms == Terms::Wasm => {
                return None;
            }
            Operation::Deref { space: false, base_type, .. }
                if base_type.0 != 0 && self.target.terms == Terms::Wasm =>
            {
                return None;
            }
            Operation::Reinterpret { base_type } => {
                self.typed(DW_OP_REINTERPRET, &[], input(base_type.0)?);
            }
            Operation::Deref { space: false, base_type, size } if base_type.0 != 0 => {
                self.typed(DW_OP_DEREF_TYPE, &[*size], input(base_type.0)?);
            }
            Operation::TypedLiteral { base_type, value } => {
                self.typed(DW_OP_CONST_TYPE, &[], input(base_type.0)?);
                self.out.u8(u8::try_from(value.len()).ok()?);
                self.out.extend_from_slice(value.slice());
            }
            Operation::Deref { space: false, .. }
            | Operation::Piece { .. }
            | Operation::Eq
            | Operation::Ge
            | Operation::Gt
            | Operation::Le
            | Operation::Lt
            | Operation::Ne => {
                self.ty = None;
                self.out.extend_from_slice(op.raw);
            }
            Operation::Drop
            | Operation::Pick { .. }
            | Operation::Swap
            | Operation::Rot
            | Operation::Abs
            | Operation::And
            | Operation::Div
            | Operation::Minus
            | Operation::Mod
            | Operation::Mul
            | Operation::Neg
            | Operation::Not
            | Operation::Or
            | Operation::Plus
            | Operation::PlusConstant { .. }
            | Operation::Shl
            | Operation::Shr
            | Operation::Shra
            | Operation::Xor
            | Operation::FrameOffset { .. }
            | Operation::Nop
            | Operation::PushObjectAddress
            | Operation::CallFrameCFA
            | Operation::Uninitialized
            | Operation::StackValue => self.out.extend_from_slice(op.raw),
            Operation::ImplicitValue { .. } if self.target.terms == Terms::Processor => {
                self.out.extend_from_slice(op.raw);
            }
            // Registers and thread-local storage that the machine does not have; entry values, which need call sites;
            // jumps and references to other entries, which no compiler for Wasm makes.
            _ => return None,
        }
        Some(1)
    }

    /// Whether all that is done with a value is to say that it is the variable's value, or a piece of it.
    fn is_last(&self, after: &[Op<'_>]) -> bool {
        matches!(
            after,
            [Op { operation: Operation::StackValue, .. }]
                | [Op { operation: Operation::StackValue, .. }, Op { operation: Operation::Piece { .. }, .. }, ..]
        )
    }

    /// Whether a constant is all of a variable's value. An untyped one of 4 bytes would leave the upper half of a
    /// variable of 8 to chance.
    fn is_constant(&self, after: &[Op<'_>]) -> bool {
        self.target.word == WordSize::Four && matches!(after, [Op { operation: Operation::StackValue, .. }])
    }

    fn implicit(&mut self, value: u64) {
        if self.target.terms == Terms::Wasm {
            // lldb takes the bytes of an implicit value for operations.
            if let Some(address) = table::constant_address(value) {
                self.out.u8(DW_OP_BREG0 + table::ZERO_REGISTER);
                self.out.sleb(address as i64);
            } else {
                self.out.u8(DW_OP_CONSTU);
                self.out.uleb(value);
                self.out.u8(DW_OP_STACK_VALUE);
            }
            return;
        }
        self.out.u8(DW_OP_IMPLICIT_VALUE);
        self.out.uleb(SLOT_BYTES);
        self.out.u64(value);
    }

    fn address(&mut self, address: u64) {
        if self.target.terms == Terms::Wasm {
            if self.target.wasm.memory_base.is_some() && self.target.data == DataBase::Instance {
                // It is going to be added to the base, and no address before that.
                self.out.u8(DW_OP_CONSTU);
                self.out.uleb(address);
                return;
            }
            if address < u64::from(self.target.wasm.code_len) {
                // lldb would take it for one of code, whose addresses begin at 0 as well.
                self.out.u8(DW_OP_BREG0 + table::ZERO_REGISTER);
                self.out.sleb(address as i64);
                return;
            }
        }
        self.out.u8(DW_OP_ADDR);
        self.out.word(self.target.word, address);
    }

    fn stack_pointer(&mut self) {
        match self.target.terms {
            Terms::Processor => {
                self.out.u8(DW_OP_BREG0 + self.target.registers().stack_pointer as u8);
                self.out.sleb(0);
            }
            Terms::Wasm => from_table(self.out, table::STACK_POINTER),
        }
    }

    /// The place of a global, by its offset in the globals area.
    fn global(&mut self, offset: u64) {
        match self.target.terms {
            Terms::Processor => {
                self.out.u8(DW_OP_BREG0 + self.target.registers().globals as u8);
                self.out.sleb(offset as i64);
            }
            Terms::Wasm => {
                self.out.u8(DW_OP_BREG0 + table::TASK_REGISTER);
                self.out.sleb((table::GLOBALS + offset) as i64);
            }
        }
    }

    /// Reads the value at the place on the stack; how many of the operations after it are done with that.
    fn value(&mut self, value: &Operation<Slice<'_>>, after: &[Op<'_>], function: Option<&Function>) -> usize {
        let next = after.first().map(|op| &op.operation);
        let is_i64 = match value {
            Operation::WasmLocal { index } => function.is_some_and(|function| function.is_i64(*index)),
            _ => false,
        };
        if self.target.word == WordSize::Eight || !is_i64 {
            self.out.u8(DW_OP_DEREF);
            self.unify(next);
            return 0;
        }
        if let [Op { operation: Operation::Convert { base_type: wide }, .. }, narrowing, ..] = after
            && let Operation::Convert { base_type: narrow } = narrowing.operation
            && self.integer_size(*wide) == Some(8)
            && self.integer_size(narrow).is_some_and(|size| size <= 4)
        {
            self.out.u8(DW_OP_DEREF);
            return 1;
        }
        if self.target.terms == Terms::Wasm {
            // lldb knows no types there, but its values grow as they need.
            self.out.extend_from_slice(&[DW_OP_DEREF_SIZE, SLOT_BYTES as u8]);
            return 0;
        }
        let before = self.ty;
        self.typed(DW_OP_DEREF_TYPE, &[SLOT_BYTES as u8], TypeRef::Wide);
        if before.is_some() && before != self.ty {
            self.ty = before;
            self.unify(next);
        }
        0
    }

    /// The size in bytes of a base type, if it is one of integers.
    fn integer_size(&self, ty: gimli::UnitOffset) -> Option<u64> {
        let entry = self.unit.entry(ty).ok()?;
        let AttributeValue::Encoding(encoding) = entry.attr_value(gimli::DW_AT_encoding)? else { return None };
        let integer = matches!(encoding, gimli::DW_ATE_signed | gimli::DW_ATE_unsigned);
        entry.attr_value(gimli::DW_AT_byte_size)?.udata_value().filter(|_| integer)
    }

    /// Gives the value on top of the stack the type of what it is going to be combined with.
    fn unify(&mut self, next: Option<&Operation<Slice<'_>>>) {
        if let Some(ty) = self.ty
            && !matches!(next, Some(Operation::Convert { .. }))
        {
            self.typed(DW_OP_CONVERT, &[], ty);
        }
    }

    /// Writes an operation that names a type. In DWARF 4 too they are those of DWARF 5: gdb knows these and the former
    /// extensions, lldb these alone.
    fn typed(&mut self, code: u8, operand: &[u8], ty: TypeRef) {
        self.out.u8(code);
        self.out.extend_from_slice(operand);
        if ty == TypeRef::Input(0) {
            self.out.u8(0);
            self.ty = None;
            return;
        }
        self.fixups.push(TypeFixup { at: self.out.len(), to: ty });
        self.out.resize(self.out.len() + PADDED_ULEB, 0);
        self.ty = Some(ty);
    }
}

/// Reads a word of the row that the table of the task has for the frame.
pub(super) fn from_table(out: &mut Vec<u8>, field: u64) {
    out.u8(DW_OP_BREG0 + table::TASK_REGISTER);
    out.sleb(field as i64);
    // A local that no function has; its value is told to be the place of the frame's row.
    out.u8(DW_OP_WASM_LOCATION);
    out.u8(0);
    out.uleb(u64::from(table::ROW_LOCAL));
    out.u8(DW_OP_PLUS);
    out.u8(DW_OP_DEREF);
}

fn input(offset: usize) -> Option<TypeRef> {
    u32::try_from(offset).ok().map(TypeRef::Input)
}

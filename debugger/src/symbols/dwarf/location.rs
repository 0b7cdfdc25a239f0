//! Location expressions worked out.
//!
//! LLVM writes expressions for Wasm in its own way: a slot's value is pushed without a type, whatever it is, and 64-bit
//! slots are computed with at their own width. So untyped values have a width here, which is that of the widest operand.

use gimli::{AttributeValue, Encoding, EndianArcSlice, Expression, LittleEndian, Operation, Reader, UnitOffset};
use wkdb_tracer::{CodeOffset, WasmValue};

use super::super::place::{FrameReader, ImplicitPointer, Piece, Place, PlaceError, Slot, Unavailable, Whereabouts};
use super::index::is_dropped;
use super::info::{DebugInfo, Die};

type Bytes = EndianArcSlice<LittleEndian>;
type Result<T> = std::result::Result<T, PlaceError>;

/// The most operations of one expression that are carried out.
const MAX_STEPS: usize = 10_000;
/// The most values on an expression's stack.
const MAX_STACK: usize = 256;
/// The most pieces of a value.
const MAX_PIECES: usize = 1024;

/// Where the variable of an entry is.
///
/// `function` is the entry of the function around it, whose frame base it may depend on; `at` the instruction.
pub(in super::super) fn place(
    info: &DebugInfo,
    die: Die,
    function: Option<Die>,
    at: Option<CodeOffset>,
    frame: &mut dyn FrameReader,
) -> Result<Place> {
    let chain = info.chain(die);
    if let Some((unit, location)) = DebugInfo::chained(&chain, gimli::DW_AT_location) {
        let expression = expression(info, unit, location, at)?.ok_or(PlaceError::OptimizedOut)?;
        return Machine::new(info, unit, function, at, frame).place(expression);
    }
    match DebugInfo::chained(&chain, gimli::DW_AT_const_value) {
        Some((unit, AttributeValue::String(text))) => {
            let _ = unit;
            Ok(Place::whole(Whereabouts::Bytes(text.to_slice().map_err(damaged)?.into_owned())))
        }
        Some((_, AttributeValue::Block(block) | AttributeValue::Exprloc(Expression(block)))) => {
            Ok(Place::whole(Whereabouts::Bytes(block.to_slice().map_err(damaged)?.into_owned())))
        }
        Some((_, value)) => {
            // The narrow forms hold a value's low bytes; clang takes the signed one for negative values.
            let value = super::types::constant(&value, false)
                .ok_or_else(|| PlaceError::Unsupported("a constant of an unknown form".into()))?;
            Ok(Place::whole(Whereabouts::Bytes(value.to_le_bytes().to_vec())))
        }
        None => Err(PlaceError::OptimizedOut),
    }
}

fn damaged(error: gimli::Error) -> PlaceError {
    PlaceError::Damaged(error.to_string())
}

/// The expression that holds at an instruction.
fn expression(
    info: &DebugInfo,
    unit: u32,
    location: AttributeValue<Bytes>,
    at: Option<CodeOffset>,
) -> Result<Option<Expression<Bytes>>> {
    let expression = match location {
        AttributeValue::Exprloc(expression) => Some(expression),
        AttributeValue::Block(block) => Some(Expression(block)),
        list => {
            let unit = info.unit(unit).ok_or_else(|| PlaceError::Damaged("its unit cannot be read".into()))?;
            let Some(mut locations) = unit.attr_locations(list).map_err(damaged)? else {
                return Err(PlaceError::Unsupported("a location of an unknown form".into()));
            };
            let Some(at) = at else { return Ok(None) };
            let at = u64::from(at.0);
            loop {
                match locations.next().map_err(damaged)? {
                    Some(entry) if (entry.range.begin..entry.range.end).contains(&at) => break Some(entry.data),
                    Some(_) => {}
                    None => break None,
                }
            }
        }
    };
    Ok(expression.filter(|expression| !expression.0.is_empty()))
}

/// A value on the stack.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    /// Of no type, so many bits wide; computed with as a signed number.
    Generic(u64, u32),
    /// Of an integer type with so many bits; whether it is signed.
    Int(u64, u32, bool),
    F32(f32),
    F64(f64),
    /// A slot's, not read yet.
    Slot(Slot),
}

struct Machine<'a> {
    info: &'a DebugInfo,
    unit: u32,
    function: Option<Die>,
    at: Option<CodeOffset>,
    frame: &'a mut dyn FrameReader,
    in_frame_base: bool,
    stack: Vec<Value>,
}

impl<'a> Machine<'a> {
    fn new(
        info: &'a DebugInfo,
        unit: u32,
        function: Option<Die>,
        at: Option<CodeOffset>,
        frame: &'a mut dyn FrameReader,
    ) -> Self {
        Machine { info, unit, function, at, frame, in_frame_base: false, stack: Vec::new() }
    }

    fn place(mut self, expression: Expression<Bytes>) -> Result<Place> {
        let encoding = self.encoding()?;
        let whole = expression.0;
        let mut rest = whole.clone();
        let mut pieces = Vec::new();
        // What the last operation made of the stack's top, if not an address.
        let mut described: Option<Whereabouts> = None;
        for _ in 0..MAX_STEPS {
            if rest.is_empty() {
                return self.finish(pieces, described);
            }
            let operation = Operation::parse(&mut rest, encoding).map_err(damaged)?;
            match operation {
                Operation::Piece { size_in_bits, bit_offset } => {
                    if pieces.len() == MAX_PIECES {
                        return Err(PlaceError::Unsupported("too many pieces".into()));
                    }
                    let at = match described.take() {
                        Some(described) => described,
                        None => self.stack.pop().map_or(Ok(Whereabouts::Nowhere), |top| self.address(top))?,
                    };
                    self.stack.clear();
                    pieces.push(Piece { at, first_bit: bit_offset.unwrap_or(0), bits: Some(size_in_bits) });
                }
                Operation::StackValue => {
                    let top = self.pop()?;
                    described = Some(self.value_place(top));
                }
                Operation::ImplicitValue { data } => {
                    described = Some(Whereabouts::Bytes(data.to_slice().map_err(damaged)?.into_owned()));
                }
                Operation::ImplicitPointer { value, byte_offset } => {
                    let die = self.info.find(value);
                    let name = die.and_then(|die| self.info.name(die));
                    described = Some(Whereabouts::ImplicitPointer(ImplicitPointer { die, name, offset: byte_offset }));
                }
                Operation::Register { register } => {
                    return Err(PlaceError::Unsupported(format!("Wasm has no register {}", register.0)));
                }
                Operation::Skip { target } => rest = jump(&whole, &rest, target)?,
                Operation::Bra { target } => {
                    let top = self.pop()?;
                    if self.bits(top)? != 0 {
                        rest = jump(&whole, &rest, target)?;
                    }
                }
                other => self.step(other)?,
            }
        }
        Err(PlaceError::Damaged("its location expression does not end".into()))
    }

    fn finish(mut self, pieces: Vec<Piece>, described: Option<Whereabouts>) -> Result<Place> {
        if !pieces.is_empty() {
            return Ok(Place(pieces));
        }
        let at = match described {
            Some(described) => described,
            None => {
                let top = self.pop()?;
                self.address(top)?
            }
        };
        Ok(Place::whole(at))
    }

    fn encoding(&self) -> Result<Encoding> {
        let unit = self.info.unit(self.unit).ok_or_else(|| PlaceError::Damaged("its unit cannot be read".into()))?;
        Ok(unit.encoding())
    }

    fn address_bits(&self) -> u32 {
        match self.encoding() {
            Ok(encoding) if encoding.address_size == 8 => 64,
            _ => 32,
        }
    }

    /// Memory at the address that a value is.
    fn address(&mut self, value: Value) -> Result<Whereabouts> {
        let address = truncated(self.bits(value)?, self.address_bits());
        match is_dropped(address, (self.address_bits() / 8) as u8, true) {
            true => Err(PlaceError::OptimizedOut),
            false => Ok(Whereabouts::Memory(address)),
        }
    }

    fn value_place(&self, value: Value) -> Whereabouts {
        Whereabouts::Bytes(match value {
            Value::Slot(slot) => return Whereabouts::Slot(slot),
            Value::F32(value) => value.to_le_bytes().to_vec(),
            Value::F64(value) => value.to_le_bytes().to_vec(),
            // A value narrower than the variable is extended as its type says.
            Value::Generic(bits, width) => i128::from(signed(bits, width)).to_le_bytes().to_vec(),
            Value::Int(bits, width, true) => i128::from(signed(bits, width)).to_le_bytes().to_vec(),
            Value::Int(bits, width, false) => u128::from(truncated(bits, width)).to_le_bytes().to_vec(),
        })
    }

    fn pop(&mut self) -> Result<Value> {
        self.stack.pop().ok_or_else(|| PlaceError::Damaged("its location expression's stack is empty".into()))
    }

    fn push(&mut self, value: Value) -> Result<()> {
        if self.stack.len() == MAX_STACK {
            return Err(PlaceError::Damaged("its location expression's stack overflows".into()));
        }
        self.stack.push(value);
        Ok(())
    }

    fn push_generic(&mut self, bits: u64) -> Result<()> {
        let width = self.address_bits();
        self.push(Value::Generic(bits, width))
    }

    /// A slot's value is read when it is computed with.
    fn loaded(&mut self, value: Value) -> Result<Value> {
        let Value::Slot(slot) = value else { return Ok(value) };
        if self.frame.is_consumed(slot) {
            return Err(PlaceError::OptimizedOut);
        }
        let width = self.address_bits();
        Ok(match self.frame.slot(slot)? {
            WasmValue::I32(bits) => Value::Generic(u64::from(bits), width.min(32)),
            WasmValue::I64(bits) => Value::Generic(bits, 64),
            WasmValue::F32(bits) => Value::F32(f32::from_bits(bits)),
            WasmValue::F64(bits) => Value::F64(f64::from_bits(bits)),
            WasmValue::V128(_) | WasmValue::Ref { .. } => {
                return Err(PlaceError::Unsupported(format!("{slot} is no number")));
            }
        })
    }

    fn bits(&mut self, value: Value) -> Result<u64> {
        Ok(match self.loaded(value)? {
            Value::Generic(bits, width) | Value::Int(bits, width, _) => truncated(bits, width),
            Value::F32(_) | Value::F64(_) => return Err(PlaceError::Damaged("a float is used as an address".into())),
            Value::Slot(slot) => return Err(Unavailable(format!("{slot} cannot be read")).into()),
        })
    }

    fn step(&mut self, operation: Operation<Bytes>) -> Result<()> {
        match operation {
            Operation::Deref { base_type, size, space: false } => {
                let top = self.pop()?;
                let address = truncated(self.bits(top)?, self.address_bits());
                let bytes = self.frame.memory(address, u64::from(size))?;
                let bits = little_endian(&bytes);
                if base_type.0 == 0 {
                    self.push_generic(bits)
                } else {
                    let value = self.typed(base_type, bits)?;
                    self.push(value)
                }
            }
            Operation::Drop => self.pop().map(drop),
            Operation::Pick { index } => {
                let position = self.stack.len().checked_sub(usize::from(index) + 1);
                let value = position.and_then(|position| self.stack.get(position).copied());
                self.push(value.ok_or_else(|| PlaceError::Damaged("it picks below its stack".into()))?)
            }
            Operation::Swap => {
                let (b, a) = (self.pop()?, self.pop()?);
                self.push(b)?;
                self.push(a)
            }
            Operation::Rot => {
                let (c, b, a) = (self.pop()?, self.pop()?, self.pop()?);
                self.push(c)?;
                self.push(a)?;
                self.push(b)
            }
            Operation::Nop | Operation::Uninitialized => Ok(()),
            Operation::UnsignedConstant { value } => self.push_generic(value),
            Operation::SignedConstant { value } => self.push_generic(value.cast_unsigned()),
            Operation::PlusConstant { value } => {
                let a = self.pop()?;
                let a = self.loaded(a)?;
                let width = self.address_bits();
                let sum = arithmetic(&Operation::Plus, a, Value::Generic(value, width))?;
                self.push(sum)
            }
            Operation::Abs | Operation::Neg | Operation::Not => {
                let a = self.pop()?;
                let a = self.loaded(a)?;
                let result = unary(&operation, a)?;
                self.push(result)
            }
            Operation::FrameOffset { offset } => {
                let base = self.frame_base()?;
                self.push_generic(base.wrapping_add_signed(offset))
            }
            Operation::Address { address } => self.push_generic(address),
            Operation::AddressIndex { index } | Operation::ConstantIndex { index } => {
                let unit = self.info.unit(self.unit);
                let unit = unit.ok_or_else(|| PlaceError::Damaged("its unit cannot be read".into()))?;
                let address = unit.address(index).map_err(damaged)?;
                self.push_generic(address)
            }
            Operation::TypedLiteral { base_type, value } => {
                let bits = little_endian(&value.to_slice().map_err(damaged)?);
                let value = self.typed(base_type, bits)?;
                self.push(value)
            }
            Operation::Convert { base_type } => {
                let value = self.pop()?;
                let value = self.loaded(value)?;
                let converted = self.converted(base_type, value)?;
                self.push(converted)
            }
            Operation::Reinterpret { base_type } => {
                let value = self.pop()?;
                let bits = match self.loaded(value)? {
                    Value::F32(value) => u64::from(value.to_bits()),
                    Value::F64(value) => value.to_bits(),
                    other => self.bits(other)?,
                };
                let value = self.typed(base_type, bits)?;
                self.push(value)
            }
            Operation::WasmLocal { index } => self.push(Value::Slot(Slot::Local(index))),
            Operation::WasmGlobal { index } => self.push(Value::Slot(Slot::Global(index))),
            Operation::WasmStack { index } => self.push(Value::Slot(Slot::Operand(index))),
            // What a parameter was when the function was called is kept nowhere, and clang for Wasm does not tell what
            // callers passed.
            Operation::EntryValue { .. } | Operation::ParameterRef { .. } => Err(PlaceError::OptimizedOut),
            Operation::And
            | Operation::Div
            | Operation::Minus
            | Operation::Mod
            | Operation::Mul
            | Operation::Or
            | Operation::Plus
            | Operation::Shl
            | Operation::Shr
            | Operation::Shra
            | Operation::Xor
            | Operation::Eq
            | Operation::Ge
            | Operation::Gt
            | Operation::Le
            | Operation::Lt
            | Operation::Ne => {
                let (b, a) = (self.pop()?, self.pop()?);
                let (b, a) = (self.loaded(b)?, self.loaded(a)?);
                let result = arithmetic(&operation, a, b)?;
                self.push(result)
            }
            other => Err(PlaceError::Unsupported(format!("operation {}", name(&other)))),
        }
    }

    /// The address that the function's frame base is.
    fn frame_base(&mut self) -> Result<u64> {
        if self.in_frame_base {
            return Err(PlaceError::Damaged("its frame base depends on itself".into()));
        }
        let Some(function) = self.function else {
            return Err(PlaceError::Damaged("it is in the frame of no function".into()));
        };
        let chain = self.info.chain(function);
        let (unit, location) = DebugInfo::chained(&chain, gimli::DW_AT_frame_base).ok_or(PlaceError::OptimizedOut)?;
        let expression = expression(self.info, unit, location, self.at)?.ok_or(PlaceError::OptimizedOut)?;
        let mut machine = Machine::new(self.info, unit, self.function, self.at, self.frame);
        machine.in_frame_base = true;
        let Place(pieces) = machine.place(expression)?;
        match pieces.into_iter().next().map(|piece| piece.at) {
            Some(Whereabouts::Memory(address)) => Ok(address),
            Some(Whereabouts::Bytes(bytes)) => Ok(little_endian(&bytes)),
            Some(Whereabouts::Slot(slot)) => self.bits(Value::Slot(slot)),
            _ => Err(PlaceError::OptimizedOut),
        }
    }

    /// Bits as a value of a base type; type 0 is the generic one.
    fn typed(&mut self, base_type: UnitOffset, bits: u64) -> Result<Value> {
        if base_type.0 == 0 {
            return Ok(Value::Generic(bits, self.address_bits()));
        }
        let entry = self.info.entry(Die { unit: self.unit, offset: base_type });
        let entry = entry.ok_or_else(|| PlaceError::Damaged("its base type cannot be read".into()))?;
        let size = entry.attr_value(gimli::DW_AT_byte_size).and_then(|size| size.udata_value()).unwrap_or(0);
        let width = match size {
            1..=8 => size as u32 * 8,
            _ => return Err(PlaceError::Unsupported(format!("a base type of {size} bytes"))),
        };
        Ok(match entry.attr_value(gimli::DW_AT_encoding) {
            Some(AttributeValue::Encoding(gimli::DW_ATE_float)) if size == 4 => Value::F32(f32::from_bits(bits as u32)),
            Some(AttributeValue::Encoding(gimli::DW_ATE_float)) => Value::F64(f64::from_bits(bits)),
            Some(AttributeValue::Encoding(gimli::DW_ATE_signed | gimli::DW_ATE_signed_char)) => {
                Value::Int(bits, width, true)
            }
            _ => Value::Int(bits, width, false),
        })
    }

    fn converted(&mut self, base_type: UnitOffset, value: Value) -> Result<Value> {
        let integer = match value {
            Value::F32(value) => value as i128,
            Value::F64(value) => value as i128,
            Value::Int(bits, width, false) => i128::from(truncated(bits, width)),
            Value::Generic(bits, width) | Value::Int(bits, width, true) => i128::from(signed(bits, width)),
            Value::Slot(slot) => return Err(Unavailable(format!("{slot} cannot be read")).into()),
        };
        let float = match value {
            Value::F32(value) => f64::from(value),
            Value::F64(value) => value,
            _ => integer as f64,
        };
        Ok(match self.typed(base_type, 0)? {
            Value::F32(_) => Value::F32(float as f32),
            Value::F64(_) => Value::F64(float),
            Value::Int(_, width, signed) => Value::Int(truncated(integer as u64, width), width, signed),
            Value::Generic(_, width) => Value::Generic(truncated(integer as u64, width), width),
            Value::Slot(slot) => Value::Slot(slot),
        })
    }
}

/// Where a branch leads; offsets count from behind it.
fn jump(whole: &Bytes, rest: &Bytes, target: i16) -> Result<Bytes> {
    let here = whole.len() - rest.len();
    let to = here.checked_add_signed(isize::from(target)).filter(|&to| to <= whole.len());
    let to = to.ok_or_else(|| PlaceError::Damaged("its location expression jumps out of itself".into()))?;
    Ok(whole.range_from(to..))
}

fn truncated(bits: u64, width: u32) -> u64 {
    if width >= 64 { bits } else { bits & ((1 << width) - 1) }
}

fn signed(bits: u64, width: u32) -> i64 {
    let unused = 64 - width.clamp(1, 64);
    (bits << unused).cast_signed() >> unused
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn name(operation: &Operation<Bytes>) -> &'static str {
    match operation {
        Operation::CallFrameCFA => "DW_OP_call_frame_cfa: Wasm frames have no address",
        Operation::TLS => "DW_OP_form_tls_address: thread-local storage",
        Operation::Call { .. } => "DW_OP_call",
        Operation::RegisterOffset { .. } => "DW_OP_breg: Wasm has no registers",
        Operation::PushObjectAddress => "DW_OP_push_object_address",
        _ => "that is not for Wasm",
    }
}

fn unary(operation: &Operation<Bytes>, a: Value) -> Result<Value> {
    let integer = |value: i64, bits: u64| match operation {
        Operation::Abs => value.unsigned_abs(),
        Operation::Neg => value.wrapping_neg().cast_unsigned(),
        _ => !bits,
    };
    Ok(match a {
        Value::Generic(bits, width) => Value::Generic(truncated(integer(signed(bits, width), bits), width), width),
        Value::Int(bits, width, true) => Value::Int(truncated(integer(signed(bits, width), bits), width), width, true),
        Value::Int(bits, width, false) => match operation {
            Operation::Abs => a,
            _ => Value::Int(truncated(integer(signed(bits, width), bits), width), width, false),
        },
        Value::F32(value) if matches!(operation, Operation::Neg) => Value::F32(-value),
        Value::F32(value) if matches!(operation, Operation::Abs) => Value::F32(value.abs()),
        Value::F64(value) if matches!(operation, Operation::Neg) => Value::F64(-value),
        Value::F64(value) if matches!(operation, Operation::Abs) => Value::F64(value.abs()),
        _ => return Err(PlaceError::Damaged("it computes bits of a float".into())),
    })
}

fn arithmetic(operation: &Operation<Bytes>, a: Value, b: Value) -> Result<Value> {
    if let (Some(x), Some(y)) = (float(a), float(b)) {
        let result = match operation {
            Operation::Plus => x + y,
            Operation::Minus => x - y,
            Operation::Mul => x * y,
            Operation::Div => x / y,
            _ => return comparison(operation, x.partial_cmp(&y)),
        };
        return Ok(if matches!((a, b), (Value::F32(_), Value::F32(_))) {
            Value::F32(result as f32)
        } else {
            Value::F64(result)
        });
    }
    // A typed operand gives its type to an untyped one, and of two widths the wider one counts.
    let (x, y, width, kind) = match (a, b) {
        (Value::Int(x, width, kind), Value::Int(y, other, _) | Value::Generic(y, other)) => {
            (extended(a, x, width), extended(b, y, other), width, Some(kind))
        }
        (Value::Generic(x, other), Value::Int(y, width, kind)) => {
            (extended(a, x, other), extended(b, y, width), width, Some(kind))
        }
        (Value::Generic(x, one), Value::Generic(y, other)) => {
            (extended(a, x, one), extended(b, y, other), one.max(other), None)
        }
        _ => return Err(PlaceError::Damaged("it mixes floats and integers".into())),
    };
    let made = |bits: u64| match kind {
        Some(signed) => Value::Int(truncated(bits, width), width, signed),
        None => Value::Generic(truncated(bits, width), width),
    };
    let (ux, uy) = (truncated(x, width), truncated(y, width));
    let (sx, sy) = (signed(x, width), signed(y, width));
    let unsigned = kind == Some(false);
    let by_zero = || PlaceError::Damaged("its location expression divides by zero".into());
    Ok(made(match operation {
        Operation::Plus => x.wrapping_add(y),
        Operation::Minus => x.wrapping_sub(y),
        Operation::Mul => x.wrapping_mul(y),
        Operation::And => x & y,
        Operation::Or => x | y,
        Operation::Xor => x ^ y,
        Operation::Div if unsigned => ux.checked_div(uy).ok_or_else(by_zero)?,
        Operation::Div if sy == 0 => return Err(by_zero()),
        Operation::Div => sx.wrapping_div(sy).cast_unsigned(),
        // The generic type's remainder is that of unsigned numbers.
        Operation::Mod if kind != Some(true) => ux.checked_rem(uy).ok_or_else(by_zero)?,
        Operation::Mod if sy == 0 => return Err(by_zero()),
        Operation::Mod => sx.wrapping_rem(sy).cast_unsigned(),
        Operation::Shl if uy < u64::from(width) => ux << uy,
        Operation::Shr if uy < u64::from(width) => ux >> uy,
        Operation::Shra => (sx >> uy.min(u64::from(width) - 1)).cast_unsigned(),
        Operation::Shl | Operation::Shr => 0,
        _ if unsigned => return comparison(operation, Some(ux.cmp(&uy))),
        _ => return comparison(operation, Some(sx.cmp(&sy))),
    }))
}

fn extended(value: Value, bits: u64, width: u32) -> u64 {
    match value {
        Value::Int(_, _, false) => truncated(bits, width),
        _ => signed(bits, width).cast_unsigned(),
    }
}

fn float(value: Value) -> Option<f64> {
    match value {
        Value::F32(value) => Some(f64::from(value)),
        Value::F64(value) => Some(value),
        _ => None,
    }
}

fn comparison(operation: &Operation<Bytes>, ordering: Option<std::cmp::Ordering>) -> Result<Value> {
    let truth = match operation {
        Operation::Eq => ordering.is_some_and(|order| order.is_eq()),
        Operation::Ne => !ordering.is_some_and(|order| order.is_eq()),
        Operation::Lt => ordering.is_some_and(|order| order.is_lt()),
        Operation::Le => ordering.is_some_and(|order| order.is_le()),
        Operation::Gt => ordering.is_some_and(|order| order.is_gt()),
        Operation::Ge => ordering.is_some_and(|order| order.is_ge()),
        _ => return Err(PlaceError::Damaged("it computes bits of a float".into())),
    };
    Ok(Value::Generic(u64::from(truth), 32))
}

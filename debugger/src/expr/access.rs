//! The bytes of values, in and out of the guest.

use wkdb_tracer::WasmValue;

use super::ExprError;
use super::eval::{Evaluator, MAX_VALUE};
use super::value::{Content, Scalar, Value, truncated};
use crate::symbols::{BitRange, Encoding, Piece, Place, TypeKind, Unavailable, Whereabouts};

type Result<T> = std::result::Result<T, ExprError>;

impl Evaluator<'_> {
    /// The bytes of a value; those that were optimized out are missing.
    pub(super) fn load(&mut self, value: &Value) -> Result<Vec<Option<u8>>> {
        let len = match value.bits {
            Some(bits) => (u64::from(bits.first) + u64::from(bits.len)).div_ceil(8),
            None => self.size(value.ty)?,
        };
        if len > MAX_VALUE {
            return Err(ExprError::TooLarge("the value"));
        }
        match &value.content {
            Content::Bytes(bytes) => Ok(bytes.clone()),
            Content::Memory(address) if len == 0 => {
                let _ = address;
                Ok(Vec::new())
            }
            Content::Memory(address) => {
                let bytes = self.target.memory(*address, len)?;
                if bytes.len() as u64 != len {
                    return Err(Unavailable(format!("guest memory has no {len} bytes at {address:#x}")).into());
                }
                Ok(bytes.into_iter().map(Some).collect())
            }
            Content::Place(place) => self.load_pieces(place, len),
            Content::Function(_) => Err(ExprError::Type("a function has no bytes in memory".into())),
        }
    }

    fn load_pieces(&mut self, place: &Place, len: u64) -> Result<Vec<Option<u8>>> {
        let len = len as usize;
        let mut bits: Vec<Option<bool>> = Vec::with_capacity(len * 8);
        for piece in &place.0 {
            let want = piece.bits.unwrap_or(len as u64 * 8).min((len * 8 - bits.len()) as u64) as usize;
            let first = usize::try_from(piece.first_bit).unwrap_or(usize::MAX);
            let bytes: Option<Vec<u8>> = match &piece.at {
                Whereabouts::Memory(address) => {
                    let start = address.wrapping_add(piece.first_bit / 8);
                    let needed = (first % 8 + want).div_ceil(8) as u64;
                    let bytes = self.target.memory(start, needed)?;
                    bits.extend(
                        (first % 8..).take(want).map(|bit| bytes.get(bit / 8).map(|byte| byte >> (bit % 8) & 1 == 1)),
                    );
                    continue;
                }
                Whereabouts::Slot(slot) => Some(slot_bytes(self.target.slot(*slot)?)),
                Whereabouts::Bytes(bytes) => {
                    // Of a constant, what is not there is zero.
                    let mut bytes = bytes.clone();
                    bytes.resize(bytes.len().max(len), 0);
                    Some(bytes)
                }
                Whereabouts::ImplicitPointer(_) | Whereabouts::Nowhere => None,
            };
            bits.extend((0..want).map(|bit| {
                let bit = first.checked_add(bit)?;
                Some(bytes.as_ref()?.get(bit / 8)? >> (bit % 8) & 1 == 1)
            }));
        }
        bits.resize(len * 8, None);
        let byte = |bits: &[Option<bool>]| {
            bits.iter().rev().try_fold(0_u8, |byte, bit| bit.map(|bit| byte << 1 | u8::from(bit)))
        };
        Ok(bits.chunks(8).map(byte).collect())
    }

    /// A value as a number. Arrays become pointers to their first element, functions to themselves.
    pub(super) fn scalar(&mut self, value: &Value) -> Result<Scalar> {
        let (id, ty) = self.symbols.resolve(value.ty);
        if let Content::Function(index) = value.content {
            return Ok(Scalar::Pointer { value: self.function_pointer(index)?, to: value.ty });
        }
        if self.symbols.is_no_type(id) {
            return Err(ExprError::Type("its type is not known: cast it, as in (int)name or *(int *)&name".into()));
        }
        let size = self.symbols.size_of(id).unwrap_or(0);
        let scalar = match &ty.kind {
            TypeKind::Array { element, .. } => {
                return match value.content {
                    Content::Memory(address) => Ok(Scalar::Pointer { value: address, to: *element }),
                    _ => Err(self.no_address(value)),
                };
            }
            TypeKind::Base(Encoding::Float) => {
                let bits = self.bits(value)?;
                return match size {
                    4 => Ok(Scalar::Float { value: f64::from(f32::from_bits(bits as u32)), size }),
                    8 => Ok(Scalar::Float { value: f64::from_bits(bits as u64), size }),
                    _ => Err(ExprError::Type(format!("floats of {size} bytes are not understood"))),
                };
            }
            TypeKind::Base(encoding) => {
                let signed = matches!(encoding, Encoding::Signed | Encoding::SignedChar);
                Scalar::Int { value: 0, size, signed }
            }
            TypeKind::Enum { signed, .. } => Scalar::Int { value: 0, size, signed: *signed },
            TypeKind::Pointer { to, .. } => return Ok(Scalar::Pointer { value: self.bits(value)? as u64, to: *to }),
            _ => return Err(ExprError::Type(format!("a {} is no number", self.type_text(value.ty)))),
        };
        let Scalar::Int { signed, .. } = scalar else { return Ok(scalar) };
        let bits = self.bits(value)?.cast_signed();
        let width = value.bits.map_or((size * 8).min(128) as u32, |bits| u32::from(bits.len));
        Ok(Scalar::Int { value: truncated(bits, width, signed), size, signed })
    }

    /// The bits of a small value.
    pub(super) fn bits(&mut self, value: &Value) -> Result<u128> {
        let bytes: Option<Vec<u8>> = match self.load(value) {
            Err(ExprError::Unavailable(_)) if self.type_only => Some(Vec::new()),
            loaded => loaded?.into_iter().collect(),
        };
        let bytes = bytes.or(self.type_only.then(Vec::new)).ok_or(ExprError::PartlyOptimizedOut)?;
        let bits = bytes.iter().take(16).rev().fold(0_u128, |bits, &byte| bits << 8 | u128::from(byte));
        Ok(match value.bits {
            Some(field) => bits >> field.first & ((1 << field.len) - 1),
            None => bits,
        })
    }

    pub(super) fn assign(&mut self, to: &Value, value: &Value) -> Result<()> {
        let new: Vec<u8> = match self.symbols.resolve(to.ty).1.kind {
            TypeKind::Composite(_) | TypeKind::Array { .. } => {
                let bytes: Option<Vec<u8>> = self.load(value)?.into_iter().collect();
                let bytes = bytes.ok_or(ExprError::PartlyOptimizedOut)?;
                if bytes.len() as u64 != self.size(to.ty)? {
                    let (to, from) = (self.type_text(to.ty), self.type_text(value.ty));
                    return Err(ExprError::Type(format!("a {from} does not fit a {to}")));
                }
                bytes
            }
            _ => {
                let scalar = self.scalar(value)?;
                let converted = self.converted(scalar, to.ty)?;
                match converted.content {
                    Content::Bytes(bytes) => bytes.into_iter().flatten().collect(),
                    _ => return Err(self.no_address(to)),
                }
            }
        };
        match &to.content {
            Content::Memory(address) => {
                let new = match to.bits {
                    Some(field) => {
                        let len = (u64::from(field.first) + u64::from(field.len)).div_ceil(8);
                        let old = self.target.memory(*address, len)?;
                        with_field(&old, &new, field)
                    }
                    None => new,
                };
                Ok(self.target.write_memory(*address, &new)?)
            }
            Content::Place(Place(pieces)) => match &pieces[..] {
                [Piece { at: Whereabouts::Slot(slot), first_bit: 0, bits: None }] => {
                    let old = self.target.slot(*slot)?;
                    let signed = matches!(
                        self.symbols.resolve(to.ty).1.kind,
                        TypeKind::Base(Encoding::Signed | Encoding::SignedChar) | TypeKind::Enum { signed: true, .. }
                    );
                    let new = slot_value(old, &new, signed);
                    let new = new.ok_or_else(|| ExprError::Type(format!("{slot} cannot hold such a value")))?;
                    Ok(self.target.set_slot(*slot, new)?)
                }
                _ => Err(ExprError::Type("it is in pieces: only what is whole somewhere can be changed".into())),
            },
            _ => Err(ExprError::Type("only a variable or what a pointer points to can be changed".into())),
        }
    }
}

/// Bytes with some bits replaced by the low bits of a new value.
fn with_field(old: &[u8], new: &[u8], field: BitRange) -> Vec<u8> {
    let bits = |bytes: &[u8]| bytes.iter().take(16).rev().fold(0_u128, |bits, &byte| bits << 8 | u128::from(byte));
    let mask = ((1_u128 << field.len) - 1) << field.first;
    let merged = bits(old) & !mask | bits(new) << field.first & mask;
    merged.to_le_bytes()[..old.len().min(16)].to_vec()
}

fn slot_bytes(value: WasmValue) -> Vec<u8> {
    match value {
        WasmValue::I32(bits) | WasmValue::F32(bits) => bits.to_le_bytes().to_vec(),
        WasmValue::I64(bits) | WasmValue::F64(bits) => bits.to_le_bytes().to_vec(),
        WasmValue::V128(bytes) => bytes.to_vec(),
        WasmValue::Ref { .. } => Vec::new(),
    }
}

/// Bytes as a value of the kind that a slot holds, extended as their type is.
fn slot_value(old: WasmValue, new: &[u8], signed: bool) -> Option<WasmValue> {
    let bits = new.iter().take(16).rev().fold(0_i128, |bits, &byte| bits << 8 | i128::from(byte));
    let bits = truncated(bits, new.len() as u32 * 8, signed);
    Some(match old {
        WasmValue::I32(_) if new.len() <= 4 => WasmValue::I32(bits as u32),
        WasmValue::I64(_) if new.len() <= 8 => WasmValue::I64(bits as u64),
        WasmValue::F32(_) if new.len() == 4 => WasmValue::F32(bits as u32),
        WasmValue::F64(_) if new.len() == 8 => WasmValue::F64(bits as u64),
        WasmValue::V128(_) => WasmValue::V128(new.try_into().ok()?),
        _ => return None,
    })
}

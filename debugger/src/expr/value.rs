//! Values: a type, and where the bytes are.

use crate::symbols::{BitRange, Place, TypeId};

/// A value of the guest. Its bytes are read when they are needed.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Its type.
    pub ty: TypeId,
    pub(super) content: Content,
    /// Of a bit-field, which bits.
    pub(super) bits: Option<BitRange>,
}

/// Where the bytes of a value are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    /// In guest memory.
    Memory(u64),
    /// In slots, pieces, or nowhere.
    Place(Place),
    /// Here; a byte that is not known has none.
    Bytes(Vec<Option<u8>>),
    /// A function itself, by its index.
    Function(u32),
}

impl Value {
    pub(super) fn memory(ty: TypeId, address: u64) -> Value {
        Value { ty, content: Content::Memory(address), bits: None }
    }

    pub(super) fn bytes(ty: TypeId, bytes: impl IntoIterator<Item = u8>) -> Value {
        Value { ty, content: Content::Bytes(bytes.into_iter().map(Some).collect()), bits: None }
    }

    /// A whole number, as many low bytes of it as the type has.
    pub(super) fn integer(ty: TypeId, value: i128, size: u64) -> Value {
        Value::bytes(ty, value.to_le_bytes().into_iter().take(size as usize))
    }

    pub(super) fn place(ty: TypeId, place: Place) -> Value {
        match place.address() {
            Some(address) => Value::memory(ty, address),
            None => Value { ty, content: Content::Place(place), bits: None },
        }
    }

    /// The address of the value, if it is in guest memory and not a bit-field.
    pub fn address(&self) -> Option<u64> {
        match self.content {
            Content::Memory(address) if self.bits.is_none() => Some(address),
            _ => None,
        }
    }

    /// The function that the value is, by its index in the module.
    pub fn function(&self) -> Option<u32> {
        match self.content {
            Content::Function(index) => Some(index),
            _ => None,
        }
    }
}

/// A number with what C has to know of its type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    /// A whole number of so many bytes.
    Int {
        value: i128,
        size: u64,
        signed: bool,
    },
    Float {
        value: f64,
        size: u64,
    },
    Pointer {
        value: u64,
        to: TypeId,
    },
}

impl Scalar {
    pub(super) fn is_true(self) -> bool {
        match self {
            Scalar::Int { value, .. } => value != 0,
            Scalar::Float { value, .. } => value != 0.0,
            Scalar::Pointer { value, .. } => value != 0,
        }
    }

    /// As a whole number; floats lose their fraction.
    pub(super) fn integer(self) -> i128 {
        match self {
            Scalar::Int { value, .. } => value,
            Scalar::Float { value, .. } => value as i128,
            Scalar::Pointer { value, .. } => i128::from(value),
        }
    }

    pub(super) fn float(self) -> f64 {
        match self {
            Scalar::Float { value, .. } => value,
            other => other.integer() as f64,
        }
    }
}

/// The number that so many low bits of a value are.
pub(super) fn truncated(value: i128, bits: u32, signed: bool) -> i128 {
    if bits == 0 || bits >= 128 {
        return value;
    }
    let unused = 128 - bits;
    if signed { (value << unused) >> unused } else { ((value << unused).cast_unsigned() >> unused).cast_signed() }
}

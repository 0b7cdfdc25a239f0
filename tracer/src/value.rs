//! Values of the Wasm machine: locals, operand-stack slots, globals.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A value of a Wasm local, global or operand-stack slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WasmValue {
    /// 32 bits, signed or not.
    I32(u32),
    /// 64 bits, signed or not.
    I64(u64),
    /// The bits of a `float`.
    F32(u32),
    /// The bits of a `double`.
    F64(u64),
    /// A vector, its first byte lowest.
    V128([u8; 16]),
    /// A reference; what it refers to is not looked at.
    Ref {
        /// Whether it is null.
        null: bool,
    },
}

impl WasmValue {
    /// The value as a 64-bit word, an `i32` sign-extended, floats as their bits; none for vectors and references.
    pub fn word(self) -> Option<u64> {
        match self {
            WasmValue::I32(v) => Some(i64::from(v as i32) as u64),
            WasmValue::I64(v) | WasmValue::F64(v) => Some(v),
            WasmValue::F32(v) => Some(u64::from(v)),
            WasmValue::V128(_) | WasmValue::Ref { .. } => None,
        }
    }

    /// The name of its type, as Wasm text has it.
    pub fn type_name(self) -> &'static str {
        match self {
            WasmValue::I32(_) => "i32",
            WasmValue::I64(_) => "i64",
            WasmValue::F32(_) => "f32",
            WasmValue::F64(_) => "f64",
            WasmValue::V128(_) => "v128",
            WasmValue::Ref { .. } => "ref",
        }
    }
}

impl fmt::Display for WasmValue {
    /// As Wasm text would: the type, and the value in decimal; vectors in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.type_name())?;
        match *self {
            WasmValue::I32(v) => write!(f, "{}", v as i32),
            WasmValue::I64(v) => write!(f, "{}", v as i64),
            WasmValue::F32(v) => write!(f, "{}", f32::from_bits(v)),
            WasmValue::F64(v) => write!(f, "{}", f64::from_bits(v)),
            WasmValue::V128(bytes) => write!(f, "{:#034x}", u128::from_le_bytes(bytes)),
            WasmValue::Ref { null } => f.write_str(if null { "null" } else { "…" }),
        }
    }
}

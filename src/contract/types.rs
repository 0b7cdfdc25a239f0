//! The types of what a module imports and exports, printed as a person writes them.

use std::fmt;
use std::sync::Arc;

use wasmparser::ValType;

/// A function's type.
///
/// The lists are shared because thousands of imports or exports may name one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FuncType {
    /// The parameters, in order.
    pub params: Arc<[ValType]>,
    /// The results, in order.
    pub results: Arc<[ValType]>,
}

impl From<&wasmparser::FuncType> for FuncType {
    fn from(ty: &wasmparser::FuncType) -> Self {
        FuncType { params: ty.params().into(), results: ty.results().into() }
    }
}

impl fmt::Display for FuncType {
    /// `(i32, i64) -> i32`; no result prints as `()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}) -> ", comma_separated(&self.params))?;
        match &*self.results {
            [one] => write!(f, "{one}"),
            results => write!(f, "({})", comma_separated(results)),
        }
    }
}

fn comma_separated(types: &[ValType]) -> String {
    types.iter().map(ValType::to_string).collect::<Vec<_>>().join(", ")
}

/// The type of an imported thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternType {
    /// A function.
    Func(FuncType),
    /// A linear memory.
    Memory(wasmparser::MemoryType),
    /// A table.
    Table(wasmparser::TableType),
    /// A global.
    Global(wasmparser::GlobalType),
    /// An exception's tag.
    Tag,
}

impl fmt::Display for ExternType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExternType::Func(ty) => write!(f, "function {ty}"),
            ExternType::Memory(ty) => {
                f.write_str(if ty.shared { "shared memory" } else { "memory" })?;
                f.write_str(if ty.memory64 { ", 64-bit, " } else { ", " })?;
                write!(f, "{} to ", ty.initial)?;
                match ty.maximum {
                    Some(pages) => write!(f, "{pages} pages"),
                    None => f.write_str("any number of pages"),
                }
            }
            ExternType::Table(ty) => write!(f, "table of {}, at least {} entries", ty.element_type, ty.initial),
            ExternType::Global(ty) => {
                write!(f, "{} global {}", if ty.mutable { "mutable" } else { "immutable" }, ty.content_type)
            }
            ExternType::Tag => f.write_str("tag"),
        }
    }
}

/// How wide the guest's addresses and `long`s are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PointerWidth {
    /// wasm32.
    W32,
    /// wasm64.
    W64,
}

impl PointerWidth {
    /// The width in bytes.
    pub const fn bytes(self) -> u64 {
        match self {
            PointerWidth::W32 => 4,
            PointerWidth::W64 => 8,
        }
    }
}

impl fmt::Display for PointerWidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PointerWidth::W32 => "wasm32",
            PointerWidth::W64 => "wasm64",
        })
    }
}

/// The memory that a module imports; sizes in pages of 64 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryShape {
    /// The pages it must have at least.
    pub min_pages: u64,
    /// The pages it may grow to; a shared memory always has this limit.
    pub max_pages: u64,
    /// The width of its addresses.
    pub width: PointerWidth,
}

/// Whether a value of this type can carry an address, a number or a flag.
pub(super) fn is_int(ty: ValType) -> bool {
    matches!(ty, ValType::I32 | ValType::I64)
}

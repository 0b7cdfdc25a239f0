//! Where variables are: what DWARF's location expressions come to.

use thiserror::Error;
use wkdb_tracer::WasmValue;

use super::dwarf::Die;

/// A slot of a Wasm frame or instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// A local, parameters first.
    Local(u32),
    /// A value on the operand stack; 0 is the bottom.
    Operand(u32),
    /// A global of the frame's instance.
    Global(u32),
}

impl std::fmt::Display for Slot {
    /// `$local3`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Slot::Local(index) => write!(f, "$local{index}"),
            Slot::Operand(index) => write!(f, "$op{index}"),
            Slot::Global(index) => write!(f, "$global{index}"),
        }
    }
}

/// Why something of the guest could not be read or changed, in words.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// What location expressions ask of a frame.
pub trait FrameReader {
    /// The value in a slot.
    ///
    /// # Errors
    /// There is no such slot, or its value is not known.
    fn slot(&mut self, slot: Slot) -> Result<WasmValue, Unavailable>;

    /// Bytes of guest memory; exactly `len`.
    ///
    /// # Errors
    /// Not all of them are memory.
    fn memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>, Unavailable>;

    /// Whether a slot is one of an operand stack that is not that high here: descriptions speak of values that a call
    /// has taken already, for a producer knows no place between its arguments and its return.
    fn is_consumed(&mut self, _: Slot) -> bool {
        false
    }
}

/// Where a value is, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whereabouts {
    /// In guest memory.
    Memory(u64),
    /// In a slot, from its lowest byte on.
    Slot(Slot),
    /// Nowhere, but it is known: its bytes, the lowest first; zero bytes follow.
    Bytes(Vec<u8>),
    /// It is a pointer to a variable that is not in memory.
    ImplicitPointer(ImplicitPointer),
    /// Nowhere: it was optimized out.
    Nowhere,
}

/// A pointer to something that has no address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImplicitPointer {
    pub(super) die: Option<Die>,
    /// The name of what it points to, if it has one.
    pub name: Option<String>,
    /// How far into it.
    pub offset: i64,
}

/// A part of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it is.
    pub at: Whereabouts,
    /// The first bit of what is there.
    pub first_bit: u64,
    /// How many bits; `None` if it is the whole value.
    pub bits: Option<u64>,
}

/// Where a variable is: one piece, or several that follow one another from the lowest byte on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub Vec<Piece>);

impl Place {
    /// A value that is whole somewhere.
    pub(super) fn whole(at: Whereabouts) -> Place {
        Place(vec![Piece { at, first_bit: 0, bits: None }])
    }

    /// The address, if the value is in memory as a whole.
    pub fn address(&self) -> Option<u64> {
        match &self.0[..] {
            [Piece { at: Whereabouts::Memory(address), first_bit: 0, bits: None }] => Some(*address),
            _ => None,
        }
    }
}

/// Why it is not known where a variable is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// It has no value at this instruction.
    #[error("optimized out")]
    OptimizedOut,
    /// Something that its location depends on is not there.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Its location is described in a way that is not understood.
    #[error("its location cannot be worked out: {0}")]
    Unsupported(String),
    /// Its description is damaged.
    #[error("its debug information is damaged: {0}")]
    Damaged(String),
}

//! The operators that read or write some bytes of memory: what they take, and how many bytes they touch.

use wasmparser::{MemArg, Operator};

/// The type of a value on the operand stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    I32,
    I64,
    F32,
    F64,
    V128,
}

/// What an operator does to memory at the address on the stack plus its offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// `[address] → [value]`: reads.
    Load,
    /// `[address, vector] → [vector]`: reads into a lane of a vector.
    LoadLane,
    /// `[address, value] → []`: writes always.
    Store,
    /// `[address, operand] → [old]`: reads, and writes always.
    ReadModifyWrite,
    /// `[address, expected, replacement] → [old]`: reads, and writes if the old value was the expected one.
    CompareExchange,
}

/// A read or write of a fixed number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Store {
    pub(super) access: Access,
    /// The type of what it takes besides the address: the value to write, before that is narrowed to `size`.
    pub(super) operand: Operand,
    /// The number of bytes read or written.
    pub(super) size: u8,
    pub(super) memarg: MemArg,
}

impl Access {
    /// How many operands it has above the address.
    pub(super) fn operands(self) -> usize {
        match self {
            Access::Load => 0,
            Access::LoadLane | Access::Store | Access::ReadModifyWrite => 1,
            Access::CompareExchange => 2,
        }
    }

    /// Whether it may write.
    pub(super) fn writes(self) -> bool {
        !matches!(self, Access::Load | Access::LoadLane)
    }
}

/// What an operator does to memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryAccess {
    /// What is added to its address operand.
    pub offset: u64,
    /// Bytes that it touches.
    pub bytes: u64,
    /// Whether it reads.
    pub reads: bool,
    /// Whether it writes, or may.
    pub writes: bool,
}

/// What an operator does to memory, if it touches a fixed number of bytes of memory 0.
pub fn access_of(operator: &Operator<'_>) -> Option<MemoryAccess> {
    let store = store_of(operator).filter(|store| store.memarg.memory == 0)?;
    Some(MemoryAccess {
        offset: store.memarg.offset,
        bytes: store.size.into(),
        reads: store.access != Access::Store,
        writes: store.access.writes(),
    })
}

/// The access that an operator is, if it is one of a fixed number of bytes.
pub(super) fn store_of(operator: &Operator<'_>) -> Option<Store> {
    write_of(operator).or_else(|| read_of(operator))
}

fn read_of(operator: &Operator<'_>) -> Option<Store> {
    use Operator as O;
    let (size, memarg) = match *operator {
        O::I32Load8S { memarg }
        | O::I32Load8U { memarg }
        | O::I64Load8S { memarg }
        | O::I64Load8U { memarg }
        | O::I32AtomicLoad8U { memarg }
        | O::I64AtomicLoad8U { memarg }
        | O::V128Load8Splat { memarg } => (1, memarg),
        O::I32Load16S { memarg }
        | O::I32Load16U { memarg }
        | O::I64Load16S { memarg }
        | O::I64Load16U { memarg }
        | O::I32AtomicLoad16U { memarg }
        | O::I64AtomicLoad16U { memarg }
        | O::V128Load16Splat { memarg } => (2, memarg),
        O::I32Load { memarg }
        | O::F32Load { memarg }
        | O::I64Load32S { memarg }
        | O::I64Load32U { memarg }
        | O::I32AtomicLoad { memarg }
        | O::I64AtomicLoad32U { memarg }
        | O::V128Load32Splat { memarg }
        | O::V128Load32Zero { memarg } => (4, memarg),
        O::I64Load { memarg }
        | O::F64Load { memarg }
        | O::I64AtomicLoad { memarg }
        | O::V128Load8x8S { memarg }
        | O::V128Load8x8U { memarg }
        | O::V128Load16x4S { memarg }
        | O::V128Load16x4U { memarg }
        | O::V128Load32x2S { memarg }
        | O::V128Load32x2U { memarg }
        | O::V128Load64Splat { memarg }
        | O::V128Load64Zero { memarg } => (8, memarg),
        O::V128Load { memarg } => (16, memarg),
        O::V128Load8Lane { memarg, .. } => return Some(lane(1, memarg)),
        O::V128Load16Lane { memarg, .. } => return Some(lane(2, memarg)),
        O::V128Load32Lane { memarg, .. } => return Some(lane(4, memarg)),
        O::V128Load64Lane { memarg, .. } => return Some(lane(8, memarg)),
        _ => return None,
    };
    Some(Store { access: Access::Load, operand: Operand::I32, size, memarg })
}

fn lane(size: u8, memarg: MemArg) -> Store {
    Store { access: Access::LoadLane, operand: Operand::V128, size, memarg }
}

fn write_of(operator: &Operator<'_>) -> Option<Store> {
    use Access::{CompareExchange, ReadModifyWrite, Store as Plain};
    use Operand::{F32, F64, I32, I64, V128};
    use Operator as O;
    let (access, operand, size, memarg) = match *operator {
        O::I32Store8 { memarg } | O::I32AtomicStore8 { memarg } => (Plain, I32, 1, memarg),
        O::I32Store16 { memarg } | O::I32AtomicStore16 { memarg } => (Plain, I32, 2, memarg),
        O::I32Store { memarg } | O::I32AtomicStore { memarg } => (Plain, I32, 4, memarg),
        O::I64Store8 { memarg } | O::I64AtomicStore8 { memarg } => (Plain, I64, 1, memarg),
        O::I64Store16 { memarg } | O::I64AtomicStore16 { memarg } => (Plain, I64, 2, memarg),
        O::I64Store32 { memarg } | O::I64AtomicStore32 { memarg } => (Plain, I64, 4, memarg),
        O::I64Store { memarg } | O::I64AtomicStore { memarg } => (Plain, I64, 8, memarg),
        O::F32Store { memarg } => (Plain, F32, 4, memarg),
        O::F64Store { memarg } => (Plain, F64, 8, memarg),
        O::V128Store { memarg } => (Plain, V128, 16, memarg),
        O::V128Store8Lane { memarg, .. } => (Plain, V128, 1, memarg),
        O::V128Store16Lane { memarg, .. } => (Plain, V128, 2, memarg),
        O::V128Store32Lane { memarg, .. } => (Plain, V128, 4, memarg),
        O::V128Store64Lane { memarg, .. } => (Plain, V128, 8, memarg),
        O::I32AtomicRmw8AddU { memarg }
        | O::I32AtomicRmw8SubU { memarg }
        | O::I32AtomicRmw8AndU { memarg }
        | O::I32AtomicRmw8OrU { memarg }
        | O::I32AtomicRmw8XorU { memarg }
        | O::I32AtomicRmw8XchgU { memarg } => (ReadModifyWrite, I32, 1, memarg),
        O::I32AtomicRmw16AddU { memarg }
        | O::I32AtomicRmw16SubU { memarg }
        | O::I32AtomicRmw16AndU { memarg }
        | O::I32AtomicRmw16OrU { memarg }
        | O::I32AtomicRmw16XorU { memarg }
        | O::I32AtomicRmw16XchgU { memarg } => (ReadModifyWrite, I32, 2, memarg),
        O::I32AtomicRmwAdd { memarg }
        | O::I32AtomicRmwSub { memarg }
        | O::I32AtomicRmwAnd { memarg }
        | O::I32AtomicRmwOr { memarg }
        | O::I32AtomicRmwXor { memarg }
        | O::I32AtomicRmwXchg { memarg } => (ReadModifyWrite, I32, 4, memarg),
        O::I64AtomicRmw8AddU { memarg }
        | O::I64AtomicRmw8SubU { memarg }
        | O::I64AtomicRmw8AndU { memarg }
        | O::I64AtomicRmw8OrU { memarg }
        | O::I64AtomicRmw8XorU { memarg }
        | O::I64AtomicRmw8XchgU { memarg } => (ReadModifyWrite, I64, 1, memarg),
        O::I64AtomicRmw16AddU { memarg }
        | O::I64AtomicRmw16SubU { memarg }
        | O::I64AtomicRmw16AndU { memarg }
        | O::I64AtomicRmw16OrU { memarg }
        | O::I64AtomicRmw16XorU { memarg }
        | O::I64AtomicRmw16XchgU { memarg } => (ReadModifyWrite, I64, 2, memarg),
        O::I64AtomicRmw32AddU { memarg }
        | O::I64AtomicRmw32SubU { memarg }
        | O::I64AtomicRmw32AndU { memarg }
        | O::I64AtomicRmw32OrU { memarg }
        | O::I64AtomicRmw32XorU { memarg }
        | O::I64AtomicRmw32XchgU { memarg } => (ReadModifyWrite, I64, 4, memarg),
        O::I64AtomicRmwAdd { memarg }
        | O::I64AtomicRmwSub { memarg }
        | O::I64AtomicRmwAnd { memarg }
        | O::I64AtomicRmwOr { memarg }
        | O::I64AtomicRmwXor { memarg }
        | O::I64AtomicRmwXchg { memarg } => (ReadModifyWrite, I64, 8, memarg),
        O::I32AtomicRmw8CmpxchgU { memarg } => (CompareExchange, I32, 1, memarg),
        O::I32AtomicRmw16CmpxchgU { memarg } => (CompareExchange, I32, 2, memarg),
        O::I32AtomicRmwCmpxchg { memarg } => (CompareExchange, I32, 4, memarg),
        O::I64AtomicRmw8CmpxchgU { memarg } => (CompareExchange, I64, 1, memarg),
        O::I64AtomicRmw16CmpxchgU { memarg } => (CompareExchange, I64, 2, memarg),
        O::I64AtomicRmw32CmpxchgU { memarg } => (CompareExchange, I64, 4, memarg),
        O::I64AtomicRmwCmpxchg { memarg } => (CompareExchange, I64, 8, memarg),
        _ => return None,
    };
    Some(Store { access, operand, size, memarg })
}

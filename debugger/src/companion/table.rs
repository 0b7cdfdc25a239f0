//! Tables by which lldb's own Wasm finds what belongs to a task and a frame.
//!
//! lldb's Wasm has no registers but the pc and no frame addresses, and it asks for locals without saying of which task.
//! But it reads registers for a task, locals for a frame, and memory for an address. So the address of a task's table is a
//! register, the place of a frame's row in there is the value of a local that no function has, and what is in the row is
//! memory:
//!
//! ```text
//!   task's table   (runner + 1) << 32          beyond what guests with 32-bit addresses have
//!     + 16 n         the row of frame n: CFA, pc, stack pointer, in words of 4 bytes
//!     + GLOBALS      the task's globals, as in the globals area of the layout
//! ```
//!
//! Constants of 8 bytes are memory as well.
//!
//! The CFA is an address in the [frame region](super::layout), as gdb is shown it; the pc is an offset in the contents of
//! the code section: of outer frames, that of the call.

use wkdb_tracer::RunnerId;

/// The register with the address of the table, by lldb's numbers.
pub const TASK_REGISTER: u8 = 1;
/// A register that is 0: what is relative to it is an address of memory.
pub const ZERO_REGISTER: u8 = 2;
/// The local that tells where a frame's row is, from the start of the table. No function has so many.
pub const ROW_LOCAL: u32 = 0x0057_4b44;
/// Bytes of a row.
pub const ROW_BYTES: u64 = 16;
/// Of a row: the canonical frame address.
pub const CFA: u64 = 0;
/// Of a row: where its function is.
pub const PC: u64 = 4;
/// Of a row: `__stack_pointer` in the frame.
pub const STACK_POINTER: u64 = 8;
/// Where the globals are, from the start of the table.
pub const GLOBALS: u64 = 0x8000_0000;

/// Where constants are: as memory, for lldb has no values of 8 bytes among addresses of 4.
const CONSTANTS: u64 = 1 << 61;
/// Bits of a constant that has a place.
const CONSTANT_BITS: u32 = 34;
/// Bytes of one.
const CONSTANT_BYTES: u64 = 8;

/// The address of memory that has a constant in 8 bytes; none for large ones.
pub fn constant_address(value: u64) -> Option<u64> {
    let shift = u64::BITS - CONSTANT_BITS;
    let kept = (value << shift).cast_signed() >> shift;
    (kept.cast_unsigned() == value).then(|| CONSTANTS + (value & ((1 << CONSTANT_BITS) - 1)) * CONSTANT_BYTES)
}

/// What is at an address among constants; none if it is not.
pub fn constant_byte(address: u64) -> Option<u8> {
    let offset = address.checked_sub(CONSTANTS).filter(|&offset| offset < CONSTANT_BYTES << CONSTANT_BITS)?;
    let shift = u64::BITS - CONSTANT_BITS;
    let value = ((offset / CONSTANT_BYTES) << shift).cast_signed() >> shift;
    value.to_le_bytes().get((offset % CONSTANT_BYTES) as usize).copied()
}

/// What is at an address of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A byte of the rows, from their start.
    Rows(u64),
    /// A byte of the globals area, from its start.
    Globals(u64),
}

/// The address of a task's table. There are as many as a guest with 32-bit addresses can have, and more.
pub fn address(runner: RunnerId) -> u64 {
    (u64::from(runner.0) + 1) << 32
}

/// Whose table has an address, and what is there; none if it is of no table.
pub fn place(address: u64) -> Option<(RunnerId, Place)> {
    let runner = u32::try_from((address >> 32).checked_sub(1)?).ok().filter(|_| address < CONSTANTS)?;
    let offset = address & 0xffff_ffff;
    let place = offset.checked_sub(GLOBALS).map_or(Place::Rows(offset), Place::Globals);
    Some((RunnerId(runner), place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_its_task() {
        assert_eq!(place(0xffff_ffff), None, "guest memory");
        assert_eq!(place(address(RunnerId(0)) + 17), Some((RunnerId(0), Place::Rows(17))));
        assert_eq!(place(address(RunnerId(700)) + GLOBALS + 8), Some((RunnerId(700), Place::Globals(8))));
        let most = RunnerId((1 << 29) - 2);
        assert_eq!(place(address(most)), Some((most, Place::Rows(0))));
    }

    #[test]
    fn constants_are_in_memory() {
        for value in [0, 1, 0x1234_5678, u64::from(u32::MAX), u64::MAX, i32::MIN as u64] {
            let address = constant_address(value).expect("it has a place");
            let bytes: Vec<u8> = (address..).map_while(constant_byte).take(8).collect();
            assert_eq!(bytes, value.to_le_bytes(), "{value:#x}");
            assert_eq!(place(address), None);
        }
        assert_eq!(constant_address(1 << 40), None);
        assert_eq!(constant_byte(0x40), None);
    }
}

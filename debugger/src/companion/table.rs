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

/// What is at an address of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A byte of the rows, from their start.
    Rows(u64),
    /// A byte of the globals area, from its start.
    Globals(u64),
}

/// The address of a task's table.
pub fn address(runner: RunnerId) -> u64 {
    (u64::from(runner.0) + 1) << 32
}

/// Whose table has an address, and what is there; none if it is of no table.
pub fn place(address: u64) -> Option<(RunnerId, Place)> {
    let runner = u32::try_from((address >> 32).checked_sub(1)?).ok()?;
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
        assert_eq!(place(address(RunnerId(u32::MAX))), Some((RunnerId(u32::MAX), Place::Rows(0))));
    }
}

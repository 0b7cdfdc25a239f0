//! Where code and data of a module are for the debugger: the mapping of addresses from the input's DWARF to the output's.

use super::super::layout::{Registers, WordSize};
use super::super::wasm::{Function, Wasm};

/// How data addresses of a module's DWARF become guest addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum DataBase {
    /// They are guest addresses, or, where relative to the memory base, this much below.
    Fixed(u64),
    /// They are relative to a global of the instance that a task is in.
    Instance,
}

/// In whose terms the output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Terms {
    /// Those of the processor that the guest is shown as: registers, and one address space.
    Processor,
    /// Those of lldb's own Wasm: code from the start of its section, and [tables](super::super::table) to find
    /// a task's frames by.
    Wasm,
}

/// A module, placed.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Target<'m> {
    pub(in super::super) wasm: &'m Wasm<'m>,
    pub(in super::super) word: WordSize,
    pub(in super::super) terms: Terms,
    /// The address of the first byte of the code section's contents.
    pub(in super::super) code_base: u64,
    /// Where the module's globals begin, from the globals register.
    pub(in super::super) globals_offset: u64,
    /// The address of the globals area.
    pub(in super::super) globals_base: u64,
    pub(in super::super) data: DataBase,
}

impl<'m> Target<'m> {
    pub(in super::super) fn registers(&self) -> Registers {
        self.word.registers()
    }

    /// The function that holds a code address of the input.
    pub(super) fn function(&self, address: u64) -> Option<&'m Function> {
        self.wasm.function_at(address)
    }

    /// The address of code: never before the first instruction of its function. `None` for what the linker dropped.
    pub(super) fn code(&self, address: u64) -> Option<u64> {
        let function = self.function(address)?;
        Some(self.code_base + address.max(u64::from(function.first)))
    }

    /// A range of code, if some of it is there.
    pub(super) fn range(&self, begin: u64, end: u64) -> Option<(u64, u64)> {
        let start = self.code(begin)?;
        let end = self.end(end);
        (start < end).then_some((start, end))
    }

    /// The first address after some code.
    pub(super) fn end(&self, end: u64) -> u64 {
        let end = end.min(u64::from(self.wasm.code_len));
        self.code_base + self.function(end).map_or(end, |function| end.max(u64::from(function.first)))
    }

    /// Whether a data address is one that the linker gives to what it drops: all ones or, from older ones, 0.
    pub(super) fn is_dropped(&self, address: u64, relative: bool) -> bool {
        let all_ones = if self.word == WordSize::Eight { u64::MAX } else { u64::from(u32::MAX) };
        address >= all_ones - 1 || (address == 0 && !relative)
    }
}

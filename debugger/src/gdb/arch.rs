//! What gdbstub wants to know of the processor: the same for 32 and 64 bits, since the [register
//! bank](super::registers) knows the difference.

use std::num::NonZeroUsize;

use gdbstub::arch::{Arch, RegId, Registers};

/// i386 or x86-64, for gdbstub.
#[derive(Debug)]
pub(super) enum Processor {}

impl Arch for Processor {
    type Usize = u64;
    type Registers = AllRegisters;
    type BreakpointKind = usize;
    type RegId = RegisterNumber;
}

/// All registers as the bytes of `g`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AllRegisters(pub(super) Vec<u8>);

impl Registers for AllRegisters {
    type ProgramCounter = u64;

    /// gdbstub itself has no use for it.
    fn pc(&self) -> u64 {
        0
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        for &byte in &self.0 {
            write_byte(Some(byte));
        }
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0 = bytes.to_vec();
        Ok(())
    }
}

/// gdb's number of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RegisterNumber(pub(super) usize);

impl RegId for RegisterNumber {
    fn from_raw_id(id: usize) -> Option<(Self, Option<NonZeroUsize>)> {
        Some((RegisterNumber(id), None))
    }
}

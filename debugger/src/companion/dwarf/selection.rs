//! A location list as one expression: for a debugger that does not know where in their functions outer frames are.
//!
//! ```text
//! pc of the frame                                from the task's table
//! dup, start <=, over, end <, and, not, bra      for each entry: to the next one, if it is not this
//! drop, the entry's expression, skip             to the end
//! drop                                           nowhere: nothing is left, and the variable has no value
//! ```

use super::super::bytes::Put;
use super::super::table;
use super::expression::{TypeFixup, from_table};

const DW_OP_CONSTU: u8 = 0x10;
const DW_OP_DUP: u8 = 0x12;
const DW_OP_DROP: u8 = 0x13;
const DW_OP_OVER: u8 = 0x14;
const DW_OP_AND: u8 = 0x1a;
const DW_OP_BRA: u8 = 0x28;
const DW_OP_EQ: u8 = 0x29;
const DW_OP_GE: u8 = 0x2a;
const DW_OP_LT: u8 = 0x2d;
const DW_OP_SKIP: u8 = 0x2f;
const DW_OP_LIT0: u8 = 0x30;

/// Bytes that a jump can leap over, less what is around an expression.
const LONGEST: usize = i16::MAX as usize - 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Selection {
    bytes: Vec<u8>,
    fixups: Vec<TypeFixup>,
    /// The operands of jumps to the end.
    to_end: Vec<usize>,
    /// Nothing more is come to, or has room.
    full: bool,
}

impl Selection {
    pub(super) fn new() -> Selection {
        let mut bytes = Vec::new();
        from_table(&mut bytes, table::PC);
        Selection { bytes, fixups: Vec::new(), to_end: Vec::new(), full: false }
    }

    /// Adds an expression for a range of code, or for wherever no other is. Of lists longer than jumps can be, the rest is
    /// left out.
    pub(super) fn add(&mut self, range: Option<(u64, u64)>, expression: &[u8], fixups: &[TypeFixup]) {
        self.full |= self.bytes.len() + expression.len() > LONGEST;
        if self.full {
            return;
        }
        let next = range.map(|(start, end)| self.unless_within(start, end));
        self.bytes.u8(DW_OP_DROP);
        let at = self.bytes.len();
        self.bytes.extend_from_slice(expression);
        self.fixups.extend(fixups.iter().map(|fixup| TypeFixup { at: at + fixup.at, ..*fixup }));
        self.bytes.u8(DW_OP_SKIP);
        self.to_end.push(self.bytes.len());
        self.bytes.u16(0);
        match next {
            Some(next) => self.lands(next),
            None => self.full = true,
        }
    }

    /// The expression, and where in it types are named.
    pub(super) fn finish(mut self) -> (Vec<u8>, Vec<TypeFixup>) {
        self.bytes.u8(DW_OP_DROP);
        for jump in std::mem::take(&mut self.to_end) {
            self.lands(jump);
        }
        (self.bytes, self.fixups)
    }

    /// Jumps, to a place that is not known yet, if the address on the stack is not in a range; the jump's operand.
    fn unless_within(&mut self, start: u64, end: u64) -> usize {
        for (copy, bound, comparison) in [(DW_OP_DUP, start, DW_OP_GE), (DW_OP_OVER, end, DW_OP_LT)] {
            self.bytes.u8(copy);
            self.bytes.u8(DW_OP_CONSTU);
            self.bytes.uleb(bound);
            self.bytes.u8(comparison);
        }
        self.bytes.extend_from_slice(&[DW_OP_AND, DW_OP_LIT0, DW_OP_EQ, DW_OP_BRA]);
        self.bytes.u16(0);
        self.bytes.len() - 2
    }

    /// Has a jump lead here.
    fn lands(&mut self, jump: usize) {
        let distance = (self.bytes.len() - jump - 2) as u16;
        self.bytes[jump..jump + 2].copy_from_slice(&distance.to_le_bytes());
    }
}

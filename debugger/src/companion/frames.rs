//! Call-frame information: how a debugger gets from a synthetic frame to its caller's, the same everywhere in the code.

use super::bytes::Put;
use super::layout::{HOST_BYTES, Layout, Slot};

const DW_CFA_DEF_CFA: u8 = 0x0c;
const DW_CFA_OFFSET: u8 = 0x80;
const DW_CFA_UNDEFINED: u8 = 0x07;
const DW_CFA_SAME_VALUE: u8 = 0x08;
const DW_CFA_NOP: u8 = 0x00;

/// The contents of `.debug_frame` for `len` bytes of code at `base`, and, if `host`, for the host's symbol, whose frame
/// is the outermost.
pub(super) fn debug_frame(layout: &Layout, base: u64, len: u64, host: bool) -> Vec<u8> {
    let word = layout.word();
    let registers = word.registers();
    let bytes = word.bytes();
    let mut out = Vec::new();

    let mut cie = Vec::new();
    cie.u32(u32::MAX);
    cie.u8(1);
    cie.string(b"");
    cie.uleb(1);
    cie.sleb(-(bytes as i64));
    cie.u8(registers.pc as u8);
    cie.u8(DW_CFA_DEF_CFA);
    cie.uleb(u64::from(registers.cfa));
    cie.uleb(0);
    for (register, slot) in [
        (registers.pc, Slot::ReturnPc),
        (registers.cfa, Slot::CallerCfa),
        (registers.stack_pointer, Slot::CallerStackPointer),
    ] {
        cie.u8(DW_CFA_OFFSET | register as u8);
        cie.uleb(slot.offset(word).unsigned_abs() / bytes);
    }
    let carried = [registers.pc, registers.cfa, registers.stack_pointer];
    for register in (0..registers.pc).filter(|register| !carried.contains(register)) {
        // The globals are the same for all frames. Nothing else is in a register, but for a value that was returned.
        cie.u8(if register == registers.globals { DW_CFA_SAME_VALUE } else { DW_CFA_UNDEFINED });
        cie.uleb(u64::from(register));
    }
    entry(&mut out, &cie, bytes);

    let mut fde = |start: u64, len: u64, instructions: &[u8]| {
        let mut fde = Vec::new();
        fde.u32(0);
        fde.word(word, start);
        fde.word(word, len);
        fde.extend_from_slice(instructions);
        entry(&mut out, &fde, bytes);
    };
    if len > 0 {
        fde(base, len, &[]);
    }
    if host {
        fde(layout.host(), HOST_BYTES, &[DW_CFA_UNDEFINED, registers.pc as u8]);
    }
    out
}

fn entry(out: &mut Vec<u8>, contents: &[u8], align: u64) {
    let len = (contents.len() + 4).next_multiple_of(align as usize) - 4;
    out.u32(len as u32);
    out.extend_from_slice(contents);
    out.resize(out.len() + len - contents.len(), DW_CFA_NOP);
}

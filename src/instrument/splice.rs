//! Copies a part of the original file and replaces single integers in it, so that everything else stays as it was.

use std::ops::Range;

/// A copy in progress of a range of the original file.
pub(super) struct Splice<'m> {
    source: &'m [u8],
    next: usize,
    out: Vec<u8>,
}

impl<'m> Splice<'m> {
    /// Starts to copy at offset `start` of `source`, the whole original file.
    pub(super) fn new(source: &'m [u8], start: usize) -> Self {
        Splice { source, next: start, out: Vec::new() }
    }

    /// Copies up to `range` and writes `value` in the place of the integer there.
    pub(super) fn replace_u32(&mut self, range: Range<usize>, value: u32) {
        self.copy_to(range.start);
        write_u32_at_least(&mut self.out, value, range.len());
        self.next = range.end;
    }

    /// Copies up to `at` and writes `byte` in the place of the byte there.
    pub(super) fn replace_byte(&mut self, at: usize, byte: u8) {
        self.copy_to(at);
        self.out.push(byte);
        self.next = at + 1;
    }

    /// Copies up to `range` and leaves out what is there.
    pub(super) fn skip(&mut self, range: Range<usize>) {
        self.copy_to(range.start);
        self.next = range.end;
    }

    /// Copies up to `at` and returns the copy, to append to it.
    pub(super) fn out_at(&mut self, at: usize) -> &mut Vec<u8> {
        self.copy_to(at);
        &mut self.out
    }

    /// Copies up to `end` and hands the copy over.
    pub(super) fn finish(mut self, end: usize) -> Vec<u8> {
        self.copy_to(end);
        self.out
    }

    fn copy_to(&mut self, to: usize) {
        self.out.extend_from_slice(&self.source[self.next..to]);
        self.next = to;
    }
}

/// Writes an unsigned LEB128 integer, padded to `width` bytes if it is shorter.
///
/// Integers keep the width they had where they can: an unchanged one is then the same bytes (linkers pad the indices
/// they relocate to 5 bytes), and a changed one moves nothing behind it.
pub(super) fn write_u32_at_least(out: &mut Vec<u8>, mut value: u32, width: usize) {
    let mut written = 1;
    while value >= 0x80 || written < width {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
        written += 1;
    }
    out.push(value as u8);
}

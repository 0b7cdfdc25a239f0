//! Range lists, and the list of all ranges by unit.

use super::super::bytes::Put;
use super::super::layout::WordSize;

const DW_RLE_END_OF_LIST: u8 = 0;
const DW_RLE_START_END: u8 = 6;
const DW_LLE_END_OF_LIST: u8 = 0;
const DW_LLE_START_END: u8 = 7;
const DW_LLE_DEFAULT_LOCATION: u8 = 5;

/// A section of lists: that of DWARF 5, with its header, or that of DWARF 4.
#[derive(Debug)]
pub(super) struct Lists {
    pub(super) bytes: Vec<u8>,
    word: WordSize,
    v5: bool,
}

/// The kinds of entry of a list.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry<'e> {
    Range(u64, u64),
    Location(u64, u64, &'e [u8]),
    /// The location wherever no other entry says something. DWARF 4 has none.
    Default(&'e [u8]),
}

impl Lists {
    pub(super) fn new(word: WordSize, v5: bool) -> Lists {
        let mut bytes = Vec::new();
        if v5 {
            bytes.u32(0);
            bytes.u16(5);
            bytes.u8(word.bytes() as u8);
            bytes.u8(0);
            bytes.u32(0);
        }
        Lists { bytes, word, v5 }
    }

    /// Begins a list; the address in the section is where it is.
    pub(super) fn begin(&mut self) -> u32 {
        let at = self.bytes.len() as u32;
        if !self.v5 {
            // Whatever the unit's base is, what follows is absolute.
            self.bytes.word(self.word, u64::MAX);
            self.bytes.word(self.word, 0);
        }
        at
    }

    /// Adds an entry; where its expression is, if it has one.
    pub(super) fn add(&mut self, entry: Entry<'_>) -> Option<usize> {
        let (start, end, code, expression) = match entry {
            Entry::Range(start, end) => (start, end, DW_RLE_START_END, None),
            Entry::Location(start, end, expression) => (start, end, DW_LLE_START_END, Some(expression)),
            Entry::Default(expression) if self.v5 => {
                self.bytes.u8(DW_LLE_DEFAULT_LOCATION);
                self.bytes.uleb(expression.len() as u64);
                self.bytes.extend_from_slice(expression);
                return Some(self.bytes.len() - expression.len());
            }
            Entry::Default(_) => return None,
        };
        if self.v5 {
            self.bytes.u8(code);
        }
        self.bytes.word(self.word, start);
        self.bytes.word(self.word, end);
        let expression = expression?;
        if self.v5 {
            self.bytes.uleb(expression.len() as u64);
        } else {
            self.bytes.u16(expression.len() as u16);
        }
        self.bytes.extend_from_slice(expression);
        Some(self.bytes.len() - expression.len())
    }

    /// Ends a list.
    pub(super) fn end(&mut self) {
        const { assert!(DW_RLE_END_OF_LIST == DW_LLE_END_OF_LIST) };
        if self.v5 {
            self.bytes.u8(DW_RLE_END_OF_LIST);
        } else {
            self.bytes.word(self.word, 0);
            self.bytes.word(self.word, 0);
        }
    }

    /// The section; none if it has no list.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        let header = if self.v5 { 12 } else { 0 };
        if self.bytes.len() == header {
            return None;
        }
        if self.v5 {
            let len = self.bytes.len() as u32 - 4;
            self.bytes.patch_u32(0, len);
        }
        Some(self.bytes)
    }
}

/// Adds the ranges of a unit to `.debug_aranges`.
pub(super) fn add_aranges(out: &mut Vec<u8>, word: WordSize, unit: u32, ranges: &[(u64, u64)]) {
    if ranges.is_empty() {
        return;
    }
    let start = out.len();
    out.u32(0);
    out.u16(2);
    out.u32(unit);
    out.u8(word.bytes() as u8);
    out.u8(0);
    // The pairs are aligned to their size, from the start of the header.
    let pair = 2 * word.bytes() as usize;
    out.resize(start + (out.len() - start).next_multiple_of(pair), 0);
    for &(begin, end) in ranges {
        out.word(word, begin);
        out.word(word, end - begin);
    }
    out.word(word, 0);
    out.word(word, 0);
    let len = (out.len() - start - 4) as u32;
    out.patch_u32(start, len);
}

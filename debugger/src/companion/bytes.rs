//! Writing little-endian bytes and LEB128 numbers.

use super::layout::WordSize;

/// Bytes of a ULEB128 that is patched later: enough for offsets below 2^28.
pub(super) const PADDED_ULEB: usize = 4;

/// Appends values to a section's contents.
pub(super) trait Put {
    /// One byte.
    fn u8(&mut self, value: u8);
    /// Two bytes.
    fn u16(&mut self, value: u16);
    /// Four bytes.
    fn u32(&mut self, value: u32);
    /// Eight bytes.
    fn u64(&mut self, value: u64);
    /// An address or length: the low bytes of the value.
    fn word(&mut self, word: WordSize, value: u64);
    /// ULEB128.
    fn uleb(&mut self, value: u64);
    /// SLEB128.
    fn sleb(&mut self, value: i64);
    /// Bytes, and a zero behind them.
    fn string(&mut self, value: &[u8]);
    /// Zeros up to a multiple of `align`.
    fn align(&mut self, align: usize);
    /// Sets the four bytes at `at`, which are there already.
    fn patch_u32(&mut self, at: usize, value: u32);
    /// Sets the address at `at`, which is there already.
    fn patch_word(&mut self, word: WordSize, at: usize, value: u64);
    /// Sets the [`PADDED_ULEB`] bytes at `at`, which are there already; false if the value needs more.
    fn patch_uleb(&mut self, at: usize, value: u32) -> bool;
}

impl Put for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }

    fn u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn word(&mut self, word: WordSize, value: u64) {
        match word {
            WordSize::Four => self.u32(value as u32),
            WordSize::Eight => self.u64(value),
        }
    }

    fn uleb(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn sleb(&mut self, mut value: i64) {
        loop {
            let byte = value as u8 & 0x7f;
            value >>= 7;
            if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
                self.push(byte);
                return;
            }
            self.push(byte | 0x80);
        }
    }

    fn string(&mut self, value: &[u8]) {
        self.extend_from_slice(value);
        self.push(0);
    }

    fn align(&mut self, align: usize) {
        self.resize(self.len().next_multiple_of(align), 0);
    }

    fn patch_u32(&mut self, at: usize, value: u32) {
        self[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn patch_word(&mut self, word: WordSize, at: usize, value: u64) {
        let len = word.bytes() as usize;
        self[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
    }

    fn patch_uleb(&mut self, at: usize, value: u32) -> bool {
        for (index, byte) in self[at..at + PADDED_ULEB].iter_mut().enumerate() {
            let more = if index + 1 < PADDED_ULEB { 0x80 } else { 0 };
            *byte = (value >> (7 * index)) as u8 & 0x7f | more;
        }
        value >> (7 * PADDED_ULEB) == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn leb_numbers_are_read_back_by_gimli(unsigned: u64, signed: i64, patch in 0_u32..1 << 28) {
            let mut bytes = Vec::new();
            bytes.uleb(unsigned);
            bytes.sleb(signed);
            let at = bytes.len();
            bytes.u32(0);
            prop_assert!(bytes.patch_uleb(at, patch));
            let mut reader = gimli::EndianSlice::new(&bytes, gimli::LittleEndian);
            prop_assert_eq!(gimli::Reader::read_uleb128(&mut reader), Ok(unsigned));
            prop_assert_eq!(gimli::Reader::read_sleb128(&mut reader), Ok(signed));
            prop_assert_eq!(gimli::Reader::read_uleb128(&mut reader), Ok(u64::from(patch)));
            prop_assert!(reader.is_empty());
            prop_assert!(!bytes.patch_uleb(at, patch | 1 << 28));
        }
    }
}

//! The map of what is watched that compiled code looks at: a memory that all stores of the machine share.
//!
//! What it is made of, and how code reads it, is the rewriting's: see `instrument`.

use std::ops::Range;

use super::super::memory::{GuestMemory, MemoryError, WASM_PAGE};
use crate::instrument::{WATCH_MAP_PAGES, WATCH_MAP_REACH, WATCH_SLOT};

/// The map. Code sees a change the next time it looks: after the host call, or the slice, in which it is made.
pub(in crate::machine) struct WatchMap(GuestMemory);

impl WatchMap {
    /// A map on which nothing is watched.
    ///
    /// # Errors
    /// There is no room for it.
    pub(in crate::machine) fn new() -> Result<Self, MemoryError> {
        Ok(WatchMap(GuestMemory::new(WATCH_MAP_PAGES, WATCH_MAP_PAGES)?))
    }

    /// A map on which all is marked that belongs to a guest's first so many bytes.
    ///
    /// # Errors
    /// There is no room for it.
    pub(in crate::machine) fn marked(guest: u64) -> Result<Self, MemoryError> {
        let map = WatchMap(GuestMemory::filled(WATCH_MAP_PAGES, guest / WATCH_SLOT / 8)?);
        map.repeat();
        Ok(map)
    }

    /// The memory that it is kept in.
    pub(in crate::machine) fn memory(&self) -> &GuestMemory {
        &self.0
    }

    /// Marks every slot that a range lies in, or clears it.
    pub(in crate::machine) fn set(&self, range: &Range<u64>, watched: bool) {
        let slots = range.start / WATCH_SLOT..range.end.div_ceil(WATCH_SLOT);
        let (first, last) = (slots.start / 8, slots.end.saturating_sub(1) / 8);
        // Whole bytes in pieces, so that a watch of everything needs no copy of the map.
        const PIECE: u64 = 4096;
        let mut at = first;
        while at <= last {
            let len = PIECE.min(last - at + 1);
            // The map covers more than the guest's memory can have; what it does not cover no code can touch.
            let Ok(mut bytes) = self.0.read_vec(at, len) else { break };
            for (byte, number) in bytes.iter_mut().zip(at..) {
                let bit = |slot: u64| slots.contains(&(number * 8 + slot));
                let mask = match number > first && number < last {
                    true => 0xff,
                    false => (0..8).filter(|&slot| bit(slot)).fold(0, |mask, slot| mask | 1 << slot),
                };
                *byte = if watched { *byte | mask } else { *byte & !mask };
            }
            if self.0.write(at, &bytes).is_err() {
                break;
            }
            at += len;
        }
        if first < WATCH_MAP_REACH {
            self.repeat();
        }
    }

    /// The first bytes come again behind the last, for checks that reach past the end of the address space.
    fn repeat(&self) {
        if let Ok(start) = self.0.read_vec(0, WATCH_MAP_REACH) {
            // The last page is there for this.
            let _ = self.0.write((WATCH_MAP_PAGES - 1) * WASM_PAGE, &start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(map: &WatchMap, at: u64, len: u64) -> Vec<u8> {
        map.0.read_vec(at, len).unwrap()
    }

    #[test]
    fn a_bit_for_each_slot_that_is_touched() {
        let map = WatchMap::new().unwrap();
        map.set(&(64 * 3 + 7..64 * 3 + 9), true);
        assert_eq!(bytes(&map, 2, 3), [0, 0b11, 0]);
        map.set(&(64 * 3 + 63..64 * 6 + 1), true);
        assert_eq!(bytes(&map, 2, 6), [0, 0b1000_0011, 0xff, 0xff, 1, 0]);
        map.set(&(64 * 3 + 8..64 * 3 + 9), false);
        assert_eq!(bytes(&map, 3, 1), [0b1000_0001]);
        map.set(&(0..1), true);
        assert_eq!((bytes(&map, 0, 1), bytes(&map, 1 << 26, 1)), (vec![1], vec![1]));
        map.set(&(0..1), false);
        assert_eq!(bytes(&map, 1 << 26, 1), [0]);
    }

    #[test]
    fn everything_can_be_watched() {
        let map = WatchMap::new().unwrap();
        map.set(&(0..4 << 30), true);
        assert_eq!(
            (bytes(&map, 0, 1), bytes(&map, (1 << 26) - 1, 10)),
            (vec![0xff], [[0xff; 9].as_slice(), &[0]].concat())
        );
        map.set(&(5..4 << 30), false);
        assert_eq!(bytes(&map, (1 << 26) - 1, 10), [0; 10]);
    }
}

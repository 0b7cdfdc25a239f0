//! The map of what is watched that compiled code looks at: a memory that all stores of the machine share. With footprints
//! there are three, of which the second is for reads, and the third what becomes of marked lines; and marks of functions.
//!
//! What they are made of, and how code reads them, is the rewriting's: see `instrument`.

use std::ops::Range;

use super::super::memory::{GuestMemory, MemoryError, WASM_PAGE};
use crate::instrument::{
    FOOTPRINT_PAGES, FUNCTION_MARKS, MARKS, READS_MAP, WATCH_LINE, WATCH_MAP_PAGES, WATCH_MAP_REACH, WATCH_SLOT,
    WATCHED_MAP,
};

/// A write that begins in the line before can reach so far into a line.
pub(super) const WIDEST: u64 = 16;

/// The map. Code sees a change the next time it looks: after the host call, or the slice, in which it is made.
pub(in crate::machine) struct WatchMap {
    memory: GuestMemory,
    footprint: bool,
}

/// The slots that a range lies in; with footprints also those of the line before from which a write reaches into it.
fn slots(range: &Range<u64>, footprint: bool) -> Range<u64> {
    let into = range.start % WATCH_LINE;
    let start = if footprint && into < WIDEST - 1 { range.start.saturating_sub(WIDEST - 1) } else { range.start };
    start / WATCH_SLOT..range.end.div_ceil(WATCH_SLOT)
}

/// Where the pieces of a range begin, and how long they are.
fn pieces(range: Range<u64>) -> impl Iterator<Item = (u64, u64)> {
    let Range { start, end } = range;
    (start..end).step_by(PIECE as usize).map(move |at| (at, PIECE.min(end - at)))
}

/// The byte of a line that is marked: nothing was written into it since a footprint began, or all of it is watched.
const MARKED: u8 = 0xff;

/// Maps are read in pieces of so many bytes.
const PIECE: u64 = 4096;

impl WatchMap {
    /// A map on which nothing is watched.
    ///
    /// # Errors
    /// There is no room for it.
    pub(in crate::machine) fn new(footprint: bool) -> Result<Self, MemoryError> {
        let pages = if footprint { FOOTPRINT_PAGES } else { WATCH_MAP_PAGES };
        Ok(WatchMap { memory: GuestMemory::new(pages, pages)?, footprint })
    }

    /// A map on which all is marked that belongs to a guest's first so many bytes.
    ///
    /// # Errors
    /// There is no room for it.
    pub(in crate::machine) fn marked(guest: u64) -> Result<Self, MemoryError> {
        let memory = GuestMemory::filled(WATCH_MAP_PAGES, guest / WATCH_SLOT / 8)?;
        let map = WatchMap { memory, footprint: false };
        map.repeat(0);
        Ok(map)
    }

    /// The memory that it is kept in.
    pub(in crate::machine) fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    /// Marks every slot that a range lies in, or clears it; of the map of reads as well, if there is one and `reads`.
    pub(in crate::machine) fn set(&self, range: &Range<u64>, watched: bool, reads: bool) {
        if !self.footprint {
            return self.set_in(0, range, watched, |_, _| ());
        }
        // Where a line is marked, that stays; where it was written, its byte says what is watched.
        self.set_in(WATCHED_MAP, range, watched, |at, bytes| {
            let (Ok(before), Ok(mut map)) = (
                self.memory.read_vec(WATCHED_MAP + at, bytes.len() as u64),
                self.memory.read_vec(at, bytes.len() as u64),
            ) else {
                return;
            };
            for ((byte, before), now) in map.iter_mut().zip(before).zip(bytes) {
                if *byte != MARKED || before == MARKED {
                    *byte = *now;
                }
            }
            // It lies where the others do.
            let _ = self.memory.write(at, &map);
        });
        self.repeat(0);
        if reads {
            self.set_in(READS_MAP, range, watched, |_, _| ());
        }
    }

    /// Marks all lines before `end`.
    pub(super) fn mark_all(&self, end: u64) {
        for (at, len) in pieces(0..end) {
            // What is marked already is shared with copies of the machine.
            if self.memory.read_vec(at, len).is_ok_and(|bytes| bytes != [MARKED; PIECE as usize][..len as usize]) {
                let _ = self.memory.write(at, &[MARKED; PIECE as usize][..len as usize]);
            }
        }
        self.repeat(0);
    }

    /// Takes the marks off lines.
    pub(super) fn unmark(&self, lines: Range<u64>) {
        for (at, len) in pieces(lines) {
            let (Ok(mut map), Ok(watched)) =
                (self.memory.read_vec(at, len), self.memory.read_vec(WATCHED_MAP + at, len))
            else {
                return;
            };
            if map != watched {
                let marked = |byte: &&mut u8| **byte == MARKED;
                map.iter_mut().zip(watched).filter(|(byte, _)| marked(byte)).for_each(|(byte, now)| *byte = now);
                let _ = self.memory.write(at, &map);
            }
        }
    }

    /// The lines before `end` that are not marked, and, where something is watched, those that are watched as a whole, of
    /// which nobody knows.
    pub(super) fn written(&self, end: u64, is_watched: bool) -> Vec<u32> {
        let mut written = Vec::new();
        for (at, len) in pieces(0..end) {
            let Ok(map) = self.memory.read_vec(at, len) else { break };
            let watched = if is_watched { self.memory.read_vec(WATCHED_MAP + at, len) } else { Ok(Vec::new()) };
            let watched = watched.unwrap_or_default();
            // Most of memory is not written.
            if !watched.contains(&MARKED) && map == [MARKED; PIECE as usize][..len as usize] {
                continue;
            }
            let is_whole = |place: usize| watched.get(place) == Some(&MARKED);
            let lines = map.iter().enumerate().filter(|(place, byte)| **byte != MARKED || is_whole(*place));
            // Below 4 GiB there are fewer than 2²⁶.
            written.extend(lines.map(|(place, _)| at as u32 + place as u32));
        }
        written
    }

    /// The functions that were entered, by their marks, of so many of the kernel and so many of a user image; `clear`: takes
    /// the marks away.
    pub(super) fn functions(&self, kernel: u32, user: u32, clear: bool) -> Vec<u32> {
        let mut entered = Vec::new();
        for (first, count) in [(0, kernel.min(MARKS)), (MARKS, user.min(MARKS))] {
            let at = FUNCTION_MARKS + u64::from(first);
            let Ok(marks) = self.memory.read_vec(at, count.into()) else { continue };
            let before = entered.len();
            entered.extend(marks.iter().zip(first..).filter(|(mark, _)| **mark != 0).map(|(_, number)| number));
            if clear && entered.len() > before {
                let _ = self.memory.write(at, &vec![0; marks.len()]);
            }
        }
        entered
    }

    /// The same in one map; `before` is told, of each piece of it before it changes, where it is and what it will hold.
    fn set_in(&self, map: u64, range: &Range<u64>, watched: bool, before: impl Fn(u64, &[u8])) {
        let slots = slots(range, self.footprint);
        let (first, last) = (slots.start / 8, slots.end.saturating_sub(1) / 8);
        // Whole bytes in pieces, so that a watch of everything needs no copy of the map.
        for (at, len) in pieces(first..last + 1) {
            // The map covers more than the guest's memory can have; what it does not cover no code can touch.
            let Ok(mut bytes) = self.memory.read_vec(map + at, len) else { break };
            for (byte, number) in bytes.iter_mut().zip(at..) {
                let bit = |slot: u64| slots.contains(&(number * 8 + slot));
                let mask = match number > first && number < last {
                    true => 0xff,
                    false => (0..8).filter(|&slot| bit(slot)).fold(0, |mask, slot| mask | 1 << slot),
                };
                *byte = if watched { *byte | mask } else { *byte & !mask };
            }
            before(at, &bytes);
            if self.memory.write(map + at, &bytes).is_err() {
                break;
            }
        }
        if first < WATCH_MAP_REACH {
            self.repeat(map);
        }
    }

    /// The first bytes come again behind the last, for checks that reach past the end of the address space.
    fn repeat(&self, map: u64) {
        if let Ok(start) = self.memory.read_vec(map, WATCH_MAP_REACH) {
            // The last page is there for this.
            let _ = self.memory.write(map + (WATCH_MAP_PAGES - 1) * WASM_PAGE, &start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(map: &WatchMap, at: u64, len: u64) -> Vec<u8> {
        map.memory.read_vec(at, len).unwrap()
    }

    #[test]
    fn a_bit_for_each_slot_that_is_touched() {
        let map = WatchMap::new(false).unwrap();
        map.set(&(64 * 3 + 7..64 * 3 + 9), true, true);
        assert_eq!(bytes(&map, 2, 3), [0, 0b11, 0]);
        map.set(&(64 * 3 + 63..64 * 6 + 1), true, true);
        assert_eq!(bytes(&map, 2, 6), [0, 0b1000_0011, 0xff, 0xff, 1, 0]);
        map.set(&(64 * 3 + 8..64 * 3 + 9), false, true);
        assert_eq!(bytes(&map, 3, 1), [0b1000_0001]);
        map.set(&(0..1), true, true);
        assert_eq!((bytes(&map, 0, 1), bytes(&map, 1 << 26, 1)), (vec![1], vec![1]));
        map.set(&(0..1), false, true);
        assert_eq!(bytes(&map, 1 << 26, 1), [0]);
    }

    #[test]
    fn everything_can_be_watched() {
        let map = WatchMap::new(false).unwrap();
        map.set(&(0..4 << 30), true, true);
        assert_eq!(
            (bytes(&map, 0, 1), bytes(&map, (1 << 26) - 1, 10)),
            (vec![0xff], [[0xff; 9].as_slice(), &[0]].concat())
        );
        map.set(&(5..4 << 30), false, true);
        assert_eq!(bytes(&map, (1 << 26) - 1, 10), [0; 10]);
    }
}

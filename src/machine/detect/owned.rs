//! What the memory of a process is: a map on which its own memory is clear, so that its code is told of all other stores.
//!
//! A program's code looks at a map of its own in place of the one of what is watched. On it everything is marked at first.
//! A store that is told of is looked up in the kernel's maps of the process; where it is the process's own, all of that area
//! is cleared, and what is watched in it marked again. So a program pays for its first store into an area.
//!
//! ```text
//! store ─▶ map: marked? ─▶ areas: its own? ─── yes ─▶ clear the area
//!                              │ no, or not known yet
//!                              ▼
//!               the kernel's maps, anew ─ still not ─▶ finding
//! ```
//!
//! What a system call maps is known from the call: a device's memory is in none of the kernel's maps. What one unmaps is
//! marked again, and looked up anew.
//!
//! What it cannot see: a store into another object of the same process; the kernel's own stores on behalf of a program.

use std::ops::Range;

use super::super::memory::{GuestMemory, MemoryError};
use super::super::watch::WatchMap;

/// Pages in which processes get memory, in bytes.
const PAGE: u64 = 4096;

/// Numbers of system calls, in Linux' generic table.
const BRK: u32 = 214;
const MUNMAP: u32 = 215;
const MREMAP: u32 = 216;
const MMAP: u32 = 222;
/// Those that do not return to where they were made.
const NO_RETURN: [u32; 4] = [93, 94, 139, 221];

/// The memory of a process.
pub(in crate::machine) struct OwnMemory {
    map: WatchMap,
    /// As the kernel last said.
    areas: Vec<Range<u64>>,
    /// As system calls said.
    mapped: Vec<Range<u64>>,
}

/// A system call that a program has made.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct Called {
    number: u32,
    args: [u64; 2],
}

impl Called {
    /// A call of the kernel's entry with these arguments: stack pointer, thread pointer, number, and its own. None for one
    /// that does not return.
    pub(in crate::machine) fn of(args: &[u64], wide: bool) -> Option<Called> {
        let word = |n: usize| args.get(n).map_or(0, |&arg| if wide { arg } else { u64::from(arg as u32) });
        let number = word(2) as u32;
        (!NO_RETURN.contains(&number)).then_some(Called { number, args: [word(3), word(4)] })
    }
}

impl OwnMemory {
    /// Of a process of which nothing is known, in a guest with this memory.
    ///
    /// # Errors
    /// There is no room for the map.
    pub(in crate::machine) fn new(memory: &GuestMemory) -> Result<Self, MemoryError> {
        Ok(OwnMemory {
            map: WatchMap::marked(memory.limit().min(memory.size()))?,
            areas: Vec::new(),
            mapped: Vec::new(),
        })
    }

    /// The map that its code looks at.
    pub(in crate::machine) fn map(&self) -> &WatchMap {
        &self.map
    }

    /// The area that an access lies in, if that is the process's own as far as is known.
    pub(in crate::machine) fn area(&self, access: &Range<u64>) -> Option<Range<u64>> {
        let mut areas = self.areas.iter().chain(&self.mapped);
        areas.find(|area| area.start <= access.start && access.end <= area.end).cloned()
    }

    /// What the kernel says that the process has; areas that touch are one.
    pub(in crate::machine) fn set_areas(&mut self, mut areas: Vec<Range<u64>>) {
        areas.sort_by_key(|area| area.start);
        self.areas.clear();
        for area in areas {
            match self.areas.last_mut().filter(|last| last.end >= area.start) {
                Some(last) => last.end = last.end.max(area.end),
                None => self.areas.push(area),
            }
        }
    }

    /// A system call has returned.
    pub(in crate::machine) fn returned(&mut self, called: Called, result: u64, wide: bool) {
        const ERRORS: u64 = 4096;
        let top = if wide { u64::MAX } else { u64::from(u32::MAX) };
        if result & top > top - ERRORS {
            return;
        }
        let whole = |start: u64, len: u64| start..start.saturating_add(len.div_ceil(PAGE).saturating_mul(PAGE));
        let Called { number, args: [first, second] } = called;
        match number {
            // What lies behind it in its last page is the process's own only if the kernel says so: a device may map less.
            MMAP => self.mapped.push((result & top)..(result & top).saturating_add(second)),
            MUNMAP | MREMAP => {
                let gone = whole(first, second);
                let known = self.mapped.iter().position(|area| area.start == first);
                let known = known.map_or(gone.clone(), |at| self.mapped.swap_remove(at));
                self.forget(gone.start..gone.end.max(known.end));
                if number == MREMAP {
                    self.areas.clear();
                }
            }
            BRK => self.areas.clear(),
            _ => {}
        }
    }

    /// A range may not be its own any more.
    fn forget(&mut self, gone: Range<u64>) {
        self.areas.clear();
        self.map.set(&gone, true, false);
    }
}

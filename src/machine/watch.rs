//! Watched ranges of guest memory, and what was last seen in them.

use std::ops::Range;

use wkdb_debugger::inferior::{WatchId, WatchSpec};

/// The longest single store: a v128.
const MAX_STORE: u64 = 16;

struct Watch {
    id: WatchId,
    stop: bool,
    range: Range<u64>,
    /// What the range held after the last store seen. Every store is seen, so this is what it held before the next.
    shadow: Vec<u8>,
}

/// All watches of a machine.
#[derive(Default)]
pub(super) struct WatchSet {
    watches: Vec<Watch>,
    /// How many there ever were: the next one's name.
    named: u32,
}

/// The part of a store that a watch covers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Touched {
    /// Which watch.
    pub(super) watch: WatchId,
    /// Whether it is to stop the machine.
    pub(super) stop: bool,
    /// First byte of the overlap.
    pub(super) address: u64,
    /// The overlap before the store.
    pub(super) old: Vec<u8>,
    /// The overlap after the store.
    pub(super) new: Vec<u8>,
}

impl WatchSet {
    /// Watches `range`, which holds `contents` now.
    pub(super) fn add(&mut self, range: Range<u64>, contents: Vec<u8>) {
        debug_assert_eq!(range.end - range.start, contents.len() as u64);
        self.push(range, contents, false);
    }

    /// Watches what `spec` says, which holds `contents` now.
    pub(super) fn insert(&mut self, spec: &WatchSpec, contents: Vec<u8>) -> WatchId {
        self.push(spec.address..spec.address + spec.len, contents, spec.stop)
    }

    fn push(&mut self, range: Range<u64>, contents: Vec<u8>, stop: bool) -> WatchId {
        let id = WatchId(self.named);
        self.named += 1;
        self.watches.push(Watch { id, stop, range, shadow: contents });
        id
    }

    /// Takes a watch away, if it is there.
    pub(super) fn remove(&mut self, id: WatchId) {
        self.watches.retain(|watch| watch.id != id);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Whether a store to `stored` touches a watch.
    pub(super) fn overlaps(&self, stored: Range<u64>) -> bool {
        self.watches.iter().any(|w| w.range.start < stored.end && stored.start < w.range.end)
    }

    /// Start and length of what the compiled store checks let through to us: every address at which a store that
    /// reaches a watch can begin.
    pub(super) fn hull(&self) -> (u64, u64) {
        let start = self.watches.iter().map(|w| w.range.start).min().unwrap_or(0);
        let end = self.watches.iter().map(|w| w.range.end).max().unwrap_or(0);
        let start = start.saturating_sub(MAX_STORE - 1);
        (start, end - start.min(end))
    }

    /// The watches that a store to `stored` touched. `read` gives the present contents of a range.
    pub(super) fn touched(&mut self, stored: Range<u64>, mut read: impl FnMut(Range<u64>) -> Vec<u8>) -> Vec<Touched> {
        let mut touched = Vec::new();
        for watch in &mut self.watches {
            let overlap = watch.range.start.max(stored.start)..watch.range.end.min(stored.end);
            if overlap.is_empty() {
                continue;
            }
            let new = read(overlap.clone());
            let in_shadow = (overlap.start - watch.range.start) as usize..(overlap.end - watch.range.start) as usize;
            let old = watch.shadow[in_shadow.clone()].to_vec();
            watch.shadow[in_shadow].copy_from_slice(&new);
            touched.push(Touched { watch: watch.id, stop: watch.stop, address: overlap.start, old, new });
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps_from_both_sides() {
        let mut memory = [0u8; 64];
        let mut set = WatchSet::default();
        set.add(20..24, vec![0; 4]);
        set.add(30..31, vec![0]);
        assert_eq!(set.hull(), (5, 26));
        memory[18..26].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let read = |r: Range<u64>| memory[r.start as usize..r.end as usize].to_vec();
        assert_eq!(
            set.touched(18..26, read),
            [Touched { watch: WatchId(0), stop: false, address: 20, old: vec![0; 4], new: vec![3, 4, 5, 6] }]
        );
        assert_eq!(
            set.touched(23..24, read),
            [Touched { watch: WatchId(0), stop: false, address: 23, old: vec![6], new: vec![6] }],
            "a store of the same value is a store"
        );
        assert_eq!(set.touched(24..30, read), []);
        assert_eq!(set.touched(23..31, read).len(), 2);
    }
}

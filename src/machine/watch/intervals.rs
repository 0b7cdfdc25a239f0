//! Ranges that may overlap, found by what they overlap in O(log n).

use std::collections::HashSet;
use std::ops::Range;

use wkdb_debugger::inferior::WatchId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    start: u64,
    end: u64,
    id: WatchId,
}

/// A set of ranges, each with a name.
///
/// The entries are sorted; read as a balanced tree (the middle of a part is its root), each root knows the largest end of
/// its part. Changes are cheap and gathered: the next question after them sorts anew.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    entries: Vec<Entry>,
    /// The largest end among the entries of the part whose root is at the same place.
    max_end: Vec<u64>,
    fresh: Vec<Entry>,
    gone: HashSet<WatchId>,
}

impl Intervals {
    pub(super) fn insert(&mut self, range: &Range<u64>, id: WatchId) {
        self.fresh.push(Entry { start: range.start, end: range.end, id });
    }

    pub(super) fn remove(&mut self, id: WatchId) {
        self.gone.insert(id);
    }

    /// The ranges that share a byte with `range`, by name, ascending.
    pub(super) fn overlapping(&mut self, range: &Range<u64>) -> Vec<WatchId> {
        let mut found = Vec::new();
        if range.is_empty() {
            return found;
        }
        self.settle();
        self.search(0, self.entries.len(), range, &mut found);
        found.retain(|id| !self.gone.contains(id));
        found.sort_unstable();
        found
    }

    fn settle(&mut self) {
        // What is gone can stay in the tree for a while: one that is larger finds more, and that is sorted out.
        if self.fresh.is_empty() && self.gone.len() <= self.entries.len() / 2 {
            return;
        }
        self.entries.append(&mut self.fresh);
        let gone = std::mem::take(&mut self.gone);
        self.entries.retain(|entry| !gone.contains(&entry.id));
        self.entries.sort_unstable();
        self.max_end = vec![0; self.entries.len()];
        self.measure(0, self.entries.len());
    }

    fn measure(&mut self, from: usize, to: usize) -> u64 {
        if from >= to {
            return 0;
        }
        let root = from + (to - from) / 2;
        let below = self.measure(from, root).max(self.measure(root + 1, to));
        self.max_end[root] = below.max(self.entries[root].end);
        self.max_end[root]
    }

    fn search(&self, from: usize, to: usize, range: &Range<u64>, found: &mut Vec<WatchId>) {
        if from >= to {
            return;
        }
        let root = from + (to - from) / 2;
        if self.max_end[root] <= range.start {
            return;
        }
        self.search(from, root, range, found);
        let entry = self.entries[root];
        if entry.start < range.end {
            if entry.end > range.start {
                found.push(entry.id);
            }
            self.search(root + 1, to, range, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_look_at_all_finds(
            ranges in prop::collection::vec((0..200u64, prop_oneof![1..4u64, 1..300u64]), 1..60),
            removed in prop::collection::vec(0..60u32, 0..60),
            questions in prop::collection::vec((0..220u64, 0..20u64), 1..20),
        ) {
            let mut intervals = Intervals::default();
            let mut model = Vec::new();
            let (early, late) = removed.split_at(removed.len() / 2);
            for (id, (start, len)) in (0..).map(WatchId).zip(ranges) {
                intervals.insert(&(start..start + len), id);
                model.push((start..start + len, id));
            }
            for removed in [&[][..], early, late] {
                for &id in removed {
                    intervals.remove(WatchId(id));
                    model.retain(|(_, other)| other.0 != id);
                }
                for &(start, len) in &questions {
                    let asked = start..start + len;
                    let overlaps = |r: &Range<u64>| len > 0 && r.start < asked.end && asked.start < r.end;
                    let expected: Vec<_> = model.iter().filter(|(r, _)| overlaps(r)).map(|&(_, id)| id).collect();
                    prop_assert_eq!(intervals.overlapping(&asked), expected);
                }
            }
        }
    }
}

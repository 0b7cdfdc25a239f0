//! Ranges that may overlap, found by what they overlap in O(log n).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use wkdb_debugger::inferior::WatchId;

/// A set of ranges, each with a name.
///
/// They are kept by how long they are, in powers of two, and each kind by where they begin: one that reaches into a range
/// begins at most its kind's length before it. Most sets have few kinds, and a change costs as little as a question.
#[derive(Debug, Default)]
pub(super) struct Intervals {
    /// By the number of bits of their lengths: where they end, by where they begin, and their names.
    kinds: BTreeMap<u32, BTreeMap<(u64, WatchId), u64>>,
    all: BTreeMap<WatchId, Range<u64>>,
    /// What was asked last, and the answer: an access asks more than once.
    last: RefCell<Option<(Range<u64>, Vec<WatchId>)>>,
}

/// Short ranges are of one kind: shorter than this power of two.
const SHORT: u32 = 5;

/// The kind of a range: one more than the power of two that its length reaches.
fn kind(range: &Range<u64>) -> u32 {
    (u64::BITS - (range.end - range.start).leading_zeros()).max(SHORT)
}

impl Intervals {
    /// Adds a range that has a byte, under a name that no other has.
    pub(super) fn insert(&mut self, range: &Range<u64>, id: WatchId) {
        self.last.take();
        self.kinds.entry(kind(range)).or_default().insert((range.start, id), range.end);
        self.all.insert(id, range.clone());
    }

    pub(super) fn remove(&mut self, id: WatchId) {
        let Some(range) = self.all.remove(&id) else { return };
        self.last.take();
        let kind = kind(&range);
        if let Some(ranges) = self.kinds.get_mut(&kind) {
            ranges.remove(&(range.start, id));
            if ranges.is_empty() {
                self.kinds.remove(&kind);
            }
        }
    }

    /// The ranges that share a byte with `range`, by name, ascending.
    pub(super) fn overlapping(&self, range: &Range<u64>) -> Vec<WatchId> {
        let mut found = Vec::new();
        if range.is_empty() {
            return found;
        }
        if let Some((_, known)) = self.last.borrow().as_ref().filter(|(asked, _)| asked == range) {
            return known.clone();
        }
        for (kind, ranges) in &self.kinds {
            let longest = 1_u64.checked_shl(*kind).map_or(u64::MAX, |end| end - 1);
            let first = (range.start.saturating_sub(longest), WatchId(0));
            let near = ranges.range(first..(range.end, WatchId(0)));
            found.extend(near.filter(|(_, end)| **end > range.start).map(|((_, id), _)| *id));
        }
        found.sort_unstable();
        self.last.replace(Some((range.clone(), found.clone())));
        found
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

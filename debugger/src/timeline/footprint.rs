//! What a part of a run has done at least: where it need not be looked for what stops a run, or for writes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wkdb_tracer::Tick;

use crate::inferior::{WatchKind, WatchSpec};

/// Bytes of memory in a line.
pub const LINE: u64 = 64;

/// A write that begins in one line can reach so far, less one, into the next.
const WIDEST: u64 = 16;

/// Numbers, most of them near others: each entry has 64 of them, as bits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Marks(Vec<(u32, u64)>);

impl Marks {
    fn of(mut numbers: Vec<u32>) -> Marks {
        numbers.sort_unstable();
        let mut marks: Vec<(u32, u64)> = Vec::new();
        for number in numbers {
            let (word, bit) = (number / 64, 1 << (number % 64));
            match marks.last_mut() {
                Some((last, bits)) if *last == word => *bits |= bit,
                _ => marks.push((word, bit)),
            }
        }
        Marks(marks)
    }

    fn join(&mut self, other: &Marks) {
        let mut all = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        loop {
            let next = match (ours.peek(), theirs.peek()) {
                (Some(a), Some(b)) if a.0 == b.0 => {
                    let both = (a.0, a.1 | b.1);
                    ours.next();
                    theirs.next();
                    both
                }
                (Some(a), Some(b)) if a.0 > b.0 => {
                    let next = **b;
                    theirs.next();
                    next
                }
                (Some(a), _) => {
                    let next = **a;
                    ours.next();
                    next
                }
                (None, Some(b)) => {
                    let next = **b;
                    theirs.next();
                    next
                }
                (None, None) => break,
            };
            all.push(next);
        }
        self.0 = all;
    }

    /// Whether there is one from `first` to `last`.
    fn any(&self, first: u32, last: u32) -> bool {
        let from = self.0.partition_point(|(word, _)| *word < first / 64);
        let words = self.0[from..].iter().take_while(|(word, _)| *word <= last / 64);
        words.into_iter().any(|&(word, bits)| {
            let lowest = if word == first / 64 { first % 64 } else { 0 };
            let highest = if word == last / 64 { last % 64 } else { 63 };
            bits & (u64::MAX << lowest) & (u64::MAX >> (63 - highest)) != 0
        })
    }
}

/// A place in a function's code, by which footprints tell whether control may have come there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CodeMark {
    /// The function's number. Functions may share one.
    pub function: u32,
    /// The instruction's offset in the module's code.
    pub offset: u32,
    /// Whether it is part of a loop: only there control can come to what lies before it in the code.
    pub in_loop: bool,
}

/// The lines of memory that were written, and the functions that ran, in a part of a run; and perhaps more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    lines: Marks,
    /// Functions that were entered.
    functions: Marks,
    /// Where the calls stood that were under way when the part began, by function and offset.
    under_way: Vec<(u32, u32)>,
    /// Not all of those are known.
    any_under_way: bool,
    /// Of lines from here on, if there is such a line, nothing is known.
    end: Option<u64>,
}

impl Footprint {
    /// Of the lines (address divided by [`LINE`]) in which writes began, and the numbers of functions that were entered. Of
    /// lines from `end` on nothing is known.
    pub fn new(lines: Vec<u32>, end: u64, functions: Vec<u32>) -> Footprint {
        let (lines, functions) = (Marks::of(lines), Marks::of(functions));
        Footprint { lines, functions, end: Some(end), ..Footprint::default() }
    }

    /// Adds where calls stood that were under way when it began: function (its number) and offset; none if not all of them
    /// are known.
    pub fn with_under_way(mut self, calls: Option<&BTreeSet<(u32, u32)>>) -> Footprint {
        self.under_way = calls.into_iter().flatten().copied().collect();
        self.any_under_way = calls.is_none();
        self
    }

    /// Of two parts that follow each other.
    pub fn join(&mut self, other: &Footprint) {
        self.lines.join(&other.lines);
        self.functions.join(&other.functions);
        let all: BTreeSet<_> = self.under_way.iter().chain(&other.under_way).copied().collect();
        self.under_way = all.into_iter().collect();
        self.any_under_way |= other.any_under_way;
        self.end = match (self.end, other.end) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Whether one of these bytes may have been written.
    pub fn may_write(&self, address: u64, len: u64) -> bool {
        let first = address.saturating_sub(WIDEST - 1) / LINE;
        let last = address.saturating_add(len.saturating_sub(1)) / LINE;
        let known = |line: u64| u32::try_from(line).ok().filter(|_| self.end.is_none_or(|end| line < end));
        match (known(first), known(last)) {
            (Some(first), Some(last)) => len > 0 && self.lines.any(first, last),
            _ => true,
        }
    }

    /// Whether control may have come to this place.
    ///
    /// A call that was under way has not entered its function again. It can only come to what is behind it in the code, or in
    /// a loop.
    pub fn may_run(&self, place: &CodeMark) -> bool {
        let comes =
            |&(function, offset): &(u32, u32)| function == place.function && (place.in_loop || offset <= place.offset);
        self.any_under_way || self.functions.any(place.function, place.function) || self.under_way.iter().any(comes)
    }

    /// Whether this watch may have been hit.
    pub(super) fn may_touch(&self, watch: &WatchSpec) -> bool {
        watch.kind != WatchKind::Write || self.may_write(watch.address, watch.len)
    }
}

/// Hits of breakpoints and watches that were counted, and stopped nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surveyed {
    /// How many.
    pub count: u64,
    /// The ticks in which the last ones were, the earliest first.
    pub last: Vec<Tick>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_footprint_has_all_that_was_noted_and_nothing_that_is_far_from_it(
            parts in prop::collection::vec(prop::collection::vec(0..500u64, 0..40), 1..4),
            asked in prop::collection::vec((0..40_000u64, 0..200u64), 1..30),
        ) {
            let of = |lines: &[u64]| {
                let lines: Vec<u32> = lines.iter().map(|line| *line as u32).collect();
                Footprint::new(lines.clone(), 1000, lines)
            };
            let mut joined = of(&parts[0]);
            parts[1..].iter().for_each(|part| joined.join(&of(part)));
            let all: BTreeSet<u64> = parts.into_iter().flatten().collect();
            for (address, len) in asked {
                let near = |line: &u64| line * LINE < address + len && (line + 1) * LINE + WIDEST - 1 > address;
                prop_assert_eq!(joined.may_write(address, len), len > 0 && all.iter().any(near));
                let function = (address % 600) as u32;
                let place = CodeMark { function, offset: 0, in_loop: true };
                prop_assert_eq!(joined.may_run(&place), all.contains(&u64::from(function)));
            }
            prop_assert!(joined.may_write(1000 * LINE, 1), "nothing is known of it");
            prop_assert!(joined.may_write(u64::MAX - 3, 4));
        }
    }

    #[test]
    fn calls_that_were_under_way_come_to_what_is_behind_them_or_in_a_loop() {
        let footprint = |calls: &[(u32, u32)]| {
            Footprint::new(Vec::new(), 1, vec![7]).with_under_way(Some(&calls.iter().copied().collect()))
        };
        let at = |function, offset, in_loop| CodeMark { function, offset, in_loop };
        let mut part = footprint(&[(3, 100), (4, 50)]);
        assert!(part.may_run(&at(7, 5, false)), "it was entered");
        assert!(!part.may_run(&at(3, 99, false)), "that call is behind it");
        assert!(part.may_run(&at(3, 99, true)) && part.may_run(&at(3, 100, false)) && part.may_run(&at(3, 101, false)));
        assert!(!part.may_run(&at(5, 60, true)), "there is none in it");
        part.join(&footprint(&[(3, 90)]));
        assert!(part.may_run(&at(3, 99, false)) && !part.may_run(&at(3, 89, false)) && part.may_run(&at(4, 50, false)));
        part.join(&Footprint::new(Vec::new(), 1, Vec::new()).with_under_way(None));
        assert!(part.may_run(&at(5, 60, false)), "anything may have been under way");
    }
}

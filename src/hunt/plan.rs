//! Which seeds a hunt runs, and in which order.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Seeds one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedRange(pub Range<u64>);

/// Seeds that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no seeds: give how many (100 is 0 to 99), or a range of them (100..200, without the last)")]
pub struct SeedRangeError(String);

impl FromStr for SeedRange {
    type Err = SeedRangeError;

    /// Reads `100` or `100..200`.
    fn from_str(text: &str) -> Result<Self, SeedRangeError> {
        let number = |text: &str| text.replace('_', "").parse::<u64>().ok();
        let range = match text.split_once("..") {
            Some((from, to)) => number(from).zip(number(to)).map(|(from, to)| from..to),
            None => number(text).map(|n| 0..n),
        };
        range.filter(|range| !range.is_empty()).map(SeedRange).ok_or_else(|| SeedRangeError(text.to_owned()))
    }
}

/// Which of several equal parts of a hunt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1 on.
    pub number: u64,
    /// How many there are; not 0.
    pub of: u64,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Shard = Shard { number: 1, of: 1 };

    /// Whether a seed is in this part.
    pub fn has(self, seed: u64) -> bool {
        seed % self.of == self.number - 1
    }
}

/// A part that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no part of a hunt: write 1/4 to 4/4 for four parts")]
pub struct ShardError(String);

impl FromStr for Shard {
    type Err = ShardError;

    /// Reads `2/4`.
    fn from_str(text: &str) -> Result<Self, ShardError> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        let shard = parts.map(|(number, of)| Shard { number, of });
        shard.filter(|shard| (1..=shard.of).contains(&shard.number)).ok_or_else(|| ShardError(text.to_owned()))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// What a hunt is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The seeds.
    pub seeds: SeedRange,
    /// Which of them.
    pub shard: Shard,
    /// How many machine processes at a time; not 0.
    pub jobs: usize,
    /// End at the first seed that goes wrong: none after it counts.
    pub until_bad: bool,
}

impl Plan {
    /// Whether the plan names this seed.
    pub fn has(&self, seed: u64) -> bool {
        self.seeds.0.contains(&seed) && self.shard.has(seed)
    }

    /// How many seeds it names.
    pub fn count(&self) -> u64 {
        // Seeds below a number that are in the part.
        let below = |n: u64| n / self.shard.of + u64::from(n % self.shard.of >= self.shard.number);
        below(self.seeds.0.end) - below(self.seeds.0.start)
    }
}

/// Hands out seeds, each once, the lowest first.
#[derive(Debug)]
pub struct Seeds {
    next: Option<u64>,
    end: u64,
    shard: Shard,
    done: BTreeSet<u64>,
}

impl Seeds {
    /// The plan's, but for those that are done.
    pub fn new(plan: &Plan, done: BTreeSet<u64>) -> Self {
        let Range { start, end } = plan.seeds.0;
        let behind = (plan.shard.number - 1 + plan.shard.of - start % plan.shard.of) % plan.shard.of;
        Seeds { next: start.checked_add(behind), end, shard: plan.shard, done }
    }

    /// The next one, if it is below `limit`.
    pub fn next_below(&mut self, limit: u64) -> Option<u64> {
        loop {
            let seed = self.next.filter(|&seed| seed < self.end.min(limit))?;
            self.next = seed.checked_add(self.shard.of);
            if !self.done.remove(&seed) {
                return Some(seed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(seeds: &str, shard: &str) -> Plan {
        Plan { seeds: seeds.parse().unwrap(), shard: shard.parse().unwrap(), jobs: 1, until_bad: false }
    }

    fn all(plan: &Plan, done: &[u64]) -> Vec<u64> {
        let mut seeds = Seeds::new(plan, done.iter().copied().collect());
        std::iter::from_fn(|| seeds.next_below(u64::MAX)).collect()
    }

    #[test]
    fn parts_are_all_of_it_and_no_seed_is_in_two() {
        for seeds in ["100", "7..8", "13..57", "1_000..1_010", "18446744073709551610..18446744073709551615"] {
            for of in [1, 2, 3, 7, 200] {
                let mut joined = Vec::new();
                for number in 1..=of {
                    let plan = plan(seeds, &format!("{number}/{of}"));
                    let part = all(&plan, &[]);
                    assert_eq!(part.len() as u64, plan.count(), "{plan:?}");
                    assert!(part.iter().all(|&seed| plan.has(seed)));
                    joined.extend(part);
                }
                joined.sort_unstable();
                assert_eq!(joined, all(&plan(seeds, "1/1"), &[]), "{seeds} in {of} parts");
            }
        }
    }

    #[test]
    fn what_is_done_is_not_done_again_and_limits_are_kept() {
        assert_eq!(all(&plan("6", "1/1"), &[0, 3, 4, 77]), [1, 2, 5]);
        let mut seeds = Seeds::new(&plan("10", "1/1"), BTreeSet::new());
        assert_eq!((seeds.next_below(1), seeds.next_below(1)), (Some(0), None));
        assert_eq!(seeds.next_below(5), Some(1), "a limit passes nothing over");
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in ["", "0", "5..5", "9..3", "x", "-1", "1...3", "99999999999999999999"] {
            assert!(text.parse::<SeedRange>().is_err(), "{text}");
        }
        for text in ["", "0/3", "4/3", "1", "1/0", "a/b", "1/2/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}

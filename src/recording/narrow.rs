//! Finds the slice in which two runs that should be one part ways.
//!
//! A run is made again and again, each time with checks at more places between the last that was equal and the first
//! that was not.

use wkdb_tracer::recording::{Check, Position};

/// Places looked at in one run. A check of memory takes milliseconds, so a run with these takes about twice as long.
const PLACES: u64 = 64;

/// Where two runs part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parting {
    /// The last place at which they are known to be one.
    pub same: Position,
    /// The first at which they are two: a slice later, unless one of them ended before.
    pub differ: [Position; 2],
    /// What they are there.
    pub checks: [Check; 2],
}

/// What a run is at the places asked for, which are numbers of slices; where it ends before the last of them, up to
/// there, and then what it is at its end.
pub type Probe<'a, E> = &'a mut dyn FnMut(&[u64]) -> Result<Vec<(Position, Check)>, E>;

/// Narrows down where two runs part, that are one at `same` and are to be compared up to the slice `end`. None where
/// they are one up to there.
///
/// # Errors
///
/// What the runs fail with.
pub fn narrow<E>(same: Position, end: u64, one: Probe<'_, E>, other: Probe<'_, E>) -> Result<Option<Parting>, E> {
    let mut same = same;
    let mut parting: Option<Parting> = None;
    loop {
        let end = parting.map_or(end, |parting| parting.differ[0].slices.min(parting.differ[1].slices));
        let places = places(same.slices, end, parting.is_none());
        if places.is_empty() {
            return Ok(parting.map(|parting| Parting { same, ..parting }));
        }
        let (ours, theirs) = (one(&places)?, other(&places)?);
        let first = ours.iter().zip(&theirs).find(|(one, other)| one != other);
        let before = |slices: u64| ours.iter().rev().find(|(at, _)| at.slices < slices).map(|(at, _)| *at);
        match first {
            Some((&(at_one, one), &(at_other, other))) => {
                same = before(at_one.slices).unwrap_or(same);
                parting = Some(Parting { same, differ: [at_one, at_other], checks: [one, other] });
            }
            None => {
                let compared = ours.len().min(theirs.len());
                same = compared.checked_sub(1).and_then(|last| ours.get(last)).map_or(same, |(at, _)| *at);
                if parting.is_none() {
                    return Ok(None);
                }
            }
        }
    }
}

/// Places between two, and the last one itself if that is not known to differ.
fn places(same: u64, end: u64, with_end: bool) -> Vec<u64> {
    let between = end.saturating_sub(same);
    let count = between.min(PLACES);
    let last = if with_end { count } else { count.saturating_sub(1) };
    (1..=last).map(|n| same + (u128::from(between) * u128::from(n) / u128::from(count.max(1))) as u64).collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn run(places: &[u64], parts_at: u64) -> Result<Vec<(Position, Check)>, Infallible> {
        let check = |&slices: &u64| {
            let position = Position { slices, ..Position::default() };
            (position, Check { memory: Some(u64::from(slices >= parts_at)), schedule: slices, console: 0 })
        };
        Ok(places.iter().map(check).collect())
    }

    #[test]
    fn the_slice_is_found_in_few_runs() {
        for (from, end) in [(0u64, 1u64), (0, 100), (17, 1_000_000), (5, 1 << 40)] {
            for parts_at in [from + 1, from + (end - from).div_ceil(3), end] {
                let mut runs = 0;
                let mut other = |places: &[u64]| {
                    runs += 1;
                    run(places, parts_at)
                };
                let same = Position { slices: from, ..Position::default() };
                let found = narrow(same, end, &mut |places| run(places, u64::MAX), &mut other).unwrap().unwrap();
                assert_eq!(found.differ.map(|at| at.slices), [parts_at; 2], "{from}..{end}");
                assert_eq!(found.same.slices, parts_at - 1);
                assert_eq!(found.checks.map(|check| check.memory), [Some(0), Some(1)]);
                assert!(runs <= 8, "{runs} runs for {from}..{end}");
            }
        }
    }

    #[test]
    fn runs_that_are_one_do_not_part() {
        let one = &mut |places: &[u64]| run(places, u64::MAX);
        let other = &mut |places: &[u64]| run(places, u64::MAX);
        assert_eq!(narrow(Position::default(), 1000, one, other), Ok(None));
    }
}

//! Copies near to what was gone to last.

use wkdb_tracer::Tick;

use super::Branch;
use super::job::Car;

/// So many are kept.
const MOST: usize = 6;

/// A way that is not longer than this, in ticks, needs no copies: some milliseconds.
const SHORT: u64 = 200_000;

/// A few copies, the last ones made.
pub(super) struct Near<B> {
    /// With what each costs, in bytes, once that was looked at.
    cars: Vec<(Car<B>, Option<u64>)>,
}

impl<B: Branch> Near<B> {
    pub(super) fn new() -> Self {
        Near { cars: Vec::new() }
    }

    /// Where copies are left on the way to a tick: nearer and nearer to it.
    pub(super) fn marks(from: Tick, to: Tick) -> Vec<Tick> {
        let mut marks = Vec::new();
        let mut left = to.0.saturating_sub(from.0);
        while left > 2 * SHORT {
            left = (left / 16).max(SHORT);
            marks.push(Tick(to.0 - left));
        }
        marks
    }

    /// Keeps a copy; the oldest goes where there are many.
    pub(super) fn keep(&mut self, car: Car<B>) {
        if self.cars.len() == MOST {
            self.cars.remove(0);
        }
        self.cars.push((car, None));
    }

    /// What they cost, in bytes.
    pub(super) fn cost(&mut self) -> u64 {
        self.cars.iter_mut().map(|(car, cost)| *cost.get_or_insert_with(|| car.branch.cost())).sum()
    }

    /// Gives up the oldest: false if there is none.
    pub(super) fn give_up(&mut self) -> bool {
        if self.cars.is_empty() {
            return false;
        }
        self.cars.remove(0);
        true
    }

    /// A copy of the one that is nearest before `tick`, if it is not before `kept`.
    pub(super) fn copy(&mut self, tick: Tick, kept: Tick) -> Option<Car<B>> {
        let at = |car: &Car<B>| car.stop().ok().map(|stop| stop.tick).filter(|at| *at <= tick && *at > kept);
        let (place, _) =
            self.cars.iter().enumerate().filter_map(|(n, (car, _))| Some((n, at(car)?))).max_by_key(|(_, at)| *at)?;
        let copy = self.cars.get_mut(place)?.0.fork();
        if copy.is_err() {
            // It is gone.
            self.cars.remove(place);
        }
        copy.ok()
    }

    /// Gives up all.
    pub(super) fn clear(&mut self) {
        self.cars.clear();
    }
}

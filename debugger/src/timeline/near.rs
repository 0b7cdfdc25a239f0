//! Copies near to what was gone to last.

use wkdb_tracer::Tick;

use super::Branch;
use super::job::Car;

/// So many are kept.
const MOST: usize = 6;

/// A way that is not longer than this, in ticks, needs no copies: some milliseconds.
const SHORT: u64 = 200_000;

/// A few copies, the last ones made.
pub(super) struct Near<B>(Vec<Car<B>>);

impl<B: Branch> Near<B> {
    pub(super) fn new() -> Self {
        Near(Vec::new())
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
        if self.0.len() == MOST {
            self.0.remove(0);
        }
        self.0.push(car);
    }

    /// A copy of the one that is nearest before `tick`, if it is not before `kept`.
    pub(super) fn copy(&mut self, tick: Tick, kept: Tick) -> Option<Car<B>> {
        let at = |car: &Car<B>| car.stop().ok().map(|stop| stop.tick).filter(|at| *at <= tick && *at > kept);
        let (place, _) =
            self.0.iter().enumerate().filter_map(|(n, car)| Some((n, at(car)?))).max_by_key(|(_, at)| *at)?;
        let copy = self.0.get_mut(place)?.fork();
        if copy.is_err() {
            // It is gone.
            self.0.remove(place);
        }
        copy.ok()
    }

    /// Gives up all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

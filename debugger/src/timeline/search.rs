//! Writes in the past: found by running copies of it with the memory watched.

use std::ops::ControlFlow;

use wkdb_tracer::{Tick, WatchHit};

use super::backward::{Arrived, Past, There};
use super::job::{Halt, Limit, Wanted};
use super::survey::{Sought, Spot};
use super::{Branch, Position};
use crate::inferior::{
    Found, InferiorError, Search, SearchEnd, Stop, StopReason, WatchCondition, WatchId, WatchKind, WatchSpec, Writes,
};

/// A name that a debugger's own never have.
const OWN_WATCH: WatchId = WatchId(u32::MAX);

/// A watch of writes into a range.
fn watching(address: u64, len: u64, stop: bool) -> Wanted {
    let condition = WatchCondition::default();
    let spec = WatchSpec { address, len, kind: WatchKind::Write, condition, stop };
    Wanted { breakpoints: Vec::new(), watches: vec![(OWN_WATCH, spec)] }
}

/// A hit by the search's own name, whatever the copy that told of it calls its watch: equal hits are equal.
fn own(hit: WatchHit) -> WatchHit {
    WatchHit { watch: OWN_WATCH.0, ..hit }
}

fn logging(address: u64, len: u64) -> Wanted {
    watching(address, len, false)
}

fn stopping(address: u64, len: u64) -> Wanted {
    watching(address, len, true)
}

impl<B: Branch> Past<'_, B> {
    /// The last write into a range before `from`: told. Gives where it is, as which of the writes from there on.
    fn find_last_write(
        &mut self,
        from: &Position,
        address: u64,
        len: u64,
        found: &mut Found,
    ) -> Result<Option<(Spot<B>, usize)>, Halt> {
        let wanted = logging(address, len);
        let Some(mut spot) = self.last_spot(&Limit::before(from), &wanted, Sought::Hits)? else { return Ok(None) };
        let mut car = spot.car.fork()?;
        car.sync(&wanted)?;
        let (mut count, mut last) = (0, None);
        car.run_to_hearing(&spot.limit, self.signals, |_| ControlFlow::Continue(()), &mut |hit| {
            count += 1;
            last = Some(own(hit));
        })?;
        let lost = || InferiorError::Refused("a copy of the run did not write what another one did".into());
        found.writes = vec![last.ok_or_else(lost)?];
        found.count = 1;
        Ok(Some((spot, count)))
    }

    /// The last write into a range before `from`.
    pub(super) fn last_write(
        &mut self,
        from: &Position,
        address: u64,
        len: u64,
        found: &mut Found,
    ) -> Result<(), Halt> {
        self.find_last_write(from, address, len, found).map(|_| ())
    }

    /// Behind the last write into a range before `from`; without one, the start of history.
    pub(super) fn go_to_last_write(&mut self, from: &Position, address: u64, len: u64) -> There<B> {
        let search = Search { address, len, which: Writes::Last };
        let mut found = Found { search, writes: Vec::new(), count: 0, ending: SearchEnd::Complete };
        match self.find_last_write(from, address, len, &mut found)? {
            Some((Spot { mut car, .. }, count)) => {
                car.sync(&stopping(address, len))?;
                let mut met = 0;
                let stop = car.run_to(&Limit::before(from), self.signals, |stop| {
                    // The host writes several times at once.
                    met += if let StopReason::Watch(hits) = &stop.reason { hits.len() } else { 0 };
                    if met >= count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })?;
                let stop = match stop {
                    Some(stop) => stop,
                    // It is what led to where the search began.
                    None => {
                        let hits = found.writes.into_iter().map(|hit| (OWN_WATCH, hit)).collect();
                        Stop { reason: StopReason::Watch(hits), ..car.stop()?.clone() }
                    }
                };
                car.sync(self.wanted)?;
                Ok(Arrived { car, stop })
            }
            None => self.origin(),
        }
    }

    /// All writes into a range before `to`, from the newest part of history to the oldest: they are counted, and the last
    /// `most` told.
    pub(super) fn all_writes(
        &mut self,
        to: &Position,
        address: u64,
        len: u64,
        most: usize,
        found: &mut Found,
    ) -> Result<(), Halt> {
        let wanted = logging(address, len);
        let traces = self.traces(&wanted, Sought::Hits)?;
        let first = self.first();
        self.signals.expect(to.tick.0 - first.0.min(to.tick.0));
        let mut limit = *to;
        let mut place = self.checkpoints.before(to.tick);
        loop {
            let start = match self.may_be_behind(place, &traces)? {
                true => self.writes_behind(place, &limit, &wanted, most, found)?,
                false => self.start_of(place)?,
            };
            self.signals.came(to.tick.0.saturating_sub(start.tick.0));
            if start.tick <= first {
                return Ok(());
            }
            // A checkpoint may be gone since.
            place = self.checkpoints.at_or_after(start.tick).saturating_sub(1);
            limit = start;
        }
    }

    /// Adds the writes between a checkpoint and `limit` in front of those that were found. Gives where it began.
    fn writes_behind(
        &mut self,
        place: usize,
        limit: &Position,
        wanted: &Wanted,
        most: usize,
        found: &mut Found,
    ) -> Result<Position, Halt> {
        let mut car = self.copy(place)?;
        let start = car.position()?;
        car.sync(wanted)?;
        // Of most of them it is enough to count them.
        let room = most - found.writes.len();
        let counted = car.count_to_tick(Tick(limit.tick.0.saturating_sub(1)), room, self.signals)?;
        let mut last = Vec::new();
        car.run_to_hearing(&Limit::before(limit), self.signals, |_| ControlFlow::Continue(()), &mut |hit| {
            last.push(own(hit))
        })?;
        found.count += counted.count + last.len() as u64;
        let mut told = last.split_off(last.len().saturating_sub(room));
        let missing = (room - told.len()).min(counted.last.len());
        if missing > 0 {
            let from = counted.last[counted.last.len() - missing];
            let mut told_before = self.told_between(place, from, limit.tick, wanted)?;
            if told_before.len() < missing {
                // They did not know how far the clock was.
                told_before = self.told_between(place, start.tick, limit.tick, wanted)?;
            }
            let mut told_before = told_before.split_off(told_before.len().saturating_sub(missing));
            told_before.append(&mut told);
            told = told_before;
        }
        told.append(&mut found.writes);
        found.writes = told;
        Ok(start)
    }

    /// The writes from a tick behind a checkpoint to another tick.
    fn told_between(&mut self, place: usize, from: Tick, to: Tick, wanted: &Wanted) -> Result<Vec<WatchHit>, Halt> {
        let mut car = self.copy(place)?;
        car.run_to_tick(from, self.signals)?;
        car.sync(wanted)?;
        let mut told = Vec::new();
        car.run_to_tick_hearing(to, self.signals, &mut |hit| told.push(own(hit)))?;
        Ok(told)
    }
}

//! Writes in the past: found by running copies of it with the memory watched.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use wkdb_tracer::{Tick, WatchHit};

use super::backward::{Arrived, Past, There};
use super::job::{Halt, Wanted};
use super::{Branch, Position};
use crate::inferior::{
    Found, Search, SearchEnd, Stop, StopReason, WatchCondition, WatchId, WatchKind, WatchSpec, Writes,
};

/// A name that a debugger's own never have.
const OWN_WATCH: WatchId = WatchId(u32::MAX);

/// A watch of writes into a range.
fn watching(address: u64, len: u64, stop: bool) -> Wanted {
    let condition = WatchCondition::default();
    let spec = WatchSpec { address, len, kind: WatchKind::Write, condition, stop };
    Wanted { breakpoints: Vec::new(), watches: vec![(OWN_WATCH, spec)] }
}

fn logging(address: u64, len: u64) -> Wanted {
    watching(address, len, false)
}

fn stopping(address: u64, len: u64) -> Wanted {
    watching(address, len, true)
}

impl<B: Branch> Past<'_, B> {
    /// The last write into a range before `from`: told, and in which interval between checkpoints it is, as which of the
    /// writes there.
    fn find_last_write(
        &mut self,
        from: &Position,
        address: u64,
        len: u64,
        found: &mut Found,
    ) -> Result<Option<(usize, usize)>, Halt> {
        let wanted = logging(address, len);
        let mut limit = *from;
        let mut place = self.checkpoints.before(from.tick);
        let first = self.first();
        self.signals.expect(from.tick.0 - first.0.min(from.tick.0));
        loop {
            let mut car = self.copy(place)?;
            car.sync(&wanted)?;
            let start = car.position()?;
            let (mut count, mut last) = (0, None);
            car.run_to_hearing(&limit, self.signals, |_| ControlFlow::Continue(()), &mut |hit| {
                count += 1;
                last = Some(hit);
            })?;
            self.signals.came(from.tick.0.saturating_sub(start.tick.0));
            if let Some(hit) = last {
                found.count = 1;
                found.writes = vec![hit];
                return Ok(Some((place, count)));
            }
            if place == 0 {
                return Ok(None);
            }
            limit = start;
            place -= 1;
        }
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
            Some((place, count)) => {
                let mut car = self.copy(place)?;
                car.sync(&stopping(address, len))?;
                let mut met = 0;
                let stop = car.run_to(from, self.signals, |stop| {
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

    /// All writes into a range before `to`, from the start of history on: they are counted, and the last `most` told.
    pub(super) fn all_writes(
        &mut self,
        to: &Position,
        address: u64,
        len: u64,
        most: usize,
        found: &mut Found,
    ) -> Result<(), Halt> {
        let mut car = self.copy(0)?;
        car.sync(&logging(address, len))?;
        let first = self.first();
        self.signals.expect(to.tick.0 - first.0.min(to.tick.0));
        let (mut last, mut count) = (VecDeque::new(), 0);
        let mut keep = |hit: WatchHit| {
            count += 1;
            if last.len() == most {
                last.pop_front();
            }
            if most > 0 {
                last.push_back(hit);
            }
        };
        let mut ran = || -> Result<(), Halt> {
            // In parts, to be able to say how far it is.
            let part = (to.tick.0 - first.0.min(to.tick.0)) / 100 + 1;
            loop {
                let here = car.position()?;
                self.signals.came(here.tick.0 - first.0.min(here.tick.0));
                let next = Tick(here.tick.0 + part);
                if next >= to.tick {
                    break;
                }
                car.run_to_tick_hearing(next, self.signals, &mut keep)?;
            }
            car.run_to_hearing(to, self.signals, |_| ControlFlow::Continue(()), &mut keep)?;
            Ok(())
        };
        let ended = ran();
        found.count = count;
        found.writes = last.into();
        ended
    }
}

//! Looking for the last of what stops a run, or is written: in the newest part of history that may have it.
//!
//! ```text
//!   checkpoint          checkpoint          checkpoint       from
//!      ●───────────────────●───────────────────●─────────────◆
//!       ╰ its footprint:    ╰ its footprint:    ╰ runs again, and counts: in which tick was the last?
//!         not looked at       cannot be here        ╰ from a copy shortly before that tick: which one exactly?
//! ```
//!
//! What a footprint says cannot be in a part of history is not looked for there. Where there may be something, a copy runs
//! that only counts: stopping at each of thousands would take much longer than running. It does so in pieces; where much is
//! met in one, the rest is only run through, and looked at from its end.

use std::ops::ControlFlow;

use wkdb_tracer::{GuestTime, Tick, WatchHit};

use super::backward::Past;
use super::job::{Car, Edge, Halt, Limit, Wanted};
use super::{Branch, CodeMark, Footprint, Position};

/// A part of history is run through in so many pieces, behind which it is asked what was met.
const PIECES: u64 = 8;

/// No piece is shorter, in ticks: a copy at its start would cost more than it saves.
const SHORTEST: u64 = 500_000;

/// What is met so often in a piece will be met in the last one too: all others need not be looked at.
const OFTEN: u64 = 500;

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sought {
    /// What would stop a run, before a point.
    Stops,
    /// What watches tell of, up to a point.
    Hits,
}

/// Where the last of something is: within a tick.
pub(super) struct Spot<B> {
    /// A copy at the start of that tick, at nothing that would stop it.
    pub(super) car: Car<B>,
    /// The last is before this point, or at it.
    pub(super) limit: Limit,
}

/// What cannot be where a footprint does not have it.
pub(super) struct Traces {
    wanted: Wanted,
    /// The marks of all breakpoints, if all are known.
    places: Option<Vec<CodeMark>>,
}

impl Traces {
    fn may_be_in(&self, footprint: &Footprint) -> bool {
        let runs = self.places.as_ref().is_none_or(|marks| marks.iter().any(|mark| footprint.may_run(mark)));
        runs || self.wanted.watches.iter().any(|(_, watch)| footprint.may_touch(watch))
    }
}

impl<B: Branch> Past<'_, B> {
    /// What footprints can tell of `wanted`.
    pub(super) fn traces(&mut self, wanted: &Wanted, sought: Sought) -> Result<Traces, Halt> {
        let mut places = Some(Vec::new());
        for (_, breakpoint) in &wanted.breakpoints {
            let mark = match self.present.as_deref_mut() {
                Some(present) => present.mark(breakpoint.address)?,
                None => None,
            };
            match (mark, &mut places) {
                (Some(mark), Some(marks)) => marks.push(mark),
                _ => places = None,
            }
        }
        let stops = |stop: bool| stop || sought == Sought::Hits;
        let watches = wanted.watches.iter().filter(|(_, watch)| stops(watch.stop)).cloned().collect();
        Ok(Traces { wanted: Wanted { breakpoints: wanted.breakpoints.clone(), watches }, places })
    }

    /// Whether it may be between a checkpoint and the next one, or the present.
    pub(super) fn may_be_behind(&mut self, place: usize, traces: &Traces) -> Result<bool, Halt> {
        let Some(footprint) = self.checkpoints.footprint(place) else { return Ok(true) };
        if traces.may_be_in(footprint) || !self.checkpoints.is_newest(place) {
            return Ok(traces.may_be_in(footprint));
        }
        // That part of history goes on.
        let now = match self.present.as_deref_mut() {
            Some(present) => present.footprint(false)?,
            None => None,
        };
        Ok(now.is_none_or(|footprint| traces.may_be_in(&footprint)))
    }

    /// Where the last of `wanted` is before `from`, in the parts of history from the newest to the oldest.
    pub(super) fn last_spot(&mut self, from: &Limit, wanted: &Wanted, sought: Sought) -> Result<Option<Spot<B>>, Halt> {
        let traces = self.traces(wanted, sought)?;
        let mut limit = *from;
        let end = from.at.tick;
        let mut place = self.checkpoints.before(end);
        let first = self.first();
        self.signals.expect(end.0 - first.0.min(end.0));
        loop {
            let (start, spot) = match self.may_be_behind(place, &traces)? {
                true => self.spot_behind(place, &limit, &traces.wanted, sought)?,
                false => (self.start_of(place)?, None),
            };
            self.signals.came(end.0.saturating_sub(start.tick.0));
            if spot.is_some() || start.tick <= first {
                return Ok(spot);
            }
            // A checkpoint may be gone since.
            place = self.checkpoints.at_or_after(start.tick).saturating_sub(1);
            // A checkpoint may have been made at a stop: that was before it.
            let edge = match start.at_instruction {
                true if start.same_place(&from.at) => from.edge,
                true => Edge::Closed,
                false => Edge::Open,
            };
            limit = Limit { at: start, edge };
        }
    }

    /// Where a checkpoint is.
    pub(super) fn start_of(&mut self, place: usize) -> Result<Position, Halt> {
        let lost = || crate::inferior::InferiorError::Gone("the start of history".into());
        self.checkpoints.get_mut(place).ok_or_else(lost)?.car.position()
    }

    /// Where the last one is between a checkpoint, or an earlier one if that is gone, and `limit`; and where that began.
    fn spot_behind(
        &mut self,
        place: usize,
        limit: &Limit,
        wanted: &Wanted,
        sought: Sought,
    ) -> Result<(Position, Option<Spot<B>>), Halt> {
        let mut car = self.copy(place)?;
        car.sync(wanted)?;
        let start = car.position()?;
        // A run may have ended at the start of the last tick: then it does not stop there.
        let found = self.last_tick(&mut car, Tick(limit.at.tick.0.saturating_sub(1)), wanted)?;
        // In the last ticks it depends on where the limit is.
        let mut end = car.fork()?;
        if self.meets(&mut car, limit, sought)? {
            end.sync(&Wanted::default())?;
            return Ok((start, Some(Spot { car: end, limit: *limit })));
        }
        let Some((mut before, tick)) = found else { return Ok((start, None)) };
        before.sync(&Wanted::default())?;
        // Steps from there on lead before that tick.
        self.near.keep(before.fork()?);
        self.approach(&mut before, tick)?;
        let mut test = before.fork()?;
        test.sync(wanted)?;
        let next = Tick(tick.0 + 1);
        let start_of_next =
            Position { tick: next, time: GuestTime(0), runner: None, address: None, at_instruction: false };
        let behind = if next < limit.at.tick { Limit::before(&start_of_next) } else { *limit };
        if self.meets(&mut test, &behind, sought)? {
            return Ok((start, Some(Spot { car: before, limit: behind })));
        }
        // It did not know how far the clock was: it is somewhere in that part of history.
        Ok((start, Some(Spot { car: self.copy(place)?, limit: *limit })))
    }

    /// Lets a car, which has been told what to look for, run to a tick without stopping, and stay there. Gives the tick of
    /// the last one that was met, and a copy at a place before it.
    fn last_tick(&mut self, car: &mut Car<B>, tick: Tick, wanted: &Wanted) -> Result<Option<(Car<B>, Tick)>, Halt> {
        let mut found = None;
        let piece = ((tick.0.saturating_sub(car.stop()?.tick.0)) / PIECES).max(SHORTEST);
        let mut often = false;
        while car.stop()?.tick < tick && !often {
            let start = car.fork()?;
            let counted = car.count_to_tick(end_of_piece(&start, piece, tick)?, 1, self.signals)?;
            often = counted.count > OFTEN;
            if let Some(last) = counted.last.last() {
                found = Some((start, *last));
            }
        }
        // The rest is run through without stopping at anything, and looked at from its end.
        car.sync(&Wanted::default())?;
        let mut starts = Vec::new();
        while car.stop()?.tick < tick {
            starts.push(car.fork()?);
            car.run_to_tick(end_of_piece(car, piece, tick)?, self.signals)?;
        }
        car.sync(wanted)?;
        for mut start in starts.into_iter().rev() {
            let mut counting = start.fork()?;
            counting.sync(wanted)?;
            let end = end_of_piece(&start, piece, tick)?;
            if let Some(last) = counting.count_to_tick(end, 1, self.signals)?.last.last() {
                return Ok(Some((start, *last)));
            }
        }
        Ok(found)
    }

    /// Whether something is met on the way to `limit`.
    fn meets(&self, car: &mut Car<B>, limit: &Limit, sought: Sought) -> Result<bool, Halt> {
        let (mut stops, mut hits) = (false, false);
        car.run_to_hearing(
            limit,
            self.signals,
            |_| {
                stops = true;
                ControlFlow::Continue(())
            },
            &mut |_: WatchHit| hits = true,
        )?;
        Ok(if sought == Sought::Stops { stops } else { hits })
    }
}

/// Where the piece ends that begins where a car is.
fn end_of_piece<B: Branch>(car: &Car<B>, piece: u64, end: Tick) -> Result<Tick, Halt> {
    Ok(Tick(car.stop()?.tick.0.saturating_add(piece).min(end.0)))
}

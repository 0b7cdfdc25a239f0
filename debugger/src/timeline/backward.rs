//! Where a run was before: found by running copies of it.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};

use wkdb_tracer::{CodeAddress, CodeOffset, Frame, GuestTime, RunnerId, Tick, WatchHit};

use super::checkpoints::Checkpoints;
use super::engine::Signals;
use super::job::{Car, Halt, Wanted};
use super::{Branch, Position};
use crate::inferior::{
    BreakpointId, BreakpointSpec, Found, InferiorError, Resume, Search, SearchEnd, StepKind, Stop, StopReason,
    WatchCondition, WatchId, WatchKind, WatchSpec, Writes,
};

/// A copy of the run, stopped where it was to go.
pub(super) struct Arrived<B> {
    pub(super) car: Car<B>,
    pub(super) stop: Stop,
}

type There<B> = Result<Arrived<B>, Halt>;

/// Names that a debugger's own never have.
const OWN_WATCH: WatchId = WatchId(u32::MAX);
const OWN_BREAKPOINT: BreakpointId = BreakpointId(u32::MAX);

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

/// The past of a run.
pub(super) struct Past<'a, B> {
    pub(super) checkpoints: &'a mut Checkpoints<B>,
    /// The branch that has seen all that came from outside.
    pub(super) present: Option<&'a mut B>,
    pub(super) wanted: &'a Wanted,
    pub(super) signals: &'a Signals,
    /// A copy near the present, for steps that follow each other.
    pub(super) near: &'a mut Option<Car<B>>,
}

impl<B: Branch> Past<'_, B> {
    /// A copy of a checkpoint; of an earlier one where it does not answer any more.
    fn copy(&mut self, mut place: usize) -> Result<Car<B>, Halt> {
        loop {
            let checkpoint = self.checkpoints.get_mut(place);
            let checkpoint = checkpoint.ok_or_else(|| InferiorError::Gone("the start of history".into()))?;
            match checkpoint.car.fork() {
                Ok(mut car) => {
                    if let Some(present) = self.present.as_deref_mut() {
                        car.branch.follow(present)?;
                    }
                    return Ok(car);
                }
                Err(InferiorError::Gone(_)) if place > 0 => {
                    self.checkpoints.remove(place);
                    place -= 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A copy at the start of `tick`, or at the start of history where that is later.
    fn at_tick(&mut self, tick: Tick) -> Result<Car<B>, Halt> {
        let place = self.checkpoints.before(tick);
        let kept = self.checkpoints.get_mut(place).map_or(Tick(0), |c| c.tick);
        let near =
            self.near.as_mut().filter(|near| near.stop().is_ok_and(|stop| stop.tick <= tick && stop.tick >= kept));
        let mut car = match near.map(Car::fork) {
            Some(Ok(mut car)) => {
                // The present may have gone on since that copy was made.
                if let Some(present) = self.present.as_deref_mut() {
                    car.branch.follow(present)?;
                }
                car
            }
            _ => self.copy(place)?,
        };
        car.sync(&Wanted::default())?;
        car.run_to_tick(tick, self.signals)?;
        Ok(car)
    }

    /// The beginning of history.
    pub(super) fn origin(&mut self) -> There<B> {
        let mut car = self.copy(0)?;
        car.sync(self.wanted)?;
        let stop = Stop { reason: StopReason::HistoryStart, ..car.stop()?.clone() };
        Ok(Arrived { car, stop })
    }

    /// The last stop before `from` at something wanted, or the start of history.
    pub(super) fn continue_back(&mut self, from: &Position, wanted: &Wanted) -> There<B> {
        let mut limit = *from;
        let mut place = self.checkpoints.before(from.tick);
        loop {
            let mut car = self.copy(place)?;
            car.sync(wanted)?;
            let start = car.position()?;
            let mut count = 0;
            car.run_to(&limit, self.signals, |_| {
                count += 1;
                ControlFlow::Continue(())
            })?;
            if count > 0 {
                return self.nth_stop(place, &limit, wanted, count);
            }
            if place == 0 {
                return self.origin();
            }
            limit = start;
            place -= 1;
        }
    }

    /// The stop number `count` on the way from a checkpoint to `limit`.
    fn nth_stop(&mut self, place: usize, limit: &Position, wanted: &Wanted, count: usize) -> There<B> {
        let mut car = self.copy(place)?;
        car.sync(wanted)?;
        let mut met = 0;
        let stop = car.run_to(limit, self.signals, |_| {
            met += 1;
            if met == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let diverged = || InferiorError::Refused("a copy of the run did not stop where another one did".into());
        let stop = stop.ok_or_else(diverged)?;
        car.sync(self.wanted)?;
        Ok(Arrived { car, stop })
    }

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

    /// A tick.
    pub(super) fn go_to(&mut self, tick: Tick) -> There<B> {
        let mut car = self.at_tick(tick)?;
        car.sync(self.wanted)?;
        let stop = car.stop()?.clone();
        Ok(Arrived { car, stop })
    }

    /// The first moment at which the clock has come so far.
    pub(super) fn go_to_time(&mut self, time: GuestTime) -> There<B> {
        let place = self.checkpoints.before_time(time);
        let mut car = self.copy(place)?;
        car.sync(&Wanted::default())?;
        while car.stop()?.time < time {
            let stop = car.go(&Resume { until_time: Some(time), ..Resume::go() }, self.signals)?;
            if let StopReason::End(_) = stop.reason {
                break;
            }
        }
        car.sync(self.wanted)?;
        let stop = car.stop()?.clone();
        Ok(Arrived { car, stop })
    }

    /// A point at which the run stopped before.
    pub(super) fn go_to_position(&mut self, position: &Position) -> There<B> {
        let mut car = self.at_tick(position.tick)?;
        car.run_to(position, self.signals, |_| ControlFlow::Continue(()))?;
        car.sync(self.wanted)?;
        let stop = car.stop()?.clone();
        Ok(Arrived { car, stop })
    }

    /// Where history begins.
    fn first(&mut self) -> Tick {
        self.checkpoints.get_mut(0).map_or(Tick(0), |origin| origin.tick)
    }

    /// One step of a task backwards, whose call stack at `from` is `stack`.
    pub(super) fn step_back(
        &mut self,
        from: &Position,
        runner: RunnerId,
        stack: &[Frame],
        kind: &StepKind,
    ) -> There<B> {
        match kind {
            StepKind::Instruction => self.instruction_back(from, runner),
            StepKind::Into(range) => self.range_back(from, runner, stack, range, false),
            StepKind::Over(range) => self.range_back(from, runner, stack, range, true),
            StepKind::Out => self.out_back(from, runner, stack),
        }
    }

    /// Steps `runner` until it comes to `to`, at most `most` steps; none if it does not come there so soon. `car` has to
    /// be before that.
    fn count_steps(
        &self,
        car: &mut Car<B>,
        to: &Position,
        runner: RunnerId,
        most: usize,
    ) -> Result<Option<usize>, Halt> {
        for count in 0..=most {
            let stop = match car.go(&Resume::step(runner, StepKind::Instruction), self.signals) {
                Ok(stop) => stop,
                // It is not born yet: its first step leads to where it is.
                Err(Halt::Failed(InferiorError::NoRunner(_))) => return Ok(Some(0)),
                Err(halt) => return Err(halt),
            };
            let here = Position::of(&stop);
            if here.same_place(to) || here.is_past(to) || matches!(stop.reason, StopReason::End(_)) {
                return Ok(Some(count));
            }
        }
        Ok(None)
    }

    /// The instruction of `runner` before that at `from`.
    fn instruction_back(&mut self, from: &Position, runner: RunnerId) -> There<B> {
        const MANY: usize = 2000;
        let first = self.checkpoints.get_mut(0).map_or(Tick(0), |c| c.tick);
        let (mut back, mut none_from) = (1, from.tick);
        // A tick from which on it makes steps before it comes to `from`.
        let mut low = loop {
            let tick = Tick(from.tick.0.saturating_sub(back).max(first.0));
            if self.steps_from(tick, from, runner, 0)? != Some(0) {
                break tick;
            }
            if tick == first {
                return self.origin();
            }
            (none_from, back) = (tick, back.saturating_mul(4));
        };
        // The last such tick: the steps from there on are few.
        while none_from.0 - low.0 > 1 {
            let middle = Tick(low.0 + (none_from.0 - low.0) / 2);
            match self.steps_from(middle, from, runner, 0)? {
                Some(0) => none_from = middle,
                _ => low = middle,
            }
        }
        let near = self.at_tick(low)?;
        let near = self.near.insert(near);
        let (mut probe, mut car) = (near.fork()?, near.fork()?);
        let too_many =
            || InferiorError::Refused(format!("more than {MANY} instructions in one tick: cannot step back"));
        let count = self.count_steps(&mut probe, from, runner, MANY)?.ok_or_else(too_many)?;
        let mut stop = car.stop()?.clone();
        for _ in 0..count {
            stop = car.go(&Resume::step(runner, StepKind::Instruction), self.signals)?;
        }
        stop.reason = StopReason::Step;
        car.sync(self.wanted)?;
        Ok(Arrived { car, stop })
    }

    fn steps_from(&mut self, tick: Tick, to: &Position, runner: RunnerId, most: usize) -> Result<Option<usize>, Halt> {
        let mut car = self.at_tick(tick)?;
        self.count_steps(&mut car, to, runner, most)
    }

    /// Back until `runner` is outside of `range`, in its frame or a caller; functions called run through, or not.
    fn range_back(
        &mut self,
        from: &Position,
        runner: RunnerId,
        stack: &[Frame],
        range: &Range<CodeOffset>,
        over: bool,
    ) -> There<B> {
        let mut at = *from;
        let depth = stack.len();
        loop {
            let mut arrived = self.instruction_back(&at, runner)?;
            if arrived.stop.reason == StopReason::HistoryStart {
                return Ok(arrived);
            }
            let frames = arrived.car.branch.frames(runner)?;
            if over && frames.len() > depth {
                // A function has returned here: to where it was called from.
                let Some(call) = frames.iter().rev().nth(depth.saturating_sub(1)) else { return Ok(arrived) };
                arrived = self.called_at(&Position::of(&arrived.stop), runner, call.address, depth)?;
                if arrived.stop.reason == StopReason::HistoryStart {
                    return Ok(arrived);
                }
            } else if frames.len() != depth {
                return Ok(arrived);
            }
            let inside = arrived.stop.frame.is_some_and(|frame| range.contains(&frame.address.offset));
            if !inside {
                return Ok(arrived);
            }
            at = Position::of(&arrived.stop);
        }
    }

    /// The last time before `from` that `runner` stood at `call` with a stack of `depth` frames.
    fn called_at(&mut self, from: &Position, runner: RunnerId, call: CodeAddress, depth: usize) -> There<B> {
        let spec = BreakpointSpec { address: call, only: Some(runner), temporary: false };
        let wanted = Wanted { breakpoints: vec![(OWN_BREAKPOINT, spec)], watches: Vec::new() };
        let mut from = *from;
        loop {
            let mut arrived = self.continue_back(&from, &wanted)?;
            if arrived.stop.reason == StopReason::HistoryStart || arrived.car.branch.frames(runner)?.len() <= depth {
                return Ok(arrived);
            }
            from = Position::of(&arrived.stop);
        }
    }

    /// To the call that led into the present function.
    fn out_back(&mut self, from: &Position, runner: RunnerId, stack: &[Frame]) -> There<B> {
        let Some(caller) = stack.get(1) else { return self.origin() };
        self.called_at(from, runner, caller.address, stack.len() - 1)
    }
}

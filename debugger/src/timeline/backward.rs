//! Where a run was before: found by running copies of it.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::AtomicBool;

use wkdb_tracer::{CodeAddress, CodeOffset, Frame, GuestTime, RunnerId, Tick};

use super::checkpoints::Checkpoints;
use super::job::{Car, Halt, Wanted};
use super::{Branch, Position};
use crate::inferior::{
    BreakpointId, BreakpointSpec, InferiorError, Resume, StepKind, Stop, StopReason, WatchCondition, WatchId,
    WatchKind, WatchSpec,
};

/// A copy of the run, stopped where it was to go.
pub(super) struct Arrived<B> {
    pub(super) car: Car<B>,
    pub(super) stop: Stop,
}

type Found<B> = Result<Arrived<B>, Halt>;

/// Names that a debugger's own never have.
const OWN_WATCH: WatchId = WatchId(u32::MAX);
const OWN_BREAKPOINT: BreakpointId = BreakpointId(u32::MAX);

/// The past of a run.
pub(super) struct Past<'a, B> {
    pub(super) checkpoints: &'a mut Checkpoints<B>,
    /// The branch that has seen all that came from outside.
    pub(super) present: Option<&'a mut B>,
    pub(super) wanted: &'a Wanted,
    pub(super) interrupt: &'a AtomicBool,
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
            Some(Ok(car)) => car,
            _ => self.copy(place)?,
        };
        car.sync(&Wanted::default())?;
        car.run_to_tick(tick, self.interrupt)?;
        Ok(car)
    }

    /// The beginning of history.
    fn origin(&mut self) -> Found<B> {
        let mut car = self.copy(0)?;
        car.sync(self.wanted)?;
        let stop = Stop { reason: StopReason::HistoryStart, ..car.stop()?.clone() };
        Ok(Arrived { car, stop })
    }

    /// The last stop before `from` at something wanted, or the start of history.
    pub(super) fn continue_back(&mut self, from: &Position, wanted: &Wanted) -> Found<B> {
        let mut limit = *from;
        let mut place = self.checkpoints.before(from.tick);
        loop {
            let mut car = self.copy(place)?;
            car.sync(wanted)?;
            let start = car.position()?;
            let mut count = 0;
            car.run_to(&limit, self.interrupt, |_| {
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
    fn nth_stop(&mut self, place: usize, limit: &Position, wanted: &Wanted, count: usize) -> Found<B> {
        let mut car = self.copy(place)?;
        car.sync(wanted)?;
        let mut met = 0;
        let stop = car.run_to(limit, self.interrupt, |_| {
            met += 1;
            if met == count { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let diverged = || InferiorError::Refused("a copy of the run did not stop where another one did".into());
        let stop = stop.ok_or_else(diverged)?;
        car.sync(self.wanted)?;
        Ok(Arrived { car, stop })
    }

    /// The last write into a range before `from`.
    pub(super) fn last_write(&mut self, from: &Position, address: u64, len: u64) -> Found<B> {
        let condition = WatchCondition::default();
        let spec = WatchSpec { address, len, kind: WatchKind::Write, condition, stop: true };
        let wanted = Wanted { breakpoints: Vec::new(), watches: vec![(OWN_WATCH, spec)] };
        self.continue_back(from, &wanted)
    }

    /// All writes into a range before `to`, from the start of history on; the last `most` of them, and how many there
    /// are.
    pub(super) fn history(
        &mut self,
        to: &Position,
        address: u64,
        len: u64,
        most: usize,
    ) -> Result<(Vec<Stop>, usize), Halt> {
        let condition = WatchCondition::default();
        let spec = WatchSpec { address, len, kind: WatchKind::Write, condition, stop: true };
        let mut car = self.copy(0)?;
        car.sync(&Wanted { breakpoints: Vec::new(), watches: vec![(OWN_WATCH, spec)] })?;
        let (mut last, mut count) = (std::collections::VecDeque::new(), 0);
        car.run_to(to, self.interrupt, |stop| {
            count += 1;
            if last.len() == most {
                last.pop_front();
            }
            last.push_back(stop.clone());
            ControlFlow::Continue(())
        })?;
        Ok((last.into(), count))
    }

    /// A tick, or the first moment at which it is at least `time`.
    pub(super) fn go_to(&mut self, tick: Tick) -> Found<B> {
        let mut car = self.at_tick(tick)?;
        car.sync(self.wanted)?;
        let stop = car.stop()?.clone();
        Ok(Arrived { car, stop })
    }

    /// The first stop between slices at or after a moment.
    pub(super) fn go_to_time(&mut self, time: GuestTime, end: &Position) -> Found<B> {
        let place = self.checkpoints.before_time(time);
        let mut low = self.checkpoints.get_mut(place).map_or(Tick(0), |c| c.tick);
        let mut high = end.tick;
        // The first tick at which the clock has come so far.
        while low < high {
            let middle = Tick(low.0 + (high.0 - low.0) / 2);
            let car = self.at_tick(middle)?;
            if car.stop()?.time < time {
                low = Tick(middle.0 + 1);
            } else {
                high = middle;
            }
            *self.near = Some(car);
        }
        self.go_to(high)
    }

    /// One step of a task backwards, whose call stack at `from` is `stack`.
    pub(super) fn step_back(
        &mut self,
        from: &Position,
        runner: RunnerId,
        stack: &[Frame],
        kind: &StepKind,
    ) -> Found<B> {
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
            let stop = match car.go(&Resume::step(runner, StepKind::Instruction), self.interrupt) {
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
    fn instruction_back(&mut self, from: &Position, runner: RunnerId) -> Found<B> {
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
            stop = car.go(&Resume::step(runner, StepKind::Instruction), self.interrupt)?;
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
    ) -> Found<B> {
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
    fn called_at(&mut self, from: &Position, runner: RunnerId, call: CodeAddress, depth: usize) -> Found<B> {
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
    fn out_back(&mut self, from: &Position, runner: RunnerId, stack: &[Frame]) -> Found<B> {
        let Some(caller) = stack.get(1) else { return self.origin() };
        self.called_at(from, runner, caller.address, stack.len() - 1)
    }
}

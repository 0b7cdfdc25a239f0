//! Where a run was before: found by running copies of it.

use std::ops::ControlFlow;

use wkdb_tracer::{GuestTime, Tick};

use super::checkpoints::Checkpoints;
use super::engine::Signals;
use super::job::{Car, Halt, Limit, Wanted};
use super::near::Near;
use super::survey::{Sought, Spot};
use super::trail::Trail;
use super::{Branch, Position};
use crate::inferior::{InferiorError, Resume, Stop, StopReason};

/// A copy of the run, stopped where it was to go.
pub(super) struct Arrived<B> {
    pub(super) car: Car<B>,
    pub(super) stop: Stop,
}

pub(super) type There<B> = Result<Arrived<B>, Halt>;

/// The past of a run.
pub(super) struct Past<'a, B> {
    pub(super) checkpoints: &'a mut Checkpoints<B>,
    /// The branch that has seen all that came from outside.
    pub(super) present: Option<&'a mut B>,
    pub(super) wanted: &'a Wanted,
    pub(super) signals: &'a Signals,
    /// Copies near what was last gone to, for steps that follow each other.
    pub(super) near: &'a mut Near<B>,
    pub(super) trail: &'a mut Option<Trail<B>>,
}

impl<B: Branch> Past<'_, B> {
    /// A copy of a checkpoint; of an earlier one where it does not answer any more.
    pub(super) fn copy(&mut self, mut place: usize) -> Result<Car<B>, Halt> {
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
    pub(super) fn at_tick(&mut self, tick: Tick) -> Result<Car<B>, Halt> {
        let place = self.checkpoints.before(tick);
        let kept = self.checkpoints.get_mut(place).map_or(Tick(0), |c| c.tick);
        let mut car = match self.near.copy(tick, kept) {
            Some(mut car) => {
                // The present may have gone on since that copy was made.
                if let Some(present) = self.present.as_deref_mut() {
                    car.branch.follow(present)?;
                }
                car
            }
            None => self.copy(place)?,
        };
        car.sync(&Wanted::default())?;
        self.approach(&mut car, tick)?;
        Ok(car)
    }

    /// Runs a car, which nothing stops, to the start of a tick. On a long way copies are left behind: what is asked next is
    /// near, as a rule.
    pub(super) fn approach(&mut self, car: &mut Car<B>, tick: Tick) -> Result<(), Halt> {
        for mark in Near::<B>::marks(car.stop()?.tick, tick) {
            car.run_to_tick(mark, self.signals)?;
            if let Ok(copy) = car.fork() {
                self.near.keep(copy);
            }
        }
        car.run_to_tick(tick, self.signals)
    }

    /// The beginning of history.
    pub(super) fn origin(&mut self) -> There<B> {
        let mut car = self.copy(0)?;
        car.sync(self.wanted)?;
        let stop = Stop { reason: StopReason::HistoryStart, ..car.stop()?.clone() };
        Ok(Arrived { car, stop })
    }

    /// The last stop before `from` at something wanted, or the start of history.
    pub(super) fn continue_back(&mut self, from: &Limit, wanted: &Wanted) -> There<B> {
        match self.last_spot(from, wanted, Sought::Stops)? {
            Some(spot) => self.come_to(spot, wanted),
            None => self.origin(),
        }
    }

    /// Comes to the last stop at a spot.
    fn come_to(&mut self, spot: Spot<B>, wanted: &Wanted) -> There<B> {
        let Spot { mut car, limit } = spot;
        let mut number = 0;
        let mut counted = car.fork()?;
        counted.sync(wanted)?;
        counted.run_to(&limit, self.signals, |_| {
            number += 1;
            ControlFlow::Continue(())
        })?;
        car.sync(wanted)?;
        let mut count = 0;
        let stop = car.run_to(&limit, self.signals, |_| {
            count += 1;
            if count == number { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        match stop {
            Some(stop) => {
                car.sync(self.wanted)?;
                Ok(Arrived { car, stop })
            }
            None => Err(InferiorError::Refused("a copy of the run did not stop where another one did".into()).into()),
        }
    }

    /// A tick.
    pub(super) fn go_to(&mut self, tick: Tick) -> There<B> {
        let car = self.at_tick(tick)?;
        self.arrive(car)
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
        self.arrive(car)
    }

    /// A point at which the run stopped before.
    pub(super) fn go_to_position(&mut self, position: &Position) -> There<B> {
        let mut car = self.at_tick(position.tick)?;
        car.run_to(&Limit::before(position), self.signals, |_| ControlFlow::Continue(()))?;
        self.arrive(car)
    }

    /// Where one went without a reason of the guest's to stop there.
    fn arrive(&self, mut car: Car<B>) -> There<B> {
        car.sync(self.wanted)?;
        let mut stop = car.stop()?.clone();
        if !matches!(stop.reason, StopReason::Start) {
            stop.reason = StopReason::Tick;
        }
        Ok(Arrived { car, stop })
    }

    /// Where history begins.
    pub(super) fn first(&mut self) -> Tick {
        self.checkpoints.get_mut(0).map_or(Tick(0), |origin| origin.tick)
    }
}

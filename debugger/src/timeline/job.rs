//! Running a copy to somewhere, on whichever thread does it.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::time::Duration;

use wkdb_tracer::{Event, Tick, WatchHit};

use super::engine::Signals;
use super::{Branch, Position, Surveyed};
use crate::inferior::{
    BreakpointId, BreakpointSpec, InferiorError, Notice, Result, Resume, Status, Stop, StopReason, WatchId, WatchSpec,
};

/// How long a wish to be interrupted may stay unseen.
const ATTENTION: Duration = Duration::from_millis(20);

/// Why a job did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Halt {
    /// Somebody wants it to stop.
    Interrupted,
    /// It cannot go on.
    Failed(InferiorError),
}

impl From<InferiorError> for Halt {
    fn from(error: InferiorError) -> Self {
        Halt::Failed(error)
    }
}

fn refused(text: impl Into<String>) -> Halt {
    Halt::Failed(InferiorError::Refused(text.into()))
}

/// What a debugger wants a run to stop at, by the debugger's own names.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) breakpoints: Vec<(BreakpointId, BreakpointSpec)>,
    pub(super) watches: Vec<(WatchId, WatchSpec)>,
}

/// Where a way ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) at: Position,
    pub(super) edge: Edge,
}

/// What of that which stops a run just at the end of a way belongs to the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Nothing: somebody stands there, and was told.
    Open,
    /// Accesses: somebody stands behind one, and was told of something else. The next instruction has not run.
    Accesses,
    /// All of it: nobody stands there.
    Closed,
}

impl Limit {
    /// Before a point.
    pub(super) fn before(at: &Position) -> Limit {
        Limit { at: *at, edge: Edge::Open }
    }
}

/// A branch, and what it has been told to stop at.
pub(super) struct Car<B> {
    pub(super) branch: B,
    /// The debugger's names and the branch's.
    breakpoints: Vec<(BreakpointId, BreakpointId)>,
    watches: Vec<(WatchId, WatchId)>,
}

impl<B: Branch> Car<B> {
    /// A branch without breakpoints and watches.
    pub(super) fn new(branch: B) -> Self {
        Car { branch, breakpoints: Vec::new(), watches: Vec::new() }
    }

    /// A copy, which has been told the same.
    pub(super) fn fork(&mut self) -> Result<Self> {
        let branch = self.branch.fork()?;
        Ok(Car { branch, breakpoints: self.breakpoints.clone(), watches: self.watches.clone() })
    }

    /// Has the branch stop at `wanted` and at nothing else.
    pub(super) fn sync(&mut self, wanted: &Wanted) -> Result<()> {
        for number in (0..self.breakpoints.len()).rev() {
            let (user, ours) = self.breakpoints[number];
            if !wanted.breakpoints.iter().any(|(id, _)| *id == user) {
                self.branch.remove_breakpoint(ours)?;
                self.breakpoints.remove(number);
            }
        }
        for number in (0..self.watches.len()).rev() {
            let (user, ours) = self.watches[number];
            if !wanted.watches.iter().any(|(id, _)| *id == user) {
                self.branch.remove_watch(ours)?;
                self.watches.remove(number);
            }
        }
        for (user, spec) in &wanted.breakpoints {
            if !self.breakpoints.iter().any(|(id, _)| id == user) {
                // It goes when the debugger is told of its hit, not when a copy runs over it.
                let ours = self.branch.insert_breakpoint(&BreakpointSpec { temporary: false, ..spec.clone() });
                match ours {
                    Ok(ours) => self.breakpoints.push((*user, ours)),
                    // In a module that this state does not have yet.
                    Err(InferiorError::NoCode(_) | InferiorError::NoRunner(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        for (user, spec) in &wanted.watches {
            if !self.watches.iter().any(|(id, _)| id == user) {
                let ours = self.branch.insert_watch(spec)?;
                self.watches.push((*user, ours));
            }
        }
        Ok(())
    }

    /// The stop with the debugger's names; none if it is at nothing that the debugger wants.
    pub(super) fn translate(&self, stop: &Stop) -> Option<Stop> {
        let reason = match &stop.reason {
            StopReason::Breakpoint(ids) => {
                let users: Vec<_> =
                    self.breakpoints.iter().filter(|(_, ours)| ids.contains(ours)).map(|(user, _)| *user).collect();
                (!users.is_empty()).then_some(StopReason::Breakpoint(users))?
            }
            StopReason::Watch(hits) => {
                let user = |id: &WatchId| self.watches.iter().find(|(_, ours)| ours == id).map(|(user, _)| *user);
                let users: Vec<_> = hits.iter().filter_map(|(id, hit)| Some((user(id)?, hit.clone()))).collect();
                (!users.is_empty()).then_some(StopReason::Watch(users))?
            }
            other => other.clone(),
        };
        Some(Stop { reason, ..stop.clone() })
    }

    /// The debugger's name of a watch.
    pub(super) fn watch_named(&self, ours: u32) -> Option<WatchId> {
        self.watches.iter().find(|(_, known)| known.0 == ours).map(|(user, _)| *user)
    }

    /// An event with the debugger's name of the watch that it is about; none if that is none of the debugger's.
    pub(super) fn named(&self, event: Event) -> Option<Event> {
        match event {
            Event::Watch(hit) => {
                let WatchId(watch) = self.watch_named(hit.watch)?;
                Some(Event::Watch(WatchHit { watch, ..hit }))
            }
            other => Some(other),
        }
    }

    /// Has it stop at a point, whatever is told to it afterwards.
    pub(super) fn stop_at(&mut self, point: &Position) -> Result<()> {
        if let Some(address) = point.address {
            self.branch.insert_breakpoint(&BreakpointSpec { address, only: point.runner, temporary: false })?;
        }
        Ok(())
    }

    /// Where it is stopped.
    pub(super) fn stop(&self) -> std::result::Result<&Stop, Halt> {
        match self.branch.status() {
            Status::Stopped(stop) => Ok(stop),
            Status::Running => Err(InferiorError::Running.into()),
            Status::Ended(..) => Err(refused("the run is over")),
        }
    }

    pub(super) fn position(&self) -> std::result::Result<Position, Halt> {
        self.stop().map(Position::of)
    }

    /// Goes on to the next stop of any kind.
    pub(super) fn go(&mut self, resume: &Resume, signals: &Signals) -> std::result::Result<Stop, Halt> {
        self.go_hearing(resume, signals, &mut |_| ())
    }

    /// The same; `heard` is told of the accesses that watches only log.
    pub(super) fn go_hearing(
        &mut self,
        resume: &Resume,
        signals: &Signals,
        heard: &mut dyn FnMut(WatchHit),
    ) -> std::result::Result<Stop, Halt> {
        if signals.interrupt().load(Ordering::Relaxed) {
            return Err(Halt::Interrupted);
        }
        self.branch.resume(resume)?;
        let mut interrupted = false;
        loop {
            for notice in self.branch.notices(ATTENTION)? {
                match notice {
                    Notice::Stopped(_) if interrupted => return Err(Halt::Interrupted),
                    Notice::Stopped(stop) => return Ok(*stop),
                    Notice::Ended(..) => return Err(refused("the run is over")),
                    Notice::Event(event) => {
                        if let Event::Watch(hit) = *event {
                            heard(hit);
                        }
                    }
                    Notice::Console(_) | Notice::Module(_) | Notice::Found(_) => {}
                }
            }
            if !interrupted && signals.interrupt().load(Ordering::Relaxed) {
                interrupted = true;
                self.branch.interrupt()?;
            }
        }
    }

    /// Runs to the start of `tick`, whatever lies on the way.
    pub(super) fn run_to_tick(&mut self, tick: Tick, signals: &Signals) -> std::result::Result<(), Halt> {
        self.run_to_tick_hearing(tick, signals, &mut |_| ())
    }

    /// The same; `heard` is told of the accesses that watches only log.
    pub(super) fn run_to_tick_hearing(
        &mut self,
        tick: Tick,
        signals: &Signals,
        heard: &mut dyn FnMut(WatchHit),
    ) -> std::result::Result<(), Halt> {
        while self.stop()?.tick < tick {
            let stop = self.go_hearing(&Resume { until_tick: Some(tick), ..Resume::go() }, signals, heard)?;
            // A run may end in that very tick: as far as it can be gone back from, that is there.
            if let StopReason::End(outcome) = &stop.reason
                && stop.tick < tick
            {
                return Err(refused(format!("the run ends before that ({})", outcome.keyword())));
            }
        }
        Ok(())
    }

    /// Runs to the start of `tick`, and counts what would stop it or be told: gives the ticks of the last ones, at most
    /// `keep`, and how many there were.
    pub(super) fn count_to_tick(
        &mut self,
        tick: Tick,
        keep: usize,
        signals: &Signals,
    ) -> std::result::Result<Surveyed, Halt> {
        if self.branch.survey(Some(keep))?.is_some() {
            let ran = self.run_to_tick(tick, signals);
            // It has to stop again in any case.
            let counted = self.branch.survey(None)?.unwrap_or_default();
            return ran.map(|()| counted);
        }
        // It can only be stopped at each.
        let mut all = Vec::new();
        while self.stop()?.tick < tick {
            let here = self.stop()?.tick;
            let resume = Resume { until_tick: Some(tick), ..Resume::go() };
            let mut heard = |hit: WatchHit| all.push(hit.context.map_or(here, |context| context.tick));
            let stop = self.go_hearing(&resume, signals, &mut heard)?;
            match &stop.reason {
                StopReason::End(outcome) if stop.tick < tick => {
                    return Err(refused(format!("the run ends before that ({})", outcome.keyword())));
                }
                StopReason::Watch(hits) => all.extend(hits.iter().map(|_| stop.tick)),
                StopReason::Breakpoint(_) => all.push(stop.tick),
                _ => {}
            }
        }
        // What it met where it is now is behind it as well.
        all.retain(|at| *at <= tick);
        Ok(Surveyed { count: all.len() as u64, last: all.split_off(all.len().saturating_sub(keep)) })
    }

    /// Runs to `limit`. Tells `met` of each stop on the way that the debugger wants; where that breaks, it stays there
    /// and gives the stop.
    pub(super) fn run_to(
        &mut self,
        limit: &Limit,
        signals: &Signals,
        met: impl FnMut(&Stop) -> ControlFlow<()>,
    ) -> std::result::Result<Option<Stop>, Halt> {
        self.run_to_hearing(limit, signals, met, &mut |_| ())
    }

    /// The same; `heard` is told of the accesses that watches only log, those after `limit` excepted.
    pub(super) fn run_to_hearing(
        &mut self,
        limit: &Limit,
        signals: &Signals,
        mut met: impl FnMut(&Stop) -> ControlFlow<()>,
        heard: &mut dyn FnMut(WatchHit),
    ) -> std::result::Result<Option<Stop>, Halt> {
        let Limit { at, edge } = *limit;
        let mut heard = |hit: WatchHit| {
            if hit.context.as_ref().is_none_or(|context| (context.tick, context.time) <= (at.tick, at.time)) {
                heard(hit);
            }
        };
        let mut own = None;
        let reached = loop {
            let here = self.position()?;
            if here.same_place(&at) {
                break None;
            }
            if here.is_past(&at) {
                if at.at_instruction {
                    let (wanted, found) = (at.tick, here.tick);
                    let text = format!("this run did not come to tick {wanted} as it did before: it is at {found}");
                    return Err(refused(text));
                }
                break None;
            }
            let until = if here.tick < at.tick {
                Some(at.tick)
            } else if at.at_instruction {
                if let (Some(address), None) = (at.address, own) {
                    let spec = BreakpointSpec { address, only: at.runner, temporary: false };
                    own = Some(self.branch.insert_breakpoint(&spec)?);
                }
                None
            } else {
                Some(Tick(at.tick.0 + 1))
            };
            let stop = self.go_hearing(&Resume { until_tick: until, ..Resume::go() }, signals, &mut heard)?;
            let there = Position::of(&stop);
            if matches!(stop.reason, StopReason::End(_)) {
                break None;
            }
            let belongs = match edge {
                Edge::Open => false,
                Edge::Accesses => matches!(stop.reason, StopReason::Watch(_)),
                Edge::Closed => true,
            };
            if (there.same_place(&at) && !belongs) || there.is_past(&at) {
                continue;
            }
            let wanted = matches!(stop.reason, StopReason::Breakpoint(_) | StopReason::Watch(_));
            if let Some(stop) = self.translate(&stop).filter(|_| wanted)
                && met(&stop).is_break()
            {
                break Some(stop);
            }
        };
        if let Some(own) = own {
            self.branch.remove_breakpoint(own)?;
        }
        Ok(reached)
    }
}

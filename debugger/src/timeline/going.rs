//! Going forwards: through history to the present, and on from there.

use wkdb_tracer::{Event, Tick};

use super::checkpoints::Checkpoint;
use super::{Branch, Position, TimeTravel};
use crate::inferior::{
    BreakpointId, BreakpointSpec, InferiorError, Milestone, Moment, Result, Resume, Status, Stop, StopReason,
};
use crate::timeline::job::Wanted;

/// What the run was told, while it goes forwards and stops for checkpoints on its way.
#[derive(Debug, Clone)]
pub(super) struct Going {
    resume: Resume,
    /// Past all breakpoints, watches and traps.
    pub(super) past_all: bool,
}

/// The breakpoint at the end of history; no debugger's has this name.
const PRESENT: BreakpointId = BreakpointId(u32::MAX);

/// So many events are kept: births and deaths of tasks are many.
const MILESTONES: usize = 100_000;

impl<B: Branch> TimeTravel<B> {
    /// Runs as it is told.
    pub(super) fn go_forward(&mut self, resume: Resume) -> Result<()> {
        self.set_going(Going { resume, past_all: false })
    }

    /// Runs on from the present, to a moment or to the end, whatever lies on the way.
    pub(super) fn go_ahead(&mut self, resume: Resume) -> Result<()> {
        if let Some(engine) = &mut self.engine {
            engine.past = None;
        }
        self.set_going(Going { resume, past_all: true })
    }

    fn set_going(&mut self, going: Going) -> Result<()> {
        self.going = Some(going);
        self.interrupted = false;
        let gone_on = self.go_on();
        if gone_on.is_err() {
            self.going = None;
        }
        gone_on
    }

    /// Lets the run go on, to its next checkpoint at most.
    fn go_on(&mut self) -> Result<()> {
        let Some(Going { mut resume, past_all }) = self.going.clone() else { return Ok(()) };
        // Steps, and whoever wanted it to stop, may have led past the place of the next one.
        let here = self.engine.as_ref().and_then(|engine| engine.present.stop().ok().cloned());
        if let Some(stop) = here {
            self.checkpoint(&stop);
        }
        let Some(engine) = self.engine.as_mut() else { return Err(InferiorError::Running) };
        // A copy that stands where the present does would run past it, into what is no history yet.
        if let (Some(past), Ok(end)) = (&engine.past, engine.present.position())
            && past.position().is_ok_and(|here| here.same_place(&end))
        {
            engine.past = None;
        }
        let newest = engine.checkpoints.newest().max(self.tried);
        let due = Tick(newest.0.saturating_add(engine.checkpoints.spacing()));
        let end = engine.past.as_ref().and_then(|_| engine.present.position().ok());
        let car = engine.past.as_mut().unwrap_or(&mut engine.present);
        let here = car.position().map_or(Tick(0), |here| here.tick);
        let mut wanted = if past_all { Wanted::default() } else { self.wanted.clone() };
        let mut marks = vec![resume.until_tick];
        if let Some(end) = end {
            marks.push(Some(if here < end.tick { end.tick } else { Tick(here.0 + 1) }));
            if let (Some(address), true) = (end.address, end.at_instruction && here >= end.tick) {
                let spec = BreakpointSpec { address, only: end.runner, temporary: false };
                wanted.breakpoints.push((PRESENT, spec));
            }
        } else {
            marks.push(Some(due));
        }
        car.sync(&wanted)?;
        // A step that stops on its way is no step any more: checkpoints, and the end of history, wait for its end.
        if resume.step.is_none() {
            resume.until_tick = marks.into_iter().flatten().filter(|&mark| mark > here).min();
        }
        car.branch.resume(&resume)?;
        engine.checkpoints.settle();
        self.status = Status::Running;
        Ok(())
    }

    /// What becomes of a stop of the branch that runs; none if it goes on.
    pub(super) fn stopped(&mut self, stop: Stop) -> Result<Option<Stop>> {
        if !self.in_the_past() {
            self.present_moment = Moment::from(&stop);
        }
        let until = self.going.as_ref().and_then(|going| going.resume.until_tick);
        let until_time = self.going.as_ref().and_then(|going| going.resume.until_time);
        let past_all = self.going.as_ref().is_some_and(|going| going.past_all);
        let wanted = self.wanted.clone();
        let engine = self.engine.as_mut().ok_or(InferiorError::Running)?;
        let translated = engine.shown().translate(&stop);
        let mut at_present = None;
        if engine.past.is_some()
            && let Ok(present) = engine.present.stop()
        {
            let (here, there) = (Position::of(&stop), Position::of(present));
            if here.same_place(&there) || here.is_past(&there) || matches!(stop.reason, StopReason::End(_)) {
                at_present = Some(Stop { reason: StopReason::HistoryEnd, ..present.clone() });
            }
        }
        if let Some(stop) = at_present {
            engine.past = None;
            engine.present.sync(&wanted)?;
            return Ok(Some(stop));
        }
        let early =
            until.is_none_or(|until| stop.tick < until) && until_time.is_none_or(|until_time| stop.time < until_time);
        let ours = stop.reason == StopReason::Tick && early;
        let passed = past_all
            && matches!(
                stop.reason,
                StopReason::Trap { .. } | StopReason::Breakpoint(_) | StopReason::Watch(_) | StopReason::Finding { .. }
            );
        if ours || passed {
            if ours {
                self.checkpoint(&stop);
            }
            if self.interrupted {
                return Ok(Some(Stop { reason: StopReason::Interrupt, ..stop }));
            }
            // Within the last tick of history one step after the other leads to its end.
            self.go_on()?;
            return Ok(None);
        }
        let only_present = |stop: &Stop| matches!(&stop.reason, StopReason::Breakpoint(met) if met == &[PRESENT]);
        match translated.filter(|stop| !only_present(stop)) {
            Some(stop) => Ok(Some(stop)),
            None => {
                self.go_on()?;
                Ok(None)
            }
        }
    }

    /// Takes a checkpoint where the run is; where there is no room, it goes on without.
    fn checkpoint(&mut self, stop: &Stop) {
        let Some(engine) = self.engine.as_mut() else { return };
        let last = engine.checkpoints.newest().max(self.tried);
        if engine.past.is_some() || stop.tick.0 < last.0.saturating_add(engine.checkpoints.spacing()) {
            return;
        }
        self.tried = stop.tick;
        // Where it cannot be told, it has to be looked for there.
        let done = engine.present.branch.footprint(true).ok().flatten();
        engine.checkpoints.done(done);
        let car = match engine.present.fork() {
            Ok(car) => Some(car),
            Err(_) if engine.checkpoints.spare() => engine.present.fork().ok(),
            Err(_) => None,
        };
        if let Some(car) = car {
            engine.checkpoints.add(Checkpoint::new(stop, car));
        }
    }

    /// Keeps what happens at the present.
    pub(super) fn note(&mut self, event: &Event) {
        let context = match event {
            Event::Watch(_) => return,
            Event::Trap { context, .. }
            | Event::Panic { context, .. }
            | Event::TaskBorn { context }
            | Event::TaskGone { context }
            | Event::CpuStarted { context }
            | Event::CpuStopped { context }
            | Event::Hog { context, .. } => Some(context),
            Event::Complaint { context, .. } => context.as_ref(),
            Event::Finding(finding) => finding.context.as_ref(),
        };
        let at = context.map_or(self.present_moment, |context| Moment { tick: context.tick, time: context.time });
        if self.milestones.len() < MILESTONES {
            self.milestones.push(Milestone { at, event: event.clone() });
        }
    }

    /// The guest was changed by hand: what was before does not lead here, so history begins anew.
    pub(super) fn changed(&mut self) -> Result<()> {
        match &self.status {
            Status::Stopped(stop) => self.begin_anew(&stop.clone()),
            _ => Err(InferiorError::Running),
        }
    }

    /// History begins where the present has stopped.
    fn begin_anew(&mut self, stop: &Stop) -> Result<()> {
        let engine = self.engine.as_mut().ok_or(InferiorError::Running)?;
        // History begins here, and so does what is told of it.
        engine.present.branch.footprint(true)?;
        let car = engine.present.fork()?;
        engine.near.clear();
        engine.trail = None;
        engine.checkpoints.restart(Checkpoint::new(stop, car));
        self.start_moment = Moment::from(stop);
        self.milestones.retain(|milestone| milestone.at.tick >= stop.tick);
        Ok(())
    }
}

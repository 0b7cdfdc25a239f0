//! A run that a screen shows: it looks at the fast machine as well, which leads whenever nothing has to be stopped at.
//!
//! ```text
//!  fast: a trap, a panic, the end ─▶ it waits ─▶ the follower comes to the same by itself ─▶ the lead passes
//!  debug: let go on, with nothing set ─▶ the fast machine runs after it, as where nobody debugs
//! ```
//!
//! Nobody asks the fast machine to stop there, and where it does it is in the middle of a slice, with the frames of a
//! trap gone: the machine for debugging is stopped by the same thing a moment before, with all that can be looked at.

use std::collections::BTreeSet;
use std::mem::discriminant;

use wkdb_debugger::inferior::{
    BreakpointId, Direction, InferiorError, Result, Resume, Status, Stop, StopReason, WatchId, Who,
};

use super::pass::another_run;
use super::{Relay, Run};
use crate::machine::Place;

/// What somebody wants the machine for debugging to stop at.
#[derive(Debug, Default)]
pub(super) struct Points {
    pub(super) breakpoints: BTreeSet<BreakpointId>,
    pub(super) watches: BTreeSet<WatchId>,
}

/// Whether a machine that is stopped has been stopped by the same as another one; not if it is on its way there.
///
/// # Errors
/// It is past it.
pub(super) fn has_met(goal: &Stop, status: &Status) -> Result<bool> {
    let Status::Stopped(stop) = status else { return Ok(false) };
    let runner = |stop: &Stop| stop.context.as_ref().map(|context| context.runner);
    let same = discriminant(&stop.reason) == discriminant(&goal.reason) && runner(stop) == runner(goal);
    match stop.tick.cmp(&goal.tick) {
        std::cmp::Ordering::Equal if same => Ok(true),
        std::cmp::Ordering::Greater => {
            Err(another_run(&format!("it should have stopped at tick {}, and is at tick {}", goal.tick, stop.tick)))
        }
        _ => Ok(false),
    }
}

impl Relay {
    /// Has a screen look at the run from now on. It is told of traps, panics and the end by stops; the fast machine must
    /// have been started with [`attach`](crate::machine::MachineConfig::attach).
    pub fn for_screen(mut self) -> Relay {
        (self.attached, self.screen) = (true, true);
        self
    }

    /// Whether the run has a past, or will have one as soon as it is stopped.
    pub fn will_have_past(&self) -> bool {
        self.is_debug() || self.variants.debug.is_some() && !self.bare
    }

    /// Whether the machine for debugging goes on leading when it is let go on like this.
    pub(super) fn stays_in_debug(&self, resume: &Resume) -> bool {
        let Run::Debug(machine) = &self.leader else { return true };
        let somewhere = resume.step.is_some() || resume.until_tick.is_some() || resume.until_time.is_some();
        let back = resume.direction == Direction::Backward || machine.run().in_the_past();
        let on = somewhere || back || matches!(resume.who, Who::Only(_));
        let stops = self.stops_at_loads || !self.points.breakpoints.is_empty() || !self.points.watches.is_empty();
        self.attached && (!self.screen || on || stops)
    }

    /// Whether this stop of the leader's is one that the machine for debugging has to come to.
    pub(super) fn has_to_meet(&self, stop: &Stop) -> bool {
        use StopReason::{Interrupt, ModuleLoaded, Start, Step, Tick};
        let passing = matches!(stop.reason, Start | Interrupt | Tick | Step | ModuleLoaded(_));
        self.screen && !self.bare && matches!(self.leader, Run::Fast(_)) && !passing
    }

    /// The fast machine was stopped by this: the one for debugging comes to it.
    pub(super) fn meet(&mut self, stop: Box<Stop>) -> Result<()> {
        let (here, coming) = self.leader.machine()?.place()?;
        let mut follower = match self.follower.take() {
            Some(follower) => follower,
            None => self.make_follower()?,
        };
        let Run::Debug(machine) = &mut follower else {
            return Err(InferiorError::Refused("there is no machine for debugging".into()));
        };
        machine.set_attached(true)?;
        // Where it does not come to it, it is stopped soon after.
        let mut behind = here.position;
        behind.slices += 1;
        follower.machine()?.catch_up(Some(Place { position: behind, in_slice: false }))?;
        let from = follower.machine()?.place()?.0.position.tick;
        self.pass_to_meet(from, here, coming, stop);
        follower.inferior_mut().notices(std::time::Duration::ZERO)?;
        if follower.is_stopped() {
            follower.inferior_mut().resume(&Resume::go())?;
        }
        self.follower = Some(follower);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wkdb_tracer::{GuestTime, Tick};

    use super::*;

    fn stop(tick: u64, reason: StopReason) -> Stop {
        Stop { reason, context: None, frame: None, tick: Tick(tick), time: GuestTime(0) }
    }

    #[test]
    fn earlier_stops_are_passed_and_later_ones_are_another_run() {
        let trap = |text: &str| StopReason::Trap { reason: text.into() };
        let goal = stop(10, trap("unreachable"));
        let met = |tick, reason| has_met(&goal, &Status::Stopped(Box::new(stop(tick, reason))));
        assert_eq!(met(9, trap("unreachable")), Ok(false));
        assert_eq!(met(10, StopReason::Interrupt), Ok(false));
        assert_eq!(met(10, trap("in other words")), Ok(true));
        assert!(met(11, trap("unreachable")).unwrap_err().to_string().contains("tick 10"));
        assert_eq!(has_met(&goal, &Status::Running), Ok(false));
    }
}

//! How the lead passes from one machine to the other.
//!
//! ```text
//!  a debugger comes:  interrupt the leader ─▶ it waits ─▶ the follower comes to its place ─▶ the lead passes
//!  it has left:       the follower runs to where the leader just was, again and again ─(near)─▶ the same
//! ```

use std::time::Duration;

use wkdb_debugger::inferior::{Inferior, InferiorError, Notice, Result, Resume, Status, Stop, StopReason};
use wkdb_tracer::Tick;
use wkdb_tracer::recording::Entry;

use super::{Relay, Run, screen};
use crate::machine::Place;

/// So near, in ticks, the leader stops and waits: a tenth of a second of work at most.
const NEAR: u64 = 5_000_000;

/// So often the follower runs after the leader before that waits, however far it is.
const ROUNDS: u32 = 50;

/// The lead is to pass on.
pub(super) struct Pass {
    /// Where the follower began.
    pub(super) from: Tick,
    /// Where the follower stops next.
    pub(super) to: Place,
    /// The leader waits there. What came from outside that it has not taken: the next leader will.
    waits: Option<Vec<Entry>>,
    /// How often the follower has come to where the leader was.
    rounds: u32,
    /// What has stopped the leader: the follower comes to it by itself, instead of to the place.
    meets: Option<Box<Stop>>,
}

impl Pass {
    /// Whether the run stands still.
    pub(super) fn leader_waits(&self) -> bool {
        self.waits.is_some()
    }
}

pub(super) fn another_run(what: &str) -> InferiorError {
    InferiorError::Refused(format!("in other code the guest is not in the same state here ({what})"))
}

impl Relay {
    /// A debugger wants to look at a run that the fast machine leads.
    pub(super) fn halt(&mut self) -> Result<()> {
        self.halting = true;
        if !self.leader.is_stopped() {
            return self.leader.inferior_mut().interrupt();
        }
        // It was never let go on.
        self.halting = false;
        match self.pass_on() {
            Err(error) => self.fail(&error),
            Ok(()) => Ok(()),
        }
    }

    /// The leader has stopped.
    pub(super) fn leader_stopped(&mut self, stop: Box<Stop>) -> Result<()> {
        let at_a_place = stop.reason == StopReason::Interrupt;
        if std::mem::take(&mut self.halting) && at_a_place {
            if let Err(error) = self.pass_on() {
                self.fail(&error)?;
            }
            return Ok(());
        }
        if self.has_to_meet(&stop) {
            return match self.meet(stop) {
                Err(error) => self.fail(&error),
                Ok(()) => Ok(()),
            };
        }
        match &self.leader {
            // It was to be passed on, and then not.
            Run::Fast(_) if !self.bare => self.go_on(),
            // Whoever wanted to be told of it has left since.
            Run::Debug(_) if !self.attached => {
                self.go_on()?;
                self.chase()
            }
            _ => {
                self.pass = None;
                self.notices.push_back(Notice::Stopped(stop));
                Ok(())
            }
        }
    }

    /// The leader was stopped at `to`, by something that the follower, which begins at `from`, comes to by itself.
    pub(super) fn pass_to_meet(&mut self, from: Tick, to: Place, coming: Vec<Entry>, stop: Box<Stop>) {
        self.pass = Some(Pass { from, to, waits: Some(coming), rounds: 0, meets: Some(stop) });
    }

    /// The leader is stopped: the follower comes to its place.
    fn pass_on(&mut self) -> Result<()> {
        let (to, coming) = self.leader.machine()?.place()?;
        self.send_follower(to, Some(coming))
    }

    /// Nobody debugs any more: the fast machine runs after the one that leads.
    pub(super) fn chase(&mut self) -> Result<()> {
        // One that is stopped is let go on by somebody, and then chased.
        let nobody = self.altered || self.variants.fast.is_none() || self.leader.is_stopped();
        if !nobody && self.leader.machine()?.is_changed_between_ticks() {
            // Once is enough: it stays so.
            self.altered = true;
            self.complain(
                "the run stays in the code for debugging, and slow: a debugger has changed the guest at an instruction \
                 between two ticks, at which no other code can be stopped"
                    .into(),
            );
        }
        if self.altered || nobody || self.pass.is_some() || self.halting {
            return Ok(());
        }
        let begun = self.leader.machine().and_then(|leader| leader.place());
        let begun = begun.and_then(|(place, _)| self.send_follower(place, None));
        match begun {
            Err(error) => self.fail(&error),
            Ok(()) => Ok(()),
        }
    }

    /// Lets the follower go on to `to`.
    fn send_follower(&mut self, to: Place, waits: Option<Vec<Entry>>) -> Result<()> {
        let mut follower = self.follower_sent_to(to)?;
        // Of earlier stops.
        follower.inferior_mut().notices(Duration::ZERO)?;
        // One that runs, to where it was sent before, may come to `to` at any moment, also before it has said where it is:
        // whether it is there says the stop that is heard of then. To let it go on once more would be to let it run past it.
        let stands = follower.is_stopped();
        let here = follower.machine()?.place()?.0;
        let (from, rounds) = match &self.pass {
            Some(pass) => (pass.from, pass.rounds + 1),
            None => (here.position.tick, 0),
        };
        let arrived = stands && here == to;
        if stands && !arrived {
            follower.inferior_mut().resume(&Resume::go())?;
        }
        self.follower = Some(follower);
        self.pass = Some(Pass { from, to, waits, rounds, meets: None });
        if arrived { self.arrived() } else { Ok(()) }
    }

    /// The follower, which stops at `to` once it goes on: a new one where there is none, or it was lost since it last led.
    fn follower_sent_to(&mut self, to: Place) -> Result<Run> {
        if let Some(mut follower) = self.follower.take()
            && follower.machine()?.catch_up(Some(to)).is_ok()
        {
            return Ok(follower);
        }
        let mut follower = self.make_follower()?;
        follower.machine()?.catch_up(Some(to))?;
        Ok(follower)
    }

    /// Whether the follower says something: it is on its way, for whomever.
    pub(super) fn follower_speaks(&self) -> bool {
        self.follower.as_ref().is_some_and(|follower| self.pass.is_some() || !follower.is_stopped())
    }

    /// Takes what the follower says: only where it stops is of interest, the rest was said before.
    pub(super) fn hear_follower(&mut self) -> Result<()> {
        let Some(follower) = &mut self.follower else { return Ok(()) };
        let told = follower.inferior_mut().notices(Duration::ZERO)?;
        if told.iter().any(|notice| matches!(notice, Notice::Ended(..))) {
            return Err(another_run("it has ended"));
        }
        let stopped = told.iter().any(|notice| matches!(notice, Notice::Stopped(_)));
        if stopped { self.arrived() } else { Ok(()) }
    }

    /// The follower has stopped: where it was to, or somewhere on its way.
    fn arrived(&mut self) -> Result<()> {
        let (Some(pass), Some(follower)) = (&mut self.pass, &mut self.follower) else { return Ok(()) };
        if !follower.is_stopped() {
            return Ok(());
        }
        if let Some(stop) = &pass.meets {
            return match screen::has_met(stop, follower.inferior().status())? {
                true => self.complete_with_what_waits(),
                false => follower.inferior_mut().resume(&Resume::go()),
            };
        }
        let here = follower.machine()?.place()?.0;
        if here != pass.to {
            if here.position >= pass.to.position {
                return Err(another_run(&format!("it should be at {}, and is at {}", pass.to.position, here.position)));
            }
            return follower.inferior_mut().resume(&Resume::go());
        }
        if pass.waits.is_some() {
            return self.complete_with_what_waits();
        }
        let there = self.leader.machine()?.place()?.0;
        let far = there.position.tick.0.saturating_sub(here.position.tick.0) > NEAR;
        if far && pass.rounds < ROUNDS {
            return self.send_follower(there, None);
        }
        self.halt()
    }

    fn complete_with_what_waits(&mut self) -> Result<()> {
        let coming = self.pass.as_mut().and_then(|pass| pass.waits.take());
        self.complete(coming.unwrap_or_default())
    }

    /// Both are at the same place: the lead passes on.
    fn complete(&mut self, coming: Vec<Entry>) -> Result<()> {
        let Some(mut next) = self.follower.take() else { return Ok(()) };
        let (leader, follower) = (self.leader.machine()?, next.machine()?);
        if leader.check()? != follower.check()? {
            return Err(another_run("memory, schedule or console differ"));
        }
        follower.lead(self.pace)?;
        let tap = leader.link_mut().listen(None);
        follower.link_mut().listen(tap);
        if !coming.is_empty() {
            follower.take(coming)?;
        }
        leader.be_led()?;
        if self.screen {
            // Whoever follows is not stopped by what it meets.
            leader.set_attached(false)?;
        }
        self.follower = Some(std::mem::replace(&mut self.leader, next));
        self.pass = None;
        match &mut self.leader {
            Run::Fast(machine) => {
                machine.set_attached(self.screen)?;
                self.go_on()
            }
            Run::Debug(machine) => {
                machine.set_attached(self.attached)?;
                machine.stop_at_loads(self.stops_at_loads)?;
                if let Status::Stopped(stop) = self.leader.inferior().status() {
                    self.notices.push_back(Notice::Stopped(stop.clone()));
                }
                Ok(())
            }
        }
    }

    /// The lead does not pass on, for nobody wants it to any more.
    pub(super) fn give_up_pass(&mut self) -> Result<()> {
        let waited = self.pass.take().is_some_and(|pass| pass.leader_waits());
        self.rest_follower();
        // If it is about to stop, it goes on when it has; or a debugger is told.
        self.halting = false;
        match &self.leader {
            Run::Fast(_) if waited => self.go_on(),
            Run::Debug(_) if waited => {
                if let Status::Stopped(stop) = self.leader.inferior().status() {
                    self.notices.push_back(Notice::Stopped(stop.clone()));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Nobody waits for the follower any more: it stays where it has come to, and goes on from there the next time.
    fn rest_follower(&mut self) {
        if let Some(follower) = &mut self.follower
            && !follower.is_stopped()
            && follower.inferior_mut().interrupt().is_err()
        {
            self.follower = None;
        }
    }

    /// The lead cannot pass on. The run is what it was.
    pub(super) fn fail(&mut self, error: &InferiorError) -> Result<()> {
        (self.pass, self.halting) = (None, false);
        // It is of no use any more.
        self.follower = None;
        let to_debug = matches!(self.leader, Run::Fast(_));
        if !to_debug {
            self.variants.fast = None;
            self.complain(format!("the run stays in the code for debugging, and slow: {error}"));
            // To a screen it was running all the time.
            return match self.attached && !self.screen {
                true => Ok(()),
                false => self.go_on(),
            };
        }
        if !self.attached || !self.leader.is_stopped() {
            return self.go_on();
        }
        self.complain(format!(
            "there is no machine for debugging, so memory and call stacks are all there is: {error}"
        ));
        self.bare = true;
        if let Status::Stopped(stop) = self.leader.inferior().status() {
            self.notices.push_back(Notice::Stopped(stop.clone()));
        }
        Ok(())
    }
}

//! The machine under a debugger: what it was told to stop at, and why it stops. It knows nothing of Wasmtime.
//!
//! ```text
//!            ┌── a runner's fiber ──┐           ┌────────── the executor ─────────┐
//!  hit, trap │ pause: `pending` set ├─ suspend ▶│ Stopped: tells, answers requests│──▶ Port
//!            │ wake: `sync`, go on  │◀── poll ──┤ until one of them is Resume     │◀──
//!            └──────────────────────┘           └─────────────────────────────────┘
//! ```
//!
//! A question about a store is put into the [`Debug::mail`] of the runner that owns it, and its fiber polled: wherever
//! it is suspended, it answers and suspends again.

mod breakpoints;
mod code;
mod request;
mod survey;

use std::collections::BTreeSet;

use wkdb_debugger::inferior::{Resume, Step, StopReason, WatchId, Who};
use wkdb_tracer::recording::CodePlace;
use wkdb_tracer::{GuestTime, ModuleId, RunnerId, Tick, WatchHit};

pub(super) use breakpoints::Breakpoints;
pub(super) use code::{CodeIndex, FunctionCode, Kind};
pub use request::{Answer, Answered, Place, Request};
pub(super) use survey::Survey;

/// What a machine knows of its debugger.
#[derive(Default)]
pub(super) struct Debug {
    /// Somebody is there to be told of traps, panics and the end.
    pub(super) attached: bool,
    pub(super) breakpoints: Breakpoints,
    /// Counts the changes of what stores have to have in their code: each store compares it when it goes on.
    pub(super) version: u64,
    /// The step that is being made.
    pub(super) step: Option<Step>,
    /// Whose code has breakpoints for steps in it.
    stepper: Option<RunnerId>,
    /// Counts steps.
    pub(super) step_number: u64,
    /// The only runner that may run.
    pub(super) only: Option<RunnerId>,
    /// The machine is to stop here at the latest.
    pub(super) until: Option<Tick>,
    /// The machine is to stop at this moment, or at the first one behind it.
    pub(super) until_time: Option<GuestTime>,
    /// The machine is to stop soon.
    pub(super) interrupted: bool,
    /// The machine stops before a user image runs for the first time.
    pub(super) stops_at_loads: bool,
    /// This machine is a copy, which runs again what was seen before.
    pub(super) is_copy: bool,
    /// The user images that have run.
    seen: BTreeSet<ModuleId>,
    /// Where something of a recording is due, in this tick.
    pub(super) meeting: Option<CodePlace>,
    /// A runner has suspended there.
    pub(super) met: bool,
    /// Globals to be set, in stores that can be asked only when this is not borrowed.
    pub(super) globals: Vec<Request>,
    /// The only runner that may run, in the run that is run again.
    pub(super) forced: Option<RunnerId>,
    /// Why the runner that just suspended wants the machine to stop.
    pub(super) pending: Option<StopReason>,
    /// Watches hit by the instruction under way, which are to stop the machine behind it.
    pub(super) hits: Vec<(WatchId, WatchHit)>,
    /// What would stop the machine, or be told of, is only counted.
    pub(super) survey: Option<Survey>,
    /// What the kernel said as it gave up.
    pub(super) panic: Option<String>,
    /// A question to the store of the runner that is polled next.
    pub(super) mail: Option<Request>,
    /// Its answer.
    pub(super) reply: Option<Answered>,
}

impl Debug {
    /// With a debugger there from the start, or not.
    pub(super) fn new(attached: bool) -> Debug {
        Debug { attached, ..Debug::default() }
    }

    /// A user image is about to run: whether the machine stops for it.
    pub(super) fn stops_for(&mut self, module: ModuleId) -> bool {
        self.seen.insert(module) && self.stops_at_loads && self.attached && !self.is_copy
    }

    /// The machine stops: what it was told to stop at is done with.
    pub(super) fn stopped(&mut self, reason: &StopReason) {
        (self.step, self.only, self.interrupted) = (None, None, false);
        (self.until, self.until_time) = (None, None);
        if let StopReason::Breakpoint(met) = reason
            && self.breakpoints.remove_temporary(met)
        {
            self.version += 1;
        }
    }

    /// The machine goes on.
    pub(super) fn go_on(&mut self, resume: Resume) {
        let stepper = resume.step.as_ref().map(|step| step.runner);
        // Steps of one task follow each other: what is in its code for one is of use for the next.
        if self.stepper != stepper {
            self.stepper = stepper;
            self.version += 1;
        }
        self.step_number += 1;
        self.step = resume.step;
        self.until = resume.until_tick;
        self.until_time = resume.until_time;
        self.only = match resume.who {
            Who::All => None,
            Who::Only(runner) => Some(runner),
        };
    }

    /// The only runner that may run, if there is one.
    pub(super) fn alone(&self) -> Option<RunnerId> {
        self.forced.or(self.only)
    }

    /// Where a runner is to stop for what is due there.
    pub(super) fn meeting_of(&self, runner: RunnerId) -> Option<CodePlace> {
        self.meeting.filter(|meeting| meeting.runner == runner)
    }

    /// The step of this runner, if one is being made.
    pub(super) fn step_of(&self, runner: RunnerId) -> Option<&Step> {
        self.step.as_ref().filter(|step| step.runner == runner)
    }
}

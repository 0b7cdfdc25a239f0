//! Why a machine stopped.

use serde::{Deserialize, Serialize};
use wkdb_tracer::{Context, Finding, Frame, GuestTime, ModuleId, Outcome, Tick, WatchHit};

use super::{BreakpointId, WatchId};

/// A stop of the whole machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Why.
    pub reason: StopReason,
    /// The task that stopped the machine, or that ran last; none before the first task runs.
    pub context: Option<Context>,
    /// Where that task is: the instruction that comes next, or that trapped.
    pub frame: Option<Frame>,
    /// The machine's position.
    pub tick: Tick,
    /// The guest's clock.
    pub time: GuestTime,
}

/// Why a machine stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// It has not run yet.
    Start,
    /// It was asked to, by [`super::Inferior::interrupt`].
    Interrupt,
    /// It came to breakpoints, before their instruction.
    Breakpoint(Vec<BreakpointId>),
    /// A step is done.
    Step,
    /// Watched memory was written, or read: after it. All the watches that one instruction touched.
    Watch(Vec<(WatchId, WatchHit)>),
    /// It came to the moment that [`super::Resume::until_tick`] or [`super::Resume::until_time`] names.
    Tick,
    /// Guest code trapped; it goes on with the kernel's handling of it.
    Trap {
        /// The trap in Wasm's words.
        reason: String,
    },
    /// The guest kernel gave up. Nothing comes after it.
    Panic {
        /// What it said.
        message: String,
    },
    /// The run would end here: a deadlock, a machine that spins, a limit. Going on ends it.
    End(Box<Outcome>),
    /// The beginning of recorded history, going backwards.
    HistoryStart,
    /// The end of recorded history, going forwards.
    HistoryEnd,
    /// A user image that the guest has not run before is about to run its first instruction, in the task that stopped:
    /// see [`super::Inferior::stop_at_loads`].
    ModuleLoaded(ModuleId),
    /// Detectors found something.
    Finding {
        /// What; not empty.
        findings: Vec<Finding>,
        /// The task that stopped did it with the instruction that it is behind. Otherwise the machine stands between two
        /// slices.
        at_instruction: bool,
    },
}

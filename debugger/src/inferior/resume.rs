//! How a machine goes on.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use wkdb_tracer::{CodeOffset, GuestTime, RunnerId, Tick};

/// How to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// Forwards, or backwards in recorded history.
    pub direction: Direction,
    /// Which tasks may run.
    pub who: Who,
    /// Stop after a step of a task; without one, at the next breakpoint, watch or trap.
    pub step: Option<Step>,
    /// Stop at this tick at the latest.
    pub until_tick: Option<Tick>,
    /// Stop when the guest's clock is here, or at the first moment behind it.
    pub until_time: Option<GuestTime>,
}

impl Resume {
    /// All tasks, forwards, to the next stop.
    pub fn go() -> Self {
        Resume { direction: Direction::Forward, who: Who::All, step: None, until_tick: None, until_time: None }
    }

    /// A step of one task, forwards, while the others run as they would.
    pub fn step(runner: RunnerId, kind: StepKind) -> Self {
        Resume { step: Some(Step { runner, kind }), ..Resume::go() }
    }
}

/// A direction in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// As the guest computes.
    Forward,
    /// Towards the start of recorded history.
    Backward,
}

/// Which tasks may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Who {
    /// All, as the schedule has it.
    All,
    /// This one alone (gdb's scheduler-locking): another run than the schedule's would be.
    Only(RunnerId),
}

/// A step of one task. Breakpoints and watches of any task end it early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Whose.
    pub runner: RunnerId,
    /// Until when.
    pub kind: StepKind,
}

/// When a step is done. Frames are told apart by depth, so that recursion does not end a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepKind {
    /// After one instruction; a call's next one is the first of the function called.
    Instruction,
    /// At the first instruction outside this range, in this frame, in a function called, or in a caller: gdb's range
    /// stepping.
    Into(Range<CodeOffset>),
    /// The same, but functions called run through.
    Over(Range<CodeOffset>),
    /// When this frame has returned: behind the call in its caller.
    Out,
}

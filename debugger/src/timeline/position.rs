//! Points in a run, exact to the instruction.

use wkdb_tracer::{CodeAddress, GuestTime, RunnerId, Tick};

use crate::inferior::{Stop, StopReason};

/// A point in a run at which it stopped.
///
/// A tick is counted at every function entry and loop header, so within a tick a task comes to an instruction at most
/// once: task and instruction name a point of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Ticks run.
    pub tick: Tick,
    /// Guest time passed.
    pub time: GuestTime,
    /// Who stopped there, or ran last.
    pub runner: Option<RunnerId>,
    /// Its next instruction.
    pub address: Option<CodeAddress>,
    /// Whether the run stands in front of that instruction, in the middle of a slice: it can be told to stop there.
    /// Otherwise it stands between slices.
    pub at_instruction: bool,
}

impl Position {
    /// Where a run stopped.
    pub fn of(stop: &Stop) -> Position {
        Position {
            tick: stop.tick,
            time: stop.time,
            runner: stop.context.as_ref().map(|context| context.runner),
            address: stop.frame.map(|frame| frame.address),
            at_instruction: matches!(
                stop.reason,
                StopReason::Breakpoint(_) | StopReason::Step | StopReason::Watch(_) | StopReason::Trap { .. }
            ),
        }
    }

    /// Whether both name the same point, however the run came to stop there.
    pub fn same_place(&self, other: &Position) -> bool {
        (self.tick, self.time, self.runner, self.address) == (other.tick, other.time, other.runner, other.address)
    }

    /// Whether this lies after `other` for certain: by tick or by time. Points of one tick are in no order.
    pub fn is_past(&self, other: &Position) -> bool {
        (self.tick, self.time) > (other.tick, other.time)
    }
}

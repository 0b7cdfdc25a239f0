//! What can be asked of a run that remembers its past, besides [`Resume`](super::Resume) with a direction.
//!
//! ```text
//!   start             shown          present           end
//!     ●─────────────────◆────────────────●─ ─ ─ ─ ─ ─ ─ ●
//!     └── history: can be gone to ───────┘   (of a recording: known, and can be gone to)
//! ```
//!
//! The *present* is as far as the run has come in this session. What is *shown* is the present or a moment before it.

use serde::{Deserialize, Serialize};
use wkdb_tracer::{CodeAddress, Event, GuestTime, Outcome, RunnerId, Tick, WatchHit};

use super::{Result, Stop, StopReason};

/// A point in a run at which it stopped, exact to the instruction.
///
/// A tick is counted at every function entry and loop header, so within a tick a task comes to an instruction at most
/// once: task and instruction name a point of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
                StopReason::Breakpoint(_)
                    | StopReason::Step
                    | StopReason::Watch(_)
                    | StopReason::Trap { .. }
                    | StopReason::Finding { at_instruction: true, .. }
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

/// Where to go in history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// A tick.
    Tick(Tick),
    /// The first moment at which the guest's clock has come so far.
    Time(GuestTime),
    /// A point at which it stopped before.
    Position(Position),
    /// Behind the last write into these bytes before what is shown.
    LastWrite {
        /// First byte.
        address: u64,
        /// How many.
        len: u64,
    },
    /// The start of history.
    Start,
    /// As far as the run has come.
    Present,
    /// The end of the recording; of a live run, the present.
    End,
}

/// What to look for in the part of history before what is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// The first of the bytes that were written.
    pub address: u64,
    /// How many; a write into any of them counts.
    pub len: u64,
    /// Which of the writes.
    pub which: Writes,
}

/// Which writes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writes {
    /// The last one: the search goes backwards, and ends with it.
    Last,
    /// All are counted, and the last so many told.
    All {
        /// How many are told.
        most: usize,
    },
}

/// What a [`Search`] has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What was looked for.
    pub search: Search,
    /// The writes, the earliest first. Their context says when, their writer has the call stack.
    pub writes: Vec<WatchHit>,
    /// How many there are in all the history that was looked through.
    pub count: u64,
    /// How the search ended.
    pub ending: SearchEnd,
}

/// How a [`Search`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchEnd {
    /// With all of it looked through that had to be.
    Complete,
    /// Somebody interrupted it.
    Interrupted,
    /// It could not go on; with the reason.
    Failed(String),
}

/// How far something has come that takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Ticks of history looked through.
    pub done: u64,
    /// Of so many, at most.
    pub of: u64,
}

/// How many checkpoints there are, and how dear they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Ticks of work between two checkpoints.
    pub spacing: u64,
    /// Checkpoints beside the origin.
    pub count: usize,
    /// Bytes that all of them together may take, with other copies that are kept near to what was last looked at.
    pub memory: u64,
}

impl Default for Limits {
    /// A checkpoint every 16 million ticks (some 0.6 s of work in code for debugging, a twentieth of which it costs), 100 of
    /// them, 1 GiB.
    fn default() -> Self {
        Limits { spacing: 16_000_000, count: 100, memory: 1 << 30 }
    }
}

/// A checkpoint, to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointInfo {
    /// Where it is.
    pub tick: Tick,
    /// When, in guest time.
    pub time: GuestTime,
    /// Bytes that it takes.
    pub cost: u64,
}

/// A moment of a run, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Ticks run.
    pub tick: Tick,
    /// The guest's clock.
    pub time: GuestTime,
}

/// How far history reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Its beginning.
    pub start: Moment,
    /// As far as the run has come, at its last stop.
    pub present: Moment,
    /// Whether a moment before the present is shown.
    pub in_the_past: bool,
    /// What it is a recording of; none of a live run.
    pub recording: Option<RecordedRun>,
}

/// A recording that is being debugged: what is known of it beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRun {
    /// Its file, as it was named.
    pub name: String,
    /// The last moment that is in it.
    pub end: Moment,
    /// How the run ended; none if the recording was cut off before.
    pub outcome: Option<Outcome>,
    /// What happened in it.
    pub events: Vec<Milestone>,
}

/// Something that happened in a run, to be gone to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Milestone {
    /// When.
    pub at: Moment,
    /// What. Accesses to watched memory are not among these.
    pub event: Event,
}

/// A run that remembers its past. Everything that goes somewhere, or looks for something, is a *job*: it runs while
/// [`Inferior::status`](super::Inferior::status) says that the machine does, can be interrupted, and tells of its end by
/// a notice.
pub trait History {
    /// How far it reaches.
    fn extent(&self) -> Extent;

    /// Where it stands, exact to the instruction.
    ///
    /// # Errors
    /// It runs, or is over.
    fn position(&self) -> Result<Position>;

    /// Goes somewhere; the notice is [`Notice::Stopped`](super::Notice::Stopped).
    ///
    /// # Errors
    /// It runs, or is over; or that is not in history.
    fn go_to(&mut self, goal: Goal) -> Result<()>;

    /// Looks for writes before what is shown, and stays there; the notice is
    /// [`Notice::Found`](super::Notice::Found). Nothing has to be set up before the writes happen.
    ///
    /// # Errors
    /// It runs, or is over.
    fn search(&mut self, search: &Search) -> Result<()>;

    /// How far a job has come; none where none is under way.
    fn progress(&self) -> Option<Progress>;

    /// The checkpoints, the earliest first; the first is the start of history.
    fn checkpoints(&self) -> Vec<CheckpointInfo>;

    /// What bounds the checkpoints.
    fn limits(&self) -> Limits;

    /// What has happened up to the present, or in all of a recording, in order.
    fn milestones(&self) -> &[Milestone];
}

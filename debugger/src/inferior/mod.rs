//! The port between a debugger and what it debugs: something that runs, or that was recorded.
//!
//! ```text
//!            running ──interrupt, breakpoint, watch, trap …──▶ stopped ──resume──▶ running
//!               └───────────────── the run is over ──────────────┴───────────────▶ ended
//! ```
//!
//! All-stop: the whole machine stops and goes on. Tasks suspend only between slices, in host calls and at stops, so
//! everything can be read in every state; while the machine runs, each answer is of one moment, and the next of a later
//! one. Changing the guest, or adding breakpoints and watches, needs a stopped machine.
//!
//! Offsets of code are those of the original modules. Answers are plain data, so that they can come from another process.

mod history;
mod resume;
mod stop;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use wkdb_tracer::{
    CodeAddress, Context, Event, Frame, GuestTime, ModuleId, Outcome, RunnerId, RunnerState, Totals, WasmValue,
};

pub use history::{
    CheckpointInfo, Extent, Found, Goal, History, Limits, Milestone, Moment, Position, Progress, RecordedRun, Search,
    SearchEnd, Writes,
};
pub use resume::{Direction, Resume, Step, StepKind, Who};
pub use stop::{Stop, StopReason};
pub use watch::{PlaceFilter, Places, WatchCondition, WatchId, WatchKind, WatchSpec};

/// Names a breakpoint, never reused in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BreakpointId(pub u32);

/// Where and for whom to stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakpointSpec {
    /// The instruction before which the machine stops. Between two instructions, the next one.
    pub address: CodeAddress,
    /// Only in this task's runner.
    pub only: Option<RunnerId>,
    /// Gone after its first hit.
    pub temporary: bool,
}

/// A task of the guest, as a debugger's thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// Who it is; tick and time are the present.
    pub context: Context,
    /// What it waits for.
    pub state: RunnerState,
    /// Whether it holds the baton of its CPU: it is what the CPU runs.
    pub holds_cpu: bool,
    /// Whether it has run; before that it has no frames.
    pub started: bool,
}

/// How much the CPUs have run, since the run began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loads {
    /// The guest's clock.
    pub time: GuestTime,
    /// Nanoseconds of guest time that a tick takes; 0 where nothing is counted.
    pub ns_per_tick: u32,
    /// Ticks that each CPU has run, by its number.
    pub ticks: Vec<u64>,
}

/// A frame with what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameState {
    /// Where it is. Of the innermost frame, the instruction that comes next; or the one that trapped, or the call that
    /// is under way. Of the others, the call.
    pub frame: Frame,
    /// Locals, parameters first, by the original function's indices.
    pub locals: Vec<WasmValue>,
    /// Operand stack, bottom first, without what inserted code has there. Of a frame that calls, without the arguments.
    pub operands: Vec<WasmValue>,
}

/// What an [`Inferior`] is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It runs.
    Running,
    /// It is stopped.
    Stopped(Box<Stop>),
    /// The run is over; its last state can still be looked at, if [`Inferior::tasks`] answers.
    Ended(Box<Outcome>, Box<Totals>),
}

/// What an [`Inferior`] tells by itself, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The guest printed.
    Console(Vec<u8>),
    /// Something happened that a log shows.
    Event(Box<Event>),
    /// A module that was not there before; [`Inferior::module`] has it.
    Module(ModuleId),
    /// The machine stopped.
    Stopped(Box<Stop>),
    /// What a [`History::search`] has found: the machine is stopped where it was before.
    Found(Box<Found>),
    /// The run is over.
    Ended(Box<Outcome>, Box<Totals>),
}

/// Why something that a debugger asked for was not done. The guest is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
pub enum InferiorError {
    /// It needs a stopped machine.
    #[error("the machine is running: stop it first")]
    Running,
    /// There is no such runner, or it is gone.
    #[error("{0} is gone")]
    NoRunner(RunnerId),
    /// The runner has no such frame.
    #[error("{runner} has no frame {depth}")]
    NoFrame {
        /// Whose.
        runner: RunnerId,
        /// Counted from 0, the innermost.
        depth: u32,
    },
    /// There is no such module, or it has no code there.
    #[error("module {} has no code at {:#x}", .0.module.0, .0.offset.0)]
    NoCode(CodeAddress),
    /// An address outside of guest memory.
    #[error("guest memory has no {len} bytes at {address:#x}")]
    NoMemory {
        /// First byte.
        address: u64,
        /// Bytes wanted.
        len: u64,
    },
    /// It cannot be done in this way; the text says why, and what can be done.
    #[error("{0}")]
    Refused(String),
    /// The machine process is gone, with its last words.
    #[error("the machine is gone: {0}")]
    Gone(String),
}

/// Shorthand.
pub type Result<T> = std::result::Result<T, InferiorError>;

/// What a debugger can ask of a guest.
pub trait Inferior {
    /// What it is doing.
    fn status(&self) -> &Status;

    /// What it has told since the last call; waits for something at most `wait`. The caller that gets a
    /// [`Notice::Stopped`] tells everybody else.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    fn notices(&mut self, wait: Duration) -> Result<Vec<Notice>>;

    /// The bytes of a module, as the guest loaded it.
    ///
    /// # Errors
    /// There is no such module.
    fn module(&mut self, module: ModuleId) -> Result<Arc<[u8]>>;

    /// How many modules there are: their ids are the numbers below.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    fn module_count(&mut self) -> Result<u32>;

    /// All tasks, in the order in which their runners were created.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    fn tasks(&mut self) -> Result<Vec<TaskInfo>>;

    /// How much each CPU has run. An inferior that does not count it says nothing.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    fn loads(&mut self) -> Result<Loads> {
        Ok(Loads::default())
    }

    /// The call stack of a runner, innermost frame first. Quick, in every variant of the code.
    ///
    /// # Errors
    /// There is no such runner.
    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>>;

    /// The call stack with locals and operand stacks.
    ///
    /// # Errors
    /// There is no such runner; or the code was compiled without debugging.
    fn frame_states(&mut self, runner: RunnerId) -> Result<Vec<FrameState>>;

    /// The globals of a runner's instance of a module, by the original module's indices; `None` for those that the
    /// rewriting dropped.
    ///
    /// # Errors
    /// There is no such runner, or it has no instance of that module.
    fn globals(&mut self, runner: RunnerId, module: ModuleId) -> Result<Vec<Option<WasmValue>>>;

    /// The value of `__stack_pointer` in the kernel and, if the runner is in user mode, in the user's image: that of
    /// the module of its innermost frame.
    ///
    /// # Errors
    /// There is no such runner, or its module has none that can be found.
    fn stack_pointer(&mut self, runner: RunnerId) -> Result<u64>;

    /// Bytes of guest memory; fewer where the memory ends.
    ///
    /// # Errors
    /// There is nothing at `address`.
    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>>;

    /// Changes guest memory. Watches do not see it.
    ///
    /// # Errors
    /// The machine runs; not all of it is memory; or what is debugged is a recording.
    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()>;

    /// Changes a global of a runner's instance.
    ///
    /// # Errors
    /// As [`Inferior::globals`] and [`Inferior::write_memory`]; or it is immutable, or of another type.
    fn set_global(&mut self, runner: RunnerId, module: ModuleId, global: u32, value: WasmValue) -> Result<()>;

    /// Changes a local of a frame.
    ///
    /// # Errors
    /// Always, where the engine has no way to do it: the text says what to do instead.
    fn set_local(&mut self, runner: RunnerId, depth: u32, local: u32, value: WasmValue) -> Result<()>;

    /// Sets a breakpoint.
    ///
    /// # Errors
    /// There is no code at its address; the machine runs; or the code was compiled without debugging.
    fn insert_breakpoint(&mut self, spec: &BreakpointSpec) -> Result<BreakpointId>;

    /// Takes a breakpoint away.
    ///
    /// # Errors
    /// The machine runs.
    fn remove_breakpoint(&mut self, id: BreakpointId) -> Result<()>;

    /// Watches a range of memory.
    ///
    /// # Errors
    /// It is empty or not memory; the machine runs; or the code was compiled without the checks that this needs.
    fn insert_watch(&mut self, spec: &WatchSpec) -> Result<WatchId>;

    /// Takes a watch away.
    ///
    /// # Errors
    /// The machine runs.
    fn remove_watch(&mut self, id: WatchId) -> Result<()>;

    /// Whether the machine stops, with [`StopReason::ModuleLoaded`], where it is about to run a user image for the first
    /// time: so that breakpoints can be set there before its first instruction. What was run before, copies of the
    /// machine among it, does not stop for this. An inferior that cannot do it does nothing.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    fn stop_at_loads(&mut self, stop: bool) -> Result<()> {
        let _ = stop;
        Ok(())
    }

    /// Lets the machine go on. It tells of its next stop by a notice.
    ///
    /// # Errors
    /// It runs or is over; or it cannot go in that direction.
    fn resume(&mut self, resume: &Resume) -> Result<()>;

    /// Stops the machine soon, wherever it is; does nothing where it is stopped.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    fn interrupt(&mut self) -> Result<()>;

    /// Types at the guest's console.
    ///
    /// # Errors
    /// [`InferiorError::Gone`]; or what is debugged is a recording.
    fn type_in(&mut self, bytes: &[u8]) -> Result<()>;

    /// Whether it has a history to go back in: backward directions of [`Resume`] work then.
    fn has_history(&self) -> bool;

    /// What can be done with its history, if it has one.
    fn history(&mut self) -> Option<&mut dyn History> {
        None
    }
}

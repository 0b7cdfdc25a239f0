//! What a debugger asks of a machine, and what it is answered: plain data, as it comes from another process.

use serde::{Deserialize, Serialize};
use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, FrameState, InferiorError, Loads, Resume, TaskInfo, WatchId, WatchSpec,
};
use wkdb_debugger::timeline::{CodeMark, Footprint, Surveyed};
use wkdb_tracer::recording::{Check, CodePlace, Entry, Position};
use wkdb_tracer::{CodeAddress, Frame, ModuleId, RunnerId, WasmValue};

use crate::machine::Pace;

/// A place at which a machine stands between two parts of its work, in any variant of the code: between two slices, or
/// at a tick in the middle of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where.
    pub position: Position,
    /// The slice that was given last has not ended: the position's tick is in it.
    pub in_slice: bool,
}

/// A question or an order. Each is answered once, whatever the machine does. What they mean is said at the methods of
/// [`Inferior`](wkdb_debugger::inferior::Inferior) with these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// A debugger is there, or is gone: whether traps, panics and the run's end stop the machine.
    Attach(bool),
    /// The bytes of a module.
    Module(ModuleId),
    /// How many modules there are.
    ModuleCount,
    /// All tasks.
    Tasks,
    /// How much each CPU has run.
    Loads,
    /// A runner's call stack.
    Frames(RunnerId),
    /// The same with locals and operand stacks.
    FrameStates(RunnerId),
    /// The globals of a runner's instance of a module.
    Globals(RunnerId, ModuleId),
    /// The stack pointer of the module in which a runner is.
    StackPointer(RunnerId),
    /// Guest memory.
    ReadMemory {
        /// First byte.
        address: u64,
        /// How many.
        len: u64,
    },
    /// Changes guest memory.
    WriteMemory {
        /// First byte.
        address: u64,
        /// What it shall hold.
        bytes: Vec<u8>,
    },
    /// Changes a global.
    SetGlobal {
        /// Whose.
        runner: RunnerId,
        /// Of which module.
        module: ModuleId,
        /// Its index in the original module.
        global: u32,
        /// What it shall hold.
        value: WasmValue,
    },
    /// Sets a breakpoint.
    InsertBreakpoint(BreakpointSpec),
    /// Takes a breakpoint away.
    RemoveBreakpoint(BreakpointId),
    /// Watches memory.
    InsertWatch(WatchSpec),
    /// Takes a watch away.
    RemoveWatch(WatchId),
    /// Goes on.
    Resume(Resume),
    /// Stops soon.
    Interrupt,
    /// Copies the machine, which must be stopped. The answer is the port's: see
    /// [`Port::fork`](crate::machine::Port::fork).
    Fork,
    /// What comes from outside is from now on taken from these entries, after those that were given before, and not from
    /// the port; the machine stops at `pause`, with [`StopReason::Interrupt`](wkdb_debugger::inferior::StopReason).
    Follow {
        /// What came from outside to the machine that this one follows.
        entries: Vec<(Position, Entry)>,
        /// Where to stop.
        pause: Option<Place>,
    },
    /// The end of following: what comes from outside comes from the port again. The machine must be stopped.
    Lead(Pace),
    /// Where the machine is, and what came from outside that it has not taken yet.
    Place,
    /// These come from outside: the machine takes them at its next place between two slices.
    Take(Vec<Entry>),
    /// What the machine is, as hashes.
    Check,
    /// Whether a user image that is run for the first time stops the machine.
    StopAtLoads(bool),
    /// The instruction that a runner is about to begin, where it is stopped in front of one.
    CodePlace(RunnerId),
    /// What was written and run since the last one that began anew; the first one begins. `anew`: the next one tells of
    /// what comes from here on.
    Footprint {
        /// Begin anew.
        anew: bool,
    },
    /// By what footprints tell that control came to an instruction.
    Mark(CodeAddress),
    /// From now on hits of breakpoints and watches are counted and stop nothing, and the ticks of so many of the last ones
    /// remembered; or they stop again. The answer is what was counted so far.
    Survey(Option<usize>),
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It was done.
    Done,
    /// To [`Request::Module`] and [`Request::ReadMemory`].
    Bytes(Vec<u8>),
    /// To [`Request::ModuleCount`] and [`Request::StackPointer`].
    Number(u64),
    /// To [`Request::Tasks`].
    Tasks(Vec<TaskInfo>),
    /// To [`Request::Loads`].
    Loads(Loads),
    /// To [`Request::Frames`].
    Frames(Vec<Frame>),
    /// To [`Request::FrameStates`].
    FrameStates(Vec<FrameState>),
    /// To [`Request::Globals`].
    Globals(Vec<Option<WasmValue>>),
    /// To [`Request::InsertBreakpoint`].
    Breakpoint(BreakpointId),
    /// To [`Request::InsertWatch`].
    Watch(WatchId),
    /// To [`Request::Place`].
    Place {
        /// Where.
        place: Place,
        /// Not taken yet.
        coming: Vec<Entry>,
    },
    /// To [`Request::Check`].
    Check(Check),
    /// To [`Request::CodePlace`].
    CodePlace(CodePlace),
    /// To [`Request::Footprint`]; none if it is not known.
    Footprint(Option<Footprint>),
    /// To [`Request::Mark`].
    Mark(CodeMark),
    /// To [`Request::Survey`].
    Surveyed(Surveyed),
}

/// What comes of a request.
pub type Answered = Result<Answer, InferiorError>;

//! What a debugger asks of a machine, and what it is answered: plain data, as it comes from another process.

use serde::{Deserialize, Serialize};
use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, FrameState, InferiorError, Resume, TaskInfo, WatchId, WatchSpec,
};
use wkdb_tracer::{Frame, ModuleId, RunnerId, WasmValue};

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
}

/// What comes of a request.
pub type Answered = Result<Answer, InferiorError>;

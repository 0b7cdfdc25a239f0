//! What happens in a run that a person or a recording wants to know of.

use serde::{Deserialize, Serialize};

use crate::{CodeAddress, Cpu, Finding, GuestTime, RunnerId, TaskId, Tick};

/// Who ran, and when: the context that every report carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The runner.
    pub runner: RunnerId,
    /// Its task.
    pub task: TaskId,
    /// The name the task had when its runner was created (`comm`).
    pub comm: String,
    /// The CPU it runs on.
    pub cpu: Cpu,
    /// The machine's position.
    pub tick: Tick,
    /// The guest's clock.
    pub time: GuestTime,
}

/// One frame of a Wasm call stack, in terms of the original module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The instruction: of the innermost frame the one that trapped, stored or called the host, of the others the call.
    pub address: CodeAddress,
    /// The function's index in the original module.
    pub function: u32,
}

/// Why a runner cannot go on by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunnerState {
    /// It can run, or is running.
    Runnable,
    /// In an atomic wait on this address, until this moment.
    Waiting {
        /// The guest address waited on.
        address: u64,
        /// When the wait times out.
        deadline: GuestTime,
    },
    /// Switched away from: waits for the baton of its CPU.
    SwitchedOut,
    /// Stopped for good by the host: it panicked, or its CPU was stopped.
    Stopped,
}

/// A runner and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerReport {
    /// Who it is; the tick is the present.
    pub context: Context,
    /// What it waits for.
    pub state: RunnerState,
    /// Whether it holds the baton of its CPU.
    pub holds_cpu: bool,
    /// Its Wasm call stack, innermost first.
    pub stack: Vec<Frame>,
}

/// Who accessed watched memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Writer {
    /// Guest code; the stack's innermost frame is the access.
    Guest {
        /// Wasm call stack, innermost first.
        stack: Vec<Frame>,
    },
    /// The host, on the guest's behalf: what it was doing (`console input`, …).
    Host {
        /// What the host was doing.
        action: String,
    },
}

/// What an access did to watched memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessKind {
    /// It wrote, and may have read as well.
    Write,
    /// It only read; or the watch is about reads alone.
    Read,
}

/// An access to a watched range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchHit {
    /// Which of the watches, in the order in which they were given.
    pub watch: u32,
    /// What it did.
    pub kind: AccessKind,
    /// The first byte of the watched range that the access covers.
    pub address: u64,
    /// The bytes of the watched range that the access covers, before it.
    pub old: Vec<u8>,
    /// The same bytes after it; of a read, what was read.
    pub new: Vec<u8>,
    /// Where the whole access began.
    pub store_address: u64,
    /// How many bytes it wrote or read.
    pub store_len: u64,
    /// Who did it.
    pub writer: Writer,
    /// The task on whose behalf, and when; none before the first task runs.
    pub context: Option<Context>,
}

/// Something worth telling that happened in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A Wasm trap in guest code.
    Trap {
        /// Where and who.
        context: Context,
        /// The trap in Wasm's words.
        reason: String,
        /// The call stack at the trap, innermost first.
        stack: Vec<Frame>,
    },
    /// The guest kernel gave up (`wasm_panic`, or `wasm_stop_cpu` of CPU 0).
    Panic {
        /// Where and who.
        context: Context,
        /// What the kernel said.
        message: String,
        /// The call stack, innermost first.
        stack: Vec<Frame>,
    },
    /// An access to a watched range.
    Watch(WatchHit),
    /// A task's runner was created.
    TaskBorn {
        /// The new task, on the CPU of its creator.
        context: Context,
    },
    /// A task's runner was destroyed.
    TaskGone {
        /// The task that is gone.
        context: Context,
    },
    /// A secondary CPU was started.
    CpuStarted {
        /// Its idle task.
        context: Context,
    },
    /// A CPU other than 0 was stopped.
    CpuStopped {
        /// The runner that held it.
        context: Context,
    },
    /// A task ran for a long time without giving up its CPU.
    Hog {
        /// Who; the tick is the present.
        context: Context,
        /// For how long, in nanoseconds of guest time.
        for_ns: u64,
        /// How many other tasks of this CPU wait for it.
        others: u32,
        /// Where it is.
        stack: Vec<Frame>,
    },
    /// The guest or its image broke the host contract; the run goes on as well as it can.
    Complaint {
        /// Who, unless the host itself found it.
        context: Option<Context>,
        /// What is wrong and what the host did about it.
        text: String,
    },
    /// A detector found something. Recordings keep events by their number: what comes new comes behind.
    Finding(Box<Finding>),
}

impl Event {
    /// Whom it is about, and when it was; none where it is about nobody.
    pub fn context(&self) -> Option<&Context> {
        match self {
            Event::Watch(hit) => hit.context.as_ref(),
            Event::Trap { context, .. }
            | Event::Panic { context, .. }
            | Event::TaskBorn { context }
            | Event::TaskGone { context }
            | Event::CpuStarted { context }
            | Event::CpuStopped { context }
            | Event::Hog { context, .. } => Some(context),
            Event::Complaint { context, .. } => context.as_ref(),
            Event::Finding(finding) => finding.context.as_ref(),
        }
    }

    /// Whether a detector has found a mistake, not just something about a trap.
    pub fn is_mistake(&self) -> bool {
        matches!(self, Event::Finding(finding) if !finding.detector.explains())
    }

    /// The call stack that the event shows, innermost first; empty where it has none.
    pub fn stack(&self) -> &[Frame] {
        match self {
            Event::Trap { stack, .. } | Event::Panic { stack, .. } | Event::Hog { stack, .. } => stack,
            Event::Watch(WatchHit { writer: Writer::Guest { stack }, .. }) => stack,
            Event::Finding(finding) => &finding.stack,
            _ => &[],
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A condition that was asked for came true; it is given in the words of the command line.
    Until(String),
    /// The time limit of the run passed.
    MaxTime,
    /// The guest panicked.
    Panic,
    /// Every task waits and nothing can wake one.
    Deadlock(Vec<RunnerReport>),
    /// Tasks run, but for a long time none of them waited, switched, or did anything a person could see.
    Spin(Vec<RunnerReport>),
    /// The input script waited for a text that did not come.
    Script {
        /// What failed, with line number.
        reason: String,
        /// The last lines of the console.
        console_tail: String,
    },
    /// The person at the console left.
    Quit,
    /// The guest did something after which the host cannot go on.
    Broken(String),
    /// The recording that was replayed was cut off here.
    RecordingEnds,
}

impl Outcome {
    /// The runners that the outcome is about.
    pub fn reports(&self) -> &[RunnerReport] {
        match self {
            Outcome::Deadlock(reports) | Outcome::Spin(reports) => reports,
            _ => &[],
        }
    }

    /// One word for machines to read.
    pub fn keyword(&self) -> &'static str {
        match self {
            Outcome::Until(_) => "until",
            Outcome::MaxTime => "max-time",
            Outcome::Panic => "panic",
            Outcome::Deadlock(_) => "deadlock",
            Outcome::Spin(_) => "spin",
            Outcome::Script { .. } => "script",
            Outcome::Quit => "quit",
            Outcome::Broken(_) => "broken",
            Outcome::RecordingEnds => "recording-ends",
        }
    }
}

/// What a run amounts to: equal for equal runs, whatever instrumentation was compiled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Ticks run.
    pub ticks: Tick,
    /// Guest time passed.
    pub time: GuestTime,
    /// The seed.
    pub seed: u64,
    /// Hash of guest memory: every page that is not all zero, with its number.
    pub memory_hash: u64,
    /// Hash of the schedule: who was given which slice at which tick.
    pub schedule_hash: u64,
    /// Hash of the bytes printed on the console.
    pub console_hash: u64,
    /// How many slices were given.
    pub slices: u64,
    /// Runners created.
    pub tasks: u32,
    /// Runners alive at the end.
    pub tasks_alive: u32,
    /// CPUs that were started, CPU 0 included.
    pub cpus: u32,
}

//! What a machine that is traced tells: numbers, in the order in which things happened.

use serde::{Deserialize, Serialize};

use crate::{CodeAddress, Cpu, Frame, GuestTime, ModuleId, RunnerId, TaskId, Tick};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The machine's position; exact.
    pub tick: Tick,
    /// The guest's clock.
    pub time: GuestTime,
    /// The runner that did it, or to which it happened.
    pub runner: RunnerId,
    /// The CPU it was on.
    pub cpu: Cpu,
    /// What.
    pub what: TraceWhat,
}

impl Record {
    /// The modules whose code it speaks of.
    pub fn modules(&self) -> impl Iterator<Item = ModuleId> {
        let (one, stack) = match &self.what {
            TraceWhat::Enter { module, .. } | TraceWhat::Exit { module, .. } => (Some(*module), &[][..]),
            TraceWhat::Sample { stack, .. } => (None, stack.as_slice()),
            _ => (None, &[][..]),
        };
        one.into_iter().chain(stack.iter().map(|frame| frame.address.module))
    }
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WakeCause {
    /// The record's runner notified the address.
    Notify {
        /// The guest address.
        address: u64,
    },
    /// Its time was up; the record's runner is the one that waited.
    Timeout,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TraceWhat {
    /// The record's runner is this task: told when it is created, and again when the task has another name.
    Task {
        /// Its `task_struct`.
        task: TaskId,
        /// Its name.
        comm: String,
        /// Its process id, where the kernel's debug information says where that is.
        pid: Option<u32>,
        /// It is the idle task of its CPU.
        idle: bool,
    },
    /// The record's runner was created by this one.
    Born {
        /// Who created it; none of CPU 0's first.
        by: Option<RunnerId>,
    },
    /// The record's runner was released: its task is dead.
    Gone,
    /// The record's runner hands its CPU to another.
    Switch {
        /// Who has it now; none where that task has no runner.
        next: Option<RunnerId>,
        /// The task that was switched to.
        task: TaskId,
    },
    /// The record's runner begins an atomic wait.
    Wait {
        /// The guest address.
        address: u64,
        /// When it ends at the latest.
        deadline: GuestTime,
    },
    /// A wait ends.
    Wake {
        /// Whose.
        woken: RunnerId,
        /// Why.
        cause: WakeCause,
    },
    /// The guest called a function of the host's.
    HostCall {
        /// The import.
        name: String,
        /// The arguments, sign-extended.
        args: Vec<u64>,
    },
    /// A function that is probed was entered.
    Enter {
        /// Its module.
        module: ModuleId,
        /// Its index in the original module.
        function: u32,
        /// Its first arguments: integers sign-extended, floats as their bits.
        args: Vec<u64>,
    },
    /// It returned.
    Exit {
        /// Its module.
        module: ModuleId,
        /// Its index in the original module.
        function: u32,
        /// What it returned, in the same form.
        result: Option<u64>,
    },
    /// A system call began.
    Syscall {
        /// Its number.
        number: u32,
        /// Its arguments.
        args: Vec<u64>,
        /// What some of the arguments point at, in the order of the arguments: see [`super::syscalls`].
        data: Vec<Vec<u8>>,
    },
    /// The innermost system call returned.
    SyscallExit {
        /// What it returned.
        result: u64,
    },
    /// A signal handler of the user program begins.
    Handler,
    /// It ended: all that was begun in it and has not returned never will.
    HandlerEnd,
    /// The record's runner left all its code without returning: exec, or a trap.
    Unwound,
    /// The guest printed.
    Console(Vec<u8>),
    /// The guest read what was typed.
    Input(Vec<u8>),
    /// Where the code is, of a profile.
    Sample {
        /// How many ticks it stands for: those since the sample before.
        ticks: u64,
        /// The call stack, innermost first.
        stack: Vec<Frame>,
    },
    /// An instruction that is probed was reached.
    Reached(CodeAddress),
}

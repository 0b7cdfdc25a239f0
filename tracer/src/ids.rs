//! Names of the things of a run: CPUs, tasks, runners, modules and places in their code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A guest CPU's number, as the kernel counts them: 0 is the boot CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Cpu(pub u32);

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu{}", self.0)
    }
}

/// A kernel task: the guest address of its `task_struct`.
///
/// The address is reused once the task is gone; [`RunnerId`] never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(pub u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// The host's execution context of one task, numbered from 0 in the order of creation and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunnerId(pub u32);

impl fmt::Display for RunnerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "runner{}", self.0)
    }
}

/// A Wasm module of the guest: 0 is the kernel, user images follow in the order in which they were first loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModuleId(pub u32);

impl ModuleId {
    /// The kernel, vmlinux.
    pub const KERNEL: ModuleId = ModuleId(0);
}

/// A byte offset in a module's code, as DWARF for Wasm counts it: from the start of the contents of the *original*
/// module's code section (the byte of the function count is at 0).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CodeOffset(pub u32);

impl fmt::Display for CodeOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// An instruction of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CodeAddress {
    /// The module that holds it.
    pub module: ModuleId,
    /// Its place in that module.
    pub offset: CodeOffset,
}

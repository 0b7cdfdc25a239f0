//! What the guest's kernel calls its tasks: `comm` and `pid` of their `task_struct`.

use std::ops::Range;

use crate::inferior::Inferior;
use crate::symbols::{Symbols, TypeKind};

/// What a kernel calls a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskName {
    /// `comm`.
    pub comm: String,
    /// The process id (of the thread, as the kernel has it).
    pub pid: u32,
}

/// Where names are in a `task_struct`: read at once, without a whole view of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePlaces {
    comm: Range<u64>,
    pid: u64,
}

impl NamePlaces {
    /// By the kernel's debug information; `None` where it does not say.
    pub fn find(symbols: &Symbols) -> Option<NamePlaces> {
        let task = symbols.ty(symbols.type_named("struct task_struct", None)?);
        let TypeKind::Composite(task) = &task.kind else { return None };
        let member = |name: &str| task.members.iter().find(|member| member.name.as_deref() == Some(name));
        let comm = member("comm")?;
        // More than any kernel has is something else.
        let len = symbols.size_of(comm.ty).filter(|len| (1..=256).contains(len))?;
        Some(NamePlaces { comm: comm.offset..comm.offset.checked_add(len)?, pid: member("pid")?.offset })
    }

    /// The names of the task at an address. `None` for one that is only being made, and has none yet.
    pub fn read(&self, inferior: &mut dyn Inferior, task: u64) -> Option<TaskName> {
        // Both at once: of hundreds of tasks, each question counts.
        let first = self.comm.start.min(self.pid);
        let end = self.comm.end.max(self.pid.checked_add(4)?);
        let bytes = inferior.read_memory(task.checked_add(first)?, end - first).ok()?;
        let part = |range: Range<u64>| bytes.get((range.start - first) as usize..(range.end - first) as usize);
        let comm = part(self.comm.clone())?.split(|&byte| byte == 0).next().unwrap_or_default();
        let name = TaskName {
            comm: String::from_utf8_lossy(comm).into_owned(),
            pid: u32::from_le_bytes(part(self.pid..self.pid + 4)?.try_into().ok()?),
        };
        Some(name).filter(|name| !name.comm.is_empty())
    }
}

//! What the guest's kernel calls its tasks: `comm` and `pid` of their `task_struct`.

use std::ops::Range;

use wkdb_tracer::ModuleId;

use super::threads::{TaskName, TaskNames};
use crate::inferior::{Inferior, TaskInfo};
use crate::symbols::{Symbols, TypeKind};

/// Reads names and process ids from the tasks themselves, where the kernel's debug information says.
#[derive(Debug, Default)]
pub struct KernelNames {
    /// Where they are; none where the kernel does not say. Not looked for yet if there is nothing.
    places: Option<Option<Places>>,
}

/// Bytes of a `task_struct`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places {
    comm: Range<u64>,
    pid: u64,
}

impl Places {
    fn find(inferior: &mut dyn Inferior) -> Option<Places> {
        let symbols = Symbols::load(inferior.module(ModuleId::KERNEL).ok()?).ok()?;
        let task = symbols.ty(symbols.type_named("struct task_struct", None)?);
        let TypeKind::Composite(task) = &task.kind else { return None };
        let member = |name: &str| task.members.iter().find(|member| member.name.as_deref() == Some(name));
        let comm = member("comm")?;
        // More than any kernel has is something else.
        let len = symbols.size_of(comm.ty).filter(|len| (1..=256).contains(len))?;
        Some(Places { comm: comm.offset..comm.offset.checked_add(len)?, pid: member("pid")?.offset })
    }

    fn read(&self, inferior: &mut dyn Inferior, task: u64) -> Option<TaskName> {
        // Both at once: of hundreds of tasks, each question counts.
        let first = self.comm.start.min(self.pid);
        let end = self.comm.end.max(self.pid.checked_add(4)?);
        let bytes = inferior.read_memory(task.checked_add(first)?, end - first).ok()?;
        let part = |range: Range<u64>| bytes.get((range.start - first) as usize..(range.end - first) as usize);
        let comm = part(self.comm.clone())?.split(|&byte| byte == 0).next().unwrap_or_default();
        Some(TaskName {
            comm: String::from_utf8_lossy(comm).into_owned(),
            pid: u32::from_le_bytes(part(self.pid..self.pid + 4)?.try_into().ok()?),
        })
    }
}

impl TaskNames for KernelNames {
    fn name(&mut self, inferior: &mut dyn Inferior, task: &TaskInfo) -> Option<TaskName> {
        let places = match &self.places {
            Some(places) => places.clone(),
            None => self.places.insert(Places::find(inferior)).clone(),
        };
        // A task that is only being made has no name yet.
        places?.read(inferior, task.context.task.0).filter(|name| !name.comm.is_empty())
    }
}

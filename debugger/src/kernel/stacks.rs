//! Kernel stacks: how much of each is in use, and how far it has ever been.

use serde::Serialize;
use wkdb_tracer::{ModuleId, RunnerId, WasmValue};

use super::text::{cell, plain, styled, tell_problems};
use super::{Kernel, Now, Object, TaskRef};
use crate::commands::output::Table;
use crate::commands::{Output, Style};
use crate::inferior::{InferiorError, TaskInfo};

/// As large as a kernel stack can be. A larger one is a pointer that was overwritten.
const MAX_STACK: u64 = 1 << 20;

/// What Linux keeps in the lowest word of a stack, to see whether that was overwritten (`STACK_END_MAGIC`).
const END_MAGIC: u64 = 0x57ac_6e9d;

/// A kernel stack. It grows down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StackUse {
    /// Its lowest address.
    pub base: u64,
    /// Bytes that there are for frames.
    pub size: u64,
    /// The stack pointer; `None` for a task that has not run.
    pub pointer: Option<u64>,
    /// Bytes in use. More than there are if it has overflowed.
    pub used: Option<u64>,
}

/// A task's stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StackRow {
    /// Whose.
    pub task: TaskRef,
    /// What is in use of it.
    #[serde(flatten)]
    pub stack: StackUse,
    /// Bytes from its top to the lowest one that is not zero: how far it has been, if the memory was clean before.
    pub touched: Option<u64>,
    /// The word at its end is as Linux left it; `None` where there is none.
    pub end_intact: Option<bool>,
}

/// The stacks of all tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StacksView {
    /// When.
    pub now: Now,
    /// The deepest ones first.
    pub stacks: Vec<StackRow>,
    /// What makes no sense.
    pub problems: Vec<String>,
}

impl Kernel<'_> {
    /// The size of a kernel stack, where there is a variable or a type that has it.
    fn thread_size(&self) -> Option<u64> {
        let by_type = || self.symbols.size_of(self.type_named("union thread_union")?);
        let size = self.variable("init_stack").and_then(|stack| stack.size()).or_else(by_type)?;
        (64..=MAX_STACK).contains(&size).then_some(size)
    }

    /// The kernel's stack pointer of a runner. In code that was not compiled for debugging, that of a runner in user mode
    /// is not known.
    fn kernel_stack_pointer(&self, runner: RunnerId) -> Option<u64> {
        if self.has_globals.get()
            && let Some(global) = self.symbols.global_named("__stack_pointer")
        {
            let globals = self.memory.inferior().globals(runner, ModuleId::KERNEL);
            match globals.as_deref().map(|globals| globals.get(global as usize)) {
                Ok(Some(Some(WasmValue::I32(value)))) => return Some(u64::from(*value)),
                Ok(Some(Some(WasmValue::I64(value)))) => return Some(*value),
                Ok(_) => {}
                // It is the same for all others.
                Err(InferiorError::Refused(_)) => self.has_globals.set(false),
                Err(_) => return None,
            }
        }
        let in_kernel = self.frames(runner).first()?.address.module == ModuleId::KERNEL;
        let pointer = if in_kernel { self.memory.inferior().stack_pointer(runner).ok() } else { None };
        pointer.map(|pointer| pointer & self.address_mask())
    }

    /// A task's kernel stack: between what its `stack` says and either the task itself, where that lies at the stack's
    /// top, or as far as stacks of this kernel reach.
    pub(super) fn stack_use(&self, task: &Object<'_, '_>, runner: Option<&TaskInfo>) -> Option<StackUse> {
        let base = task.u("stack").filter(|&base| base != 0)?;
        let above = task.address().checked_sub(base).filter(|above| (1..MAX_STACK).contains(above));
        let size = match (self.thread_size(), above) {
            (Some(size), Some(above)) => size.min(above),
            (size, above) => size.or(above)?,
        };
        let top = base.checked_add(size)?;
        let pointer = runner.filter(|runner| runner.started).and_then(|r| self.kernel_stack_pointer(r.context.runner));
        let used = pointer.and_then(|pointer| top.checked_sub(pointer)).filter(|&used| used <= size + MAX_STACK);
        if let Some(pointer) = pointer
            && !(base..=top).contains(&pointer)
        {
            let who = self.task_ref(task);
            self.problem(format!("{who}: its stack pointer {pointer:#x} is not in its stack, {base:#x} to {top:#x}"));
        }
        Some(StackUse { base, size, pointer, used })
    }

    /// The kernel stack of the task that a runner runs.
    pub fn stack_of(&self, runner: RunnerId) -> Option<StackUse> {
        let runner = self.runners().iter().find(|known| known.context.runner == runner)?;
        let task = self.object("struct task_struct", runner.context.task.0)?;
        self.stack_use(&task, Some(runner))
    }

    fn stack_row(&self, task: &Object<'_, '_>) -> Option<StackRow> {
        let stack = self.stack_use(task, self.runner(task.address()))?;
        let who = self.task_ref(task);
        let bytes = self.memory.bytes(stack.base, usize::try_from(stack.size).ok()?);
        if bytes.is_none() {
            self.problem(format!("{who}: there is no memory where its stack should be, at {:#x}", stack.base));
        }
        // What lies at the very end: where a task has no `thread_info` in it, that.
        let info = match task.member("thread_info") {
            Some(_) => 0,
            None => self.type_named("struct thread_info").and_then(|ty| self.symbols.size_of(ty)).unwrap_or(0) as usize,
        };
        let behind = info.saturating_add(self.word() as usize);
        let end = bytes
            .as_ref()
            .and_then(|bytes| bytes.get(info..behind))
            .map(|end| end.iter().rev().fold(0_u64, |word, &byte| word << 8 | u64::from(byte)));
        // Only Linux looks at the end of stacks, by this function.
        let has_magic = !self.symbols.functions_named("set_task_stack_end_magic").is_empty();
        let end_intact = end.filter(|_| has_magic && who.pid != Some(0)).map(|end| end == END_MAGIC);
        if end_intact == Some(false) {
            self.problem(format!(
                "{who}: the end of its stack at {:#x} was overwritten: {:#x}",
                stack.base,
                end.unwrap_or(0)
            ));
        }
        let clean = bytes.as_ref().map(|bytes| {
            let skipped = if has_magic { behind } else { info };
            skipped + bytes.iter().skip(skipped).take_while(|&&byte| byte == 0).count()
        });
        let touched = clean.map(|clean| stack.size.saturating_sub(clean as u64));
        Some(StackRow { task: who, stack, touched, end_intact })
    }

    /// The stacks of all tasks.
    pub fn stacks(&self) -> StacksView {
        let tasks = self.all_tasks();
        let mut stacks: Vec<StackRow> = tasks.iter().filter_map(|(task, _)| self.stack_row(task)).collect();
        stacks.sort_by_key(|row| (std::cmp::Reverse(row.stack.used), std::cmp::Reverse(row.touched), row.task.pid));
        StacksView { now: self.now(), stacks, problems: self.take_problems() }
    }
}

impl StacksView {
    /// As a table.
    pub fn text(&self) -> Output {
        let mut table = Table::new(["Used", "Of", "Touched", "From", "Pointer", "Task", "Name"]);
        for row in &self.stacks {
            table.row([
                cell(row.stack.used),
                plain(row.stack.size),
                cell(row.touched),
                styled(format!("{:#x}", row.stack.base), Style::Address),
                cell(super::text::hex(row.stack.pointer)),
                styled(format!("{:#x}", row.task.address), Style::Address),
                styled(&row.task, Style::Task),
            ]);
        }
        let mut out = table.into_output();
        tell_problems(&mut out, &self.problems);
        out
    }
}

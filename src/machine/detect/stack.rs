//! Stacks: where they are, and what lies where one is left.
//!
//! A kernel stack belongs to a task: its lower end is `task_struct.stack`, its upper one the task itself where that lies
//! at the stack's top, as the port has it. The stack of a process's first thread is the region that begins at
//! `mm_struct.start_brk`, up to `start_stack`. A kernel without debug information is taken for the port's: stacks of
//! 8 KiB, aligned to that, with the task at their top.
//!
//! What it cannot see: a function whose frame is so large that it lies below the neighbour, all of it, is told as any
//! other; one that moves the stack pointer and moves it back before it checks is not. Stacks of a program's other threads
//! are where the program put them, so their ends are not known.

use std::ops::RangeInclusive;

use wkdb_tracer::{Detector, Finding, Frame, RunnerId};

use super::super::core::Core;
use super::super::memory::GuestMemory;
use super::facts::{KernelFacts, MAX_STACK};

/// The port's kernel stacks, with the task inside.
const PORT_STACK: u64 = 8192;

/// A stack's name, and where its pointer may be: from its lower end to its upper one.
pub(in crate::machine) type Bounds = RangeInclusive<u64>;

/// Whose stack it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::machine) enum Whose {
    /// The kernel's, of a task.
    Kernel,
    /// A user program's.
    User,
}

/// A word of the guest's: an address.
fn word(memory: &GuestMemory, wide: bool, address: u64) -> Option<u64> {
    match wide {
        true => memory.read_u64(address).ok(),
        false => memory.read_u32(address).ok().map(u64::from),
    }
}

/// Where the kernel stack of a task is.
pub(in crate::machine) fn kernel_stack(
    memory: &GuestMemory,
    facts: &KernelFacts,
    wide: bool,
    task: u64,
) -> Option<Bounds> {
    if !facts.known {
        let base = task & !(PORT_STACK - 1);
        return (base != task).then_some(base..=task);
    }
    let base = word(memory, wide, task.checked_add(facts.task_stack?)?)?;
    let above = task.checked_sub(base).filter(|above| (1..MAX_STACK).contains(above));
    let size = match (facts.thread_size, above) {
        (Some(size), Some(above)) => size.min(above),
        (size, above) => size.or(above)?,
    };
    let low = base.checked_add(facts.stack_guard.min(size / 2))?;
    (base != 0).then_some(low..=base.checked_add(size)?)
}

/// The memory descriptor of a task's process; none of a thread of the kernel's.
pub(in crate::machine) fn process(memory: &GuestMemory, facts: &KernelFacts, wide: bool, task: u64) -> Option<u64> {
    word(memory, wide, task.checked_add(facts.task_mm?)?).filter(|&mm| mm != 0)
}

/// Where the stack of a process's first thread is.
pub(in crate::machine) fn user_stack(
    memory: &GuestMemory,
    facts: &KernelFacts,
    wide: bool,
    task: u64,
) -> Option<Bounds> {
    let mm = process(memory, facts, wide, task)?;
    let low = word(memory, wide, mm.checked_add(facts.start_brk?)?)?;
    let high = word(memory, wide, mm.checked_add(facts.start_stack?)?)?;
    let len = high.checked_sub(low)?;
    (low != 0 && (1..=16 * MAX_STACK).contains(&len)).then_some(low..=high)
}

/// Where the heap of a process is, if it has one.
pub(in crate::machine) fn heap(
    memory: &GuestMemory,
    facts: &KernelFacts,
    wide: bool,
    task: u64,
) -> Option<std::ops::Range<u64>> {
    let mm = process(memory, facts, wide, task)?;
    let (start, end) = (mm.checked_add(facts.start_brk?)?, mm.checked_add(facts.brk?)?);
    let (start, end) = (word(memory, wide, start)?, word(memory, wide, end)?);
    (start != 0 && start < end).then_some(start..end)
}

/// What a stack pointer that has left its stack is told as.
pub(in crate::machine) struct Left<'a> {
    pub(in crate::machine) whose: Whose,
    pub(in crate::machine) bounds: &'a Bounds,
    pub(in crate::machine) pointer: u64,
    pub(in crate::machine) stack: Vec<Frame>,
    /// What lies where it is now.
    pub(in crate::machine) there: Option<String>,
}

impl Core {
    /// The finding that a runner's stack pointer has left its stack.
    pub(in crate::machine) fn left_stack(&self, runner: RunnerId, left: Left<'_>) -> Finding {
        let Left { whose, bounds, pointer, stack, there } = left;
        let context = self.context(runner);
        let (low, high) = (*bounds.start(), *bounds.end());
        let name = match whose {
            Whose::Kernel => "kernel stack",
            Whose::User => "user stack",
        };
        let comm = &context.comm;
        let (headline, area) = if pointer >= low {
            (format!("{comm} is {} bytes above its {name}", pointer - high), (high, pointer - high))
        } else if low - pointer <= MAX_STACK {
            (format!("{comm} is {} bytes below its {name}", low - pointer), (pointer, low - pointer))
        } else {
            (format!("the stack pointer of {comm} is nowhere near its {name}"), (pointer, 1))
        };
        let finding = Finding::new(Detector::Stack, headline)
            .about(context)
            .at(stack)
            .on(area.0, area.1)
            .detail(format!("the stack reaches from {low:#x} to {high:#x}, and its pointer is {pointer:#x}"));
        match there {
            Some(there) => finding.detail(format!("there lies {there}")),
            None => finding,
        }
    }

    /// What of the guest's tasks lies at an address: in words.
    pub(in crate::machine) fn task_at(&self, facts: &KernelFacts, wide: bool, address: u64) -> Option<String> {
        let size = facts.task_size.unwrap_or(1);
        let tasks = self.runners.ids().into_iter().filter_map(|id| Some((id, self.runners.get(id)?)));
        for (_, runner) in tasks {
            let task = runner.task.0;
            let who = || format!("{} ({:#x})", runner.comm, task);
            if address.checked_sub(task).is_some_and(|at| at < size) {
                return Some(format!("the task_struct of {}", who()));
            }
            let stack = kernel_stack(&self.memory, facts, wide, task);
            if stack.is_some_and(|stack| stack.contains(&address)) {
                return Some(format!("the kernel stack of {}", who()));
            }
            let stack = user_stack(&self.memory, facts, wide, task);
            if stack.is_some_and(|stack| stack.contains(&address)) {
                return Some(format!("the user stack of {}", who()));
            }
        }
        None
    }
}

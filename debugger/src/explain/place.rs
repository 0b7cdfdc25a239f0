//! Places in the source, stacks of them, and who of a stack is to be named.

use std::fmt;

use serde::Serialize;
use wkdb_tracer::{Cpu, GuestTime, ModuleId, RunnerId, TaskId, Tick};

use super::names;

/// A function of the source, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The function.
    pub function: String,
    /// The source file, if it is known.
    pub file: Option<String>,
    /// The line, if it is known.
    pub line: Option<u32>,
    /// The module: 0 is the kernel.
    pub module: u32,
}

impl Place {
    /// Whether it is code of the kernel's.
    pub fn is_kernel(&self) -> bool {
        ModuleId(self.module) == ModuleId::KERNEL
    }

    /// Whether it only does what it is told.
    pub(super) fn is_helper(&self) -> bool {
        names::is_helper(&self.function, self.file.as_deref())
    }

    /// Whether it is part of the kernel's memory management.
    pub(super) fn is_allocator(&self) -> bool {
        names::is_allocator(&self.function, self.file.as_deref())
    }

    /// Whether both are the same function.
    pub(super) fn same_function(&self, other: &Place) -> bool {
        (&self.function, &self.file, self.module) == (&other.function, &other.file, other.module)
    }

    /// Whether both are in one file.
    pub(super) fn same_file(&self, other: &Place) -> bool {
        self.file.is_some() && (&self.file, self.module) == (&other.file, other.module)
    }
}

impl fmt::Display for Place {
    /// `worker_thread (kernel/workqueue.c:312)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.function)?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " ({file}:{line})"),
            (Some(file), None) => write!(f, " ({file})"),
            (None, _) => Ok(()),
        }
    }
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// The host's number of what runs the task.
    #[serde(skip)]
    pub runner: RunnerId,
    /// Its task.
    pub task: TaskId,
    /// Its name.
    pub comm: String,
    /// Its CPU.
    pub cpu: Cpu,
    /// The machine's position.
    pub tick: Tick,
    /// The guest's clock.
    pub time: GuestTime,
}

impl From<&wkdb_tracer::Context> for Actor {
    fn from(context: &wkdb_tracer::Context) -> Self {
        let wkdb_tracer::Context { runner, task, comm, cpu, tick, time } = context.clone();
        Actor { runner, task, comm, cpu, tick, time }
    }
}

impl fmt::Display for Actor {
    /// `tick 283205, 3.120002 s, kworker/0:0 on cpu0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Actor { comm, cpu, tick, time, .. } = self;
        write!(f, "tick {tick}, {time} s, {comm} on {cpu}")
    }
}

/// The places of a call stack, innermost first, inlined functions among them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stack(pub Vec<Place>);

impl Stack {
    /// The place that is to be named: the innermost that is no helper.
    pub(super) fn responsible(&self) -> Option<usize> {
        let found = self.0.iter().position(|place| !place.is_helper());
        found.or((!self.0.is_empty()).then_some(0))
    }

    /// The same.
    pub(super) fn who(&self) -> Option<&Place> {
        self.0.get(self.responsible()?)
    }

    /// Who called the memory management; none where it is not on the stack.
    pub(super) fn beyond(&self, allocator: impl Fn(&str) -> bool) -> Option<usize> {
        let first = self.0.iter().position(|place| allocator(&place.function))?;
        let outside = |place: &Place| !place.is_helper() && !place.is_allocator();
        self.0.iter().enumerate().skip(first + 1).find(|(_, place)| outside(place)).map(|(at, _)| at)
    }

    /// Whether a function of this kind is on it.
    pub(super) fn has(&self, kind: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|place| kind(&place.function))
    }
}

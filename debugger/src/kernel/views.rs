//! The views by name, for whoever types them.

use std::collections::HashSet;
use std::rc::Rc;

use serde::Serialize;
use thiserror::Error;

use super::{
    AddressView, CpusView, DmesgView, FdsView, Kernel, MapsView, Object, RcuView, StacksView, TasksView, TimersView,
    WorkqueuesView,
};
use crate::commands::Output;
use crate::inferior::Inferior;
use crate::symbols::Symbols;

/// What there is to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ViewKind {
    /// CPUs.
    Cpus,
    /// Tasks.
    Tasks,
    /// Kernel stacks.
    Stacks,
    /// Timers.
    Timers,
    /// Workqueues.
    Workqueues,
    /// RCU.
    Rcu,
    /// The log.
    Dmesg,
    /// Open files of a task.
    Fds,
    /// Memory of a task.
    Maps,
    /// An address.
    Address,
}

impl ViewKind {
    /// All, with their names and what each tells.
    pub const ALL: &[(ViewKind, &str, &str)] = &[
        (ViewKind::Cpus, "cpus", "what each CPU runs, its interrupts, its next timer, its run queue"),
        (ViewKind::Tasks, "tasks", "all tasks: state, CPU, stack, where they wait"),
        (ViewKind::Stacks, "stacks", "how deep the tasks' kernel stacks are and have been"),
        (ViewKind::Timers, "timers", "timer wheels and high-resolution timers"),
        (ViewKind::Workqueues, "workqueues", "pools, workers, what they do and what waits"),
        (ViewKind::Rcu, "rcu", "grace periods and callbacks"),
        (ViewKind::Dmesg, "dmesg", "the kernel's log, out of its memory"),
        (ViewKind::Fds, "fds", "[PID]  open files of a task; without one, all tables of them"),
        (ViewKind::Maps, "maps", "[PID]  memory of a task; without one, of all processes"),
        (ViewKind::Address, "addr", "0xADDRESS  whose memory an address is"),
    ];

    /// The view with a name.
    pub fn named(name: &str) -> Option<ViewKind> {
        ViewKind::ALL.iter().find(|(_, known, _)| *known == name).map(|(kind, ..)| *kind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        ViewKind::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(_, name, _)| name)
    }
}

/// Which view is wanted, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewRequest {
    /// Which.
    pub kind: ViewKind,
    /// Of [`ViewKind::Fds`] and [`ViewKind::Maps`], whose: a pid, or the address of a `task_struct`; without one, of all
    /// tasks. Of [`ViewKind::Address`], the address.
    pub of: Option<u64>,
}

/// A view was asked for that cannot be made. What is wrong with the guest's memory is no such reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ViewError {
    /// There is nothing to go by.
    #[error("the kernel's module has no debug information (DWARF): build it with CONFIG_DEBUG_INFO to have its views")]
    NoDebugInfo,
    /// No task is the one that was meant.
    #[error("there is no task with the pid or address {0:#x} ({0}): the view `tasks` lists them")]
    NoTask(u64),
    /// An address is missing.
    #[error("of which address? it follows the word `addr`")]
    NoAddress,
}

/// A view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "view", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is documented where its type is")]
pub enum View {
    Cpus(CpusView),
    Tasks(TasksView),
    Stacks(StacksView),
    Timers(TimersView),
    Workqueues(WorkqueuesView),
    Rcu(RcuView),
    Dmesg(DmesgView),
    Fds { tasks: Vec<FdsView> },
    Maps { tasks: Vec<MapsView> },
    Addr(AddressView),
}

impl ViewRequest {
    /// Makes the view of a guest by the symbols of its kernel.
    ///
    /// # Errors
    /// There is no debug information, or what was asked for by number is not there.
    pub fn view(self, inferior: &mut dyn Inferior, symbols: Rc<Symbols>) -> Result<View, ViewError> {
        if !symbols.has_dwarf() {
            return Err(ViewError::NoDebugInfo);
        }
        let kernel = Kernel::new(inferior, symbols);
        Ok(match self.kind {
            ViewKind::Cpus => View::Cpus(kernel.cpus()),
            ViewKind::Tasks => View::Tasks(kernel.tasks()),
            ViewKind::Stacks => View::Stacks(kernel.stacks()),
            ViewKind::Timers => View::Timers(kernel.timers()),
            ViewKind::Workqueues => View::Workqueues(kernel.workqueues()),
            ViewKind::Rcu => View::Rcu(kernel.rcu()),
            ViewKind::Dmesg => View::Dmesg(kernel.dmesg()),
            ViewKind::Fds => {
                let tasks = self.tasks(&kernel, "files")?;
                let views = tasks.iter().map(|task| kernel.fds(task));
                View::Fds { tasks: views.filter(|view| self.of.is_some() || view.says_something()).collect() }
            }
            ViewKind::Maps => {
                let tasks = self.tasks(&kernel, "mm")?;
                View::Maps { tasks: tasks.iter().map(|task| kernel.maps(task)).collect() }
            }
            ViewKind::Address => View::Addr(kernel.address(self.of.ok_or(ViewError::NoAddress)?)),
        })
    }

    /// The task that is meant; or all that have something in a member.
    fn tasks<'k, 'i>(self, kernel: &'k Kernel<'i>, member: &'static str) -> Result<Vec<Object<'k, 'i>>, ViewError> {
        let tasks = kernel.all_tasks().into_iter().map(|(task, _)| task);
        let Some(wanted) = self.of else {
            // What several share is told of the first one.
            let mut seen = HashSet::from([0]);
            return Ok(tasks.filter(|task| task.u(member).is_some_and(|pointer| seen.insert(pointer))).collect());
        };
        let is_wanted = |task: &Object| task.address() == wanted || task.u("pid") == Some(wanted);
        let found: Vec<Object> = tasks.filter(is_wanted).collect();
        if found.is_empty() { Err(ViewError::NoTask(wanted)) } else { Ok(found) }
    }
}

impl View {
    /// As a person reads it.
    pub fn text(&self) -> Output {
        fn joined<T>(views: &[T], text: impl Fn(&T) -> Output) -> Output {
            let mut out = Output::new();
            for view in views {
                out.append(&text(view));
            }
            out
        }
        match self {
            View::Cpus(view) => view.text(),
            View::Tasks(view) => view.text(),
            View::Stacks(view) => view.text(),
            View::Timers(view) => view.text(),
            View::Workqueues(view) => view.text(),
            View::Rcu(view) => view.text(),
            View::Dmesg(view) => view.text(),
            View::Fds { tasks } => joined(tasks, FdsView::text),
            View::Maps { tasks } => joined(tasks, MapsView::text),
            View::Addr(view) => view.text(),
        }
    }

    /// What makes no sense in what it shows.
    pub fn problems(&self) -> Vec<&str> {
        let problems: Vec<&Vec<String>> = match self {
            View::Cpus(view) => vec![&view.problems],
            View::Tasks(view) => vec![&view.problems],
            View::Stacks(view) => vec![&view.problems],
            View::Timers(view) => vec![&view.problems],
            View::Workqueues(view) => vec![&view.problems],
            View::Rcu(view) => vec![&view.problems],
            View::Dmesg(view) => vec![&view.problems],
            View::Fds { tasks } => tasks.iter().map(|view| &view.problems).collect(),
            View::Maps { tasks } => tasks.iter().map(|view| &view.problems).collect(),
            View::Addr(view) => vec![&view.problems],
        };
        problems.into_iter().flatten().map(String::as_str).collect()
    }
}

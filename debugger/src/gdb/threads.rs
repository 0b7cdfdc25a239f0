//! Tasks as the client's threads: their numbers and their names.

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use gdbstub::common::Tid;
use wkdb_tracer::{RunnerId, RunnerState};

use crate::inferior::{Inferior, TaskInfo};
use crate::kernel::TaskName;

/// Tells what the guest's kernel calls its tasks now. Without it, threads have the names that their tasks were created
/// with, and the addresses of their `task_struct`.
pub trait TaskNames {
    /// The name and process id of a task, if they can be read.
    fn name(&mut self, inferior: &mut dyn Inferior, task: &TaskInfo) -> Option<TaskName>;
}

/// The thread of a runner: small, and never reused.
pub(super) fn tid(runner: RunnerId) -> Tid {
    NonZeroUsize::MIN.saturating_add(runner.0 as usize)
}

/// The runner that a thread stands for.
pub(super) fn runner(tid: Tid) -> RunnerId {
    RunnerId(u32::try_from(tid.get() - 1).unwrap_or(u32::MAX))
}

/// `comm/pid @cpuN state`.
pub(super) fn title(task: &TaskInfo, name: Option<TaskName>) -> String {
    let context = &task.context;
    let who = match name {
        Some(TaskName { comm, pid }) => format!("{comm}/{pid}"),
        None => format!("{}/{}", context.comm, context.task),
    };
    format!("{who} @{} {}", context.cpu, state(task))
}

/// What a task is doing, in a few words.
pub(super) fn state(task: &TaskInfo) -> String {
    match task.state {
        _ if !task.started => "new".to_owned(),
        RunnerState::Runnable if task.holds_cpu => "running".to_owned(),
        RunnerState::Runnable => "runnable".to_owned(),
        RunnerState::Waiting { address, .. } => format!("waiting on {address:#x}"),
        RunnerState::SwitchedOut => "switched out".to_owned(),
        RunnerState::Stopped => "stopped".to_owned(),
    }
}

/// What `qXfer:threads:read` gives.
pub(super) fn threads_xml<'a>(threads: impl Iterator<Item = (Tid, &'a str, u32)>) -> String {
    let mut xml = "<?xml version=\"1.0\"?>\n<threads>\n".to_owned();
    for (tid, title, cpu) in threads {
        // Writing to a string does not fail.
        let _ = writeln!(xml, "<thread id=\"{:x}\" core=\"{cpu}\" name=\"{}\"/>", tid.get(), attribute(title));
    }
    xml.push_str("</threads>\n");
    xml
}

/// A text as the value of an XML attribute: a task may call itself anything.
pub(super) fn attribute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML 1.0 has no way to say these.
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use wkdb_tracer::{Context, Cpu, GuestTime, TaskId, Tick};

    use super::*;

    fn task(state: RunnerState, holds_cpu: bool) -> TaskInfo {
        let context = Context {
            runner: RunnerId(4),
            task: TaskId(0x1000),
            comm: "kworker/0:1".into(),
            cpu: Cpu(2),
            tick: Tick::default(),
            time: GuestTime::default(),
        };
        TaskInfo { context, state, holds_cpu, started: true }
    }

    #[test]
    fn titles_say_who_where_and_what() {
        let waiting = task(RunnerState::Waiting { address: 0x40, deadline: GuestTime::default() }, true);
        assert_eq!(title(&waiting, None), "kworker/0:1/0x1000 @cpu2 waiting on 0x40");
        let name = TaskName { comm: "sh".into(), pid: 17 };
        assert_eq!(title(&task(RunnerState::Runnable, true), Some(name.clone())), "sh/17 @cpu2 running");
        assert_eq!(title(&task(RunnerState::Runnable, false), Some(name.clone())), "sh/17 @cpu2 runnable");
        let new = TaskInfo { started: false, ..task(RunnerState::Runnable, false) };
        assert_eq!(title(&new, Some(name)), "sh/17 @cpu2 new");
    }

    #[test]
    fn names_that_guests_choose_do_not_break_the_xml() {
        let xml = threads_xml([(tid(RunnerId(9)), "<a \"&\x01\"/7", 3)].into_iter());
        assert!(xml.contains("<thread id=\"a\" core=\"3\" name=\"&lt;a &quot;&amp;?&quot;/7\"/>"), "{xml}");
    }

    #[test]
    fn threads_are_counted_from_one() {
        assert_eq!(tid(RunnerId(0)).get(), 1);
        assert_eq!(runner(tid(RunnerId(700))), RunnerId(700));
        assert_eq!(runner(NonZeroUsize::MAX), RunnerId(u32::MAX));
    }
}

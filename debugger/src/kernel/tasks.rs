//! Tasks: who they are, what they do, and where those that wait do so.

use std::collections::HashSet;

use serde::Serialize;
use wkdb_tracer::{GuestTime, ModuleId, RunnerId, RunnerState};

use super::text::{cell, plain, styled, tell_problems};
use super::{Kernel, Now, Object, StackUse};
use crate::commands::output::Table;
use crate::commands::{Output, Style};
use crate::inferior::TaskInfo;

/// Threads of one process. More are none.
const MAX_THREADS: usize = 10_000;

/// `task_struct.flags`: a thread of the kernel's own.
const PF_KTHREAD: u64 = 0x20_0000;

/// `task_struct.__state` and `exit_state`: the same from 4.14 on. The letter is that of /proc.
const STATES: &[(u64, char, &str)] = &[
    (0x0001, 'S', "interruptible"),
    (0x0002, 'D', "uninterruptible"),
    (0x0004, 'T', "stopped"),
    (0x0008, 't', "traced"),
    (0x0010, 'X', "exit-dead"),
    (0x0020, 'Z', "zombie"),
    (0x0040, 'P', "parked"),
    (0x0080, 'X', "dead"),
    (0x0100, 'R', "wakekill"),
    (0x0200, 'R', "waking"),
    (0x0400, 'I', "noload"),
    (0x0800, 'R', "new"),
    (0x1000, 'D', "rtlock-wait"),
    (0x8000, 'D', "frozen"),
];

/// What only says how a sleeper may be frozen: `TASK_FREEZABLE` and what goes with it.
const FREEZABLE: u64 = 0x6000;

/// Functions that only put a task to sleep: what waits is who called them. A `*` stands for any ending.
const SCHEDULER: &[&str] = &[
    "wasm_serialize_tasks",
    "wasm_create_and_run_task",
    "__switch_to",
    "switch_to",
    "context_switch",
    "__schedule*",
    "schedule*",
    "preempt_schedule*",
    "io_schedule*",
    "yield*",
    "do_sched_yield",
    "cond_resched",
    "__cond_resched*",
    "wait_for_completion*",
    "wait_for_common*",
    "__wait_for_common*",
    "do_wait_for_common*",
    "__wait_on_bit*",
    "out_of_line_wait_on_bit*",
    "bit_wait*",
    "mutex_lock*",
    "__mutex_lock*",
    "ww_mutex_lock*",
    "down",
    "down_*",
    "__down*",
    "rwsem_down_*",
    "rt_mutex_*",
    "__rt_mutex_*",
    "msleep*",
    "usleep_range*",
    "do_nanosleep",
    "prepare_to_wait*",
];

/// A task, as another view names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskRef {
    /// Its `task_struct`.
    pub address: u64,
    /// Its process id; `None` where that cannot be read.
    pub pid: Option<i64>,
    /// Its name.
    pub comm: Option<String>,
}

impl std::fmt::Display for TaskRef {
    /// `sh/25`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.comm, self.pid) {
            (Some(comm), Some(pid)) => write!(f, "{comm}/{pid}"),
            _ => write!(f, "{:#x}?", self.address),
        }
    }
}

/// A task of the kernel's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TaskRow {
    /// Who it is.
    #[serde(flatten)]
    pub task: TaskRef,
    /// Its process: the pid of the first thread.
    pub tgid: Option<i64>,
    /// The process that it is a child of.
    pub parent: Option<i64>,
    /// The letter that /proc has for its state.
    pub state: Option<char>,
    /// Its state in words.
    pub state_text: Option<String>,
    /// The CPU that it runs on, or did last.
    pub cpu: Option<u64>,
    /// A thread of the kernel's own.
    pub kernel_thread: Option<bool>,
    /// The kernel's list of tasks has it. CPUs' idle tasks are in none.
    pub listed: bool,
    /// The host's number for what runs it, from 0; `None` for one that has never run.
    pub runner: Option<u32>,
    /// What the host says of it.
    pub host_state: Option<String>,
    /// Its kernel stack.
    pub stack: Option<StackUse>,
    /// The function of the kernel that it waits in, behind those of the scheduler; `None` for one that runs.
    pub waits_in: Option<String>,
}

/// All tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TasksView {
    /// When.
    pub now: Now,
    /// By pid; CPUs' idle tasks first.
    pub tasks: Vec<TaskRow>,
    /// What makes no sense.
    pub problems: Vec<String>,
}

/// Whether a function only puts a task to sleep.
pub(super) fn is_scheduler(function: &str) -> bool {
    // Clang's copies of a function have a number behind it.
    let function = function.split('.').next().unwrap_or(function);
    SCHEDULER.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => function.starts_with(start),
        None => function == *pattern,
    })
}

/// What the host says of a task, in words.
fn host_state(task: &TaskInfo) -> String {
    match task.state {
        _ if !task.started => "has not run yet".to_owned(),
        RunnerState::Runnable if task.holds_cpu => "runs".to_owned(),
        RunnerState::Runnable => "can run".to_owned(),
        RunnerState::Waiting { address, deadline: GuestTime::NEVER } => format!("waits on {address:#x}"),
        RunnerState::Waiting { address, deadline } => format!("waits on {address:#x} until {deadline}"),
        RunnerState::SwitchedOut => "switched out".to_owned(),
        RunnerState::Stopped => "stopped for good".to_owned(),
    }
}

impl<'i> Kernel<'i> {
    /// The tasks that the kernel's list has, threads of processes too, in the order in which they were made.
    pub(super) fn listed_tasks(&self) -> Vec<Object<'_, 'i>> {
        // Linux begins at the first task, minik at a head of its own; the latter lists threads among the others.
        let (head, first, what) = match (self.variable("task_list"), self.variable("init_task")) {
            (Some(list), _) => (list.address(), None, "the list of tasks (task_list)"),
            (None, Some(init)) => match init.member("tasks") {
                Some(list) => (list.address(), Some(init), "the list of tasks (init_task.tasks)"),
                None => return Vec::new(),
            },
            (None, None) => return Vec::new(),
        };
        let mut tasks: Vec<Object> = first.into_iter().collect();
        for entry in self.list(head, what) {
            let Some(leader) = self.container("struct task_struct", "tasks", entry) else { break };
            tasks.push(leader);
        }
        let leaders = std::mem::take(&mut tasks);
        let mut seen: HashSet<u64> = HashSet::new();
        for leader in leaders {
            if seen.insert(leader.address()) {
                tasks.push(leader);
            }
            for thread in self.threads(&leader) {
                if seen.insert(thread.address()) {
                    tasks.push(thread);
                }
            }
        }
        tasks
    }

    /// The threads of a process, as the kernel links them.
    fn threads(&self, leader: &Object<'_, 'i>) -> Vec<Object<'_, 'i>> {
        // The first task's signals are not a list's head before it has made threads; those of others always are.
        let Some(head) = leader.member("thread_node").and_then(|_| leader.follow("signal")?.member("thread_head"))
        else {
            return Vec::new();
        };
        let what = format!("the threads of the task {:#x}", leader.address());
        let entries = self.list(head.address(), &what);
        let threads = entries.into_iter().take(MAX_THREADS);
        threads.filter_map(|entry| self.container("struct task_struct", "thread_node", entry)).collect()
    }

    /// All tasks: those of the list, the CPUs' idle tasks, and those that only the host knows; and whether the list has
    /// each.
    pub(super) fn all_tasks(&self) -> Vec<(Object<'_, 'i>, bool)> {
        let listed = self.listed_tasks();
        let mut seen: HashSet<u64> = listed.iter().map(Object::address).collect();
        let idle = self.possible_cpus().into_iter().filter_map(|cpu| self.per_cpu("runqueues", cpu)?.follow("idle"));
        let hosts = self.runners().iter().map(|runner| runner.context.task.0).filter(|&task| task != 0);
        let hosts = hosts.filter_map(|task| self.object("struct task_struct", task));
        let others: Vec<Object> = idle.chain(hosts).filter(|task| seen.insert(task.address())).collect();
        let others = others.into_iter().map(|task| (task, false));
        others.chain(listed.into_iter().map(|task| (task, true))).collect()
    }

    /// A task's name and number.
    pub(super) fn task_ref(&self, task: &Object<'_, '_>) -> TaskRef {
        TaskRef { address: task.address(), pid: task.i("pid"), comm: task.name("comm") }
    }

    /// A task's `thread_info`: in the task, or at the end of its stack, as an architecture has it.
    pub(super) fn thread_info<'k>(&'k self, task: &Object<'k, 'i>) -> Option<Object<'k, 'i>> {
        let at_end = || {
            self.type_named("struct thread_info")?;
            self.object("struct thread_info", task.u("stack").filter(|&stack| stack != 0)?)
        };
        task.member("thread_info").or_else(at_end)
    }

    /// The task that a pointer in the kernel's memory means; `None` for null.
    pub(super) fn task_at(&self, address: u64) -> Option<TaskRef> {
        let task = Some(address).filter(|&address| address != 0)?;
        let task = self.object("struct task_struct", task)?;
        Some(self.task_ref(&task))
    }

    /// The task that a runner runs, by the kernel's own names.
    pub fn task_of(&self, runner: RunnerId) -> Option<TaskRef> {
        let runner = self.runners().iter().find(|known| known.context.runner == runner)?;
        let task = self.object("struct task_struct", runner.context.task.0)?;
        Some(self.task_ref(&task))
    }

    /// The word that has the state of the task that a runner runs: where, and how many bytes.
    pub fn state_word(&self, runner: RunnerId) -> Option<(u64, u64)> {
        let runner = self.runners().iter().find(|known| known.context.runner == runner)?;
        let task = self.object("struct task_struct", runner.context.task.0)?;
        let state = task.member_of(&["__state", "state"])?;
        Some((state.address(), state.size()?))
    }

    /// The letter and the words for a task's state.
    fn task_state(task: &Object<'_, '_>) -> Option<(char, String)> {
        let state = task.member_of(&["__state", "state"])?.unsigned()?;
        let exit = task.u("exit_state").unwrap_or(0);
        let all = state | exit;
        let words: Vec<&str> = STATES.iter().filter(|(bit, ..)| all & bit != 0).map(|(.., name)| *name).collect();
        let known = STATES.iter().fold(0, |known, (bit, ..)| known | bit);
        // As fs/proc/array.c has it: what it dies of comes first, then what it waits in; one that does not count as load
        // is idle.
        let letter = match (exit, state) {
            (0, 0) => 'R',
            (0, state) if state & 0x402 == 0x402 => 'I',
            (0, state) if state & 0x9000 != 0 => 'D',
            (0, state) => STATES.iter().find(|(bit, ..)| state & bit != 0).map_or('?', |(_, letter, _)| *letter),
            (exit, _) => {
                if exit & 0x20 != 0 {
                    'Z'
                } else {
                    'X'
                }
            }
        };
        let mut text = if words.is_empty() { "running".to_owned() } else { words.join(" ") };
        if all & !known & !FREEZABLE != 0 {
            text.push_str(&format!(" {:#x}?", all & !known & !FREEZABLE));
        }
        Some((letter, text))
    }

    /// The function of the kernel in which a task waits.
    fn waits_in(&self, runner: &TaskInfo) -> Option<String> {
        if !runner.started || (runner.holds_cpu && runner.state == RunnerState::Runnable) {
            return None;
        }
        let frames = self.frames(runner.context.runner);
        if frames.first()?.address.module != ModuleId::KERNEL {
            return Some("(user mode)".to_owned());
        }
        let kernel = frames.iter().take_while(|frame| frame.address.module == ModuleId::KERNEL);
        let names: Vec<String> = kernel.map(|frame| self.symbols.function_name(frame.function)).collect();
        names.iter().find(|name| !is_scheduler(name)).or(names.last()).cloned()
    }

    fn task_row<'k>(&'k self, task: &Object<'k, 'i>, listed: bool) -> TaskRow {
        let runner = self.runner(task.address());
        let state = Self::task_state(task);
        let flags = task.u("flags");
        TaskRow {
            task: self.task_ref(task),
            tgid: task.i("tgid"),
            parent: task.member("real_parent").and_then(|parent| parent.target()?.i("pid")),
            state: state.as_ref().map(|(letter, _)| *letter),
            state_text: state.map(|(_, text)| text),
            cpu: task.u("cpu").or_else(|| self.thread_info(task)?.u("cpu")),
            kernel_thread: flags.map(|flags| flags & PF_KTHREAD != 0),
            listed,
            runner: runner.map(|runner| runner.context.runner.0),
            host_state: runner.map(host_state),
            stack: self.stack_use(task, runner),
            waits_in: runner.and_then(|runner| self.waits_in(runner)),
        }
    }

    /// All tasks.
    pub fn tasks(&self) -> TasksView {
        let mut tasks: Vec<TaskRow> =
            self.all_tasks().iter().map(|(task, listed)| self.task_row(task, *listed)).collect();
        tasks.sort_by_key(|row| (row.listed, row.task.pid, row.cpu, row.task.address));
        TasksView { now: self.now(), tasks, problems: self.take_problems() }
    }
}

impl TasksView {
    /// As a table.
    pub fn text(&self) -> Output {
        let mut table = Table::new(["  PID", "TGID", "PPID", "S", "CPU", "Task", "Stack", "Name", "Host", "Waits in"]);
        for row in &self.tasks {
            let name = row.task.comm.clone().unwrap_or_else(|| "?".to_owned());
            let name = if row.kernel_thread == Some(true) { format!("[{name}]") } else { name };
            let stack = row.stack.as_ref().and_then(|stack| Some(format!("{}/{}", stack.used?, stack.size)));
            table.row([
                plain(format!("{:>5}", row.task.pid.map_or_else(|| "?".to_owned(), |pid| pid.to_string()))),
                cell(row.tgid),
                cell(row.parent),
                cell(row.state),
                cell(row.cpu),
                styled(format!("{:#x}", row.task.address), Style::Address),
                cell(stack),
                styled(name, Style::Task),
                plain(row.host_state.as_deref().unwrap_or("never ran")),
                styled(row.waits_in.as_deref().unwrap_or(""), Style::Function),
            ]);
        }
        let mut out = table.into_output();
        tell_problems(&mut out, &self.problems);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::is_scheduler;

    #[test]
    fn who_waits_is_whoever_called_the_scheduler() {
        for scheduler in ["__switch_to", "schedule_timeout", "__schedule", "down_read", "__mutex_lock.constprop.0"] {
            assert!(is_scheduler(scheduler), "{scheduler}");
        }
        for waiter in ["worker_thread", "download", "rcu_gp_kthread", "wait_woken", "__switch_to_user"] {
            assert!(!is_scheduler(waiter), "{waiter}");
        }
    }
}

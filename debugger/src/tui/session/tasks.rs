//! Tasks and CPUs, for a sample: what they do, where, and what the guest's kernel calls them.

use std::collections::BTreeMap;
use std::time::Instant;

use wkdb_tracer::{RunnerId, RunnerState};

use crate::commands::Debugger;
use crate::inferior::{Inferior, Loads, TaskInfo};
use crate::kernel::{self, NamePlaces};
use crate::tui::pane::Pane;
use crate::tui::sample::{CpuRow, TaskName, TaskRow, TaskState};

/// Frames of a task in which its function is looked for.
const MOST_FRAMES: usize = 8;

/// Whether a function is the scheduler's, as kernels call them.
fn schedules(function: &str) -> bool {
    let name = function.trim_start_matches('_');
    name.starts_with("switch_to") || name == "context_switch" || name.contains("schedule")
}

/// What was found out about tasks, one after the other: all of them at once would take too long.
#[derive(Default)]
pub(super) struct Tasks {
    /// The function that each task was in when it was last looked at.
    functions: BTreeMap<RunnerId, String>,
    /// What the kernel called each of them then.
    names: BTreeMap<RunnerId, kernel::TaskName>,
    /// Where the kernel keeps the names; none where it does not say. Not looked for yet if there is nothing.
    places: Option<Option<NamePlaces>>,
    /// The tasks after which others are looked at next time: of those that have CPUs, and of the rest.
    last: [Option<RunnerId>; 2],
}

impl Tasks {
    /// Looks at some tasks, up to a moment: at those that have CPUs first, then at others, where it was left off.
    pub(super) fn look(
        &mut self,
        machine: &mut dyn Inferior,
        debugger: &mut Debugger,
        tasks: &[TaskInfo],
        panes: &[Pane],
        until: Instant,
    ) {
        self.functions.retain(|runner, _| tasks.iter().any(|task| task.context.runner == *runner));
        self.names.retain(|runner, _| tasks.iter().any(|task| task.context.runner == *runner));
        let (cpus, others) = (panes.contains(&Pane::Cpus), panes.contains(&Pane::Tasks));
        let mut holders: Vec<&TaskInfo> = Vec::new();
        let mut rest: Vec<&TaskInfo> = Vec::new();
        for task in tasks.iter().filter(|task| task.started) {
            match task.holds_cpu {
                true if cpus || others => holders.push(task),
                false if others => rest.push(task),
                _ => {}
            }
        }
        // In turns, so that each is looked at sooner or later.
        let turn = |list: &mut Vec<&TaskInfo>, last: Option<RunnerId>| {
            let at = last.and_then(|last| list.iter().position(|task| task.context.runner > last)).unwrap_or(0);
            list.rotate_left(at);
        };
        turn(&mut holders, self.last[0]);
        turn(&mut rest, self.last[1]);
        // Tasks that do not run are where they were, mostly: those that were never looked at go first.
        rest.sort_by_key(|task| self.functions.contains_key(&task.context.runner));
        for task in holders {
            if Instant::now() >= until {
                break;
            }
            self.last[0] = Some(task.context.runner);
            self.look_at(machine, debugger, task);
        }
        for (n, task) in rest.into_iter().enumerate() {
            // However slow the machine answers: one in each sample.
            if n > 0 && Instant::now() >= until {
                break;
            }
            self.last[1] = Some(task.context.runner);
            self.look_at(machine, debugger, task);
        }
    }

    fn look_at(&mut self, machine: &mut dyn Inferior, debugger: &mut Debugger, task: &TaskInfo) {
        let runner = task.context.runner;
        let Ok(frames) = machine.frames(runner) else { return };
        // Where a task was switched away is the same for all: what called the scheduler tells them apart.
        let mut functions = frames.iter().take(MOST_FRAMES).map(|frame| {
            let name = debugger.function_name(machine, frame.address);
            name.unwrap_or_else(|| format!("func[{}]", frame.function))
        });
        let Some(innermost) = functions.next() else { return };
        let function = match schedules(&innermost) {
            true => functions.find(|name| !schedules(name)).unwrap_or(innermost),
            false => innermost,
        };
        self.functions.insert(runner, function);
        let places = self
            .places
            .get_or_insert_with(|| debugger.kernel(machine, |kernel| NamePlaces::find(kernel.symbols())).flatten());
        if let Some(name) = places.as_ref().and_then(|places| places.read(machine, task.context.task.0)) {
            self.names.insert(runner, name);
        }
    }

    /// A task's names: those that the kernel has for it now, if it was asked, else the one that it was born with.
    pub(super) fn name(&self, task: &TaskInfo) -> TaskName {
        let runner = task.context.runner;
        match self.names.get(&runner) {
            Some(name) => TaskName { runner, comm: name.comm.clone(), pid: Some(name.pid) },
            None => TaskName { runner, comm: task.context.comm.clone(), pid: None },
        }
    }

    /// The CPUs that have tasks.
    pub(super) fn cpus(&self, tasks: &[TaskInfo], loads: &Loads) -> Vec<CpuRow> {
        let mut cpus: BTreeMap<u32, CpuRow> = BTreeMap::new();
        for task in tasks {
            let context = &task.context;
            let ticks = || loads.ticks.get(context.cpu.0 as usize).copied().unwrap_or(0);
            let row = cpus.entry(context.cpu.0).or_insert_with(|| CpuRow {
                cpu: context.cpu,
                task: None,
                busy: false,
                runnable: 0,
                function: None,
                ticks: ticks(),
                kernel: None,
            });
            let runnable = task.state == RunnerState::Runnable;
            row.runnable += u32::from(runnable);
            if task.holds_cpu {
                row.task = Some(self.name(task));
                row.busy = runnable;
                row.function = self.functions.get(&context.runner).cloned();
            }
        }
        cpus.into_values().collect()
    }

    /// A task, as it is shown.
    pub(super) fn row(&self, task: &TaskInfo) -> TaskRow {
        let context = &task.context;
        let state = match task.state {
            _ if !task.started => TaskState::New,
            RunnerState::Runnable if task.holds_cpu => TaskState::Runs,
            RunnerState::Runnable => TaskState::Ready,
            RunnerState::Waiting { deadline, .. } => TaskState::Waits(deadline),
            RunnerState::SwitchedOut => TaskState::Out,
            RunnerState::Stopped => TaskState::Dead,
        };
        let TaskName { runner, comm, pid } = self.name(task);
        TaskRow {
            runner,
            address: context.task.0,
            comm,
            pid,
            cpu: context.cpu,
            state,
            function: self.functions.get(&runner).cloned(),
        }
    }
}

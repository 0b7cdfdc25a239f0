//! How the machine is, as a sample.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wkdb_tracer::{CodeAddress, GuestTime, Tick};

use crate::commands::{Debugger, FieldView, FrameView, FunctionText, Layout, Meant};
use crate::inferior::{Inferior, InferiorError, Result, Status, TaskInfo};
use crate::symbols::SourcePosition;
use crate::tui::event::Wants;
use crate::tui::pane::Pane;
use crate::tui::sample::{
    CpuKernel, Doing, FrameRow, HistoryView, Mark, Memory, Sample, Source, Stack, TaskName, Text,
};
use crate::tui::view::MEMORY_ROW;

use super::tasks::Tasks;

/// How long the call stacks of tasks may be asked for in a sample of a machine that runs.
const STACKS: Duration = Duration::from_millis(4);

/// The same, of one that is stopped.
const STACKS_STOPPED: Duration = Duration::from_millis(60);

/// Source files and functions that are kept as text.
const KEPT: usize = 64;

/// The lines of a source file.
type SourceLines = Arc<Vec<String>>;

/// Takes samples; keeps what need not be asked for again.
#[derive(Default)]
pub(super) struct Sampler {
    wants: Wants,
    tasks: Tasks,
    sources: BTreeMap<(Option<String>, String), Option<SourceLines>>,
    texts: BTreeMap<CodeAddress, Arc<FunctionText>>,
    /// The last sample: what a machine that runs was when it stopped.
    last: Sample,
    /// What was found in the kernel's structures, and when.
    kernel: Option<KernelLook>,
    /// The last expression of the memory window, and what it meant.
    meant: Option<(String, Meant)>,
    /// What lies in the window of that, from an address on, so many bytes.
    layout: Option<(Meant, u64, u64, Layout)>,
}

/// What was found in the kernel's own structures.
struct KernelLook {
    at: Instant,
    /// How long it took.
    cost: Duration,
    tick: Tick,
    time: GuestTime,
    wanted: (bool, bool),
    cpus: BTreeMap<u32, CpuKernel>,
    timers: Option<Arc<Text>>,
}

impl Sampler {
    /// What the screen shows.
    pub(super) fn set_wants(&mut self, wants: Wants) {
        self.wants = wants;
    }

    /// The machine as it was, now that its past is looked through.
    pub(super) fn travelling(&mut self) -> Sample {
        self.last.doing = Doing::Travelling;
        self.last.clone()
    }

    /// How the machine is.
    ///
    /// # Errors
    /// It is gone; or it cannot be looked at now.
    pub(super) fn sample(&mut self, machine: &mut dyn Inferior, debugger: &mut Debugger) -> Result<Sample> {
        let doing = match machine.status() {
            Status::Running => Doing::Running,
            Status::Stopped(_) => Doing::Stopped,
            Status::Ended(outcome, _) => Doing::Ended(outcome.keyword().to_owned()),
        };
        let stopped = doing != Doing::Running;
        let history = history(machine);
        if !stopped && machine.history().is_some_and(|history| history.progress().is_some()) {
            // A job has the machine: what was is still shown.
            return Ok(self.travelling());
        }
        let tasks = match machine.tasks() {
            Ok(tasks) => tasks,
            Err(InferiorError::Running) => {
                return Ok(self.travelling());
            }
            // The end of a run may be the end of its process: what was is what is known.
            Err(_) if matches!(doing, Doing::Ended(_)) => {
                self.last.doing = doing;
                if let Status::Ended(_, totals) = machine.status() {
                    (self.last.tick, self.last.time) = (totals.ticks, totals.time);
                }
                return Ok(self.last.clone());
            }
            Err(error) => return Err(error),
        };
        let mut sample = Sample { doing, history, ..Sample::default() };
        (sample.tick, sample.time) = match machine.status() {
            Status::Stopped(stop) => (stop.tick, stop.time),
            Status::Ended(_, totals) => (totals.ticks, totals.time),
            Status::Running => {
                tasks.first().map_or((self.last.tick, self.last.time), |task| (task.context.tick, task.context.time))
            }
        };
        let until = Instant::now() + if stopped { STACKS_STOPPED } else { STACKS };
        self.tasks.look(machine, debugger, &tasks, &self.wants.panes, until);
        let loads = machine.loads()?;
        sample.ns_per_tick = loads.ns_per_tick;
        if !stopped {
            // What was counted belongs to this moment.
            sample.time = loads.time.max(sample.time);
        }
        sample.cpus = self.tasks.cpus(&tasks, &loads);
        self.look_at_kernel(machine, debugger, &mut sample, stopped);
        sample.tasks = tasks.iter().map(|task| self.tasks.row(task)).collect();
        let stack = self.stack(machine, debugger, &tasks, stopped);
        sample.stack = stack.0;
        sample.points = Arc::new(debugger.point_views(machine));
        if stopped {
            let frame = stack.1.get(sample.stack.selected);
            sample.source = frame.and_then(|frame| self.source(debugger, frame.source.as_ref()?));
            if self.wants.panes.contains(&Pane::Disassembly) {
                sample.function = frame.and_then(|frame| self.function(machine, debugger, frame.address));
            }
            match (&sample.stack.task, frame) {
                (Some(task), Some(frame)) => match debugger.variables(machine, task.runner, frame) {
                    Ok(variables) => sample.variables = Arc::new(variables),
                    Err(error) => sample.variables_problem = Some(error.to_string()),
                },
                _ => sample.variables_problem = Some("no frame".into()),
            }
        } else {
            sample.source.clone_from(&self.last.source);
            sample.function.clone_from(&self.last.function);
            sample.variables.clone_from(&self.last.variables);
            sample.variables_problem.clone_from(&self.last.variables_problem);
        }
        if self.wants.len > 0 && !self.wants.memory.is_empty() {
            sample.memory = self.memory(machine, debugger, stopped);
            name_tasks(&mut sample);
        }
        self.last = sample.clone();
        Ok(sample)
    }

    /// What the kernel's own structures say. Of a machine that runs, seldom: it reads much memory.
    fn look_at_kernel(
        &mut self,
        machine: &mut dyn Inferior,
        debugger: &mut Debugger,
        sample: &mut Sample,
        stopped: bool,
    ) {
        /// The shortest time between two looks at a machine that runs, and its least multiple of what a look costs.
        const REST: (Duration, u32) = (Duration::from_millis(500), 20);
        let wanted = (self.wants.panes.contains(&Pane::Cpus), self.wants.panes.contains(&Pane::Timers));
        if wanted == (false, false) {
            return;
        }
        let (tick, time) = (sample.tick, sample.time);
        let fresh = self.kernel.as_ref().is_some_and(|known| {
            let same = (known.tick, known.time) == (tick, time);
            known.wanted == wanted && (same || !stopped && known.at.elapsed() < REST.0.max(known.cost * REST.1))
        });
        if !fresh {
            let at = Instant::now();
            let found = debugger.kernel(machine, |kernel| {
                // Of a machine that runs, the clock is read first: what is due then is not late.
                let now = kernel.now().time_ns.unwrap_or(time.0);
                let timers = kernel.timers();
                let cpus = wanted.0.then(|| kernel.cpus());
                let text = wanted.1.then(|| {
                    let mut text = Text::line(Mark::Headline, "Timers");
                    text.0.extend(Text::from(&timers.text()).0);
                    text.0.extend(Text::line(Mark::Headline, "Workqueues").0);
                    text.0.extend(Text::from(&kernel.workqueues().text()).0);
                    Arc::new(text)
                });
                let lags = timers.bases.iter().filter_map(|base| Some((base.cpu, base.lag?)));
                let mut behind: BTreeMap<u32, i64> = BTreeMap::new();
                for (cpu, lag) in lags {
                    behind.entry(cpu).and_modify(|most| *most = lag.max(*most)).or_insert(lag);
                }
                let rows = cpus.into_iter().flat_map(|view| view.cpus).map(|row| {
                    let bits =
                        |bits: Option<u64>| bits.map(|bits| if bits == 0 { "-".into() } else { format!("{bits:#x}") });
                    let known = CpuKernel {
                        irq: bits(row.raised_irqs),
                        ipi: bits(row.raised_ipis),
                        timer: Some(row.next_event_ns.map_or_else(|| "never".into(), |ns| until(ns, now))),
                        lag: behind.get(&row.cpu).map(i64::to_string),
                        run_queue: row.nr_running.and_then(|count| u32::try_from(count).ok()),
                    };
                    (row.cpu, known)
                });
                (rows.collect(), text)
            });
            let (cpus, timers) = found.unwrap_or_default();
            self.kernel = Some(KernelLook { at: Instant::now(), cost: at.elapsed(), tick, time, wanted, cpus, timers });
        }
        if let Some(known) = &self.kernel {
            for row in &mut sample.cpus {
                row.kernel = known.cpus.get(&row.cpu.0).cloned();
            }
            sample.timers.clone_from(&known.timers);
        }
    }

    /// The call stack of the task that is looked at.
    fn stack(
        &mut self,
        machine: &mut dyn Inferior,
        debugger: &mut Debugger,
        tasks: &[TaskInfo],
        stopped: bool,
    ) -> (Stack, Vec<FrameView>) {
        let Some(runner) = debugger.looked_at(machine) else { return (Stack::default(), Vec::new()) };
        let known = tasks.iter().find(|task| task.context.runner == runner).map(|task| self.tasks.name(task));
        let task = Some(known.unwrap_or(TaskName { runner, comm: String::new(), pid: None }));
        match debugger.stack(machine, runner) {
            Ok(views) => {
                let selected = debugger.selection().frame.min(views.len().saturating_sub(1));
                let mut frames = Vec::new();
                for view in &views {
                    let source = view.source.as_ref();
                    let line = source.and_then(|source| usize::try_from(source.line?).ok()?.checked_sub(1));
                    // Files are read while the machine stands still.
                    let lines = source.filter(|_| stopped).and_then(|source| self.lines(debugger, source));
                    frames.push(FrameRow {
                        address: view.address,
                        function: view.function.clone(),
                        place: source.map(|source| source.to_string()),
                        text: lines.zip(line).and_then(|(lines, line)| lines.get(line).cloned()),
                        inlined: view.inlined,
                    });
                }
                let problem = views.is_empty().then(|| "no guest code on its stack".to_owned());
                (Stack { task, frames, selected, problem }, views)
            }
            Err(error) => (Stack { task, problem: Some(error.to_string()), ..Stack::default() }, Vec::new()),
        }
    }

    fn lines(&mut self, debugger: &mut Debugger, position: &SourcePosition) -> Option<Arc<Vec<String>>> {
        let key = (position.directory.clone(), position.file.clone());
        match self.sources.get(&key) {
            Some(Some(lines)) => Some(lines.clone()),
            // It may have come with `directory`.
            Some(None) | None => {
                let lines = debugger.source_text(position);
                if self.sources.len() >= KEPT {
                    self.sources.clear();
                }
                self.sources.insert(key, lines.clone());
                lines
            }
        }
    }

    fn source(&mut self, debugger: &mut Debugger, position: &SourcePosition) -> Option<Source> {
        let lines = self.lines(debugger, position);
        Some(Source { file: position.file.clone(), line: position.line, lines })
    }

    /// The text of the function at an instruction.
    fn function(
        &mut self,
        machine: &mut dyn Inferior,
        debugger: &mut Debugger,
        address: CodeAddress,
    ) -> Option<Arc<FunctionText>> {
        let holds = |text: &FunctionText| {
            let lines = text.lines.first().zip(text.lines.last());
            lines.is_some_and(|(first, last)| {
                first.address.module == address.module && (first.address..=last.address).contains(&address)
            })
        };
        if let Some((_, text)) = self.texts.range(..=address).next_back()
            && holds(text)
        {
            return Some(text.clone());
        }
        let text = Arc::new(debugger.function_lines(machine, address).ok()?);
        if self.texts.len() >= KEPT {
            self.texts.clear();
        }
        self.texts.insert(text.lines.first()?.address, text.clone());
        Some(text)
    }

    /// The window into memory.
    fn memory(&mut self, machine: &mut dyn Inferior, debugger: &mut Debugger, stopped: bool) -> Memory {
        let expression = self.wants.memory.clone();
        let known = self.meant.as_ref().filter(|(known, _)| *known == expression && !stopped);
        // What an expression means is found out when the machine stands still, or for the first time.
        let found = match known {
            Some((_, meant)) => Ok(meant.clone()),
            None => debugger.memory_of(machine, &expression).map_err(|error| error.to_string()),
        };
        let meant = match found {
            Ok(found) => found,
            Err(error) => return Memory { expression, problem: Some(error), ..Memory::default() },
        };
        self.meant = Some((expression.clone(), meant.clone()));
        let Meant { address: origin, size, ref value, .. } = meant;
        let value = value.clone();
        // Rows begin where their addresses end in a 0.
        let start = (origin - origin % MEMORY_ROW).saturating_add_signed(self.wants.offset);
        let mut memory = Memory { expression, origin, size, value, address: start, ..Memory::default() };
        match machine.read_memory(start, self.wants.len) {
            Ok(bytes) => memory.bytes = bytes,
            Err(error) => memory.problem = Some(error.to_string()),
        }
        let rows = memory.bytes.len().div_ceil(MEMORY_ROW as usize) as u64;
        memory.names = (0..rows).map(|row| debugger.name_at(machine, start.saturating_add(row * MEMORY_ROW))).collect();
        memory.fields = self.fields(machine, debugger, meant, start, &memory.bytes);
        memory
    }

    /// What the bytes of the window are. Where what lies is found out once.
    fn fields(
        &mut self,
        machine: &mut dyn Inferior,
        debugger: &mut Debugger,
        meant: Meant,
        start: u64,
        bytes: &[u8],
    ) -> Vec<FieldView> {
        let len = bytes.len() as u64;
        let known =
            self.layout.take().filter(|(of, at, size, _)| (*at, *size) == (start, len) && of.is_same_object(&meant));
        let layout = match known {
            Some((.., layout)) => layout,
            None => debugger.layout(machine, &meant, start..start.saturating_add(len)),
        };
        let fields = debugger.fields(machine, &layout, bytes);
        self.layout = Some((meant, start, len, layout));
        fields
    }
}

/// Says of pointers to tasks which these are.
fn name_tasks(sample: &mut Sample) {
    for field in sample.memory.fields.iter_mut().filter(|field| field.ty.ends_with('*')) {
        let address = field.value.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        if let Some(task) = sample.tasks.iter().find(|task| Some(task.address) == address) {
            field.value.push_str(&format!(" <task {} {}>", task.runner.0 + 1, task.comm));
        }
    }
}

/// How long it is until a moment: `4.2ms`; with a minus where it has passed.
fn until(moment: u64, now: u64) -> String {
    let (sign, ns) = if moment < now { ("-", now - moment) } else { ("", moment - now) };
    match ns {
        0..1_000_000 => format!("{sign}{}µs", ns / 1000),
        1_000_000..100_000_000 => format!("{sign}{}.{}ms", ns / 1_000_000, ns / 100_000 % 10),
        100_000_000..100_000_000_000 => format!("{sign}{}.{:02}s", ns / 1_000_000_000, ns / 10_000_000 % 100),
        _ => format!("{sign}{}s", ns / 1_000_000_000),
    }
}

/// How far the machine's past reaches.
fn history(machine: &mut dyn Inferior) -> Option<HistoryView> {
    let history = machine.history()?;
    let extent = history.extent();
    let checkpoints = history.checkpoints();
    Some(HistoryView {
        start: extent.start.tick,
        present: extent.present.tick,
        present_time: extent.present.time,
        end: extent.recording.as_ref().map(|recording| (recording.end.tick, recording.end.time)),
        in_the_past: extent.in_the_past,
        cost: checkpoints.iter().map(|checkpoint| checkpoint.cost).sum(),
        checkpoints: checkpoints.into_iter().map(|checkpoint| checkpoint.tick).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::until;

    #[test]
    fn moments_are_told_as_they_are_from_now() {
        let now = 5_000_000_000;
        for (moment, text) in [
            (now, "0µs"),
            (now + 999_999, "999µs"),
            (now + 4_250_000, "4.2ms"),
            (now + 2_340_000_000, "2.34s"),
            (now + 3_600_000_000_000, "3600s"),
            (now - 12_000_000, "-12.0ms"),
        ] {
            assert_eq!(until(moment, now), text);
        }
    }
}

//! Which task and frame is looked at, and how tasks and frames are told.

use wkdb_tracer::{CodeAddress, Frame, GuestTime, RunnerId, RunnerState, Tick};

use super::Debugger;
use super::error::{CommandError, Result};
use super::events::who;
use super::output::{Output, Style};
use super::words::{nearest, parse_number};
use crate::inferior::{FrameState, Inferior, InferiorError, Status, TaskInfo};
use crate::symbols::SourcePosition;

/// What is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The task; none means that of the last stop.
    pub task: Option<RunnerId>,
    /// The frame of the source, counted from the innermost.
    pub frame: usize,
}

/// A frame of the source: a function that is active, inlined or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameView {
    /// Its number in the backtrace.
    pub number: usize,
    /// The frame of the Wasm stack that it is in.
    pub depth: u32,
    /// How many functions are inlined between that frame's innermost one and this.
    pub inline: usize,
    /// The instruction.
    pub address: CodeAddress,
    /// The function's index in the module.
    pub wasm_function: u32,
    /// The function of the source.
    pub function: String,
    /// Where in the source.
    pub source: Option<SourcePosition>,
    /// Whether it is inlined into the next one.
    pub inlined: bool,
}

impl FrameView {
    /// `worker_thread (kernel/workqueue.c:312)`.
    pub fn place(&self) -> String {
        match &self.source {
            Some(source) => format!("{} ({source})", self.function),
            None => self.function.clone(),
        }
    }

    /// `#1  0x39 in process_one_work at kernel/workqueue.c:29`: without arguments, of a stack that is not there now.
    pub(super) fn line(&self) -> Output {
        let mut out = Output::from(format!("#{:<3}", self.number));
        if !self.inlined {
            out.mark(Style::Address, super::points::address_text(self.address)).push(" in ");
        }
        out.mark(Style::Function, &self.function);
        if let Some(source) = &self.source {
            out.push(" at ").mark(Style::Place, source.to_string());
        }
        out.push(if self.inlined { " [inlined]\n" } else { "\n" });
        out
    }
}

/// The locals and operands of a task's frames; why there are none.
pub(super) type States = std::result::Result<Vec<FrameState>, InferiorError>;

impl Debugger {
    /// When it is.
    pub(super) fn moment(&mut self, inferior: &mut dyn Inferior) -> Result<(Tick, GuestTime)> {
        match inferior.status() {
            Status::Stopped(stop) => Ok((stop.tick, stop.time)),
            Status::Ended(_, totals) => Ok((totals.ticks, totals.time)),
            Status::Running => {
                let tasks = inferior.tasks()?;
                let context = tasks.first().map(|task| (task.context.tick, task.context.time));
                context.ok_or_else(|| CommandError::refused("no task has run yet"))
            }
        }
    }

    /// Looks at a task's innermost frame from now on.
    pub(super) fn select_task(&mut self, runner: RunnerId) {
        self.selection = Selection { task: Some(runner), frame: 0 };
        self.listing = None;
    }

    /// The task that is looked at.
    pub(super) fn selected_task(&mut self, inferior: &mut dyn Inferior) -> Result<TaskInfo> {
        let tasks = inferior.tasks()?;
        if let Some(runner) = self.selection.task {
            let task = tasks.iter().find(|task| task.context.runner == runner);
            return task.cloned().ok_or_else(|| {
                CommandError::refused(format!("task {} is gone: select another one (`info tasks`)", runner.0 + 1))
            });
        }
        let stopped = match inferior.status() {
            Status::Stopped(stop) => stop.context.as_ref().map(|context| context.runner),
            _ => None,
        };
        let task = tasks.iter().find(|task| Some(task.context.runner) == stopped).or(tasks.first());
        task.cloned()
            .ok_or_else(|| CommandError::refused("there are no tasks yet: `continue`, or set a breakpoint first"))
    }

    /// A task by its number in the list, its name, or its address.
    pub(super) fn find_task(&mut self, inferior: &mut dyn Inferior, text: &str) -> Result<TaskInfo> {
        let tasks = inferior.tasks()?;
        let by_number = parse_number(text).filter(|_| !text.starts_with("0x"));
        if let Some(number) = by_number
            && let Some(task) = tasks.iter().find(|task| u64::from(task.context.runner.0) + 1 == number)
        {
            return Ok(task.clone());
        }
        if text.starts_with("0x")
            && let Some(address) = parse_number(text)
        {
            let task = tasks.iter().find(|task| task.context.task.0 == address);
            return task.cloned().ok_or_else(|| CommandError::missing("task at", text));
        }
        let named: Vec<&TaskInfo> = tasks.iter().filter(|task| task.context.comm == text).collect();
        match named[..] {
            [task] => Ok(task.clone()),
            [] => {
                let near = nearest(text, tasks.iter().map(|task| task.context.comm.as_str()));
                Err(CommandError::Missing { what: "task", name: text.to_owned(), near })
            }
            ref several => {
                let numbers: Vec<_> = several.iter().map(|task| (task.context.runner.0 + 1).to_string()).collect();
                Err(CommandError::refused(format!("several tasks are called {text}: {}", numbers.join(", "))))
            }
        }
    }

    /// `Task 3 sh (0x383f30) cpu3, runs`.
    pub(super) fn task_title(&self, task: &TaskInfo) -> String {
        let context = &task.context;
        let number = context.runner.0 + 1;
        format!("Task {number} {} ({}) {}, {}", context.comm, context.task, context.cpu, self.task_state(task))
    }

    /// What a task does, in words.
    pub(super) fn task_state(&self, task: &TaskInfo) -> String {
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

    /// A task's call stack, with inlined functions as frames of their own.
    ///
    /// # Errors
    /// The task is gone, or has not run yet.
    pub fn stack(&mut self, inferior: &mut dyn Inferior, runner: RunnerId) -> Result<Vec<FrameView>> {
        let frames = inferior.frames(runner)?;
        Ok(self.views(inferior, &frames))
    }

    /// A call stack, innermost first, with inlined functions as frames of their own.
    pub(super) fn views(&mut self, inferior: &mut dyn Inferior, frames: &[Frame]) -> Vec<FrameView> {
        let mut stack = Vec::new();
        for (depth, frame) in (0..).zip(frames) {
            let address = frame.address;
            let mut add = |inline, function: String, source, inlined| {
                let number = stack.len();
                let wasm_function = frame.function;
                stack.push(FrameView { number, depth, inline, address, wasm_function, function, source, inlined });
            };
            match self.modules.locate(inferior, address) {
                Some(location) => {
                    for (inline, frame) in location.frames.into_iter().enumerate() {
                        add(inline, frame.function, frame.source, frame.inlined);
                    }
                }
                None => add(0, format!("func[{}]", frame.function), None, false),
            }
        }
        stack
    }

    /// The frame that is looked at.
    pub(super) fn selected_frame(&mut self, inferior: &mut dyn Inferior) -> Result<(RunnerId, FrameView)> {
        let runner = self.selected_task(inferior)?.context.runner;
        let mut stack = self.stack(inferior, runner)?;
        if stack.is_empty() {
            return Err(CommandError::refused("no guest code on the task's stack"));
        }
        let number = self.selection.frame.min(stack.len() - 1);
        Ok((runner, stack.swap_remove(number)))
    }

    /// The locals and operands of all frames of a task.
    pub(super) fn states(&mut self, inferior: &mut dyn Inferior, runner: RunnerId) -> States {
        inferior.frame_states(runner)
    }

    /// A frame in a line: `#1  0x39 in process_one_work (worker=0x1f20) at kernel/workqueue.c:29`.
    pub(super) fn frame_line(
        &mut self,
        inferior: &mut dyn Inferior,
        runner: RunnerId,
        view: &FrameView,
        states: &mut States,
    ) -> Output {
        let mut out = Output::from(format!("#{:<3}", view.number));
        if !view.inlined {
            out.mark(Style::Address, super::points::address_text(view.address)).push(" in ");
        }
        let arguments = self.arguments(inferior, runner, view, states);
        out.mark(Style::Function, &view.function).push(format!(" ({arguments})"));
        if let Some(source) = &view.source {
            out.push(" at ").mark(Style::Place, source.to_string());
        }
        if view.inlined {
            out.push(" [inlined]");
        }
        out.push("\n");
        out
    }

    /// The selected frame and its source line.
    pub(super) fn describe_selected(&mut self, inferior: &mut dyn Inferior) -> Result<Output> {
        let (runner, view) = self.selected_frame(inferior)?;
        let mut states = self.states(inferior, runner);
        let mut out = self.frame_line(inferior, runner, &view, &mut states);
        out.append(&self.source_line(&view));
        self.listing = None;
        Ok(out)
    }

    /// The source line that a frame is at; nothing where there is no source.
    pub(super) fn source_line(&mut self, view: &FrameView) -> Output {
        let mut out = Output::new();
        if let Some(source) = &view.source
            && let Some(text) = self.sources.line(source)
        {
            out.mark(Style::Here, source.line.unwrap_or(0).to_string()).push("\t").line(text);
        }
        out
    }

    /// `info frame`.
    pub(super) fn frame_info(&mut self, inferior: &mut dyn Inferior) -> Result<Output> {
        let task = self.selected_task(inferior)?;
        let (_, view) = self.selected_frame(inferior)?;
        let mut out = Output::from(format!("Frame {} of ", view.number));
        out.mark(Style::Task, self.task_title(&task)).push("\n");
        out.line(format!("  at {} in {}", super::points::address_text(view.address), view.place()));
        out.line(format!("  Wasm function {} of module {}", view.wasm_function, view.address.module.0));
        out.line(format!("  frame {} of the Wasm stack{}", view.depth, if view.inlined { ", inlined" } else { "" }));
        match inferior.stack_pointer(task.context.runner) {
            Ok(pointer) => out.line(format!("  stack pointer {pointer:#x}")),
            Err(error) => out.line(format!("  stack pointer unknown: {error}")),
        };
        out.line(format!("  {}", who(&task.context)));
        Ok(out)
    }
}

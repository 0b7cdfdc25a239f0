//! What the machine is let run for: a step of a line takes several stops that nobody is told of.
//!
//! ```text
//! resume ─▶ stop ─▶ progress ─▶ Done: report
//!    ▲                 │
//!    └───── GoOn ──────┘      a stop in the middle of a line, a breakpoint whose condition is false, …
//! ```
//!
//! A plan knows the depth of the frame that it is about, so that it can be taken up again from wherever a breakpoint that
//! was passed has stopped: deeper, it first returns.

use std::ops::Range;

use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId, RunnerId};

use super::Debugger;
use super::command::goto::no_history;
use super::command::{RunTo, Step as StepCommand, StepUnit};
use super::error::{CommandError, Result};
use super::location::LocationSpec;
use super::output::Output;
use super::plan_back::LineBack;
use crate::inferior::{
    BreakpointId, BreakpointSpec, Direction, Inferior, Resume, Status, StepKind, Stop, StopReason, Who,
};

/// What the machine runs for.
#[derive(Debug, Clone, Default)]
pub(super) enum Plan {
    /// Nothing: it is stopped.
    #[default]
    None,
    /// The next stop.
    Go(Direction),
    /// A moment.
    To(RunTo),
    /// Another source line.
    Line(LinePlan),
    /// The beginning of a source line that was before.
    LineBack(LineBack),
    /// Some instructions.
    Instructions(InstructionPlan),
    /// The end of a frame.
    Finish(FinishPlan),
    /// A location.
    Advance(AdvancePlan),
}

/// To another source line.
#[derive(Debug, Clone)]
pub(super) struct LinePlan {
    runner: RunnerId,
    over: bool,
    /// Lines to go.
    left: u64,
    /// How many frames the Wasm stack had.
    frames: usize,
    /// Only code behind this counts: `until` does not go back to the top of a loop.
    behind: Option<CodeOffset>,
    goal: Goal,
    from: Line,
}

/// When a line plan is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// At the beginning of another line.
    AnotherLine,
    /// Behind the instructions that set up a function's frame.
    Body,
    /// With fewer inlined functions active than these.
    LessInlined(usize),
}

/// A source line that is left, with its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) module: ModuleId,
    pub(super) function: u32,
    /// The innermost function's file and line; none for code without lines.
    pub(super) source: Option<(String, u32)>,
    /// How many functions are active at this instruction of the Wasm function.
    pub(super) inlined: usize,
    /// The code that is run through.
    pub(super) code: Range<CodeOffset>,
}

/// Some instructions.
#[derive(Debug, Clone)]
pub(super) struct InstructionPlan {
    runner: RunnerId,
    over: bool,
    left: u64,
    direction: Direction,
    frames: usize,
    at: CodeOffset,
}

/// Until a frame has returned.
#[derive(Debug, Clone)]
pub(super) struct FinishPlan {
    runner: RunnerId,
    direction: Direction,
    /// So many frames will be left.
    frames: usize,
    /// What returns.
    returning: CodeAddress,
}

/// To a location, or until a frame has returned.
#[derive(Debug, Clone)]
pub(super) struct AdvancePlan {
    runner: RunnerId,
    frames: usize,
    breakpoints: Vec<BreakpointId>,
}

/// How far a plan has come at a stop.
#[derive(Debug)]
pub(super) enum Progress {
    /// There is more to do.
    GoOn,
    /// It is done; with what there is to tell besides.
    Done(Output),
}

impl Plan {
    pub(super) fn is_running(&self) -> bool {
        !matches!(self, Plan::None)
    }

    /// Whether a breakpoint is the plan's own.
    pub(super) fn owns(&self, id: BreakpointId) -> bool {
        matches!(self, Plan::Advance(plan) if plan.breakpoints.contains(&id))
    }

    /// Takes away what the plan has left in the machine.
    pub(super) fn clean_up(self, inferior: &mut dyn Inferior) -> Result<()> {
        if let Plan::Advance(plan) = self {
            for id in plan.breakpoints {
                inferior.remove_breakpoint(id)?;
            }
        }
        Ok(())
    }

    fn direction(&self) -> Direction {
        match self {
            Plan::None | Plan::To(_) | Plan::Advance(_) => Direction::Forward,
            Plan::Go(direction) => *direction,
            Plan::Line(_) => Direction::Forward,
            Plan::LineBack(plan) => plan.direction(),
            Plan::Instructions(plan) => plan.direction,
            Plan::Finish(plan) => plan.direction,
        }
    }
}

impl Debugger {
    /// Lets the machine run for a plan.
    pub(super) fn resume(&mut self, inferior: &mut dyn Inferior, plan: Plan) -> Result<()> {
        let extent = inferior.history().map(|history| history.extent());
        let live_present = extent.is_some_and(|extent| extent.recording.is_none() && !extent.in_the_past);
        let refused = match inferior.status() {
            Status::Running => Some("the machine is running: `interrupt` it first"),
            Status::Ended(..) => Some("the run is over: start it again to run it again"),
            Status::Stopped(stop)
                if live_present
                    && plan.direction() == Direction::Forward
                    && matches!(stop.reason, StopReason::End(_) | StopReason::Panic { .. }) =>
            {
                Some(
                    "the run ends here, and what was before could not be gone back to any more: look at it, go back \
                     (`goto`, `reverse-continue`), or leave (`detach`, `kill`)",
                )
            }
            Status::Stopped(_) => None,
        };
        let started = match refused {
            Some(text) => Err(CommandError::refused(text)),
            None if plan.direction() == Direction::Backward && !inferior.has_history() => Err(no_history()),
            None => {
                let before = std::mem::replace(&mut self.plan, plan);
                debug_assert!(!before.is_running(), "a plan is cleaned up at its last stop");
                self.go_on(inferior)
            }
        };
        if started.is_err() {
            std::mem::take(&mut self.plan).clean_up(inferior)?;
        }
        started
    }

    /// Lets the machine run on for the plan that is under way.
    pub(super) fn go_on(&mut self, inferior: &mut dyn Inferior) -> Result<()> {
        let wanted = self.has_pending();
        if std::mem::replace(&mut self.stops_at_loads, wanted) != wanted {
            inferior.stop_at_loads(wanted)?;
        }
        let direction = self.plan.direction();
        let step = |runner, kind| Resume { direction, ..Resume::step(runner, kind) };
        let all = Resume { direction, who: Who::All, step: None, until_tick: None, until_time: None };
        let resume = match &self.plan {
            Plan::None => return Ok(()),
            Plan::Go(_) => all,
            Plan::To(RunTo::Tick(tick)) => Resume { until_tick: Some(*tick), ..all },
            Plan::To(RunTo::Time(time)) => Resume { until_time: Some(*time), ..all },
            Plan::Line(plan) => {
                let code = plan.from.code.clone();
                match depth(inferior, plan.runner) > plan.frames {
                    true => step(plan.runner, StepKind::Out),
                    false if plan.over => step(plan.runner, StepKind::Over(code)),
                    false => step(plan.runner, StepKind::Into(code)),
                }
            }
            Plan::LineBack(plan) => step(plan.runner, plan.kind()),
            Plan::Instructions(plan) if !plan.over => step(plan.runner, StepKind::Instruction),
            Plan::Instructions(plan) => match depth(inferior, plan.runner) > plan.frames {
                true => step(plan.runner, StepKind::Out),
                false => step(plan.runner, StepKind::Over(plan.at..CodeOffset(plan.at.0 + 1))),
            },
            Plan::Finish(plan) => step(plan.runner, StepKind::Out),
            // The outermost frame has nowhere to return to.
            Plan::Advance(plan) if plan.frames <= 1 => all,
            Plan::Advance(plan) => step(plan.runner, StepKind::Out),
        };
        Ok(inferior.resume(&resume)?)
    }

    /// Looks at how far the plan has come. `own` tells that the stop is the plan's, not a breakpoint's that was passed.
    pub(super) fn progress(&mut self, inferior: &mut dyn Inferior, stop: &Stop, own: bool) -> Result<Progress> {
        let done = || Ok(Progress::Done(Output::new()));
        let stopped_in = stop.context.as_ref().map(|context| context.runner);
        let plan = std::mem::take(&mut self.plan);
        let runner = match &plan {
            Plan::None => return done(),
            Plan::Go(_) => None,
            Plan::To(_) => None,
            Plan::Line(LinePlan { runner, .. })
            | Plan::LineBack(LineBack { runner, .. })
            | Plan::Instructions(InstructionPlan { runner, .. })
            | Plan::Finish(FinishPlan { runner, .. })
            | Plan::Advance(AdvancePlan { runner, .. }) => Some(*runner),
        };
        // Of another task: a breakpoint that was passed.
        if runner.is_some() && runner != stopped_in {
            self.plan = plan;
            return Ok(Progress::GoOn);
        }
        match plan {
            Plan::Line(plan) => self.line_progress(inferior, plan),
            Plan::LineBack(plan) => self.line_back_progress(inferior, plan),
            Plan::Instructions(mut plan) => {
                let frames = depth(inferior, plan.runner);
                let moved = frames != plan.frames || stop.frame.is_none_or(|frame| frame.address.offset != plan.at);
                let deeper = plan.over && frames > plan.frames;
                if moved && !deeper {
                    plan.left -= 1;
                    plan.frames = frames;
                    plan.at = stop.frame.map_or(plan.at, |frame| frame.address.offset);
                }
                if plan.left == 0 {
                    return done();
                }
                self.plan = Plan::Instructions(plan);
                Ok(Progress::GoOn)
            }
            Plan::Finish(plan) => {
                if depth(inferior, plan.runner) > plan.frames {
                    self.plan = Plan::Finish(plan);
                    return Ok(Progress::GoOn);
                }
                if plan.direction == Direction::Backward {
                    return done();
                }
                Ok(Progress::Done(self.returned(inferior, plan.runner, plan.returning)))
            }
            Plan::Advance(plan) => {
                let here = matches!(&stop.reason, StopReason::Breakpoint(ids)
                    if ids.iter().any(|id| plan.breakpoints.contains(id)));
                let over = here || depth(inferior, plan.runner) < plan.frames;
                self.plan = Plan::Advance(plan);
                if over { done() } else { Ok(Progress::GoOn) }
            }
            plan if own => {
                self.plan = plan;
                done()
            }
            plan => {
                self.plan = plan;
                Ok(Progress::GoOn)
            }
        }
    }

    fn line_progress(&mut self, inferior: &mut dyn Inferior, mut plan: LinePlan) -> Result<Progress> {
        let done = || Ok(Progress::Done(Output::new()));
        let frames = depth(inferior, plan.runner);
        let Some(now) = self.line_now(inferior, plan.runner) else { return done() };
        let (line, at, at_start) = now;
        if frames > plan.frames {
            // Called: by a step into it, or stopped there by a breakpoint that was passed.
            if plan.over || line.source.is_none() {
                self.plan = Plan::Line(plan);
                return Ok(Progress::GoOn);
            }
            let body = self.body_start(inferior, line.module, line.function).filter(|body| *body > at);
            let Some(body) = body else { return self.line_done(plan, frames, line) };
            plan.goal = Goal::Body;
            plan.over = true;
            plan.frames = frames;
            plan.from = Line { code: at..body, ..line };
            self.plan = Plan::Line(plan);
            return Ok(Progress::GoOn);
        }
        if frames < plan.frames && line.source.is_some() {
            // Returned, into the middle of a line most of the time: on to the next one.
            plan.goal = Goal::AnotherLine;
            plan.frames = frames;
            plan.behind = None;
            if !at_start {
                plan.from = line;
                self.plan = Plan::Line(plan);
                return Ok(Progress::GoOn);
            }
            return self.line_done(plan, frames, line);
        }
        if frames < plan.frames || line.module != plan.from.module || line.function != plan.from.function {
            return self.line_done(plan, frames, line);
        }
        let same_line = line.source == plan.from.source;
        let there = match plan.goal {
            Goal::AnotherLine => {
                let new = !same_line && at_start && line.source.is_some();
                let inner = plan.over && line.inlined > plan.from.inlined;
                new && !inner && plan.behind.is_none_or(|behind| at > behind)
            }
            Goal::Body => !plan.from.code.contains(&at),
            Goal::LessInlined(inlined) => line.inlined < inlined,
        };
        if there {
            return self.line_done(plan, frames, line);
        }
        // In the middle of a line: run through it too, still coming from the one that was left.
        plan.from.code = line.code;
        self.plan = Plan::Line(plan);
        Ok(Progress::GoOn)
    }

    /// A line has been come to: the last one, or the one that the next step leaves.
    fn line_done(&mut self, mut plan: LinePlan, frames: usize, line: Line) -> Result<Progress> {
        plan.left -= 1;
        if plan.left == 0 {
            return Ok(Progress::Done(Output::new()));
        }
        plan.goal = Goal::AnotherLine;
        plan.frames = frames;
        plan.from = line;
        self.plan = Plan::Line(plan);
        Ok(Progress::GoOn)
    }

    /// The line that a task is at, where exactly, and whether that is where the line's code begins.
    pub(super) fn line_now(
        &mut self,
        inferior: &mut dyn Inferior,
        runner: RunnerId,
    ) -> Option<(Line, CodeOffset, bool)> {
        let frame = *inferior.frames(runner).ok()?.first()?;
        let CodeAddress { module, offset } = frame.address;
        let symbols = self.modules.symbols(inferior, module)?;
        let mut location = symbols.locate(offset);
        let statement = symbols.statement_at(offset);
        if location.frames.first()?.source.as_ref().is_none_or(|source| source.line.is_none())
            && let Some(statement) = &statement
        {
            // What the compiler gives no line belongs to the line before.
            location = symbols.locate(statement.start);
        }
        let innermost = location.frames.first()?;
        let source = innermost.source.as_ref().and_then(|source| Some((source.file.clone(), source.line?)));
        let whole = location.function.as_ref().map(|function| function.start..function.end);
        let (code, is_start) = match (&source, statement) {
            (Some(_), Some(statement)) => {
                let is_start = statement.start == offset;
                (statement, is_start)
            }
            (Some(_), None) => (offset..CodeOffset(offset.0 + 1), false),
            // Code without lines is run through as one.
            (None, _) => (whole?, false),
        };
        let inlined = location.frames.len();
        Some((Line { module, function: frame.function, source, inlined, code }, offset, is_start))
    }

    /// The plan of `step`, `next`, `stepi`, `nexti` and their reverse.
    pub(super) fn step_plan(&mut self, inferior: &mut dyn Inferior, step: &StepCommand) -> Result<Plan> {
        let runner = self.selected_task(inferior)?.context.runner;
        let frames = depth(inferior, runner);
        let StepCommand { over, count: left, direction, unit } = *step;
        match unit {
            StepUnit::Line => {
                let (from, at, at_start) = self.line_now(inferior, runner).ok_or_else(no_frame)?;
                if direction == Direction::Backward {
                    return Ok(Plan::LineBack(LineBack::new(runner, over, left, frames, from, (at, at_start))));
                }
                let over = over || from.source.is_none();
                let goal = Goal::AnotherLine;
                Ok(Plan::Line(LinePlan { runner, over, left, frames, behind: None, goal, from }))
            }
            StepUnit::Instruction => {
                let frame = *inferior.frames(runner)?.first().ok_or_else(no_frame)?;
                let at = frame.address.offset;
                Ok(Plan::Instructions(InstructionPlan { runner, over, left, direction, frames, at }))
            }
        }
    }

    /// The plan of `until` without a location.
    pub(super) fn until_plan(&mut self, inferior: &mut dyn Inferior) -> Result<Plan> {
        let runner = self.selected_task(inferior)?.context.runner;
        let frames = depth(inferior, runner);
        let (from, at, _) = self.line_now(inferior, runner).ok_or_else(no_frame)?;
        Ok(Plan::Line(LinePlan {
            runner,
            over: true,
            left: 1,
            frames,
            behind: Some(at),
            goal: Goal::AnotherLine,
            from,
        }))
    }

    /// The plan of `finish`, and what is said about it.
    pub(super) fn finish_plan(&mut self, inferior: &mut dyn Inferior, direction: Direction) -> Result<(Plan, String)> {
        let (runner, view) = self.selected_frame(inferior)?;
        let text = match direction {
            Direction::Forward => format!("Run till exit from #{} {}\n", view.number, view.place()),
            Direction::Backward => format!("Run back to call of #{} {}\n", view.number, view.place()),
        };
        let stack = inferior.frames(runner)?;
        if view.inlined && view.depth == 0 && direction == Direction::Forward {
            let (from, ..) = self.line_now(inferior, runner).ok_or_else(no_frame)?;
            let goal = Goal::LessInlined(from.inlined - view.inline);
            let frames = stack.len();
            let line = LinePlan { runner, over: true, left: 1, frames, behind: None, goal, from };
            return Ok((Plan::Line(line), text));
        }
        let frames = stack.len().saturating_sub(view.depth as usize + 1);
        if frames == 0 {
            return Err(CommandError::refused("`finish` has no meaning in the outermost frame: nothing called it"));
        }
        let returning = view.address;
        Ok((Plan::Finish(FinishPlan { runner, direction, frames, returning }), text))
    }

    /// The plan of `until` and `advance` with a location.
    pub(super) fn advance_plan(&mut self, inferior: &mut dyn Inferior, spec: LocationSpec) -> Result<Plan> {
        let runner = self.selected_task(inferior)?.context.runner;
        let spec = self.absolute(inferior, spec)?;
        let places = self.resolve(inferior, &spec)?;
        if places.is_empty() {
            return Err(CommandError::missing("such place in any module:", super::points::spec_text(&spec)));
        }
        let frames = depth(inferior, runner);
        let mut plan = AdvancePlan { runner, frames, breakpoints: Vec::new() };
        for place in places {
            let only = (frames > 0).then_some(runner);
            match inferior.insert_breakpoint(&BreakpointSpec { address: place.address, only, temporary: false }) {
                Ok(id) => plan.breakpoints.push(id),
                Err(error) => {
                    Plan::Advance(plan).clean_up(inferior)?;
                    return Err(error.into());
                }
            }
        }
        Ok(Plan::Advance(plan))
    }

    /// The breakpoint that the machine is stopped at is passed some times more.
    pub(super) fn ignore_here(&mut self, times: u64) -> String {
        let Some(number) = self.stopped_at.filter(|_| times > 0) else { return String::new() };
        match self.points.get_mut(number) {
            Ok(point) => {
                point.ignore = times;
                format!("{} {number} is passed {times} times\n", point.kind_name())
            }
            // It is gone.
            Err(_) => String::new(),
        }
    }
}

/// How many frames a task's Wasm stack has.
pub(super) fn depth(inferior: &mut dyn Inferior, runner: RunnerId) -> usize {
    inferior.frames(runner).map_or(0, |frames| frames.len())
}

fn no_frame() -> CommandError {
    CommandError::refused("the task has no guest code on its stack: `continue` to let it run")
}

//! The executor under a debugger: how it stops, what it answers, how it goes on.
//!
//! ```text
//!          ┌────────────── Resume ──────────────┐
//!          ▼                                    │
//!      Running ── pause, interrupt, tick ──▶ Stopped ── Quit ──▶ (run returns)
//!          │                                    ▲
//!          └─ outcome, attached: told once ─────┘
//!          └─ outcome, attached and told ──▶ Ended ── Quit ──▶ (run returns)
//! ```
//!
//! Stopping changes nothing for the guest: a runner that is stopped in the middle of its slice goes on with what is left
//! of it, and no clock moves meanwhile.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use wkdb_debugger::inferior::{BreakpointSpec, Direction, InferiorError, Resume, Stop, StopReason, TaskInfo, Who};
use wkdb_debugger::timeline::{CodeMark, Footprint};
use wkdb_tracer::recording::{Entry, Intervention};
use wkdb_tracer::{CodeAddress, Event, Frame, ModuleId, Outcome, RunnerId};

use super::config::Pace;
use super::core::Output;
use super::debug::{Answer, Answered, Place, Request, Survey};
use super::engine::MAX_FRAMES;
use super::executor::{Command, Machine, Port, Side, poll};
use super::host::not_compiled;
use super::journal::Journal;
use super::watch::WatchError;
use crate::instrument::function_mark;

/// How long a stopped machine waits for a command at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a machine under a debugger is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Running,
    Stopped,
    Ended,
}

impl Machine {
    /// Whether the machine stops before it does something that cannot be undone.
    pub(super) fn attached(&self) -> bool {
        self.shared.core.borrow().debug.attached && !self.quitting
    }

    /// Stops: tells why, and answers until it is told to go on or to quit.
    pub(super) fn stop(&mut self, reason: StopReason, runner: Option<RunnerId>, port: &mut dyn Port) {
        self.stopped = Instant::now();
        self.shared.core.borrow_mut().debug.stopped(&reason);
        self.tell(port);
        let stop = self.describe(reason, runner);
        self.show_modules(stop.frame.iter().map(|frame| frame.address.module).collect(), port);
        self.state = State::Stopped;
        port.output(Output::Stopped(stop));
        self.serve(port);
        self.state = State::Running;
        // Time that a person spends looking is not the guest's.
        self.epoch += self.stopped.elapsed();
    }

    /// The run is over. With a debugger there, what is left of the machine can be looked at until it is told to quit.
    pub(super) fn end(&mut self, outcome: Outcome, port: &mut dyn Port) -> Outcome {
        let modules = outcome.reports().iter().flat_map(|r| &r.stack).map(|f| f.address.module).collect();
        self.show_modules(modules, port);
        if self.attached() {
            self.state = State::Ended;
            port.output(Output::Ended(outcome.clone(), self.totals()));
            self.serve(port);
        }
        outcome
    }

    /// Obeys commands until one makes the machine go on, or ends it.
    fn serve(&mut self, port: &mut dyn Port) {
        while self.state != State::Running && !self.quitting {
            let command = match self.queue.pop_front() {
                Some(command) => command,
                None => {
                    self.queue.extend(port.commands(Some(PATIENCE)));
                    continue;
                }
            };
            self.obey(command, port);
        }
    }

    /// Does what it has been told, if it has; for at most `wait` it waits to be told something. Whether it was.
    pub(super) fn attend(&mut self, wait: Option<Duration>, port: &mut dyn Port) -> bool {
        let commands = port.commands(wait);
        self.queue.extend(commands);
        let told = !self.queue.is_empty();
        while let Some(command) = self.queue.pop_front() {
            self.obey(command, port);
        }
        told
    }

    fn obey(&mut self, command: Command, port: &mut dyn Port) {
        match command {
            Command::Input(bytes) => self.coming.push(Entry::Input(bytes)),
            Command::Quit => {
                self.quitting = true;
                if self.state == State::Ended {
                    // That is no part of the run.
                    return;
                }
                let quit = if self.in_slice { Intervention::QuitInSlice } else { Intervention::Quit };
                self.take_over(Entry::Intervention(quit), port);
            }
            Command::Ask { id, request: Request::Fork } => match self.fork(port) {
                Ok(Side::Original) => {}
                Ok(Side::Copy) => self.is_copied(),
                Err(error) => port.output(Output::Answer { id, answer: Err(error) }),
            },
            Command::Ask { id, request: request @ (Request::WriteMemory { .. } | Request::SetGlobal { .. }) } => {
                let answer = self.change(request, port);
                port.output(Output::Answer { id, answer });
            }
            Command::Ask { id, request } => {
                let answer = self.answer(request);
                port.output(Output::Answer { id, answer });
            }
        }
    }

    fn fork(&self, port: &mut dyn Port) -> Result<Side, InferiorError> {
        self.must_be_stopped()?;
        port.fork()
    }

    /// This is a copy now: it runs again what was seen before, and stops at all that somebody may look for.
    fn is_copied(&mut self) {
        let mut core = self.shared.core.borrow_mut();
        // Nobody waits for its clock.
        core.config.pace = Pace::Warp;
        core.debug.attached = true;
        core.debug.is_copy = true;
        if let Some(journal) = &mut self.journal {
            // The original takes it and tells where; then the copy is given it.
            self.coming.clear();
            journal.is_copied();
        }
    }

    fn journal(&mut self) -> Result<&mut Journal, InferiorError> {
        let missing = || InferiorError::Refused("this machine does not tell what comes from outside".into());
        self.journal.as_mut().ok_or_else(missing)
    }

    /// What comes from outside is this machine's own from now on.
    fn lead(&mut self, pace: Pace) -> Answered {
        self.must_be_stopped()?;
        self.journal()?.lead();
        // Who listens from now on may not have been shown any.
        self.shown.clear();
        let mut core = self.shared.core.borrow_mut();
        core.config.pace = pace;
        core.debug.is_copy = false;
        // Whatever time it took to come here: the guest's clock goes on from where it is.
        let passed = Duration::from_nanos(core.now.0);
        self.epoch = self.stopped.checked_sub(passed).unwrap_or(self.stopped);
        Ok(Answer::Done)
    }

    /// Gives the guest what has come: between slices, so that a replay can do it at the same place.
    pub(super) fn take_coming(&mut self, port: &mut dyn Port) {
        for entry in std::mem::take(&mut self.coming) {
            self.take_over(entry, port);
        }
    }

    /// Takes over what came from outside.
    fn take_over(&mut self, entry: Entry, port: &mut dyn Port) {
        let mut core = self.shared.core.borrow_mut();
        match &mut self.journal {
            Some(journal) => journal.take(&mut core, entry).into_iter().for_each(|output| port.output(output)),
            None => core.take_over(&entry),
        }
    }

    /// Changes the guest's state for the debugger, and tells of it with its exact place.
    fn change(&mut self, request: Request, port: &mut dyn Port) -> Answered {
        self.must_be_stopped()?;
        let recorded = self.journal.is_some();
        if self.journal.as_ref().is_some_and(Journal::is_replay) {
            return Err(InferiorError::Refused("this run is run again: it cannot be changed".into()));
        }
        if recorded && self.shared.core.borrow().stop.is_some() {
            let text = "the run is recorded, and over here: nothing that is changed now belongs to it";
            return Err(InferiorError::Refused(text.into()));
        }
        let at = match self.last.filter(|_| recorded && self.in_slice) {
            Some(runner) if !self.shared.core.borrow().ticked => match self.ask(runner, Request::CodePlace(runner))? {
                Answer::CodePlace(place) => Some(place),
                _ => None,
            },
            _ => None,
        };
        let what = match request {
            Request::WriteMemory { address, bytes } => {
                let len = bytes.len() as u64;
                let written = self.write_memory(address, &bytes);
                written.map_err(|_| InferiorError::NoMemory { address, len })?;
                Intervention::WriteMemory { address, bytes }
            }
            Request::SetGlobal { runner, module, global, value } => {
                self.ask(runner, request)?;
                Intervention::SetGlobal { runner, module, global, value }
            }
            other => return Err(InferiorError::Refused(format!("{other:?} changes nothing"))),
        };
        if recorded {
            let what = match self.in_slice {
                true => Intervention::InSlice { at, what: Box::new(what) },
                false => what,
            };
            self.take_over(Entry::Intervention(what), port);
            // It was set above: once more, and later, would be too much.
            self.shared.core.borrow_mut().debug.globals.clear();
        }
        Ok(Answer::Done)
    }

    /// Tells of the only runner that may run from here on, if that is another one than it was. It is told between slices:
    /// the runner that the debugger stopped is the one, and until its slice ends it makes no difference.
    pub(super) fn tell_alone(&mut self, port: &mut dyn Port) {
        let only = self.shared.core.borrow().debug.only;
        if self.alone_told != only && self.journal.as_ref().is_some_and(|journal| !journal.is_replay()) {
            self.alone_told = only;
            self.take_over(Entry::Intervention(Intervention::Only(only)), port);
        }
    }

    /// A runner is at the instruction at which something of a recording is due: does it.
    pub(super) fn keep_meeting(&mut self, port: &mut dyn Port) {
        self.tell(port);
        if let Some(journal) = &mut self.journal {
            let told = journal.meet(&mut self.shared.core.borrow_mut());
            told.into_iter().for_each(|output| port.output(output));
        }
        self.set_globals();
    }

    /// Sets the globals that a recording says were set.
    fn set_globals(&mut self) {
        let due = std::mem::take(&mut self.shared.core.borrow_mut().debug.globals);
        for request in due {
            let Request::SetGlobal { runner, .. } = request else { continue };
            if let Err(error) = self.ask(runner, request) {
                let text = format!("a global of {runner} cannot be set as it was in the recorded run: {error}");
                self.shared.core.borrow_mut().stop(Outcome::Broken(text));
            }
        }
    }

    /// Does what is due for a recording here.
    pub(super) fn keep_journal(&mut self, port: &mut dyn Port) {
        if let Some(journal) = &mut self.journal {
            let told = journal.keep(&mut self.shared.core.borrow_mut(), self.in_slice);
            told.into_iter().for_each(|output| port.output(output));
            self.set_globals();
        }
    }

    fn describe(&mut self, reason: StopReason, runner: Option<RunnerId>) -> Stop {
        let frame = runner.and_then(|runner| self.stack(runner).first().copied());
        let core = self.shared.core.borrow();
        let context = runner.filter(|&runner| core.runners.get(runner).is_some()).map(|runner| core.context(runner));
        Stop { reason, context, frame, tick: core.ticks, time: core.now }
    }

    /// Puts a question to a runner's store.
    fn ask(&mut self, runner: RunnerId, request: Request) -> Answered {
        let started = self.shared.core.borrow().runners.get(runner).map(|r| r.started);
        let started = started.ok_or(InferiorError::NoRunner(runner))?;
        let Some(fiber) = self.fibers.get_mut(runner).filter(|_| started) else {
            return match request {
                Request::Frames(_) => Ok(Answer::Frames(Vec::new())),
                Request::FrameStates(_) => Ok(Answer::FrameStates(Vec::new())),
                _ => Err(InferiorError::Refused(format!("{runner} has not run yet"))),
            };
        };
        self.shared.core.borrow_mut().debug.mail = Some(request);
        // It answers and suspends again, wherever it is suspended.
        let _ = poll(fiber);
        let mut core = self.shared.core.borrow_mut();
        core.debug.mail = None;
        let silent = || InferiorError::Refused(format!("{runner} is where it cannot answer"));
        core.debug.reply.take().ok_or_else(silent)?
    }

    /// The present call stack of a runner, as far as it has one.
    pub(super) fn stack(&mut self, runner: RunnerId) -> Vec<Frame> {
        match self.ask(runner, Request::Frames(runner)) {
            Ok(Answer::Frames(frames)) => frames,
            _ => Vec::new(),
        }
    }

    /// Answers a request.
    pub(super) fn answer(&mut self, request: Request) -> Answered {
        match request {
            Request::Attach(attached) => {
                self.shared.core.borrow_mut().debug.attached = attached;
                Ok(Answer::Done)
            }
            Request::Module(module) => {
                let images = self.shared.images.borrow();
                let image = images.get(module);
                let missing = || InferiorError::Refused(format!("there is no module {}", module.0));
                image.map(|image| Answer::Bytes(image.original.to_vec())).ok_or_else(missing)
            }
            Request::ModuleCount => Ok(Answer::Number(self.shared.images.borrow().count().into())),
            Request::Tasks => Ok(Answer::Tasks(self.tasks())),
            Request::Loads => Ok(Answer::Loads(self.shared.core.borrow().loads())),
            Request::Frames(runner)
            | Request::FrameStates(runner)
            | Request::Globals(runner, _)
            | Request::StackPointer(runner) => self.ask(runner, request),
            Request::CodePlace(runner) => {
                self.must_be_stopped()?;
                self.ask(runner, request)
            }
            Request::ReadMemory { address, len } => self.read_memory(address, len),
            Request::WriteMemory { .. } | Request::SetGlobal { .. } => {
                Err(InferiorError::Refused("changes are made with their place".into()))
            }
            Request::InsertBreakpoint(spec) => {
                self.must_be_stopped()?;
                self.insert_breakpoint(spec)
            }
            Request::RemoveBreakpoint(id) => {
                self.must_be_stopped()?;
                let mut core = self.shared.core.borrow_mut();
                if core.debug.breakpoints.remove(id) {
                    core.debug.version += 1;
                }
                Ok(Answer::Done)
            }
            Request::InsertWatch(spec) => {
                self.must_be_stopped()?;
                let (address, len) = (spec.address, spec.len);
                self.insert_watch(spec).map(Answer::Watch).map_err(|error| match error {
                    WatchError::Outside { .. } => InferiorError::NoMemory { address, len },
                    other => InferiorError::Refused(other.to_string()),
                })
            }
            Request::RemoveWatch(id) => {
                self.must_be_stopped()?;
                self.remove_watch(id);
                Ok(Answer::Done)
            }
            Request::Resume(resume) => self.go_on(resume),
            Request::Follow { entries, pause } => {
                self.journal()?.follow(entries, pause)?;
                self.coming.clear();
                // It runs after another one: nobody waits for its clock.
                self.shared.core.borrow_mut().config.pace = Pace::Warp;
                Ok(Answer::Done)
            }
            Request::Lead(pace) => self.lead(pace),
            Request::Place => {
                let position = self.shared.core.borrow().position();
                let place = Place { position, in_slice: self.in_slice };
                Ok(Answer::Place { place, coming: self.coming.clone() })
            }
            Request::Take(entries) => {
                self.coming.extend(entries);
                Ok(Answer::Done)
            }
            Request::Check => Ok(Answer::Check(self.shared.core.borrow().check(true))),
            Request::StopAtLoads(stop) => {
                self.shared.core.borrow_mut().debug.stops_at_loads = stop;
                Ok(Answer::Done)
            }
            Request::Footprint { anew } => {
                self.must_not_run()?;
                Ok(Answer::Footprint(self.footprint(anew)))
            }
            Request::Mark(address) => {
                let images = self.shared.images.borrow();
                let image = images.get(address.module).ok_or(InferiorError::NoCode(address))?;
                let function = image.code().function_at(address.offset).ok_or(InferiorError::NoCode(address))?;
                let in_loop =
                    image.function_code(address.offset).and_then(|code| Some(code.at(address.offset)?.in_loop));
                Ok(Answer::Mark(CodeMark {
                    function: function_mark(address.module != ModuleId::KERNEL, function),
                    offset: address.offset.0,
                    in_loop: in_loop.unwrap_or(true),
                }))
            }
            Request::Survey(keep) => {
                self.must_not_run()?;
                let before = std::mem::replace(&mut self.shared.core.borrow_mut().debug.survey, keep.map(Survey::new));
                Ok(Answer::Surveyed(before.map(Survey::told).unwrap_or_default()))
            }
            Request::Fork => Err(InferiorError::Refused("copies are made by the port".into())),
            Request::Interrupt => {
                if self.state == State::Running {
                    self.shared.core.borrow_mut().debug.interrupted = true;
                }
                Ok(Answer::Done)
            }
        }
    }

    /// What was written and run, if the code can tell.
    fn footprint(&mut self, anew: bool) -> Option<Footprint> {
        if !self.shared.core.borrow().watches.can_tell_footprints() {
            return None;
        }
        let functions = {
            let images = self.shared.images.borrow();
            let count = |id: u32| images.get(ModuleId(id)).map_or(0, |image| image.code().count());
            [count(0), (1..images.count()).map(count).max().unwrap_or(0)]
        };
        let footprint = self.shared.core.borrow().watches.footprint(functions);
        if footprint.is_some() && !anew {
            return footprint;
        }
        // Those that have begun before, and go on.
        let runners = self.shared.core.borrow().runners.ids();
        let mut under_way = Some(BTreeSet::new());
        for runner in runners {
            match self.ask(runner, Request::Frames(runner)) {
                Ok(Answer::Frames(stack)) if stack.len() < MAX_FRAMES => {
                    let user = |frame: &Frame| frame.address.module != ModuleId::KERNEL;
                    let at = |frame: &Frame| (function_mark(user(frame), frame.function), frame.address.offset.0);
                    under_way.iter_mut().for_each(|known| known.extend(stack.iter().map(at)));
                }
                // Others may be there: any.
                _ => under_way = None,
            }
        }
        let core = &mut *self.shared.core.borrow_mut();
        core.watches.footprint_anew(functions, under_way);
        footprint
    }

    fn must_not_run(&self) -> Result<(), InferiorError> {
        if self.state == State::Running { Err(InferiorError::Running) } else { Ok(()) }
    }

    fn must_be_stopped(&self) -> Result<(), InferiorError> {
        match self.state {
            State::Running => Err(InferiorError::Running),
            State::Stopped => Ok(()),
            State::Ended => Err(InferiorError::Refused("the run is over: its last state can only be looked at".into())),
        }
    }

    fn tasks(&self) -> Vec<TaskInfo> {
        let core = self.shared.core.borrow();
        let info = |id| {
            let runner = core.runners.get(id)?;
            let holds_cpu = core.runners.holder(runner.cpu) == Some(id);
            Some(TaskInfo { context: core.context(id), state: runner.state, holds_cpu, started: runner.started })
        };
        core.runners.ids().into_iter().filter_map(info).collect()
    }

    fn read_memory(&self, address: u64, len: u64) -> Answered {
        let memory = &self.shared.memory;
        let there = memory.size().saturating_sub(address).min(len);
        if there == 0 && len != 0 {
            return Err(InferiorError::NoMemory { address, len });
        }
        let bytes = memory.read_vec(address, there).map_err(|_| InferiorError::NoMemory { address, len })?;
        Ok(Answer::Bytes(bytes))
    }

    fn insert_breakpoint(&mut self, spec: BreakpointSpec) -> Answered {
        if !self.shared.debugging {
            return Err(not_compiled());
        }
        let missing = || InferiorError::NoCode(spec.address);
        let images = self.shared.images.borrow();
        let image = images.get(spec.address.module).ok_or_else(missing)?;
        let code = image.function_code(spec.address.offset).ok_or_else(missing)?;
        let offset = code.slip(spec.address.offset).ok_or_else(missing)?;
        let mut core = self.shared.core.borrow_mut();
        core.debug.version += 1;
        let address = CodeAddress { offset, ..spec.address };
        Ok(Answer::Breakpoint(core.debug.breakpoints.insert(BreakpointSpec { address, ..spec })))
    }

    fn go_on(&mut self, resume: Resume) -> Answered {
        self.must_be_stopped()?;
        if resume.direction == Direction::Backward {
            let text = "a running machine cannot go back: record the run, and replay it";
            return Err(InferiorError::Refused(text.to_owned()));
        }
        let mut core = self.shared.core.borrow_mut();
        if let Who::Only(runner) = resume.who {
            core.runners.get(runner).ok_or(InferiorError::NoRunner(runner))?;
            if !core.runners.runnable().contains(&runner) {
                let text = format!("{runner} waits for others: let all tasks run");
                return Err(InferiorError::Refused(text));
            }
            if self.journal.is_some() && self.in_slice && self.last != Some(runner) {
                let text = "the run is recorded, and another task is in the middle of its time slice here: only that \
                            one can go on alone";
                return Err(InferiorError::Refused(text.into()));
            }
        }
        if let Some(step) = &resume.step {
            if !self.shared.debugging {
                return Err(not_compiled());
            }
            core.runners.get(step.runner).ok_or(InferiorError::NoRunner(step.runner))?;
            if matches!(resume.who, Who::Only(other) if other != step.runner) {
                let text = format!("{} cannot make a step while another task alone may run", step.runner);
                return Err(InferiorError::Refused(text));
            }
        }
        core.debug.go_on(resume);
        self.state = State::Running;
        Ok(Answer::Done)
    }

    /// Whether `runner` does not go on with its slice now.
    pub(super) fn leaves(&self, runner: RunnerId) -> bool {
        let core = self.shared.core.borrow();
        (core.stop.is_some() && !core.slice_is_last) || core.debug.alone().is_some_and(|only| only != runner)
    }

    /// The only runner that may run cannot: there is nothing to do but to stop.
    pub(super) fn blocked(&mut self, runner: RunnerId, port: &mut dyn Port) {
        {
            let mut core = self.shared.core.borrow_mut();
            core.debug.only = None;
            let context = core.runners.get(runner).is_some().then(|| core.context(runner));
            let text = format!("{runner} cannot go on alone: it waits for other tasks, or is gone");
            // It is nothing that the guest did: a recording has no place for it.
            if self.journal.is_none() {
                core.tell(Event::Complaint { context, text });
            }
        }
        self.stop(StopReason::Interrupt, Some(runner), port);
    }

    /// Tells of modules that were loaded.
    pub(super) fn show_new_modules(&mut self, port: &mut dyn Port) {
        let count = self.shared.images.borrow().count();
        if count as usize > self.shown.len() + 1 && self.attached() {
            self.show_modules((1..count).map(ModuleId).collect(), port);
        }
    }
}

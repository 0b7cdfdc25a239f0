//! A machine with a past: one that is started now, or the replay of a recording.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, CheckpointInfo, Direction, Extent, FrameState, Goal, History, Inferior,
    InferiorError, Limits, Loads, Milestone, Notice, Position, Progress, RecordedRun, Result, Resume, Search, Status,
    Stop, StopReason, TaskInfo, WatchId, WatchSpec,
};
use wkdb_debugger::timeline::TimeTravel;
use wkdb_tracer::{Event, Frame, ModuleId, RunnerId, WasmValue};

use super::alarm::Alarm;
use super::{Live, Tapped};
use crate::machine::{JournalConfig, MachineConfig};
use crate::process::MachineProcess;

/// How long a machine may take to come to its start.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A machine process with a past, for a poll loop.
///
/// It starts stopped at its start, which [`Inferior::status`] says; a notice of it was taken already. A poll loop waits
/// for [`AsFd`] to be readable, unless [`Rewindable::has_notices`], and then takes [`Inferior::notices`].
pub struct Rewindable {
    run: TimeTravel<Live<Tapped>>,
    alarm: Alarm,
    /// Told before, and not taken yet.
    notices: VecDeque<Notice>,
    /// Somebody is there to be told of stops.
    attached: bool,
    /// It is the replay of a recording.
    recorded: bool,
}

/// A machine that stops at its start, and tells what comes from outside: its copies are given that.
fn process(mut config: MachineConfig) -> Result<MachineProcess> {
    config.attach = true;
    let journal = || JournalConfig { check_ticks: u64::MAX, ..JournalConfig::default() };
    config.journal.get_or_insert_with(journal);
    MachineProcess::start(config).map_err(|error| InferiorError::Gone(error.to_string()))
}

impl Rewindable {
    /// Starts a machine of this configuration, whose code has to be compiled for debugging, and waits for it to come to
    /// its start. Nobody hears what it says.
    ///
    /// # Errors
    /// The machine cannot be made, or not be copied: [`InferiorError::Gone`] has its last words.
    pub fn start(config: MachineConfig, limits: Limits) -> Result<Rewindable> {
        Rewindable::start_with(config, limits, Tapped::silent)
    }

    /// The same; `listen` makes the link, so that somebody hears what the machine says.
    ///
    /// # Errors
    /// As [`Rewindable::start`].
    pub fn start_with(
        config: MachineConfig,
        limits: Limits,
        listen: impl FnOnce(MachineProcess) -> Tapped,
    ) -> Result<Rewindable> {
        Rewindable::over(Live::over(listen(process(config)?)), limits)
    }

    /// The same for a machine that replays a recording, of which this is known: [`MachineConfig::journal`] names it.
    /// Nothing in it can be changed, and it stays at its end.
    ///
    /// # Errors
    /// As [`Rewindable::start`].
    pub fn open(
        config: MachineConfig,
        recording: RecordedRun,
        limits: Limits,
        listen: impl FnOnce(MachineProcess) -> Tapped,
    ) -> Result<Rewindable> {
        let machine = Live::of_recording(listen(process(config)?));
        let Rewindable { run, alarm, notices, attached, .. } = Rewindable::over(machine, limits)?;
        Ok(Rewindable { run: run.of_recording(recording), alarm, notices, attached, recorded: true })
    }

    /// A machine that has been started with [`MachineConfig::attach`] and a journal: waits for it to come to its start.
    ///
    /// # Errors
    /// As [`Rewindable::start`].
    pub fn over(mut machine: Live<Tapped>, limits: Limits) -> Result<Rewindable> {
        let mut notices = VecDeque::new();
        while !matches!(machine.status(), Status::Stopped(_)) {
            let told = machine.notices(PATIENCE)?;
            if told.is_empty() {
                return Err(InferiorError::Gone("it does not come to its start".into()));
            }
            notices.extend(told.into_iter().filter(|notice| !matches!(notice, Notice::Stopped(_))));
        }
        let alarm = Alarm::new().map_err(|error| InferiorError::Gone(error.to_string()))?;
        let bell = alarm.bell();
        let run = TimeTravel::new(machine, limits, move || bell.ring())?;
        Ok(Rewindable { run, alarm, notices, attached: true, recorded: false })
    }

    /// The run.
    pub fn run(&self) -> &TimeTravel<Live<Tapped>> {
        &self.run
    }

    /// The machine itself, where it is at hand: the present, while no way back is being looked for.
    pub fn present_mut(&mut self) -> Option<&mut Live<Tapped>> {
        self.run.present_mut()
    }

    /// Whether there are notices already: a poll loop must not sleep then.
    pub fn has_notices(&self) -> bool {
        !self.notices.is_empty() || self.run.shown().is_some_and(Live::has_notices)
    }

    /// What takes input, if it would be taken now: writable when there is room for some.
    pub fn input_fd(&self) -> Option<BorrowedFd<'_>> {
        let present = self.run.present().filter(|_| !self.run.in_the_past() && !self.recorded)?;
        Some(present.link().as_fd())
    }

    /// Says whether somebody wants to be told of traps, panics and the run's end, by a stop. Where nobody does any more,
    /// nobody looks at the past either: the present is where it was stopped, and tells so.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    pub fn set_attached(&mut self, attached: bool) -> Result<()> {
        self.attached = attached;
        if !attached {
            self.return_to_present()?;
        }
        self.run.present_mut().ok_or(InferiorError::Running)?.set_attached(attached)
    }

    /// Ends the run, whatever it is doing.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    pub fn quit(&mut self) -> Result<()> {
        self.return_to_present()?;
        self.run.present_mut().ok_or(InferiorError::Running)?.quit()
    }

    fn return_to_present(&mut self) -> Result<()> {
        self.unwatch();
        if let Some(stop) = self.run.return_to_present()? {
            self.notices.push_back(Notice::Stopped(Box::new(stop)));
        }
        Ok(())
    }

    /// A copy that is looked at may be gone, for whatever reason: the run is not.
    fn recover<T>(&mut self, result: Result<T>) -> Result<T> {
        match result {
            Err(InferiorError::Gone(words)) if self.run.in_the_past() => {
                let text = format!("the copy of the machine that was looked at is gone ({words}): back to the present");
                self.unwatch();
                let stop = self.run.return_to_present()?;
                let complaint = Event::Complaint { context: None, text: text.clone() };
                self.notices.push_back(Notice::Event(Box::new(complaint)));
                let stopped = stop.map(|stop| Stop { reason: StopReason::HistoryEnd, ..stop });
                self.notices.extend(stopped.map(|stop| Notice::Stopped(Box::new(stop))));
                Err(InferiorError::Refused(text))
            }
            other => other,
        }
    }

    /// The end of a recording, for who wants to go on there: nothing comes after it, and it is not over either.
    fn end_of_recording(&self, resume: &Resume) -> Option<Stop> {
        let at_present = self.recorded && self.attached && !self.run.in_the_past();
        match self.run.status() {
            Status::Stopped(stop)
                if at_present
                    && resume.direction == Direction::Forward
                    && matches!(stop.reason, StopReason::End(_) | StopReason::Panic { .. }) =>
            {
                Some(Stop { reason: StopReason::HistoryEnd, ..(**stop).clone() })
            }
            _ => None,
        }
    }

    /// What runs or is looked at may change, or be away for a while: the alarm forgets it.
    fn unwatch(&self) {
        if let Some(shown) = self.run.shown() {
            self.alarm.ignore(shown.link().as_fd());
        }
    }
}

impl AsFd for Rewindable {
    /// Readable when [`Inferior::notices`] has something to say: the machine told something, or a way back has come to
    /// its end.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // The present is stopped while the past is shown: it says nothing.
        if let Some(shown) = self.run.shown() {
            self.alarm.watch(shown.link().as_fd());
        }
        self.alarm.as_fd()
    }
}

impl Inferior for Rewindable {
    fn status(&self) -> &Status {
        self.run.status()
    }

    fn notices(&mut self, wait: Duration) -> Result<Vec<Notice>> {
        self.alarm.quiet();
        if !self.notices.is_empty() {
            return Ok(self.notices.drain(..).collect());
        }
        self.unwatch();
        let told = self.run.notices(wait);
        match self.recover(told) {
            Err(_) if !self.notices.is_empty() => Ok(self.notices.drain(..).collect()),
            told => told,
        }
    }

    fn module(&mut self, module: ModuleId) -> Result<Arc<[u8]>> {
        let result = self.run.module(module);
        self.recover(result)
    }

    fn module_count(&mut self) -> Result<u32> {
        let result = self.run.module_count();
        self.recover(result)
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        let result = self.run.tasks();
        self.recover(result)
    }

    fn loads(&mut self) -> Result<Loads> {
        let result = self.run.loads();
        self.recover(result)
    }

    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>> {
        let result = self.run.frames(runner);
        self.recover(result)
    }

    fn frame_states(&mut self, runner: RunnerId) -> Result<Vec<FrameState>> {
        let result = self.run.frame_states(runner);
        self.recover(result)
    }

    fn globals(&mut self, runner: RunnerId, module: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        let result = self.run.globals(runner, module);
        self.recover(result)
    }

    fn stack_pointer(&mut self, runner: RunnerId) -> Result<u64> {
        let result = self.run.stack_pointer(runner);
        self.recover(result)
    }

    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>> {
        let result = self.run.read_memory(address, len);
        self.recover(result)
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        self.run.write_memory(address, bytes)
    }

    fn set_global(&mut self, runner: RunnerId, module: ModuleId, global: u32, value: WasmValue) -> Result<()> {
        self.run.set_global(runner, module, global, value)
    }

    fn set_local(&mut self, runner: RunnerId, depth: u32, local: u32, value: WasmValue) -> Result<()> {
        self.run.set_local(runner, depth, local, value)
    }

    fn insert_breakpoint(&mut self, spec: &BreakpointSpec) -> Result<BreakpointId> {
        let result = self.run.insert_breakpoint(spec);
        self.recover(result)
    }

    fn remove_breakpoint(&mut self, id: BreakpointId) -> Result<()> {
        let result = self.run.remove_breakpoint(id);
        self.recover(result)
    }

    fn insert_watch(&mut self, spec: &WatchSpec) -> Result<WatchId> {
        let result = self.run.insert_watch(spec);
        self.recover(result)
    }

    fn remove_watch(&mut self, id: WatchId) -> Result<()> {
        let result = self.run.remove_watch(id);
        self.recover(result)
    }

    fn stop_at_loads(&mut self, stop: bool) -> Result<()> {
        self.run.stop_at_loads(stop)
    }

    fn resume(&mut self, resume: &Resume) -> Result<()> {
        if let Some(stop) = self.end_of_recording(resume) {
            self.notices.push_back(Notice::Stopped(Box::new(stop)));
            return Ok(());
        }
        self.unwatch();
        let resumed = self.run.resume(resume);
        self.recover(resumed)
    }

    fn interrupt(&mut self) -> Result<()> {
        self.run.interrupt()
    }

    fn type_in(&mut self, bytes: &[u8]) -> Result<()> {
        self.run.type_in(bytes)
    }

    fn has_history(&self) -> bool {
        true
    }

    fn history(&mut self) -> Option<&mut dyn History> {
        Some(self)
    }
}

impl History for Rewindable {
    fn extent(&self) -> Extent {
        self.run.extent()
    }

    fn position(&self) -> Result<Position> {
        self.run.position()
    }

    fn go_to(&mut self, goal: Goal) -> Result<()> {
        self.unwatch();
        let gone = self.run.go_to(goal);
        self.recover(gone)
    }

    fn search(&mut self, search: &Search) -> Result<()> {
        self.unwatch();
        self.run.search(search)
    }

    fn progress(&self) -> Option<Progress> {
        self.run.progress()
    }

    fn checkpoints(&self) -> Vec<CheckpointInfo> {
        History::checkpoints(&self.run)
    }

    fn limits(&self) -> Limits {
        self.run.limits()
    }

    fn milestones(&self) -> &[Milestone] {
        self.run.milestones()
    }
}

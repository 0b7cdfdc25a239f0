//! A machine with a past: one that is started now, or the replay of a recording.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, FrameState, Inferior, InferiorError, Notice, Result, Resume, Status, TaskInfo,
    WatchId, WatchSpec,
};
use wkdb_debugger::timeline::{Limits, TimeTravel};
use wkdb_tracer::{Frame, ModuleId, RunnerId, WasmValue};

use super::alarm::Alarm;
use super::{Live, Tapped};
use crate::machine::{JournalConfig, MachineConfig};
use crate::process::MachineProcess;

/// How long a machine may take to come to its start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine process with a past, for a poll loop.
///
/// It starts stopped at its start, which [`Inferior::status`] says; a notice of it was taken already. A poll loop waits
/// for [`AsFd`] to be readable, unless [`Rewindable::has_notices`], and then takes [`Inferior::notices`].
pub struct Rewindable {
    run: TimeTravel<Live<Tapped>>,
    alarm: Alarm,
    /// Told before, and not taken yet.
    notices: VecDeque<Notice>,
}

impl Rewindable {
    /// Starts a machine of this configuration, whose code has to be compiled for debugging, and waits for it to come to
    /// its start.
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
        mut config: MachineConfig,
        limits: Limits,
        listen: impl FnOnce(MachineProcess) -> Tapped,
    ) -> Result<Rewindable> {
        config.attach = true;
        // Copies are given what came from outside: the machine has to tell it.
        let journal =
            config.journal.get_or_insert_with(|| JournalConfig { check_ticks: u64::MAX, ..JournalConfig::default() });
        let replays = journal.replay.is_some();
        let process = MachineProcess::start(config).map_err(|error| InferiorError::Gone(error.to_string()))?;
        let link = listen(process);
        Rewindable::over(if replays { Live::of_recording(link) } else { Live::over(link) }, limits)
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
        Ok(Rewindable { run, alarm, notices })
    }

    /// The run.
    pub fn run(&self) -> &TimeTravel<Live<Tapped>> {
        &self.run
    }

    /// Whether there are notices already: a poll loop must not sleep then.
    pub fn has_notices(&self) -> bool {
        !self.notices.is_empty() || self.run.shown().is_some_and(Live::has_notices)
    }

    /// Says whether somebody wants to be told of traps, panics and the run's end, by a stop.
    ///
    /// # Errors
    /// [`InferiorError::Gone`]; [`InferiorError::Running`] while it looks for a way back.
    pub fn set_attached(&mut self, attached: bool) -> Result<()> {
        self.run.present_mut().ok_or(InferiorError::Running)?.set_attached(attached)
    }

    /// Ends the run, whatever it is doing.
    ///
    /// # Errors
    /// [`InferiorError::Gone`]; [`InferiorError::Running`] while it looks for a way back.
    pub fn quit(&mut self) -> Result<()> {
        self.run.present_mut().ok_or(InferiorError::Running)?.quit()
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
        self.run.notices(wait)
    }

    fn module(&mut self, module: ModuleId) -> Result<Arc<[u8]>> {
        self.run.module(module)
    }

    fn module_count(&mut self) -> Result<u32> {
        self.run.module_count()
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        self.run.tasks()
    }

    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>> {
        self.run.frames(runner)
    }

    fn frame_states(&mut self, runner: RunnerId) -> Result<Vec<FrameState>> {
        self.run.frame_states(runner)
    }

    fn globals(&mut self, runner: RunnerId, module: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        self.run.globals(runner, module)
    }

    fn stack_pointer(&mut self, runner: RunnerId) -> Result<u64> {
        self.run.stack_pointer(runner)
    }

    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>> {
        self.run.read_memory(address, len)
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
        self.run.insert_breakpoint(spec)
    }

    fn remove_breakpoint(&mut self, id: BreakpointId) -> Result<()> {
        self.run.remove_breakpoint(id)
    }

    fn insert_watch(&mut self, spec: &WatchSpec) -> Result<WatchId> {
        self.run.insert_watch(spec)
    }

    fn remove_watch(&mut self, id: WatchId) -> Result<()> {
        self.run.remove_watch(id)
    }

    fn resume(&mut self, resume: &Resume) -> Result<()> {
        self.unwatch();
        self.run.resume(resume)
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
}

//! A run with a past, as an [`Inferior`].

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use wkdb_tracer::{Event, Frame, ModuleId, RunnerId, WasmValue};

use super::engine::Task;
use super::{Branch, TimeTravel};
use crate::inferior::{
    BreakpointId, BreakpointSpec, Direction, FrameState, History, Inferior, InferiorError, Loads, Notice, Result,
    Resume, Status, TaskInfo, WatchId, WatchSpec, Who,
};

impl<B: Branch> Inferior for TimeTravel<B> {
    fn status(&self) -> &Status {
        &self.status
    }

    fn notices(&mut self, wait: Duration) -> Result<Vec<Notice>> {
        if let Some(job) = &self.job {
            return match job.result.recv_timeout(wait) {
                Ok(finished) => Ok(self.finish(finished)),
                Err(RecvTimeoutError::Timeout) => Ok(Vec::new()),
                Err(RecvTimeoutError::Disconnected) => Err(InferiorError::Gone("the way back was lost".into())),
            };
        }
        let end = Instant::now() + wait;
        loop {
            let told = self.branch()?.notices(end.saturating_duration_since(Instant::now()))?;
            let mut notices = Vec::new();
            let past = self.in_the_past();
            for notice in told {
                match notice {
                    Notice::Stopped(stop) => {
                        if let Some(stop) = self.stopped(*stop)? {
                            self.going = None;
                            self.forget_temporary(&stop);
                            self.status = Status::Stopped(Box::new(stop.clone()));
                            notices.push(Notice::Stopped(Box::new(stop)));
                        }
                    }
                    Notice::Ended(outcome, totals) => {
                        self.status = Status::Ended(outcome.clone(), totals.clone());
                        notices.push(Notice::Ended(outcome, totals));
                    }
                    // By the name that the debugger gave the watch; also in the past, where it may be new.
                    Notice::Event(event) if matches!(*event, Event::Watch(_)) => {
                        let named = self.car()?.named(*event);
                        notices.extend(named.map(|event| Notice::Event(Box::new(event))));
                    }
                    // What is printed again was seen already.
                    Notice::Console(_) | Notice::Event(_) if past => {}
                    other => {
                        if let Notice::Event(event) = &other {
                            self.note(event);
                        }
                        notices.push(other);
                    }
                }
            }
            if !notices.is_empty() || Instant::now() >= end {
                return Ok(notices);
            }
        }
    }

    fn module(&mut self, module: ModuleId) -> Result<Arc<[u8]>> {
        self.branch()?.module(module)
    }

    fn module_count(&mut self) -> Result<u32> {
        self.branch()?.module_count()
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        self.branch()?.tasks()
    }

    fn loads(&mut self) -> Result<Loads> {
        self.branch()?.loads()
    }

    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>> {
        self.branch()?.frames(runner)
    }

    fn frame_states(&mut self, runner: RunnerId) -> Result<Vec<FrameState>> {
        self.branch()?.frame_states(runner)
    }

    fn globals(&mut self, runner: RunnerId, module: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        self.branch()?.globals(runner, module)
    }

    fn stack_pointer(&mut self, runner: RunnerId) -> Result<u64> {
        self.branch()?.stack_pointer(runner)
    }

    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>> {
        self.branch()?.read_memory(address, len)
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        self.may_be_changed()?;
        self.branch()?.write_memory(address, bytes)?;
        self.changed()
    }

    fn set_global(&mut self, runner: RunnerId, module: ModuleId, global: u32, value: WasmValue) -> Result<()> {
        self.may_be_changed()?;
        self.branch()?.set_global(runner, module, global, value)?;
        self.changed()
    }

    fn set_local(&mut self, runner: RunnerId, depth: u32, local: u32, value: WasmValue) -> Result<()> {
        self.may_be_changed()?;
        self.branch()?.set_local(runner, depth, local, value)?;
        self.changed()
    }

    fn insert_breakpoint(&mut self, spec: &BreakpointSpec) -> Result<BreakpointId> {
        self.here()?;
        let id = BreakpointId(self.name());
        self.wanted.breakpoints.push((id, spec.clone()));
        let wanted = self.wanted.clone();
        let car = self.car()?;
        // Whether it can be set is known only by setting it.
        let checked = car.branch.insert_breakpoint(&BreakpointSpec { temporary: false, ..spec.clone() });
        let set = match checked {
            Ok(ours) => car.branch.remove_breakpoint(ours).and_then(|()| car.sync(&wanted)),
            Err(error) => Err(error),
        };
        if set.is_err() {
            self.wanted.breakpoints.pop();
        }
        set.map(|()| id)
    }

    fn remove_breakpoint(&mut self, id: BreakpointId) -> Result<()> {
        self.here()?;
        self.wanted.breakpoints.retain(|(known, _)| *known != id);
        let wanted = self.wanted.clone();
        self.car()?.sync(&wanted)
    }

    fn insert_watch(&mut self, spec: &WatchSpec) -> Result<WatchId> {
        self.here()?;
        let id = WatchId(self.name());
        self.wanted.watches.push((id, spec.clone()));
        let wanted = self.wanted.clone();
        let set = self.car()?.sync(&wanted);
        if set.is_err() {
            self.wanted.watches.pop();
        }
        set.map(|()| id)
    }

    fn remove_watch(&mut self, id: WatchId) -> Result<()> {
        self.here()?;
        self.wanted.watches.retain(|(known, _)| *known != id);
        let wanted = self.wanted.clone();
        self.car()?.sync(&wanted)
    }

    fn stop_at_loads(&mut self, stop: bool) -> Result<()> {
        // Copies have seen what the present has.
        self.present_mut().ok_or(InferiorError::Running)?.stop_at_loads(stop)
    }

    fn resume(&mut self, resume: &Resume) -> Result<()> {
        self.here()?;
        if resume.direction == Direction::Backward {
            let task = match &resume.step {
                None => Task::Continue { edge: self.edge() },
                Some(step) => Task::Step { step: step.clone(), stack: self.frames(step.runner)? },
            };
            return self.start_job(task);
        }
        if let Who::Only(_) = resume.who {
            self.may_be_changed()?;
            // Another schedule than the seed's: copies made before would not follow it.
            self.changed()?;
        }
        self.go_forward(resume.clone())
    }

    fn interrupt(&mut self) -> Result<()> {
        if self.job.is_some() {
            self.signals.stop();
            return Ok(());
        }
        // It may just be stopped for a checkpoint, and would not hear of it.
        self.interrupted = true;
        self.branch()?.interrupt()
    }

    fn type_in(&mut self, bytes: &[u8]) -> Result<()> {
        self.may_be_changed()?;
        self.branch()?.type_in(bytes)
    }

    fn has_history(&self) -> bool {
        true
    }

    fn history(&mut self) -> Option<&mut dyn History> {
        Some(self)
    }
}

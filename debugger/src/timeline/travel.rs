//! A run with a past, as an [`Inferior`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wkdb_tracer::{Frame, GuestTime, ModuleId, RunnerId, Tick, WasmValue};

use super::backward::{Arrived, Past};
use super::checkpoints::{Checkpoint, CheckpointInfo, Checkpoints, Limits};
use super::job::{Car, Halt, Wanted};
use super::{Branch, Position};
use crate::inferior::{
    BreakpointId, BreakpointSpec, Direction, FrameState, Inferior, InferiorError, Notice, Result, Resume, Status, Step,
    Stop, StopReason, TaskInfo, WatchId, WatchSpec, Who,
};

/// Where to go in the past, besides what [`Resume`] can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goal {
    /// A tick.
    Tick(Tick),
    /// The first moment between slices at which the guest's clock has come so far.
    Time(GuestTime),
    /// Behind the last write into these bytes.
    LastWrite {
        /// First byte.
        address: u64,
        /// How many.
        len: u64,
    },
    /// The start of history.
    Start,
    /// The present.
    Present,
}

/// All that a job needs, and gives back.
struct Engine<B> {
    checkpoints: Checkpoints<B>,
    /// The run as far as it has come.
    present: Car<B>,
    /// A copy of it somewhere before, while one looks at the past.
    past: Option<Car<B>>,
    near: Option<Car<B>>,
}

/// What a job was told to do.
enum Task {
    Continue,
    Step { step: Step, stack: Vec<Frame> },
    Go(Goal),
}

struct Finished<B> {
    engine: Engine<B>,
    stop: std::result::Result<Stop, Halt>,
}

/// A job that another thread does.
struct Job<B> {
    result: Receiver<Finished<B>>,
    thread: JoinHandle<()>,
}

/// A run that one can go back in.
pub struct TimeTravel<B: Branch> {
    /// None while a job has it.
    engine: Option<Engine<B>>,
    job: Option<Job<B>>,
    interrupt: Arc<AtomicBool>,
    /// Called when a job is done, so that who waits for something else is woken.
    wake: Arc<dyn Fn() + Send + Sync>,
    wanted: Wanted,
    next_id: u32,
    status: Status,
    /// What the run was told, while it goes forwards and stops for checkpoints on its way.
    going: Option<Resume>,
    /// Something was typed while it ran: its copies are of no use any more.
    stale: bool,
    /// Stopped before a job began: where it stays if the job comes to nothing.
    before: Option<Stop>,
}

/// The breakpoint at the end of history; no debugger's has this name.
const PRESENT: BreakpointId = BreakpointId(u32::MAX);

fn gone() -> InferiorError {
    InferiorError::Running
}

impl<B: Branch> TimeTravel<B> {
    /// A run that is stopped: its history begins here. `wake` is called, on another thread, when a way back has come to
    /// its end: [`Inferior::notices`] has something to tell then.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn new(present: B, limits: Limits, wake: impl Fn() + Send + Sync + 'static) -> Result<Self> {
        let mut present = Car::new(present);
        let Status::Stopped(stop) = present.branch.status().clone() else { return Err(InferiorError::Running) };
        let origin = Checkpoint { tick: stop.tick, time: stop.time, car: present.fork()? };
        let checkpoints = Checkpoints::new(origin, limits);
        Ok(TimeTravel {
            engine: Some(Engine { checkpoints, present, past: None, near: None }),
            job: None,
            interrupt: Arc::new(AtomicBool::new(false)),
            wake: Arc::new(wake),
            wanted: Wanted::default(),
            next_id: 1,
            status: Status::Stopped(stop),
            going: None,
            stale: false,
            before: None,
        })
    }

    /// Whether it shows the past.
    pub fn in_the_past(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.past.is_some())
    }

    /// The present branch, for what is between it and its owner; none while a way back is being looked for.
    pub fn present(&self) -> Option<&B> {
        self.engine.as_ref().map(|engine| &engine.present.branch)
    }

    /// The same, to be changed.
    pub fn present_mut(&mut self) -> Option<&mut B> {
        self.engine.as_mut().map(|engine| &mut engine.present.branch)
    }

    /// The branch that runs or is looked at; none while a way back is being looked for.
    pub fn shown(&self) -> Option<&B> {
        let engine = self.engine.as_ref()?;
        Some(&engine.past.as_ref().unwrap_or(&engine.present).branch)
    }

    /// The checkpoints, the earliest first.
    pub fn checkpoints(&self) -> Vec<CheckpointInfo> {
        self.engine.as_ref().map(|engine| engine.checkpoints.list()).unwrap_or_default()
    }

    /// Goes somewhere in history. As [`Inferior::resume`], it tells of its arrival by a notice.
    ///
    /// # Errors
    /// It runs.
    pub fn go_to(&mut self, goal: Goal) -> Result<()> {
        self.start(Task::Go(goal))
    }

    /// All writes into a range before the present position: the last `most` stops behind them, and how many there are.
    /// It takes as long as running the history takes.
    ///
    /// # Errors
    /// It runs; or [`InferiorError::Refused`] where a copy does not run as it should.
    pub fn history(&mut self, address: u64, len: u64, most: usize) -> Result<(Vec<Stop>, usize)> {
        let from = self.here()?;
        self.interrupt.store(false, Ordering::Relaxed);
        let engine = self.engine.as_mut().ok_or_else(gone)?;
        let mut past = engine.past(&self.wanted, &self.interrupt);
        match past.history(&from, address, len, most) {
            Ok(history) => Ok(history),
            Err(Halt::Failed(error)) => Err(error),
            Err(Halt::Interrupted) => Err(InferiorError::Refused("interrupted".into())),
        }
    }

    fn here(&self) -> Result<Position> {
        match &self.status {
            // The branch knows better than the status how it came to stop: at the end of history it may stand before an
            // instruction.
            Status::Stopped(stop) => {
                let shown = self.engine.as_ref().map(|engine| engine.past.as_ref().unwrap_or(&engine.present));
                Ok(shown.and_then(|car| car.position().ok()).unwrap_or_else(|| Position::of(stop)))
            }
            Status::Running => Err(InferiorError::Running),
            Status::Ended(..) => Err(InferiorError::Refused("the run is over".into())),
        }
    }

    fn engine(&mut self) -> Result<&mut Engine<B>> {
        self.engine.as_mut().ok_or_else(gone)
    }

    /// What runs or is looked at.
    fn car(&mut self) -> Result<&mut Car<B>> {
        let engine = self.engine()?;
        Ok(engine.past.as_mut().unwrap_or(&mut engine.present))
    }

    fn branch(&mut self) -> Result<&mut B> {
        self.car().map(|car| &mut car.branch)
    }

    fn name(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Gives a job to another thread.
    fn start(&mut self, task: Task) -> Result<()>
    where
        B: Branch,
    {
        let from = self.here()?;
        let mut engine = self.engine.take().ok_or_else(gone)?;
        self.interrupt.store(false, Ordering::Relaxed);
        let (send, result) = channel();
        let (interrupt, wanted, wake) = (self.interrupt.clone(), self.wanted.clone(), self.wake.clone());
        let thread = std::thread::spawn(move || {
            let stop = engine.work(task, &from, &wanted, &interrupt);
            // The owner may be gone: then so is the engine.
            let _ = send.send(Finished { engine, stop });
            wake();
        });
        self.job = Some(Job { result, thread });
        if let Status::Stopped(stop) = std::mem::replace(&mut self.status, Status::Running) {
            self.before = Some(*stop);
        }
        Ok(())
    }

    /// Takes over what a job came to.
    fn finish(&mut self, finished: Finished<B>) -> Vec<Notice> {
        if let Some(job) = self.job.take() {
            // It has sent its last.
            let _ = job.thread.join();
        }
        self.engine = Some(finished.engine);
        let before = self.before.take();
        let (stop, trouble) = match (finished.stop, before) {
            (Ok(stop), _) => (stop, None),
            (Err(halt), Some(before)) => {
                let trouble = match halt {
                    Halt::Interrupted => None,
                    Halt::Failed(error) => Some(error.to_string()),
                };
                (Stop { reason: StopReason::Interrupt, ..before }, trouble)
            }
            (Err(_), None) => return Vec::new(),
        };
        self.forget_temporary(&stop);
        self.status = Status::Stopped(Box::new(stop.clone()));
        let complaint =
            trouble.map(|text| Notice::Event(Box::new(wkdb_tracer::Event::Complaint { context: None, text })));
        complaint.into_iter().chain([Notice::Stopped(Box::new(stop))]).collect()
    }

    /// Temporary breakpoints go with the first stop that the debugger is told of.
    fn forget_temporary(&mut self, stop: &Stop) {
        if let StopReason::Breakpoint(met) = &stop.reason {
            self.wanted.breakpoints.retain(|(id, spec)| !(spec.temporary && met.contains(id)));
        }
    }

    /// Lets the run go on, to its next checkpoint at most.
    fn go_on(&mut self) -> Result<()> {
        let Some(going) = self.going.clone() else { return Ok(()) };
        let Some(engine) = self.engine.as_mut() else { return Err(gone()) };
        let newest = engine.checkpoints.newest();
        let due = Tick(newest.0.saturating_add(engine.checkpoints.spacing()));
        let end = engine.past.as_ref().and_then(|_| engine.present.position().ok());
        let car = engine.past.as_mut().unwrap_or(&mut engine.present);
        let here = car.position().map_or(Tick(0), |here| here.tick);
        let mut wanted = self.wanted.clone();
        let mut resume = going;
        let mut marks = vec![resume.until_tick];
        if let Some(end) = end {
            marks.push(Some(if here < end.tick { end.tick } else { Tick(here.0 + 1) }));
            if let (Some(address), true) = (end.address, end.at_instruction && here >= end.tick) {
                let spec = BreakpointSpec { address, only: end.runner, temporary: false };
                wanted.breakpoints.push((PRESENT, spec));
            }
        } else {
            marks.push(Some(due));
        }
        car.sync(&wanted)?;
        // A step that stops on its way is no step any more: checkpoints, and the end of history, wait for its end.
        if resume.step.is_none() {
            resume.until_tick = marks.into_iter().flatten().filter(|&mark| mark > here).min();
        }
        car.branch.resume(&resume)?;
        self.status = Status::Running;
        Ok(())
    }

    /// What becomes of a stop of the branch that runs; none if it goes on.
    fn stopped(&mut self, stop: Stop) -> Result<Option<Stop>> {
        if self.stale && !self.in_the_past() {
            self.begin_anew(&stop)?;
        }
        let until = self.going.as_ref().and_then(|going| going.until_tick);
        let wanted = self.wanted.clone();
        let engine = self.engine()?;
        let shown = engine.past.as_ref().unwrap_or(&engine.present);
        let translated = shown.translate(&stop);
        let mut at_present = None;
        if engine.past.is_some()
            && let Ok(present) = engine.present.stop()
        {
            let (here, there) = (Position::of(&stop), Position::of(present));
            if here.same_place(&there) || here.is_past(&there) || matches!(stop.reason, StopReason::End(_)) {
                at_present = Some(Stop { reason: StopReason::HistoryEnd, ..present.clone() });
            }
        }
        if let Some(stop) = at_present {
            engine.past = None;
            engine.present.sync(&wanted)?;
            return Ok(Some(stop));
        }
        let ours = stop.reason == StopReason::Tick && until.is_none_or(|until| stop.tick < until);
        if ours {
            self.checkpoint(&stop);
            // Within the last tick of history one step after the other leads to its end.
            self.go_on()?;
            return Ok(None);
        }
        let only_present = |stop: &Stop| matches!(&stop.reason, StopReason::Breakpoint(met) if met == &[PRESENT]);
        match translated.filter(|stop| !only_present(stop)) {
            Some(stop) => Ok(Some(stop)),
            None => {
                self.go_on()?;
                Ok(None)
            }
        }
    }

    /// Takes a checkpoint where the run is; where there is no room, it goes on without.
    fn checkpoint(&mut self, stop: &Stop) {
        let Some(engine) = self.engine.as_mut() else { return };
        if engine.past.is_some() || stop.tick.0 < engine.checkpoints.newest().0 + engine.checkpoints.spacing() {
            return;
        }
        let car = match engine.present.fork() {
            Ok(car) => Some(car),
            Err(_) if engine.checkpoints.spare() => engine.present.fork().ok(),
            Err(_) => None,
        };
        if let Some(car) = car {
            engine.checkpoints.add(Checkpoint { tick: stop.tick, time: stop.time, car });
        }
    }

    /// The guest was changed by hand: what was before does not lead here, so history begins anew.
    fn changed(&mut self) -> Result<()> {
        match &self.status {
            Status::Stopped(stop) => self.begin_anew(&stop.clone()),
            _ => Err(InferiorError::Running),
        }
    }

    /// History begins where the present has stopped.
    fn begin_anew(&mut self, stop: &Stop) -> Result<()> {
        let engine = self.engine()?;
        let car = engine.present.fork()?;
        engine.near = None;
        engine.checkpoints.restart(Checkpoint { tick: stop.tick, time: stop.time, car });
        self.stale = false;
        Ok(())
    }

    fn only_in_the_present(&self) -> Result<()> {
        if self.in_the_past() {
            let text = "what was cannot be changed: go to the present first, or branch off a new run (wkdb branch)";
            return Err(InferiorError::Refused(text.into()));
        }
        Ok(())
    }
}

impl<B: Branch> Engine<B> {
    fn past<'a>(&'a mut self, wanted: &'a Wanted, interrupt: &'a AtomicBool) -> Past<'a, B> {
        let Engine { checkpoints, present, near, .. } = self;
        Past { checkpoints, present: Some(&mut present.branch), wanted, interrupt, near }
    }

    fn work(
        &mut self,
        task: Task,
        from: &Position,
        wanted: &Wanted,
        interrupt: &AtomicBool,
    ) -> std::result::Result<Stop, Halt> {
        let end = self.present.position()?;
        if let Task::Go(Goal::Present) = task {
            self.past = None;
            self.present.sync(wanted)?;
            return Ok(self.present.stop()?.clone());
        }
        let mut past = self.past(wanted, interrupt);
        let Arrived { car, stop } = match task {
            Task::Continue => past.continue_back(from, wanted),
            Task::Step { step, stack } => past.step_back(from, step.runner, &stack, &step.kind),
            Task::Go(Goal::Tick(tick)) if tick <= end.tick => past.go_to(tick),
            Task::Go(Goal::Tick(tick)) => {
                let text = format!("tick {tick} has not come yet: the present is at {}", end.tick);
                Err(Halt::Failed(InferiorError::Refused(text)))
            }
            Task::Go(Goal::Time(time)) if time <= end.time => past.go_to_time(time, &end),
            Task::Go(Goal::Time(time)) => {
                let text = format!("{time} has not come yet: the present is at {}", end.time);
                Err(Halt::Failed(InferiorError::Refused(text)))
            }
            Task::Go(Goal::LastWrite { address, len }) => past.last_write(from, address, len),
            Task::Go(Goal::Start | Goal::Present) => past.go_to(Tick(0)),
        }?;
        self.past = Some(car);
        Ok(stop)
    }
}

impl<B: Branch> Drop for TimeTravel<B> {
    fn drop(&mut self) {
        self.interrupt.store(true, Ordering::Relaxed);
        if let Some(job) = self.job.take() {
            // A job that panicked has said so.
            let _ = job.thread.join();
        }
    }
}

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
                    // What is printed again was seen already.
                    Notice::Console(_) | Notice::Event(_) if past => {}
                    other => notices.push(other),
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
        self.only_in_the_present()?;
        self.branch()?.write_memory(address, bytes)?;
        self.changed()
    }

    fn set_global(&mut self, runner: RunnerId, module: ModuleId, global: u32, value: WasmValue) -> Result<()> {
        self.only_in_the_present()?;
        self.branch()?.set_global(runner, module, global, value)?;
        self.changed()
    }

    fn set_local(&mut self, runner: RunnerId, depth: u32, local: u32, value: WasmValue) -> Result<()> {
        self.only_in_the_present()?;
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

    fn resume(&mut self, resume: &Resume) -> Result<()> {
        self.here()?;
        if resume.direction == Direction::Backward {
            let task = match &resume.step {
                None => Task::Continue,
                Some(step) => Task::Step { step: step.clone(), stack: self.frames(step.runner)? },
            };
            return self.start(task);
        }
        if let Who::Only(_) = resume.who {
            self.only_in_the_present()?;
            // Another schedule than the seed's: copies made before would not follow it.
            self.changed()?;
        }
        self.going = Some(resume.clone());
        let gone_on = self.go_on();
        if gone_on.is_err() {
            self.going = None;
        }
        gone_on
    }

    fn interrupt(&mut self) -> Result<()> {
        if self.job.is_some() {
            self.interrupt.store(true, Ordering::Relaxed);
            return Ok(());
        }
        self.branch()?.interrupt()
    }

    fn type_in(&mut self, bytes: &[u8]) -> Result<()> {
        self.only_in_the_present()?;
        self.branch()?.type_in(bytes)?;
        match self.status {
            // Copies made before do not hear of it. One made now has it in front of it.
            Status::Stopped(_) => self.changed(),
            _ => {
                self.stale = true;
                Ok(())
            }
        }
    }

    fn has_history(&self) -> bool {
        true
    }
}

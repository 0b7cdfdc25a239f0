//! A run with a past.

use std::sync::Arc;
use std::sync::mpsc::channel;

use wkdb_tracer::Tick;

use super::checkpoints::{Checkpoint, Checkpoints};
use super::engine::{Came, Engine, Finished, Job, Signals, Task};
use super::going::Going;
use super::job::{Car, Edge, Halt, Wanted};
use super::near::Near;
use super::{Branch, Limits, Position};
use crate::inferior::{
    History, InferiorError, Milestone, Moment, Notice, RecordedRun, Result, Status, Stop, StopReason,
};

/// A run that one can go back in: an [`Inferior`](crate::inferior::Inferior) with a [`History`].
pub struct TimeTravel<B: Branch> {
    /// None while a job has it.
    pub(super) engine: Option<Engine<B>>,
    pub(super) job: Option<Job<B>>,
    pub(super) signals: Signals,
    /// Called when a job is done, so that who waits for something else is woken.
    wake: Arc<dyn Fn() + Send + Sync>,
    pub(super) wanted: Wanted,
    pub(super) next_id: u32,
    pub(super) status: Status,
    pub(super) going: Option<Going>,
    /// Where a checkpoint was last to be taken: where there was no room for it, the next one is due later.
    pub(super) tried: Tick,
    /// It was told to stop since it was last told to go.
    pub(super) interrupted: bool,
    /// Stopped before a job began: where it stays if the job comes to nothing.
    before: Option<Stop>,
    pub(super) limits: Limits,
    /// Where history begins, and how far the run has come.
    pub(super) start_moment: Moment,
    pub(super) present_moment: Moment,
    pub(super) milestones: Vec<Milestone>,
    /// It is a recording.
    pub(super) recording: Option<RecordedRun>,
    /// Whether what is shown is before the present, while a job is under way.
    past_in_job: bool,
}

impl<B: Branch> TimeTravel<B> {
    /// A run that is stopped: its history begins here. `wake` is called, on another thread, when a job has come to its
    /// end: [`Inferior::notices`](crate::inferior::Inferior::notices) has something to tell then.
    ///
    /// # Errors
    /// It cannot be copied.
    pub fn new(present: B, limits: Limits, wake: impl Fn() + Send + Sync + 'static) -> Result<Self> {
        let mut present = Car::new(present);
        let Status::Stopped(stop) = present.branch.status().clone() else { return Err(InferiorError::Running) };
        present.branch.footprint(true)?;
        let checkpoints = Checkpoints::new(Checkpoint::new(&stop, present.fork()?), limits);
        let moment = Moment::from(&*stop);
        Ok(TimeTravel {
            engine: Some(Engine { checkpoints, present, past: None, near: Near::new(), trail: None }),
            job: None,
            signals: Signals::default(),
            wake: Arc::new(wake),
            wanted: Wanted::default(),
            next_id: 1,
            status: Status::Stopped(stop),
            going: None,
            tried: Tick(0),
            interrupted: false,
            before: None,
            limits,
            start_moment: moment,
            present_moment: moment,
            milestones: Vec::new(),
            recording: None,
            past_in_job: false,
        })
    }

    /// Says that the run is one that was recorded: nothing in it can be changed, and its end and events can be gone to
    /// before it has come there.
    #[must_use]
    pub fn of_recording(mut self, recording: RecordedRun) -> Self {
        self.recording = Some(recording);
        self
    }

    /// Whether it shows the past.
    pub fn in_the_past(&self) -> bool {
        match &self.engine {
            Some(engine) => engine.past.is_some(),
            None => self.past_in_job,
        }
    }

    /// The present branch, for what is between it and its owner; none while a job is under way.
    pub fn present(&self) -> Option<&B> {
        self.engine.as_ref().map(|engine| &engine.present.branch)
    }

    /// The same, to be changed.
    pub fn present_mut(&mut self) -> Option<&mut B> {
        self.engine.as_mut().map(|engine| &mut engine.present.branch)
    }

    /// The branch that runs or is looked at; none while a job is under way.
    pub fn shown(&self) -> Option<&B> {
        self.engine.as_ref().map(|engine| &engine.shown().branch)
    }

    pub(super) fn here(&self) -> Result<Position> {
        match &self.status {
            // The branch knows better than the status how it came to stop: at the end of history it may stand before an
            // instruction.
            Status::Stopped(stop) => {
                let shown = self.engine.as_ref().and_then(|engine| engine.shown().position().ok());
                Ok(shown.unwrap_or_else(|| Position::of(stop)))
            }
            Status::Running => Err(InferiorError::Running),
            Status::Ended(..) => Err(InferiorError::Refused("the run is over".into())),
        }
    }

    /// What of that which would stop the run just here has not been told of. A store that was watched has; one that a step,
    /// a breakpoint behind it, or a finding led past has not.
    pub(super) fn edge(&self) -> Edge {
        match &self.status {
            Status::Stopped(stop) if matches!(stop.reason, StopReason::Watch(_)) => Edge::Open,
            _ => Edge::Accesses,
        }
    }

    /// What runs or is looked at.
    pub(super) fn car(&mut self) -> Result<&mut Car<B>> {
        self.engine.as_mut().map(Engine::shown_mut).ok_or(InferiorError::Running)
    }

    pub(super) fn branch(&mut self) -> Result<&mut B> {
        self.car().map(|car| &mut car.branch)
    }

    pub(super) fn name(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Gives a job to another thread.
    pub(super) fn start_job(&mut self, task: Task) -> Result<()> {
        let from = self.here()?;
        self.past_in_job = self.in_the_past();
        let mut engine = self.engine.take().ok_or(InferiorError::Running)?;
        self.signals.clear();
        let (send, result) = channel();
        let (signals, wanted, wake) = (self.signals.clone(), self.wanted.clone(), self.wake.clone());
        let thread = std::thread::spawn(move || {
            let came = engine.work(task, &from, &wanted, &signals);
            // The owner may be gone: then so is the engine.
            let _ = send.send(Finished { engine, came });
            wake();
        });
        self.job = Some(Job { result, thread });
        if let Status::Stopped(stop) = std::mem::replace(&mut self.status, Status::Running) {
            self.before = Some(*stop);
        }
        Ok(())
    }

    /// Takes over what a job came to.
    pub(super) fn finish(&mut self, finished: Finished<B>) -> Vec<Notice> {
        if let Some(job) = self.job.take() {
            // It has sent its last.
            let _ = job.thread.join();
        }
        self.engine = Some(finished.engine);
        let before = self.before.take();
        let (stop, trouble) = match (finished.came, before) {
            (Came::To(Ok(stop)), _) => (stop, None),
            (Came::Upon(found), Some(before)) => {
                self.status = Status::Stopped(Box::new(before));
                return vec![Notice::Found(Box::new(found))];
            }
            (Came::To(Err(halt)), Some(before)) => {
                let trouble = match halt {
                    Halt::Interrupted => None,
                    Halt::Failed(error) => Some(error.to_string()),
                };
                (Stop { reason: StopReason::Interrupt, ..before }, trouble)
            }
            // A job begins at a stop.
            (_, None) => return Vec::new(),
        };
        self.forget_temporary(&stop);
        self.status = Status::Stopped(Box::new(stop.clone()));
        let complaint =
            trouble.map(|text| Notice::Event(Box::new(wkdb_tracer::Event::Complaint { context: None, text })));
        complaint.into_iter().chain([Notice::Stopped(Box::new(stop))]).collect()
    }

    /// Leaves the past at once, and gives up what is being looked for there, which takes some milliseconds: the present
    /// is shown. Gives where that is stopped, if something else was shown or done before.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    pub fn return_to_present(&mut self) -> Result<Option<Stop>> {
        let mut left = false;
        if let Some(job) = &self.job {
            self.signals.stop();
            let finished = job.result.recv().map_err(|_| InferiorError::Gone("the way back was lost".into()))?;
            self.finish(finished);
            left = true;
        }
        let Some(engine) = &mut self.engine else { return Err(InferiorError::Running) };
        left |= engine.past.take().is_some();
        if !left {
            return Ok(None);
        }
        self.going = None;
        engine.present.sync(&self.wanted)?;
        self.status = engine.present.branch.status().clone();
        Ok(match &self.status {
            Status::Stopped(stop) => Some((**stop).clone()),
            Status::Running | Status::Ended(..) => None,
        })
    }

    /// Temporary breakpoints go with the first stop that the debugger is told of.
    pub(super) fn forget_temporary(&mut self, stop: &Stop) {
        if let StopReason::Breakpoint(met) = &stop.reason {
            self.wanted.breakpoints.retain(|(id, spec)| !(spec.temporary && met.contains(id)));
        }
    }

    /// Refuses to change what was.
    pub(super) fn may_be_changed(&self) -> Result<()> {
        if let Some(recording) = &self.recording {
            let at = self.here().map_or(self.present_moment.tick, |here| here.tick);
            let name = &recording.name;
            let text = format!(
                "a recording is never changed: to go on from here in another way, leave and run `wkdb branch {name} \
                 --at {at}`"
            );
            return Err(InferiorError::Refused(text));
        }
        if self.in_the_past() {
            let text = "what was cannot be changed: `goto end` leads to the present; or record the run (`wkdb run \
                        --record FILE`) and go on from here in another way with `wkdb branch FILE --at TICK`";
            return Err(InferiorError::Refused(text.into()));
        }
        Ok(())
    }

    /// The checkpoints, the earliest first.
    pub fn checkpoints(&self) -> Vec<crate::inferior::CheckpointInfo> {
        History::checkpoints(self)
    }
}

impl<B: Branch> Drop for TimeTravel<B> {
    fn drop(&mut self) {
        self.signals.stop();
        if let Some(job) = self.job.take() {
            // A job that panicked has said so.
            let _ = job.thread.join();
        }
    }
}

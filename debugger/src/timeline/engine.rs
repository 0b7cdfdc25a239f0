//! What a job works with, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use wkdb_tracer::Frame;

use super::backward::{Arrived, Past};
use super::checkpoints::Checkpoints;
use super::job::{Car, Edge, Halt, Limit, Wanted};
use super::near::Near;
use super::trail::Trail;
use super::{Branch, Position};
use crate::inferior::{Found, Goal, Progress, Search, SearchEnd, Step, Stop, StopReason, Writes};

/// All that a job needs, and gives back.
pub(super) struct Engine<B> {
    pub(super) checkpoints: Checkpoints<B>,
    /// The run as far as it has come.
    pub(super) present: Car<B>,
    /// A copy of it somewhere before, while one looks at the past.
    pub(super) past: Option<Car<B>>,
    /// Copies near to what was gone to last.
    pub(super) near: Near<B>,
    /// The steps that led to what was gone to last.
    pub(super) trail: Option<Trail<B>>,
}

/// What a job was told to do.
pub(super) enum Task {
    Continue {
        /// What of that which would stop it just there counts.
        edge: Edge,
    },
    Step {
        step: Step,
        stack: Vec<Frame>,
    },
    Go(Goal),
    Search(Search),
}

/// What a job came to.
pub(super) enum Came {
    /// Somewhere else.
    To(std::result::Result<Stop, Halt>),
    /// To an answer, and nowhere else.
    Upon(Found),
}

/// The end of a job.
pub(super) struct Finished<B> {
    pub(super) engine: Engine<B>,
    pub(super) came: Came,
}

/// A job that another thread does.
pub(super) struct Job<B> {
    pub(super) result: Receiver<Finished<B>>,
    pub(super) thread: JoinHandle<()>,
}

/// What a job and those who wait for it tell each other.
#[derive(Clone, Default)]
pub(super) struct Signals {
    interrupt: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    of: Arc<AtomicU64>,
}

impl Signals {
    /// Before a job.
    pub(super) fn clear(&self) {
        self.interrupt.store(false, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
        self.of.store(0, Ordering::Relaxed);
    }

    /// The job is to end.
    pub(super) fn stop(&self) {
        self.interrupt.store(true, Ordering::Relaxed);
    }

    /// How far the job has come.
    pub(super) fn progress(&self) -> Progress {
        Progress { done: self.done.load(Ordering::Relaxed), of: self.of.load(Ordering::Relaxed) }
    }

    /// Ticks that are to be looked through at most.
    pub(super) fn expect(&self, of: u64) {
        self.of.store(of, Ordering::Relaxed);
    }

    /// Ticks that have been looked through.
    pub(super) fn came(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    /// Whether the job is to end.
    pub(super) fn interrupt(&self) -> &AtomicBool {
        &self.interrupt
    }
}

impl<B: Branch> Engine<B> {
    /// The branch that runs or is looked at.
    pub(super) fn shown(&self) -> &Car<B> {
        self.past.as_ref().unwrap_or(&self.present)
    }

    /// The same, to be changed.
    pub(super) fn shown_mut(&mut self) -> &mut Car<B> {
        self.past.as_mut().unwrap_or(&mut self.present)
    }

    fn past<'a>(&'a mut self, wanted: &'a Wanted, signals: &'a Signals) -> Past<'a, B> {
        let Engine { checkpoints, present, near, trail, .. } = self;
        Past { checkpoints, present: Some(&mut present.branch), wanted, signals, near, trail }
    }

    /// Does a job.
    pub(super) fn work(&mut self, task: Task, from: &Position, wanted: &Wanted, signals: &Signals) -> Came {
        let came = match task {
            Task::Search(search) => Came::Upon(self.search(search, from, wanted, signals)),
            task => Came::To(self.travel(task, from, wanted, signals)),
        };
        self.keep_limits();
        came
    }

    /// Gives up copies that are kept for what may be asked next, where all of them take more memory than they may.
    fn keep_limits(&mut self) {
        loop {
            let trail = self.trail.as_mut().map_or(0, Trail::cost);
            self.checkpoints.beside(self.near.cost() + trail);
            if !self.checkpoints.is_dear() {
                return;
            }
            // Those that are of use for one task alone go first.
            if self.trail.take().is_none() && !self.near.give_up() {
                return self.checkpoints.settle();
            }
        }
    }

    fn travel(
        &mut self,
        task: Task,
        from: &Position,
        wanted: &Wanted,
        signals: &Signals,
    ) -> std::result::Result<Stop, Halt> {
        let end = self.present.position()?;
        let at_present = match &task {
            Task::Go(Goal::Present | Goal::End) => true,
            Task::Go(Goal::Position(position)) => position.same_place(&end),
            _ => false,
        };
        if at_present {
            self.past = None;
            self.present.sync(wanted)?;
            let stop = self.present.stop()?.clone();
            // How the run ended is worth telling again; a breakpoint's hit was counted.
            let end = matches!(
                stop.reason,
                StopReason::End(_) | StopReason::Panic { .. } | StopReason::Trap { .. } | StopReason::Finding { .. }
            );
            let reason = if end { stop.reason } else { StopReason::HistoryEnd };
            return Ok(Stop { reason, ..stop });
        }
        let mut past = self.past(wanted, signals);
        let Arrived { car, stop } = match task {
            Task::Continue { edge } => past.continue_back(&Limit { at: *from, edge }, wanted),
            Task::Step { step, stack } => past.step_back(from, step.runner, &stack, &step.kind),
            Task::Go(Goal::Tick(tick)) => past.go_to(tick),
            Task::Go(Goal::Time(time)) => past.go_to_time(time),
            Task::Go(Goal::Position(position)) => past.go_to_position(&position),
            Task::Go(Goal::LastWrite { address, len }) => past.go_to_last_write(from, address, len),
            Task::Go(Goal::Start | Goal::Present | Goal::End) | Task::Search(_) => past.origin(),
        }?;
        self.past = Some(car);
        Ok(stop)
    }

    fn search(&mut self, search: Search, from: &Position, wanted: &Wanted, signals: &Signals) -> Found {
        let mut found = Found { search, writes: Vec::new(), count: 0, ending: SearchEnd::Complete };
        let mut past = self.past(wanted, signals);
        let ended = match search.which {
            Writes::Last => past.last_write(from, search.address, search.len, &mut found),
            Writes::All { most } => past.all_writes(from, search.address, search.len, most, &mut found),
        };
        match ended {
            Ok(()) => {}
            Err(Halt::Interrupted) => found.ending = SearchEnd::Interrupted,
            Err(Halt::Failed(error)) => found.ending = SearchEnd::Failed(error.to_string()),
        }
        found
    }
}

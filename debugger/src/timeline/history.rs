//! What [`TimeTravel`] can do besides running in both directions.

use wkdb_tracer::Tick;

use super::engine::Task;
use super::{Branch, TimeTravel};
use crate::inferior::{
    CheckpointInfo, Extent, Goal, History, InferiorError, Limits, Milestone, Moment, Position, Progress, Result,
    Resume, Search, Status, StopReason,
};

impl<B: Branch> TimeTravel<B> {
    /// Whether the run goes on from the present to come to a goal: only a recording is known to come there.
    fn lies_ahead(&self, goal: &Goal) -> bool {
        let Some(recording) = &self.recording else { return false };
        let (present, end) = (self.present_moment, recording.end);
        match goal {
            Goal::Tick(tick) => *tick > present.tick && *tick <= end.tick,
            Goal::Time(time) => *time > present.time && *time <= end.time,
            Goal::Position(position) => position.tick > present.tick && position.tick <= end.tick,
            Goal::End => !self.at_its_end(),
            Goal::LastWrite { .. } | Goal::Start | Goal::Present => false,
        }
    }

    /// Refuses what lies after all that can be gone to.
    fn must_have_come(&self, goal: &Goal) -> Result<()> {
        let present = self.present_moment;
        let what = match goal {
            Goal::Tick(tick) if *tick > present.tick => format!("tick {tick}"),
            Goal::Time(time) if *time > present.time => format!("time {time}"),
            Goal::Position(position) if position.tick > present.tick => format!("tick {}", position.tick),
            _ => return Ok(()),
        };
        let text = match &self.recording {
            Some(recording) => {
                let end = recording.end;
                format!("{what} is not in the recording: it ends at tick {}, time {} (`goto end`)", end.tick, end.time)
            }
            None => format!(
                "{what} has not come yet: the present is tick {}, time {} (`run-to` runs on)",
                present.tick, present.time
            ),
        };
        Err(InferiorError::Refused(text))
    }

    /// Whether the present is where nothing comes after.
    fn at_its_end(&self) -> bool {
        let stop = self.engine.as_ref().and_then(|engine| engine.present.stop().ok());
        stop.is_some_and(|stop| matches!(stop.reason, StopReason::End(_) | StopReason::Panic { .. }))
    }
}

impl<B: Branch> History for TimeTravel<B> {
    fn extent(&self) -> Extent {
        Extent {
            start: self.start_moment,
            present: self.present_moment,
            in_the_past: self.in_the_past(),
            recording: self.recording.clone(),
        }
    }

    fn position(&self) -> Result<Position> {
        self.here()
    }

    fn go_to(&mut self, goal: Goal) -> Result<()> {
        self.here()?;
        if !self.lies_ahead(&goal) {
            self.must_have_come(&goal)?;
            return self.start_job(Task::Go(goal));
        }
        let resume = match goal {
            Goal::Tick(tick) | Goal::Position(Position { tick, .. }) => {
                Resume { until_tick: Some(tick), ..Resume::go() }
            }
            Goal::Time(time) => Resume { until_time: Some(time), ..Resume::go() },
            _ => Resume::go(),
        };
        self.go_ahead(resume)
    }

    fn search(&mut self, search: &Search) -> Result<()> {
        self.start_job(Task::Search(*search))
    }

    fn progress(&self) -> Option<Progress> {
        if self.job.is_some() {
            return Some(self.signals.progress());
        }
        // On the way through a recording.
        let end = self.recording.as_ref().filter(|_| self.going.as_ref().is_some_and(|going| going.past_all))?.end;
        let running = matches!(self.status, Status::Running);
        running.then(|| {
            let Tick(done) = self.present_moment.tick;
            Progress { done: done.saturating_sub(self.start_moment.tick.0), of: end.tick.0 - self.start_moment.tick.0 }
        })
    }

    fn checkpoints(&self) -> Vec<CheckpointInfo> {
        self.engine.as_ref().map(|engine| engine.checkpoints.list()).unwrap_or_default()
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn milestones(&self) -> &[Milestone] {
        match &self.recording {
            Some(recording) => &recording.events,
            None => &self.milestones,
        }
    }
}

impl From<&crate::inferior::Stop> for Moment {
    fn from(stop: &crate::inferior::Stop) -> Moment {
        Moment { tick: stop.tick, time: stop.time }
    }
}

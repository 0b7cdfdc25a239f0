//! Runs in which something does not go on: what was to run, and what it waits for.

use wkdb_tracer::{Event, RunnerId};

use super::explorer::Explorer;
use super::{Explanation, SymptomKind};
use crate::inferior::{Goal, Result};

/// How long after the last event of a run that spins is looked first, in nanoseconds of guest time.
const FIRST_LOOK_NS: u64 = 1_000_000;

/// Sleepers that are looked into.
const MOST_SLEEPERS: usize = 4;

impl Explorer<'_> {
    /// Explains why something does not go on.
    pub(super) fn explain_stall(&mut self, explanation: &mut Explanation) -> Result<()> {
        if explanation.symptom.as_ref().is_some_and(|symptom| symptom.kind == SymptomKind::Spin)
            && self.explain_early(explanation)?
        {
            return Ok(());
        }
        self.go_to_end()?;
        if self.explain_batons(explanation)? || self.explain_timers(true, explanation)? {
            return Ok(());
        }
        let holder = self.explain_locks(explanation)?;
        if !explanation.culprits.is_empty() {
            return Ok(());
        }
        let named = explanation.symptom.as_ref().map(|symptom| symptom.text.clone()).unwrap_or_default();
        let mut sleepers: Vec<RunnerId> = holder.into_iter().collect();
        sleepers.extend(self.sleepers(&named)?);
        for runner in sleepers.into_iter().take(MOST_SLEEPERS) {
            self.go_to_end()?;
            self.explain_sleeper(runner, explanation)?;
            if !explanation.culprits.is_empty() {
                return Ok(());
            }
        }
        self.go_to_end()?;
        let found = self.explain_timers(false, explanation)? || !explanation.steps.is_empty();
        if !found {
            explanation.unknown.push("what is waited for: no lock, no wheel and no sleeper explains it".to_owned());
        }
        Ok(())
    }

    /// Looks for tasks that wait for each other soon after the last thing that happened: they will wait for ever, and to spin
    /// to the end of the run takes long. Whether there are such.
    fn explain_early(&mut self, explanation: &mut Explanation) -> Result<bool> {
        let end = self.history()?.extent();
        let end = end.recording.map_or(end.present.time, |recording| recording.end.time);
        let milestones = self.history()?.milestones().iter();
        let happened = milestones.filter(|milestone| !matches!(milestone.event, Event::Hog { .. }));
        let last = happened.map(|milestone| milestone.at.time).max().unwrap_or_default();
        let mut after = FIRST_LOOK_NS;
        while last.after_ns(after) < end {
            self.go_to(Goal::Time(last.after_ns(after)))?;
            self.explain_locks(explanation)?;
            if !explanation.culprits.is_empty() {
                return Ok(true);
            }
            explanation.steps.clear();
            after *= 4;
        }
        Ok(false)
    }

    /// The tasks in an uninterruptible sleep, those first that the symptom names.
    fn sleepers(&mut self, named: &str) -> Result<Vec<RunnerId>> {
        let tasks = self.kernel(|kernel| kernel.tasks().tasks).unwrap_or_default();
        // Who sleeps for a time wakes by itself.
        let asleep = tasks.into_iter().filter(|task| {
            let timed = task.waits_in.as_ref().is_some_and(|function| super::names::sleeps_for_a_time(function));
            task.state == Some('D') && !timed
        });
        let mut found: Vec<(bool, RunnerId)> = asleep
            .filter_map(|task| {
                let name = format!("{}:{}", task.task.comm.as_deref().unwrap_or("?"), task.task.pid.unwrap_or(-1));
                Some((!named.contains(&name), RunnerId(task.runner?)))
            })
            .collect();
        found.sort();
        if found.iter().any(|(unnamed, _)| !unnamed) {
            found.retain(|(unnamed, _)| !unnamed);
        }
        Ok(found.into_iter().map(|(_, runner)| runner).collect())
    }
}

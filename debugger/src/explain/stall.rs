//! Runs in which something does not go on: what was to run, and what it waits for.

use wkdb_tracer::{Cpu, Event, RunnerId};

use super::explorer::Explorer;
use super::place::Actor;
use super::{Explanation, Step, SymptomKind};
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
        if self.explain_baton(explanation)? || self.explain_timers(true, explanation)? {
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

    /// A CPU that nobody runs on any more: its last runner was destroyed with the baton in its hand.
    fn explain_baton(&mut self, explanation: &mut Explanation) -> Result<bool> {
        let tasks = self.inferior.tasks()?;
        let mut cpus: Vec<Cpu> = tasks.iter().map(|task| task.context.cpu).collect();
        cpus.sort();
        cpus.dedup();
        for cpu in cpus {
            let mut own = tasks.iter().filter(|task| task.context.cpu == cpu && task.started).peekable();
            if own.peek().is_none() || own.any(|task| task.holds_cpu) {
                continue;
            }
            let gone = self.history()?.milestones().iter().rev().find_map(|milestone| match &milestone.event {
                Event::TaskGone { context } if context.cpu == cpu => Some(Actor::from(context)),
                _ => None,
            });
            let Some(gone) = gone else { continue };
            let text =
                format!("Nobody runs on {cpu} any more: its baton is lost. All tasks there wait to be switched to");
            explanation.steps.push(Step::new(text));
            let text = format!(
                "The last task that ended there is {}: its runner was destroyed before it had switched to another one",
                gone.comm
            );
            explanation.steps.push(Step::new(text).by(&gone, &super::Stack::default()));
            explanation.unknown.push(
                "whether the guest or its host did that: a host that destroys a runner at its own wasm_release_task does"
                    .to_owned(),
            );
            return Ok(true);
        }
        Ok(false)
    }
}

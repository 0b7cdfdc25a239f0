//! What detectors found: they have seen who did it, or which word is wrong, or what stands still.

use wkdb_tracer::{Context, Detector, Event, Finding, ModuleId, Tick};

use super::explorer::Explorer;
use super::place::Actor;
use super::slice::Word;
use super::trap::Use;
use super::{Culprit, Explanation, Step};
use crate::inferior::{Goal, Milestone, Result};

impl Explorer<'_> {
    /// Explains a finding.
    pub(super) fn explain_finding(&mut self, found: &Milestone, explanation: &mut Explanation) -> Result<()> {
        let Event::Finding(finding) = &found.event else { return Ok(()) };
        let mut step = Step::new(format!("The detector {} says: {}", finding.detector, finding.headline));
        step.details.extend(finding.details.iter().cloned());
        explanation.steps.push(step);
        let here = Goal::Tick(found.at.tick);
        match finding.detector {
            Detector::Stack => {
                let Some(context) = &finding.context else { return Ok(()) };
                let stack = self.stack(&finding.stack);
                self.overflow(&Actor::from(context), &stack, None, explanation);
                Ok(())
            }
            Detector::Null | Detector::UserStores | Detector::Guard | Detector::StackContents => {
                self.explain_store(finding, found.at.tick, explanation)
            }
            Detector::Baton => {
                self.go_to(here)?;
                let gone = finding.context.as_ref().and_then(|context| self.gone(context));
                match gone {
                    Some(gone) => self.explain_baton(&gone, explanation).map(|_| ()),
                    None => {
                        let text = "who destroyed the task that was switched to: it has no runner";
                        explanation.unknown.push(text.to_owned());
                        Ok(())
                    }
                }
            }
            Detector::Workqueues | Detector::Rcu | Detector::Callbacks if self.has_word(finding) => {
                self.go_to(here)?;
                self.explain_word(finding, explanation)
            }
            _ => {
                self.moment = Some(here);
                let explained = self.explain_stall(explanation);
                self.moment = None;
                explained
            }
        }
    }

    /// The end of a task that was destroyed, if it was.
    fn gone(&mut self, of: &Context) -> Option<Actor> {
        let milestones = self.history().ok()?.milestones().iter().rev();
        milestones.into_iter().find_map(|milestone| match &milestone.event {
            Event::TaskGone { context } if context.runner == of.runner => Some(Actor::from(context)),
            _ => None,
        })
    }

    fn has_word(&mut self, finding: &Finding) -> bool {
        finding.area.is_some_and(|area| matches!(area.len, 4 | 8))
    }

    /// A store that a detector saw: whose memory it went to is looked into, as of a word that was found wrong later.
    fn explain_store(&mut self, finding: &Finding, tick: Tick, explanation: &mut Explanation) -> Result<()> {
        let Some(context) = &finding.context else { return Ok(()) };
        if let Some(area) = finding.area {
            let len = match area.len {
                len @ (1 | 2 | 4 | 8) => len,
                len if len > 4 => 4,
                _ => 1,
            };
            self.go_to(Goal::Tick(Tick(tick.0 + 1)))?;
            let written = self.last_write(area.address, len)?.and_then(|hit| hit.context);
            if written.is_some_and(|by| (by.runner, by.tick) == (context.runner, context.tick))
                && let Some(value) = self.number(area.address, len)
            {
                let name = self.data_name(area.address).unwrap_or_else(|| format!("{:#x}", area.address));
                let step = self.about_word(Step::new(format!("The store went to {name}")), area.address);
                explanation.steps.push(step);
                let word = self.code(ModuleId::KERNEL).map_or(4, |code| code.word());
                let taken_for = if len == word { Use::Pointer } else { Use::Number };
                return self.blame(Word { address: area.address, len, value }, taken_for, true, explanation);
            }
        }
        // Somebody else has written there within the tick.
        let (actor, stack) = (Actor::from(context), self.stack(&finding.stack));
        if let Some(at) = stack.responsible() {
            explanation.culprits.push(Culprit::of(&stack, at, &actor, "wrote there"));
        }
        Ok(())
    }

    /// A word that a detector saw to be wrong.
    fn explain_word(&mut self, finding: &Finding, explanation: &mut Explanation) -> Result<()> {
        let Some(area) = finding.area else { return Ok(()) };
        let Some(value) = self.number(area.address, area.len) else { return Ok(()) };
        // Detectors name the object where they know no more: whether it is this word that is wrong, is seen by its value.
        let certain = self.nonsense(value).is_some_and(|_| value != 0);
        let name = self.data_name(area.address).unwrap_or_else(|| format!("{:#x}", area.address));
        let step = Step::new(format!("The word {name} holds {}", self.pointer_text(value)));
        let step = self.about_word(step, area.address);
        explanation.steps.push(step);
        let word = Word { address: area.address, len: area.len, value };
        self.blame(word, Use::Pointer, certain, explanation)
    }
}

//! What detectors found: they have seen who did it, or which word is wrong, or what stands still.

use wkdb_tracer::{Detector, Event, Finding};

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
            Detector::StackContents | Detector::Null | Detector::UserStores | Detector::Guard => {
                self.go_to(here)?;
                self.explain_store(finding, explanation)
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

    fn has_word(&mut self, finding: &Finding) -> bool {
        finding.area.is_some_and(|area| matches!(area.len, 4 | 8))
    }

    /// A store that a detector saw.
    fn explain_store(&mut self, finding: &Finding, explanation: &mut Explanation) -> Result<()> {
        let (Some(context), stack) = (&finding.context, self.stack(&finding.stack)) else { return Ok(()) };
        let actor = Actor::from(context);
        let Some(at) = stack.responsible() else { return Ok(()) };
        let mut did = "wrote there".to_owned();
        if let Some(area) = finding.area {
            explanation.word.get_or_insert((area.address, area.len));
            let name = self.data_name(area.address).unwrap_or_else(|| format!("{:#x}", area.address));
            let step = Step::new(format!("{} writes to {name}", stack.0[at]));
            let step = self.about_word(step, area.address).by(&actor, &stack);
            explanation.steps.push(step);
        }
        if !stack.0[at].is_kernel() {
            let comm = self.comm(actor.runner).unwrap_or_else(|| actor.comm.clone());
            did = format!("a function of the program {comm}, wrote over what is not its own");
        }
        explanation.culprits.push(Culprit::of(&stack, at, &actor, did));
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

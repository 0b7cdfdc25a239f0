//! From a symptom back to its cause, by going back in the run that showed it.
//!
//! ```text
//! events, outcome ─▶ symptom ─┬▶ trap ─▶ slice: which word is bad ─▶ blame: who wrote it, and whose it is ─┐
//!                             ├▶ stall: locks, sleepers, timers ────────────────────────────────────────────┼▶ Explanation
//!                             └▶ overflow: stacks ──────────────────────────────────────────────────────────┘
//! ```
//!
//! Nothing here knows a particular bug: values are followed through the code (`body`, `slice`), memory through its
//! writers ([`History`](crate::inferior::History)), objects through what allocators do to them (`object`). `names` has the
//! interfaces of Linux by which helpers, allocators and locks are told from those who use them. What cannot be found out is
//! said, and nobody is named then.

mod baton;
mod blame;
mod body;
mod code;
mod escape;
mod explorer;
mod finding;
mod freed;
mod lock;
mod names;
mod object;
mod overflow;
mod place;
mod sleeper;
mod slice;
mod stall;
mod symptom;
mod text;
mod timer;
mod trap;
mod words;

use serde::Serialize;
use wkdb_tracer::{GuestTime, Tick};

use crate::inferior::{Inferior, Result};
use explorer::Explorer;

pub use escape::{Escaped, Escapes};
pub(crate) use explorer::SymbolSource;
pub use place::{Actor, Place, Stack};
pub use symptom::{Symptom, SymptomKind};

/// Symptoms of a run that are looked into, until one shows who did it.
const MOST_SYMPTOMS: usize = 5;

/// What a symptom comes from, as far as it was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What went wrong first; none if nothing did.
    pub symptom: Option<Symptom>,
    /// The way from there to the cause.
    pub steps: Vec<Step>,
    /// Who did it: one, or the two of a deadlock. Empty where it was not found.
    pub culprits: Vec<Culprit>,
    /// What is not known.
    pub unknown: Vec<String>,
    /// Commands that show it, for a shell: the first one waits for the second.
    pub commands: Vec<String>,
    /// The word of memory that all is about, if there is one: its address and its bytes.
    pub word: Option<(u64, u64)>,
    /// What the culprit did, where the last write of that word is not it.
    #[serde(skip)]
    act: Option<Act>,
    /// Somebody had it given up: what is told is what was found until then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// By what a culprit did what it did, seen from the last write of the word that all is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Act {
    /// A store; how often what is there was changed in between.
    Store { address: u64, len: u64, changes: usize },
    /// A call of a function with a pointer to an object; how often it was called for that in between.
    Call { function: String, parameter: String, start: u64, size: u64, calls: usize },
}

/// A step on the way from a symptom to its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What was found, in a sentence.
    pub text: String,
    /// More of it, a line each.
    pub details: Vec<String>,
    /// Who did it and when.
    pub actor: Option<Actor>,
    /// The call stack there, innermost first.
    pub stack: Stack,
}

impl Step {
    fn new(text: impl Into<String>) -> Step {
        Step { text: text.into(), details: Vec::new(), actor: None, stack: Stack::default() }
    }

    fn detail(mut self, text: impl Into<String>) -> Step {
        self.details.push(text.into());
        self
    }

    fn by(mut self, actor: &Actor, stack: &Stack) -> Step {
        (self.actor, self.stack) = (Some(actor.clone()), stack.clone());
        self
    }
}

/// Who is to be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Culprit {
    /// The place in the source.
    pub place: Place,
    /// Who called it, if that is of the same part of the program.
    pub called_by: Option<Place>,
    /// Who put the pointer by which it did that where it was found, when the memory was still another's.
    pub pointer_from: Option<Place>,
    /// What it did, as the end of a sentence.
    pub did: String,
    /// When.
    pub tick: Tick,
    /// When, by the guest's clock.
    pub time: GuestTime,
}

impl Culprit {
    /// The place of a stack that is to be named, and who called it.
    fn of(stack: &Stack, at: usize, actor: &Actor, did: impl Into<String>) -> Culprit {
        let place = stack.0[at].clone();
        let caller = stack.0[at + 1..].iter().find(|caller| !caller.is_helper() && !caller.same_function(&place));
        let called_by = caller.filter(|caller| caller.same_file(&place)).cloned();
        Culprit { place, called_by, pointer_from: None, did: did.into(), tick: actor.tick, time: actor.time }
    }
}

/// Explains what went wrong in a run that remembers its past: a recording, or a live run up to its present. It is shown
/// where it was before afterwards. `give_up` is asked now and then whether somebody wants no more of it: what was found
/// until then is told.
///
/// # Errors
/// There is no past, or the machine is gone. What cannot be found out is no error.
pub(crate) fn explain(
    inferior: &mut dyn Inferior,
    symbols: &mut dyn SymbolSource,
    give_up: &mut dyn FnMut() -> bool,
) -> Result<Explanation> {
    let mut explorer = Explorer::new(inferior, symbols, give_up);
    let before = explorer.position()?;
    let mut explanation = Explanation::default();
    let explained = explorer.explain(&mut explanation);
    // Where it was not found out because the machine is gone, this fails too.
    explanation.interrupted = explorer.come_back(before)?;
    if !explanation.interrupted {
        explained?;
    }
    Ok(explanation)
}

impl Explorer<'_> {
    fn explain(&mut self, explanation: &mut Explanation) -> Result<()> {
        for (symptom, what) in self.symptoms()?.into_iter().take(MOST_SYMPTOMS) {
            self.explain_symptom(symptom, &what, explanation)?;
            if !explanation.culprits.is_empty() {
                break;
            }
        }
        // What stands still at the end comes of what went wrong before.
        if explanation.symptom.is_none()
            && let Some((symptom, what)) = self.symptom_at_end()?
        {
            self.explain_symptom(symptom, &what, explanation)?;
        }
        if explanation.symptom.is_none() {
            return Ok(());
        }
        if explanation.culprits.is_empty() && explanation.unknown.is_empty() {
            explanation.unknown.push("who did it was not found".to_owned());
        }
        if !explanation.culprits.is_empty() {
            // What could not be found out on the way does not matter any more.
            explanation.unknown.clear();
        }
        self.commands(explanation)
    }

    fn explain_symptom(&mut self, symptom: Symptom, what: &symptom::What, explanation: &mut Explanation) -> Result<()> {
        match explanation.symptom {
            None => explanation.symptom = Some(symptom),
            Some(_) => {
                let text = format!("After that, at tick {}, {} s: {}", symptom.tick, symptom.time, symptom.text);
                explanation.steps.push(Step::new(text));
            }
        }
        match what {
            symptom::What::Finding(event) => self.explain_finding(event, explanation),
            symptom::What::Trap(event) => self.explain_trap(event, explanation),
            symptom::What::Panic(event) => self.explain_panic(event, explanation),
            symptom::What::Stall => self.explain_stall(explanation),
        }
    }
}

#[cfg(test)]
mod tests;

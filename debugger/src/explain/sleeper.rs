//! A task that sleeps for ever: what it looked at before it went to sleep, and who has changed that since.
//!
//! ```text
//!  sleeper   looks at the condition ────────────── sets its state, sleeps
//!  waker                    changes the condition, wakes nobody: the wake-up is lost
//! ```

use wkdb_tracer::{CodeAddress, RunnerId, WatchHit, Writer};

use super::body::{Body, Kind};
use super::explorer::{Explorer, word};
use super::place::{Actor, Place, Stack};
use super::{Culprit, Explanation, Step, names};
use crate::inferior::{Goal, Position, Result};

/// Reads of a condition that are looked at.
const MOST_LOOKS: usize = 8;

/// A read of what a task waits for.
struct Look {
    address: u64,
    len: u64,
    at: Position,
    by: Place,
}

impl Explorer<'_> {
    /// Explains why a task sleeps; the machine stands at the run's end. Whether something was found.
    pub(super) fn explain_sleeper(&mut self, runner: RunnerId, explanation: &mut Explanation) -> Result<bool> {
        let Some((state, len)) = self.kernel(|kernel| kernel.state_word(runner)).flatten() else { return Ok(false) };
        let end = self.position()?;
        let Some(hit) = self.last_write(state, len)? else { return Ok(false) };
        let Some((actor, stack)) = self.who_did(&hit) else { return Ok(false) };
        if actor.runner != runner {
            return Ok(false);
        }
        let idle = |place: &Place| names::schedules(&place.function) || place.is_helper();
        let Some(by) = stack.0.iter().position(|place| !idle(place)) else { return Ok(false) };
        let who = self.comm(runner).unwrap_or_else(|| actor.comm.clone());
        let text = format!("{who} sleeps since then: {} set its state, and nobody has changed that", stack.0[by]);
        explanation.steps.push(Step::new(text).by(&actor, &stack));
        explanation.word.get_or_insert((state, len));
        let looks = self.looks(&hit, (state, len), &stack)?;
        self.go_to(Goal::Position(end))?;
        let mut told = false;
        for look in &looks {
            let Some(change) = self.last_write(look.address, look.len)? else { continue };
            let Some((waker, waker_stack)) = self.who_did(&change) else { continue };
            if waker.runner == runner || waker.tick < look.at.tick {
                continue;
            }
            self.tell_change(look, &waker, &waker_stack, &actor, explanation);
            let (at, who, did) = if waker.tick <= actor.tick {
                let did = "looks, and only then sets its state: what comes in between wakes nobody";
                (by, &actor, did.to_owned())
            } else {
                let Some(at) = waker_stack.responsible() else { continue };
                let did = "changed what is waited for, and did not wake who waits".to_owned();
                explanation.culprits.push(Culprit::of(&waker_stack, at, &waker, did));
                return Ok(true);
            };
            explanation.culprits.push(Culprit::of(&stack, at, who, did));
            told = true;
            break;
        }
        if !told {
            self.tell_silence(&looks, explanation)?;
        }
        Ok(true)
    }

    fn tell_change(&mut self, look: &Look, waker: &Actor, waker_stack: &Stack, sleeper: &Actor, explanation: &mut Explanation) {
        let name = self.data_name(look.address).unwrap_or_else(|| format!("{:#x}", look.address));
        let text = format!("Before that it looked at {name}: {}, tick {}", look.by, look.at.tick);
        explanation.steps.push(Step::new(text));
        let Some(place) = waker_stack.who() else { return };
        let between = match waker.tick <= sleeper.tick {
            true => "in between, when it had looked and did not sleep yet",
            false => "when it slept",
        };
        let step = Step::new(format!("{place} changed {name} {between}")).by(waker, waker_stack);
        explanation.steps.push(step);
    }

    /// Nobody has changed what the task waits for.
    fn tell_silence(&mut self, looks: &[Look], explanation: &mut Explanation) -> Result<()> {
        for look in looks {
            let name = self.data_name(look.address).unwrap_or_else(|| format!("{:#x}", look.address));
            let mut step = Step::new(format!("It waits for {name}: {} looked at it, tick {}", look.by, look.at.tick));
            if let Some(hit) = self.last_write(look.address, look.len)?
                && let Some((actor, stack)) = self.who_did(&hit)
                && let Some(place) = stack.who()
            {
                step = step.detail(format!("written last by {place}, {actor}"));
            }
            explanation.steps.push(step);
        }
        explanation.unknown.push("who should have woken it: nothing that it looked at has changed since".to_owned());
        Ok(())
    }

    /// What a task read on the way to where it set its state: the words that branches there depend on.
    fn looks(&mut self, slept: &WatchHit, state: (u64, u64), stack: &Stack) -> Result<Vec<Look>> {
        let Writer::Guest { stack: frames } = &slept.writer else { return Ok(Vec::new()) };
        let Some(runner) = slept.context.as_ref().map(|context| context.runner) else { return Ok(Vec::new()) };
        // The state is set by the scheduler's own functions, or inlined into who sleeps: the first frame that is not only
        // those.
        let mut depth = 0;
        for frame in frames {
            let places = self.places(frame.address);
            if places.iter().any(|place| !names::schedules(&place.function) && !place.is_helper()) {
                break;
            }
            depth += 1;
        }
        let Some(frame) = frames.get(depth).copied() else { return Ok(Vec::new()) };
        let (module, level) = (frame.address.module, frames.len() - 1 - depth);
        let Some(body) = self.body(module, frame.function) else { return Ok(Vec::new()) };
        let Some(at) = body.at(frame.address.offset) else { return Ok(Vec::new()) };
        let loads = conditions(&body, at);
        let _ = stack;
        let mut looks = Vec::new();
        for load in loads.into_iter().take(MOST_LOOKS) {
            let (Kind::Load { offset, len } | Kind::Update { offset, len }) = body.instructions[load].kind else { continue };
            self.go_to(Goal::LastWrite { address: state.0, len: state.1 })?;
            let address = CodeAddress { module, offset: body.instructions[load].offset };
            if self.back_to(&[address], runner, level)?.is_none() {
                continue;
            }
            let at = self.position()?;
            let operands = self.frame(runner, level)?.map(|frame| frame.operands).unwrap_or_default();
            let first = operands.len().checked_sub(body.instructions[load].takes.len());
            let Some(base) = first.and_then(|first| operands.get(first).copied()).and_then(word) else { continue };
            let place = self.places(address).into_iter().find(|place| !place.is_helper());
            let Some(by) = place else { continue };
            looks.push(Look { address: base.wrapping_add(offset) & u64::from(u32::MAX), len, at, by });
        }
        // What was looked at last is what mattered.
        looks.sort_by_key(|look| std::cmp::Reverse(look.at.tick));
        self.go_to(Goal::LastWrite { address: state.0, len: state.1 })?;
        Ok(looks)
    }
}

/// The loads that decide whether an instruction is come to: those behind the conditions of branches that can run before
/// it, the nearest ones first.
fn conditions(body: &Body, at: usize) -> Vec<usize> {
    let before = body.before(at);
    let branches = before.iter().rev().filter(|&&at| body.instructions[at].kind == Kind::Branch);
    let mut loads = Vec::new();
    // Those above it in the function first; then those of a loop around it.
    let (above, below): (Vec<usize>, Vec<usize>) = branches.partition(|&&branch| branch < at);
    for branch in above.into_iter().chain(below) {
        let Some(condition) = body.instructions[branch].takes.last() else { continue };
        for load in body.loads_behind(branch, condition) {
            if !loads.contains(&load) {
                loads.push(load);
            }
        }
    }
    loads
}

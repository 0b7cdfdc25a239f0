//! A task that sleeps for ever: what it looked at before it went to sleep, and who has changed that since.
//!
//! ```text
//!  sleeper   looks at the condition ────────────── sets its state, sleeps
//!  waker                    changes the condition, wakes nobody: the wake-up is lost
//! ```

use std::collections::BTreeSet;
use std::rc::Rc;

use wkdb_tracer::{CodeAddress, ModuleId, RunnerId, WatchHit, Writer};

use super::body::{Body, Kind};
use super::explorer::{Explorer, word};
use super::place::{Actor, Place, Stack};
use super::{Culprit, Explanation, Step, names};
use crate::inferior::{Goal, Position, Result};

/// Reads of a condition that are looked at.
const MOST_LOOKS: usize = 8;

/// Where a task set its state.
struct Asleep {
    runner: RunnerId,
    module: ModuleId,
    /// Frames below.
    level: usize,
    body: Rc<Body>,
    /// The instruction that did, or that called what did.
    at: usize,
}

/// A read of what a task waits for.
struct Look {
    address: u64,
    len: u64,
    at: Position,
    by: Place,
}

impl Explorer<'_> {
    /// Explains why a task sleeps; the machine stands where that is looked at. Whether something was found.
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
        let step = Step::new(text).detail(format!("it was to go on, on {}, as soon as somebody woke it", actor.cpu));
        explanation.steps.push(step.by(&actor, &stack));
        explanation.word.get_or_insert((state, len));
        let Some(asleep) = self.asleep(&hit) else { return Ok(true) };
        self.go_to(Goal::LastWrite { address: state, len })?;
        let slept = self.position()?;
        let mut looks = Vec::new();
        for load in conditions(&asleep.body, asleep.at).into_iter().take(MOST_LOOKS) {
            self.go_to(Goal::Position(slept))?;
            let Some(look) = self.look(&asleep, load)? else { continue };
            self.go_to(Goal::Position(end))?;
            let change = self.last_write(look.address, look.len)?;
            let change = change.and_then(|change| self.who_did(&change));
            let changed = change.filter(|(waker, _)| waker.runner != runner && waker.tick >= look.at.tick);
            let Some((waker, waker_stack)) = changed else {
                looks.push(look);
                continue;
            };
            self.tell_change(&look, &waker, &waker_stack, &actor, explanation);
            if waker.tick <= actor.tick {
                let did = "looks, and only then sets its state: what comes in between wakes nobody";
                explanation.culprits.push(Culprit::of(&stack, by, &actor, did));
            } else if let Some(at) = waker_stack.responsible() {
                let did = "changed what is waited for, and did not wake who waits";
                explanation.culprits.push(Culprit::of(&waker_stack, at, &waker, did));
            }
            return Ok(true);
        }
        self.go_to(Goal::Position(end))?;
        self.tell_silence(&looks, explanation)?;
        Ok(true)
    }

    fn tell_change(
        &mut self,
        look: &Look,
        waker: &Actor,
        waker_stack: &Stack,
        sleeper: &Actor,
        explanation: &mut Explanation,
    ) {
        let name = self.data_name(look.address).unwrap_or_else(|| format!("{:#x}", look.address));
        let text = format!("Before that it looked at {name}: {}, tick {}", look.by, look.at.tick);
        explanation.steps.push(Step::new(text));
        let Some(place) = waker_stack.who() else { return };
        let between = match waker.tick <= sleeper.tick {
            true => "in between, when it had looked and did not sleep yet",
            false => "when it slept",
        };
        let should = match waker.tick <= sleeper.tick {
            true => {
                format!("{} should have woken it; whatever it did came before there was somebody to wake", waker.comm)
            }
            false => format!("{} should have woken it then, on {}", waker.comm, sleeper.cpu),
        };
        let step = Step::new(format!("{place} changed {name} {between}")).detail(should).by(waker, waker_stack);
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

    /// The frame in which a task set its state, behind those of the scheduler.
    fn asleep(&mut self, slept: &WatchHit) -> Option<Asleep> {
        let Writer::Guest { stack: frames } = &slept.writer else { return None };
        let runner = slept.context.as_ref()?.runner;
        let sleeps = |place: &Place| names::schedules(&place.function) || place.is_helper();
        let depth = frames.iter().position(|frame| !self.places(frame.address).iter().all(sleeps))?;
        let frame = frames[depth];
        let body = self.body(frame.address.module, frame.function)?;
        let at = body.at(frame.address.offset)?;
        Some(Asleep { runner, module: frame.address.module, level: frames.len() - 1 - depth, body, at })
    }

    /// The last time before now that a task came to a load: what it read there. It stands there then.
    fn look(&mut self, asleep: &Asleep, load: usize) -> Result<Option<Look>> {
        let instruction = &asleep.body.instructions[load];
        let (Kind::Load { offset, len } | Kind::Update { offset, len }) = instruction.kind else { return Ok(None) };
        let address = CodeAddress { module: asleep.module, offset: instruction.offset };
        if self.back_to(&[address], asleep.runner, asleep.level)?.is_none() {
            return Ok(None);
        }
        let at = self.position()?;
        let operands = self.frame(asleep.runner, asleep.level)?.map(|frame| frame.operands).unwrap_or_default();
        let first = operands.len().checked_sub(instruction.takes.len());
        let Some(base) = first.and_then(|first| operands.get(first).copied()).and_then(word) else { return Ok(None) };
        let places = self.places(address);
        let Some(by) = places.iter().find(|place| !place.is_helper()).or(places.first()).cloned() else {
            return Ok(None);
        };
        Ok(Some(Look { address: base.wrapping_add(offset) & u64::from(u32::MAX), len, at, by }))
    }
}

/// The loads that decide whether an instruction is come to: those behind the conditions of branches that can run before
/// it, the nearest ones first.
fn conditions(body: &Body, at: usize) -> Vec<usize> {
    let before = body.before(at);
    let branches = before.iter().rev().filter(|&&at| body.instructions[at].kind == Kind::Branch);
    let mut loads: Vec<usize> = Vec::new();
    // Those above it in the function first; then those of a loop around it.
    let (above, below): (Vec<usize>, Vec<usize>) = branches.partition(|&&branch| branch < at);
    for branch in above.into_iter().chain(below) {
        let Some(condition) = body.instructions[branch].takes.last() else { continue };
        let behind = body.loads_behind(branch, condition);
        // The nearest above the branch first.
        let (near, far): (Vec<usize>, Vec<usize>) = behind.into_iter().rev().partition(|&load| load < branch);
        loads.extend(near.into_iter().chain(far));
    }
    let mut seen = BTreeSet::new();
    loads.retain(|load| seen.insert(*load));
    loads
}

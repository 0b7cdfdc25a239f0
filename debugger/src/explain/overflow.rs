//! Stacks that overflow: which functions took it all, and whose memory lies below.

use wkdb_tracer::{Event, RunnerId};

use super::blame::Written;
use super::explorer::Explorer;
use super::place::{Actor, Stack};
use super::{Culprit, Explanation, Step, names};
use crate::inferior::{Milestone, Result};

/// A function so often on a stack is recursive without a bound.
const RECURSION: usize = 8;

/// Functions of a chain that are told.
const MOST_TOLD: usize = 8;

/// A call stack with what repeats told once: `walk ×41 < thread < start`.
fn chain(stack: &Stack) -> String {
    let mut parts: Vec<(String, usize)> = Vec::new();
    for place in &stack.0 {
        match parts.last_mut() {
            Some((function, count)) if *function == place.function => *count += 1,
            _ => parts.push((place.function.clone(), 1)),
        }
    }
    let more = parts.len().saturating_sub(MOST_TOLD);
    let part = |(function, count): &(String, usize)| match count {
        1 => function.clone(),
        count => format!("{function} ×{count}"),
    };
    let mut text = parts.iter().take(MOST_TOLD).map(part).collect::<Vec<_>>().join(" < ");
    if more > 0 {
        text.push_str(&format!(" < {more} more"));
    }
    text
}

/// The outermost place of the function that is on a stack most often, if that is a recursion; otherwise who is to be named.
fn deepest(stack: &Stack) -> Option<(usize, usize)> {
    let count = |at: usize| stack.0.iter().filter(|place| place.same_function(&stack.0[at])).count();
    let most = (0..stack.0.len()).max_by_key(|&at| (count(at), std::cmp::Reverse(at)))?;
    Some(match count(most) {
        times if times >= RECURSION => (most, times),
        times => (stack.responsible()?, times),
    })
}

impl Explorer<'_> {
    pub(super) fn overflow(
        &mut self,
        actor: &Actor,
        stack: &Stack,
        over: Option<u64>,
        explanation: &mut Explanation,
    ) -> bool {
        let Some((at, times)) = deepest(stack) else { return false };
        let step = Step::new(format!("The calls that took the stack: {}", chain(stack)));
        let step = match over {
            Some(bytes) => step.detail(format!("its stack pointer was {bytes} bytes below the end of its stack")),
            None => step,
        };
        explanation.steps.push(step.by(actor, &Stack::default()));
        let did = match times {
            times if times >= RECURSION => {
                format!("calls itself {times} levels deep: more than its stack has room for")
            }
            _ => "was called where its stack had no room left".to_owned(),
        };
        explanation.culprits.push(Culprit::of(stack, at, actor, did));
        true
    }

    /// Bytes that a task's kernel stack pointer is below the end of its stack now.
    fn below_its_stack(&mut self, runner: RunnerId) -> Option<u64> {
        let stack = self.kernel_stack(runner)?;
        stack.base.checked_sub(stack.pointer?).filter(|&over| over > 0)
    }

    /// The writer had left its own stack when it wrote.
    pub(super) fn left_its_stack(&mut self, written: &Written, explanation: &mut Explanation) -> Result<bool> {
        let stack = self.kernel_stack(written.actor.runner);
        let Some(over) = self.below_its_stack(written.actor.runner) else { return Ok(false) };
        // What it wrote was a variable of its own, as it thought.
        let (Some(stack), address) = (stack, written.word.address) else { return Ok(false) };
        let pointer = stack.pointer.unwrap_or(stack.base);
        if !(pointer..stack.base).contains(&address) {
            return Ok(false);
        }
        let text = format!(
            "The writer's stack had overflowed: {} wrote into a frame of its own, {} bytes below the stack's end, {:#x}",
            written.actor.comm,
            stack.base - address,
            stack.base
        );
        explanation.steps.push(Step::new(text));
        Ok(self.overflow(&written.actor, &written.stack, Some(over), explanation))
    }

    /// A trap because the stack is exhausted: the engine's, or the kernel's.
    pub(super) fn explain_overflow(
        &mut self,
        runner: RunnerId,
        reason: &str,
        explanation: &mut Explanation,
    ) -> Result<bool> {
        let over = self.below_its_stack(runner);
        if over.is_none() && !reason.contains("stack") {
            return Ok(false);
        }
        let frames = self.inferior.frames(runner)?;
        let stack = self.stack(&frames);
        let tasks = self.inferior.tasks()?;
        let Some(task) = tasks.into_iter().find(|task| task.context.runner == runner) else { return Ok(false) };
        Ok(self.overflow(&Actor::from(&task.context), &stack, over, explanation))
    }

    /// A panic that no trap led to.
    pub(super) fn explain_panic(&mut self, panic: &Milestone, explanation: &mut Explanation) -> Result<()> {
        let Event::Panic { context, message, stack } = &panic.event else { return Ok(()) };
        let (actor, stack) = (Actor::from(context), self.stack(stack));
        let beyond = stack.0.iter().position(|place| !names::panics(&place.function) && !place.is_helper());
        let own = Stack(stack.0[beyond.unwrap_or(0).min(stack.0.len())..].to_vec());
        if let Some((_, times)) = deepest(&own)
            && (times >= RECURSION || message.contains("stack overflow"))
        {
            self.overflow(&actor, &own, None, explanation);
            return Ok(());
        }
        if let Some(place) = own.0.first() {
            explanation.steps.push(Step::new(format!("{place} gave up")).by(&actor, &stack));
        }
        explanation.unknown.push("what it had found wrong: its condition is not followed".to_owned());
        Ok(())
    }
}

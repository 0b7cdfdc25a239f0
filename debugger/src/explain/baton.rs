//! CPUs that nobody runs on any more: who took the baton along, and whose mistake that is.
//!
//! ```text
//!  kworker ── do_exit ── wasm_release_task(itself) ── … ── switches away     as the contract has it: destroyed then
//!                              ╳ destroyed at once: the CPU waits for a switch that never comes
//! ```

use wkdb_tracer::{Cpu, Event, RunnerId, Tick};

use super::body::Kind;
use super::explorer::Explorer;
use super::place::{Actor, Place, Stack};
use super::{Culprit, Explanation, Step, names};
use crate::inferior::{Goal, Result, Resume, StepKind, StopReason};

/// Instructions of a tick that are stepped through: there are fewer.
const MOST_STEPS: usize = 2000;

/// Tasks that are named.
const MOST_TOLD: usize = 6;

impl Explorer<'_> {
    /// Explains CPUs that nobody runs on, where the machine stands; whether there are such.
    pub(super) fn explain_batons(&mut self, explanation: &mut Explanation) -> Result<bool> {
        let tasks = self.inferior.tasks()?;
        let mut cpus: Vec<Cpu> = tasks.iter().map(|task| task.context.cpu).collect();
        cpus.sort();
        cpus.dedup();
        let is_lost = |cpu: &Cpu| {
            let mut own = tasks.iter().filter(|task| task.context.cpu == *cpu && task.started).peekable();
            own.peek().is_some() && !own.any(|task| task.holds_cpu)
        };
        // The first that was lost; others may have waited for it.
        let gone = cpus.into_iter().filter(is_lost).filter_map(|cpu| self.last_gone(cpu).transpose());
        let gone = gone.collect::<Result<Vec<Actor>>>()?;
        match gone.into_iter().min_by_key(|gone| gone.tick) {
            Some(gone) => self.explain_baton(&gone, explanation),
            None => Ok(false),
        }
    }

    /// The last task that ended on a CPU, before now.
    fn last_gone(&mut self, cpu: Cpu) -> Result<Option<Actor>> {
        let here = self.position()?;
        Ok(self.history()?.milestones().iter().rev().find_map(|milestone| match &milestone.event {
            Event::TaskGone { context } if context.cpu == cpu && milestone.at.tick <= here.tick => {
                Some(Actor::from(context))
            }
            _ => None,
        }))
    }

    /// Explains a CPU whose last task was destroyed while it had the baton. The machine stands where that is looked at.
    pub(super) fn explain_baton(&mut self, gone: &Actor, explanation: &mut Explanation) -> Result<bool> {
        let Actor { cpu, comm, .. } = gone;
        let text = format!("Nobody runs on {cpu} since {comm} was destroyed: it had the baton, and gave it to nobody");
        let mut step = Step::new(text);
        let tasks = self.kernel(|kernel| kernel.tasks().tasks).unwrap_or_default();
        let wait: Vec<_> = tasks.iter().filter(|task| task.cpu == Some(cpu.0.into()) && task.listed).collect();
        let could_run: Vec<String> =
            wait.iter().filter(|task| task.state == Some('R')).map(|task| task.task.to_string()).collect();
        step = step.detail(format!("{} tasks there wait to be switched to", wait.len()));
        match could_run.len() {
            0 => step = step.detail("none of them could run; its idle task waits, too, for whatever would wake one"),
            more => {
                let named = could_run[..more.min(MOST_TOLD)].join(", ");
                let others = more.saturating_sub(MOST_TOLD);
                let others = if others > 0 { format!(" and {others} others") } else { String::new() };
                step = step.detail(format!("expected to run there: {named}{others}"));
            }
        }
        explanation.steps.push(step);
        // There it is about to be destroyed: it is still there.
        self.go_to(Goal::Tick(Tick(gone.tick.0)))?;
        let task = self.inferior.tasks()?.into_iter().find(|task| task.context.runner == gone.runner);
        let Some(task) = task else {
            explanation.unknown.push("where it was destroyed: that is no part of the history".to_owned());
            return Ok(true);
        };
        let stack = self.stack_at_release(gone.runner)?;
        if !task.holds_cpu {
            let text = format!("{comm} was released by another task, and had its CPU all the same");
            explanation.steps.push(Step::new(text).by(gone, &stack));
            explanation.unknown.push("why it was released while it had its CPU".to_owned());
            return Ok(true);
        }
        let Some(by) = stack.responsible() else { return Ok(true) };
        let text = format!("It released itself, in {}, and had not switched to another task yet", stack.0[by]);
        let step = Step::new(text).by(gone, &stack);
        let text = "the guest may do so: by the host contract a task that calls wasm_release_task for itself runs on \
                    until it has switched to another one, and is destroyed then";
        explanation.steps.push(step.detail(text));
        let host = Place { function: "the host".to_owned(), file: None, line: None, module: 0 };
        let did = format!("destroyed {comm} within its own wasm_release_task, and the baton of {cpu} with it");
        explanation.culprits.push(Culprit {
            place: host,
            called_by: Some(stack.0[by].clone()),
            pointer_from: None,
            did,
            tick: gone.tick,
            time: gone.time,
        });
        Ok(true)
    }

    /// The call stack of a task where it is about to release a task, some instructions on from here; without that, here.
    fn stack_at_release(&mut self, runner: RunnerId) -> Result<Stack> {
        let here = self.inferior.frames(runner)?;
        for _ in 0..MOST_STEPS {
            let frames = self.inferior.frames(runner)?;
            let Some(top) = frames.first().copied() else { break };
            let body = self.body(top.address.module, top.function);
            let at = body.as_ref().and_then(|body| Some(body.instructions[body.at(top.address.offset)?].kind.clone()));
            if let (Some(Kind::Call(called)), Some(symbols)) = (at, self.symbols(top.address.module))
                && names::releases(&symbols.function_name(called))
            {
                return Ok(self.stack(&frames));
            }
            let stop = self.resume(&Resume::step(runner, StepKind::Instruction))?;
            if stop.reason != StopReason::Step {
                break;
            }
        }
        Ok(self.stack(&here))
    }
}

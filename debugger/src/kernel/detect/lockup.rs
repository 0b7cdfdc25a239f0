//! CPUs that do nothing, or nothing that leads anywhere: lost batons, idle CPUs with something to do, CPUs that spin.

use std::hash::{Hash, Hasher};

use wkdb_tracer::{Frame, ModuleId, RunnerId, RunnerState};

use super::look::Look;
use super::{Kind, SECOND, Suspect};

/// How long a task runs, without a wait or a switch, before its stack is looked at.
const LONG: u64 = SECOND;

/// Frames above the innermost among which the function that takes the lock is.
const NEAR: usize = 4;

/// A CPU that has been busy for long.
struct Busy {
    runner: RunnerId,
    task: u64,
    cpu: u32,
    since: wkdb_tracer::GuestTime,
    in_kernel: bool,
    /// It is in a function that takes a spin lock.
    lock: bool,
    /// The calls that led to where it is.
    chain: u64,
}

/// Looks at all CPUs.
pub(super) fn check(look: &mut Look<'_>) {
    if look.wants(Kind::Baton) {
        for lost in look.host().lost_batons() {
            look.suspect(Suspect::Baton { cpu: lost.cpu, task: lost.task, at: lost.at });
        }
    }
    if look.wants(Kind::Lockup) {
        idle(look);
        busy(look);
    }
}

/// CPUs that sleep although tasks want to run there, or interrupts were raised.
fn idle(look: &mut Look<'_>) {
    for (cpu, offset) in look.cpus() {
        if !look.is_asleep(cpu, offset) {
            continue;
        }
        if let Some(queues) = look.marks.run_queues.as_ref() {
            let queue = queues.queues.wrapping_add(offset);
            let running = look.at(queue, queues.nr_running);
            let switches = look.at(queue, queues.nr_switches).unwrap_or(0);
            if running.is_some_and(|running| running != 0) {
                look.suspect(Suspect::IdleWithTasks { cpu, switches });
            }
        }
        let word = look.marks.raised_irqs.and_then(|word| look.number(word.wrapping_add(offset), 4));
        if let Some(word) = word.filter(|&word| word != 0) {
            look.suspect(Suspect::IdleWithInterrupts { cpu, word });
        }
    }
}

/// CPUs that try to get a spin lock and never do.
fn busy(look: &mut Look<'_>) {
    let running: Vec<_> =
        look.seats().iter().filter(|seat| seat.holds_cpu && seat.state == RunnerState::Runnable).copied().collect();
    let mut all = Vec::new();
    let mut others = false;
    for seat in running {
        if look.now.saturating_sub(seat.since.0) < LONG {
            others = true;
            continue;
        }
        let frames = look.frames(seat.runner);
        let kernel = frames.iter().take_while(|frame| frame.address.module == ModuleId::KERNEL);
        let lock = kernel.take(NEAR).any(|frame| look.marks.spinning.binary_search(&frame.function).is_ok());
        let in_kernel = frames.first().is_some_and(|frame| frame.address.module == ModuleId::KERNEL);
        others |= !lock;
        let chain = chain(&frames);
        all.push(Busy {
            runner: seat.runner,
            task: seat.task,
            cpu: seat.cpu,
            since: seat.since,
            in_kernel,
            lock,
            chain,
        });
    }
    // Of a kernel of which nothing is known, nobody can say what it is about to do.
    let is_known = look.marks.run_queues.is_some();
    for busy in all.into_iter().filter(|busy| busy.in_kernel && (busy.lock || is_known)) {
        let Busy { runner, task, cpu, since, lock, chain, .. } = busy;
        // Nobody else runs who could give it the lock.
        let alone = lock && !others;
        let chain = if lock { 0 } else { chain };
        look.suspect(Suspect::Spins { runner, task, cpu, since, lock, alone, chain });
    }
}

/// The calls of a stack, the place in the innermost function aside.
fn chain(frames: &[Frame]) -> u64 {
    // The standard hasher with its fixed keys.
    let mut hash = std::hash::DefaultHasher::new();
    frames.first().map(|frame| frame.function).hash(&mut hash);
    for frame in frames.iter().skip(1) {
        (frame.address.module.0, frame.address.offset.0).hash(&mut hash);
    }
    hash.finish()
}

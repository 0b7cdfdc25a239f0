//! Workqueues: pools, workers and work that do not fit together, and work that nobody does.

use std::collections::BTreeSet;

use super::landmarks::Pools;
use super::look::Look;
use super::{Callee, Chain, Kind, Occasion, Suspect};

/// `task_struct.flags`: a worker of a workqueue.
const PF_WQ_WORKER: u64 = 0x20;

/// `task_struct.__state`: it sleeps and no signal wakes it; but it does not count as load.
const UNINTERRUPTIBLE: u64 = 2;
const NOLOAD: u64 = 0x400;

/// Work and workers of a pool that are looked at, and pools of one kind.
const MOST_WORKS: usize = 500;
const MOST_WORKERS: usize = 500;
const MOST_POOLS: u64 = 512;

/// Looks at all pools and workers.
pub(super) fn check(look: &mut Look<'_>) {
    let Some(pools) = look.marks.pools.as_ref() else { return };
    if !look.wants(Kind::Workqueues) && !look.wants(Kind::Callbacks) {
        return;
    }
    let all = addresses(look, pools);
    // The lists of workers, and their pools, change only under this mutex.
    let settled = pools.attach_owner.is_none_or(|owner| look.word(owner) == Some(0));
    let trapped = match look.occasion {
        Occasion::Trap(runner) => look.seats().iter().find(|seat| seat.runner == runner).map(|seat| seat.task),
        _ => None,
    };
    let mut seen = BTreeSet::new();
    for &(pool, cpu) in &all {
        let mut is_trapped = false;
        if settled {
            let tasks = workers(look, pools, pool);
            is_trapped = trapped.is_some_and(|trapped| tasks.contains(&trapped));
            seen.extend(tasks);
        }
        // One that traps while it has the lock leaves all as it found it.
        if is_trapped || !look.is_locked(pool, pools.lock) {
            worklist(look, pools, pool, cpu);
        }
    }
    if settled {
        let known: BTreeSet<u64> = all.iter().map(|(pool, _)| *pool).collect();
        tasks(look, pools, &known, &seen);
    }
}

/// The pools that there are, with their CPUs.
fn addresses(look: &Look<'_>, pools: &Pools) -> Vec<(u64, u32)> {
    let mut all = Vec::new();
    for (cpu, offset) in look.cpus() {
        for &(template, size, count) in &pools.of_cpus {
            let mut of_cpu = (0..count.min(MOST_POOLS)).map(|number| template.wrapping_add(offset + size * number));
            all.extend(of_cpu.by_ref().map(|pool| (pool & address_mask(look), cpu)));
        }
    }
    if let Some((table, heads, node)) = pools.unbound {
        for head in 0..heads.min(MOST_POOLS) {
            let (entries, _) = look.hlist(table + head * look.marks.word, MOST_POOLS as usize);
            all.extend(entries.into_iter().map(|entry| (entry.wrapping_sub(node), u32::MAX)));
        }
    }
    // Pools that were not made yet are all zeros.
    all.retain(|&(pool, _)| look.word(pool.wrapping_add(pools.worklist)).is_some_and(|first| first != 0));
    all
}

fn address_mask(look: &Look<'_>) -> u64 {
    if look.marks.word == 8 { u64::MAX } else { u64::from(u32::MAX) }
}

/// The workers of a pool; gives their tasks.
fn workers(look: &mut Look<'_>, pools: &Pools, pool: u64) -> Vec<u64> {
    let mut tasks = Vec::new();
    let (entries, broken) = look.list(pool.wrapping_add(pools.workers), MOST_WORKERS);
    if let Some((at, next)) = broken {
        look.suspect(Suspect::BrokenChain { what: Chain::Workers, of: pool, at, next });
    }
    for entry in entries {
        let worker = entry.wrapping_sub(pools.node);
        let task = look.at(worker, pools.task).unwrap_or(0);
        tasks.push(task);
        if let Some(found) = look.at(worker, pools.pool)
            && found != pool
        {
            look.suspect(Suspect::WrongPool { worker, found, pool: Some(pool), task });
        }
        stuck(look, pools, worker, task);
    }
    tasks
}

/// A worker that sleeps in the middle of its work.
fn stuck(look: &mut Look<'_>, pools: &Pools, worker: u64, task: u64) {
    let work = look.at(worker, pools.current_work).filter(|&work| work != 0);
    let state = look.marks.tasks.as_ref().and_then(|tasks| look.at(task, tasks.state));
    if let (Some(work), Some(state)) = (work, state)
        && state & UNINTERRUPTIBLE != 0
        && state & NOLOAD == 0
        && look.is_pointer(task)
    {
        let since = look.seat_of(task).map_or(0, |seat| seat.since.0);
        let begun = pools.last_active.and_then(|at| look.at(worker, at)).unwrap_or(0) ^ since;
        look.suspect(Suspect::WorkerStuck { worker, work, begun, task });
    }
}

/// What waits in a pool.
fn worklist(look: &mut Look<'_>, pools: &Pools, pool: u64, cpu: u32) {
    let (entries, broken) = look.list(pool.wrapping_add(pools.worklist), MOST_WORKS);
    if let Some((at, next)) = broken {
        look.suspect(Suspect::BrokenChain { what: Chain::Worklist, of: pool, at, next });
    }
    for (number, entry) in entries.into_iter().enumerate() {
        let work = entry.wrapping_sub(pools.entry);
        if look.at(work, pools.data).is_some_and(|data| data & 1 == 0) {
            look.suspect(Suspect::NotPending { pool, work });
        }
        if let Some(pointer) = look.at(work, pools.function)
            && !pools.callable.has(pointer)
        {
            look.suspect(Suspect::BadCallback { what: Callee::Work, object: work, pointer, cpu });
        }
        if number == 0 {
            let progress = pools.progress.and_then(|at| look.at(pool, at)).unwrap_or(0);
            look.suspect(Suspect::WorkWaits { pool, work, progress });
        }
    }
}

/// The tasks that are workers, those of no pool too: each must be its worker's, and the pool one that there is. Those in
/// `seen` were found in their pools.
fn tasks(look: &mut Look<'_>, pools: &Pools, known: &BTreeSet<u64>, seen: &BTreeSet<u64>) {
    let Some(marks) = look.marks.tasks.as_ref() else { return };
    let Some(private) = marks.private else { return };
    let tasks: Vec<u64> = look.seats().iter().map(|seat| seat.task).collect();
    for task in tasks {
        if look.at(task, marks.flags).is_none_or(|flags| flags & PF_WQ_WORKER == 0) {
            continue;
        }
        let mut worker = look.at(task, private);
        if let (Some(kthread), Some(data)) = (worker, marks.kthread_data) {
            worker = look.at(kthread, data);
        }
        let Some(worker) = worker.filter(|&worker| worker != 0) else { continue };
        let found = look.at(worker, pools.task).unwrap_or(0);
        if found != task {
            look.suspect(Suspect::WrongWorker { task, worker, found });
        } else if let Some(found) = look.at(worker, pools.pool)
            && found != 0
            && !seen.contains(&task)
            && !known.contains(&found)
        {
            look.suspect(Suspect::WrongPool { worker, found, pool: None, task });
        }
    }
}

//! Tasks that sleep, where no signal wakes them: who waits for locks all around, and whom nobody will wake.
//!
//! Whoever sleeps for something is known to what will wake him: an entry in a list of those who wait, or a timer, lies on
//! his kernel stack, and its links lead there and back. A task that sleeps without any such thing can only be woken by
//! somebody who has kept a pointer to it, as drivers do that say `set_current_state(); schedule();` by hand: those are
//! the ones that lose wake-ups.

use std::collections::{BTreeMap, BTreeSet};

use wkdb_tracer::{GuestTime, RunnerId, RunnerState};

use super::landmarks::{Tasks, Waiters};
use super::look::Look;
use super::{Host, Kind, Landmarks, Occasion, SECOND, Suspect};

/// `task_struct.__state`: uninterruptible; it can be killed all the same; it does not count as load.
const UNINTERRUPTIBLE: u64 = 2;
const OTHERWISE: u64 = 0x100 | 0x400 | 0x40;

/// When a sleeper's locks are looked at, after so much guest time.
const LOCK_LOOKS: [u64; 3] = [SECOND, 5 * SECOND, 30 * SECOND];

/// When it is looked at who may wake it.
const WAKER_LOOK: u64 = 5 * SECOND;

/// A kernel stack is no larger.
const LARGEST_STACK: u64 = 1 << 17;

/// Those who wait for one lock, and locks in a circle.
const MOST_WAITERS: usize = 1000;
const LONGEST_CYCLE: usize = 64;

/// A task that sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sleeper {
    /// When it last had its CPU.
    since: GuestTime,
    /// When it was first seen asleep.
    first: u64,
    /// How often its locks were looked at.
    looks: usize,
    waker_looked: bool,
    /// What was found, for as long as it sleeps.
    found: Option<Finding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    NoWaker,
    OwnerGone { lock: u64, owner: u64 },
}

/// A lock that a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitsFor {
    /// Which of the landmarks' kinds.
    pub(super) kind: usize,
    pub(super) lock: u64,
    pub(super) owner: u64,
}

/// Looks at all tasks that sleep.
pub(super) fn check(look: &mut Look<'_>, sleepers: &mut BTreeMap<RunnerId, Sleeper>) {
    let Some(tasks) = look.marks.tasks.as_ref() else { return };
    if !look.wants(Kind::Lockup) {
        return;
    }
    let seats: Vec<_> = look.seats().to_vec();
    let mut asleep = BTreeMap::new();
    let mut cycles = BTreeSet::new();
    for seat in seats.iter().filter(|seat| seat.state == RunnerState::SwitchedOut && !seat.idle) {
        let state = look.at(seat.task, tasks.state).unwrap_or(0);
        if state & UNINTERRUPTIBLE == 0 || state & OTHERWISE != 0 {
            continue;
        }
        let new = Sleeper { since: seat.since, first: look.now, looks: 0, waker_looked: false, found: None };
        let mut sleeper = sleepers.get(&seat.runner).copied().filter(|old| old.since == seat.since).unwrap_or(new);
        let slept = look.now.saturating_sub(sleeper.first);
        let at_end = look.occasion == Occasion::End;
        if LOCK_LOOKS.get(sleeper.looks).is_some_and(|&after| slept >= after) || at_end {
            sleeper.looks += 1;
            match circle(look, tasks, seat.task) {
                Some(Chain::Cycle(tasks)) => _ = cycles.insert(tasks),
                Some(Chain::Dead { lock, owner }) => sleeper.found = Some(Finding::OwnerGone { lock, owner }),
                None => {}
            }
        }
        if !sleeper.waker_looked && (slept >= WAKER_LOOK || at_end) {
            sleeper.waker_looked = true;
            let rings = look.marks.locks.iter().any(|lock| matches!(lock.waiters, Waiters::First(_)));
            let stack = Stack::of(look, tasks, seat.task);
            if sleeper.found.is_none() && !is_expected(&stack) && !(rings && stack.has_ring_of_one(seat.task)) {
                sleeper.found = Some(Finding::NoWaker);
            }
        }
        match sleeper.found {
            Some(Finding::NoWaker) => {
                look.suspect(Suspect::NoWaker { task: seat.task, runner: seat.runner, since: seat.since });
            }
            Some(Finding::OwnerGone { lock, owner }) => {
                look.suspect(Suspect::OwnerGone { task: seat.task, lock, owner });
            }
            None => {}
        }
        asleep.insert(seat.runner, sleeper);
    }
    *sleepers = asleep;
    for tasks in cycles {
        look.suspect(Suspect::LockCycle { tasks });
    }
}

/// A stack in memory.
struct Stack<'a> {
    host: &'a dyn Host,
    word: u64,
    range: std::ops::Range<u64>,
}

impl<'a> Stack<'a> {
    fn of(look: &'a Look<'_>, tasks: &Tasks, task: u64) -> Stack<'a> {
        Stack { host: look.host(), word: look.marks.word, range: range(look.host(), tasks, task) }
    }

    fn read(&self, address: u64) -> Option<u64> {
        self.host.number(address, self.word)
    }

    fn words(&self) -> impl Iterator<Item = (u64, u64)> {
        let addresses = (self.range.start..self.range.end).step_by(self.word as usize);
        addresses.filter_map(|address| Some((address, self.read(address)?)))
    }

    /// The entries of circular lists on it that are linked to others.
    fn entries(&self) -> impl Iterator<Item = u64> {
        self.words().filter_map(|(address, next)| {
            let is_near = next == address || next < super::super::LOWEST;
            if is_near || self.read(next.wrapping_add(self.word))? != address {
                return None;
            }
            let before = self.read(address.wrapping_add(self.word))?;
            (before != address && self.read(before)? == address).then_some(address)
        })
    }

    /// Whether a ring of entries has one on this stack.
    fn reaches(&self, first: u64) -> bool {
        let mut at = first;
        for _ in 0..MOST_WAITERS {
            if self.range.contains(&at) {
                return true;
            }
            match self.read(at) {
                Some(next) if next != first && next >= super::super::LOWEST => at = next,
                _ => return false,
            }
        }
        false
    }

    /// Whether there is an entry that is linked to itself, and its task behind it: whoever is the only one to wait for a lock
    /// whose list has no head.
    fn has_ring_of_one(&self, task: u64) -> bool {
        self.words().any(|(address, next)| {
            let after = |words: u64| self.read(address.wrapping_add(words * self.word));
            next == address && after(1) == Some(address) && after(2) == Some(task)
        })
    }
}

/// Where a task's kernel stack lies.
fn range(host: &dyn Host, tasks: &Tasks, task: u64) -> std::ops::Range<u64> {
    let Some(base) = host.number(task.wrapping_add(tasks.stack.offset), tasks.stack.size).filter(|&base| base != 0)
    else {
        return 0..0;
    };
    let above = task.checked_sub(base).filter(|above| (1..LARGEST_STACK).contains(above));
    let size = match (tasks.stack_size, above) {
        (Some(size), Some(above)) => size.min(above),
        (size, above) => size.or(above).unwrap_or(0),
    };
    base..base.saturating_add(size.min(LARGEST_STACK))
}

/// Whether something knows of the sleeper on this stack: a list that it is on, or a timer.
fn is_expected(stack: &Stack<'_>) -> bool {
    if stack.range.is_empty() || stack.entries().next().is_some() {
        return true;
    }
    // A timer's entry: a pointer to the next one or null, and one to what points to it.
    stack.words().any(|(address, next)| {
        let Some(from) = stack.read(address.wrapping_add(stack.word)) else { return false };
        let leads_back =
            from >= super::super::LOWEST && !stack.range.contains(&from) && stack.read(from) == Some(address);
        leads_back && (next == 0 || stack.read(next.wrapping_add(stack.word)) == Some(address))
    })
}

/// The lock that a task waits for, with a known task as its owner, or one that is gone.
pub(super) fn waits_for(host: &dyn Host, marks: &Landmarks, task: u64, others: &[u64]) -> Option<WaitsFor> {
    let tasks = marks.tasks.as_ref()?;
    let stack = Stack { host, word: marks.word, range: range(host, tasks, task) };
    let stacks: Vec<std::ops::Range<u64>> = others.iter().map(|&task| range(host, tasks, task)).collect();
    let owner = |lock: u64, kind: usize| {
        let at = marks.locks.get(kind)?.owner;
        let owner = host.number(lock.wrapping_add(at.offset), at.size)? & !7;
        (owner != 0 && others.contains(&owner)).then_some(owner)
    };
    // Where a lock has no head for its list, the task says what it waits for, or the lock is somewhere on its stack; and the
    // lock's first one who waits is on the stack of some task.
    let said = tasks.blocked_on.iter().filter_map(|at| host.number(task.wrapping_add(at.offset), at.size));
    let said = said.map(|lock| lock & !3).chain(stack.words().map(|(_, word)| word));
    let rings = |(kind, lock): (usize, &super::landmarks::SleepLock)| match lock.waiters {
        Waiters::First(first) => Some((kind, first)),
        Waiters::Head(_) => None,
    };
    let rings: Vec<_> = marks.locks.iter().enumerate().filter_map(rings).collect();
    for lock in said.filter(|&lock| !rings.is_empty() && lock >= super::super::LOWEST) {
        for &(kind, first) in &rings {
            let first = host.number(lock.wrapping_add(first.offset), first.size).unwrap_or(0);
            if stacks.iter().any(|stack| stack.contains(&first))
                && stack.reaches(first)
                && let Some(owner) = owner(lock, kind)
            {
                return Some(WaitsFor { kind, lock, owner });
            }
        }
    }
    for entry in stack.entries() {
        let mut at = host.number(entry, marks.word)?;
        for _ in 0..MOST_WAITERS {
            if at == entry || at < super::super::LOWEST {
                break;
            }
            // Those who wait lie on stacks; the head lies in the lock.
            if !stacks.iter().any(|stack| stack.contains(&at)) {
                for (kind, known) in marks.locks.iter().enumerate() {
                    let Waiters::Head(head) = known.waiters else { continue };
                    let lock = at.wrapping_sub(head);
                    if let Some(owner) = owner(lock, kind) {
                        return Some(WaitsFor { kind, lock, owner });
                    }
                }
            }
            at = host.number(at, marks.word)?;
        }
    }
    None
}

/// What a chain of locks leads to.
enum Chain {
    /// To where it began.
    Cycle(Vec<u64>),
    /// To a task that is gone.
    Dead { lock: u64, owner: u64 },
}

/// Follows the locks from a sleeping task on.
fn circle(look: &Look<'_>, tasks: &Tasks, first: u64) -> Option<Chain> {
    let all: Vec<u64> = look.seats().iter().map(|seat| seat.task).collect();
    let mut chain = vec![first];
    let mut task = first;
    while chain.len() <= LONGEST_CYCLE {
        let waits = waits_for(look.host(), look.marks, task, &all)?;
        // `exit_state` and death are told by the state: EXIT_* and TASK_DEAD.
        if look.at(waits.owner, tasks.state).is_some_and(|state| state & 0x80 != 0) {
            return Some(Chain::Dead { lock: waits.lock, owner: waits.owner });
        }
        if waits.owner == first {
            // The same, from wherever one begins.
            let least = chain.iter().enumerate().min_by_key(|(_, task)| **task).map_or(0, |(number, _)| number);
            chain.rotate_left(least);
            return Some(Chain::Cycle(chain));
        }
        if chain.contains(&waits.owner) {
            return None;
        }
        task = waits.owner;
        // Whoever runs may yet let go.
        if look.seat_of(task)?.state != RunnerState::SwitchedOut {
            return None;
        }
        chain.push(task);
    }
    None
}

//! Detectors that read the guest kernel's structures while it runs: timers, workqueues, RCU, lock-ups, lost batons.
//!
//! ```text
//! Symbols ─▶ Landmarks (once; kept) ─┐
//! Host: memory, runners ─────────────┴▶ Patrol::look, some times a second of guest time ─▶ Suspect
//!                        Suspect + Kernel (all of the symbols, only now) ─▶ tell ─▶ Report
//! ```
//!
//! A look costs microseconds: it reads some words at known addresses. What it finds odd is a [`Suspect`], by which names
//! and numbers the same oddity is known the next time; one that stays for as long as its kind has to is reported, once. Only
//! then the kernel's debug information is read, for the words of the report.
//!
//! What is looked at may be in the middle of a change: a task was stopped at the end of its time slice. So a list is only
//! looked at where its lock is free, and what is early or late has to stay so. Nothing here changes the guest, and all that
//! is looked at is the guest's: the same run has the same reports, whatever its code is compiled to.

mod areas;
mod callbacks;
mod landmarks;
mod lockup;
mod look;
mod sleepers;
mod table;
mod tell;
mod timers;
mod workqueues;

use std::collections::{BTreeMap, BTreeSet};

use wkdb_tracer::{Frame, GuestTime, RunnerId, RunnerState};

pub use areas::AreaMarks;
pub use landmarks::{Landmarks, VERSION as LANDMARKS_VERSION};
pub use tell::{Report, tell};

use look::Look;
use sleepers::Sleeper;
use timers::Clock;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// Reports of one run by one detector: what goes wrong that often is known by then.
const MOST: usize = 20;

/// What one look may find odd: memory made of garbage has more.
const MOST_SUSPECTS: usize = 1000;

/// A runner of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Its name.
    pub runner: RunnerId,
    /// Its task.
    pub task: u64,
    /// The CPU it is on.
    pub cpu: u32,
    /// What it waits for.
    pub state: RunnerState,
    /// It is what its CPU runs.
    pub holds_cpu: bool,
    /// It was made as its CPU's idle task.
    pub idle: bool,
    /// When it last got its CPU, or was woken.
    pub since: GuestTime,
}

/// A CPU that nobody runs on any more: its last runner was destroyed before it had switched to another one, or switched
/// to a task that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostBaton {
    /// The CPU.
    pub cpu: u32,
    /// The task whose runner it was.
    pub task: u64,
    /// That runner.
    pub runner: RunnerId,
    /// The task's name.
    pub comm: String,
    /// When.
    pub at: GuestTime,
    /// The task that it switched to, where that has no runner.
    pub to: Option<u64>,
}

/// What detectors ask of the one who runs the guest.
pub trait Host {
    /// The guest's clock.
    fn now(&self) -> GuestTime;

    /// A little-endian number of at most 8 bytes in the guest's memory; `None` where there is none.
    fn number(&self, address: u64, size: u64) -> Option<u64>;

    /// All runners.
    fn seats(&self) -> Vec<Seat>;

    /// CPUs whose baton is lost.
    fn lost_batons(&self) -> Vec<LostBaton>;

    /// A runner's call stack, innermost frame first.
    fn frames(&mut self, runner: RunnerId) -> Vec<Frame>;
}

/// A detector of this folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Timer wheels that stand still, timers that do not run.
    Timers,
    /// Pools, workers and work that make no sense, and work that waits for too long.
    Workqueues,
    /// Grace periods that do not end.
    Rcu,
    /// Function pointers that cannot be called.
    Callbacks,
    /// CPUs and tasks that nothing will get going again.
    Lockup,
    /// CPUs that nobody runs on.
    Baton,
}

/// Which detectors look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// All of them.
    pub const ALL: Kinds = Kinds(0x3f);

    /// These and one more.
    #[must_use]
    pub fn with(self, kind: Kind) -> Kinds {
        Kinds(self.0 | 1 << kind as u8)
    }

    /// Whether one is among them.
    pub fn has(self, kind: Kind) -> bool {
        self.0 >> kind as u8 & 1 == 1
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What function pointer cannot be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Callee {
    /// That of a timer.
    Timer,
    /// That of a work.
    Work,
    /// That of an RCU callback.
    Rcu,
}

/// A list that does not close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Chain {
    /// The work that waits in a pool.
    Worklist,
    /// The workers of a pool.
    Workers,
    /// A CPU's RCU callbacks.
    Callbacks,
    /// A bucket of a timer wheel.
    Bucket,
}

/// Something odd, by what makes it the same oddity the next time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "addresses and numbers of what the variant names")]
pub enum Suspect {
    /// A wheel's clock is far ahead of jiffies.
    WheelAhead { cpu: u32, base: u64, address: u64 },
    /// A timer is due, and its CPU sleeps.
    TimerOverdue { cpu: u32, base: u64, timer: u64, expires: u64 },
    /// A function pointer that cannot be called.
    BadCallback { what: Callee, object: u64, pointer: u64, cpu: u32 },
    /// A list leads nowhere. `at` is the last entry that makes sense.
    BrokenChain { what: Chain, of: u64, at: u64, next: u64 },
    /// A worker's pool is not the one that it is a worker of.
    WrongPool { worker: u64, found: u64, pool: Option<u64>, task: u64 },
    /// A task's worker is another task's.
    WrongWorker { task: u64, worker: u64, found: u64 },
    /// A work waits in a pool and is not marked as waiting.
    NotPending { pool: u64, work: u64 },
    /// Work waits, and the pool does nothing.
    WorkWaits { pool: u64, work: u64, progress: u64 },
    /// A worker does not come to an end with its work, and sleeps.
    WorkerStuck { worker: u64, work: u64, begun: u64, task: u64 },
    /// A grace period does not end.
    GracePeriod { seq: u64 },
    /// A CPU idles although tasks want to run on it.
    IdleWithTasks { cpu: u32, switches: u64 },
    /// A CPU idles although interrupts were raised.
    IdleWithInterrupts { cpu: u32, word: u64 },
    /// A CPU does nothing but to try to get a spin lock; or goes through one loop of the kernel.
    Spins { runner: RunnerId, task: u64, cpu: u32, since: GuestTime, lock: bool, alone: bool, chain: u64 },
    /// A CPU that nobody runs on.
    Baton { cpu: u32, task: u64, at: GuestTime },
    /// Tasks wait for locks that they hold themselves, all around.
    LockCycle { tasks: Vec<u64> },
    /// A task waits for a lock of a task that is gone.
    OwnerGone { task: u64, lock: u64, owner: u64 },
    /// A task sleeps, and nothing in the kernel knows of it that could wake it.
    NoWaker { task: u64, runner: RunnerId, since: GuestTime },
}

impl Suspect {
    /// Whose it is.
    pub fn kind(&self) -> Kind {
        match self {
            Suspect::WheelAhead { .. }
            | Suspect::TimerOverdue { .. }
            | Suspect::BrokenChain { what: Chain::Bucket, .. } => Kind::Timers,
            Suspect::BadCallback { .. } | Suspect::BrokenChain { what: Chain::Callbacks, .. } => Kind::Callbacks,
            Suspect::BrokenChain { .. }
            | Suspect::WrongPool { .. }
            | Suspect::WrongWorker { .. }
            | Suspect::NotPending { .. }
            | Suspect::WorkWaits { .. }
            | Suspect::WorkerStuck { .. } => Kind::Workqueues,
            Suspect::GracePeriod { .. } => Kind::Rcu,
            Suspect::IdleWithTasks { .. }
            | Suspect::IdleWithInterrupts { .. }
            | Suspect::Spins { .. }
            | Suspect::LockCycle { .. }
            | Suspect::OwnerGone { .. }
            | Suspect::NoWaker { .. } => Kind::Lockup,
            Suspect::Baton { .. } => Kind::Baton,
        }
    }

    /// For how long it has to be so, in nanoseconds of guest time.
    fn patience(&self) -> u64 {
        match self {
            Suspect::TimerOverdue { .. } => 200 * MS,
            Suspect::IdleWithTasks { .. } | Suspect::IdleWithInterrupts { .. } => 500 * MS,
            Suspect::Spins { lock: true, alone: true, .. } => 400 * MS,
            Suspect::Spins { .. } => 5 * SECOND,
            Suspect::WorkWaits { .. } | Suspect::GracePeriod { .. } => 10 * SECOND,
            Suspect::WorkerStuck { .. } => 60 * SECOND,
            _ => 0,
        }
    }

    /// Whether it may come of another one: once that is known it is no news.
    fn may_follow(&self) -> bool {
        matches!(
            self,
            Suspect::WorkWaits { .. }
                | Suspect::WorkerStuck { .. }
                | Suspect::GracePeriod { .. }
                | Suspect::TimerOverdue { .. }
                | Suspect::IdleWithTasks { .. }
                | Suspect::IdleWithInterrupts { .. }
                | Suspect::NoWaker { .. }
        )
    }

    /// Whether others may come of it.
    fn has_followers(&self) -> bool {
        matches!(
            self,
            Suspect::WheelAhead { .. }
                | Suspect::TimerOverdue { .. }
                | Suspect::Baton { .. }
                | Suspect::Spins { .. }
                | Suspect::LockCycle { .. }
                | Suspect::IdleWithTasks { .. }
                | Suspect::IdleWithInterrupts { .. }
        )
    }
}

/// Why somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// Some guest time has passed.
    Interval,
    /// This runner has trapped: what it was about to change is as it left it.
    Trap(RunnerId),
    /// The run ends.
    End,
}

/// Looks at a guest from time to time, and remembers.
#[derive(Debug, Clone)]
pub struct Patrol {
    marks: Landmarks,
    kinds: Kinds,
    clock: Clock,
    /// Since when each has been seen.
    seen: BTreeMap<Suspect, GuestTime>,
    told: BTreeSet<Suspect>,
    sleepers: BTreeMap<RunnerId, Sleeper>,
    /// Something was reported from which other things follow.
    disturbed: bool,
}

impl Patrol {
    /// One that has not looked yet: to be made when the guest starts.
    pub fn new(marks: Landmarks, kinds: Kinds) -> Patrol {
        Patrol {
            marks,
            kinds,
            clock: Clock::default(),
            seen: BTreeMap::new(),
            told: BTreeSet::new(),
            sleepers: BTreeMap::new(),
            disturbed: false,
        }
    }

    /// Looks; gives what is to be reported.
    pub fn look(&mut self, host: &mut dyn Host, occasion: Occasion) -> Vec<Suspect> {
        let now = host.now();
        let mut look = Look::new(&self.marks, host, self.kinds, occasion);
        self.clock.see(&look);
        timers::check(&mut look, &self.clock);
        workqueues::check(&mut look);
        callbacks::check(&mut look);
        lockup::check(&mut look);
        sleepers::check(&mut look, &mut self.sleepers);
        let suspects = look.suspects();
        let seen: BTreeMap<Suspect, GuestTime> = suspects
            .into_iter()
            .filter(|suspect| self.kinds.has(suspect.kind()))
            .map(|suspect| {
                let since = self.seen.get(&suspect).copied().unwrap_or(now);
                (suspect, since)
            })
            .collect();
        self.seen = seen;
        let mut due: Vec<Suspect> = (self.seen.iter())
            .filter(|(suspect, since)| now.0.saturating_sub(since.0) >= suspect.patience())
            .map(|(suspect, _)| suspect.clone())
            .filter(|suspect| !self.told.contains(suspect))
            .collect();
        // What others may come of goes first.
        due.sort_by_key(|suspect| !suspect.has_followers());
        due.retain(|suspect| {
            let often = self.told.iter().filter(|told| told.kind() == suspect.kind()).count();
            if often >= MOST || (self.disturbed && suspect.may_follow()) {
                return false;
            }
            self.disturbed |= suspect.has_followers();
            self.told.insert(suspect.clone())
        });
        due
    }
}

#[cfg(test)]
mod tests;

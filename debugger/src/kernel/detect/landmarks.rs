//! Where the detectors find what they look at: addresses and offsets, worked out once from the debug information of a
//! kernel and kept beside its compiled code. A look at the guest then costs some reads of memory, and no DWARF.
//!
//! What this kernel does not have is `None`, and the detector that needs it does not look.

use serde::{Deserialize, Serialize};

use super::super::field::{self, Field};
use super::super::{LOWEST, MAX_CPUS, find_type, find_variable};
use super::table::{self, Callable};
use crate::symbols::{Encoding, Symbols, TypeId, TypeKind};

/// Raised when the same module gives other landmarks.
pub const VERSION: u32 = 2;

/// How deep numbers are wrapped in structures.
const MAX_WRAPPING: usize = 6;

/// Lock functions in which a CPU that cannot have the lock spins. A `*` stands for any ending.
const SPINNING: &[&str] = &[
    "_raw_spin_lock*",
    "_raw_read_lock*",
    "_raw_write_lock*",
    "__raw_spin_lock*",
    "do_raw_spin_lock*",
    "queued_spin_lock_slowpath",
    "queued_read_lock_slowpath",
    "queued_write_lock_slowpath",
    "arch_spin_lock",
];

/// A number in a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct At {
    /// Bytes from the structure's start.
    pub(super) offset: u64,
    /// Its bytes: 1 to 8.
    pub(super) size: u64,
}

/// The wheels of timers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Wheels {
    /// `timer_bases`, of which each CPU has a copy.
    pub(super) bases: u64,
    /// Bytes of one, and how many a CPU has.
    pub(super) size: u64,
    pub(super) count: u64,
    pub(super) lock: At,
    pub(super) clk: At,
    /// One bit for each bucket, and the buckets.
    pub(super) map: u64,
    pub(super) buckets: u64,
    pub(super) bucket_size: u64,
    pub(super) bucket_count: u64,
    /// Of a timer.
    pub(super) entry: u64,
    pub(super) expires: At,
    pub(super) function: At,
    pub(super) callable: Callable,
}

/// The run queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunQueues {
    /// `runqueues`, of which each CPU has a copy.
    pub(super) queues: u64,
    pub(super) nr_running: At,
    pub(super) nr_switches: At,
}

/// Tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tasks {
    pub(super) state: At,
    pub(super) flags: At,
    pub(super) stack: At,
    /// Bytes of a kernel stack.
    pub(super) stack_size: Option<u64>,
    /// Where a worker's task has its worker: directly, or in what this member points to.
    pub(super) private: Option<At>,
    pub(super) kthread_data: Option<At>,
    /// The mutex, or whichever lock, that a task waits for; the lowest two bits of the latter are its kind.
    pub(super) blocked_on: Vec<At>,
}

/// A kind of lock that tasks sleep for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SleepLock {
    /// Its type.
    pub(super) name: String,
    /// The function that tasks wait for it in has this in its name.
    pub(super) taker: String,
    pub(super) waiters: Waiters,
    pub(super) owner: At,
}

/// How a lock has those who wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Waiters {
    /// In a list, whose head is here in the lock.
    Head(u64),
    /// In a ring that has no head: here is a pointer to the first one. So it is from 7.1 on.
    First(At),
}

/// Pools of workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pools {
    /// Of which each CPU has a copy: address, bytes of a pool, how many there are.
    pub(super) of_cpus: Vec<(u64, u64, u64)>,
    /// The table of those that belong to no CPU: address, heads, the member of a pool that is on the list.
    pub(super) unbound: Option<(u64, u64, u64)>,
    /// The owner of the mutex that the lists of workers are changed with.
    pub(super) attach_owner: Option<u64>,
    pub(super) lock: At,
    pub(super) worklist: u64,
    pub(super) workers: u64,
    /// Changes whenever a work is begun.
    pub(super) progress: Option<At>,
    /// Of a worker.
    pub(super) node: u64,
    pub(super) pool: At,
    pub(super) task: At,
    pub(super) current_work: At,
    pub(super) last_active: Option<At>,
    /// Of a work.
    pub(super) entry: u64,
    pub(super) data: At,
    pub(super) function: At,
    pub(super) callable: Callable,
}

/// RCU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rcu {
    /// `rcu_data`, of which each CPU has a copy.
    pub(super) data: u64,
    /// Pointers to the first callback of a list.
    pub(super) heads: Vec<u64>,
    pub(super) lock: Option<At>,
    /// Of a callback.
    pub(super) next: u64,
    pub(super) function: At,
    pub(super) callable: Callable,
    /// The count of grace periods, and whether its lowest two bits say that one is under way.
    pub(super) gp_seq: Option<(u64, u64)>,
    pub(super) gp_bits: bool,
    /// The grace period waits for this CPU.
    pub(super) pending: Option<At>,
}

/// See the module. Those of a kernel of which nothing is known are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landmarks {
    /// Bytes of a pointer.
    pub(super) word: u64,
    pub(super) jiffies: Option<u64>,
    /// `__per_cpu_offset`, and how many it has.
    pub(super) per_cpu: Option<(u64, u64)>,
    pub(super) cpu_count: Option<u64>,
    pub(super) online: Option<u64>,
    pub(super) raised_irqs: Option<u64>,
    pub(super) wheels: Option<Wheels>,
    pub(super) run_queues: Option<RunQueues>,
    pub(super) tasks: Option<Tasks>,
    pub(super) locks: Vec<SleepLock>,
    pub(super) pools: Option<Pools>,
    pub(super) rcu: Option<Rcu>,
    /// Functions that take a spin lock, by index, sorted.
    pub(super) spinning: Vec<u32>,
}

/// Looks things up.
pub(super) struct Survey<'s> {
    pub(super) symbols: &'s Symbols,
}

impl Survey<'_> {
    fn address(&self, name: &str) -> Option<u64> {
        find_variable(self.symbols, name).map(|(address, _)| address).filter(|&address| address >= LOWEST)
    }

    pub(super) fn ty(&self, name: &str) -> Option<TypeId> {
        find_type(self.symbols, name)
    }

    fn size(&self, ty: TypeId) -> Option<u64> {
        self.symbols.size_of(ty).filter(|&size| size > 0)
    }

    pub(super) fn field(&self, ty: TypeId, path: &str) -> Option<Field> {
        field::find(self.symbols, ty, path)
    }

    pub(super) fn offset(&self, ty: TypeId, path: &str) -> Option<u64> {
        self.field(ty, path).map(|field| field.offset)
    }

    /// A number: of a structure, its first one.
    pub(super) fn at(&self, ty: TypeId, path: &str) -> Option<At> {
        let found = self.field(ty, path).filter(|field| field.bits.is_none())?;
        Some(At { offset: found.offset, size: self.scalar(found.ty)? })
    }

    fn first_at(&self, ty: TypeId, paths: &[&str]) -> Option<At> {
        paths.iter().find_map(|path| self.at(ty, path))
    }

    fn scalar(&self, ty: TypeId) -> Option<u64> {
        let (mut id, mut ty) = self.symbols.resolve(ty);
        for _ in 0..MAX_WRAPPING {
            let TypeKind::Composite(composite) = &ty.kind else { break };
            let first = composite.members.first().filter(|first| first.offset == 0)?;
            (id, ty) = self.symbols.resolve(first.ty);
        }
        match &ty.kind {
            TypeKind::Base(encoding) if *encoding != Encoding::Float => {}
            TypeKind::Enum { .. } | TypeKind::Pointer { .. } => {}
            _ => return None,
        }
        self.size(id).filter(|size| *size <= 8)
    }

    /// An array: its element's type and size, and how many there are; of what is no array, itself.
    pub(super) fn array(&self, ty: TypeId) -> Option<(TypeId, u64, u64)> {
        let (id, kind) = self.symbols.resolve(ty);
        match kind.kind {
            TypeKind::Array { element, count } => Some((element, self.size(element)?, count?)),
            _ => Some((id, self.size(id)?, 1)),
        }
    }

    fn wheels(&self) -> Option<Wheels> {
        let (bases, ty) = find_variable(self.symbols, "timer_bases")?;
        let (base, size, count) = self.array(ty)?;
        let buckets = self.field(base, "vectors")?;
        let (_, bucket_size, bucket_count) = self.array(buckets.ty)?;
        let timer = self.ty("struct timer_list")?;
        Some(Wheels {
            bases,
            size,
            count,
            lock: self.at(base, "lock")?,
            clk: self.at(base, "clk")?,
            map: self.offset(base, "pending_map")?,
            buckets: buckets.offset,
            bucket_size,
            bucket_count,
            entry: self.offset(timer, "entry")?,
            expires: self.at(timer, "expires")?,
            function: self.at(timer, "function")?,
            callable: table::callable(self.symbols, self.field(timer, "function")?.ty),
        })
    }

    fn run_queues(&self) -> Option<RunQueues> {
        let (queues, ty) = find_variable(self.symbols, "runqueues")?;
        Some(RunQueues { queues, nr_running: self.at(ty, "nr_running")?, nr_switches: self.at(ty, "nr_switches")? })
    }

    fn tasks(&self) -> Option<Tasks> {
        let task = self.ty("struct task_struct")?;
        let stack = find_variable(self.symbols, "init_stack").and_then(|(_, ty)| self.size(ty));
        Some(Tasks {
            state: self.first_at(task, &["__state", "state"])?,
            flags: self.at(task, "flags")?,
            stack: self.at(task, "stack")?,
            stack_size: stack.or_else(|| self.size(self.ty("union thread_union")?)),
            private: self.first_at(task, &["worker_private", "set_child_tid"]),
            kthread_data: self.ty("struct kthread").and_then(|kthread| self.at(kthread, "data")),
            blocked_on: ["blocked_on", "blocker"].iter().filter_map(|path| self.at(task, path)).collect(),
        })
    }

    fn locks(&self) -> Vec<SleepLock> {
        let kinds = [("struct mutex", "mutex_lock"), ("struct rw_semaphore", "rwsem_down")];
        let found = kinds.iter().filter_map(|(name, taker)| {
            let ty = self.ty(name)?;
            let head = self.offset(ty, "wait_list").or_else(|| self.offset(ty, "wait.head")).map(Waiters::Head);
            let waiters = head.or_else(|| self.at(ty, "first_waiter").map(Waiters::First))?;
            let (name, taker) = ((*name).to_owned(), (*taker).to_owned());
            Some(SleepLock { name, taker, waiters, owner: self.at(ty, "owner")? })
        });
        found.collect()
    }

    fn pools(&self) -> Option<Pools> {
        let pool = self.ty("struct worker_pool")?;
        let (worker, work) = (self.ty("struct worker")?, self.ty("struct work_struct")?);
        let of_cpus = ["cpu_worker_pools", "bh_worker_pools"].iter().filter_map(|name| {
            let (address, ty) = find_variable(self.symbols, name)?;
            let (_, size, count) = self.array(ty)?;
            Some((address, size, count))
        });
        let unbound = find_variable(self.symbols, "unbound_pool_hash").and_then(|(address, ty)| {
            let (_, _, count) = self.array(ty)?;
            Some((address, count, self.offset(pool, "hash_node")?))
        });
        let attach = find_variable(self.symbols, "wq_pool_attach_mutex");
        Some(Pools {
            of_cpus: of_cpus.collect(),
            unbound,
            attach_owner: attach.and_then(|(address, ty)| Some(address + self.at(ty, "owner")?.offset)),
            lock: self.at(pool, "lock")?,
            worklist: self.offset(pool, "worklist")?,
            workers: self.offset(pool, "workers")?,
            progress: self.first_at(pool, &["works_done", "watchdog_ts", "last_progress_ts"]),
            node: self.offset(worker, "node")?,
            pool: self.at(worker, "pool")?,
            task: self.at(worker, "task")?,
            current_work: self.at(worker, "current_work")?,
            last_active: self.at(worker, "last_active"),
            entry: self.offset(work, "entry")?,
            data: self.at(work, "data")?,
            function: self.at(work, "func")?,
            callable: table::callable(self.symbols, self.field(work, "func")?.ty),
        })
    }

    fn rcu(&self) -> Option<Rcu> {
        let (data, ty) = find_variable(self.symbols, "rcu_data")?;
        let head = self.ty("struct callback_head")?;
        let heads = ["cblist.head", "done.head", "wait.head", "next.head"];
        let state = find_variable(self.symbols, "rcu_state");
        let gp_seq = state.and_then(|(address, ty)| {
            let at = self.at(ty, "gp_seq")?;
            Some((address + at.offset, at.size))
        });
        Some(Rcu {
            data,
            heads: heads.iter().filter_map(|path| self.offset(ty, path)).collect(),
            lock: self.at(ty, "lock"),
            next: self.offset(head, "next")?,
            function: self.at(head, "func")?,
            callable: table::callable(self.symbols, self.field(head, "func")?.ty),
            gp_seq,
            gp_bits: state.is_some_and(|(_, ty)| self.field(ty, "gp_flags").is_some()),
            pending: self.first_at(ty, &["core_needs_qs", "qs_pending"]),
        })
    }
}

impl Landmarks {
    /// Those of a kernel. Reads most of the index of its debug information, which takes a while.
    pub fn of(symbols: &Symbols) -> Landmarks {
        let survey = Survey { symbols };
        let per_cpu = find_variable(symbols, "__per_cpu_offset").and_then(|(address, ty)| {
            let (_, _, count) = survey.array(ty)?;
            Some((address, count.min(MAX_CPUS)))
        });
        let mut spinning: Vec<u32> = symbols
            .functions()
            .filter(|function| {
                let name = function.name.split('.').next().unwrap_or_default();
                SPINNING.iter().any(|pattern| match pattern.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => name == *pattern,
                })
            })
            .map(|function| function.index)
            .collect();
        spinning.sort_unstable();
        Landmarks {
            word: symbols.address_size(),
            jiffies: survey.address("jiffies_64"),
            per_cpu,
            cpu_count: survey.address("nr_cpu_ids"),
            online: survey.address("__cpu_online_mask"),
            raised_irqs: survey.address("raised_irqs"),
            wheels: survey.wheels(),
            run_queues: survey.run_queues(),
            tasks: survey.tasks(),
            locks: survey.locks(),
            pools: survey.pools(),
            rcu: survey.rcu(),
            spinning,
        }
    }
}

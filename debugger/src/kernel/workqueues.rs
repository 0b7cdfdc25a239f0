//! Workqueues: pools of workers, what they do, and what waits for them.

use serde::Serialize;

use super::text::{cell, plain, styled, tell_problems};
use super::{Kernel, Now, Object, TaskRef};
use crate::commands::output::Table;
use crate::commands::{Output, Style};

/// Pools in one array, buckets of the table of unbound pools: no kernel has more.
const MAX_POOLS: u64 = 1024;

/// Enumerators of `worker_pool.flags`, `worker.flags` and `workqueue_struct.flags`, of all versions.
const POOL_FLAGS: &[(&str, u64)] =
    &[("POOL_BH", 0), ("POOL_MANAGER_ACTIVE", 1), ("POOL_DISASSOCIATED", 4), ("POOL_BH_DRAINING", 0)];
const WORKER_FLAGS: &[(&str, u64)] = &[
    ("WORKER_STARTED", 1),
    ("WORKER_DIE", 2),
    ("WORKER_IDLE", 4),
    ("WORKER_PREP", 8),
    ("WORKER_CPU_INTENSIVE", 0x40),
    ("WORKER_UNBOUND", 0x80),
    ("WORKER_REBOUND", 0x100),
];
const QUEUE_FLAGS: &[(&str, u64)] = &[
    ("WQ_BH", 1),
    ("WQ_UNBOUND", 2),
    ("WQ_FREEZABLE", 4),
    ("WQ_MEM_RECLAIM", 8),
    ("WQ_HIGHPRI", 0x10),
    ("WQ_CPU_INTENSIVE", 0x20),
    ("WQ_SYSFS", 0x40),
    ("WQ_POWER_EFFICIENT", 0x80),
    ("WQ_PERCPU", 0x100),
    ("__WQ_DESTROYING", 0x8000),
    ("__WQ_DRAINING", 0x1_0000),
    ("__WQ_ORDERED", 0x2_0000),
    ("__WQ_LEGACY", 0x4_0000),
    // The same bit, in kernels before 6.9 and after 7.0.
    ("__WQ_ORDERED_EXPLICIT", 0),
    ("__WQ_DEPRECATED", 0),
];

/// A piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkRow {
    /// Its `work_struct`.
    pub address: u64,
    /// What it calls; the pointer with a question mark, where that is no function.
    pub function: Option<String>,
    /// The workqueue that it was put on, where that can be told.
    pub queue: Option<String>,
    /// The variable that it is part of.
    pub of: Option<String>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkerRow {
    /// Its `worker`.
    pub address: u64,
    /// Its number in the pool.
    pub id: Option<i64>,
    /// Its task.
    pub task: Option<TaskRef>,
    /// Its flags, in words.
    pub flags: Option<String>,
    /// What it does now.
    pub busy: Option<WorkRow>,
    /// Jiffies since it began with that, or since it was idle last, which is before.
    pub busy_for: Option<i64>,
    /// Jiffies since it became idle, if it is.
    pub idle_for: Option<i64>,
    /// What it is about, by the work's own words.
    pub description: Option<String>,
    /// It sleeps in the middle of a work, and does not count as running.
    pub sleeping: Option<bool>,
    /// Work that only it may do, after this one.
    pub scheduled: Vec<WorkRow>,
}

/// A pool of workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolRow {
    /// Its `worker_pool`.
    pub address: u64,
    /// Its number.
    pub id: Option<i64>,
    /// Its CPU; `None` for one that is bound to none.
    pub cpu: Option<u32>,
    /// `normal`, `high`, `bh`, `unbound`.
    pub kind: &'static str,
    /// Its flags, in words.
    pub flags: Option<String>,
    /// Workers there are.
    pub nr_workers: Option<i64>,
    /// Workers that are idle.
    pub nr_idle: Option<i64>,
    /// Workers that keep a CPU busy.
    pub nr_running: Option<i64>,
    /// Jiffies since it last began with a work, as its watchdog has it.
    pub quiet_for: Option<i64>,
    /// Work that waits for a worker, first come first served.
    pub worklist: Vec<WorkRow>,
    /// Its workers.
    pub workers: Vec<WorkerRow>,
}

/// A workqueue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QueueRow {
    /// Its `workqueue_struct`.
    pub address: u64,
    /// Its name.
    pub name: Option<String>,
    /// Its flags, in words.
    pub flags: Option<String>,
    /// Work of it that is under way or waits for a worker; `None` where it is not counted.
    pub active: Option<i64>,
    /// Work of it that must wait until other work of it is done.
    pub inactive: u64,
}

/// Workqueues and pools.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkqueuesView {
    /// When.
    pub now: Now,
    /// The pools, by CPU; unbound ones last.
    pub pools: Vec<PoolRow>,
    /// The workqueues, by age.
    pub queues: Vec<QueueRow>,
    /// What makes no sense.
    pub problems: Vec<String>,
}

impl<'i> Kernel<'i> {
    /// The workqueue that a work was put on: its `data` holds a `pool_workqueue`, aligned so that flags fit below it.
    /// How many bits that are differs: it is right if the `pool_workqueue` knows the pool.
    fn queue_of(&self, work: &Object<'_, '_>, pool: u64) -> Option<String> {
        let data = work.u("data")?;
        let shift = self.enumerator("WORK_STRUCT_PWQ_SHIFT").or_else(|| self.enumerator("WORK_STRUCT_FLAG_BITS"));
        let ty = self.type_named("struct pool_workqueue")?;
        let candidates = shift.into_iter().chain([8, 9]).filter_map(|shift| u32::try_from(shift).ok());
        let mut queues = candidates.filter(|&shift| shift < 16).map(|shift| data >> shift << shift);
        let queue = queues.find_map(|address| {
            let owner = Object::new(self, address, ty);
            let its_pool = owner.member("pool")?;
            let known = self.memory.unsigned(its_pool.address(), self.word())? == pool;
            (address >= super::LOWEST && known).then_some(owner)
        })?;
        queue.follow("wq")?.name("name")
    }

    fn work_row(&self, work: &Object<'_, '_>, function: Option<u64>, pool: u64) -> WorkRow {
        let pointer = function.or_else(|| work.u("func")).unwrap_or(0);
        let address = work.address();
        WorkRow {
            address,
            function: self.function_in(pointer, || format!("the work {address:#x}")),
            queue: self.queue_of(work, pool),
            of: self.symbol(address),
        }
    }

    fn works(&self, head: Option<Object<'_, '_>>, pool: u64, what: &str) -> Vec<WorkRow> {
        let Some(head) = head else { return Vec::new() };
        let entries = self.list(head.address(), what);
        let mut rows = Vec::new();
        for entry in entries {
            let Some(work) = self.container("struct work_struct", "entry", entry) else { break };
            // Bit 0 says in all versions that it is on a list.
            if work.u("data").is_some_and(|data| data & 1 == 0) {
                self.problem(format!("{what}: the work {:#x} is on it, but is not marked as pending", work.address()));
            }
            rows.push(self.work_row(&work, None, pool));
        }
        rows
    }

    fn worker_row(&self, worker: &Object<'_, 'i>, pool: &Object<'_, '_>, name: &str) -> WorkerRow {
        let address = worker.address();
        let its_pool = worker.u("pool");
        if let Some(its_pool) = its_pool
            && its_pool != pool.address()
        {
            self.problem(format!("the worker {address:#x} is one of {name}, but its pool is {its_pool:#x}"));
        }
        let now = self.short_jiffies();
        let since = |path| worker.u(path).zip(now).map(|(at, now)| self.jiffies_between(now, at));
        let flags = worker.u("flags");
        let idle_bit = self.enumerator("WORKER_IDLE").map_or(4, |bit| bit as u64);
        let idle = flags.map(|flags| flags & idle_bit != 0);
        let current = worker.u("current_work").filter(|&work| work != 0);
        let busy = current.and_then(|work| {
            let work = self.object("struct work_struct", work)?;
            // The work may be gone by now: its function is remembered.
            Some(self.work_row(&work, worker.u("current_func"), pool.address()))
        });
        if idle == Some(true) && current.is_some() {
            self.problem(format!("the worker {address:#x} of {name} is idle, but has a work"));
        }
        let what = format!("what is scheduled for the worker {address:#x}");
        WorkerRow {
            address,
            id: worker.i("id"),
            task: worker.u("task").and_then(|task| self.task_at(task)),
            flags: flags.map(|flags| self.flags(flags, WORKER_FLAGS)),
            busy_for: since("current_start").or_else(|| since("last_active")).filter(|_| busy.is_some()),
            busy,
            idle_for: since("last_active").filter(|_| idle == Some(true)),
            description: worker.name("desc").filter(|text| !text.is_empty()),
            sleeping: worker.flag("sleeping"),
            scheduled: self.works(worker.member("scheduled"), pool.address(), &what),
        }
    }

    fn pool_row(&self, pool: &Object<'_, 'i>, cpu: Option<u32>, kind: &'static str) -> PoolRow {
        let id = pool.i("id");
        let name = match (id, cpu) {
            (Some(id), _) => format!("pool {id}"),
            (None, Some(cpu)) => format!("cpu{cpu}'s {kind} pool"),
            (None, None) => format!("the pool {:#x}", pool.address()),
        };
        let entries = pool.member("workers").map(|head| self.list(head.address(), &format!("the workers of {name}")));
        let workers: Vec<WorkerRow> = (entries.unwrap_or_default().into_iter())
            .filter_map(|entry| self.container("struct worker", "node", entry))
            .map(|worker| self.worker_row(&worker, pool, &name))
            .collect();
        let worklist = self.works(pool.member("worklist"), pool.address(), &format!("the worklist of {name}"));
        let (nr_workers, nr_idle) = (pool.i("nr_workers"), pool.i("nr_idle"));
        if let Some(head) = pool.member("idle_list") {
            let idle = self.list(head.address(), &format!("the idle list of {name}")).len();
            if nr_idle.is_some_and(|count| count != idle as i64) && !self.is_running() {
                self.problem(format!(
                    "{name}: nr_idle is {}, but {idle} workers are on its list",
                    nr_idle.unwrap_or(0)
                ));
            }
        }
        let now = self.short_jiffies();
        PoolRow {
            address: pool.address(),
            id,
            cpu,
            kind,
            flags: pool.u("flags").map(|flags| self.flags(flags, POOL_FLAGS)),
            nr_workers,
            nr_idle,
            nr_running: pool.i("nr_running"),
            quiet_for: (pool.member_of(&["watchdog_ts", "last_progress_ts"]).and_then(|at| at.unsigned()).zip(now))
                .map(|(at, now)| self.jiffies_between(now, at)),
            worklist,
            workers,
        }
    }

    fn queue_row(&self, queue: &Object<'_, 'i>) -> QueueRow {
        let name = queue.name("name");
        let what = format!("the pools of the workqueue {}", name.as_deref().unwrap_or("?"));
        let pools = queue.member("pwqs").map(|head| self.list(head.address(), &what)).unwrap_or_default();
        let (mut active, mut inactive) = (None, 0);
        for entry in pools {
            let Some(link) = self.container("struct pool_workqueue", "pwqs_node", entry) else { break };
            if let Some(count) = link.i("nr_active") {
                active = Some(active.unwrap_or(0) + count);
            }
            let waiting = link.member_of(&["inactive_works", "delayed_works"]);
            let what = format!("what waits in the workqueue {}", name.as_deref().unwrap_or("?"));
            inactive += waiting.map_or(0, |head| self.list(head.address(), &what).len() as u64);
        }
        let flags = queue.u("flags").map(|flags| self.flags(flags, QUEUE_FLAGS));
        QueueRow { address: queue.address(), name, flags, active, inactive }
    }

    /// The pools that the kernel has, with what each is for.
    pub(super) fn pools(&self) -> Vec<(Object<'_, 'i>, Option<u32>, &'static str)> {
        let mut pools = Vec::new();
        for cpu in self.online_cpus() {
            for (variable, kinds) in [("cpu_worker_pools", ["normal", "high"]), ("bh_worker_pools", ["bh", "bh high"])]
            {
                let both = self.per_cpu(variable, cpu);
                let both = both.iter().flat_map(|pools| pools.elements(MAX_POOLS));
                pools.extend(both.zip(kinds).map(|(pool, kind)| (pool, Some(cpu), kind)));
            }
        }
        if let Some(table) = self.variable("unbound_pool_hash") {
            for (number, bucket) in (0..).zip(table.elements(MAX_POOLS)) {
                for entry in self.hlist(bucket.address(), &format!("bucket {number} of the unbound pools")) {
                    let pool = self.container("struct worker_pool", "hash_node", entry);
                    pools.extend(pool.map(|pool| (pool, None, "unbound")));
                }
            }
        }
        pools
    }

    /// Workqueues and the pools of workers that serve them.
    pub fn workqueues(&self) -> WorkqueuesView {
        let pools = self.pools().into_iter().map(|(pool, cpu, kind)| self.pool_row(&pool, cpu, kind)).collect();
        let head = self.variable("workqueues");
        let entries = head.map(|head| self.list(head.address(), "the list of workqueues")).unwrap_or_default();
        let queues = entries.into_iter().filter_map(|entry| self.container("struct workqueue_struct", "list", entry));
        let queues = queues.map(|queue| self.queue_row(&queue)).collect();
        WorkqueuesView { now: self.now(), pools, queues, problems: self.take_problems() }
    }
}

impl WorkRow {
    fn text(&self) -> String {
        let mut text = self.function.clone().unwrap_or_else(|| "?".to_owned());
        if let Some(queue) = &self.queue {
            text.push_str(&format!(" of {queue}"));
        }
        match &self.of {
            Some(of) => text + &format!(" ({of})"),
            None => text + &format!(" ({:#x})", self.address),
        }
    }
}

impl WorkqueuesView {
    /// As tables: pools, what they do, workqueues.
    pub fn text(&self) -> Output {
        let mut out = Output::new();
        let mut table = Table::new([
            "Pool",
            "CPU",
            "Kind",
            "Address",
            "Workers",
            "Idle",
            "Running",
            "Quiet for",
            "Waiting",
            "Flags",
        ]);
        for pool in &self.pools {
            table.row([
                cell(pool.id),
                plain(pool.cpu.map(|cpu| cpu.to_string()).unwrap_or_else(|| "-".to_owned())),
                plain(pool.kind),
                styled(format!("{:#x}", pool.address), Style::Address),
                cell(pool.nr_workers),
                cell(pool.nr_idle),
                cell(pool.nr_running),
                cell(pool.quiet_for),
                plain(pool.worklist.len()),
                plain(pool.flags.as_deref().unwrap_or("?")),
            ]);
        }
        out.append(&table.into_output()).line("");
        let mut table = Table::new(["Pool", "Worker", "Task", "Flags", "Does", "For"]);
        for pool in &self.pools {
            for worker in &pool.workers {
                let mut does = match (&worker.busy, worker.idle_for) {
                    (Some(work), _) => work.text(),
                    (None, Some(_)) => "idle".to_owned(),
                    (None, None) => String::new(),
                };
                if let Some(description) = &worker.description {
                    does.push_str(&format!(", {description:?}"));
                }
                for work in &worker.scheduled {
                    does.push_str(&format!(", then {}", work.text()));
                }
                table.row([
                    cell(pool.id),
                    styled(format!("{:#x}", worker.address), Style::Address),
                    // Work in soft interrupts is done by whatever task they find.
                    styled(worker.task.as_ref().map_or_else(|| "none".to_owned(), TaskRef::to_string), Style::Task),
                    cell(worker.flags.clone()),
                    styled(does, Style::Function),
                    plain(worker.busy_for.or(worker.idle_for).map(|age| age.to_string()).unwrap_or_default()),
                ]);
            }
        }
        out.append(&table.into_output());
        for pool in &self.pools {
            for work in &pool.worklist {
                let pool = pool.id.map_or_else(|| "?".to_owned(), |id| id.to_string());
                out.push(format!("pool {pool} waits to do ")).mark(Style::Function, work.text()).line("");
            }
        }
        out.line("");
        let mut table = Table::new(["Workqueue", "Address", "Active", "Held back", "Flags"]);
        for queue in &self.queues {
            table.row([
                cell(queue.name.clone()),
                styled(format!("{:#x}", queue.address), Style::Address),
                cell(queue.active),
                plain(queue.inactive),
                plain(queue.flags.as_deref().unwrap_or("?")),
            ]);
        }
        out.append(&table.into_output());
        tell_problems(&mut out, &self.problems);
        out
    }
}

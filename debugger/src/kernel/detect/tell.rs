//! What is reported of a suspect, in words: by all that the kernel's debug information says.

use wkdb_tracer::{Frame, GuestTime, ModuleId, RunnerId};

use super::sleepers::{self, WaitsFor};
use super::{Callee, Chain, Host, Landmarks, LostBaton, Seat, Suspect};
use crate::kernel::{Kernel, Object, TaskRef};
use crate::symbols::{TypeId, TypeKind};

/// Lines of one kind that a report has.
const MOST_LINES: usize = 6;

/// Bytes of the kernel's data, from the lowest address on, in which spin locks are looked for.
const LOCKS_UP_TO: u64 = 8 << 20;

/// What Linux, with `CONFIG_DEBUG_SPINLOCK`, and minik keep in a spin lock beside its owner.
const SPINLOCK_MAGIC: u64 = 0xdead_4ead;

/// How deep a member is looked for inside others.
const MAX_DEPTH: usize = 6;

/// Functions that set a timer for whoever sleeps in them.
const TIMED: &[&str] =
    &["schedule_timeout", "schedule_hrtimeout", "nanosleep", "msleep", "usleep_range", "io_schedule_timeout"];

/// What is told of a suspect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// In a line.
    pub headline: String,
    /// More lines.
    pub details: Vec<String>,
    /// Whom it is about: its call stack belongs to the report.
    pub runner: Option<RunnerId>,
    /// The memory that it is about: address and bytes.
    pub area: Option<(u64, u64)>,
}

impl Report {
    fn new(headline: impl Into<String>) -> Report {
        Report { headline: headline.into(), details: Vec::new(), runner: None, area: None }
    }

    fn line(mut self, line: impl Into<String>) -> Report {
        self.details.push(line.into());
        self
    }

    fn on(self, address: u64, len: u64) -> Report {
        Report { area: Some((address, len)), ..self }
    }

    fn by(self, runner: Option<RunnerId>) -> Report {
        Report { runner, ..self }
    }
}

/// The kernel's memory, as detectors read it.
struct Eyes<'k, 'i>(&'k Kernel<'i>);

impl Host for Eyes<'_, '_> {
    fn now(&self) -> GuestTime {
        GuestTime(self.0.now().time_ns.unwrap_or(0))
    }

    fn number(&self, address: u64, size: u64) -> Option<u64> {
        self.0.memory.unsigned(address, size)
    }

    fn seats(&self) -> Vec<Seat> {
        Vec::new()
    }

    fn lost_batons(&self) -> Vec<LostBaton> {
        Vec::new()
    }

    fn frames(&mut self, runner: RunnerId) -> Vec<Frame> {
        self.0.frames(runner).to_vec()
    }
}

/// Tells of a suspect; `None` where the whole of what is known says that nothing is wrong. `lost` are the batons that are
/// lost.
pub fn tell(suspect: &Suspect, kernel: &Kernel<'_>, marks: &Landmarks, lost: &[LostBaton]) -> Option<Report> {
    let teller = Teller { kernel, marks };
    match suspect {
        Suspect::WheelAhead { cpu, base, address } => Some(teller.wheel_ahead(*cpu, *base, *address)),
        Suspect::TimerOverdue { cpu, base, timer, .. } => Some(teller.overdue(*cpu, *base, *timer)),
        Suspect::BadCallback { what, object, pointer, cpu } => {
            Some(teller.bad_callback(*what, *object, *pointer, *cpu))
        }
        Suspect::BrokenChain { what, of, at, next } => Some(teller.broken(*what, *of, *at, *next)),
        Suspect::WrongPool { worker, found, pool, task } => Some(teller.wrong_pool(*worker, *found, *pool, *task)),
        Suspect::WrongWorker { task, worker, found } => {
            let (who, found) = (teller.task(*task), teller.task(*found));
            let text = format!("{who} is a worker, but the task of its worker {worker:#x} is {found}");
            Some(teller.whose(Report::new(text).on(*worker, marks.word), *worker).by(teller.runner(*task)))
        }
        Suspect::NotPending { pool, work } => {
            let text = format!(
                "the work {} is on the worklist of {}, but is not marked as waiting",
                teller.work(*work),
                teller.pool(*pool)
            );
            Some(teller.whose(Report::new(text).on(*work, marks.word), *work))
        }
        Suspect::WorkWaits { pool, work, .. } => Some(teller.work_waits(*pool, *work)),
        Suspect::WorkerStuck { worker, work, task, .. } => {
            let who = teller.task(*task);
            let text = format!("{who} does not get on with its work {}: it sleeps", teller.work(*work));
            let report = Report::new(text).on(*worker, marks.word).by(teller.runner(*task));
            Some(teller.waits(report, *task))
        }
        Suspect::GracePeriod { seq } => Some(teller.grace_period(*seq)),
        Suspect::IdleWithTasks { cpu, .. } => Some(teller.idle_with_tasks(*cpu)),
        Suspect::IdleWithInterrupts { cpu, word } => {
            let text = format!("cpu{cpu} sleeps although interrupts were raised ({word:#x}): nobody has woken it");
            Some(Report::new(text).by(teller.holder(*cpu)))
        }
        Suspect::Spins { runner, task, cpu, since, lock, .. } => {
            Some(teller.spins(*runner, *task, *cpu, *since, *lock))
        }
        Suspect::Baton { cpu, task, at } => {
            let baton = lost.iter().find(|lost| (lost.cpu, lost.task, lost.at) == (*cpu, *task, *at))?;
            Some(teller.baton(baton))
        }
        Suspect::LockCycle { tasks } => teller.lock_cycle(tasks),
        Suspect::OwnerGone { task, lock, owner } => {
            let who = teller.task(*task);
            let name = teller.lock(*lock);
            let text = format!("{who} waits for {name}, whose owner {owner:#x} is gone");
            Some(Report::new(text).on(*lock, marks.word).by(teller.runner(*task)))
        }
        Suspect::NoWaker { task, runner, since } => teller.no_waker(*task, *runner, *since),
    }
}

struct Teller<'t, 'i> {
    kernel: &'t Kernel<'i>,
    marks: &'t Landmarks,
}

impl<'t, 'i> Teller<'t, 'i> {
    fn task_ref(&self, task: u64) -> Option<TaskRef> {
        self.kernel.task_at(task)
    }

    fn task(&self, task: u64) -> String {
        self.task_ref(task).map_or_else(|| format!("{task:#x}"), |task| task.to_string())
    }

    fn runner(&self, task: u64) -> Option<RunnerId> {
        self.kernel.runner(task).map(|task| task.context.runner)
    }

    fn holder(&self, cpu: u32) -> Option<RunnerId> {
        let holds = |task: &&crate::inferior::TaskInfo| task.holds_cpu && task.context.cpu.0 == cpu;
        self.kernel.runners().iter().find(holds).map(|task| task.context.runner)
    }

    fn function(&self, pointer: u64) -> String {
        self.kernel.function(pointer).unwrap_or_else(|| format!("{pointer:#x}"))
    }

    /// A function pointer in words: what is wrong with it.
    fn callee(&self, pointer: u64) -> String {
        match self.kernel.function(pointer) {
            Some(name) => format!("{pointer:#x}, which is {name}, a function of another type"),
            None => format!("{pointer:#x}, where the function table has none"),
        }
    }

    /// What lies at an address, by the name of the variable and the member.
    fn datum(&self, address: u64) -> String {
        self.member_at(address).or_else(|| self.kernel.symbol(address)).unwrap_or_else(|| format!("{address:#x}"))
    }

    /// A lock by its name: its first member is no name of it.
    fn lock(&self, address: u64) -> String {
        match self.kernel.symbols.symbol_at(address) {
            Some((symbol, 0)) => symbol.name.clone(),
            _ => self.datum(address),
        }
    }

    fn member_at(&self, address: u64) -> Option<String> {
        let (symbol, offset) = self.kernel.symbols.symbol_at(address)?;
        let variable = self.kernel.symbols.variables_named(&symbol.name).into_iter().next()?;
        Some(format!("{}{}", symbol.name, self.path(variable.ty, offset, 0)?))
    }

    /// The member of a type that begins at an offset, with its dot.
    fn path(&self, ty: TypeId, offset: u64, depth: usize) -> Option<String> {
        if depth > MAX_DEPTH {
            return None;
        }
        let symbols = &self.kernel.symbols;
        match &symbols.resolve(ty).1.kind {
            TypeKind::Composite(composite) => {
                let inside = |member: &&crate::symbols::Member| {
                    let size = symbols.size_of(member.ty).unwrap_or(0);
                    (member.offset..member.offset + size).contains(&offset)
                };
                let Some(member) = composite.members.iter().find(inside) else {
                    return (offset == 0).then(String::new);
                };
                let rest = self.path(member.ty, offset - member.offset, depth + 1)?;
                // The structure itself is named where its first member is a mere wrapping.
                match (&member.name, depth) {
                    (Some(name), 0) => Some(format!(".{name}{}", if offset == member.offset { "" } else { &rest })),
                    (Some(name), _) => Some(format!(".{name}{rest}")),
                    (None, _) => Some(rest),
                }
            }
            TypeKind::Array { element, .. } => {
                let size = symbols.size_of(*element).filter(|&size| size > 0)?;
                Some(format!("[{}]{}", offset / size, self.path(*element, offset % size, depth + 1)?))
            }
            _ => (offset == 0).then(String::new),
        }
    }

    /// The same report, with whose memory an address is.
    fn whose(&self, report: Report, address: u64) -> Report {
        let text = self.kernel.address(address).text();
        let lines = text.plain().lines().map(str::trim).filter(|line| !line.is_empty()).take(MOST_LINES);
        lines.fold(report, |report, line| report.line(line))
    }

    fn jiffies(&self) -> String {
        self.kernel.short_jiffies().map_or_else(|| "?".to_owned(), |jiffies| jiffies.to_string())
    }

    fn wheel(&self, cpu: u32, base: u64) -> Option<Object<'t, 'i>> {
        self.kernel.per_cpu("timer_bases", cpu)?.index(base)
    }

    fn timers_of(&self, report: Report, cpu: u32, base: u64) -> Report {
        let view = self.kernel.timers();
        let wheels: Vec<_> = view.bases.iter().filter(|row| row.cpu == cpu).collect();
        let Some(row) = wheels.get(base as usize) else { return report };
        let mut report = report.line(format!(
            "clk {}, next_expiry {}, jiffies {}, {} timers wait in it",
            row.clk.unwrap_or(0),
            row.next_expiry.unwrap_or(0),
            self.jiffies(),
            row.timers.len()
        ));
        for timer in row.timers.iter().take(MOST_LINES) {
            let of = timer.of.as_deref().map(|of| format!(" of {of}")).unwrap_or_default();
            let function = timer.function.as_deref().unwrap_or("?");
            let due = timer.due_in.map_or_else(|| "?".to_owned(), |due| format!("{due:+}"));
            report = report.line(format!("{function}{of}, due in {due} jiffies ({:#x})", timer.address));
        }
        report
    }

    fn wheel_ahead(&self, cpu: u32, base: u64, address: u64) -> Report {
        let wheel = self.wheel(cpu, base);
        let clk = wheel.as_ref().and_then(|wheel| wheel.member("clk"));
        let ahead = clk.as_ref().and_then(|clk| clk.unsigned()).zip(self.kernel.short_jiffies());
        let ahead = ahead.map_or(0, |(clk, now)| self.kernel.jiffies_between(clk, now));
        let text = format!(
            "cpu{cpu}'s timer wheel stands still: its clock is {ahead} jiffies ahead, and no timer fires before that"
        );
        let report = Report::new(text);
        let report = match clk {
            Some(clk) => report
                .on(clk.address(), self.marks.word)
                .line(format!("cpu{cpu}'s timer_bases[{base}].clk is at {:#x}", clk.address())),
            None => report.on(address, self.marks.word),
        };
        self.timers_of(report, cpu, base)
    }

    fn overdue(&self, cpu: u32, base: u64, timer: u64) -> Report {
        let object = self.kernel.object("struct timer_list", timer);
        let function = object.as_ref().and_then(|timer| timer.u("function")).map(|pointer| self.function(pointer));
        let function = function.unwrap_or_else(|| format!("{timer:#x}"));
        let row = self.kernel.cpus().cpus.into_iter().find(|row| row.cpu == cpu);
        let until = row
            .and_then(|row| row.until_ns)
            .map_or_else(|| "for ever".to_owned(), |ns| format!("until {}", GuestTime(ns)));
        let text = format!("cpu{cpu}'s timer {function} was due and has not run: the CPU sleeps {until}");
        self.timers_of(Report::new(text).on(timer, self.marks.word), cpu, base).by(self.holder(cpu))
    }

    fn bad_callback(&self, what: Callee, object: u64, pointer: u64, cpu: u32) -> Report {
        let (noun, ty) = match what {
            Callee::Timer => ("timer", "struct timer_list"),
            Callee::Work => ("work", "struct work_struct"),
            Callee::Rcu => ("RCU callback", "struct callback_head"),
        };
        let place = if cpu == u32::MAX { String::new() } else { format!(" of cpu{cpu}") };
        let text = format!("the {noun} {object:#x}{place} is about to call {}", self.callee(pointer));
        let size = self.kernel.type_named(ty).and_then(|ty| self.kernel.symbols.size_of(ty)).unwrap_or(self.marks.word);
        self.whose(Report::new(text).on(object, size), object)
    }

    fn pool(&self, pool: u64) -> String {
        let object = self.kernel.object("struct worker_pool", pool);
        let id = object.as_ref().and_then(|pool| pool.i("id"));
        let cpu = object.as_ref().and_then(|pool| pool.i("cpu")).filter(|&cpu| cpu >= 0);
        match (id, cpu) {
            (Some(id), Some(cpu)) => format!("pool {id} of cpu{cpu}"),
            (Some(id), None) => format!("pool {id}"),
            _ => format!("the pool {pool:#x}"),
        }
    }

    fn work(&self, work: u64) -> String {
        let function = self.kernel.object("struct work_struct", work).and_then(|work| work.u("func"));
        match function.and_then(|pointer| self.kernel.function(pointer)) {
            Some(function) => format!("{function} ({})", self.datum(work)),
            None => self.datum(work),
        }
    }

    fn broken(&self, what: Chain, of: u64, at: u64, next: u64) -> Report {
        let name = match what {
            Chain::Worklist => format!("the worklist of {}", self.pool(of)),
            Chain::Workers => format!("the list of workers of {}", self.pool(of)),
            Chain::Callbacks => format!("cpu{of}'s list of RCU callbacks"),
            Chain::Bucket => format!("a bucket of the timer wheel {}", self.datum(of)),
        };
        let text = format!("{name} is broken: from {at:#x} it leads to {next:#x}, which does not lead back");
        let report = self.whose(Report::new(text).on(at, 2 * self.marks.word), at);
        if next < crate::kernel::LOWEST { report } else { self.whose(report, next) }
    }

    fn wrong_pool(&self, worker: u64, found: u64, pool: Option<u64>, task: u64) -> Report {
        let who = self.task(task);
        let expected =
            pool.map_or_else(|| "no pool that there is".to_owned(), |pool| format!("not {}", self.pool(pool)));
        let text = format!("the pool of the worker {who} is {found:#x}, {expected}");
        let field = self.kernel.type_named("struct worker").and_then(|ty| self.kernel.field(ty, "pool"));
        let at = worker.wrapping_add(field.map_or(0, |field| field.offset));
        let report = Report::new(text).on(at, self.marks.word).line(format!("worker.pool is at {at:#x}"));
        self.whose(report, worker).by(self.runner(task))
    }

    fn work_waits(&self, pool: u64, work: u64) -> Report {
        let text = format!("work waits in {}, and nobody does it: first {}", self.pool(pool), self.work(work));
        let mut report = Report::new(text).on(work, self.marks.word);
        let view = self.kernel.workqueues();
        let Some(row) = view.pools.iter().find(|row| row.address == pool) else { return report };
        for worker in row.workers.iter().take(MOST_LINES) {
            let Some(task) = &worker.task else { continue };
            let does = worker.busy.as_ref().and_then(|work| work.function.clone());
            let does = does.map_or_else(|| "idle".to_owned(), |function| format!("busy with {function}"));
            report = self.waits(report.line(format!("{task}: {does}")), task.address);
        }
        report
    }

    /// The same report, with where a task sleeps.
    fn waits(&self, report: Report, task: u64) -> Report {
        let row = self.kernel.tasks().tasks.into_iter().find(|row| row.task.address == task);
        match row.and_then(|row| Some((row.state_text?, row.waits_in?))) {
            Some((state, place)) => report.line(format!("it waits in {place} ({state})")),
            None => report,
        }
    }

    fn grace_period(&self, seq: u64) -> Report {
        let view = self.kernel.rcu();
        let mut report = Report::new(format!("the RCU grace period {seq} does not end"));
        for cpu in view.cpus.iter().filter(|cpu| cpu.qs_pending == Some(true)).take(MOST_LINES) {
            report = report.line(format!("it waits for cpu{}", cpu.cpu));
        }
        match view.gp_thread {
            Some(thread) => {
                let runner = self.runner(thread.address);
                self.waits(report.line(format!("it is run by {thread}")), thread.address).by(runner)
            }
            None => report,
        }
    }

    fn idle_with_tasks(&self, cpu: u32) -> Report {
        let row = self.kernel.cpus().cpus.into_iter().find(|row| row.cpu == cpu);
        let count = row.as_ref().and_then(|row| row.nr_running).unwrap_or(0);
        let text = format!("cpu{cpu} sleeps although {count} tasks want to run on it: a wake-up was lost");
        let mut report = Report::new(text).by(self.holder(cpu));
        let tasks = self.kernel.tasks().tasks;
        let wants = tasks.iter().filter(|task| task.state == Some('R') && task.cpu == Some(cpu.into()) && task.listed);
        for task in wants.take(MOST_LINES) {
            report = report.line(format!("{} could run", task.task));
        }
        report
    }

    fn baton(&self, lost: &LostBaton) -> Report {
        let LostBaton { cpu, comm, task, at, to, .. } = lost;
        let how = match to {
            Some(to) => format!("{comm} ({task:#x}) switched to the task {to:#x}, which has no runner"),
            None => format!("{comm} ({task:#x}) took its baton along when it was destroyed"),
        };
        let mut report = Report::new(format!("nobody runs on cpu{cpu} any more: {how}"));
        report = match to {
            Some(to) => report.line(format!("that was at {at}; whose task {to:#x} was, nobody knows any more")),
            None => report.line(format!(
                "it was destroyed at {at}, by its own wasm_release_task, before it had switched to another task"
            )),
        };
        let rows = self.kernel.tasks().tasks;
        let waiting: Vec<_> = rows.iter().filter(|row| row.cpu == Some((*cpu).into()) && row.listed).collect();
        report =
            report.line(format!("{} tasks of cpu{cpu} never run again, nor do its timers and its work", waiting.len()));
        for row in waiting.iter().filter(|row| row.state == Some('R')).take(MOST_LINES) {
            report = report.line(format!("{} could run", row.task));
        }
        report.line("the timer wheel is not the cause: its timers wait for the CPU")
    }

    fn stack_names(&self, runner: RunnerId) -> Vec<String> {
        let frames = self.kernel.frames(runner);
        let kernel = frames.iter().take_while(|frame| frame.address.module == ModuleId::KERNEL);
        kernel.map(|frame| self.kernel.symbols.function_name(frame.function)).collect()
    }

    fn spins(&self, runner: RunnerId, task: u64, cpu: u32, since: GuestTime, lock: bool) -> Report {
        let who = self.task(task);
        let names = self.stack_names(runner);
        let path = names.iter().take(4).cloned().collect::<Vec<_>>().join(" < ");
        let what = if lock { "a spin lock that it does not get" } else { "a loop of the kernel" };
        let text = format!("cpu{cpu} only spins: {who} in {what}, in {path}");
        let mut report = Report::new(text).line(format!("it has had the CPU since {since}")).by(Some(runner));
        if !lock {
            return report;
        }
        for held in self.held_locks() {
            let owner = self.task(held.1);
            let state = match self.kernel.runner(held.1) {
                None => " (it is gone)".to_owned(),
                Some(info) if info.holds_cpu => {
                    let names = self.stack_names(info.context.runner);
                    let in_lock = self.in_lock(&self.kernel.frames(info.context.runner));
                    let does = if in_lock { "spins as well, in" } else { "runs, in" };
                    format!(
                        " on {}, which {does} {}",
                        info.context.cpu,
                        names.iter().take(3).cloned().collect::<Vec<_>>().join(" < ")
                    )
                }
                Some(_) => " (it does not run)".to_owned(),
            };
            let own = if held.1 == task { " itself" } else { "" };
            report = report.line(format!(
                "{} is held by {owner}{own}{}",
                self.datum(held.0),
                if own.is_empty() { state } else { String::new() }
            ));
        }
        report
    }

    fn in_lock(&self, frames: &[Frame]) -> bool {
        frames.iter().take(4).any(|frame| {
            frame.address.module == ModuleId::KERNEL && self.marks.spinning.binary_search(&frame.function).is_ok()
        })
    }

    /// The spin locks in the kernel's data that are held, with their owners, of kernels whose locks know them.
    fn held_locks(&self) -> Vec<(u64, u64)> {
        let Some(ty) = self.kernel.type_named("struct raw_spinlock") else { return Vec::new() };
        let offset = |path| self.kernel.field(ty, path).map(|field| field.offset);
        let (Some(magic), Some(owner)) = (offset("magic"), offset("owner")) else { return Vec::new() };
        let mut held = Vec::new();
        let mut at = 0;
        while at < LOCKS_UP_TO && held.len() < MOST_LINES {
            const CHUNK: usize = 1 << 16;
            let Some(bytes) = self.kernel.memory.bytes(at, CHUNK) else { break };
            for (number, word) in (0..).zip(bytes.chunks_exact(4)) {
                if word != (SPINLOCK_MAGIC as u32).to_le_bytes() {
                    continue;
                }
                let lock = (at + 4 * number).wrapping_sub(magic);
                let who = self.kernel.memory.unsigned(lock.wrapping_add(owner), self.marks.word).unwrap_or(0);
                if who != 0 && who != self.kernel.long_mask() {
                    held.push((lock, who));
                }
            }
            at += CHUNK as u64;
        }
        held
    }

    /// What a task waits for.
    fn wanted(&self, task: u64) -> Option<WaitsFor> {
        let all: Vec<u64> = self.kernel.runners().iter().map(|runner| runner.context.task.0).collect();
        sleepers::waits_for(&Eyes(self.kernel), self.marks, task, &all)
    }

    fn lock_cycle(&self, tasks: &[u64]) -> Option<Report> {
        let mut lines = Vec::new();
        let mut area = None;
        for &task in tasks {
            let wanted = self.wanted(task)?;
            let kind = self.marks.locks.get(wanted.kind)?;
            let runner = self.runner(task)?;
            let names = self.stack_names(runner);
            // What looks like a lock, by its owner, is one only where somebody takes it.
            names.iter().find(|name| name.contains(&kind.taker))?;
            let place =
                names.iter().find(|name| !crate::kernel::tasks::is_scheduler(name)).cloned().unwrap_or_default();
            area.get_or_insert((wanted.lock, self.marks.word));
            let (who, lock, owner) = (self.task(task), self.lock(wanted.lock), self.task(wanted.owner));
            lines.push(format!("{who} waits in {place} for {lock}, a {}, which {owner} holds", kind.name));
        }
        let names: Vec<String> = tasks.iter().map(|&task| self.task(task)).collect();
        let text = match &names[..] {
            [one] => format!("{one} waits for a lock that it holds itself"),
            _ => format!("deadlock: {} wait for each other's locks", names.join(" and ")),
        };
        let runner = tasks.first().and_then(|&task| self.runner(task));
        Some(Report { headline: text, details: lines, runner, area })
    }

    fn no_waker(&self, task: u64, runner: RunnerId, since: GuestTime) -> Option<Report> {
        let names = self.stack_names(runner);
        if names.is_empty() || names.iter().any(|name| TIMED.iter().any(|timed| name.contains(timed))) {
            return None;
        }
        let place = names.iter().find(|name| !crate::kernel::tasks::is_scheduler(name)).or(names.last())?;
        let who = self.task(task);
        let text =
            format!("{who} sleeps in {place}, and nothing will wake it: no timer, no list of those who wait knows it");
        let mut report = Report::new(text)
            .on(task, self.marks.word)
            .by(Some(runner))
            .line(format!("it had the CPU last at {since}, and is in a state that no signal ends"))
            .line("it can only be woken by who has kept a pointer to it, and has not done so: a wake-up may have come too early");
        for place in self.pointers_to(task) {
            report = report.line(format!("{place} points to it"));
        }
        Some(report)
    }

    /// Variables of the kernel's that point to a task.
    fn pointers_to(&self, task: u64) -> Vec<String> {
        let mut found = Vec::new();
        let word = self.marks.word as usize;
        let mut at = 0_u64;
        while at < LOCKS_UP_TO && found.len() < MOST_LINES {
            const CHUNK: usize = 1 << 16;
            let Some(bytes) = self.kernel.memory.bytes(at, CHUNK) else { break };
            for (number, value) in (0_u64..).zip(bytes.chunks_exact(word)) {
                let value = value.iter().rev().fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
                let address = at + number * word as u64;
                if value == task
                    && found.len() < MOST_LINES
                    && let Some(name) = self.member_at(address).filter(|name| !name.starts_with("__per_cpu"))
                {
                    found.push(name);
                }
            }
            at += CHUNK as u64;
        }
        found
    }
}

//! Tells what goes on in a run that is traced. It changes nothing: records are told beside all else, and a profile's
//! samples end parts of slices, which the guest cannot see.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wkdb_tracer::trace::syscalls::{Kind, MAX_DATA, Syscall};
use wkdb_tracer::trace::{Category, Record, TraceWhat, WakeCause};
use wkdb_tracer::{CodeOffset, Cpu, Frame, GuestTime, ModuleId, RunnerId, TaskId, Tick};

use super::core::Core;
use crate::contract::KernelModule;
use crate::instrument::{InstrumentError, Probes, probed};

/// The functions through which system calls enter a kernel, by the contract.
pub(super) const SYSCALL_ENTRIES: &str = "wasm_syscall_?";
/// Arguments of a system call's entry before its own: stack pointer, thread pointer, number.
const SYSCALL_HEAD: usize = 3;
/// The longest `comm` that is read, in bytes.
const MAX_COMM: u64 = 64;

/// Patterns of functions that raise interrupts (`raise_interrupt` is the contract's) and that handle them, in the kernels
/// that are known.
pub const IRQ_FUNCTIONS: [&str; 9] = [
    "raise_interrupt",
    "take_irqs",
    "do_irqs",
    "wasm_handle_ipis",
    "wasm_timer_interrupt",
    "tick_handle_irq",
    "generic_handle_irq*",
    "generic_handle_domain_irq*",
    "generic_smp_call_function_interrupt",
];

/// What is told of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceConfig {
    /// What kinds of things.
    pub categories: BTreeSet<Category>,
    /// Patterns of functions whose entry and exit are told, with `*` and `?`.
    pub functions: Vec<String>,
    /// Instructions of the kernel that are told when they are reached.
    pub points: Vec<CodeOffset>,
    /// Where the code is, every so many ticks.
    pub sample: Option<u64>,
    /// Where tasks have their names and numbers, if the kernel's debug information says.
    pub layout: Option<TaskLayout>,
}

/// Where a `task_struct` has its name and number, in bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskLayout {
    /// `comm`.
    pub comm: u64,
    /// How long that is.
    pub comm_len: u64,
    /// `pid`, of 4 bytes.
    pub pid: u64,
}

impl TraceConfig {
    /// The functions that need probes.
    pub fn probes(&self) -> Probes {
        let has = |category| self.categories.contains(&category);
        let syscalls = has(Category::Syscall).then_some(SYSCALL_ENTRIES);
        let irqs = IRQ_FUNCTIONS.into_iter().filter(|_| has(Category::Irq));
        let functions = Probes::of(self.functions.iter().map(String::as_str).chain(syscalls).chain(irqs));
        functions.with_points(self.points.iter().copied())
    }
}

/// A name that a task was told to have.
struct Known {
    task: TaskId,
    comm: String,
    idle: bool,
}

/// What a machine that is traced has to remember.
pub(super) struct Tracer {
    config: TraceConfig,
    /// The kernel's entries of system calls, ascending.
    syscalls: Vec<u32>,
    known: BTreeMap<RunnerId, Known>,
    /// When the next sample is due, and when the last one was taken.
    next_sample: Tick,
    last_sample: Tick,
    /// Bits of an address.
    wide: bool,
}

impl Tracer {
    /// # Errors
    ///
    /// Where the kernel's functions cannot be read.
    pub(super) fn new(config: &TraceConfig, kernel: &KernelModule, bytes: &[u8]) -> Result<Tracer, InstrumentError> {
        let syscalls = match config.categories.contains(&Category::Syscall) {
            true => probed(bytes, Probes::of([SYSCALL_ENTRIES]))?.into_iter().map(|(index, _)| index).collect(),
            false => Vec::new(),
        };
        Ok(Tracer {
            config: config.clone(),
            syscalls,
            known: BTreeMap::new(),
            next_sample: Tick(config.sample.map_or(u64::MAX, |every| every.max(1))),
            last_sample: Tick(0),
            wide: kernel.width.bytes() == 8,
        })
    }
}

impl Core {
    /// Whether this kind of thing is told.
    pub(super) fn traces(&self, category: Category) -> bool {
        self.tracer.as_ref().is_some_and(|tracer| tracer.config.categories.contains(&category))
    }

    /// Tells something; its task's name first, if that is another than was told.
    pub(super) fn trace(&mut self, runner: RunnerId, what: TraceWhat) {
        self.trace_name(runner);
        let cpu = self.runners.get(runner).map_or(Cpu(0), |runner| runner.cpu);
        self.tell_record(Record { tick: self.ticks, time: self.now, runner, cpu, what });
    }

    /// Tells the name of a task if it is another than was told.
    fn trace_name(&mut self, runner: RunnerId) {
        let Some(tracer) = &mut self.tracer else { return };
        let (Some(layout), Some(known)) = (tracer.config.layout, tracer.known.get_mut(&runner)) else { return };
        let at = |offset: u64| known.task.0.checked_add(offset);
        let Some(comm) = at(layout.comm).map(|at| self.memory.read_cstr(at, layout.comm_len.min(MAX_COMM))) else {
            return;
        };
        // A task that is being made has none yet.
        if comm.is_empty() || comm == known.comm.as_bytes() {
            return;
        }
        known.comm = String::from_utf8_lossy(&comm).into_owned();
        let pid = at(layout.pid).and_then(|at| self.memory.read_u32(at).ok());
        let what = TraceWhat::Task { task: known.task, comm: known.comm.clone(), pid, idle: known.idle };
        let cpu = self.runners.get(runner).map_or(Cpu(0), |runner| runner.cpu);
        self.tell_record(Record { tick: self.ticks, time: self.now, runner, cpu, what });
    }

    /// A runner was created.
    pub(super) fn trace_born(&mut self, runner: RunnerId) {
        let Some(tracer) = &mut self.tracer else { return };
        let Some(born) = self.runners.get(runner) else { return };
        let (task, comm, idle, cpu) = (born.task, born.comm.clone(), born.idle, born.cpu);
        let layout = tracer.config.layout;
        let pid = layout.and_then(|layout| task.0.checked_add(layout.pid)).and_then(|at| self.memory.read_u32(at).ok());
        tracer.known.insert(runner, Known { task, comm: comm.clone(), idle });
        let what = TraceWhat::Task { task, comm, pid, idle };
        self.tell_record(Record { tick: self.ticks, time: self.now, runner, cpu, what });
        if self.traces(Category::Sched) {
            self.trace(runner, TraceWhat::Born { by: None });
        }
    }

    /// A runner was released.
    pub(super) fn trace_gone(&mut self, runner: RunnerId) {
        if self.tracer.is_some() {
            // Also where only calls are told: its calls end with it.
            self.trace(runner, TraceWhat::Gone);
        }
        if let Some(tracer) = &mut self.tracer {
            // Its memory may be another's now.
            tracer.known.remove(&runner);
        }
    }

    /// `runner` hands its CPU to a task.
    pub(super) fn trace_switch(&mut self, runner: RunnerId, task: TaskId) {
        if self.traces(Category::Sched) {
            let next = self.runners.of_task(task);
            if let Some(next) = next {
                self.trace_name(next);
            }
            self.trace(runner, TraceWhat::Switch { next, task });
        }
    }

    /// `runner` begins to wait.
    pub(super) fn trace_wait(&mut self, runner: RunnerId, address: u64, deadline: GuestTime) {
        if self.traces(Category::Wake) {
            self.trace(runner, TraceWhat::Wait { address, deadline });
        }
    }

    /// `runner` is about to wake up to `count` of those that wait on an address.
    pub(super) fn trace_notify(&mut self, runner: RunnerId, address: u64, count: u32) {
        if self.traces(Category::Wake) {
            let woken: Vec<RunnerId> = self.runners.waiting_on(address).take(count as usize).collect();
            for woken in woken {
                self.trace(runner, TraceWhat::Wake { woken, cause: WakeCause::Notify { address } });
            }
        }
    }

    /// Waits are about to time out.
    pub(super) fn trace_timeouts(&mut self) {
        if self.traces(Category::Wake) {
            let due: Vec<RunnerId> = self.runners.due(self.now).collect();
            for woken in due {
                self.trace(woken, TraceWhat::Wake { woken, cause: WakeCause::Timeout });
            }
        }
    }

    /// The guest prints, or reads what was typed.
    pub(super) fn trace_console(&mut self, runner: RunnerId, bytes: &[u8], read: bool) {
        if self.traces(Category::Console) && !bytes.is_empty() {
            let bytes = bytes.to_vec();
            self.trace(runner, if read { TraceWhat::Input(bytes) } else { TraceWhat::Console(bytes) });
        }
    }

    /// A function that has a probe was entered.
    pub(super) fn trace_enter(&mut self, runner: RunnerId, module: ModuleId, function: u32, args: &[u64]) {
        let what = match self.is_syscall(module, function) && args.len() >= SYSCALL_HEAD {
            true => self.syscall(args),
            false => TraceWhat::Enter { module, function, args: args.to_vec() },
        };
        self.trace(runner, what);
    }

    /// It returned.
    pub(super) fn trace_exit(&mut self, runner: RunnerId, module: ModuleId, function: u32, result: Option<u64>) {
        let what = match self.is_syscall(module, function) {
            true => TraceWhat::SyscallExit { result: result.unwrap_or(0) },
            false => TraceWhat::Exit { module, function, result },
        };
        self.trace(runner, what);
    }

    fn is_syscall(&self, module: ModuleId, function: u32) -> bool {
        let entries = self.tracer.as_ref().map_or(&[][..], |tracer| &tracer.syscalls);
        module == ModuleId::KERNEL && entries.binary_search(&function).is_ok()
    }

    /// A system call with what its arguments point at.
    fn syscall(&self, args: &[u64]) -> TraceWhat {
        let (number, args) = (args[SYSCALL_HEAD - 1] as u32, &args[SYSCALL_HEAD..]);
        let wide = self.tracer.as_ref().is_some_and(|tracer| tracer.wide);
        let word = |arg: u64| if wide { arg } else { u64::from(arg as u32) };
        let mut data = Vec::new();
        for (n, kind) in Syscall::of(number).iter().flat_map(Syscall::kinds).take(args.len()).enumerate() {
            let len = args.get(n + 1).map_or(0, |&len| word(len)).min(MAX_DATA as u64);
            match kind {
                Kind::Path => data.push(self.memory.read_cstr(word(args[n]), MAX_DATA as u64)),
                Kind::Buffer => data.push(self.memory.read_vec(word(args[n]), len).unwrap_or_default()),
                _ => {}
            }
        }
        TraceWhat::Syscall { number, args: args.to_vec(), data }
    }

    /// When the next sample of a profile is due.
    pub(super) fn next_sample(&self) -> Option<u64> {
        let tracer = self.tracer.as_ref()?;
        tracer.config.sample.map(|_| tracer.next_sample.0)
    }

    /// Whether it is due now.
    pub(super) fn sample_due(&self) -> bool {
        self.next_sample().is_some_and(|at| self.ticks.0 >= at)
    }

    /// The code that has run last is here.
    pub(super) fn trace_sample(&mut self, runner: RunnerId, stack: Vec<Frame>) {
        let now = self.ticks;
        let Some(tracer) = &mut self.tracer else { return };
        let every = tracer.config.sample.unwrap_or(u64::MAX).max(1);
        let ticks = now.0.saturating_sub(tracer.last_sample.0);
        tracer.last_sample = now;
        tracer.next_sample = Tick((now.0 / every + 1).saturating_mul(every));
        self.trace(runner, TraceWhat::Sample { ticks, stack });
    }
}

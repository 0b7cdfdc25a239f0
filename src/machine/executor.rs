//! The executor: one loop that resumes one fiber after the other.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use wkdb_tracer::recording::{Entry as Recorded, Intervention, OpenError};
use wkdb_tracer::{Event, Frame, GuestTime, ModuleId, Outcome, RunnerId, RunnerReport, RunnerState, Tick, Totals};

use super::config::{MachineConfig, Pace, WatchRange};
use super::console::Console;
use super::core::{Core, Entry, Output};
use super::host::{self, Shared, life};
use super::images::Images;
use super::journal::{Journal, JournalConfig};
use super::memory::{GuestMemory, MemoryError};
use super::table::Table;
use super::{engine, watch::WatchSet};
use crate::code_cache::{CodeError, CodeStore, Role, Variant, compile};
use crate::condition::Condition;
use crate::contract::{ContractError, KernelModule};
use crate::script::{Script, ScriptError, ScriptRun};

/// Bytes of the kernel's `boot_command_line`, with the NUL.
pub const COMMAND_LINE_SIZE: usize = 512;

/// What a machine can be told while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Bytes typed at the console.
    Input(Vec<u8>),
    /// End the run.
    Quit,
}

/// The one who runs a machine: takes what it tells, gives what it is told.
pub trait Port {
    /// Takes something that the machine tells.
    fn output(&mut self, output: Output);

    /// Commands that have come. Waits for one for at most `wait`; called often with none, which must be cheap.
    fn commands(&mut self, wait: Option<Duration>) -> Vec<Command>;
}

/// Why there is no machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A file cannot be read.
    #[error("cannot read {what} {}: {error}", path.display())]
    Read {
        /// What it was to be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The kernel does not follow the contract.
    #[error("{}: {error}", path.display())]
    Contract {
        /// The kernel.
        path: PathBuf,
        /// How.
        error: ContractError,
    },
    /// The kernel cannot be compiled.
    #[error("{}: {error}", path.display())]
    Code {
        /// The kernel.
        path: PathBuf,
        /// Why not.
        error: CodeError,
    },
    /// No memory for it.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The command line is too long.
    #[error("the kernel command line has {0} bytes and there is room for {max}", max = COMMAND_LINE_SIZE - 1)]
    CommandLine(usize),
    /// The input script has a mistake.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// A watch without a byte.
    #[error("a watched range of 0 bytes at {0:#x}: give a length of at least 1")]
    EmptyWatch(u64),
    /// A watch of what is no memory.
    #[error(
        "a watched range of {len} bytes at {address:#x} is outside: the guest's memory can grow to {limit:#x} bytes"
    )]
    WatchOutside {
        /// Its first byte.
        address: u64,
        /// Its length in bytes.
        len: u64,
        /// The most bytes that the guest's memory can have.
        limit: u64,
    },
    /// The recording cannot be replayed.
    #[error("{}: {error}", path.display())]
    Recording {
        /// It.
        path: PathBuf,
        /// Why not.
        error: OpenError,
    },
    /// Wasmtime does not work here.
    #[error("Wasmtime cannot be set up: {0}")]
    Engine(String),
}

type Fiber = Pin<Box<dyn Future<Output = ()>>>;

/// A guest kernel that runs.
pub struct Machine {
    shared: Rc<Shared>,
    fibers: Table<Fiber>,
    /// User images whose bytes were given to the port.
    shown: BTreeSet<ModuleId>,
    /// When guest time 0 was, for [`Pace::Real`].
    epoch: Instant,
    /// Of a run that is recorded or replayed.
    journal: Option<Journal>,
    /// Commands that interrupted an idle wait: their turn is between slices.
    waiting: Vec<Command>,
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, MachineError> {
    std::fs::read(path).map_err(|error| MachineError::Read { what, path: path.to_owned(), error })
}

fn journal(config: &JournalConfig) -> Result<Journal, MachineError> {
    let path = config.replay.clone().unwrap_or_default();
    Journal::new(config).map_err(|error| MachineError::Recording { path, error })
}

fn watches(config: &MachineConfig, limit: u64) -> Result<WatchSet, MachineError> {
    let mut watches = WatchSet::default();
    for &WatchRange { address, len } in &config.watch {
        if len == 0 {
            return Err(MachineError::EmptyWatch(address));
        }
        let end = address.checked_add(len).filter(|&end| end <= limit);
        let end = end.ok_or(MachineError::WatchOutside { address, len, limit })?;
        // Guest memory is zero before the first instruction.
        watches.add(address..end, vec![0; len as usize]);
    }
    Ok(watches)
}

impl Machine {
    /// A machine at tick 0, with the kernel's code loaded (compiled on this thread, if it is not in the cache).
    ///
    /// # Errors
    ///
    /// Where a file is missing, the kernel breaks the contract, or there is no room for it.
    pub fn new(config: MachineConfig) -> Result<Machine, MachineError> {
        let kernel = Rc::new(read("the kernel", &config.kernel)?);
        let initrd = config.initrd.as_deref().map(|path| read("the initramfs", path)).transpose()?;
        if config.command_line.len() >= COMMAND_LINE_SIZE {
            return Err(MachineError::CommandLine(config.command_line.len()));
        }
        let contract_error = |error| MachineError::Contract { path: config.kernel.clone(), error };
        let module = KernelModule::parse(&kernel).map_err(contract_error)?;
        let script = config.script.as_deref().map(Script::parse).transpose()?.map(ScriptRun::new);
        let memory = GuestMemory::new(module.memory.min_pages, module.memory.max_pages)?;

        let engine_error = |e: wasmtime::Error| MachineError::Engine(format!("{e:#}"));
        let engine = engine::running(config.engine, &memory).map_err(engine_error)?;
        let variant = Variant { stores: config.store_checks || !config.watch.is_empty() };
        let store = config.cache.as_ref().and_then(|cache| CodeStore::open_at(&cache.directory, cache.limit).ok());
        let code_error = |error| MachineError::Code { path: config.kernel.clone(), error };
        let code = compile::find_or_compile(&engine, &kernel, Role::Kernel, variant, store.as_ref());
        let loaded = code.and_then(|code| code.load(&engine)).map_err(code_error)?;
        let linker = host::linker(&engine, &loaded.module).map_err(engine_error)?;
        let instance = linker.instantiate_pre(&loaded.module).map_err(engine_error)?;
        let images = Images::new(engine.clone(), variant, store, loaded, kernel);

        let wanted = config.until.iter().filter_map(|c| match c {
            Condition::Console(text) => Some(text.clone()),
            _ => None,
        });
        let console = Console::new(script, wanted);
        let journal = config.journal.as_ref().map(journal).transpose()?;
        let watches = watches(&config, memory.limit())?;
        let mut core = Core::new(config, memory.clone(), initrd, console);
        core.watches = watches;
        let init_task = wkdb_tracer::TaskId(module.data_symbol("init_task").unwrap_or(0));
        core.spawn(init_task, "swapper/0".into(), wkdb_tracer::Cpu(0), true, Entry::Boot);
        let shared = Shared {
            core: core.into(),
            images: images.into(),
            memory,
            engine,
            linker,
            kernel: instance,
            clones: Default::default(),
            boot_data: life::BootData::of(&module),
        };
        Ok(Machine {
            shared: Rc::new(shared),
            fibers: Table::default(),
            shown: BTreeSet::new(),
            epoch: Instant::now(),
            journal,
            waiting: Vec::new(),
        })
    }

    /// The guest's memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.shared.memory
    }

    /// The original bytes of a module of the guest's.
    fn module_bytes(&self, module: ModuleId) -> Option<Vec<u8>> {
        Some(self.shared.images.borrow().get(module)?.original.to_vec())
    }

    /// What the run amounts to so far.
    pub fn totals(&self) -> Totals {
        self.shared.core.borrow().totals()
    }

    /// Runs until something ends the run.
    pub fn run(&mut self, port: &mut dyn Port) -> Outcome {
        self.epoch = Instant::now();
        loop {
            self.settle(port);
            let stop = self.shared.core.borrow().stop.clone();
            if let Some(outcome) = stop {
                let modules = outcome.reports().iter().flat_map(|r| &r.stack).map(|f| f.address.module).collect();
                self.show_modules(modules, port);
                return outcome;
            }
            self.keep_journal(port);
            let waiting = std::mem::take(&mut self.waiting);
            for command in waiting.into_iter().chain(port.commands(None)) {
                self.obey(command, port);
            }
            self.keep_time();
            self.notice_spin();
            if self.shared.core.borrow().stop.is_some() {
                continue;
            }
            let picked = {
                let mut core = self.shared.core.borrow_mut();
                let core = &mut *core;
                let runnable = core.runners.runnable();
                (!runnable.is_empty()).then(|| core.scheduler.pick(runnable, core.ticks))
            };
            match picked {
                Some((runner, slice)) => self.resume(runner, slice),
                None => self.idle(port),
            }
        }
    }

    /// Takes over what the last slice left: what it told, runners born and dead.
    fn settle(&mut self, port: &mut dyn Port) {
        let (born, dead, output) = {
            let mut core = self.shared.core.borrow_mut();
            (core.take_born(), core.runners.bury(), core.take_output())
        };
        if let Some(journal) = &mut self.journal
            && let Some(position) = journal.before(&self.shared.core.borrow(), &output)
        {
            port.output(position);
        }
        for (id, entry) in born {
            self.fibers.insert(id, Box::pin(life::live(self.shared.clone(), id, entry)));
        }
        for id in dead {
            self.fibers.remove(id);
            self.shared.core.borrow_mut().scheduler.forget(id);
        }
        for output in output {
            if let Output::Event(event) = &output {
                self.show_modules(event.stack().iter().map(|f| f.address.module).collect(), port);
            }
            port.output(output);
        }
    }

    /// Gives the bytes of user images before anything is told of their code.
    fn show_modules(&mut self, modules: BTreeSet<ModuleId>, port: &mut dyn Port) {
        for module in modules {
            if module != ModuleId::KERNEL
                && self.shown.insert(module)
                && let Some(bytes) = self.module_bytes(module)
            {
                port.output(Output::Module { module, bytes });
            }
        }
    }

    /// Does what is due for a recording here.
    fn keep_journal(&mut self, port: &mut dyn Port) {
        if let Some(journal) = &mut self.journal {
            let told = journal.keep(&mut self.shared.core.borrow_mut());
            told.into_iter().for_each(|output| port.output(output));
        }
    }

    /// Takes over what came from outside.
    fn obey(&mut self, command: Command, port: &mut dyn Port) {
        let entry = match command {
            Command::Input(bytes) => Recorded::Input(bytes),
            Command::Quit => Recorded::Intervention(Intervention::Quit),
        };
        let mut core = self.shared.core.borrow_mut();
        match &mut self.journal {
            Some(journal) => journal.take(&mut core, entry).into_iter().for_each(|output| port.output(output)),
            None => core.take_over(&entry),
        }
    }

    /// Fires what is due, and ends the run where a limit is reached.
    fn keep_time(&mut self) {
        let mut core = self.shared.core.borrow_mut();
        let core = &mut *core;
        let now = core.now;
        core.runners.expire(now);
        core.console.advance(now);
        core.check_script();
        for condition in &core.config.until {
            let reached = match condition {
                Condition::Tick(tick) => core.ticks >= *tick,
                Condition::Time(time) => now >= *time,
                _ => false,
            };
            if reached {
                let outcome = Outcome::Until(condition.to_string());
                core.stop.get_or_insert(outcome);
            }
        }
        if core.config.max_time.is_some_and(|limit| now >= limit) {
            match core.console.script_waits_for() {
                Some(_) => core.stop_script("was not printed before the run's time limit"),
                None => core.stop(Outcome::MaxTime),
            }
        }
    }

    /// Ends the run of a machine in which tasks run, but nothing comes of it.
    fn notice_spin(&mut self) {
        {
            let core = self.shared.core.borrow();
            let idle = core.runners.runnable().is_empty();
            if idle || core.now <= core.progress.after_ns(core.config.stall_ns) {
                return;
            }
        }
        let mut reports = self.reports();
        reports.retain(|report| report.state == RunnerState::Runnable);
        self.shared.core.borrow_mut().stop(Outcome::Spin(reports));
    }

    /// Gives `runner` a slice.
    fn resume(&mut self, runner: RunnerId, slice: u32) {
        {
            let mut core = self.shared.core.borrow_mut();
            core.slice = core.cut(slice);
        }
        let Some(fiber) = self.fibers.get_mut(runner) else {
            self.shared.core.borrow_mut().stop(Outcome::Broken(format!("{runner} has no fiber")));
            return;
        };
        if let Poll::Ready(()) = poll(fiber) {
            self.fibers.remove(runner);
            self.shared.core.borrow_mut().runners.destroy(runner);
        }
        self.notice_hog(runner);
    }

    /// Reports a task that has held its CPU for long: in the kernel, or while others wait for it.
    fn notice_hog(&mut self, runner: RunnerId) {
        let (for_ns, others) = {
            let core = self.shared.core.borrow();
            let Some(r) = core.runners.get(runner) else { return };
            let for_ns = core.now.0.saturating_sub(r.since.0);
            if r.reported || r.state != RunnerState::Runnable || for_ns < core.config.stall_ns {
                return;
            }
            (for_ns, core.runners.others_switched_out(r.cpu))
        };
        let stack = self.stack(runner);
        let in_kernel = stack.first().is_some_and(|frame| frame.address.module == ModuleId::KERNEL);
        let mut core = self.shared.core.borrow_mut();
        if let Some(r) = core.runners.get_mut(runner) {
            r.reported = true;
        }
        if in_kernel || others > 0 {
            let context = core.context(runner);
            core.tell(Event::Hog { context, for_ns, others, stack });
        }
    }

    /// Nobody can run: goes to the next moment at which somebody can.
    fn idle(&mut self, port: &mut dyn Port) {
        let (next, pace) = {
            let core = self.shared.core.borrow();
            let replayed = self.journal.as_ref().and_then(|journal| journal.next_time(&core));
            let next = [core.runners.next_deadline(), core.console.next_wakeup(), replayed];
            let next = next.into_iter().flatten().min();
            (next.map(|next| core.limits().fold(next, GuestTime::min)), core.config.pace)
        };
        let Some(next) = next else {
            let reports = self.reports();
            self.shared.core.borrow_mut().stop(Outcome::Deadlock(reports));
            return;
        };
        if pace == Pace::Real {
            let ahead = Duration::from_nanos(next.0).checked_sub(self.epoch.elapsed());
            if let Some(ahead) = ahead.filter(|a| !a.is_zero()) {
                self.waiting = port.commands(Some(ahead));
            }
        }
        // What interrupts the wait comes at this moment; nothing is due before it.
        let now = if self.waiting.is_empty() { next } else { next.min(self.epoch.elapsed().into()) };
        let mut core = self.shared.core.borrow_mut();
        core.now = core.now.max(now);
        // A machine that spins never comes here.
        core.progress();
    }

    /// The present call stack of one runner.
    fn stack(&mut self, runner: RunnerId) -> Vec<Frame> {
        let started = self.shared.core.borrow().runners.get(runner).is_some_and(|r| r.started);
        let Some(fiber) = self.fibers.get_mut(runner).filter(|_| started) else { return Vec::new() };
        self.shared.core.borrow_mut().stacks_wanted = true;
        // A question is not a wake-up: the fiber answers and suspends again.
        let _ = poll(fiber);
        let mut core = self.shared.core.borrow_mut();
        core.stacks_wanted = false;
        core.stacks.get(&runner).cloned().unwrap_or_default()
    }

    /// Every runner and where it is.
    pub fn reports(&mut self) -> Vec<RunnerReport> {
        let ids = self.shared.core.borrow().runners.ids();
        for id in ids {
            self.stack(id);
        }
        self.shared.core.borrow().reports()
    }
}

fn poll(fiber: &mut Fiber) -> Poll<()> {
    fiber.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

impl Core {
    /// Moments at which the run ends.
    fn limits(&self) -> impl Iterator<Item = GuestTime> {
        let until = self.config.until.iter().filter_map(|c| match c {
            Condition::Time(time) => Some(*time),
            _ => None,
        });
        until.chain(self.config.max_time)
    }

    /// A slice that ends at the tick or the moment at which the run ends, if it would go past it.
    fn cut(&self, slice: u32) -> u32 {
        let by_tick = self.config.until_tick().map(|Tick(tick)| tick.saturating_sub(self.ticks.0));
        let ns_per_tick = u64::from(self.config.ns_per_tick.max(1));
        let by_time = self.limits().min().map(|end| end.0.saturating_sub(self.now.0).div_ceil(ns_per_tick));
        let cut = [by_tick, by_time].into_iter().flatten().fold(u64::from(slice), u64::min);
        u32::try_from(cut.max(1)).unwrap_or(slice)
    }
}

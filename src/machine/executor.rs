//! The executor: one loop that resumes one fiber after the other.

use std::collections::{BTreeSet, VecDeque};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use wkdb_debugger::inferior::{InferiorError, StopReason, WatchId, WatchSpec};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::recording::{self, OpenError};
use wkdb_tracer::{Detector, Event, GuestTime, ModuleId, Outcome, RunnerId, RunnerReport, RunnerState, Tick, Totals};

use super::attended::State;
use super::config::{MachineConfig, Pace, WatchRange};
use super::console::Console;
use super::core::{Core, Entry, Output};
use super::debug::Request;
use super::detect::facts::KernelFacts;
use super::detect::{self, BadRule, Errand, Monitors, Occasion};
use super::engine;
use super::host::{self, Shared, life};
use super::images::Images;
use super::journal::{Journal, JournalConfig};
use super::memory::{GuestMemory, MemoryError, OutOfBounds};
use super::table::Table;
use super::tracing::Tracer;
use super::watch::{WatchError, WatchSet};
use crate::code_cache::{CodeError, CodeStore, Role, compile};
use crate::condition::Condition;
use crate::contract::{ContractError, KernelModule};
use crate::script::{Script, ScriptError, ScriptRun};

/// Ticks that a runner runs at most before the port is attended to: a small part of a millisecond's multiple.
const ATTENTION: u64 = 100_000;

/// Bytes of the kernel's `boot_command_line`, with the NUL.
pub const COMMAND_LINE_SIZE: usize = 512;

/// What a machine can be told while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Bytes typed at the console.
    Input(Vec<u8>),
    /// End the run.
    Quit,
    /// A debugger's question or order: [`Output::Answer`] says what came of it.
    Ask {
        /// Comes back with the answer.
        id: u64,
        /// What is asked.
        request: Request,
    },
}

/// The one who runs a machine: takes what it tells, gives what it is told.
pub trait Port {
    /// Takes something that the machine tells.
    fn output(&mut self, output: Output);

    /// Copies the whole machine: this process. Where it succeeds, the port itself tells whoever asked, and the copy speaks
    /// to somebody else from now on.
    ///
    /// # Errors
    ///
    /// [`InferiorError::Refused`]: there is no room for a copy, or this port cannot be copied.
    fn fork(&mut self) -> Result<Side, InferiorError> {
        Err(InferiorError::Refused("a machine that is no process of its own cannot be copied".into()))
    }

    /// Commands that have come. Waits for one for at most `wait`; called often with none, which must be cheap.
    fn commands(&mut self, wait: Option<Duration>) -> Vec<Command>;
}

/// Which of two machines this is after [`Port::fork`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The one that was copied.
    Original,
    /// The copy.
    Copy,
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
    /// Something cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// A rule of `--guard` has a mistake.
    #[error("--guard: {0}")]
    Guard(#[from] BadRule),
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

pub(super) type Fiber = Pin<Box<dyn Future<Output = ()>>>;

/// A guest kernel that runs.
pub struct Machine {
    pub(super) shared: Rc<Shared>,
    pub(super) fibers: Table<Fiber>,
    /// User images whose bytes were given to the port.
    pub(super) shown: BTreeSet<ModuleId>,
    /// When guest time 0 was, for [`Pace::Real`].
    pub(super) epoch: Instant,
    /// When it stopped last.
    pub(super) stopped: Instant,
    pub(super) state: State,
    /// Commands that came and have to wait for their turn.
    pub(super) queue: VecDeque<Command>,
    /// What came from outside, as what was typed: its turn is between slices.
    pub(super) coming: Vec<recording::Entry>,
    /// A runner is in the middle of its slice.
    pub(super) in_slice: bool,
    /// It was told to end.
    pub(super) quitting: bool,
    /// The debugger was told how the run ends.
    end_told: bool,
    /// Monitors have looked at the guest's panic.
    panic_looked_at: bool,
    /// Who ran last.
    pub(super) last: Option<RunnerId>,
    /// Who was told of last as the only one that may run.
    pub(super) alone_told: Option<RunnerId>,
    /// Of a run that is recorded or replayed.
    pub(super) journal: Option<Journal>,
    pub(super) monitors: Monitors,
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, MachineError> {
    std::fs::read(path).map_err(|error| MachineError::Read { what, path: path.to_owned(), error })
}

fn journal(config: &JournalConfig) -> Result<Journal, MachineError> {
    let path = config.replay.clone().unwrap_or_default();
    Journal::new(config).map_err(|error| MachineError::Recording { path, error })
}

fn watches(config: &MachineConfig, memory: &GuestMemory) -> Result<WatchSet, MachineError> {
    let mut watches = WatchSet::new(memory.clone(), config.variant())?;
    for spec in config.watch.iter().map(WatchRange::spec).chain(config.watch_specs.iter().cloned()) {
        watches.insert(spec)?;
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
        let watches = watches(&config, &memory)?;
        let engine = engine::running(config.engine, &memory, watches.map().memory()).map_err(engine_error)?;
        let variant = config.variant();
        let store = config.cache.as_ref().and_then(|cache| CodeStore::open_at(&cache.directory, cache.limit).ok());
        let code_error = |error| MachineError::Code { path: config.kernel.clone(), error };
        let code = compile::find_or_compile(&engine, &kernel, Role::Kernel, variant, store.as_ref());
        let loaded = code.and_then(|code| code.load(&engine)).map_err(code_error)?;
        let linker = host::linker(&engine, &loaded.module).map_err(engine_error)?;
        let instance = linker.instantiate_pre(&loaded.module).map_err(engine_error)?;
        let kernel_bytes = Rc::clone(&kernel);
        let (code_store, code_key) = (store.clone(), loaded.key);
        let facts = match variant.stack_pointer
            || [Detector::UserStores, Detector::StackContents].iter().any(|d| config.detect.has(*d))
        {
            true => {
                let symbols = || Symbols::load(kernel.to_vec()).ok();
                KernelFacts::find(&loaded.key, store.as_ref(), symbols, &kernel)
            }
            false => KernelFacts::default(),
        };
        let images = Images::new(engine.clone(), variant, store, loaded, kernel);

        let wanted = config.until.iter().filter_map(|c| match c {
            Condition::Console(text) => Some(text.clone()),
            _ => None,
        });
        let console = Console::new(script, wanted);
        let journal = config.journal.as_ref().map(journal).transpose()?;
        let debugging = variant.debug;
        let tracer = config.trace.as_ref().map(|trace| Tracer::new(trace, &module, &kernel_bytes)).transpose();
        let tracer = tracer.map_err(|error| MachineError::Code { path: config.kernel.clone(), error: error.into() })?;
        let monitors = Monitors::of(&config.detect, || {
            detect::landmarks::find_or_make(&code_key, &kernel_bytes, code_store.as_ref())
        });
        let mut core = Core::new(config, memory.clone(), initrd, console, watches);
        core.tracer = tracer;
        core.detection.looks_at_traps = !monitors.is_empty();
        core.wide = module.width.bytes() == 8;
        core.begin_to_detect()?;
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
            processes: Default::default(),
            map_module: Default::default(),
            boot_data: life::BootData::of(&module),
            debugging,
            facts,
        };
        Ok(Machine {
            shared: Rc::new(shared),
            fibers: Table::default(),
            shown: BTreeSet::new(),
            epoch: Instant::now(),
            stopped: Instant::now(),
            state: State::default(),
            queue: VecDeque::new(),
            coming: Vec::new(),
            in_slice: false,
            quitting: false,
            end_told: false,
            panic_looked_at: false,
            last: None,
            alone_told: None,
            journal,
            monitors,
        })
    }

    /// The guest's memory.
    pub fn memory(&self) -> &GuestMemory {
        &self.shared.memory
    }

    /// Watches a range of memory. Code sees it at its next access.
    ///
    /// # Errors
    ///
    /// Where it is no memory, or the code was compiled without the checks that it needs.
    pub fn insert_watch(&mut self, spec: WatchSpec) -> Result<WatchId, WatchError> {
        self.shared.core.borrow_mut().watches.insert(spec)
    }

    /// Takes a watch away; false if there is none of that name.
    pub fn remove_watch(&mut self, id: WatchId) -> bool {
        self.shared.core.borrow_mut().watches.remove(id)
    }

    /// Writes guest memory behind the guest's back: no watch sees it.
    ///
    /// # Errors
    ///
    /// Where not all of it is memory; then nothing is written.
    pub fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), OutOfBounds> {
        self.shared.memory.write(address, bytes)?;
        let changed = address..address.saturating_add(bytes.len() as u64);
        self.shared.core.borrow_mut().watches.refresh(&changed);
        Ok(())
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
        if self.attached() {
            self.stop(StopReason::Start, None, port);
        }
        loop {
            self.settle(port);
            let ended = self.shared.core.borrow().stop.clone();
            if let Some(outcome) = ended {
                if outcome == Outcome::Panic && !std::mem::replace(&mut self.panic_looked_at, true) {
                    self.have_looked(Occasion::Panic(self.last), self.last, port);
                    self.tell(port);
                }
                if self.attached() && !std::mem::replace(&mut self.end_told, true) {
                    let panic = self.shared.core.borrow_mut().debug.panic.take();
                    let end = || StopReason::End(Box::new(outcome));
                    let reason = panic.map_or_else(end, |message| StopReason::Panic { message });
                    self.stop(reason, self.last, port);
                    continue;
                }
                return self.end(outcome, port);
            }
            self.keep_journal(port);
            self.attend(None, port);
            self.take_coming(port);
            if let Some(reason) = self.wants_stop() {
                self.stop(reason, self.last, port);
                continue;
            }
            self.keep_time();
            self.notice_spin(port);
            self.look_now_and_then(port);
            if self.shared.core.borrow().stop.is_some() {
                continue;
            }
            self.tell_alone(port);
            match self.pick() {
                Pick::Runner(runner, slice) => self.resume(runner, slice, port),
                Pick::Blocked(runner) => self.blocked(runner, port),
                Pick::Nobody => self.idle(port),
            }
        }
    }

    /// Whether the debugger wants the machine to stop where it is.
    fn wants_stop(&self) -> Option<StopReason> {
        let core = self.shared.core.borrow();
        // It goes first: who is told of a moment that was to be come to may let the machine go on at once.
        if core.debug.interrupted {
            return Some(StopReason::Interrupt);
        }
        let by_time = core.debug.until_time.is_some_and(|until| core.now >= until);
        let by_tick = core.debug.until.is_some_and(|until| core.ticks >= until);
        (by_time || by_tick).then_some(StopReason::Tick)
    }

    /// Who runs next, for how many ticks.
    fn pick(&mut self) -> Pick {
        let mut core = self.shared.core.borrow_mut();
        let core = &mut *core;
        let runnable = core.runners.runnable();
        match core.debug.alone() {
            // Not as the schedule would have it: it is as it was once all run again.
            Some(only) if runnable.contains(&only) => Pick::Runner(only, core.config.slice),
            Some(only) => Pick::Blocked(only),
            None if runnable.is_empty() => Pick::Nobody,
            None => {
                let (runner, slice) = core.scheduler.pick(runnable, core.ticks);
                Pick::Runner(runner, slice)
            }
        }
    }

    /// Takes over what the last slice left: what it told, runners born and dead.
    fn settle(&mut self, port: &mut dyn Port) {
        let (born, dead) = {
            let mut core = self.shared.core.borrow_mut();
            (core.take_born(), core.runners.bury())
        };
        for (id, entry) in born {
            self.fibers.insert(id, Box::pin(life::live(self.shared.clone(), id, entry)));
        }
        if !dead.is_empty() {
            self.shared.core.borrow_mut().detection.guards.may_have_changed();
        }
        for id in dead {
            self.fibers.remove(id);
            let mut core = self.shared.core.borrow_mut();
            core.scheduler.forget(id);
            core.forget_stack(id);
        }
        self.tell(port);
    }

    /// Gives the port what there is to tell.
    pub(super) fn tell(&mut self, port: &mut dyn Port) {
        self.show_new_modules(port);
        let output = self.shared.core.borrow_mut().take_output();
        if let Some(journal) = &mut self.journal
            && let Some(position) = journal.before(&self.shared.core.borrow(), &output)
        {
            port.output(position);
        }
        for output in output {
            match &output {
                Output::Event(event) => {
                    self.show_modules(event.stack().iter().map(|f| f.address.module).collect(), port);
                }
                Output::Trace(record) => self.show_modules(record.modules().collect(), port),
                _ => {}
            }
            port.output(output);
        }
    }

    /// Gives the bytes of user images before anything is told of their code.
    pub(super) fn show_modules(&mut self, modules: BTreeSet<ModuleId>, port: &mut dyn Port) {
        for module in modules {
            if module != ModuleId::KERNEL
                && self.shown.insert(module)
                && let Some(bytes) = self.module_bytes(module)
            {
                port.output(Output::Module { module, bytes });
            }
        }
    }

    /// Fires what is due, and ends the run where a limit is reached.
    fn keep_time(&mut self) {
        let mut core = self.shared.core.borrow_mut();
        let core = &mut *core;
        let now = core.now;
        core.trace_timeouts();
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
    fn notice_spin(&mut self, port: &mut dyn Port) {
        {
            let core = self.shared.core.borrow();
            let idle = core.runners.runnable().is_empty();
            if idle || core.now <= core.progress.after_ns(core.config.stall_ns) {
                return;
            }
        }
        self.have_looked(Occasion::Spin, None, port);
        let mut reports = self.reports();
        reports.retain(|report| report.state == RunnerState::Runnable);
        self.shared.core.borrow_mut().stop(Outcome::Spin(reports));
    }

    /// Gives `runner` a slice. It may come in parts: the port is attended to in between.
    fn resume(&mut self, runner: RunnerId, slice: u32, port: &mut dyn Port) {
        self.last = Some(runner);
        self.in_slice = true;
        let end = {
            let mut core = self.shared.core.borrow_mut();
            if let Some(cpu) = core.runners.get(runner).map(|runner| runner.cpu) {
                core.runs_on(cpu);
            }
            core.ticks.0 + u64::from(core.cut(slice))
        };
        loop {
            self.begin_turn(end);
            if self.leaves(runner) || !self.run_part(runner, end, port) {
                break;
            }
            let goes_on = {
                let core = self.shared.core.borrow();
                core.ticked && core.ticks.0 < end && core.runners.runnable().contains(&runner)
            };
            if !goes_on || self.leaves(runner) {
                break;
            }
            self.keep_journal(port);
            self.attend(None, port);
            if let Some(reason) = self.wants_stop() {
                self.stop(reason, Some(runner), port);
            }
            if self.leaves(runner) {
                break;
            }
        }
        self.in_slice = false;
        self.shared.core.borrow_mut().slice_is_last = false;
        self.notice_hog(runner, port);
    }

    /// Begins a part of a slice that ends at tick `end`.
    fn begin_turn(&mut self, end: u64) {
        let mut core = self.shared.core.borrow_mut();
        let due = self.journal.as_ref().and_then(|journal| journal.due_in_slice(&core));
        let meeting = self.journal.as_ref().and_then(|journal| journal.meeting(&core));
        if meeting.is_some() && core.debug.meeting != meeting {
            core.debug.meeting = meeting;
            core.debug.version += 1;
            if !self.shared.debugging {
                let text = "a debugger changed the recorded run in the middle of a slice: only code for debugging can \
                            be stopped there; replay it with that";
                core.stop(Outcome::Broken(text.into()));
            }
        }
        core.begin_turn(due.map_or(end, |due| end.min(due.0)));
    }

    /// Lets `runner` run for a part of its slice. Samples of a profile are taken meanwhile, without anybody being attended to:
    /// the run is the same with them.
    fn run_part(&mut self, runner: RunnerId, end: u64, port: &mut dyn Port) -> bool {
        loop {
            if !self.run_turn(runner, end, port) {
                return false;
            }
            self.sample(runner);
            let mut core = self.shared.core.borrow_mut();
            if !(core.ticked && core.ticks < core.part_end && core.runners.runnable().contains(&runner)) {
                return true;
            }
            core.next_turn();
        }
    }

    /// Lets `runner` run, in a slice that ends at tick `end`, until it suspends by itself; false if it is over, or is to be
    /// left where it stopped.
    fn run_turn(&mut self, runner: RunnerId, end: u64, port: &mut dyn Port) -> bool {
        loop {
            self.shared.core.borrow_mut().ticked = false;
            let Some(fiber) = self.fibers.get_mut(runner) else {
                self.shared.core.borrow_mut().stop(Outcome::Broken(format!("{runner} has no fiber")));
                return false;
            };
            let watches_stacks = self.shared.core.borrow().detects(Detector::StackContents);
            if watches_stacks {
                self.shared.core.borrow_mut().take_up_stack(runner);
            }
            let polled = poll(fiber);
            if watches_stacks {
                self.shared.core.borrow_mut().lay_down_stack(&self.shared, runner);
            }
            if let Poll::Ready(()) = polled {
                self.shared.core.borrow_mut().forget_stack(runner);
                self.fibers.remove(runner);
                let mut core = self.shared.core.borrow_mut();
                let now = core.now;
                core.runners.destroy(runner, now);
                return false;
            }
            if std::mem::take(&mut self.shared.core.borrow_mut().debug.met) {
                self.keep_meeting(port);
                // The next place may be in the same slice.
                self.begin_turn(end);
                if self.leaves(runner) {
                    return false;
                }
                continue;
            }
            let errand = self.shared.core.borrow_mut().detection.errand.take();
            if let Some(errand) = errand {
                match errand {
                    Errand::Trap => _ = self.have_looked(Occasion::Trap(runner), Some(runner), port),
                    Errand::Trespass(owner, written) => {
                        let trespass = self.trespasses(owner, &written);
                        self.shared.core.borrow_mut().detection.trespass = trespass;
                    }
                    Errand::IsInUse(violation) => {
                        let confirmed = self.is_in_use(violation);
                        self.shared.core.borrow_mut().detection.confirmed = confirmed;
                    }
                }
                if self.leaves(runner) {
                    return false;
                }
                continue;
            }
            let pending = self.shared.core.borrow_mut().debug.pending.take();
            let Some(reason) = pending else { return true };
            self.stop(reason, Some(runner), port);
            if self.leaves(runner) {
                return false;
            }
        }
    }

    /// Tells where the code of a profiled run is, if that is due.
    fn sample(&mut self, runner: RunnerId) {
        let due = self.shared.core.borrow().sample_due();
        if due {
            let stack = self.stack(runner);
            self.shared.core.borrow_mut().trace_sample(runner, stack);
        }
    }

    /// Reports a task that has held its CPU for long: in the kernel, or while others wait for it.
    fn notice_hog(&mut self, runner: RunnerId, port: &mut dyn Port) {
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
            drop(core);
            self.have_looked(Occasion::Hog, Some(runner), port);
        }
    }

    /// Nobody can run: goes to the next moment at which somebody can.
    fn idle(&mut self, port: &mut dyn Port) {
        let (next, pace) = {
            let core = self.shared.core.borrow();
            let replayed = self.journal.as_ref().and_then(|journal| journal.next_time(&core));
            let next = [core.runners.next_deadline(), core.console.next_wakeup(), replayed];
            let next = next.into_iter().flatten().min();
            (next.map(|next| core.limits().chain(core.debug.until_time).fold(next, GuestTime::min)), core.config.pace)
        };
        let Some(next) = next else {
            self.have_looked(Occasion::Deadlock, None, port);
            let reports = self.reports();
            self.shared.core.borrow_mut().stop(Outcome::Deadlock(reports));
            return;
        };
        // On the way there the clock stops for those who look, and for nothing else: the run is the same without them.
        loop {
            let target = self.next_look().map_or(next, |look| next.min(look));
            if pace == Pace::Real {
                let ahead = Duration::from_nanos(target.0).checked_sub(self.epoch.elapsed());
                if let Some(ahead) = ahead.filter(|a| !a.is_zero()) {
                    self.queue.extend(port.commands(Some(ahead)));
                }
            }
            // What interrupts the wait comes at this moment; nothing is due before it.
            let interrupted = !self.queue.is_empty();
            let now = if interrupted { target.min(self.epoch.elapsed().into()) } else { target };
            {
                let mut core = self.shared.core.borrow_mut();
                core.now = core.now.max(now);
                // A machine that spins never comes here.
                core.progress();
            }
            if interrupted || target >= next {
                return;
            }
            let stopped = self.look_now_and_then(port);
            self.tell(port);
            if stopped {
                return;
            }
        }
    }

    /// Every runner and where it is.
    pub fn reports(&mut self) -> Vec<RunnerReport> {
        let ids = self.shared.core.borrow().runners.ids();
        let mut reports = Vec::with_capacity(ids.len());
        for id in ids {
            let stack = self.stack(id);
            reports.extend(self.shared.core.borrow().report(id, stack));
        }
        reports
    }
}

/// Who runs next.
enum Pick {
    /// This one, for so many ticks.
    Runner(RunnerId, u32),
    /// The only one that may cannot.
    Blocked(RunnerId),
    /// Nobody can.
    Nobody,
}

pub(super) fn poll(fiber: &mut Fiber) -> Poll<()> {
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

    /// Gives the runner that is polled next ticks, of a slice that ends at tick `end`.
    fn begin_turn(&mut self, end: u64) {
        let left = |at: u64| at.saturating_sub(self.ticks.0);
        let until = self.debug.until.map_or(u64::MAX, |until| left(until.0));
        let ns_per_tick = u64::from(self.config.ns_per_tick.max(1));
        let by_time = self.debug.until_time.map(|until| until.0.saturating_sub(self.now.0).div_ceil(ns_per_tick));
        let budget = left(end).min(until).min(by_time.unwrap_or(u64::MAX)).min(ATTENTION);
        self.part_end = Tick(self.ticks.0 + budget.max(1));
        self.next_turn();
    }

    /// Gives the runner ticks up to the end of its part of the slice, or to the next sample of a profile.
    fn next_turn(&mut self) {
        let left = |at: u64| at.saturating_sub(self.ticks.0);
        let budget = left(self.part_end.0).min(self.next_sample().map_or(u64::MAX, left));
        // Both are small.
        self.budget = budget.max(1) as u32;
        self.turn += 1;
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

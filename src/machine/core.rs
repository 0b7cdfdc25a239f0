//! The state of a machine that does not belong to any one store: clock, runners, console, watches, what is to be told.
//!
//! It knows nothing of Wasmtime. Host functions borrow it for as long as they do not suspend.

use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use wkdb_debugger::inferior::{Loads, Stop};
use wkdb_tracer::recording;
use wkdb_tracer::trace::Record;
use wkdb_tracer::{
    CodeAddress, Context, Cpu, Event, Frame, GuestTime, ModuleId, Outcome, RunnerId, RunnerReport, TaskId, Tick,
    Totals, WatchHit, Writer,
};

use super::config::MachineConfig;
use super::console::Console;
use super::debug::{Answered, Debug};
use super::detect::Detection;
use super::memory::{GuestMemory, OutOfBounds};
use super::runners::Runners;
use super::schedule::Scheduler;
use super::tracing::Tracer;
use super::watch::{Access, Touches, WatchSet, Who};
use crate::condition::Condition;
use crate::script::{Script, ScriptRun};

/// Lines of the console shown with an `expect` that failed.
const TAIL_LINES: usize = 12;

/// What a machine tells the one who runs it, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The guest printed.
    Console(Vec<u8>),
    /// Something worth telling happened.
    Event(Event),
    /// The bytes of a user image that the next output speaks of; told once for each.
    Module {
        /// The image.
        module: ModuleId,
        /// It, as the guest loaded it.
        bytes: Vec<u8>,
    },
    /// Of a run that is recorded: the place at which all that follows happened or came.
    At(recording::Position),
    /// Of a run that is recorded: what came from outside, or a check.
    Took(recording::Entry),
    /// The machine stopped, and waits for commands.
    Stopped(Stop),
    /// Of a run that is traced: what happened.
    Trace(Record),
    /// To [`Command::Ask`](super::Command::Ask).
    Answer {
        /// The request's.
        id: u64,
        /// What came of it.
        answer: Answered,
    },
    /// The run is over; the machine waits for commands until it is told to quit. Only with a debugger.
    Ended(Outcome, Totals),
}

/// What a new runner is to do.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    /// CPU 0: `_start`.
    Boot,
    /// The idle task of another CPU: `_start_secondary` with this argument.
    Secondary(u64),
    /// A new task: `ret_from_fork`.
    Fork {
        /// The task that switched to it.
        prev: u64,
        /// It.
        new: u64,
    },
}

pub(super) struct Core {
    pub(super) config: MachineConfig,
    pub(super) memory: GuestMemory,
    /// The initramfs, until it is copied into the guest.
    pub(super) initrd: Option<Vec<u8>>,
    pub(super) runners: Runners,
    pub(super) scheduler: Scheduler,
    pub(super) console: Console,
    pub(super) watches: WatchSet,
    pub(super) now: GuestTime,
    pub(super) ticks: Tick,
    /// The CPU of the runner that runs, as an index.
    pub(super) on_cpu: usize,
    /// Ticks that each CPU has run, by its number.
    pub(super) cpu_ticks: Vec<u64>,
    /// Counts the times at which a runner was given ticks.
    pub(super) turn: u64,
    /// How many it was given.
    pub(super) budget: u32,
    /// When the part of a slice that it runs now ends.
    pub(super) part_end: Tick,
    /// The runner that was polled last suspended because its ticks were used up.
    pub(super) ticked: bool,
    pub(super) debug: Debug,
    pub(super) random: ChaCha8Rng,
    /// Why the machine stops, once it does.
    pub(super) stop: Option<Outcome>,
    /// It stops at the end of the slice, wherever somebody else has it stop before that.
    pub(super) slice_is_last: bool,
    /// When something last happened that a spinning machine does not do.
    pub(super) progress: GuestTime,
    /// When the script began to wait for what it waits for now.
    pub(super) script_since: GuestTime,
    script_line: Option<u32>,
    cpus_started: u32,
    pub(super) tracer: Option<Tracer>,
    pub(super) detection: Detection,
    /// Addresses have 64 bits.
    pub(super) wide: bool,
    output: Vec<Output>,
    born: Vec<(RunnerId, Entry)>,
}

impl Core {
    pub(super) fn new(
        config: MachineConfig,
        memory: GuestMemory,
        initrd: Option<Vec<u8>>,
        console: Console,
        watches: WatchSet,
    ) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(config.seed);
        // The schedule draws from stream 0.
        random.set_stream(1);
        Core {
            scheduler: Scheduler::new(config.policy, config.seed, config.slice),
            debug: Debug::new(config.attach),
            config,
            memory,
            initrd,
            runners: Runners::default(),
            console,
            watches,
            now: GuestTime(0),
            ticks: Tick(0),
            on_cpu: 0,
            cpu_ticks: Vec::new(),
            turn: 0,
            budget: 1,
            part_end: Tick(0),
            ticked: false,
            random,
            stop: None,
            slice_is_last: false,
            progress: GuestTime(0),
            script_since: GuestTime(0),
            script_line: None,
            cpus_started: 1,
            tracer: None,
            detection: Detection::default(),
            wide: false,
            output: Vec::new(),
            born: Vec::new(),
        }
    }

    /// `ticks` more have run.
    pub(super) fn charge(&mut self, ticks: u32) {
        self.ticks.0 += u64::from(ticks);
        if let Some(own) = self.cpu_ticks.get_mut(self.on_cpu) {
            *own += u64::from(ticks);
        }
        self.now = self.now.after_ns(u64::from(ticks) * u64::from(self.config.ns_per_tick));
    }

    /// What runs from now on is charged to this CPU.
    pub(super) fn runs_on(&mut self, cpu: Cpu) {
        /// More CPUs than any guest has: a number beyond it is the guest's mistake, and has no counter.
        const MOST: usize = 4096;
        self.on_cpu = cpu.0 as usize;
        if self.cpu_ticks.len() <= self.on_cpu && self.on_cpu < MOST {
            self.cpu_ticks.resize(self.on_cpu + 1, 0);
        }
    }

    /// What each CPU has run so far.
    pub(super) fn loads(&self) -> Loads {
        Loads { time: self.now, ns_per_tick: self.config.ns_per_tick, ticks: self.cpu_ticks.clone() }
    }

    /// When a wait that begins now and may take `timeout` nanoseconds ends. One that would end when the guest's clock
    /// of 63 bits has run out never does.
    pub(super) fn deadline(&self, timeout: i64) -> GuestTime {
        let end = u64::try_from(timeout).ok().map(|timeout| self.now.after_ns(timeout));
        end.filter(|end| i64::try_from(end.0).is_ok()).unwrap_or(GuestTime::NEVER)
    }

    /// Something happened that a spinning machine does not do.
    pub(super) fn progress(&mut self) {
        self.progress = self.now;
    }

    /// Ends the run, unless it has ended.
    pub(super) fn stop(&mut self, outcome: Outcome) {
        self.stop.get_or_insert(outcome);
    }

    /// Ends the run, unless it has ended, with the slice that runs: what the guest was about to do is not cut off.
    fn stop_with_slice(&mut self, outcome: Outcome) {
        self.slice_is_last |= self.stop.is_none();
        self.stop(outcome);
    }

    /// The machine's position and clock as seen from `runner`.
    pub(super) fn context(&self, runner: RunnerId) -> Context {
        let (task, comm, cpu) = match self.runners.get(runner) {
            Some(r) => (r.task, r.comm.clone(), r.cpu),
            None => (TaskId(0), String::new(), Cpu(0)),
        };
        Context { runner, task, comm, cpu, tick: self.ticks, time: self.now }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.output.push(Output::Event(event));
    }

    pub(super) fn complain(&mut self, runner: Option<RunnerId>, text: impl Into<String>) {
        let context = runner.map(|r| self.context(r));
        self.tell(Event::Complaint { context, text: text.into() });
    }

    pub(super) fn tell_record(&mut self, record: Record) {
        self.output.push(Output::Trace(record));
    }

    pub(super) fn take_output(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.output)
    }

    pub(super) fn spawn(&mut self, task: TaskId, comm: String, cpu: Cpu, idle: bool, entry: Entry) -> RunnerId {
        let (id, old) = self.runners.create(task, comm, cpu, idle, self.now);
        if old.is_some() {
            let text = format!("task {task} got a second runner before its first was released");
            self.complain(Some(id), text);
        }
        self.trace_born(id);
        self.detection.guards.may_have_changed();
        self.born.push((id, entry));
        id
    }

    pub(super) fn start_cpu(&mut self, cpu: Cpu, idle_task: TaskId, argument: u64) {
        self.cpus_started += 1;
        let comm = format!("swapper/{}", cpu.0);
        let id = self.spawn(idle_task, comm, cpu, true, Entry::Secondary(argument));
        let context = self.context(id);
        self.tell(Event::CpuStarted { context });
    }

    pub(super) fn take_born(&mut self) -> Vec<(RunnerId, Entry)> {
        std::mem::take(&mut self.born)
    }

    /// The guest printed `bytes`.
    pub(super) fn console_put(&mut self, bytes: Vec<u8>) {
        self.progress();
        if let Some(number) = self.console.put(&bytes, self.now) {
            let mut texts = self.config.until.iter().filter(|c| matches!(c, Condition::Console(_)));
            let condition = texts.nth(number).map(Condition::to_string).unwrap_or_default();
            self.stop_with_slice(Outcome::Until(condition));
        }
        self.output.push(Output::Console(bytes));
        self.check_script();
    }

    /// The guest reads the console.
    pub(super) fn console_get(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.console.get(count, self.now);
        if !bytes.is_empty() {
            self.progress();
        }
        self.check_script();
        bytes
    }

    /// Ends the run where the script has come to its end, or has waited for too long.
    pub(super) fn check_script(&mut self) {
        if self.console.script_done() && self.config.until.contains(&Condition::Script) {
            self.stop_with_slice(Outcome::Until(Condition::Script.to_string()));
        }
        let line = self.console.script_waits_for().map(|w| w.0);
        if line != self.script_line {
            self.script_line = line;
            self.script_since = self.now;
        }
        if line.is_some() && self.now >= self.script_since.after_ns(self.config.expect_timeout_ns) {
            self.stop_script("was not printed in time");
        }
    }

    /// Another script is at the console from now on.
    pub(super) fn set_script(&mut self, text: &str) {
        match Script::parse(text) {
            Ok(script) => {
                self.console.set_script(ScriptRun::at(script, self.now));
                self.script_line = None;
                self.check_script();
            }
            Err(error) => {
                self.stop(Outcome::Broken(format!("an input script of the recording makes no sense: {error}")))
            }
        }
    }

    /// Ends the run because of what the script waits for.
    pub(super) fn stop_script(&mut self, why: &str) {
        let reason = match self.console.script_waits_for() {
            Some((line, text)) => format!(
                "input script, line {line}: expect {text} {why} (waited since guest time {}, now {})",
                self.script_since, self.now
            ),
            None => format!("the input script is not done: {why}"),
        };
        let console_tail = self.console.tail(TAIL_LINES);
        self.stop_with_slice(Outcome::Script { reason, console_tail });
    }

    pub(super) fn random_bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.random.fill_bytes(&mut bytes);
        bytes
    }

    /// Writes into guest memory on the guest's behalf, seen by watches as a store of the host's.
    pub(super) fn host_write(
        &mut self,
        runner: Option<RunnerId>,
        address: u64,
        bytes: &[u8],
        action: &str,
    ) -> Result<(), OutOfBounds> {
        self.memory.write(address, bytes)?;
        let access = Access::Write { address, len: bytes.len() as u64 };
        self.accessed(runner, access, Writer::Host { action: action.to_owned() });
        Ok(())
    }

    /// The host has read guest memory on the guest's behalf.
    pub(super) fn host_read(&mut self, runner: RunnerId, address: u64, len: u64, action: &str) {
        let access = Access::Read { address, len };
        self.accessed(Some(runner), access, Writer::Host { action: action.to_owned() });
    }

    /// A module was just instantiated: tells of the watches that its active data segments, which `data` finds, touched.
    pub(super) fn instantiated(&mut self, runner: RunnerId, data: impl FnOnce() -> Vec<Range<u64>>) {
        if self.watches.is_empty() && !self.watches.keeps_footprints() {
            return;
        }
        for data in data() {
            let access = Access::Write { address: data.start, len: data.end - data.start };
            self.accessed(Some(runner), access, Writer::Host { action: "data segments".to_owned() });
        }
    }

    /// Memory was just accessed: tells of every watch that it touched. The hits of watches that want the machine to stop
    /// are not told of: they stop it when the runner comes to where it can.
    pub(super) fn accessed(&mut self, runner: Option<RunnerId>, access: Access, writer: Writer) {
        self.watches.wrote(access);
        if self.watches.overlaps(access) == Touches::Nothing {
            return;
        }
        if self.debug.survey.is_some() {
            let place = match &writer {
                Writer::Guest { stack } => stack.first().map(|frame| frame.address),
                Writer::Host { .. } => None,
            };
            return self.surveyed(runner, access, place);
        }
        let context = runner.map(|r| self.context(r));
        let place = match &writer {
            Writer::Guest { stack } => stack.first().map(|frame| frame.address),
            Writer::Host { .. } => None,
        };
        let who = Who { runner, cpu: context.as_ref().map(|c| c.cpu), place };
        for touched in self.watches.touched(access, &who) {
            if touched.is_own() {
                self.touched_own(touched, &writer, context.as_ref());
                continue;
            }
            let hit = WatchHit {
                watch: touched.watch.0,
                kind: touched.kind,
                address: touched.address,
                old: touched.old,
                new: touched.new,
                store_address: touched.access.start,
                store_len: touched.access.end - touched.access.start,
                writer: writer.clone(),
                context: context.clone(),
            };
            // With nobody there to let it go on, nothing stops.
            match touched.stop && self.debug.attached {
                true => self.debug.hits.push((touched.watch, hit)),
                false => self.tell(Event::Watch(hit)),
            }
        }
    }

    /// Counts the watches that an access touched.
    fn surveyed(&mut self, runner: Option<RunnerId>, access: Access, place: Option<CodeAddress>) {
        let cpu = runner.and_then(|runner| self.runners.get(runner)).map(|runner| runner.cpu);
        let touched = self.watches.touched(access, &Who { runner, cpu, place }).len();
        let tick = self.ticks;
        if let Some(survey) = &mut self.debug.survey {
            (0..touched).for_each(|_| survey.meet(tick));
        }
    }

    /// A runner and where it is: its call stack is `stack`.
    pub(super) fn report(&self, id: RunnerId, stack: Vec<Frame>) -> Option<RunnerReport> {
        let runner = self.runners.get(id)?;
        let holds_cpu = self.runners.holder(runner.cpu) == Some(id);
        Some(RunnerReport { context: self.context(id), state: runner.state, holds_cpu, stack })
    }

    /// What the run amounts to so far.
    pub(super) fn totals(&self) -> Totals {
        Totals {
            ticks: self.ticks,
            time: self.now,
            seed: self.config.seed,
            memory_hash: self.memory.hash(),
            schedule_hash: self.scheduler.hash(),
            console_hash: self.console.hash(),
            slices: self.scheduler.slices(),
            tasks: self.runners.created(),
            tasks_alive: self.runners.alive(),
            cpus: self.cpus_started,
        }
    }
}

//! Running a kernel in this process, and what came of it.

use std::io::Write;
use std::time::Duration;

use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{Command, Machine, MachineConfig, Output, Port};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::{Event, Frame, GuestTime, ModuleId, Outcome, Totals, WatchHit};

use super::Kernel;

/// What came of a run.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) totals: Totals,
    pub(crate) console: String,
    pub(crate) events: Vec<Event>,
    pub(crate) modules: Vec<(ModuleId, Vec<u8>)>,
    /// The machine as it ended.
    pub(crate) machine: Machine,
    kernel: Vec<u8>,
}

/// Remembers everything; types and quits as it was told.
#[derive(Default)]
struct Recorder {
    console: Vec<u8>,
    events: Vec<Event>,
    modules: Vec<(ModuleId, Vec<u8>)>,
    input: Vec<Command>,
}

impl Port for Recorder {
    fn output(&mut self, output: Output) {
        match output {
            Output::Console(bytes) => self.console.extend(bytes),
            Output::Event(event) => self.events.push(event),
            Output::Module { module, bytes } => self.modules.push((module, bytes)),
            _ => {}
        }
    }

    fn commands(&mut self, wait: Option<Duration>) -> Vec<Command> {
        std::thread::sleep(wait.unwrap_or_default());
        std::mem::take(&mut self.input)
    }
}

/// Boots `kernel` with what `set` changes of the defaults: code compiled fast, at most 1000 s of guest time.
pub(crate) fn boot(kernel: &Kernel, set: impl FnOnce(&mut MachineConfig)) -> Run {
    boot_wasm(kernel.wasm(), set, Vec::new())
}

/// Boots a module with these commands given at the start.
pub(crate) fn boot_wasm(kernel: Vec<u8>, set: impl FnOnce(&mut MachineConfig), input: Vec<Command>) -> Run {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&kernel).unwrap();
    let mut config = MachineConfig::new(file.path());
    config.engine = EngineOptions { opt_level: OptLevelChoice::None, ..EngineOptions::default() };
    config.max_time = Some(GuestTime(1_000_000_000_000));
    set(&mut config);
    let mut machine = Machine::new(config).unwrap_or_else(|error| panic!("{error}"));
    let mut port = Recorder { input, ..Recorder::default() };
    let outcome = machine.run(&mut port);
    let Recorder { console, events, modules, .. } = port;
    let console = String::from_utf8_lossy(&console).into_owned();
    Run { outcome, totals: machine.totals(), console, events, modules, machine, kernel }
}

impl Kernel {
    /// Runs it to the end that tests aim at, and gives what it printed.
    pub(crate) fn console(&self) -> String {
        self.run().done()
    }

    /// Runs it with the defaults.
    pub(crate) fn run(&self) -> Run {
        boot(self, |_| {})
    }

    /// Runs it with these commands given at the start.
    pub(crate) fn run_with(&self, input: Vec<Command>) -> Run {
        boot_wasm(self.wasm(), |_| {}, input)
    }
}

impl Run {
    /// What the guest printed. It must have ended by its own `$done`, without complaints.
    pub(crate) fn done(&self) -> String {
        assert_eq!(self.complaints(), [""; 0], "{}", self.console);
        self.ended("done")
    }

    /// What the guest printed. It must have ended by a trap that its kernel did not handle.
    pub(crate) fn died(&self) -> String {
        self.ended("died")
    }

    fn ended(&self, message: &str) -> String {
        let panics: Vec<_> = self
            .events
            .iter()
            .filter_map(|e| if let Event::Panic { message, .. } = e { Some(message.as_str()) } else { None })
            .collect();
        let ends = (&self.outcome, panics.as_slice());
        assert_eq!(ends, (&Outcome::Panic, [message].as_slice()), "{}\n{:#?}", self.console, self.events);
        self.console.clone()
    }

    /// What the host had to say of the guest's behaviour.
    pub(crate) fn complaints(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|e| if let Event::Complaint { text, .. } = e { Some(text.as_str()) } else { None })
            .collect()
    }

    /// Every trap: its reason, and the functions on its stack, innermost first.
    pub(crate) fn traps(&self) -> Vec<(&str, Vec<String>)> {
        let traps = self.events.iter().filter_map(|event| match event {
            Event::Trap { reason, stack, .. } => Some((reason.as_str(), self.functions(stack))),
            _ => None,
        });
        traps.collect()
    }

    /// Every store into a watched range.
    pub(crate) fn hits(&self) -> Vec<&WatchHit> {
        self.events.iter().filter_map(|e| if let Event::Watch(hit) = e { Some(hit) } else { None }).collect()
    }

    /// The names of the functions on a stack.
    pub(crate) fn functions(&self, stack: &[Frame]) -> Vec<String> {
        let name = |frame: &Frame| module_names(self.module(frame.address.module)).function_name(frame.function);
        stack.iter().map(name).collect()
    }

    /// The bytes of a module that was told of.
    pub(crate) fn module(&self, id: ModuleId) -> &[u8] {
        if id == ModuleId::KERNEL {
            return &self.kernel;
        }
        let found = self.modules.iter().find(|(module, _)| *module == id);
        &found.unwrap_or_else(|| panic!("nobody was told of module {id:?}")).1
    }
}

/// A module's symbols.
pub(crate) fn module_names(wasm: &[u8]) -> Symbols {
    Symbols::load(wasm.to_vec()).unwrap()
}

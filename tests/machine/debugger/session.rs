//! A debugger's session with a machine that runs on another thread of this process.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wasmparser::{Parser, Payload};
use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{Command, Machine, MachineConfig, Output, Port};
use wkdb::process::protocol::{FromMachine, ToMachine};
use wkdb::session::{Link, Live};
use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, FrameState, Inferior, Notice, Resume, Status, StepKind, Stop,
};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::{CodeAddress, CodeOffset, Event, Frame, GuestTime, ModuleId, Outcome, RunnerId, Totals};

use crate::guest::{Kernel, module_names};

/// How long a test waits for the machine at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// The machine's side of the channel.
struct Socket {
    to: Sender<FromMachine>,
    from: Receiver<ToMachine>,
}

impl Port for Socket {
    fn output(&mut self, output: Output) {
        // Nobody hears it where the test has failed.
        let _ = self.to.send(match output {
            Output::Console(bytes) => FromMachine::Console(bytes),
            Output::Event(event) => FromMachine::Event(Box::new(event)),
            Output::Module { module, bytes } => FromMachine::Module(module, bytes),
            Output::At(position) => FromMachine::At(position),
            Output::Took(entry) => FromMachine::Took(entry),
            Output::Trace(record) => FromMachine::Trace(Box::new(record)),
            Output::Stopped(stop) => FromMachine::Stopped(Box::new(stop)),
            Output::Answer { id, answer } => FromMachine::Answer(id, answer),
            Output::Ended(outcome, totals) => FromMachine::Ended(Box::new(outcome), Box::new(totals)),
        });
    }

    fn commands(&mut self, wait: Option<Duration>) -> Vec<Command> {
        let mut next = self.from.recv_timeout(wait.unwrap_or_default());
        let mut commands = Vec::new();
        loop {
            match next {
                Ok(ToMachine::Input(bytes)) => commands.push(Command::Input(bytes)),
                Ok(ToMachine::Ask(id, request)) => commands.push(Command::Ask { id, request }),
                Ok(ToMachine::Quit | ToMachine::Start { .. }) | Err(RecvTimeoutError::Disconnected) => {
                    commands.push(Command::Quit);
                    return commands;
                }
                Err(RecvTimeoutError::Timeout) => return commands,
            }
            next = self.from.recv_timeout(Duration::ZERO);
        }
    }
}

/// The debugger's side.
pub(crate) struct Channel {
    to: Sender<ToMachine>,
    from: Receiver<FromMachine>,
}

impl Link for Channel {
    fn send(&mut self, message: &ToMachine) -> io::Result<()> {
        self.to.send(message.clone()).map_err(io::Error::other)
    }

    fn receive(&mut self, wait: Option<Duration>) -> io::Result<Option<FromMachine>> {
        match self.from.recv_timeout(wait.unwrap_or(PATIENCE)) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) if wait.is_some() => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// A session.
pub(crate) struct Session {
    pub(crate) live: Live<Channel>,
    pub(crate) console: String,
    pub(crate) events: Vec<Event>,
    names: Vec<(ModuleId, Vec<u8>, Symbols)>,
    thread: JoinHandle<()>,
}

/// Where a frame is, as tests write it: function and number of the instruction in it.
pub(crate) fn at(function: &str, instruction: usize) -> (String, usize) {
    (function.to_owned(), instruction)
}

impl Session {
    /// A machine at its start, compiled for debugging, with what `set` changes of the configuration.
    pub(crate) fn start(kernel: &Kernel, set: impl FnOnce(&mut MachineConfig)) -> Session {
        Session::start_wasm(kernel.wasm(), set)
    }

    pub(crate) fn start_wasm(kernel: Vec<u8>, set: impl FnOnce(&mut MachineConfig)) -> Session {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&kernel).unwrap();
        let mut config = MachineConfig::new(file.path());
        config.engine = EngineOptions { opt_level: OptLevelChoice::None, debug: true };
        config.max_time = Some(GuestTime(1_000_000_000_000));
        config.attach = true;
        set(&mut config);
        let (to_machine, from_debugger) = channel();
        let (to_debugger, from_machine) = channel();
        let thread = std::thread::spawn(move || {
            let _file = file;
            let mut machine = Machine::new(config).unwrap_or_else(|error| panic!("{error}"));
            let mut port = Socket { to: to_debugger, from: from_debugger };
            machine.run(&mut port);
        });
        let live = Live::over(Channel { to: to_machine, from: from_machine });
        let names = vec![(ModuleId::KERNEL, kernel.clone(), module_names(&kernel))];
        let mut session = Session { live, console: String::new(), events: Vec::new(), names, thread };
        assert_eq!(session.stop().reason, wkdb_debugger::inferior::StopReason::Start);
        session
    }

    /// Takes notices until one says that the machine is not running any more.
    fn take(&mut self) -> Option<Notice> {
        let deadline = Instant::now() + PATIENCE;
        let mut found = None;
        while found.is_none() {
            assert!(Instant::now() < deadline, "the machine does not stop; console: {}", self.console);
            for notice in self.live.notices(Duration::from_millis(100)).unwrap() {
                match notice {
                    Notice::Console(bytes) => self.console.push_str(&String::from_utf8_lossy(&bytes)),
                    Notice::Event(event) => self.events.push(*event),
                    Notice::Module(module) => {
                        let bytes = self.live.module(module).unwrap().to_vec();
                        self.names.push((module, bytes.clone(), module_names(&bytes)));
                    }
                    end => assert_eq!(found.replace(end), None, "two ends"),
                }
            }
        }
        found
    }

    /// The next stop.
    pub(crate) fn stop(&mut self) -> Stop {
        match self.take() {
            Some(Notice::Stopped(stop)) => {
                assert_eq!(self.live.status(), &Status::Stopped(stop.clone()));
                *stop
            }
            other => panic!("no stop: {other:?}; console: {}", self.console),
        }
    }

    /// Goes on to the next stop.
    pub(crate) fn go(&mut self) -> Stop {
        self.resume(&Resume::go())
    }

    pub(crate) fn resume(&mut self, resume: &Resume) -> Stop {
        self.live.resume(resume).unwrap();
        self.stop()
    }

    /// A step of the runner that stopped.
    pub(crate) fn step(&mut self, kind: StepKind) -> Stop {
        let runner = self.stopped().context.expect("a task stopped").runner;
        self.resume(&Resume::step(runner, kind))
    }

    /// One instruction; past those of functions of the kernel's and of programs that the host calls for itself.
    pub(crate) fn step_past_questions(&mut self) -> Stop {
        loop {
            let stop = self.step(StepKind::Instruction);
            let (function, _) = self.place_of(&stop);
            if !function.starts_with("get_user_") && function != "__set_tls_base" {
                return stop;
            }
        }
    }

    /// The present stop.
    pub(crate) fn stopped(&self) -> Stop {
        match self.live.status() {
            Status::Stopped(stop) => (**stop).clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Goes on to the end of the run, over all stops at the end; gives how it ended.
    pub(crate) fn end(&mut self) -> (Outcome, Totals) {
        loop {
            if matches!(self.live.status(), Status::Stopped(_)) {
                self.live.resume(&Resume::go()).unwrap();
            }
            if let Some(Notice::Ended(outcome, totals)) = self.take() {
                return (*outcome, *totals);
            }
        }
    }

    /// Leaves; the machine's thread must end well.
    pub(crate) fn quit(mut self) {
        self.live.quit().unwrap();
        self.thread.join().unwrap();
    }

    fn module(&self, module: ModuleId) -> (&[u8], &Symbols) {
        let found = self.names.iter().find(|(id, ..)| *id == module);
        let (_, bytes, names) = found.unwrap_or_else(|| panic!("nobody was told of module {}", module.0));
        (bytes, names)
    }

    /// The instructions of a function: offsets and what they are.
    pub(crate) fn code(&self, module: ModuleId, function: &str) -> Vec<(CodeOffset, String)> {
        let (bytes, names) = self.module(module);
        let symbol = names.functions_named(function);
        let [symbol] = &symbol[..] else { panic!("{function}: {symbol:?}") };
        let mut base = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.unwrap() {
                Payload::CodeSectionStart { range, .. } => base = range.start,
                Payload::CodeSectionEntry(body) if body.range().start - base == symbol.start.0 as usize => {
                    let mut operators = body.get_operators_reader().unwrap();
                    let mut code = Vec::new();
                    while !operators.eof() {
                        let (operator, offset) = operators.read_with_offset().unwrap();
                        code.push((CodeOffset((offset - base) as u32), format!("{operator:?}")));
                    }
                    return code;
                }
                _ => {}
            }
        }
        panic!("{function} has no body")
    }

    /// The place of an instruction of the kernel's.
    pub(crate) fn place(&self, function: &str, instruction: usize) -> CodeAddress {
        self.place_in(ModuleId::KERNEL, function, instruction)
    }

    pub(crate) fn place_in(&self, module: ModuleId, function: &str, instruction: usize) -> CodeAddress {
        CodeAddress { module, offset: self.code(module, function)[instruction].0 }
    }

    /// Stops everybody at an instruction of the kernel's.
    pub(crate) fn break_at(&mut self, function: &str, instruction: usize) -> BreakpointId {
        self.break_at_address(self.place(function, instruction))
    }

    pub(crate) fn break_at_address(&mut self, address: CodeAddress) -> BreakpointId {
        self.live.insert_breakpoint(&BreakpointSpec { address, only: None, temporary: false }).unwrap()
    }

    /// A frame as tests write it.
    pub(crate) fn frame(&self, frame: &Frame) -> (String, usize) {
        let (_, names) = self.module(frame.address.module);
        let name = names.function_name(frame.function);
        let code = self.code(frame.address.module, &name);
        let instruction = code.iter().position(|(offset, _)| *offset == frame.address.offset);
        (name, instruction.unwrap_or_else(|| panic!("{frame:?} is between instructions")))
    }

    /// Where a stop is.
    pub(crate) fn place_of(&self, stop: &Stop) -> (String, usize) {
        self.frame(&stop.frame.expect("a frame"))
    }

    /// The frames of a runner as tests write them.
    pub(crate) fn stack(&mut self, runner: RunnerId) -> Vec<(String, usize)> {
        let frames = self.live.frames(runner).unwrap();
        frames.iter().map(|frame| self.frame(frame)).collect()
    }

    /// The frames of the runner that stopped, with what is in them.
    pub(crate) fn states(&mut self) -> Vec<FrameState> {
        let runner = self.stopped().context.expect("a task stopped").runner;
        self.live.frame_states(runner).unwrap()
    }
}

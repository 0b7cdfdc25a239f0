//! A debugger and the program's own machine process, as `wkdb` runs it: minik, live.

mod copies;
mod past;
mod relay;

use std::path::Path;
use std::time::{Duration, Instant};

use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::demo::{Files, KERNEL_7_0};
use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{Cache, MachineConfig, Pace};
use wkdb::process::MachineProcess;
use wkdb::session::Live;
use wkdb_debugger::inferior::{
    BreakpointSpec, Inferior, InferiorError, Notice, Resume, Status, StepKind, Stop, StopReason,
};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::{CodeAddress, ModuleId, Outcome};

const PATIENCE: Duration = Duration::from_secs(120);

struct Session {
    live: Live,
    console: String,
    symbols: Symbols,
    _files: Files,
}

impl Session {
    /// minik at its start.
    fn start(change: impl FnOnce(&mut MachineConfig)) -> Session {
        let files = Files::write(KERNEL_7_0).unwrap();
        let mut config = MachineConfig::new(files.kernel());
        config.initrd = Some(files.initramfs());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
        config.cache = Some(Cache { directory, limit: DEFAULT_LIMIT });
        config.engine = EngineOptions { opt_level: OptLevelChoice::None, debug: true };
        config.attach = true;
        change(&mut config);
        let process = MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config).unwrap();
        let symbols = Symbols::load(KERNEL_7_0.to_vec()).unwrap();
        let mut session = Session { live: Live::over(process), console: String::new(), symbols, _files: files };
        assert_eq!(session.stop().reason, StopReason::Start);
        session
    }

    fn notices(&mut self, wait: Duration) -> Vec<Notice> {
        let notices = self.live.notices(wait).unwrap();
        for notice in &notices {
            if let Notice::Console(bytes) = notice {
                self.console.push_str(&String::from_utf8_lossy(bytes));
            }
        }
        notices
    }

    fn stop(&mut self) -> Stop {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no stop; console: {}", self.console);
            for notice in self.notices(Duration::from_millis(100)) {
                match notice {
                    Notice::Stopped(stop) => return *stop,
                    Notice::Ended(outcome, _) => panic!("{outcome:?}"),
                    _ => {}
                }
            }
        }
    }

    fn go(&mut self) -> Stop {
        self.live.resume(&Resume::go()).unwrap();
        self.stop()
    }

    fn expect(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.console.contains(text) {
            assert!(Instant::now() < deadline, "no {text:?}; console: {}", self.console);
            self.notices(Duration::from_millis(50));
        }
    }

    fn function(&self, name: &str) -> CodeAddress {
        let found = self.symbols.functions_named(name);
        CodeAddress { module: ModuleId::KERNEL, offset: found[0].start }
    }

    fn name(&self, stop: &Stop) -> String {
        self.symbols.function_name(stop.frame.unwrap().function)
    }
}

#[test]
fn breakpoints_steps_typing_and_interrupts_over_the_socket() {
    let mut session = Session::start(|c| c.pace = Pace::Real);
    session.live.resume(&Resume::go()).unwrap();
    session.expect("minik# ");
    assert_eq!(session.live.status(), &Status::Running);
    // Everything can be read while it runs.
    let tasks = session.live.tasks().unwrap();
    assert!(tasks.len() > 3, "{tasks:?}");
    for task in &tasks {
        let frames = session.live.frames(task.context.runner).unwrap();
        let states = session.live.frame_states(task.context.runner).unwrap();
        assert!(frames.len() <= 256 && states.len() <= 256);
    }
    // A person's Ctrl-C, while everybody waits.
    std::thread::sleep(Duration::from_millis(50));
    let asked = Instant::now();
    session.live.interrupt().unwrap();
    assert_eq!(session.stop().reason, StopReason::Interrupt);
    println!("the machine stopped {:?} after it was asked to", asked.elapsed());

    let address = session.function("raise_exception");
    session.live.insert_breakpoint(&BreakpointSpec { address, only: None, temporary: true }).unwrap();
    session.live.type_in(b"crash div0\r").unwrap();
    let stop = session.go();
    assert_eq!(stop.reason, StopReason::Trap { reason: "integer divide by zero".into() });
    let user = stop.frame.unwrap().address.module;
    assert_ne!(user, ModuleId::KERNEL);
    let image = Symbols::load(session.live.module(user).unwrap().to_vec()).unwrap();
    assert_eq!(image.function_name(stop.frame.unwrap().function), "cmd_crash");
    let stop = session.go();
    assert!(matches!(stop.reason, StopReason::Breakpoint(_)), "{stop:?}");
    assert_eq!(session.name(&stop), "raise_exception");
    let runner = stop.context.unwrap().runner;
    for _ in 0..20 {
        session.live.resume(&Resume::step(runner, StepKind::Instruction)).unwrap();
        assert_eq!(session.stop().reason, StopReason::Step);
    }
    session.live.resume(&Resume::go()).unwrap();
    session.expect("crash: Illegal instruction");
    session.live.quit().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !matches!(session.live.status(), Status::Ended(outcome, _) if **outcome == Outcome::Quit) {
        assert!(Instant::now() < deadline);
        session.notices(Duration::from_millis(50));
    }
}

#[test]
fn a_machine_process_that_is_killed_is_gone_and_says_so() {
    let mut session = Session::start(|_| {});
    let id = session.live.link().id() as i32;
    session.live.resume(&Resume::go()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::Signal::SIGKILL).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline);
        if let Err(error) = session.live.notices(Duration::from_millis(50)) {
            break error;
        }
    };
    assert!(matches!(&error, InferiorError::Gone(text) if text.contains("signal")), "{error:?}");
    assert_eq!(session.live.tasks(), Err(error), "again and again");
}

#[test]
fn a_kernel_that_is_none_is_refused_with_the_reason() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut config = MachineConfig::new(file.path());
    config.attach = true;
    let process = MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config).unwrap();
    let mut live = Live::over(process);
    let error = live.tasks().unwrap_err();
    assert!(matches!(&error, InferiorError::Gone(text) if text.contains("empty")), "{error:?}");
}

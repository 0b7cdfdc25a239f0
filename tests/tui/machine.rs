//! minik behind a session, for a screen or in place of one.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::demo::{Files, KERNEL_7_0, scene, sources};
use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{Cache, JournalConfig, MachineConfig};
use wkdb::process::MachineProcess;
use wkdb::session::{Live, Relay, Rewindable, Tapped, Variants};
use wkdb_debugger::commands::Config;
use wkdb_debugger::inferior::Limits;
use wkdb_debugger::tui::sample::Sample;
use wkdb_debugger::tui::session::{Ended, Gate, Machine, Setting, serve};
use wkdb_debugger::tui::{Effect, FromSession, Pane, Wants};

/// Longer than anything takes, once a kernel is compiled.
const PATIENCE: Duration = Duration::from_secs(120);

fn start(config: MachineConfig) -> io::Result<MachineProcess> {
    MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config)
}

/// minik in code for debugging, with everything that a machine of it needs.
fn config(bug: Option<&str>, command_line: &str, script: Option<&str>) -> (MachineConfig, Files) {
    let files = Files::write(KERNEL_7_0).unwrap();
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
    config.cache = Some(Cache { directory, limit: DEFAULT_LIMIT });
    config.engine = EngineOptions { opt_level: OptLevelChoice::None, debug: true };
    (config.store_checks, config.load_checks) = (true, true);
    config.attach = true;
    config.command_line = format!("console=hvc {command_line}");
    config.journal = Some(JournalConfig { check_ticks: u64::MAX, ..JournalConfig::default() });
    if let Some(bug) = bug {
        let scene = scene(bug).unwrap();
        config.command_line.push_str(&format!(" bug={bug}"));
        config.seed = scene.seed;
        config.script = Some(scene.script.to_owned());
    }
    config.script = script.map(str::to_owned).or(config.script);
    (config, files)
}

/// A machine of minik, at its start, in code for debugging.
pub(crate) fn machine(bug: Option<&str>, command_line: &str, script: Option<&str>) -> (Rewindable, Files) {
    let (config, files) = config(bug, command_line, script);
    let process = start(config).unwrap();
    (Rewindable::over(Live::over(Tapped::silent(process)), Limits::default()).unwrap(), files)
}

/// A run of minik as a screen shows it: in fast code, with a machine for debugging at hand.
pub(crate) fn shown(bug: Option<&str>, command_line: &str, script: Option<&str>) -> (Relay, Files) {
    shown_with(bug, command_line, script, |_| ())
}

/// The same with a configuration that is changed before.
pub(crate) fn shown_with(
    bug: Option<&str>,
    command_line: &str,
    script: Option<&str>,
    change: impl FnOnce(&mut MachineConfig),
) -> (Relay, Files) {
    let (mut debug, files) = config(bug, command_line, script);
    change(&mut debug);
    let fast = MachineConfig {
        engine: EngineOptions { debug: false, ..debug.engine },
        store_checks: false,
        load_checks: false,
        ..debug.clone()
    };
    let limits = Limits::default();
    let variants = Variants { fast: Some(fast.clone()), debug: Some(debug), limits, start };
    (Relay::start(fast, variants, Tapped::silent).unwrap().for_screen(), files)
}

/// A session without a screen, all that it tells being kept.
pub(crate) struct Session {
    effects: Sender<Effect>,
    told: Receiver<FromSession>,
    gate: Gate,
    thread: JoinHandle<Ended>,
    pub(crate) kept: Vec<FromSession>,
    _files: Files,
}

impl Session {
    pub(crate) fn new((machine, files): (impl Machine + Send + 'static, Files)) -> Session {
        let (effects, asked) = channel();
        let (tell, told) = channel();
        let gate = Gate::default();
        let setting = Setting {
            config: Config { bundled_sources: sources::MINIK, ..Config::default() },
            effects: asked,
            tell: move |what| tell.send(what).is_ok(),
            gate: gate.clone(),
            save: Box::new(|_| Err("not here".into())),
            first: Vec::new(),
        };
        let thread = std::thread::spawn(move || serve(machine, setting));
        Session { effects, told, gate, thread, kept: Vec::new(), _files: files }
    }

    pub(crate) fn ask(&mut self, effect: Effect) {
        self.effects.send(effect).unwrap();
    }

    pub(crate) fn command(&mut self, line: &str) {
        self.ask(Effect::Command { line: line.into(), typed: true });
    }

    /// All panes are wanted, and so much memory from an expression on.
    pub(crate) fn want_all(&mut self, memory: &str) {
        let panes = Pane::ALL.to_vec();
        self.ask(Effect::Watch(Wants { panes, memory: memory.into(), offset: 0, len: 512 }));
    }

    /// Keeps what is told, to the first that fits.
    pub(crate) fn until(&mut self, mut fits: impl FnMut(&FromSession) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = self.told.recv_timeout(PATIENCE).expect("the session says nothing more");
            // A machine that runs has always something to say.
            assert!(Instant::now() < deadline, "what is waited for does not come; this does: {told:?}");
            if matches!(told, FromSession::Sample(_)) {
                self.gate.passed();
            }
            if let FromSession::Failed(error) = &told {
                panic!("{error}");
            }
            let found = fits(&told);
            self.kept.push(told);
            if found {
                return;
            }
        }
    }

    pub(crate) fn sample(&mut self, fits: impl Fn(&Sample) -> bool) -> Sample {
        self.until(|told| matches!(told, FromSession::Sample(sample) if fits(sample)));
        match self.kept.last() {
            Some(FromSession::Sample(sample)) => sample.as_ref().clone(),
            other => panic!("{other:?}"),
        }
    }

    /// The report of the next stop.
    pub(crate) fn stop(&mut self) -> String {
        self.until(|told| matches!(told, FromSession::Stopped(_)));
        match self.kept.last() {
            Some(FromSession::Stopped(text)) => text
                .0
                .iter()
                .map(|line| line.iter().map(|(_, piece)| piece.as_str()).collect::<String>() + "\n")
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn end(self) -> Ended {
        let Session { effects, told, thread, .. } = self;
        drop((effects, told));
        thread.join().unwrap()
    }
}

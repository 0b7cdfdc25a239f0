//! `--tui`: a machine behind the screen, and the threads around that.
//!
//! ```text
//! input thread ──┐                        ┌── session thread: machine, debugger
//! signal thread ─┴─▶ events ─▶ screen ─▶ effects
//! ```
//!
//! A thread that panics ends the screen: its terminal has been given back by then ([`terminal`]).

mod colours;
mod terminal;
mod threads;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use anyhow::Context;
use etcetera::BaseStrategy;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use wkdb_debugger::commands::{BundledFile, Config};
use wkdb_debugger::inferior::{InferiorError, Limits};
use wkdb_debugger::tui::app::{self, Timed};
use wkdb_debugger::tui::sample::Code;
use wkdb_debugger::tui::session::{self, Ended, Gate, Machine, Setting};
use wkdb_debugger::tui::{Event, Settings, State, ThemeName};
use wkdb_tracer::Outcome;

use self::colours::Sixteen;
use self::terminal::{Screen, ToScreen};
use self::threads::{Input, Watcher, spawn};
use super::detect::DetectOptions;
use super::record::SharedRecording;
use super::replay::compile;
use super::run::{Guest, Prepared, RunOptions, prepare};
use super::{Exit, UsageError};
use crate::demo::{self, sources};
use crate::machine::{JournalConfig, MachineConfig, Pace};
use crate::process::MachineProcess;
use crate::recording::Replayable;
use crate::recording::recorder::is_bad;
use crate::recording::replayable::Named;
use crate::session::{Relay, Rewindable, Tapped, Variants};
use crate::watch_arg::{DEFAULT_LEN, Place, WatchArg};

impl Machine for Rewindable {
    fn quit(&mut self) -> Result<(), InferiorError> {
        Rewindable::quit(self)
    }
}

impl Machine for Relay {
    fn quit(&mut self) -> Result<(), InferiorError> {
        Relay::quit(self)
    }

    fn code(&mut self) -> Code {
        let changing = self.progress();
        match (changing, self.is_debug()) {
            (Some(progress), _) => {
                let percent = progress.done.saturating_mul(100) / progress.of.max(1);
                Code::Changing(percent.min(100) as u8)
            }
            (None, true) => Code::Debug,
            (None, false) => Code::Fast,
        }
    }

    fn will_have_past(&self) -> bool {
        Relay::will_have_past(self)
    }
}

/// How much a machine that is shown is put behind the screen, as `nice` counts: what a person does goes before what the
/// guest does, where there are not enough processors for both.
const BEHIND: i32 = 5;

/// Puts a machine behind the screen.
fn step_back(machine: &MachineProcess) {
    let Some(pid) = i32::try_from(machine.id()).ok().and_then(rustix::process::Pid::from_raw) else { return };
    let now = rustix::process::getpriority_process(None).unwrap_or(0);
    // Where that is not allowed, it is as it was.
    let _ = rustix::process::setpriority_process(Some(pid), now.saturating_add(BEHIND));
}

/// Starts a machine behind the screen.
fn start_behind(config: MachineConfig) -> io::Result<MachineProcess> {
    let machine = MachineProcess::start(config)?;
    step_back(&machine);
    Ok(machine)
}

/// Begins a run that is shown: in fast code, until somebody stops it; or, with commands to be run first, stopped at its
/// start in the code for debugging.
fn begin(
    mut config: MachineConfig,
    debug: Option<MachineConfig>,
    stopped: bool,
    recording: &SharedRecording,
) -> Result<Relay, InferiorError> {
    let journal = config.journal.get_or_insert_with(JournalConfig::record).clone();
    let debug = debug.map(|debug| MachineConfig { journal: Some(journal), ..debug });
    let (pace, limits) = (config.pace, Limits::default());
    let listen = |process: MachineProcess| {
        step_back(&process);
        recording.listen(process)
    };
    // It stops at its start, and whatever shows it hears of traps before the kernel does.
    config.attach = true;
    let variants = Variants { fast: Some(config.clone()), debug: debug.clone(), limits, start: start_behind };
    let relay = match debug.filter(|_| stopped) {
        Some(debug) => Relay::stopped(Rewindable::start_with(debug, limits, listen)?, variants, pace)?,
        None => Relay::start(config, variants, listen)?,
    };
    Ok(relay.for_screen())
}

/// Boots a guest, and shows it.
pub(super) fn boot(guest: Guest, mut options: RunOptions) -> anyhow::Result<Exit> {
    check_terminal()?;
    let settings = settings()?;
    let record = options.record.clone();
    let wait = options.tui_wait;
    // A session is not a run that ends with its script, and a person is there.
    let to_its_script = options.until.is_empty();
    options.pace = options.pace.or(Some(Pace::Real));
    let mut first: Vec<String> = Vec::new();
    for watch in std::mem::take(&mut options.watch) {
        first.push(watch_command(&watch));
    }
    // Without anything to be set first, it runs by itself.
    let stopped = wait || !first.is_empty();
    if stopped && !wait {
        first.push("continue".into());
    }
    let symbol_directories = std::mem::take(&mut options.symbols);
    let Prepared { mut config, mut debug, mut reporter, code, initrd } = prepare(&guest, options, false)?;
    if to_its_script {
        config.until.clear();
        debug.iter_mut().for_each(|debug| debug.until.clear());
    }
    let files = record.files(&guest, reporter.kernel_bytes(), initrd);
    let recording = SharedRecording::new(record.start(files, &mut config, code.store())?);
    let machine = begin(config, debug, stopped, &recording)?;
    let commands = Config { bundled_sources: guest.sources(), symbol_directories, ..Config::default() };
    let ended = show(machine, commands, &guest.name(), settings, first);
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) => {
            recording.finish(None);
            return Err(error);
        }
    };
    if ended.gone.is_some() {
        recording.machine_is_gone();
    }
    let problem = recording.problem();
    let outcome = ended.outcome.as_ref().map(|(outcome, totals)| (outcome, totals));
    let recorded = recording.finish(outcome);
    if let Some((outcome, totals)) = outcome.filter(|(outcome, _)| !matches!(outcome, Outcome::Quit)) {
        eprintln!("{}", reporter.outcome(outcome, totals).trim_end());
    }
    for text in problem.into_iter().chain(recorded) {
        eprintln!("{text}");
    }
    drop(code);
    match (ended.gone, ended.outcome) {
        (Some(words), _) => anyhow::bail!("the machine process is gone: {words}"),
        (None, Some((outcome, _))) => Ok(Exit::of(&outcome)),
        (None, None) => Ok(Exit::Ok),
    }
}

/// Opens a recording, and shows it: where it ended if it ended badly, else its beginning.
pub(super) fn replay(path: &Path, named: &Named, watches: &[WatchArg], detect: &DetectOptions) -> anyhow::Result<Exit> {
    check_terminal()?;
    let settings = settings()?;
    let name = path.display();
    let recording = Replayable::open(path, named).with_context(|| format!("{name} cannot be replayed"))?;
    let mut config = recording.config()?;
    config.detect = detect.instead_of(std::mem::take(&mut config.detect));
    config.pace = Pace::Warp;
    config.engine.debug = true;
    (config.store_checks, config.load_checks) = (true, true);
    let kernel = std::fs::read(recording.kernel()).context("cannot read the guest's kernel")?;
    let minik = [demo::KERNEL_7_0, demo::KERNEL_6_4].contains(&kernel.as_slice());
    let bundled_sources: &[BundledFile] = if minik { sources::MINIK } else { &[] };
    let code = compile(&mut config, &kernel)?;
    let run = recording.recorded_run().with_context(|| format!("{name} cannot be read"))?;
    let mut first: Vec<String> = watches.iter().map(watch_command).collect();
    if run.outcome.as_ref().is_none_or(is_bad) {
        first.push("goto end".into());
    }
    let listen = |process: MachineProcess| {
        step_back(&process);
        Tapped::silent(process)
    };
    let machine = Rewindable::open(config, run, Limits::default(), listen)?;
    let commands = Config { bundled_sources, ..Config::default() };
    let target = path.file_name().unwrap_or_default().to_string_lossy();
    let ended = show(machine, commands, &target, settings, first)?;
    drop(code);
    match ended.gone {
        Some(words) => anyhow::bail!("the machine process is gone: {words}"),
        None => Ok(Exit::Ok),
    }
}

/// `--watch` as a command.
fn watch_command(watch: &WatchArg) -> String {
    let place = match (&watch.place, watch.len) {
        // A symbol has a size of its own.
        (Place::Symbol(name), None) => return format!("watch {name} --log"),
        (Place::Symbol(name), Some(_)) => format!("&{name}"),
        (Place::Address(address), _) => format!("{address:#x}"),
    };
    let len = watch.len.unwrap_or(DEFAULT_LEN);
    format!("watch ((unsigned char *){place})[0..{len}] --log")
}

/// Shows a machine until the person leaves. `first` are commands to be run as if they had been typed.
///
/// # Errors
///
/// The terminal cannot be used; or a thread has panicked, which has said why.
///
/// # Panics
///
/// Where the screen does; the terminal is given back before it says so.
pub fn show(
    machine: impl Machine + Send + 'static,
    config: Config,
    target: &str,
    settings: Settings,
    first: Vec<String>,
) -> anyhow::Result<Ended> {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let theme = ThemeName::fitting(settings.theme, no_color, has_many_colours());
    let (tell, events) = channel::<Timed>();
    let (ask, effects) = channel();
    let gate = Gate::default();
    let (to_screen, session_gate) = (tell.clone(), gate.clone());
    // Before the terminal is taken: what happens from now on is undone.
    let screen = Screen::open().context("the terminal cannot be used")?;
    let setting = Setting {
        config,
        effects,
        tell: move |told| to_screen.send((Instant::now(), Event::Session(told))).is_ok(),
        gate: session_gate,
        save: Box::new(save_settings),
        first,
    };
    let session = spawn("session", tell.clone(), move || session::serve(machine, setting))?;
    let signals = Watcher::start(tell.clone())?;
    let input = Input::start(tell)?;
    let shown = interact(target, settings, theme, &events, &ask, &gate);
    // Without the screen's end of these the session ends, and the threads do.
    drop((ask, events));
    input.stop();
    signals.stop();
    let restored = screen.close();
    let ended = match session.join() {
        Ok(ended) => ended,
        // It has said why, once the terminal was given back.
        Err(_) => anyhow::bail!("the session came to a bad end"),
    };
    shown?;
    restored.context("the terminal cannot be given back")?;
    Ok(ended)
}

fn interact(
    target: &str,
    settings: Settings,
    theme: ThemeName,
    events: &Receiver<Timed>,
    effects: &Sender<wkdb_debugger::tui::Effect>,
    gate: &Gate,
) -> anyhow::Result<()> {
    let writer: Box<dyn Write> = match has_many_colours() {
        true => Box::new(ToScreen),
        false => Box::new(Sixteen::new(ToScreen)),
    };
    let mut terminal = Terminal::new(CrosstermBackend::new(writer)).context("the terminal cannot be used")?;
    let size = terminal.size().context("the terminal does not tell its size")?;
    let mut state = State::new(target, (size.width, size.height), settings, theme);
    app::run(&mut terminal, &mut state, events, effects, gate, false).context("the terminal cannot be written to")?;
    Ok(())
}

/// A person has to be there.
fn check_terminal() -> anyhow::Result<()> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    Err(UsageError("--tui needs a terminal; without one, `wkdb debug` takes commands from a file or a pipe".into())
        .into())
}

/// Whether the terminal says that it has more than sixteen colours.
fn has_many_colours() -> bool {
    let set = |name: &str| std::env::var(name).unwrap_or_default();
    let term = set("TERM");
    !set("COLORTERM").is_empty()
        || ["256color", "direct", "kitty", "alacritty", "ghostty"].iter().any(|word| term.contains(word))
}

/// The file with the user's settings.
fn settings_file() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.config_dir().join("wkdb").join("tui.toml"))
}

/// The user's settings.
fn settings() -> anyhow::Result<Settings> {
    let Some(path) = settings_file() else { return Ok(Settings::default()) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Settings::default()),
        Err(error) => return Err(error).with_context(|| format!("cannot read the settings in {}", path.display())),
    };
    Settings::parse(&text).map_err(|error| {
        anyhow::anyhow!("the settings in {} cannot be used; mend the file, or delete it: {error}", path.display())
    })
}

/// Keeps settings for the next time.
fn save_settings(text: &str) -> Result<String, String> {
    let path = settings_file().ok_or("there is no home directory to keep settings in")?;
    let words = |error: io::Error| format!("cannot write {}: {error}", path.display());
    let directory = path.parent().ok_or("there is no directory for settings")?;
    std::fs::create_dir_all(directory).map_err(words)?;
    // All of it or nothing.
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(words)?;
    file.write_all(text.as_bytes()).map_err(words)?;
    file.persist(&path).map_err(|error| words(error.error))?;
    Ok(format!("kept in {}", path.display()))
}

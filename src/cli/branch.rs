//! `wkdb branch`: a recording up to a moment, and from there on a new run.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use wkdb_debugger::inferior::{Inferior, InferiorError, Notice, Resume, StopReason};
use wkdb_tracer::recording::{Entry, Intervention, Position};
use wkdb_tracer::{GuestTime, Outcome, Tick};

use super::detect::DetectOptions;
use super::gdb::{self, DebuggerPorts};
use super::prepare::CodeDir;
use super::record::{RecordOptions, SharedRecording};
use super::run::{HistoryOptions, bundled_sources, for_debugging, stay};
use super::{Exit, UsageError, print};
use crate::code_cache::CodeStore;
use crate::condition::Condition;
use crate::contract::KernelModule;
use crate::machine::{JournalConfig, MachineConfig, Pace};
use crate::process::MachineProcess;
use crate::recording::Replayable;
use crate::recording::replayable::Named;
use crate::report::Reporter;
use crate::script::Script;
use crate::session::{Live, Relay, Tapped, Variants};
use crate::units::parse_guest_span;
use crate::watch_arg::WatchArg;

/// Arguments of `wkdb branch`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The recording. It is not changed.
    file: PathBuf,
    /// From which moment on it is another run: a tick, or a guest time (12.5s).
    #[arg(long, value_name = "TICK|GUEST-TIME")]
    at: Moment,
    /// The kernel, where it is not in the recording.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The initramfs, where it is not in the recording.
    #[arg(long, value_name = "FILE")]
    initramfs: Option<PathBuf>,
    /// From that moment on, type what this script says, and expect what it says.
    #[arg(long, value_name = "SCRIPT")]
    input: Option<PathBuf>,
    /// End the run when this comes true: console=TEXT, time=5m, tick=N, panic, trap, finding, script. It must not come
    /// true before the moment. Repeatable.
    #[arg(long, value_name = "CONDITION")]
    until: Vec<Condition>,
    /// End the run at this guest time (2.5s, 5m, 1h).
    #[arg(long, value_name = "GUEST-TIME", value_parser = parse_guest_span)]
    max_time: Option<GuestTime>,
    /// Whether idle guest time is skipped or waited for, from that moment on. Default: real for a person, warp for a
    /// script.
    #[arg(long, value_enum)]
    pace: Option<Pace>,
    /// Print every store into this memory, with who did it. Repeatable.
    #[arg(long, value_name = "SYMBOL|0xADDR[:LEN]")]
    watch: Vec<WatchArg>,
    #[command(flatten)]
    ports: DebuggerPorts,
    /// Stay at that moment until a debugger lets the guest go on.
    #[arg(long, requires = "debugger")]
    gdb_wait: bool,
    /// Write the kernel's symbols to a file, for an lldb on another computer: lldb FILE -o 'gdb-remote HOST:PORT'. Here it
    /// finds them, and gdb does everywhere.
    #[arg(long, value_name = "FILE", requires = "gdb")]
    gdb_symbols: Option<PathBuf>,
    /// Take symbols of modules that have none from files in this directory with the same code. Repeatable.
    #[arg(long = "symbols", value_name = "DIR", requires = "gdb")]
    symbols: Vec<PathBuf>,
    #[command(flatten)]
    detect: DetectOptions,
    #[command(flatten)]
    history: HistoryOptions,
    /// Print a closing line of JSON on standard output.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    record: RecordOptions,
}

/// A moment of a run, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Tick(Tick),
    Time(GuestTime),
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(tick) = text.parse() {
            return Ok(Moment::Tick(Tick(tick)));
        }
        let wrong = |error| format!("{error}; give a tick as 123456, or a guest time as 12.5s");
        parse_guest_span(text).map(Moment::Time).map_err(wrong)
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Moment::Tick(tick) => write!(f, "tick {tick}"),
            Moment::Time(time) => write!(f, "guest time {time}"),
        }
    }
}

/// Runs the subcommand.
pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let named = Named { kernel: args.kernel.clone(), initramfs: args.initramfs.clone() };
    let path = args.file.display();
    let recording = Replayable::open(&args.file, &named).with_context(|| format!("{path} cannot be replayed"))?;
    refuse_what_is_not_recorded(args.at, &recording)?;
    if let Some(new) = args.record.file().filter(|new| is_same_file(new, &args.file)) {
        let text =
            format!("--record {} is the recording itself, which is never changed: name another file", new.display());
        return Err(UsageError(text).into());
    }
    let entries = from_outside(&recording)?;
    let mut config = recording.config()?;
    config.journal = Some(JournalConfig::record());
    config.until.clone_from(&args.until);
    config.detect = args.detect.instead_of(std::mem::take(&mut config.detect));
    config.max_time = args.max_time;
    let script = match &args.input {
        Some(path) => {
            let text =
                std::fs::read(path).with_context(|| format!("cannot read the input script {}", path.display()))?;
            let text = String::from_utf8_lossy(&text).into_owned();
            Script::parse(&text).with_context(|| format!("{}", path.display()))?;
            Some(text)
        }
        None if config.until.contains(&Condition::Script) => {
            return Err(UsageError("--until script needs a script: give one with --input FILE".into()).into());
        }
        None => None,
    };
    if script.is_some() && config.until.is_empty() {
        config.until.push(Condition::Script);
    }
    let unattended = script.is_some() || !config.until.is_empty() || config.max_time.is_some();
    let pace = args.pace.unwrap_or(if unattended { Pace::Warp } else { Pace::Real });

    let kernel = std::fs::read(recording.kernel()).context("cannot read the guest's kernel")?;
    let mut reporter = Reporter::new(kernel);
    for watch in &args.watch {
        config.watch.push(reporter.resolve_watch(watch)?);
    }
    let kernel = reporter.kernel_bytes().clone();
    let functions = KernelModule::parse(&kernel).context("the kernel cannot be booted")?.outline.defined_functions;
    let mut debug = args.ports.any().then(|| for_debugging(&config));
    let code = CodeDir::with_code(&kernel, functions, config.variant(), config.engine)?;
    config.cache = Some(code.cache());
    if let Some(debug) = &mut debug {
        code.add(&kernel, functions, debug.variant(), debug.engine)?;
        debug.cache.clone_from(&config.cache);
    }
    if let Some(path) = &args.gdb_symbols {
        gdb::write_symbols(&kernel, path)?;
    }
    let (sources, symbols) = (bundled_sources(&kernel), args.symbols);
    let server = gdb::serve(args.ports, &kernel, CodeStore::open().ok(), sources, symbols)?;

    let files = recording.source_files().context("cannot read the guest's files")?;
    let recorded = args.record.start(files, &mut config, code.store())?;
    // Without a recording too: the machine for debugging is given what came from outside.
    let journal = config.journal.get_or_insert_with(JournalConfig::record).clone();
    let debug = debug.map(|debug| MachineConfig { journal: Some(journal), ..debug });
    let interactive = script.is_none();
    let branch = Branch { at: args.at, entries, script: script.unwrap_or_default(), pace, waits: args.gdb_wait };
    let variants = Variants { fast: Some(config.clone()), debug, limits: args.history.limits(), ..Variants::default() };
    let begin = |recorded: &SharedRecording| branch.begin(config, variants, recorded);
    let exit = stay(begin, recorded, reporter, server, interactive, args.json);
    drop((code, recording));
    exit
}

/// Behind a recording's end nothing is known of its run, nor of what would have come from outside.
fn refuse_what_is_not_recorded(at: Moment, recording: &Replayable) -> anyhow::Result<()> {
    let end = recording.recorded_run()?.end;
    let recorded = match at {
        Moment::Tick(tick) => tick <= end.tick,
        Moment::Time(time) => time <= end.time,
    };
    if recorded {
        return Ok(());
    }
    let text = format!(
        "the recording ends at tick {}, guest time {}: {at} is behind that; choose an earlier moment with --at",
        end.tick, end.time
    );
    Err(InferiorError::Refused(text).into())
}

/// Whether two names are of one file that is there.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let canonical = |path: &Path| path.canonicalize().ok();
    canonical(one).is_some_and(|one| canonical(other) == Some(one))
}

/// What came from outside to the recorded run, as far as it can be read. That somebody ended it is no part of a branch.
fn from_outside(recording: &Replayable) -> anyhow::Result<Vec<(Position, Entry)>> {
    let mut recording = recording.recording()?;
    let quits = |entry: &Entry| matches!(entry, Entry::Intervention(Intervention::Quit | Intervention::QuitInSlice));
    let entries = recording.entries().map_while(Result::ok);
    Ok(entries.filter(|(_, entry)| entry.is_from_outside() && !quits(entry)).collect())
}

/// Where and how the new run begins.
struct Branch {
    at: Moment,
    entries: Vec<(Position, Entry)>,
    /// What is at the console from then on.
    script: String,
    pace: Pace,
    /// For a debugger.
    waits: bool,
}

impl Branch {
    /// Runs the recorded run up to the moment, and has the new one begin there. What the guest prints meanwhile is shown:
    /// it is part of the new run.
    fn begin(
        self,
        mut config: MachineConfig,
        variants: Variants,
        recorded: &SharedRecording,
    ) -> Result<Relay, InferiorError> {
        let had_script = config.script.is_some();
        config.attach = true;
        config.pace = Pace::Warp;
        let gone = |error: std::io::Error| InferiorError::Gone(error.to_string());
        let process = MachineProcess::start(config).map_err(gone)?;
        let mut machine: Live<Tapped> = Live::over(recorded.listen(process));
        next_stop(&mut machine)?;
        machine.run_again(self.entries)?;
        let (until_tick, until_time) = match self.at {
            Moment::Tick(tick) => (Some(tick), None),
            Moment::Time(time) => (None, Some(time)),
        };
        // It stands at its beginning.
        let mut there = self.at == Moment::Tick(Tick(0));
        while !there {
            machine.resume(&Resume { until_tick, until_time, ..Resume::go() })?;
            match next_stop(&mut machine)? {
                StopReason::Tick => there = true,
                StopReason::End(outcome) => return Err(ends_before(self.at, &outcome)),
                StopReason::Panic { .. } => return Err(ends_before(self.at, &Outcome::Panic)),
                _ => {}
            }
        }
        machine.lead(self.pace)?;
        if had_script || !self.script.is_empty() {
            machine.take(vec![Entry::Intervention(Intervention::Script(self.script))])?;
        }
        machine.set_attached(false)?;
        let mut relay = Relay::led_by(machine, variants, self.pace)?;
        if !self.waits {
            relay.go_on()?;
        }
        Ok(relay)
    }
}

fn ends_before(at: Moment, outcome: &Outcome) -> InferiorError {
    let how = match outcome {
        Outcome::Until(condition) => format!("`{condition}` comes true"),
        other => format!("the run ends ({})", other.keyword()),
    };
    InferiorError::Refused(format!("before {at} {how}: choose an earlier moment, or another end"))
}

/// Waits for the machine to stop, and shows what it prints.
fn next_stop(machine: &mut Live<Tapped>) -> Result<StopReason, InferiorError> {
    loop {
        for notice in machine.notices(Duration::from_secs(1))? {
            match notice {
                Notice::Console(bytes) => print(bytes).map_err(|error| InferiorError::Gone(format!("{error:#}")))?,
                Notice::Stopped(stop) => return Ok(stop.reason),
                Notice::Ended(outcome, _) => return Ok(StopReason::End(outcome)),
                Notice::Event(_) | Notice::Module(_) | Notice::Found(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ticks_or_guest_times() {
        assert_eq!("123".parse(), Ok(Moment::Tick(Tick(123))));
        assert_eq!("1.5s".parse(), Ok(Moment::Time(GuestTime(1_500_000_000))));
        assert!("soon".parse::<Moment>().unwrap_err().contains("12.5s"));
    }
}

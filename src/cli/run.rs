//! `wkdb run`: boots a kernel and shows its console.

use std::path::{Path, PathBuf};

use anyhow::Context;
use wkdb_debugger::commands::BundledFile;
use wkdb_debugger::gdb::Server;
use wkdb_debugger::inferior::{InferiorError, Limits};
use wkdb_tracer::{GuestTime, Outcome, Totals};

use super::console::Terminal;
use super::detect::DetectOptions;
use super::gdb::{self, DebuggerPorts};
use super::prepare::CodeDir;
use super::record::{RecordOptions, Recording, SharedRecording};
use super::session::{Session, failed};
use super::tui;
use super::{Exit, UsageError, print};
use crate::code_cache::CodeStore;
use crate::condition::Condition;
use crate::contract::KernelModule;
use crate::demo::linux::LinuxFiles;
use crate::demo::{Files, KERNEL_6_4, KERNEL_7_0, sources};
use crate::machine::engine::{EngineOptions, OptLevelChoice};
use crate::machine::{COMMAND_LINE_SIZE, JournalConfig, MachineConfig, Pace, Policy, Quirk};
use crate::report::Reporter;
use crate::script::Script;
use crate::session::{Relay, Rewindable, Variants};
use crate::units::{parse_guest_span, parse_size};
use crate::watch_arg::WatchArg;

/// Options of a run that do not name the guest; `wkdb demo` has them too.
#[derive(clap::Args)]
pub(super) struct RunOptions {
    /// Added to the kernel's command line.
    #[arg(long, value_name = "CMDLINE", allow_hyphen_values = true)]
    pub append: Option<String>,
    /// CPUs that the guest may bring up (adds nr_cpus=N to its command line); it decides how many it needs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub cpus: Option<u32>,
    /// What the schedule and the guest's random numbers are drawn from: the same seed is the same run. Default: 0.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How the next task is chosen.
    #[arg(long, value_enum, default_value_t)]
    pub sched: Policy,
    /// Time slice in ticks (loop turns and function calls of the guest).
    #[arg(long, value_name = "TICKS", default_value_t = MachineConfig::SLICE,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    pub slice: u32,
    /// Guest time per tick, in nanoseconds.
    #[arg(long, value_name = "NS", default_value_t = MachineConfig::NS_PER_TICK, hide_short_help = true,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub ns_per_tick: u32,
    /// Whether idle guest time is skipped or waited for. Default: real for a person, warp for a script.
    #[arg(long, value_enum)]
    pub pace: Option<Pace>,
    /// Type what this script says, and expect what it says.
    #[arg(long, value_name = "SCRIPT")]
    pub input: Option<PathBuf>,
    /// The text of a script that is not in a file.
    #[arg(skip)]
    pub script_text: Option<String>,
    /// End the run when this comes true: console=TEXT, time=5m, tick=N, panic, trap, finding, script. Repeatable.
    #[arg(long, value_name = "CONDITION")]
    pub until: Vec<Condition>,
    /// End the run after this much guest time (2.5s, 5m, 1h).
    #[arg(long, value_name = "GUEST-TIME", value_parser = parse_guest_span)]
    pub max_time: Option<GuestTime>,
    /// How long in guest time an `expect` of the script may take.
    #[arg(long, value_name = "GUEST-TIME", default_value = "10m", value_parser = parse_guest_span, hide_short_help = true)]
    pub expect_timeout: GuestTime,
    /// After how much guest time without a wait, a switch or console traffic a machine counts as spinning.
    #[arg(long, value_name = "GUEST-TIME", default_value = "10s", value_parser = parse_guest_span, hide_short_help = true)]
    pub stall: GuestTime,
    /// Print every store into this memory, with who did it. Repeatable.
    #[arg(long, value_name = "SYMBOL|0xADDR[:LEN]")]
    pub watch: Vec<WatchArg>,
    #[command(flatten)]
    pub ports: DebuggerPorts,
    /// Do not start the guest before a debugger lets it go on.
    #[arg(long, requires = "debugger")]
    pub gdb_wait: bool,
    #[command(flatten)]
    pub history: HistoryOptions,
    /// Write the kernel's symbols to a file, for an lldb on another computer: lldb FILE -o 'gdb-remote HOST:PORT'. Here it
    /// finds them, and gdb does everywhere.
    #[arg(long, value_name = "FILE", requires = "gdb")]
    pub gdb_symbols: Option<PathBuf>,
    /// With a debugger: take symbols of modules that have none from files in this directory with the same code. Repeatable.
    #[arg(long = "symbols", value_name = "DIR")]
    pub symbols: Vec<PathBuf>,
    /// Show the whole machine on one screen, and stop it, look anywhere, and go back in time there.
    #[arg(long, conflicts_with_all = ["gdb", "lldb", "json"])]
    pub tui: bool,
    /// Do not start the guest before F5 is pressed.
    #[arg(long, requires = "tui")]
    pub tui_wait: bool,
    /// Compile store checks in even if nothing is watched: for measurements.
    #[arg(long, hide = true)]
    pub store_checks: bool,
    /// Optimise the guest's code or not: it computes the same.
    #[arg(long, value_enum, default_value_t, hide_short_help = true)]
    pub opt_level: OptLevelChoice,
    /// Print a closing line of JSON on standard output.
    #[arg(long)]
    pub json: bool,
    /// Make the host do wrong what other hosts did: eager-release destroys a task's runner at its own wasm_release_task.
    /// Repeatable.
    #[arg(long, value_name = "NAME")]
    pub quirk: Vec<Quirk>,
    /// It is one of a hunt.
    #[arg(skip)]
    pub hunted: bool,
    #[command(flatten)]
    pub detect: DetectOptions,
    #[command(flatten)]
    pub record: RecordOptions,
}

/// Options of a run that a debugger can go back in.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct HistoryOptions {
    /// How much memory the copies of the machine may take from which a debugger goes back in time (512M, 2G).
    #[arg(long, value_name = "SIZE", default_value = "1G", value_parser = parse_size, hide_short_help = true)]
    pub history_memory: u64,
}

impl HistoryOptions {
    /// What bounds the checkpoints.
    pub(super) fn limits(self) -> Limits {
        Limits { memory: self.history_memory, ..Limits::default() }
    }
}

/// Arguments of `wkdb run`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The kernel: vmlinux as a Wasm module; or `linux`, the bundled one with its own initramfs.
    kernel: PathBuf,
    /// The initramfs (cpio, as the kernel wants it).
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    #[command(flatten)]
    options: RunOptions,
}

/// A guest to run.
pub(super) struct Guest {
    /// Its kernel.
    pub kernel: PathBuf,
    /// Its initramfs.
    pub initrd: Option<PathBuf>,
    /// Where it is bundled: its files, which are gone when this is dropped.
    pub bundled: Option<Bundled>,
}

/// The files of a bundled guest.
pub(super) enum Bundled {
    /// minik.
    Minik { _files: Files },
    /// Linux.
    Linux { _files: LinuxFiles },
}

impl Guest {
    /// A guest of one's own.
    pub(super) fn of_files(kernel: PathBuf, initrd: Option<PathBuf>) -> Self {
        Guest { kernel, initrd, bundled: None }
    }

    /// What it is called.
    pub(super) fn name(&self) -> String {
        match self.bundled {
            Some(Bundled::Minik { .. }) => "minik".into(),
            Some(Bundled::Linux { .. }) => "linux".into(),
            None => self.kernel.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        }
    }

    /// Its sources, where they come with this program.
    pub(super) fn sources(&self) -> &'static [BundledFile] {
        match self.bundled {
            Some(Bundled::Minik { .. }) => sources::MINIK,
            Some(Bundled::Linux { .. }) | None => &[],
        }
    }
}

/// The sources of a guest that comes with this program.
pub(super) fn bundled_sources(kernel: &[u8]) -> &'static [BundledFile] {
    match kernel == KERNEL_7_0 || kernel == KERNEL_6_4 {
        true => sources::MINIK,
        false => &[],
    }
}

/// Runs the subcommand.
pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    // A file of that name goes first, and with an initramfs of one's own `linux` has to be a file.
    if args.kernel.as_os_str() == "linux" && args.initrd.is_none() && !args.kernel.exists() {
        return boot_linux(args.options);
    }
    boot(Guest::of_files(args.kernel, args.initrd), args.options)
}

/// Boots the bundled Linux.
pub(super) fn boot_linux(mut options: RunOptions) -> anyhow::Result<Exit> {
    boot(linux_guest(&mut options)?, options)
}

/// The bundled Linux, with four CPUs unless told otherwise.
pub(super) fn linux_guest(options: &mut RunOptions) -> anyhow::Result<Guest> {
    options.cpus = options.cpus.or(Some(4));
    let files = LinuxFiles::write(CodeStore::open().ok().as_ref())
        .context("cannot write the bundled Linux to a temporary directory")?;
    let (kernel, initrd) = (files.kernel(), Some(files.initramfs()));
    Ok(Guest { kernel, initrd, bundled: Some(Bundled::Linux { _files: files }) })
}

/// The kernel command line that the options make.
fn command_line(options: &RunOptions) -> anyhow::Result<String> {
    let mut line = "console=hvc".to_owned();
    if let Some(cpus) = options.cpus {
        line.push_str(&format!(" nr_cpus={cpus}"));
    }
    if let Some(append) = &options.append {
        line.push(' ');
        line.push_str(append);
    }
    if line.len() >= COMMAND_LINE_SIZE {
        let most = COMMAND_LINE_SIZE - 1;
        return Err(UsageError(format!("the kernel command line has {} bytes; it can have {most}", line.len())).into());
    }
    Ok(line)
}

fn read(what: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {what} {}", path.display()))
}

/// A machine that can be started.
pub(super) struct Prepared {
    /// The machine.
    pub config: MachineConfig,
    /// The same run in code for debugging, where a debugger may come later.
    pub debug: Option<MachineConfig>,
    /// What tells of it; it has the kernel.
    pub reporter: Reporter,
    /// Its compiled code.
    pub code: CodeDir,
    /// Its initramfs.
    pub initrd: Option<Vec<u8>>,
}

/// Gets everything ready to boot a guest: its configuration, and its code compiled. With `attached`, for a debugger that
/// is there from the start.
pub(super) fn prepare(guest: &Guest, options: RunOptions, attached: bool) -> anyhow::Result<Prepared> {
    let kernel = read("the kernel", &guest.kernel)?;
    let module = KernelModule::parse(&kernel)
        .with_context(|| format!("{} cannot be booted (wkdb info says more)", guest.kernel.display()))?;
    let mut initrd = None;
    if let Some(path) = &guest.initrd {
        // Said now, not by the machine process later.
        initrd = Some(read("the initramfs", path)?);
    }
    let mut config = MachineConfig::new(&guest.kernel);
    config.initrd.clone_from(&guest.initrd);
    config.command_line = command_line(&options)?;
    config.seed = options.seed.unwrap_or(0);
    config.policy = options.sched;
    config.slice = options.slice;
    config.ns_per_tick = options.ns_per_tick;
    config.until = options.until;
    config.max_time = options.max_time;
    config.expect_timeout_ns = options.expect_timeout.0;
    config.stall_ns = options.stall.0;
    config.store_checks = options.store_checks;
    let watched_throughout = attached || options.hunted || options.ports.any() && options.gdb_wait;
    config.detect = options.detect.config(watched_throughout);
    config.quirks = options.quirk.iter().copied().collect();
    config.engine = EngineOptions { opt_level: options.opt_level, debug: false };
    let script = match &options.input {
        Some(path) => {
            let text = String::from_utf8_lossy(&read("the input script", path)?).into_owned();
            Script::parse(&text).with_context(|| format!("{}", path.display()))?;
            Some(text)
        }
        None => options.script_text,
    };
    if let Some(text) = script {
        config.script = Some(text);
        if config.until.is_empty() {
            config.until.push(Condition::Script);
        }
    } else if config.until.contains(&Condition::Script) {
        return Err(UsageError("--until script needs a script: give one with --input FILE".into()).into());
    }
    let unattended = config.script.is_some() || !config.until.is_empty() || config.max_time.is_some();
    config.pace = options.pace.unwrap_or(if unattended { Pace::Warp } else { Pace::Real });

    let mut reporter = Reporter::new(kernel);
    for watch in &options.watch {
        config.watch.push(reporter.resolve_watch(watch)?);
    }
    let (bytes, functions) = (reporter.kernel_bytes(), module.outline.defined_functions);
    let debug = (attached || options.ports.any() || options.tui).then(|| for_debugging(&config));
    // A debugger that is there from the start may leave, and then the guest runs fast.
    let code = match &debug {
        Some(debug) => CodeDir::with_code(bytes, functions, debug.variant(), debug.engine)?,
        None => CodeDir::with_code(bytes, functions, config.variant(), config.engine)?,
    };
    if debug.is_some() && !attached {
        code.add(bytes, functions, config.variant(), config.engine)?;
    }
    config.cache = Some(code.cache());
    let debug = debug.map(|debug| MachineConfig { cache: Some(code.cache()), ..debug });
    match debug {
        Some(debug) if attached => Ok(Prepared { config: debug, debug: None, reporter, code, initrd }),
        debug => Ok(Prepared { config, debug, reporter, code, initrd }),
    }
}

/// The same run in code for debugging: a debugger may watch memory, for writes and for reads.
pub(super) fn for_debugging(config: &MachineConfig) -> MachineConfig {
    let mut config = config.clone();
    config.store_checks = true;
    config.load_checks = true;
    config.engine.debug = true;
    config.attach = true;
    config
}

/// Boots a guest and stays with it to its end.
pub(super) fn boot(guest: Guest, options: RunOptions) -> anyhow::Result<Exit> {
    if options.tui {
        return tui::boot(guest, options);
    }
    let (ports, json, gdb_symbols) = (options.ports, options.json, options.gdb_symbols.clone());
    let symbols = options.symbols.clone();
    if !ports.any() && !symbols.is_empty() {
        return Err(UsageError(
            "--symbols is for debuggers: give --gdb PORT or --lldb PORT too, or use `wkdb debug`".into(),
        )
        .into());
    }
    let (record, gdb_wait, limits) = (options.record.clone(), options.gdb_wait, options.history.limits());
    let Prepared { mut config, debug, reporter, code, initrd } = prepare(&guest, options, false)?;
    if let Some(path) = &gdb_symbols {
        gdb::write_symbols(reporter.kernel_bytes(), path)?;
    }
    let server = gdb::serve(ports, reporter.kernel_bytes(), CodeStore::open().ok(), guest.sources(), symbols)?;

    let files = record.files(&guest, reporter.kernel_bytes(), initrd);
    let recording = record.start(files, &mut config, code.store())?;
    let interactive = config.script.is_none();
    let begin = |recording: &SharedRecording| start(config, debug, gdb_wait, limits, recording);
    stay(begin, recording, reporter, server, interactive, json)
}

/// Begins a run and stays with it to its end. With `interactive`, standard input is the guest's.
pub(super) fn stay(
    begin: impl FnOnce(&SharedRecording) -> Result<Relay, InferiorError>,
    recording: Recording,
    reporter: Reporter,
    server: Option<Server>,
    interactive: bool,
    json: bool,
) -> anyhow::Result<Exit> {
    let started = std::time::Instant::now();
    let terminal = Terminal::open(interactive)?;
    if terminal.is_raw() {
        terminal.say("wkdb: Ctrl-A x leaves");
    }
    if let Some(server) = &server {
        terminal.say(&gdb::invitation(server)?);
    }
    let recording = SharedRecording::new(recording);
    let machine = begin(&recording).map_err(failed)?;
    let mut session = Session::new(machine, terminal, reporter, recording, interactive);
    session.gdb = server;
    let (outcome, totals) = match session.run() {
        Ok(end) => end,
        Err(error) => {
            session.abandon();
            return Err(error);
        }
    };
    let findings = session.findings;
    let exit = Exit::of(&outcome).with_findings(&outcome, findings);
    session.close(&outcome, &totals)?;
    if json {
        print(format!("{}\n", closing_line((&outcome, &totals), findings, exit, started.elapsed())))?;
    }
    Ok(exit)
}

/// Starts the run: in fast code, with another machine for debuggers if one may come; or that one, if one is waited for.
fn start(
    mut config: MachineConfig,
    debug: Option<MachineConfig>,
    gdb_wait: bool,
    limits: Limits,
    recording: &SharedRecording,
) -> Result<Relay, InferiorError> {
    let Some(mut debug) = debug else {
        return Relay::start(config, Variants::default(), |process| recording.listen(process));
    };
    // One machine is given what came from outside to the other, whether or not the run is recorded.
    let journal = config.journal.get_or_insert_with(JournalConfig::record).clone();
    debug.journal = Some(journal);
    let pace = config.pace;
    let variants = Variants { fast: Some(config.clone()), debug: Some(debug.clone()), limits, ..Variants::default() };
    match gdb_wait {
        true => {
            let machine = Rewindable::start_with(debug, limits, |process| recording.listen(process))?;
            Relay::stopped(machine, variants, pace)
        }
        false => Relay::start(config, variants, |process| recording.listen(process)),
    }
}

/// What `--json` prints.
fn closing_line(
    (outcome, totals): (&Outcome, &Totals),
    findings: u64,
    exit: Exit,
    wall: std::time::Duration,
) -> serde_json::Value {
    let hash = |hash: u64| format!("{hash:016x}");
    serde_json::json!({
        "outcome": outcome.keyword(),
        "detail": match outcome {
            Outcome::Until(condition) => Some(condition.clone()),
            Outcome::Script { reason, .. } => Some(reason.clone()),
            Outcome::Broken(reason) => Some(reason.clone()),
            _ => None,
        },
        "exit_code": exit.code(),
        "findings": findings,
        "ticks": totals.ticks,
        "guest_ns": totals.time,
        "seed": totals.seed,
        "memory_hash": hash(totals.memory_hash),
        "schedule_hash": hash(totals.schedule_hash),
        "console_hash": hash(totals.console_hash),
        "slices": totals.slices,
        "tasks": totals.tasks,
        "tasks_alive": totals.tasks_alive,
        "cpus": totals.cpus,
        "wall_ms": wall.as_secs_f64() * 1e3,
    })
}

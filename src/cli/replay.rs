//! `wkdb replay`: runs a recording again and checks that it is the same run.

mod debugged;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use wkdb_tracer::recording::{Divergence, Ending, Entries, Entry, Position, ReadError, Verified, Verifier};
use wkdb_tracer::{Outcome, Totals};

use super::bisect;
use super::detect::DetectOptions;
use super::gdb::DebuggerPorts;
use super::prepare::CodeDir;
use super::run::{HistoryOptions, for_debugging};
use super::{Exit, print, tui};
use crate::condition::Condition;
use crate::contract::KernelModule;
use crate::machine::engine::OptLevelChoice;
use crate::machine::{MachineConfig, Pace};
use crate::process::MachineProcess;
use crate::process::protocol::FromMachine;
use crate::recording::Replayable;
use crate::recording::replayable::Named;
use crate::report::Reporter;
use crate::watch_arg::WatchArg;

/// Arguments of `wkdb replay`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The recording.
    pub(super) file: PathBuf,
    /// The kernel, where it is not in the recording.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The initramfs, where it is not in the recording.
    #[arg(long, value_name = "FILE")]
    initramfs: Option<PathBuf>,
    /// Only check: do not show the console and events.
    #[arg(long, conflicts_with = "debugger")]
    verify: bool,
    /// End the replay when this comes true: console=TEXT, time=5m, tick=N, panic, trap, finding. Repeatable.
    #[arg(long, value_name = "CONDITION")]
    until: Vec<Condition>,
    /// Whether idle guest time is skipped or waited for.
    #[arg(long, value_enum, default_value = "warp")]
    pace: Pace,
    /// Print every store into this memory, with who did it. Repeatable.
    #[arg(long, value_name = "SYMBOL|0xADDR[:LEN]")]
    watch: Vec<WatchArg>,
    /// Whether the guest's code has store checks. Default: as recorded.
    #[arg(long, value_name = "BOOL", hide_short_help = true)]
    store_checks: Option<bool>,
    /// Optimise the guest's code or not: it computes the same. Default: as recorded.
    #[arg(long, value_enum, hide_short_help = true, conflicts_with = "debugger")]
    opt_level: Option<OptLevelChoice>,
    /// Where the replay is another run, look for the slice in which it becomes one, by running it again in other
    /// variants with checks in between.
    #[arg(long, conflicts_with = "debugger")]
    bisect: bool,
    /// Print a closing line of JSON on standard output.
    #[arg(long, conflicts_with = "debugger")]
    json: bool,
    #[command(flatten)]
    ports: DebuggerPorts,
    /// Write the kernel's symbols to a file, for an lldb on another computer: lldb FILE -o 'gdb-remote HOST:PORT'. Here it
    /// finds them, and gdb does everywhere.
    #[arg(long, value_name = "FILE", requires = "gdb")]
    gdb_symbols: Option<PathBuf>,
    /// With --gdb: take symbols of modules that have none from files in this directory with the same code. Repeatable.
    #[arg(long = "symbols", value_name = "DIR", requires = "gdb")]
    symbols: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) detect: DetectOptions,
    #[command(flatten)]
    history: HistoryOptions,
    /// Show the recording on one screen, to look anywhere in it and go back and forth in time there.
    #[arg(long, conflicts_with_all = ["json", "verify", "bisect", "until", "gdb", "lldb"])]
    tui: bool,
}

/// How a replay went.
enum Replayed {
    /// To its end, or to where it was asked to end.
    As { outcome: Outcome, totals: Totals, verified: Verified, early: bool },
    /// It is another run.
    Diverged { divergence: Box<Divergence>, verified: Verified },
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let named = Named { kernel: args.kernel.clone(), initramfs: args.initramfs.clone() };
    if args.tui {
        return tui::replay(&args.file, &named, &args.watch, &args.detect);
    }
    let path = args.file.display();
    let recording = Replayable::open(&args.file, &named).with_context(|| format!("{path} cannot be replayed"))?;
    let mut config = recording.config()?;
    config.until.extend(args.until.iter().cloned());
    config.pace = args.pace;
    config.detect = args.detect.instead_of(std::mem::take(&mut config.detect));
    config.store_checks = args.store_checks.unwrap_or(config.store_checks);
    config.engine.opt_level = args.opt_level.unwrap_or(config.engine.opt_level);
    let kernel = std::fs::read(recording.kernel()).context("cannot read the guest's kernel")?;
    let mut reporter = Reporter::new(kernel);
    for watch in &args.watch {
        config.watch.push(reporter.resolve_watch(watch)?);
    }
    if args.ports.any() {
        return debugged::run(args, &recording, for_debugging(&config), reporter);
    }
    let code = compile(&mut config, reporter.kernel_bytes())?;

    let mut replay = Replay::start(args, &recording, config.clone(), reporter)?;
    let replayed = replay.run()?;
    let damage = replay.verifier.damage().or_else(|| damage(recording.ending()));
    if !args.verify && replay.open_line {
        print("\n")?;
    }
    eprintln!("wkdb: {}", replay.tell(&replayed, &recording));
    let exit = match &replayed {
        Replayed::As { .. } => Exit::Ok,
        Replayed::Diverged { .. } => Exit::Diverged,
    };
    let narrowed = match &replayed {
        Replayed::Diverged { divergence, .. } if args.bisect => {
            Some(bisect::run(&config, divergence, replay.reporter.kernel_bytes())?)
        }
        Replayed::Diverged { .. } => {
            eprintln!("wkdb: to find the slice in which it goes another way: wkdb replay --bisect {path}");
            None
        }
        Replayed::As { .. } => None,
    };
    drop(code);
    if args.json {
        let mut line = closing_line(&replayed, recording.ending(), damage.as_ref(), exit);
        line["wall_ms"] = (started.elapsed().as_secs_f64() * 1e3).into();
        line["bisect"] = narrowed.map_or(serde_json::Value::Null, |narrowed| narrowed.to_json());
        print(format!("{line}\n"))?;
    }
    match damage {
        Some(damage) => Err(damage).with_context(|| format!("{path} was replayed up to its damage")),
        None => Ok(exit),
    }
}

/// Compiles the kernel for the replay, unless that was done before.
pub(super) fn compile(config: &mut MachineConfig, kernel: &[u8]) -> anyhow::Result<CodeDir> {
    let module = KernelModule::parse(kernel).context("the guest's kernel cannot be booted")?;
    let code = CodeDir::with_code(kernel, module.outline.defined_functions, config.variant(), config.engine)?;
    config.cache = Some(code.cache());
    Ok(code)
}

/// The damage that was seen when the recording was opened.
fn damage(ending: &Ending) -> Option<ReadError> {
    match ending {
        Ending::Damaged { at, damage } => Some(ReadError::Damaged { at: *at, damage: *damage }),
        Ending::Complete(_) | Ending::Cut { .. } => None,
    }
}

type FromFile = Entries<std::io::BufReader<std::fs::File>>;

/// A replay under way.
struct Replay<'a> {
    args: &'a Args,
    ending: &'a Ending,
    machine: MachineProcess,
    reporter: Reporter,
    verifier: Verifier<FromFile>,
    at: Position,
    /// The code is compiled as it was for the recorded run.
    same_code: bool,
    /// The console's last line is not ended.
    open_line: bool,
}

impl<'a> Replay<'a> {
    fn start(
        args: &'a Args,
        recording: &'a Replayable,
        config: MachineConfig,
        reporter: Reporter,
    ) -> anyhow::Result<Self> {
        let ending = recording.ending();
        let entries = recording.recording()?.into_entries();
        let mut verifier = Verifier::new(entries, matches!(ending, Ending::Complete(_)));
        if config.detect != recording.config()?.detect {
            verifier.ignore_findings();
        }
        let same_code =
            config.variant() == recording.config()?.variant() && config.engine == recording.config()?.engine;
        let machine = MachineProcess::start(config)?;
        let at = Position::default();
        Ok(Replay { args, ending, machine, reporter, verifier, at, same_code, open_line: false })
    }

    fn run(&mut self) -> anyhow::Result<Replayed> {
        loop {
            let compared = match self.machine.receive()? {
                FromMachine::Failed(error) => anyhow::bail!(error),
                FromMachine::At(position) => {
                    self.at = position;
                    Ok(())
                }
                FromMachine::Took(entry) => self.verifier.entry(self.at, &entry),
                FromMachine::Console(bytes) => {
                    if !self.args.verify {
                        print(&bytes)?;
                        self.open_line = bytes.last().is_some_and(|&byte| byte != b'\n');
                    }
                    self.verifier.entry(self.at, &Entry::Console(bytes))
                }
                FromMachine::Event(event) => {
                    let watch = matches!(*event, wkdb_tracer::Event::Watch(_));
                    let asked = watch || matches!(*event, wkdb_tracer::Event::Finding(_));
                    if (asked || !self.args.verify)
                        && let Some(text) = self.reporter.event(&event)
                    {
                        eprintln!("{}", text.trim_end());
                    }
                    if watch { Ok(()) } else { self.verifier.entry(self.at, &Entry::Event(event)) }
                }
                FromMachine::Module(module, bytes) => {
                    self.reporter.add_module(module, bytes);
                    Ok(())
                }
                // Nobody debugs here.
                FromMachine::Stopped(_) | FromMachine::Answer(..) | FromMachine::Forked { .. } => Ok(()),
                // Nor is anything traced.
                FromMachine::Trace(_) => Ok(()),
                FromMachine::Ended(outcome, totals) => return Ok(self.ended(*outcome, *totals)),
            };
            if let Err(divergence) = compared {
                return Ok(self.diverged(divergence));
            }
        }
    }

    fn diverged(&self, divergence: Divergence) -> Replayed {
        Replayed::Diverged { divergence: Box::new(divergence), verified: self.verifier.verified() }
    }

    fn ended(&mut self, outcome: Outcome, totals: Totals) -> Replayed {
        let asked = matches!(&outcome, Outcome::Until(condition)
            if self.args.until.iter().any(|until| until.to_string() == *condition));
        let compared = match self.ending {
            Ending::Complete(end) if !(asked && totals.ticks < end.totals.ticks) => {
                self.verifier.end((&end.outcome, &end.totals), (&outcome, &totals)).map(|_| false)
            }
            Ending::Complete(_) => Ok(true),
            Ending::Cut { .. } | Ending::Damaged { .. } if asked => Ok(true),
            Ending::Cut { .. } | Ending::Damaged { .. } => self.verifier.at_end().map(|()| false),
        };
        match compared {
            Ok(early) => Replayed::As { outcome, totals, verified: self.verifier.verified(), early },
            Err(divergence) => self.diverged(divergence),
        }
    }

    /// How it went, in words.
    fn tell(&mut self, replayed: &Replayed, recording: &Replayable) -> String {
        let (outcome, totals, verified, early) = match replayed {
            Replayed::As { outcome, totals, verified, early } => (outcome, totals, verified, early),
            Replayed::Diverged { divergence, .. } => {
                let wkdb = &recording.header().wkdb;
                let code = match self.same_code {
                    true => "",
                    false => {
                        "\n  the guest's code was compiled in another way when it was recorded: replay it without \
                         --watch, --store-checks and --opt-level"
                    }
                };
                return format!(
                    "the replay is not the run that was recorded\n  {divergence}\n  the last check of memory before \
                     that was right: {}\n  recorded by wkdb {wkdb}, replayed by wkdb {}{code}",
                    divergence.good,
                    env!("CARGO_PKG_VERSION"),
                );
            }
        };
        let Verified { checks, memory_checks, console, events, .. } = verified;
        let how_far = match self.ending {
            _ if *early => "as far as asked for".to_owned(),
            Ending::Complete(_) => "to its end".to_owned(),
            Ending::Cut { at, lost: 0 } => format!("to where the recording was cut off, after {at} bytes"),
            Ending::Cut { at, lost } => {
                format!(
                    "to where the recording was cut off, after {at} bytes ({lost} more are of a block that is not whole)"
                )
            }
            Ending::Damaged { at, .. } => format!("to the recording's damage at byte {at}"),
        };
        let outcome = if self.args.verify {
            format!("{}: tick {}, guest time {}", outcome.keyword(), totals.ticks, totals.time)
        } else {
            let text = self.reporter.outcome(outcome, totals);
            text.strip_prefix("wkdb: ").unwrap_or(&text).to_owned()
        };
        format!(
            "{outcome}\nwkdb: replayed {how_far}, as recorded: {checks} checks ({memory_checks} of memory), {console} \
             bytes of console output, {events} events"
        )
    }
}

/// What `--json` prints.
fn closing_line(replayed: &Replayed, ending: &Ending, damage: Option<&ReadError>, exit: Exit) -> serde_json::Value {
    let verified = match replayed {
        Replayed::As { verified, .. } | Replayed::Diverged { verified, .. } => verified,
    };
    let position = |at: &Position| serde_json::json!({ "slice": at.slices, "tick": at.tick, "guest_ns": at.time });
    let mut line = serde_json::json!({
        "complete": matches!(ending, Ending::Complete(_)),
        "damage": damage.map(ReadError::to_string),
        "checks": verified.checks,
        "memory_checks": verified.memory_checks,
        "console_bytes": verified.console,
        "events": verified.events,
        "exit_code": if damage.is_some() { 1 } else { exit.code() },
    });
    match replayed {
        Replayed::As { outcome, totals, early, .. } => {
            line["same"] = true.into();
            line["to_the_end"] = (verified.end && !early).into();
            line["outcome"] = outcome.keyword().into();
            line["ticks"] = totals.ticks.0.into();
            line["guest_ns"] = totals.time.0.into();
            line["memory_hash"] = format!("{:016x}", totals.memory_hash).into();
        }
        Replayed::Diverged { divergence, .. } => {
            line["same"] = false.into();
            line["divergence"] = serde_json::json!({
                "at": position(&divergence.at),
                "last_good": position(&divergence.good),
                "what": divergence.difference.to_string(),
            });
        }
    }
    line
}

/// A path that stands for a recording: it begins like one.
pub(super) fn is_recording(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 4];
    std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok() && start == *b"\x89WKR"
}

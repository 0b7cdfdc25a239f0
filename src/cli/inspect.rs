//! `wkdb inspect`: what a recorded guest's kernel says of itself, at any moment of the run.

use std::io::BufReader;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use wkdb_debugger::commands::{Config, Debugger};
use wkdb_debugger::inferior::{Inferior, Notice, Resume, Status, StopReason};
use wkdb_debugger::kernel::ViewKind;
use wkdb_tracer::recording::{Divergence, Ending, Entries, Entry, Position, Verifier};
use wkdb_tracer::{Event, GuestTime, Tick};

use super::{Exit, UsageError, print, replay};
use crate::process::MachineProcess;
use crate::process::protocol::FromMachine;
use crate::recording::Replayable;
use crate::recording::replayable::Named;
use crate::session::{Live, Tapped};
use crate::units::parse_guest_span;

/// How long the machine is waited for at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// Arguments of `wkdb inspect`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The recording.
    file: PathBuf,
    /// What to look at, in this order: cpus, tasks, stacks, timers, workqueues, rcu, dmesg, fds [PID], maps [PID],
    /// addr ADDRESS. An address may be an expression, such as `&jiffies_64`.
    #[arg(required = true, value_name = "VIEW")]
    views: Vec<String>,
    /// When: a tick (759840), a time since the guest's start (12.5s), or `end`, where the recording ends.
    #[arg(long, value_name = "WHEN", default_value = "end")]
    at: When,
    /// Print a line of JSON for each view.
    #[arg(long)]
    json: bool,
    /// The kernel, where it is not in the recording.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The initramfs, where it is not in the recording.
    #[arg(long, value_name = "FILE")]
    initramfs: Option<PathBuf>,
    /// Take symbols of modules that have none from files in this directory with the same code. Repeatable.
    #[arg(long = "symbols", value_name = "DIR")]
    symbols: Vec<PathBuf>,
}

/// A moment of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Tick(Tick),
    Time(GuestTime),
    End,
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "end" {
            return Ok(When::End);
        }
        if let Ok(tick) = text.replace('_', "").parse() {
            return Ok(When::Tick(Tick(tick)));
        }
        parse_guest_span(text)
            .map(When::Time)
            .map_err(|_| format!("{text:?} is neither a tick (759840), nor a time with its unit (12.5s), nor `end`"))
    }
}

/// The words of the command line as the debugger's commands.
fn commands(words: &[String], json: bool) -> Result<Vec<String>, UsageError> {
    let mut commands = Vec::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(kind) = ViewKind::named(word) else {
            let names: Vec<&str> = ViewKind::ALL.iter().map(|(_, name, _)| *name).collect();
            return Err(UsageError(format!("{word:?} is no view: there are {}", names.join(", "))));
        };
        let takes_more = matches!(kind, ViewKind::Fds | ViewKind::Maps | ViewKind::Address);
        let of = words.next_if(|next| takes_more && (kind == ViewKind::Address || ViewKind::named(next).is_none()));
        if kind == ViewKind::Address && of.is_none() {
            return Err(UsageError("of which address? as in: addr 0x1f20".into()));
        }
        let mut command = format!("kernel {word}");
        for part in of.map(String::as_str).into_iter().chain(json.then_some("--json")) {
            command.push(' ');
            command.push_str(part);
        }
        commands.push(command);
    }
    Ok(commands)
}

/// Compares what the machine says with the recording, as it is said.
struct Check {
    verifier: Verifier<Entries<BufReader<std::fs::File>>>,
    at: Position,
    found: Option<Divergence>,
}

impl Check {
    fn hear(&mut self, message: &FromMachine) {
        let entry = match message {
            FromMachine::At(position) => {
                self.at = *position;
                return;
            }
            FromMachine::Took(entry) => entry.clone(),
            FromMachine::Console(bytes) => Entry::Console(bytes.clone()),
            FromMachine::Event(event) if !matches!(**event, Event::Watch(_)) => Entry::Event(event.clone()),
            _ => return,
        };
        if self.found.is_none() {
            self.found = self.verifier.entry(self.at, &entry).err();
        }
    }
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let commands = commands(&args.views, args.json)?;
    let named = Named { kernel: args.kernel.clone(), initramfs: args.initramfs.clone() };
    let path = args.file.display();
    let recording = Replayable::open(&args.file, &named).with_context(|| format!("{path} cannot be replayed"))?;
    let mut config = recording.config()?;
    config.attach = true;
    let kernel = std::fs::read(recording.kernel()).context("cannot read the guest's kernel")?;
    let code = replay::compile(&mut config, &kernel)?;

    let complete = matches!(recording.ending(), Ending::Complete(_));
    let verifier = Verifier::new(recording.recording()?.into_entries(), complete);
    let check = Arc::new(Mutex::new(Check { verifier, at: Position::default(), found: None }));
    let listener = Arc::clone(&check);
    let link = Tapped::new(MachineProcess::start(config)?, move |message| {
        listener.lock().unwrap_or_else(PoisonError::into_inner).hear(message);
    });
    let mut machine = Live::of_recording(link);
    go_to(&mut machine, args.at, &check).with_context(|| format!("{path} cannot be looked at there"))?;

    let mut debugger = Debugger::new(Config { symbol_directories: args.symbols.clone(), ..Config::default() });
    for command in commands {
        let reply = debugger.run(&mut machine, &command)?;
        print(reply.output.plain())?;
    }
    drop(code);
    match recording.ending() {
        Ending::Damaged { at, .. } if args.at == When::End => {
            eprintln!("wkdb: this is where the recording is damaged, after {at} bytes of the file");
        }
        Ending::Cut { at, .. } if args.at == When::End => {
            eprintln!("wkdb: this is where the recording was cut off, after {at} bytes of the file");
        }
        _ => {}
    }
    Ok(Exit::Ok)
}

/// Lets the machine run to a moment, and says if it comes there otherwise than when it was recorded.
fn go_to(machine: &mut Live<Tapped>, when: When, check: &Mutex<Check>) -> anyhow::Result<()> {
    let resume = match when {
        When::Tick(tick) => Resume { until_tick: Some(tick), ..Resume::go() },
        When::Time(time) => Resume { until_time: Some(time), ..Resume::go() },
        When::End => Resume::go(),
    };
    loop {
        for notice in machine.notices(PATIENCE)? {
            let stop = match notice {
                Notice::Stopped(stop) => stop,
                Notice::Ended(outcome, totals) => {
                    anyhow::bail!("the run is over at {}, tick {}: {}", totals.time, totals.ticks, outcome.keyword())
                }
                _ => continue,
            };
            if let Some(divergence) = check.lock().unwrap_or_else(PoisonError::into_inner).found.take() {
                anyhow::bail!("the replay is not the run that was recorded (`wkdb replay` says more): {divergence}");
            }
            let there = match when {
                When::Tick(tick) => stop.tick >= tick,
                When::Time(time) => stop.time >= time,
                When::End => false,
            };
            match stop.reason {
                _ if there => return Ok(()),
                StopReason::End(_) | StopReason::Panic { .. } if when == When::End => return Ok(()),
                StopReason::End(_) | StopReason::Panic { .. } => {
                    anyhow::bail!("the run ends before that, at {}, tick {}", stop.time, stop.tick)
                }
                _ => machine.resume(&resume)?,
            }
        }
        if let Status::Ended(outcome, _) = machine.status() {
            anyhow::bail!("the run is over: {}", outcome.keyword());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn views_are_named_one_after_another_with_what_they_are_of() {
        let found = commands(&words("cpus fds 7 fds maps tasks addr 0x10"), false).unwrap();
        assert_eq!(
            found,
            ["kernel cpus", "kernel fds 7", "kernel fds", "kernel maps", "kernel tasks", "kernel addr 0x10"]
        );
        assert_eq!(commands(&words("rcu"), true).unwrap(), ["kernel rcu --json"]);
        for bad in ["cpu", "cpus 3", "addr", "fds 1 2"] {
            assert!(commands(&words(bad), false).is_err(), "{bad}");
        }
    }

    #[test]
    fn moments_are_ticks_or_times_or_the_end() {
        assert_eq!("759_840".parse(), Ok(When::Tick(Tick(759_840))));
        assert_eq!("12.5s".parse(), Ok(When::Time(GuestTime(12_500_000_000))));
        assert_eq!("end".parse(), Ok(When::End));
        for bad in ["", "soon", "-1", "1.5"] {
            assert!(bad.parse::<When>().is_err(), "{bad}");
        }
    }
}

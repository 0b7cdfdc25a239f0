//! `wkdb trace`: runs a recording again and tells what went on in it, or exports that for other programs.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::Context;
use wkdb_tracer::recording::{Divergence, Ending, Entry, Position, Verifier};
use wkdb_tracer::trace::{Category, Filter, Presenter, Profile, Record, TraceEvent, TraceWhat};
use wkdb_tracer::{Event, Outcome};

mod names;
mod output;

use self::names::Symbolic;
use self::output::{ExportArg, Format, Outputs};
use super::replay::compile;
use super::{Exit, UsageError};
use crate::condition::Condition;
use crate::instrument::{Probes, probed};
use crate::machine::{MachineConfig, Pace, TraceConfig};
use crate::process::MachineProcess;
use crate::process::protocol::FromMachine;
use crate::recording::Replayable;
use crate::recording::replayable::Named;
use crate::report::Reporter;
use crate::watch_arg::WatchArg;

/// Arguments of `wkdb trace`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The recording.
    file: PathBuf,
    /// Tell when these functions are entered and when they return: names with * and ?, separated by commas.
    #[arg(long, value_name = "FUNCTIONS", value_delimiter = ',')]
    trace: Vec<String>,
    /// What is told: sched, wake, irq, syscall, console, host, watch, event, function, all. Default: all but wake and host.
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    events: Vec<String>,
    /// Tell only events of which this is true, as in comm=sh, name=open*, cpu!=0, time>=1.5s. Repeatable: all must be.
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,
    /// Tell every store into this memory. Repeatable.
    #[arg(long, value_name = "SYMBOL|0xADDR[:LEN]")]
    watch: Vec<WatchArg>,
    /// A line of JSON for each event.
    #[arg(long)]
    json: bool,
    /// Write the trace for other programs instead: perfetto, ctf (a directory), trace.dat, folded, flamegraph, json, text.
    /// Repeatable.
    #[arg(long, value_name = "FORMAT=PATH")]
    export: Vec<ExportArg>,
    /// Print the functions in which the ticks were spent.
    #[arg(long)]
    profile: bool,
    /// How many ticks there are from one sample of a profile to the next.
    #[arg(long, value_name = "TICKS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    sample: u64,
    /// End when this comes true: console=TEXT, time=5m, tick=N, panic, trap. Repeatable.
    #[arg(long, value_name = "CONDITION")]
    until: Vec<Condition>,
    /// The kernel, where it is not in the recording.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The initramfs, where it is not in the recording.
    #[arg(long, value_name = "FILE")]
    initramfs: Option<PathBuf>,
}

/// Functions that a profile's table shows.
const ROWS: usize = 40;

impl Args {
    /// Whether there is a profile, and whether there is anything else.
    fn profiles(&self) -> (bool, bool) {
        let of_profile = |export: &ExportArg| matches!(export.format, Format::Folded | Format::Flamegraph);
        let profiles = self.profile || self.export.iter().any(of_profile);
        (profiles, !profiles || !self.export.iter().all(of_profile) || self.json || self.asks())
    }

    /// Whether events are asked for by name.
    fn asks(&self) -> bool {
        !self.events.is_empty() || !self.trace.is_empty() || !self.watch.is_empty()
    }

    fn categories(&self) -> Result<BTreeSet<Category>, UsageError> {
        let mut categories = BTreeSet::new();
        match self.profiles() {
            (_, false) => return Ok(categories),
            _ if self.events.is_empty() => {
                let quiet = [Category::Wake, Category::Host];
                categories.extend(Category::ALL.into_iter().filter(|category| !quiet.contains(category)));
            }
            _ => {}
        }
        for name in &self.events {
            match name.as_str() {
                "all" => categories.extend(Category::ALL),
                name => _ = categories.insert(name.parse().map_err(UsageError)?),
            }
        }
        if !self.trace.is_empty() {
            categories.insert(Category::Function);
        }
        if !self.watch.is_empty() {
            categories.insert(Category::Watch);
        }
        Ok(categories)
    }
}

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let (profiles, events) = args.profiles();
    let categories = args.categories()?;
    let named = Named { kernel: args.kernel.clone(), initramfs: args.initramfs.clone() };
    let path = args.file.display();
    let recording = Replayable::open(&args.file, &named).with_context(|| format!("{path} cannot be replayed"))?;
    let mut config = recording.config()?;
    config.until.extend(args.until.iter().cloned());
    config.pace = Pace::Warp;
    let kernel = std::fs::read(recording.kernel()).context("cannot read the guest's kernel")?;
    let mut reporter = Reporter::new(kernel);
    for watch in &args.watch {
        config.watch.push(reporter.resolve_watch(watch)?);
    }
    let kernel = reporter.kernel_bytes().clone();
    let mut names = Symbolic::new(kernel.clone(), args.watch.iter().map(|watch| watch.text.clone()).collect());
    let mut points = Vec::new();
    for pattern in &args.trace {
        // Of a copy in its caller only the entry can be told.
        let copies = names.find_copies(pattern);
        if copies.is_empty() && probed(&kernel, Probes::of([pattern]))?.is_empty() {
            eprintln!(
                "wkdb: the kernel has no function {pattern}; functions of user programs are looked for as they are loaded"
            );
        }
        points.extend(copies);
    }
    config.trace = Some(TraceConfig {
        categories: categories.clone(),
        functions: args.trace.clone(),
        points,
        sample: profiles.then_some(args.sample),
        layout: names.task_layout(),
    });
    let code = compile(&mut config, &kernel)?;
    let outputs = Outputs::open(&args.export, args.json, events && args.export.is_empty())?;
    let entries = recording.recording()?.into_entries();
    let verifier = Verifier::new(entries, matches!(recording.ending(), Ending::Complete(_)));
    let mut tracing = Tracing {
        categories,
        filters: args.filter.clone(),
        names: &mut names,
        presenter: Presenter::default(),
        profile: Profile::default(),
        outputs,
    };
    let ended = tracing.run(config, verifier)?;
    let events = tracing.presenter.finish();
    tracing.tell(events)?;
    let (outputs, profile) = (tracing.outputs, tracing.profile);
    outputs.finish(&profile, &path.to_string())?;
    drop(code);
    if args.profile {
        let mut out = BufWriter::new(io::stdout().lock());
        out.write_all(profile.table(ROWS).as_bytes()).and_then(|()| out.flush()).context("cannot write the profile")?;
    }
    match ended {
        Ok(_) => Ok(Exit::Ok),
        Err(divergence) => {
            eprintln!("wkdb: the replay is not the run that was recorded: the trace is of another run\n  {divergence}");
            Ok(Exit::Diverged)
        }
    }
}

/// A trace being made.
struct Tracing<'a> {
    categories: BTreeSet<Category>,
    filters: Vec<Filter>,
    names: &'a mut Symbolic,
    presenter: Presenter,
    profile: Profile,
    outputs: Outputs,
}

type FromFile = wkdb_tracer::recording::Entries<io::BufReader<std::fs::File>>;

impl Tracing<'_> {
    /// Runs the recording; gives how it ended, or where it became another run.
    fn run(
        &mut self,
        config: MachineConfig,
        mut verifier: Verifier<FromFile>,
    ) -> anyhow::Result<Result<Outcome, Box<Divergence>>> {
        let mut machine = MachineProcess::start(config)?;
        let mut at = Position::default();
        loop {
            let compared = match machine.receive()? {
                FromMachine::Failed(error) => anyhow::bail!(error),
                FromMachine::At(position) => {
                    at = position;
                    Ok(())
                }
                FromMachine::Took(entry) => verifier.entry(at, &entry),
                FromMachine::Console(bytes) => verifier.entry(at, &Entry::Console(bytes)),
                FromMachine::Trace(record) => {
                    self.record(&record)?;
                    Ok(())
                }
                FromMachine::Event(event) => {
                    self.event(&event)?;
                    match *event {
                        Event::Watch(_) => Ok(()),
                        _ => verifier.entry(at, &Entry::Event(event)),
                    }
                }
                FromMachine::Module(module, bytes) => {
                    self.names.add(module, bytes);
                    Ok(())
                }
                // Nobody debugs here.
                FromMachine::Stopped(_) | FromMachine::Answer(..) | FromMachine::Forked { .. } => Ok(()),
                FromMachine::Ended(outcome, _) => return Ok(Ok(*outcome)),
            };
            if let Err(divergence) = compared {
                return Ok(Err(Box::new(divergence)));
            }
        }
    }

    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        self.profile.record(record, self.names);
        if matches!(record.what, TraceWhat::Sample { .. }) {
            return Ok(());
        }
        let events = self.presenter.record(record, self.names);
        self.tell(events)
    }

    fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        let event = self.presenter.run_event(event, self.names);
        self.tell(event)
    }

    fn tell(&mut self, events: impl IntoIterator<Item = TraceEvent>) -> anyhow::Result<()> {
        for event in events.into_iter().filter(|event| self.categories.contains(&event.category)) {
            let passes = self.filters.iter().all(|filter| filter.passes(&event));
            self.outputs.event(&event, passes)?;
        }
        Ok(())
    }
}

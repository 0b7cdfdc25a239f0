//! `wkdb hunt`: the same guest on many seeds; what goes wrong on how many of them.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use wkdb_tracer::GuestTime;

use super::demo::{EraChoice, demo_guest};
use super::detect::DetectOptions;
use super::record::quoted;
use super::run::{Guest, Prepared, RunOptions, linux_guest, prepare};
use super::{Exit, UsageError, print};
use crate::condition::{Condition, ConditionError};
use crate::hunt::merge::{directory_of, merge};
use crate::hunt::summary::shortest_of_each;
use crate::hunt::{
    Configuration, Ended, Hunt, Judge, Plan, Progress, Results, ResultsFile, SeedRange, Shard, Stop, Summary, kept,
};
use crate::machine::{Pace, Policy};
use crate::recording::file_hash;
use crate::recording::recorder::Source;
use crate::units::parse_guest_span;

/// Guest time after which a run ends that nothing else ends.
const MAX_TIME: GuestTime = GuestTime(600_000_000_000);

/// Arguments of `wkdb hunt`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The kernel: vmlinux as a Wasm module; or `linux` or `demo`, the bundled guests.
    #[arg(required_unless_present = "merge")]
    kernel: Option<PathBuf>,
    /// With `demo`: the bug to plant (`wkdb demo list`).
    name: Option<String>,
    /// The initramfs (cpio, as the kernel wants it).
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// With `demo`: the generation of the host contract that the guest follows.
    #[arg(long, value_enum, default_value_t)]
    era: EraChoice,
    /// The seeds: how many (from 0 on), or which (100..200, without the last).
    #[arg(long, value_name = "N|A..B", default_value = "100")]
    seeds: SeedRange,
    /// How many runs at a time. Default: as many as there are processors.
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// How the next task is chosen.
    #[arg(long, value_enum, default_value = "random")]
    sched: Policy,
    /// bad: end the hunt at the first seed that goes wrong. Else as with `wkdb run`: end each run when this comes true
    /// (console=TEXT, time=5m, tick=N, panic, trap, finding, script). Repeatable.
    #[arg(long, value_name = "bad|CONDITION")]
    until: Vec<Until>,
    /// A run goes wrong if this text is printed. The kernel's own words for it (BUG, WARNING, hung tasks, lockups,
    /// stalls) are known. Repeatable.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    bad: Vec<String>,
    /// Nothing is wrong with a run whose symptom contains this text (max-time, a function, a word of a message).
    /// Repeatable.
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    ignore: Vec<String>,
    /// Where results and recordings are kept, and found again. Default: hunt-GUEST in the present directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run only this part of the seeds, on one machine of several: 1/4 to 4/4.
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    shard: Shard,
    /// Join the results of several hunts (DIR, or its hunt.jsonl); with --out, there.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["kernel", "shard", "until", "jobs"])]
    merge: Vec<PathBuf>,
    /// Added to the kernel's command line.
    #[arg(long, value_name = "CMDLINE", allow_hyphen_values = true)]
    append: Option<String>,
    /// CPUs that the guest may bring up.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    cpus: Option<u32>,
    /// Type what this script says, and expect what it says.
    #[arg(long, value_name = "SCRIPT")]
    input: Option<PathBuf>,
    /// End each run after this much guest time. Default: 10m where there is no script, which ends it.
    #[arg(long, value_name = "GUEST-TIME", value_parser = parse_guest_span)]
    max_time: Option<GuestTime>,
    /// How long in guest time an `expect` of the script may take.
    #[arg(long, value_name = "GUEST-TIME", value_parser = parse_guest_span, hide_short_help = true)]
    expect_timeout: Option<GuestTime>,
    /// After how much guest time without a wait, a switch or console traffic a machine counts as spinning.
    #[arg(long, value_name = "GUEST-TIME", value_parser = parse_guest_span, hide_short_help = true)]
    stall: Option<GuestTime>,
    /// Time slice in ticks (loop turns and function calls of the guest).
    #[arg(long, value_name = "TICKS", value_parser = clap::value_parser!(u32).range(1..=1_000_000_000))]
    slice: Option<u32>,
    #[command(flatten)]
    detect: DetectOptions,
    /// Leave the guest's files out of the recordings.
    #[arg(long)]
    no_embed: bool,
    /// Print the results as a line of JSON.
    #[arg(long)]
    json: bool,
}

/// What `--until` says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Until {
    Bad,
    Run(Condition),
}

impl FromStr for Until {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        if text == "bad" { Ok(Until::Bad) } else { text.parse().map(Until::Run) }
    }
}

/// The options of a run, as where none is given.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Defaults {
    #[command(flatten)]
    options: RunOptions,
}

/// Runs the subcommand.
pub(super) fn run(mut args: Args) -> anyhow::Result<Exit> {
    let Some(kernel) = args.kernel.take() else { return run_merge(&args) };
    let mut options = Defaults::parse_from(Vec::<String>::new()).options;
    options.append = args.append.take();
    options.cpus = args.cpus;
    options.sched = args.sched;
    options.input = args.input.take();
    options.max_time = args.max_time;
    options.expect_timeout = args.expect_timeout.unwrap_or(options.expect_timeout);
    options.stall = args.stall.unwrap_or(options.stall);
    options.slice = args.slice.unwrap_or(options.slice);
    options.pace = Some(Pace::Warp);
    options.detect = std::mem::take(&mut args.detect);
    options.hunted = true;
    options.until =
        args.until.iter().filter_map(|until| if let Until::Run(c) = until { Some(c.clone()) } else { None }).collect();
    let (guest, name) = guest(&kernel, &mut args, &mut options)?;
    // What is watched would slow all runs down.
    options.watch.clear();
    let scripted = options.input.is_some() || options.script_text.is_some();
    let ends_with_script = scripted && (options.until.is_empty() || options.until.contains(&Condition::Script));
    if options.max_time.is_none() && !ends_with_script {
        options.max_time = Some(MAX_TIME);
    }
    let record = options.record.clone();
    let Prepared { config, reporter, code, initrd, .. } = prepare(&guest, options, false)?;
    let bytes = reporter.kernel_bytes();
    let mut configuration =
        Configuration::new(name.clone(), file_hash(bytes), initrd.as_deref().map(file_hash), &config);
    configuration.listen_for = sorted(&args.bad);
    configuration.ignore = sorted(&args.ignore);
    let directory = args.out.clone().unwrap_or_else(|| format!("hunt-{name}").into());
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let plan = Plan {
        seeds: args.seeds.clone(),
        shard: args.shard,
        jobs: args.jobs.map_or_else(processors, usize::from),
        until_bad: args.until.contains(&Until::Bad),
    };
    let judge = Judge::new(bytes.clone(), &config.until, &args.ignore);
    let source =
        Source { files: record.files(&guest, bytes, initrd), embed: !args.no_embed, store: Some(code.store().clone()) };
    let file = ResultsFile::open(&directory, &configuration)?;
    let hunt = Hunt { config, source, directory, plan, listen_for: args.bad.clone(), judge, file };
    let exit = go(hunt, args.json);
    drop(code);
    exit
}

/// The guest, and what its hunt is called.
fn guest(kernel: &Path, args: &mut Args, options: &mut RunOptions) -> anyhow::Result<(Guest, String)> {
    let bundled = args.initrd.is_none() && !kernel.exists();
    let demo = bundled && kernel.as_os_str() == "demo";
    if args.name.is_some() && !demo {
        return Err(UsageError("only `wkdb hunt demo` takes the name of a bug".into()).into());
    }
    if demo {
        let name = args.name.as_ref().map_or("minik".to_owned(), |name| format!("minik-{name}"));
        return Ok((demo_guest(args.name.as_deref(), args.era, options)?, name));
    }
    if bundled && kernel.as_os_str() == "linux" {
        return Ok((linux_guest(options)?, "linux".to_owned()));
    }
    let name = kernel.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok((Guest::of_files(kernel.to_owned(), args.initrd.take()), name))
}

fn sorted(texts: &[String]) -> Vec<String> {
    let mut texts = texts.to_vec();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// Hunts, with something to look at meanwhile, and says what was found.
fn go(mut hunt: Hunt, json: bool) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("cannot handle signals")?;
    }
    let stop = Stop::default();
    let planned = hunt.plan.count();
    let done = |hunt: &Hunt| hunt.file.results.seeds.keys().filter(|&&seed| hunt.plan.has(seed)).count() as u64;
    let before = done(&hunt);
    if before > 0 {
        eprintln!("wkdb: {before} of {planned} seeds are in {} already", hunt.file.path().display());
    }
    let bar = bar(planned, before);
    let mut bad = hunt.file.results.seeds.values().filter(|result| result.symptom.is_some()).count();
    let mut run = 0u64;
    let ended = hunt.run(&stop, &mut |progress| {
        match progress {
            Progress::Pulse => bar.tick(),
            Progress::Done { result, first } => {
                run += 1;
                bad += usize::from(result.symptom.is_some());
                bar.inc(1);
                bar.set_message(format!("{bad} bad"));
                if let Some(symptom) = result.symptom.as_ref().filter(|_| first) {
                    say(&bar, &format!("seed {}: {symptom}", result.seed));
                }
            }
            Progress::Failed { seed, error } => say(&bar, &format!("seed {seed} could not be run: {error}")),
            Progress::NotKept { symptom, seed, error } => {
                say(&bar, &format!("no recording of seed {seed} ({symptom}): {error}"));
            }
        }
        if interrupted.swap(false, Ordering::Relaxed) {
            stop.ask();
            say(&bar, "stopping; a recording that is being made is finished, unless you ask again");
        }
    });
    bar.finish_and_clear();
    let ended = ended?;
    let wall = started.elapsed();
    let left = planned - done(&hunt);
    match ended {
        Ended::Stopped => {
            eprintln!("wkdb: stopped with {left} of {planned} seeds left: the same command goes on with them")
        }
        Ended::AtBad(seed) => eprintln!("wkdb: seed {seed} is the first that goes wrong (--until bad)"),
        Ended::All => {}
    }
    let directory = &hunt.directory;
    let summary = Summary::new(&hunt.file.results, |symptom, seed| kept::find(directory, symptom, seed));
    let exit = exit_of(&summary, ended == Ended::Stopped);
    tell(&summary, exit, json, Some(Speed { run, wall, left }))?;
    Ok(exit)
}

/// How fast a hunt was.
struct Speed {
    /// Seeds run.
    run: u64,
    /// In this time.
    wall: Duration,
    /// Seeds that are left.
    left: u64,
}

fn exit_of(summary: &Summary, stopped: bool) -> Exit {
    match summary {
        Summary { bad: 1.., .. } => Exit::Found,
        _ if stopped => Exit::Interrupted,
        summary if !summary.failed.is_empty() => Exit::Failed,
        _ => Exit::Ok,
    }
}

/// Prints what was found.
fn tell(summary: &Summary, exit: Exit, json: bool, speed: Option<Speed>) -> anyhow::Result<()> {
    let replay = |path: &Path| format!("wkdb replay {}", quoted(path));
    let rate = |speed: &Speed| speed.run as f64 / speed.wall.as_secs_f64().max(1e-9);
    if json {
        let mut line = serde_json::to_value(summary)?;
        for (group, json) in summary.groups.iter().zip(line["groups"].as_array_mut().into_iter().flatten()) {
            json["replay"] = group.recording.as_deref().map(replay).into();
        }
        if let Some(speed) = &speed {
            line["left"] = speed.left.into();
            line["seeds_per_second"] = rate(speed).into();
            line["wall_ms"] = (speed.wall.as_secs_f64() * 1e3).into();
        }
        line["exit_code"] = exit.code().into();
        return print(format!("{line}\n"));
    }
    let speed = match &speed {
        Some(speed) if speed.run > 0 => {
            format!("\n{} seeds in {:.1} s: {:.1} a second\n", speed.run, speed.wall.as_secs_f64(), rate(speed))
        }
        _ => String::new(),
    };
    print(summary.text(replay) + &speed)
}

/// `--merge`.
fn run_merge(args: &Args) -> anyhow::Result<Exit> {
    let results = merge(&args.merge)?;
    let from: Vec<_> = args.merge.iter().map(|path| directory_of(path)).collect();
    let summary = match &args.out {
        Some(directory) => merge_into(directory, &results, &from)?,
        None => Summary::new(&results, |symptom, seed| from.iter().find_map(|from| kept::find(from, symptom, seed))),
    };
    let exit = exit_of(&summary, false);
    tell(&summary, exit, args.json, None)?;
    Ok(exit)
}

/// Puts results into a directory, beside those that are there, with the recordings that are kept of them.
fn merge_into(directory: &Path, results: &Results, from: &[PathBuf]) -> anyhow::Result<Summary> {
    let mut file = ResultsFile::open(directory, &results.configuration)?;
    for result in results.seeds.values() {
        // One that is there already has to be the same.
        if file.results.seeds.get(&result.seed) != Some(result) {
            file.add(result.clone())?;
        }
    }
    for (&seed, why) in &results.failed {
        if !file.results.seeds.contains_key(&seed) && !file.results.failed.contains_key(&seed) {
            file.fail(seed, why.clone())?;
        }
    }
    let runs = shortest_of_each(&file.results).into_iter();
    let runs: Vec<_> = runs.filter_map(|run| run.symptom.as_ref().map(|symptom| (symptom, run.seed))).collect();
    kept::gather(&runs, from, directory)?;
    for (symptom, seed) in runs {
        kept::clear_others(directory, symptom, seed);
    }
    Ok(Summary::new(&file.results, |symptom, seed| kept::find(directory, symptom, seed)))
}

fn bar(planned: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(planned).with_position(done);
    if let Ok(style) = ProgressStyle::with_template("hunting: {bar:30} {pos}/{len} seeds, {msg}, {per_sec}, {eta} left")
    {
        bar.set_style(style);
    }
    bar.reset_eta();
    bar.set_message("0 bad");
    bar
}

/// Says something above the bar, or where there is none.
fn say(bar: &ProgressBar, text: &str) {
    bar.suspend(|| eprintln!("wkdb: {text}"));
}

//! `wkdb explain`: what went wrong in a recorded run, and who did it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use wkdb_debugger::commands::{Config, Debugger};
use wkdb_debugger::inferior::Limits;
use wkdb_tracer::recording::Ending;

use super::{Exit, print, replay};
use crate::machine::{DetectConfig, Pace};
use crate::recording::Replayable;
use crate::recording::replayable::Named;
use crate::session::{Rewindable, Tapped};

/// Arguments of `wkdb explain`.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The recording.
    file: PathBuf,
    /// Print a line of JSON.
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

/// Checkpoints: close together, for most of the time it is gone back a little.
const LIMITS: Limits = Limits { spacing: 1_000_000, count: 100, memory: 1 << 30 };

/// Runs the subcommand.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let named = Named { kernel: args.kernel.clone(), initramfs: args.initramfs.clone() };
    let path = args.file.display();
    let recording = Replayable::open(&args.file, &named).with_context(|| format!("{path} cannot be explained"))?;
    let mut config = recording.config()?;
    config.pace = Pace::Warp;
    // The same code as for debugging: compiled once for both.
    config.engine.debug = true;
    config.store_checks = true;
    config.load_checks = true;
    // What they found is in the recording: to find it again would only stop the replay.
    config.detect = DetectConfig::default();
    let kernel = std::fs::read(recording.kernel()).context("cannot read the guest's kernel")?;
    let code = replay::compile(&mut config, &kernel)?;
    let run = recording.recorded_run().with_context(|| format!("{path} cannot be read"))?;
    let mut machine = Rewindable::open(config, run, LIMITS, Tapped::silent)?;
    let mut debugger = Debugger::new(Config { symbol_directories: args.symbols.clone(), ..Config::default() });
    let interrupted = Arc::new(AtomicBool::new(false));
    // What was found so far is told; whoever cannot wait for that says so once more.
    let forced =
        flag::register_conditional_shutdown(SIGINT, i32::from(Exit::Interrupted.code()), Arc::clone(&interrupted));
    forced.and_then(|_| flag::register(SIGINT, Arc::clone(&interrupted))).context("cannot handle signals")?;
    debugger.give_up_when(Box::new(move || interrupted.load(Ordering::Relaxed)));
    let explanation = debugger.explain(&mut machine).with_context(|| format!("{path} cannot be explained"))?;
    match args.json {
        true => print(serde_json::to_string(&explanation)? + "\n")?,
        false => print(explanation.text().plain())?,
    }
    drop(code);
    if explanation.interrupted {
        return Ok(Exit::Interrupted);
    }
    if let Ending::Damaged { at, .. } | Ending::Cut { at, .. } = recording.ending() {
        eprintln!("wkdb: the recording ends early, after {at} bytes of the file: what came after it is not known");
    }
    Ok(Exit::Ok)
}

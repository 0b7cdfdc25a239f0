//! `wkdb debug FILE.wkr`: a recording under the debugger.

use std::path::Path;

use anyhow::Context;
use wkdb_debugger::commands::{BundledFile, Output, Style};
use wkdb_debugger::inferior::{Limits, RecordedRun};
use wkdb_tracer::recording::Ending;

use super::machine::Machine;
use crate::cli::prepare::CodeDir;
use crate::cli::replay;
use crate::demo::{self, sources};
use crate::machine::Pace;
use crate::recording::Replayable;
use crate::recording::replayable::Named;
use crate::session::{Rewindable, Tapped};

/// A recording that is open, stopped at its beginning.
pub(super) struct Opened {
    pub(super) machine: Machine,
    /// Sources that come with this program.
    pub(super) sources: &'static [BundledFile],
    /// What is said about it first.
    pub(super) about: Output,
    /// Its files, for as long as the machine runs.
    _recording: Replayable,
    _code: CodeDir,
}

/// Opens a recording.
pub(super) fn open(path: &Path, named: &Named, limits: Limits) -> anyhow::Result<Opened> {
    let name = path.display();
    let recording = Replayable::open(path, named).with_context(|| format!("{name} cannot be debugged"))?;
    let mut config = recording.config()?;
    config.pace = Pace::Warp;
    config.engine.debug = true;
    config.store_checks = true;
    config.load_checks = true;
    let kernel = std::fs::read(recording.kernel()).context("cannot read the guest's kernel")?;
    let minik = [demo::KERNEL_7_0, demo::KERNEL_6_4].contains(&kernel.as_slice());
    let sources: &[BundledFile] = if minik { sources::MINIK } else { &[] };
    let code = replay::compile(&mut config, &kernel)?;
    let run = recording.recorded_run().with_context(|| format!("{name} cannot be read"))?;
    let about = about(&run, recording.ending());
    let machine = Rewindable::open(config, run, limits, Tapped::silent)?;
    let machine = Machine::WithPast(Box::new(machine));
    Ok(Opened { machine, sources, about, _recording: recording, _code: code })
}

/// What a recording is, and how to get to its end.
fn about(run: &RecordedRun, ending: &Ending) -> Output {
    let mut out = Output::new();
    out.line(format!("A recording, to tick {} time {}.", run.end.tick, run.end.time));
    match (&run.outcome, ending) {
        (Some(outcome), _) => out.mark(Style::Headline, Output::of_outcome(outcome).plain().trim_end()).push("\n"),
        (None, Ending::Damaged { at, .. }) => out
            .mark(Style::Problem, format!("The file is damaged after {at} bytes: it can be replayed to there."))
            .push("\n"),
        (None, _) => out.line("It was cut off there; what came after it was not kept."),
    };
    out.line("`goto end` leads there, `info events` tells what happened on the way.");
    out
}

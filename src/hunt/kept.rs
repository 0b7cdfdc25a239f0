//! The recordings that a hunt keeps: the shortest run of each symptom. A run is recorded by being run again, as a good
//! one is not worth recording, and which one is the shortest is known only later.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::results::SeedResult;
use super::run::{RunError, run};
use super::symptom::Symptom;
use crate::machine::{JournalConfig, MachineConfig};
use crate::recording::recorder::{SaveError, Source};
use crate::recording::{RunRecorder, Target};

/// How names of recordings that are being written begin.
const UNFINISHED: &str = ".new-";

/// Why a recording is not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The run had no end.
    #[error("{0}")]
    Run(#[from] RunError),
    /// It could not be written.
    #[error("{0}")]
    Save(#[from] SaveError),
    /// It could not be put in its place.
    #[error("cannot write {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is another run.
    #[error(
        "the second run of the seed ended otherwise than the first ({first}, then {second}): wkdb is not deterministic \
         here, which is a mistake in wkdb"
    )]
    NotTheSame {
        /// How it ended first.
        first: String,
        /// How it ended then.
        second: String,
    },
}

/// Where the recording of a run is, or will be.
pub fn path(directory: &Path, symptom: &Symptom, seed: u64) -> PathBuf {
    directory.join(format!("{}-{}-seed{seed}.wkr", symptom.slug(), symptom.id()))
}

/// The recording of a run in a directory, if it is there.
pub fn find(directory: &Path, symptom: &Symptom, seed: u64) -> Option<PathBuf> {
    Some(path(directory, symptom, seed)).filter(|path| path.is_file())
}

/// Whether there is a recording of any run with this symptom.
pub fn has_any(directory: &Path, symptom: &Symptom) -> bool {
    !of_symptom(directory, symptom).is_empty()
}

/// All recordings of runs with this symptom.
fn of_symptom(directory: &Path, symptom: &Symptom) -> Vec<PathBuf> {
    let begin = format!("{}-{}-seed", symptom.slug(), symptom.id());
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.strip_prefix(&begin).and_then(|rest| rest.strip_suffix(".wkr")).is_some_and(|n| n.parse::<u64>().is_ok())
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(is_one).collect()
}

/// Takes away the recordings of runs that are not the shortest any more, once that one is there.
pub fn clear_others(directory: &Path, symptom: &Symptom, shortest: u64) {
    let Some(kept) = find(directory, symptom, shortest) else { return };
    for other in of_symptom(directory, symptom).into_iter().filter(|path| *path != kept) {
        // One that stays is one too many, and nothing worse.
        let _ = fs::remove_file(other);
    }
}

/// Takes away what a hunt that was killed has left half written.
pub fn clear_unfinished(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(UNFINISHED) && name.ends_with(".wkr") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Runs a seed again, recorded. The file is there when it is whole.
///
/// # Errors
///
/// Where it is not: nothing is left then.
pub fn record(
    mut config: MachineConfig,
    source: Source,
    directory: &Path,
    expected: &SeedResult,
    symptom: &Symptom,
    give_up: &dyn Fn() -> bool,
) -> Result<PathBuf, KeepError> {
    let kept = path(directory, symptom, expected.seed);
    let name = kept.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = directory.join(format!("{UNFINISHED}{name}"));
    config.seed = expected.seed;
    config.journal = Some(JournalConfig::record());
    let recorded = write(config, source, &unfinished, expected, give_up)
        .and_then(|()| fs::rename(&unfinished, &kept).map_err(|error| KeepError::Io { path: kept.clone(), error }));
    if recorded.is_err() {
        // It may never have been there.
        let _ = fs::remove_file(&unfinished);
    }
    recorded.map(|()| kept)
}

fn write(
    config: MachineConfig,
    source: Source,
    path: &Path,
    expected: &SeedResult,
    give_up: &dyn Fn() -> bool,
) -> Result<(), KeepError> {
    let mut recorder = RunRecorder::start(Target::File(path.to_owned()), source, &config)?;
    let mut problem = None;
    let seen = run(config, &[], give_up, &mut |message| {
        recorder.hear(message);
        if problem.is_none() {
            problem = recorder.problem();
        }
    })?;
    if let Some(problem) = problem {
        return Err(problem.into());
    }
    recorder.finish(Some((&seen.outcome, &seen.totals)))?;
    if !expected.is_of(&seen.outcome, &seen.totals) {
        let first = format!("{} at tick {}", expected.outcome, expected.ticks);
        let second = format!("{} at tick {}", seen.outcome.keyword(), seen.totals.ticks);
        return Err(KeepError::NotTheSame { first, second });
    }
    Ok(())
}

/// Copies the recordings of these runs from the first directory that has each of them.
///
/// # Errors
///
/// Where one cannot be copied.
pub fn gather(runs: &[(&Symptom, u64)], from: &[PathBuf], to: &Path) -> Result<(), KeepError> {
    for &(symptom, seed) in runs {
        let kept = path(to, symptom, seed);
        let Some(found) = from.iter().find_map(|directory| find(directory, symptom, seed)) else { continue };
        if kept.is_file() {
            continue;
        }
        let name = kept.file_name().unwrap_or_default().to_string_lossy();
        let unfinished = to.join(format!("{UNFINISHED}{name}"));
        let copied = fs::copy(&found, &unfinished).and_then(|_| fs::rename(&unfinished, &kept));
        copied.map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            KeepError::Io { path: kept, error }
        })?;
    }
    Ok(())
}

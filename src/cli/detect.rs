//! `--detect`: which detectors look at a run.

use std::collections::BTreeSet;

use wkdb_tracer::{Detector, UnknownDetector};

use crate::machine::DetectConfig;

/// Options of a run about what is looked for in it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct DetectOptions {
    /// What is looked for that may be wrong: stack, stack-contents, null, user-stores, guard, timers, workqueues, rcu,
    /// callbacks, lockup, baton, trap, with commas between; or default, all, none. Default: default, and in a replay what
    /// the recorded run had.
    #[arg(long, value_name = "NAME,…", value_parser = DetectorSet::parse)]
    detect: Option<DetectorSet>,
}

/// A list of detectors.
#[derive(Debug, Clone)]
struct DetectorSet(BTreeSet<Detector>);

impl DetectorSet {
    fn parse(list: &str) -> Result<Self, UnknownDetector> {
        Detector::parse_set(list).map(DetectorSet)
    }
}

impl DetectOptions {
    /// What a new run has.
    pub(super) fn config(&self) -> DetectConfig {
        self.instead_of(DetectConfig::defaults())
    }

    /// What a replay has of a run that had `recorded`.
    pub(super) fn instead_of(&self, recorded: DetectConfig) -> DetectConfig {
        match &self.detect {
            Some(DetectorSet(detectors)) => DetectConfig { detectors: detectors.clone(), ..recorded },
            None => recorded,
        }
    }
}

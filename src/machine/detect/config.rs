//! Which detectors a machine has.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wkdb_tracer::{Cost, Detector};

/// Which detectors a machine has, and what they are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectConfig {
    /// The detectors.
    pub detectors: BTreeSet<Detector>,
    /// Rules for [`Detector::Guard`], as on the command line: `struct worker.pool only kernel/workqueue.c`. They come on top
    /// of those that are built in.
    pub guards: Vec<String>,
}

impl DetectConfig {
    /// These, with nothing more to say.
    pub fn of(detectors: impl IntoIterator<Item = Detector>) -> Self {
        DetectConfig { detectors: detectors.into_iter().collect(), guards: Vec::new() }
    }

    /// Those that a run has unless it is told otherwise.
    pub fn defaults() -> Self {
        DetectConfig::of(Detector::defaults())
    }

    /// Whether a detector is on.
    pub fn has(&self, detector: Detector) -> bool {
        self.detectors.contains(&detector)
    }

    /// Whether one of them needs each store of the kernel's to be checked. [`Detector::UserStores`] asks for those of
    /// programs alone.
    pub fn checks_stores(&self) -> bool {
        let all = |detector: &Detector| detector.cost() == Cost::Stores && *detector != Detector::UserStores;
        self.detectors.iter().any(all)
    }
}

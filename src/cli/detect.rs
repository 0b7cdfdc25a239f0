//! `--detect`: which detectors look at a run.

use std::collections::BTreeSet;

use wkdb_tracer::{Cost, Detector, UnknownDetector};

use crate::machine::{DetectConfig, GuardRule};

/// Options of a run about what is looked for in it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct DetectOptions {
    /// What is looked for that may be wrong: stack, stack-contents, null, user-stores, guard, timers, workqueues, rcu,
    /// callbacks, lockup, baton, trap, with commas between; or default, all, none. Default: default, and in a replay what the
    /// recorded run had. Timers, workqueues, rcu and lockup are not in the default where a debugger is there from the start,
    /// and in a hunt.
    #[arg(long, value_name = "NAME,…", value_parser = DetectorSet::parse)]
    detect: Option<DetectorSet>,
    /// A rule for the detector guard, which it turns on: 'struct worker.pool only kernel/workqueue.c'. Repeatable.
    #[arg(long, value_name = "RULE")]
    guard: Vec<GuardRule>,
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
    /// What a new run has. With `watched_throughout`, of one that somebody looks at otherwise from its start, as a debugger
    /// that is waited for does or a hunt: what looks at the kernel now and then is off there, unless it is asked for. A run
    /// that a debugger may come to later, or that a screen shows, has it: until it is stopped it is a run as any other.
    pub(super) fn config(&self, watched_throughout: bool) -> DetectConfig {
        let mut config = DetectConfig::defaults();
        config.detectors.retain(|detector| !watched_throughout || detector.cost() != Cost::Looks);
        self.instead_of(config)
    }

    /// What a replay has of a run that had `recorded`.
    pub(super) fn instead_of(&self, recorded: DetectConfig) -> DetectConfig {
        let mut config = recorded;
        if let Some(DetectorSet(detectors)) = &self.detect {
            config.detectors.clone_from(detectors);
        }
        if !self.guard.is_empty() {
            config.detectors.insert(Detector::Guard);
            config.guards.extend(self.guard.iter().map(ToString::to_string));
        }
        config
    }
}

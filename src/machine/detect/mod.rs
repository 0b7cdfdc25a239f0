//! Detectors: what watches the guest for mistakes while it runs, and what is known of what they found.
//!
//! ```text
//! rewritten code ─▶ host/detect ──┐                  ┌─▶ Event::Finding: printed, recorded, counted
//!                                 ├─▶ Core::found ───┤
//! executor ─▶ Monitor::look ──────┘                  └─▶ StopReason::Finding, with a debugger there
//! ```
//!
//! There are two kinds. Some are in the rewritten code: they see an instruction as it is executed, and stop at it. Others
//! are [monitors](Monitor): the executor has them look at the guest every now and then, and where something is wrong
//! already. Neither changes the run: what they find depends on the guest alone, and is found at the same tick in all
//! variants of the code.

mod config;
pub(super) mod contents;
pub(super) mod facts;
pub(super) mod frames;
mod guard;
mod guest;
mod kernel;
pub(super) mod landmarks;
mod layout;
mod monitor;
pub(super) mod null;
pub(super) mod overlay;
pub(super) mod owned;
mod remembered;
pub(super) mod stack;
mod writes;

pub(super) use writes::Verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use wkdb_debugger::inferior::WatchId;
use wkdb_tracer::{CodeAddress, Detector, Event, Finding, Outcome, RunnerId};

use super::core::Core;
use super::watch::Touched;
use crate::condition::Condition;

pub use config::DetectConfig;
pub use guard::{BadRule, GuardRule};
pub(super) use guard::{Guards, Violation};
pub(super) use guest::Guest;
pub(super) use monitor::{Monitors, Occasion};

/// Findings of one detector that are told. One that finds more has said what it has to say.
const MOST: u32 = 64;

/// What a machine knows of its detectors.
#[derive(Debug, Default)]
pub(super) struct Detection {
    /// Findings so far.
    counts: BTreeMap<Detector, u32>,
    /// Somebody looks at traps.
    pub(super) looks_at_traps: bool,
    /// What a runner waits for.
    pub(super) errand: Option<Errand>,
    /// What came of it.
    pub(super) confirmed: bool,
    pub(super) trespass: Option<contents::Trespass>,
    /// The kernel stacks of those who do not run.
    pub(super) stacks: contents::Stacks,
    /// The watch of what is near null.
    null: Option<WatchId>,
    pub(super) guards: Guards,
    /// Writes into what is watched for detectors, which their writer has to answer for.
    touched: Vec<Touched>,
    /// Places whose writes were told.
    told: BTreeSet<(Detector, CodeAddress)>,
}

/// What a runner, suspended in the middle of its slice, has the executor do.
#[derive(Debug, Clone)]
pub(super) enum Errand {
    /// Have the monitors look at its trap.
    Trap,
    /// Find out whether what was written is in use.
    IsInUse(Violation),
    /// Find out whether a write into the stack of a runner was a mistake.
    Trespass(RunnerId, Range<u64>),
}

impl Core {
    /// Whether a detector is on.
    pub(super) fn detects(&self, detector: Detector) -> bool {
        self.config.detect.detectors.contains(&detector)
    }

    /// Whether a place in the code has been told of by a detector.
    pub(super) fn was_told(&self, detector: Detector, place: CodeAddress) -> bool {
        self.detection.told.contains(&(detector, place))
    }

    /// A detector found something: tells of it, unless it has told enough. Whether it was told.
    pub(super) fn found(&mut self, finding: &Finding) -> bool {
        let count = self.detection.counts.entry(finding.detector).or_default();
        if *count >= MOST {
            return false;
        }
        *count += 1;
        let last = *count == MOST;
        let explains = finding.detector.explains();
        let mut finding = finding.clone();
        if last {
            finding.details.push(format!("{MOST} findings of this detector: more are not told"));
        }
        self.tell(Event::Finding(Box::new(finding)));
        if self.config.until.contains(&Condition::Finding) && !explains {
            self.stop(Outcome::Until(Condition::Finding.to_string()));
        }
        true
    }
}

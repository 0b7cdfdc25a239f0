//! Points in a run: the tick, which orders everything, and the guest's clock.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The machine's position: how many loop headers and function entries of the original program have run, in all tasks
/// together, since the machine started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Tick(pub u64);

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Guest time in nanoseconds since the machine started: the guest's monotonic clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GuestTime(pub u64);

impl GuestTime {
    /// The later of all moments: a wait without a timeout ends here.
    pub const NEVER: GuestTime = GuestTime(u64::MAX);

    /// This moment `ns` nanoseconds later; the end of time if that is past it.
    pub fn after_ns(self, ns: u64) -> GuestTime {
        GuestTime(self.0.saturating_add(ns))
    }
}

impl From<Duration> for GuestTime {
    fn from(since_start: Duration) -> Self {
        GuestTime(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for GuestTime {
    /// Seconds with microseconds, as the kernel's log prints them: `12.345678`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0 / 1000;
        f.pad(&format!("{}.{:06}", us / 1_000_000, us % 1_000_000))
    }
}

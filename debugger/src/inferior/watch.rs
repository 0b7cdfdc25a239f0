//! What to watch.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use wkdb_tracer::{CodeOffset, Cpu, ModuleId, RunnerId};

/// Names a watch, never reused in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WatchId(pub u32);

/// A watched range of guest memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchSpec {
    /// First byte.
    pub address: u64,
    /// Bytes; at least 1.
    pub len: u64,
    /// Which accesses.
    pub kind: WatchKind,
    /// Which of these.
    pub condition: WatchCondition,
    /// Stop the machine, or only tell of it by an event.
    pub stop: bool,
}

/// Which accesses a watch is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchKind {
    /// Writes, also of the same value.
    Write,
    /// Reads.
    Read,
    /// Both.
    Access,
}

/// Which accesses count: all that every part lets through.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchCondition {
    /// Only if the watched bytes changed.
    pub changed: bool,
    /// Only if the watched range holds these bytes afterwards.
    pub equals: Option<Vec<u8>>,
    /// Only by these runners.
    pub runners: Option<Vec<RunnerId>>,
    /// Only on these CPUs.
    pub cpus: Option<Vec<Cpu>>,
    /// Only by code in some places, or outside of them. The host's own writes are outside of all places.
    pub places: Option<PlaceFilter>,
}

/// Code in, or outside of, some places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlaceFilter {
    /// Only there.
    In(Places),
    /// Anywhere else.
    NotIn(Places),
}

/// Ranges of code.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places(pub Vec<(ModuleId, Range<CodeOffset>)>);

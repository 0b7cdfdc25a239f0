//! What a machine is made from. Equal configurations make equal runs.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wkdb_debugger::inferior::{WatchCondition, WatchKind, WatchSpec};
use wkdb_tracer::{Detector, GuestTime, Tick};

use super::detect::DetectConfig;
use super::engine::EngineOptions;
use super::journal::JournalConfig;
use super::schedule::Policy;
use super::tracing::{SYSCALL_ENTRIES, TraceConfig};
use crate::code_cache::Variant;
use crate::condition::Condition;
use crate::instrument::Probes;

/// A watched range, in the order of [`MachineConfig::watch`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchRange {
    /// First byte.
    pub address: u64,
    /// Bytes; not 0.
    pub len: u64,
}

impl WatchRange {
    /// A watch that tells of every write.
    pub fn spec(&self) -> WatchSpec {
        let WatchRange { address, len } = *self;
        WatchSpec { address, len, kind: WatchKind::Write, condition: WatchCondition::default(), stop: false }
    }
}

/// How guest time relates to the time of the person who looks on. The guest computes the same either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
pub enum Pace {
    /// When all tasks wait, time jumps to the next timeout.
    Warp,
    /// When all tasks wait, sleep until the wall clock has caught up.
    Real,
}

/// What other hosts do otherwise, on purpose: mistakes to be seen by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// A task that releases itself is destroyed at once, as browsers' hosts did: before it has switched to another one, so
    /// that its CPU's baton goes with it.
    EagerRelease,
}

/// Where compiled code is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// The directory.
    pub directory: PathBuf,
    /// How large it may grow, in bytes.
    pub limit: u64,
}

/// Everything that decides a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineConfig {
    /// The kernel's bytes, in a file.
    pub kernel: PathBuf,
    /// The initramfs, in a file.
    pub initrd: Option<PathBuf>,
    /// The whole kernel command line.
    pub command_line: String,
    /// What all that is drawn is drawn from: the schedule and the guest's random numbers.
    pub seed: u64,
    /// How the next runner is chosen.
    pub policy: Policy,
    /// Time slice in ticks.
    pub slice: u32,
    /// Nanoseconds of guest time a tick takes.
    pub ns_per_tick: u32,
    /// Relation to the wall clock.
    pub pace: Pace,
    /// Text of the input script.
    pub script: Option<String>,
    /// How long in guest time, in nanoseconds, an `expect` waits before the run is given up.
    pub expect_timeout_ns: u64,
    /// What ends the run.
    pub until: Vec<Condition>,
    /// Guest time after which the run ends in any case.
    pub max_time: Option<GuestTime>,
    /// How long, in nanoseconds of guest time, the machine may run without a wait, a switch or console traffic before
    /// it counts as spinning, and a task may hold its CPU before it is reported.
    pub stall_ns: u64,
    /// What is watched. With at least one range, the code is compiled with store checks.
    pub watch: Vec<WatchRange>,
    /// What else is watched, with kinds and conditions; named after those above.
    pub watch_specs: Vec<WatchSpec>,
    /// Compile with store checks even if nothing is watched yet.
    pub store_checks: bool,
    /// Compile with checks of loads and stores even if no reads are watched yet.
    pub load_checks: bool,
    /// How code is compiled.
    pub engine: EngineOptions,
    /// Where compiled code is kept, if anywhere.
    pub cache: Option<Cache>,
    /// What is told and taken for recordings, if the run is recorded or is the replay of one.
    pub journal: Option<JournalConfig>,
    /// A debugger is there: the machine starts stopped, and stops for it where it traps, panics or would end. Once it
    /// has ended it stays to be looked at, until it is told to quit.
    pub attach: bool,
    /// What is told of what goes on, if anything.
    pub trace: Option<TraceConfig>,
    /// What is looked for that may be wrong.
    pub detect: DetectConfig,
    /// What the host does wrong on purpose.
    pub quirks: BTreeSet<Quirk>,
}

impl MachineConfig {
    /// Guest time per tick that is about real speed.
    pub const NS_PER_TICK: u32 = 10;
    /// A time slice that boots Linux fast.
    pub const SLICE: u32 = 50_000;
    /// Ten seconds.
    pub const STALL_NS: u64 = 10_000_000_000;
    /// Ten minutes.
    pub const EXPECT_TIMEOUT_NS: u64 = 600_000_000_000;

    /// A machine that runs `kernel` with every default, in warp pace, from seed 0.
    pub fn new(kernel: impl Into<PathBuf>) -> Self {
        MachineConfig {
            kernel: kernel.into(),
            initrd: None,
            command_line: "console=hvc".into(),
            seed: 0,
            policy: Policy::Fair,
            slice: Self::SLICE,
            ns_per_tick: Self::NS_PER_TICK,
            pace: Pace::Warp,
            script: None,
            expect_timeout_ns: Self::EXPECT_TIMEOUT_NS,
            until: Vec::new(),
            max_time: None,
            stall_ns: Self::STALL_NS,
            watch: Vec::new(),
            watch_specs: Vec::new(),
            store_checks: false,
            load_checks: false,
            engine: EngineOptions::default(),
            cache: None,
            journal: None,
            attach: false,
            trace: None,
            detect: DetectConfig::default(),
            quirks: BTreeSet::new(),
        }
    }

    /// What has to be compiled into the code.
    pub fn variant(&self) -> Variant {
        let watched = !self.watch.is_empty() || !self.watch_specs.is_empty();
        let reads = self.watch_specs.iter().any(|spec| spec.kind != WatchKind::Write);
        Variant {
            stores: self.store_checks || watched || self.detect.checks_stores(),
            loads: self.load_checks || reads,
            debug: self.engine.debug,
            probes: self.probes(),
            stack_pointer: self.detect.has(Detector::Stack),
            own_maps: self.detect.has(Detector::UserStores),
            callees: self.detect.has(Detector::Callbacks),
            sites: self.detect.has(Detector::Guard) || self.detect.has(Detector::StackContents),
            faults: self.detect.has(Detector::Trap),
        }
    }

    /// The functions that need probes.
    fn probes(&self) -> Probes {
        let traced = self.trace.as_ref().map_or(Probes::NONE, TraceConfig::probes);
        match self.detect.has(Detector::UserStores) || self.detect.has(Detector::StackContents) {
            true => traced.with_function(SYSCALL_ENTRIES),
            false => traced,
        }
    }

    /// The first tick that a condition names.
    pub(super) fn until_tick(&self) -> Option<Tick> {
        self.until.iter().filter_map(|c| if let Condition::Tick(tick) = c { Some(*tick) } else { None }).min()
    }
}

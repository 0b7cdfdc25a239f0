//! A machine's configuration as it stands in a recording: JSON that says what it means, and stays readable when the
//! program changes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wkdb_tracer::{Detector, GuestTime, UnknownDetector};

use crate::condition::Condition;
use crate::machine::engine::OptLevelChoice;
use crate::machine::{MachineConfig, Pace, Policy, Quirk};

/// Everything of a [`MachineConfig`] that decides the run, and with what kind of code it was made.
///
/// A field that is not known is refused: a run that depends on it would be another without it. One that is added later
/// needs a default that means what was so before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineRecord {
    /// The whole kernel command line.
    pub command_line: String,
    /// What all that is drawn is drawn from.
    pub seed: u64,
    /// How the next runner was chosen.
    pub policy: Policy,
    /// Time slice in ticks.
    pub slice: u32,
    /// Nanoseconds of guest time a tick takes.
    pub ns_per_tick: u32,
    /// Relation to the wall clock. Changes nothing for the guest.
    pub pace: Pace,
    /// Text of the input script.
    pub script: Option<String>,
    /// How long, in nanoseconds of guest time, an `expect` waited.
    pub expect_timeout_ns: u64,
    /// What was to end the run, as on the command line.
    pub until: Vec<String>,
    /// Guest time after which the run was to end.
    pub max_time: Option<GuestTime>,
    /// Nanoseconds of guest time without progress after which the machine counts as spinning.
    pub stall_ns: u64,
    /// Whether the code had store checks. A replay may have it otherwise.
    pub store_checks: bool,
    /// How the code was compiled. A replay may have it otherwise.
    pub opt_level: OptLevelChoice,
    /// The detectors that were on, by name. A replay may have others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detect: Vec<String>,
    /// What the host did wrong on purpose.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub quirks: BTreeSet<Quirk>,
    /// Rules for the detector `guard`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<String>,
}

impl MachineRecord {
    /// What a recording keeps of a configuration.
    pub fn of(config: &MachineConfig) -> Self {
        MachineRecord {
            command_line: config.command_line.clone(),
            seed: config.seed,
            policy: config.policy,
            slice: config.slice,
            ns_per_tick: config.ns_per_tick,
            pace: config.pace,
            script: config.script.clone(),
            expect_timeout_ns: config.expect_timeout_ns,
            until: config.until.iter().map(Condition::to_string).collect(),
            max_time: config.max_time,
            stall_ns: config.stall_ns,
            store_checks: config.store_checks || !config.watch.is_empty() || !config.watch_specs.is_empty(),
            opt_level: config.engine.opt_level,
            detect: config.detect.detectors.iter().map(Detector::to_string).collect(),
            quirks: config.quirks.clone(),
            guards: config.detect.guards.clone(),
        }
    }

    /// The configuration of a machine that makes the same run, in warp pace.
    ///
    /// # Errors
    ///
    /// The condition that cannot be read.
    pub fn config(&self, kernel: PathBuf, initrd: Option<PathBuf>) -> Result<MachineConfig, String> {
        let until = self.until.iter().map(|text| text.parse().map_err(|error| format!("{error}")));
        let mut config = MachineConfig::new(kernel);
        config.initrd = initrd;
        config.command_line.clone_from(&self.command_line);
        config.seed = self.seed;
        config.policy = self.policy;
        config.slice = self.slice;
        config.ns_per_tick = self.ns_per_tick;
        config.script.clone_from(&self.script);
        config.expect_timeout_ns = self.expect_timeout_ns;
        config.until = until.collect::<Result<Vec<Condition>, _>>()?;
        config.max_time = self.max_time;
        config.stall_ns = self.stall_ns;
        config.store_checks = self.store_checks;
        config.engine.opt_level = self.opt_level;
        let detectors = self.detect.iter().map(|name| name.parse().map_err(|error: UnknownDetector| error.to_string()));
        config.detect.detectors = detectors.collect::<Result<_, _>>()?;
        config.quirks.clone_from(&self.quirks);
        config.detect.guards.clone_from(&self.guards);
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use wkdb_tracer::Tick;

    use super::*;

    #[test]
    fn what_decides_a_run_comes_back() {
        let mut config = MachineConfig::new("kernel");
        config.initrd = Some("initramfs".into());
        config.seed = u64::MAX;
        config.policy = Policy::Pct;
        config.slice = 7;
        config.script = Some("expect \"# \"\n".into());
        config.until =
            vec![Condition::Console(vec![0xff, b'#']), Condition::Time(GuestTime(1)), Condition::Tick(Tick(u64::MAX))];
        config.max_time = Some(GuestTime(5));
        config.store_checks = true;
        config.quirks = [Quirk::EagerRelease].into();
        config.detect.detectors = [Detector::Stack, Detector::Null].into();
        config.detect.guards = vec!["struct worker.pool only kernel/workqueue.c".into()];
        let json = serde_json::to_string(&MachineRecord::of(&config)).unwrap();
        let back: MachineRecord = serde_json::from_str(&json).unwrap();
        assert_eq!(back.config("kernel".into(), Some("initramfs".into())).unwrap(), config);
    }

    #[test]
    fn a_setting_that_is_not_known_is_refused() {
        let mut json = serde_json::to_value(MachineRecord::of(&MachineConfig::new("kernel"))).unwrap();
        json["gravity"] = 9.81.into();
        let refused = serde_json::from_value::<MachineRecord>(json).unwrap_err().to_string();
        assert!(refused.contains("gravity"), "{refused}");
    }
}

//! Detectors: each finds what it is for and nothing else, the same in all variants of the code, without changing the run.

#[path = "../machine/guest/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests of the machine use more of it")]
mod guest;

mod clean;
mod command_line;
mod contents;
mod null;
mod planted;
mod stack;
mod stacks;
mod traps;

use guest::Run;
use wkdb::machine::{DetectConfig, MachineConfig};
use wkdb_tracer::{Detector, Event, Finding};

/// What a run has found.
fn findings(run: &Run) -> Vec<&Finding> {
    let found = run.events.iter().filter_map(|event| if let Event::Finding(f) = event { Some(&**f) } else { None });
    found.collect()
}

/// What makes a variant of a configuration.
type Change = fn(&mut MachineConfig);

/// The ways in which code can be compiled, each with its name.
const VARIANTS: [(&str, Change); 5] = [
    ("fast", |_| ()),
    ("optimised", |config| config.engine.opt_level = wkdb::machine::engine::OptLevelChoice::Speed),
    ("store checks", |config| config.store_checks = true),
    ("load checks", |config| config.load_checks = true),
    ("for a debugger", |config| config.engine.debug = true),
];

/// Boots a kernel with a detector in all variants. Gives the run in the first one; all others find the same at the same
/// ticks, and are the same run as without the detector.
fn boot_everywhere(kernel: &guest::Kernel, detector: Detector) -> Run {
    let plain = guest::boot(kernel, |_| ());
    let mut runs = VARIANTS.iter().map(|(name, set)| {
        let run = guest::boot(kernel, |config| {
            set(config);
            config.detect = DetectConfig::of([detector]);
        });
        assert_eq!((&run.totals, &run.console), (&plain.totals, &plain.console), "{name}");
        (name, run)
    });
    let (_, first) = runs.next().unwrap();
    for (name, run) in runs {
        assert_eq!(findings(&run), findings(&first), "{name}");
    }
    first
}

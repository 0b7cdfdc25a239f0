//! Runs a guest in this process with all detectors that read the kernel's structures.

use std::path::Path;
use std::sync::OnceLock;

use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::condition::Condition;
use wkdb::demo::linux::LinuxFiles;
use wkdb::demo::{Files, KERNEL_7_0};
use wkdb::machine::{Cache, DetectConfig, Machine, MachineConfig};
use wkdb_debugger::inferior::{WatchCondition, WatchKind, WatchSpec};
use wkdb_tracer::{Detector, Event, Finding, GuestTime, Outcome, Totals};

use crate::collect::Collect;

/// The detectors that these tests are about.
pub(crate) const DETECTORS: [Detector; 5] =
    [Detector::Timers, Detector::Workqueues, Detector::Rcu, Detector::Lockup, Detector::Baton];

/// What a guest did, and what was found.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) totals: Totals,
    /// Without carriage returns.
    pub(crate) console: String,
    pub(crate) events: Vec<Event>,
    /// With the number of bytes of the console before each, and the trap before it, if any.
    pub(crate) findings: Vec<Finding>,
}

impl Run {
    /// The findings of a detector.
    pub(crate) fn by(&self, detector: Detector) -> Vec<&Finding> {
        self.findings.iter().filter(|finding| finding.detector == detector).collect()
    }

    /// The only finding there is; it is a detector's.
    pub(crate) fn only(&self, detector: Detector) -> &Finding {
        match &self.findings[..] {
            [finding] if finding.detector == detector => finding,
            other => panic!("no single finding of {detector}: {other:#?}\n{:?}\n{}", self.outcome, self.console),
        }
    }

    /// The events before the first finding are no traps and no panics.
    pub(crate) fn is_found_before_it_traps(&self) -> bool {
        let first = self.events.iter().position(|event| matches!(event, Event::Finding(_)));
        let trap = self.events.iter().position(|event| matches!(event, Event::Trap { .. } | Event::Panic { .. }));
        first.is_some_and(|first| trap.is_none_or(|trap| first < trap))
    }
}

/// How long after a timer wheel's clock was turned that was found, in seconds of guest time. `run` runs the guest with a
/// change of its configuration: twice, the second time with the clock watched that the first time was found to be wrong.
pub(crate) fn found_after(run: impl Fn(&dyn Fn(&mut MachineConfig)) -> Run) -> f64 {
    let until_found = |config: &mut MachineConfig| config.until.push(Condition::Finding);
    let first = run(&until_found);
    assert_eq!(first.outcome, Outcome::Until("finding".into()), "{}", first.console);
    // A CPU may have several wheels, and all of them be found at once.
    let standing = first.findings.iter().find(|finding| finding.headline.contains("stands still"));
    let clock = standing.and_then(|finding| finding.area).unwrap_or_else(|| panic!("{:#?}", first.findings));
    let watched = run(&|config| {
        until_found(config);
        config.watch_specs.push(WatchSpec {
            address: clock.address,
            len: clock.len,
            kind: WatchKind::Write,
            condition: WatchCondition::default(),
            stop: false,
        });
    });
    assert_eq!((&watched.totals, &watched.findings), (&first.totals, &first.findings), "a watch changes nothing");
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    let turned = watched.events.iter().find_map(|event| match event {
        // A clock goes on by the jiffies that have passed; at the boot it is set once.
        Event::Watch(hit) if number(&hit.old) != 0 && number(&hit.new).abs_diff(number(&hit.old)) > 1_000_000 => {
            hit.context.clone()
        }
        _ => None,
    });
    let turned = turned.expect("somebody turned the clock");
    (first.totals.time.0 as f64 - turned.time.0 as f64) / 1e9
}

/// All that a finding says.
pub(crate) fn text(finding: &Finding) -> String {
    format!("{finding}\n{}", finding.details.join("\n"))
}

/// When it was found, in seconds of guest time.
pub(crate) fn seconds(finding: &Finding) -> f64 {
    finding.context.as_ref().map_or(f64::NAN, |context| context.time.0 as f64 / 1e9)
}

fn cache() -> Cache {
    Cache { directory: Path::new(env!("CARGO_TARGET_TMPDIR")).join("code"), limit: DEFAULT_LIMIT }
}

fn run(mut config: MachineConfig, line: &str, script: &str, change: impl FnOnce(&mut MachineConfig)) -> Run {
    config.command_line = format!("console=hvc {line}");
    config.cache = Some(cache());
    config.max_time = Some(GuestTime(5_000_000_000_000));
    config.detect = DetectConfig::of(DETECTORS);
    if !script.is_empty() {
        config.script = Some(script.to_owned());
        config.until.push(Condition::Script);
    }
    change(&mut config);
    let mut machine = Machine::new(config).unwrap();
    let mut port = Collect::default();
    let outcome = machine.run(&mut port);
    let findings = port.events.iter().filter_map(|event| match event {
        Event::Finding(finding) => Some((**finding).clone()),
        _ => None,
    });
    Run {
        outcome,
        totals: machine.totals(),
        console: String::from_utf8_lossy(&port.console).replace('\r', ""),
        findings: findings.collect(),
        events: port.events,
    }
}

/// minik, as [`linux`].
pub(crate) fn minik(line: &str, script: &str, change: impl FnOnce(&mut MachineConfig)) -> Run {
    let files = Files::write(KERNEL_7_0).unwrap();
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    run(config, line, script, change)
}

/// Boots the bundled Linux with `line` on its command line, types and expects `script`. `change` has the last word on the
/// configuration.
pub(crate) fn linux(line: &str, script: &str, change: impl FnOnce(&mut MachineConfig)) -> Run {
    static FILES: OnceLock<LinuxFiles> = OnceLock::new();
    let files = FILES.get_or_init(|| LinuxFiles::write(None).unwrap());
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    run(config, line, script, change)
}

/// A script that types lines, each after a prompt, and waits for the last prompt.
pub(crate) fn typed(prompt: &str, lines: &[&str]) -> String {
    let mut script = format!("expect \"{prompt}\"\n");
    for line in lines {
        script.push_str(&format!("send \"{}\\n\"\nexpect \"{prompt}\"\n", line.replace('"', "\\\"")));
    }
    script
}

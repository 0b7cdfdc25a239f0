//! Runs minik in this process.

use std::path::Path;

use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::condition::Condition;
use wkdb::demo::{Files, KERNEL_6_4, KERNEL_7_0};
use wkdb::machine::{Cache, Machine, MachineConfig};
use wkdb_tracer::{Event, GuestTime, Outcome, Totals};

use crate::collect::Collect;

/// What minik did.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) totals: Totals,
    pub(crate) console: String,
    pub(crate) events: Vec<Event>,
}

impl Run {
    /// The events that are traps: why, and in which task.
    pub(crate) fn traps(&self) -> Vec<(&str, &str)> {
        let traps = self.events.iter().filter_map(|event| match event {
            Event::Trap { context, reason, .. } => Some((reason.as_str(), context.comm.as_str())),
            _ => None,
        });
        traps.collect()
    }
}

/// A generation of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    Linux6_4,
    Linux7_0,
}

/// Boots minik with `line` on its command line, types and expects `script`, and sees how it ends. `change` has the
/// last word on the configuration.
pub(crate) fn run(era: Era, line: &str, script: &str, change: impl FnOnce(&mut MachineConfig)) -> Run {
    let kernel = if era == Era::Linux6_4 { KERNEL_6_4 } else { KERNEL_7_0 };
    let files = Files::write(kernel).unwrap();
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    config.command_line = format!("console=hvc {line}");
    config.cache = Some(Cache { directory: cache(), limit: DEFAULT_LIMIT });
    config.max_time = Some(GuestTime(900_000_000_000));
    if !script.is_empty() {
        config.script = Some(script.to_owned());
        config.until.push(Condition::Script);
    }
    change(&mut config);
    let mut machine = Machine::new(config).unwrap();
    let mut port = Collect::default();
    let outcome = machine.run(&mut port);
    Run {
        outcome,
        totals: machine.totals(),
        console: String::from_utf8_lossy(&port.console).replace('\r', ""),
        events: port.events,
    }
}

/// The tests' own store of compiled code: minik is compiled once for all of them.
fn cache() -> std::path::PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("code")
}

/// That the script came to its end.
pub(crate) fn assert_script_done(run: &Run) {
    assert_eq!(run.outcome, Outcome::Until("script".into()), "{}", run.console);
}

//! Runs the bundled Linux in this process.

use std::path::Path;
use std::sync::OnceLock;

use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::condition::Condition;
use wkdb::demo::linux::LinuxFiles;
use wkdb::machine::{Cache, Machine, MachineConfig};
use wkdb_tracer::{Event, GuestTime, Outcome, Totals};

use crate::collect::Collect;

/// What Linux did.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) totals: Totals,
    /// Without carriage returns.
    pub(crate) console: String,
    pub(crate) events: Vec<Event>,
}

impl Run {
    /// That the script came to its end; gives back what was printed after the first prompt.
    pub(crate) fn session(&self) -> &str {
        assert_eq!(self.outcome, Outcome::Until("script".into()), "{}", self.console);
        self.console.split_once("\n# ").map(|(_, session)| session).unwrap_or_default()
    }

    /// How many traps there were.
    pub(crate) fn traps(&self) -> usize {
        self.events.iter().filter(|event| matches!(event, Event::Trap { .. })).count()
    }
}

/// Unpacked once for all tests.
fn files() -> &'static LinuxFiles {
    static FILES: OnceLock<LinuxFiles> = OnceLock::new();
    FILES.get_or_init(|| LinuxFiles::write(None).unwrap())
}

/// Boots Linux with `line` on its command line, types and expects `script`, and sees how it ends. `change` has the
/// last word on the configuration.
pub(crate) fn run(line: &str, script: &str, change: impl FnOnce(&mut MachineConfig)) -> Run {
    let mut config = MachineConfig::new(files().kernel());
    config.initrd = Some(files().initramfs());
    config.command_line = format!("console=hvc {line}");
    config.cache = Some(Cache { directory: Path::new(env!("CARGO_TARGET_TMPDIR")).join("code"), limit: DEFAULT_LIMIT });
    config.max_time = Some(GuestTime(5_000_000_000_000));
    config.script = Some(script.to_owned());
    config.until.push(Condition::Script);
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

/// A script that types lines, each after a prompt, and waits for the last prompt.
pub(crate) fn typed(lines: &[&str]) -> String {
    let mut script = String::from("expect \"\\n# \"\n");
    for line in lines {
        script.push_str(&format!("send \"{}\\n\"\nexpect \"\\n# \"\n", line.replace('"', "\\\"")));
    }
    script
}

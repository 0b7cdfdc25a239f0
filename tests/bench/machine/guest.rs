//! Runs guests in this process.

use std::path::Path;
use std::time::{Duration, Instant};

use wkdb::machine::{Cache, Command, Machine, MachineConfig, Output, Port};
use wkdb_tracer::{Outcome, Totals};

/// What a benchmark fails with.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// Nobody at the console.
#[derive(Default)]
struct Console(Vec<u8>);

impl Port for Console {
    fn output(&mut self, output: Output) {
        if let Output::Console(bytes) = output {
            self.0.extend(bytes);
        }
    }

    fn commands(&mut self, _wait: Option<Duration>) -> Vec<Command> {
        Vec::new()
    }
}

/// A run that has come to its end; the machine is still there.
pub(crate) struct Run {
    pub(crate) machine: Machine,
    pub(crate) outcome: Outcome,
    pub(crate) totals: Totals,
    /// How long it took to make the machine.
    pub(crate) made_in: Duration,
    /// How long the guest ran.
    pub(crate) ran_in: Duration,
}

/// A machine of a kernel file, with its code in `cache`.
pub(crate) fn config(kernel: &Path, command_line: &str, cache: &Path) -> MachineConfig {
    MachineConfig {
        command_line: command_line.to_owned(),
        cache: Some(Cache { directory: cache.to_owned(), limit: u64::MAX }),
        ..MachineConfig::new(kernel)
    }
}

/// Runs a machine to its end.
pub(crate) fn run(config: MachineConfig) -> Result<Run, Failure> {
    let start = Instant::now();
    let mut machine = Machine::new(config)?;
    let made_in = start.elapsed();
    let mut console = Console::default();
    let start = Instant::now();
    let outcome = machine.run(&mut console);
    let ran_in = start.elapsed();
    let totals = machine.totals();
    Ok(Run { machine, outcome, totals, made_in, ran_in })
}

/// The middle of some measurements.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

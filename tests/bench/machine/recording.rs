//! What recording costs, and replaying.

use std::path::Path;
use std::process::{Command as Program, Stdio};
use std::time::{Duration, Instant};

use super::guest::{Failure, median};
use super::{Bench, INITRAMFS, MINIK, line};
use wkdb::machine::{Command, JournalConfig, Machine, MachineConfig, Output, Port};
use wkdb::recording::recorder::Source;
use wkdb::recording::{RunRecorder, Target};
use wkdb_tracer::recording::Entry;

/// Guest time of a busy minik, in seconds: two CPUs spin all the time, among 500 tasks.
const SECONDS: u64 = 10;
const BUSY: &str = "nr_cpus=64 tasks=500 bug=deadlock";

struct Recording(RunRecorder);

impl Port for Recording {
    fn output(&mut self, output: Output) {
        match output {
            Output::At(position) => self.0.at(position),
            Output::Took(entry) => self.0.entry(entry),
            Output::Console(bytes) => self.0.entry(Entry::Console(bytes)),
            Output::Event(event) => self.0.event(&event),
            _ => {}
        }
    }

    fn commands(&mut self, _wait: Option<Duration>) -> Vec<Command> {
        Vec::new()
    }
}

fn record(config: &MachineConfig, path: &Path) -> Result<(), Failure> {
    let source = Source { files: Vec::new(), embed: false, store: None };
    let mut port = Recording(RunRecorder::start(Target::File(path.to_owned()), source, config)?);
    let mut machine = Machine::new(config.clone())?;
    let outcome = machine.run(&mut port);
    port.0.finish(Some((&outcome, &machine.totals())))?;
    Ok(())
}

/// How long the program takes for a busy minik with these options, by the wall clock.
fn program(bench: &Bench, options: &[&str]) -> Result<Duration, Failure> {
    let start = Instant::now();
    let status = Program::new(env!("CARGO_BIN_EXE_wkdb"))
        .args(["run", MINIK, "--initrd", INITRAMFS, "--append", BUSY, "--until", &format!("time={SECONDS}s")])
        // Not the detectors: they find the deadlock that keeps it busy.
        .args(["--stall", "1h", "--seed", "1", "--detect", "none"])
        .args(options)
        .env("WKDB_CACHE_DIR", &bench.cache)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    match status.success() {
        true => Ok(start.elapsed()),
        false => Err(format!("wkdb run: {status}").into()),
    }
}

/// Prints the rows.
pub(crate) fn measure(bench: &Bench) -> Result<(), Failure> {
    let path = bench.folder.path().join("busy.wkr");
    let mut off = bench.minik(BUSY, SECONDS);
    (off.seed, off.stall_ns) = (1, u64::MAX);
    let on = MachineConfig { journal: Some(JournalConfig::record()), ..off.clone() };
    record(&on, &path)?;
    let replay = MachineConfig { journal: Some(JournalConfig::replay(&path)), ..off.clone() };
    let [off, on, replay] = bench.run_times([&off, &on, &replay])?;
    let ratio = |time: Duration, of: Duration| format!("{:.3}×", time.as_secs_f64() / of.as_secs_f64());
    line("minik: 1 G ticks among 500 tasks recorded, against not: the machine", "≤ 1.02×", &ratio(on, off));
    line("minik: replay of that, against the recorded run: the machine", "≤ 1.05×", &ratio(replay, on));

    let file = path.to_str().ok_or("a path that is no text")?;
    let (mut plain, mut recorded) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        plain.push(program(bench, &["--no-record"])?);
        recorded.push(program(bench, &["--record", file])?);
    }
    let (plain, recorded) = (median(plain), median(recorded));
    line("`wkdb run --record` of the same, against `--no-record`, start to end", "≤ 1.02×", &ratio(recorded, plain));
    Ok(())
}

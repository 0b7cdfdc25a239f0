//! What detectors cost: Linux without any, with the default set, and with each one alone.
//!
//! Run by `scripts/bench.sh`, or `cargo bench --bench detectors`. The whole command is measured, with all its processes:
//! the processor time that they have had, and the time on the clock. In each round every choice of detectors has its turn,
//! so that what else the machine does falls on all of them alike; ratios are of medians. `WKDB_BENCH_ROUNDS` sets how many
//! rounds there are, `WKDB_CACHE_DIR` where compiled code is kept: without it all variants are compiled anew.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use wkdb_tracer::Detector;

/// What a benchmark fails with.
type Failure = Box<dyn std::error::Error>;

/// What the guest does: a name, and what is typed at its prompt.
const WORK: [(&str, &[&str]); 2] =
    [("boot", &[]), ("`stress all 60` four times", &["stress all 60; stress all 60; stress all 60; stress all 60"])];

/// What a run took.
#[derive(Clone, Copy)]
struct Took {
    processor: Duration,
    clock: Duration,
}

/// The processor time that the processes which this one has waited for have had.
fn of_children() -> Result<Duration, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros)?))
}

/// Runs Linux with these detectors.
fn run(detectors: &str, script: &Path, cache: &Path) -> Result<Took, Failure> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
    command.args(["run", "linux", "--cpus", "4", "--pace", "warp", "--no-record", "--until", "script", "--input"]);
    command.arg(script).args(["--detect", detectors]).env("WKDB_CACHE_DIR", cache).stdin(Stdio::null());
    let (before, started) = (of_children()?, Instant::now());
    let output = command.output()?;
    let took = Took { clock: started.elapsed(), processor: of_children()?.saturating_sub(before) };
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || said.contains("finding") {
        return Err(format!("--detect {detectors}: {}: {said}", output.status).into());
    }
    Ok(took)
}

fn median(took: &[Took], what: fn(&Took) -> Duration) -> f64 {
    let mut times: Vec<Duration> = took.iter().map(what).collect();
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn main() -> Result<(), Failure> {
    let rounds: usize = std::env::var("WKDB_BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(7);
    let folder = tempfile::tempdir()?;
    let cache = std::env::var_os("WKDB_CACHE_DIR").map_or_else(|| folder.path().join("code"), Into::into);
    let mut choices = vec!["none", "default"];
    choices.extend(Detector::ALL.iter().map(|detector| detector.name()));
    let mut scripts = Vec::new();
    for (number, (_, typed)) in WORK.iter().enumerate() {
        let path = folder.path().join(format!("script{number}"));
        let typed = typed.iter().map(|line| format!("send \"{line}\\n\"\nexpect \"\\n# \"\n"));
        std::fs::write(&path, format!("expect \"\\n# \"\n{}", typed.collect::<String>()))?;
        scripts.push(path);
    }
    // Before anything is measured: the code is compiled, and what is known of the kernel is written down.
    for choice in &choices {
        run(choice, &scripts[0], &cache)?;
    }
    let mut took = vec![[const { Vec::new() }; WORK.len()]; choices.len()];
    for round in 0..rounds.max(1) {
        for at in 0..choices.len() {
            // Whoever comes first in one round comes last in another.
            let at = (at + round) % choices.len();
            for (script, took) in scripts.iter().zip(&mut took[at]) {
                took.push(run(choices[at], script, &cache)?);
            }
        }
    }
    let ratio = |at: usize, work: usize, what: fn(&Took) -> Duration| {
        median(&took[at][work], what) / median(&took[0][work], what)
    };
    println!(
        "| Linux, detectors against none: processor time (time on the clock) | goal | {} | {} |",
        WORK[0].0, WORK[1].0
    );
    println!("| --- | --- | --- | --- |");
    for (at, choice) in choices.iter().enumerate() {
        let of_work = |work: usize| match at {
            0 => {
                let ms = |what: fn(&Took) -> Duration| median(&took[0][work], what) * 1e3;
                format!("{:.0} ms ({:.0} ms)", ms(|took| took.processor), ms(|took| took.clock))
            }
            _ => {
                let (processor, clock) = (ratio(at, work, |took| took.processor), ratio(at, work, |took| took.clock));
                format!("{processor:.2}× ({clock:.2}×)")
            }
        };
        let goal = if *choice == "default" { "≤ 1.15×" } else { "" };
        println!("| `{choice}` | {goal} | {} | {} |", of_work(0), of_work(1));
    }
    Ok(())
}

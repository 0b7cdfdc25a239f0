//! What going back in time costs, on a minute of Linux under stress: through the debugger's own commands, as a person
//! types them.
//!
//! Run by `scripts/bench.sh`, or `cargo bench --bench travel`. Times are those on the clock: run it on a machine that does
//! nothing else.

#[path = "machine/guest.rs"]
#[expect(dead_code, reason = "the other benchmarks look at more")]
mod guest;

use std::path::Path;
use std::time::{Duration, Instant};

use guest::{Failure, config};
use wkdb::demo::linux::LinuxFiles;
use wkdb::machine::engine::EngineOptions;
use wkdb::machine::{JournalConfig, MachineConfig};
use wkdb::process::MachineProcess;
use wkdb::session::{Live, Rewindable, Tapped};
use wkdb_debugger::commands::{Config, Debugger, Now};
use wkdb_debugger::inferior::{History, Inferior, Limits, Notice, Resume, Status};
use wkdb_debugger::timeline::Branch;
use wkdb_tracer::GuestTime;

/// Guest time that is recorded.
const SECONDS: u64 = 60;

fn line(what: &str, goal: &str, measured: &str) {
    println!("| {what} | {goal} | {measured} |");
}

fn ms(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

/// Lets a machine run to its end.
fn to_the_end(machine: &mut dyn Inferior) -> Result<Duration, Failure> {
    let started = Instant::now();
    machine.resume(&Resume::go())?;
    loop {
        for notice in machine.notices(Duration::from_secs(60))? {
            match notice {
                Notice::Stopped(stop) if matches!(stop.reason, wkdb_debugger::inferior::StopReason::End(_)) => {
                    return Ok(started.elapsed());
                }
                Notice::Stopped(_) => machine.resume(&Resume::go())?,
                Notice::Ended(outcome, _) => return Err(format!("{outcome:?}").into()),
                _ => {}
            }
        }
    }
}

struct Session {
    run: Rewindable,
    debugger: Debugger,
}

impl Session {
    /// Does a command, and waits for where it leads; what was said, and how long it took.
    fn command(&mut self, line: &str) -> Result<(String, Duration), Failure> {
        let started = Instant::now();
        let reply = self.debugger.run(&mut self.run, line)?;
        let mut said = reply.output.to_string();
        let mut waiting = reply.resumed;
        while waiting {
            for notice in self.run.notices(Duration::from_secs(1))? {
                let reaction = self.debugger.on_notice(&mut self.run, &notice)?;
                said.push_str(reaction.output.plain());
                waiting &= !matches!(reaction.now, Now::Stopped | Now::Ended);
            }
        }
        Ok((said, started.elapsed()))
    }
}

/// The value that this part of them does not exceed.
fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() * percent).div_ceil(100).clamp(1, times.len()) - 1]
}

/// A machine process of the program's.
fn process(config: &MachineConfig) -> Result<MachineProcess, Failure> {
    Ok(MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config.clone())?)
}

fn wait_for_start(live: &mut Live) -> Result<(), Failure> {
    while !matches!(live.status(), Status::Stopped(_)) {
        live.notices(Duration::from_secs(10))?;
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
    let files = LinuxFiles::write(None)?;
    let storms: String = (1..SECONDS / 5).map(|n| format!("@{}s send \"stress all 20\\n\"\n", n * 5)).collect();
    let config = MachineConfig {
        initrd: Some(files.initramfs()),
        engine: EngineOptions { debug: true, ..EngineOptions::default() },
        store_checks: true,
        load_checks: true,
        attach: true,
        script: Some(storms),
        max_time: Some(GuestTime(SECONDS * 1_000_000_000)),
        ..config(&files.kernel(), "console=hvc nr_cpus=4", &cache)
    };

    println!("| what | goal | measured |");
    println!("| --- | --- | --- |");
    // The first one compiles.
    let mut plain = Duration::MAX;
    for _ in 0..3 {
        let mut live = Live::over(process(&config)?);
        wait_for_start(&mut live)?;
        plain = plain.min(to_the_end(&mut live)?);
    }
    let mut kept = Duration::MAX;
    let mut run = None;
    for _ in 0..2 {
        drop(run.take());
        let journal = Some(JournalConfig::record());
        let process = process(&MachineConfig { journal, ..config.clone() })?;
        let mut machine = Rewindable::over(Live::over(Tapped::silent(process)), Limits::default())?;
        kept = kept.min(to_the_end(&mut machine)?);
        run = Some(machine);
    }
    let run = run.ok_or("no run")?;
    let extent = run.extent();
    let checkpoints = History::checkpoints(&run);
    let memory: u64 = checkpoints.iter().map(|checkpoint| checkpoint.cost).sum();
    line(
        &format!(
            "{SECONDS} s of Linux under stress, {} million ticks: run with a history, against without",
            extent.present.tick.0 / 1_000_000
        ),
        "≤ 1.05×",
        &format!("{:.2}× ({} and {})", kept.as_secs_f64() / plain.as_secs_f64(), ms(kept), ms(plain)),
    );
    line("its checkpoints", "≤ 1 GiB", &format!("{}, {} MiB", checkpoints.len(), memory >> 20));

    let mut live = Live::over(process(&MachineConfig { max_time: None, ..config.clone() })?);
    wait_for_start(&mut live)?;
    live.resume(&Resume { until_time: Some(GuestTime(12_000_000_000)), ..Resume::go() })?;
    wait_for_start(&mut live)?;
    let mut forks = Vec::new();
    let mut copies = Vec::new();
    for _ in 0..30 {
        let started = Instant::now();
        copies.push(live.fork()?);
        forks.push(started.elapsed());
    }
    drop((copies, live));
    line(
        "a checkpoint (median, 95th percentile)",
        "≤ 5 ms",
        &format!(
            "{:.1} ms, {:.1} ms",
            percentile(&mut forks, 50).as_secs_f64() * 1e3,
            percentile(&mut forks, 95).as_secs_f64() * 1e3
        ),
    );

    let mut session = Session { run, debugger: Debugger::new(Config::default()) };
    // Places all over the run, where a task is at a line of its own.
    let mut steps = Vec::new();
    for place in 0..20u64 {
        let tick = extent.present.tick.0 / 21 * (place + 1) + place * 7919;
        session.command(&format!("goto {tick}"))?;
        for _ in 0..5 {
            match session.command("reverse-step") {
                Ok((_, took)) => steps.push(took),
                // No lines where that task is.
                Err(_) => break,
            }
        }
    }
    let (p50, p95) = (percentile(&mut steps, 50), percentile(&mut steps, 95));
    line(
        &format!("reverse-step, {} at 20 places: median, 95th percentile", steps.len()),
        "≤ 250 ms",
        &format!("{}, {}", ms(p50), ms(p95)),
    );

    // Nothing stops it: all of it is run again.
    session.command("break panic")?;
    session.command("goto 10s")?;
    let (_, first) = session.command("reverse-continue")?;
    session.command("goto end")?;
    let (_, all) = session.command("reverse-continue")?;
    line("reverse-continue over the first 10 s, with the boot", "≤ 1 s", &ms(first));
    line(&format!("reverse-continue over all {SECONDS} s: for 10 s"), "≤ 1 s", &ms(all * 10 / SECONDS as u32));
    session.command("delete")?;
    session.command("goto end")?;
    let (_, recent) = session.command("who-wrote jiffies_64")?;
    let (_, old) = session.command("who-wrote saved_command_line")?;
    line(
        "who-wrote: written in the last tick of the timer; written in the boot",
        "≤ 2 s",
        &format!("{}, {}", ms(recent), ms(old)),
    );
    let (_, took) = session.command("goto start")?;
    line("goto start", "≤ 1 s", &ms(took));
    session.command("goto end")?;
    let (_, took) = session.command("goto 30s")?;
    line("goto the middle", "", &ms(took));
    Ok(())
}

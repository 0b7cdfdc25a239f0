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
use wkdb::session::{Live, Relay, Rewindable, Tapped, Variants};
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

/// A breakpoint at a function, or a place in it, and back to it from here.
fn back_to(session: &mut Session, place: &str) -> Result<Duration, Failure> {
    session.command(&format!("break {place}"))?;
    let (said, took) = session.command("reverse-continue")?;
    session.command("delete")?;
    match said.contains("Breakpoint") || said.contains("beginning of") {
        true => Ok(took),
        false => Err(format!("backwards to {place}: {said}").into()),
    }
}

fn who_wrote(session: &mut Session, what: &str) -> Result<Duration, Failure> {
    let (said, took) = session.command(&format!("who-wrote {what}"))?;
    if said.contains("Last write") { Ok(took) } else { Err(format!("who-wrote {what}: {said}").into()) }
}

/// How long a debugger waits that comes to a live run in fast code, at its prompt.
fn attach(config: &MachineConfig) -> Result<Duration, Failure> {
    let start = |config: MachineConfig| MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config);
    let debug = MachineConfig { attach: false, script: None, max_time: None, ..config.clone() };
    let mut fast = debug.clone();
    fast.engine.debug = false;
    (fast.store_checks, fast.load_checks) = (false, false);
    fast.journal = Some(JournalConfig::record());
    let variants = Variants { fast: Some(fast.clone()), debug: Some(debug), limits: Limits::default(), start };
    let mut run = Relay::start(fast, variants, Tapped::silent)?;
    let mut said = String::new();
    while !said.contains("\n# ") {
        for notice in run.notices(Duration::from_secs(10))? {
            if let Notice::Console(bytes) = notice {
                said.push_str(&String::from_utf8_lossy(&bytes));
            }
        }
    }
    let started = Instant::now();
    run.set_attached(true)?;
    run.interrupt()?;
    while !matches!(run.status(), Status::Stopped(_)) {
        run.notices(Duration::from_secs(10))?;
    }
    match run.is_debug() {
        true => Ok(started.elapsed()),
        false => Err("no machine for debugging took over".into()),
    }
}

fn main() -> Result<(), Failure> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
    let storm = std::env::var("WKDB_BENCH_STORM").ok().and_then(|n| n.parse::<u32>().ok()).unwrap_or(300);
    // Ticks between checkpoints, for those who choose that number.
    let spacing = std::env::var("WKDB_BENCH_SPACING").ok().and_then(|n| n.parse::<u64>().ok());
    let limits = Limits { spacing: spacing.unwrap_or(Limits::default().spacing), ..Limits::default() };
    let files = LinuxFiles::write(None)?;
    let storms = (1..SECONDS / 5).map(|n| format!("@{}s send \"stress all {storm}\\n\"\n", n * 5));
    let config = MachineConfig {
        initrd: Some(files.initramfs()),
        engine: EngineOptions { debug: true, ..EngineOptions::default() },
        store_checks: true,
        load_checks: true,
        attach: true,
        script: Some(storms.collect()),
        max_time: Some(GuestTime(SECONDS * 1_000_000_000)),
        journal: Some(JournalConfig::record()),
        ..config(&files.kernel(), "console=hvc nr_cpus=4", &cache)
    };

    println!("| what | goal | measured |");
    println!("| --- | --- | --- |");
    let mut plain = Duration::MAX;
    for _ in 0..2 {
        let mut live = Live::over(process(&config)?);
        wait_for_start(&mut live)?;
        plain = plain.min(to_the_end(&mut live)?);
    }
    // The first one may have to compile.
    let took = attach(&config)?.min(attach(&config)?);
    line("a debugger comes to Linux at its prompt, which runs in fast code", "≤ 1 s", &ms(took));
    let mut kept = Duration::MAX;
    let mut run = None;
    for _ in 0..2 {
        drop(run.take());
        let mut machine = Rewindable::over(Live::over(Tapped::silent(process(&config)?)), limits)?;
        kept = kept.min(to_the_end(&mut machine)?);
        run = Some(machine);
    }
    let run = run.ok_or("no run")?;
    let extent = run.extent();
    let checkpoints = History::checkpoints(&run);
    let memory: u64 = checkpoints.iter().map(|checkpoint| checkpoint.cost).sum();
    let end = extent.present.tick.0;
    line(
        &format!(
            "{SECONDS} s of Linux under stress, {} million ticks, in code for debugging: with a history, against without",
            end / 1_000_000
        ),
        "≤ 1.05×",
        &format!("{:.2}× ({} and {})", kept.as_secs_f64() / plain.as_secs_f64(), ms(kept), ms(plain)),
    );
    let ticks: Vec<_> = checkpoints.iter().map(|checkpoint| checkpoint.tick.0).chain([end]).collect();
    let gap = ticks.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
    let measured =
        format!("{}, {} MiB, {} million ticks apart at most", checkpoints.len(), memory >> 20, gap / 1_000_000);
    line("its checkpoints", "≤ 1 GiB", &measured);

    let mut live = Live::over(process(&MachineConfig { max_time: None, ..config.clone() })?);
    wait_for_start(&mut live)?;
    live.footprint(true)?;
    let mut pieces = [const { Vec::new() }; 2];
    let mut copies = Vec::new();
    for n in 0..30u64 {
        let until_time = Some(GuestTime(12_000_000_000 + n * 20_000_000));
        live.resume(&Resume { until_time, ..Resume::go() })?;
        wait_for_start(&mut live)?;
        let started = Instant::now();
        live.footprint(true)?;
        pieces[0].push(started.elapsed());
        let started = Instant::now();
        copies.push(live.fork()?);
        pieces[1].push(started.elapsed());
    }
    drop((copies, live));
    let [footprint, fork] = pieces.map(|mut times| {
        let (p50, p95) = (percentile(&mut times, 50), percentile(&mut times, 95));
        format!("{:.1} ms, {:.1} ms", p50.as_secs_f64() * 1e3, p95.as_secs_f64() * 1e3)
    });
    line("a checkpoint: the copy (median, 95th percentile)", "≤ 5 ms", &fork);
    line("a checkpoint: what was done since the last one", "", &footprint);

    let mut session = Session { run, debugger: Debugger::new(Config::default()) };
    // Places all over the run, where a task is at a line of its own.
    let (mut gone, mut first, mut steps) = (Vec::new(), Vec::new(), Vec::new());
    for place in 0..20u64 {
        let tick = end / 21 * (place + 1) + place * 7919;
        gone.push(session.command(&format!("goto {tick}"))?.1);
        for step in 0..5 {
            match session.command("reverse-step") {
                Ok((_, took)) if step == 0 => first.push(took),
                Ok((_, took)) => steps.push(took),
                // No lines where that task is.
                Err(_) => break,
            }
        }
    }
    let both = |times: &mut [Duration]| format!("{}, {}", ms(percentile(times, 50)), ms(percentile(times, 95)));
    line("goto a tick, 20 all over the run: median, 95th percentile", "", &both(&mut gone));
    line(&format!("the first reverse-step there, {}", first.len()), "≤ 250 ms", &both(&mut first));
    line(&format!("reverse-steps after it, {}", steps.len()), "≤ 250 ms", &both(&mut steps));

    session.command("goto 10s")?;
    let never = back_to(&mut session, "panic")?;
    line("reverse-continue over the first 10 s: nothing stops it", "≤ 1 s", &ms(never));
    session.command("goto end")?;
    let never = back_to(&mut session, "panic")?;
    session.command("goto end")?;
    let boot = back_to(&mut session, "start_kernel")?;
    line(
        &format!("the same over all {SECONDS} s; to a function of the boot"),
        "",
        &format!("{}, {}", ms(never), ms(boot)),
    );
    session.command("goto end")?;
    let hot = back_to(&mut session, "__schedule")?;
    session.command("goto end")?;
    let rare = back_to(&mut session, "do_exit")?;
    line("to a function that is called all the time; at times", "≤ 1 s", &format!("{}, {}", ms(hot), ms(rare)));
    session.command("goto end")?;
    session.command("watch saved_command_line")?;
    let (_, watched) = session.command("reverse-continue")?;
    session.command("delete")?;
    line("to a write into a word watched, in the boot", "≤ 1 s", &ms(watched));
    session.command("goto end")?;
    let recent = who_wrote(&mut session, "jiffies_64")?;
    let busy = who_wrote(&mut session, "total_forks")?;
    let old = who_wrote(&mut session, "saved_command_line")?;
    let times = [recent, busy, old].map(ms).join(", ");
    line("who-wrote: a word written at each tick of the timer; at each fork; in the boot", "≤ 2 s", &times);
    session.command("goto 30s")?;
    let hot = who_wrote(&mut session, "jiffies_64")?;
    line("the same in the midst of the stress", "≤ 2 s", &ms(hot));
    let (_, took) = session.command("goto start")?;
    line("goto start", "≤ 1 s", &ms(took));
    Ok(())
}

//! What the machine costs: switches, runners, starts, idle time; on minik, and on a kernel of a real one's size.
//!
//! Run by `scripts/bench.sh`, or `cargo bench --bench machine`. `WKDB_BENCH_ROUNDS` sets how often each thing is
//! measured; the table has medians, of processor time where nothing else is said. Compiled code is kept in `WKDB_CACHE_DIR` if that is set, for quick repetition.

mod guest;
mod kernel;
mod process;
mod recording;
mod resident;
mod rewriting;

use std::path::{Path, PathBuf};
use std::time::Duration;

use guest::{Failure, Run, config, median, run};
use kernel::Era;
use wkdb::demo::linux::LinuxFiles;
use wkdb::machine::{MachineConfig, WatchRange};
use wkdb_debugger::inferior::{WatchKind, WatchSpec};
use wkdb_tracer::{GuestTime, Outcome};

/// The demo guest.
const MINIK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/minik-7.0.wasm");
const INITRAMFS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/initramfs.cpio");

/// Where things are, and how often they are measured.
struct Bench {
    rounds: usize,
    cache: PathBuf,
    folder: tempfile::TempDir,
}

/// A line of the table.
fn line(what: &str, goal: &str, measured: &str) {
    println!("| {what} | {goal} | {measured} |");
}

fn us(time: Duration) -> String {
    format!("{:.2} µs", time.as_secs_f64() * 1e6)
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// Lines of what checks cost: against the same guest without them.
fn lines_of_checks(what: &str, [off, checked, armed, many, loads]: [Duration; 5]) {
    let against = |time: Duration, base: Duration| format!("{:.2}×", time.as_secs_f64() / base.as_secs_f64());
    line(&format!("{what}: without checks"), "", &ms(off));
    line(&format!("{what}: store checks, nothing watched"), "", &against(checked, off));
    line(&format!("{what}: one range watched elsewhere"), "≤ 1.25", &against(armed, off));
    line(&format!("{what}: 100 000 ranges elsewhere, against one"), "≤ 1.05", &against(many, armed));
    line(&format!("{what}: checks of loads as well, one range"), "", &against(loads, off));
}

impl Bench {
    fn new() -> Result<Bench, Failure> {
        let rounds = std::env::var("WKDB_BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(11);
        let folder = tempfile::tempdir()?;
        let cache = std::env::var_os("WKDB_CACHE_DIR").map_or_else(|| folder.path().join("code"), PathBuf::from);
        Ok(Bench { rounds, cache, folder })
    }

    /// The runs of a guest that ends by a panic or at its time limit, after one that compiles and warms up.
    fn runs(&self, config: &MachineConfig) -> Result<Vec<Run>, Failure> {
        let mut runs = Vec::new();
        for round in 0..self.rounds + 1 {
            let run = run(config.clone())?;
            if !matches!(run.outcome, Outcome::Panic | Outcome::MaxTime) {
                return Err(format!("{}: {:?}", config.command_line, run.outcome).into());
            }
            if round > 0 {
                runs.push(run);
            }
        }
        Ok(runs)
    }

    /// How long guests run that take turns, so that all see the same machine.
    fn run_times<const N: usize>(&self, configs: [&MachineConfig; N]) -> Result<[Duration; N], Failure> {
        let mut times = [const { Vec::new() }; N];
        for round in 0..self.rounds + 1 {
            for (config, times) in configs.iter().zip(&mut times) {
                let run = run((*config).clone())?;
                if !matches!(run.outcome, Outcome::Panic | Outcome::MaxTime) {
                    return Err(format!("{}: {:?}", config.command_line, run.outcome).into());
                }
                // The first round compiles.
                if round > 0 {
                    times.push(run.ran_in);
                }
            }
        }
        Ok(times.map(median))
    }

    /// How long a guest runs.
    fn run_time(&self, config: &MachineConfig) -> Result<Duration, Failure> {
        Ok(median(self.runs(config)?.iter().map(|run| run.ran_in).collect()))
    }

    /// A kernel of a real one's size, in a file.
    fn large_kernel(&self, era: Era) -> Result<PathBuf, Failure> {
        let path = self.folder.path().join(format!("{era:?}.wasm"));
        std::fs::write(&path, kernel::kernel(era, 0))?;
        Ok(path)
    }

    fn minik(&self, command_line: &str, seconds: u64) -> MachineConfig {
        let mut config = config(Path::new(MINIK), &format!("console=hvc {command_line}"), &self.cache);
        config.initrd = Some(INITRAMFS.into());
        config.max_time = Some(GuestTime(seconds * 1_000_000_000));
        config
    }

    /// How long a guest runs without store checks; with them; with a watch where nobody writes; with 100 000 of these;
    /// and with checks of loads as well and one that is about them.
    fn watch_times(&self, off: MachineConfig) -> Result<[Duration; 5], Failure> {
        let checked = MachineConfig { store_checks: true, ..off.clone() };
        // In page 0, and in the last 64 MiB that the memory can grow to.
        let elsewhere =
            |n: u64| WatchRange { address: if n < 8 { 0x100 + 8 * n } else { (63 << 26) + 640 * n }, len: 8 };
        let armed = MachineConfig { watch: vec![elsewhere(0)], ..checked.clone() };
        let many = MachineConfig { watch: (0..100_000).map(elsewhere).collect(), ..checked.clone() };
        let access = WatchSpec { kind: WatchKind::Access, ..elsewhere(0).spec() };
        let loads = MachineConfig { load_checks: true, watch_specs: vec![access], ..off.clone() };
        self.run_times([&off, &checked, &armed, &many, &loads])
    }

    fn large(&self, era: Era, name: &str) -> Result<(), Failure> {
        const SWITCHES: u32 = 200_000;
        const TASKS: u32 = 500;
        const CALLS: u32 = 200_000;
        let path = self.large_kernel(era)?;
        let bytes = std::fs::metadata(&path)?.len();
        let time = |what: &str| self.run_time(&config(&path, what, &self.cache));

        let runs = self.runs(&config(&path, "s0", &self.cache))?;
        let made = median(runs.iter().map(|run| run.made_in).collect());
        let nothing = median(runs.iter().map(|run| run.ran_in).collect());
        drop(runs);
        line(&format!("{name}, {:.1} MB: machine made, code cached", bytes as f64 / 1e6), "", &ms(made));
        let switches = time(&format!("s{SWITCHES}"))?.saturating_sub(nothing);
        line(&format!("{name}: switch to another task"), "≤ 0.5 µs", &us(switches / SWITCHES));
        let tasks = time(&format!("t{TASKS}"))?.saturating_sub(nothing);
        line(&format!("{name}: store, instance and fiber of a task"), "≤ 250 µs", &us(tasks / TASKS));
        let [few, many] = [1, 1 + TASKS].map(|tasks| resident::measure(&path, None, &format!("t{tasks}"), &self.cache));
        line(&format!("{name}: memory of an idle task"), "≤ 64 KiB", &resident::text(&few?, &many?, TASKS));

        let mut work = config(&path, &format!("w{CALLS}"), &self.cache);
        work.stall_ns = u64::MAX;
        lines_of_checks(&format!("{name}, {CALLS} walks through its functions"), self.watch_times(work)?);
        Ok(())
    }

    /// Linux to its shell's prompt and a little further.
    fn linux(&self) -> Result<(), Failure> {
        let files = LinuxFiles::write(None)?;
        let mut config = config(&files.kernel(), "console=hvc", &self.cache);
        config.initrd = Some(files.initramfs());
        config.max_time = Some(GuestTime(60_000_000));
        lines_of_checks("Linux, boot to its prompt", self.watch_times(config)?);
        Ok(())
    }

    fn demo(&self) -> Result<(), Failure> {
        let boot = self.runs(&self.minik("nr_cpus=64 tasks=500", 2))?;
        let (cpus, tasks) = boot.first().map_or((0, 0), |run| (run.totals.cpus, run.totals.tasks));
        let boot = median(boot.iter().map(|run| run.made_in + run.ran_in).collect());
        line(&format!("minik: boot, {cpus} CPUs, {tasks} tasks, 2 s of guest time"), "boots", &ms(boot));
        let [few, many] = ["nr_cpus=64 tasks=64", "nr_cpus=64 tasks=564"]
            .map(|line| resident::measure(MINIK.as_ref(), Some(INITRAMFS.as_ref()), line, &self.cache));
        line("minik: memory of an idle task", "≤ 64 KiB", &resident::text(&few?, &many?, 500));
        let (short, long) = (self.run_time(&self.minik("", 1))?, self.run_time(&self.minik("", 601))?);
        line("minik: 10 min of idle guest time in warp pace", "≤ 500 ms", &ms(long.saturating_sub(short)));
        lines_of_checks("minik, 500 busy tasks", self.watch_times(self.minik("nr_cpus=64 tasks=500", 10))?);
        let (first_byte, prompt) = process::second_start(self.rounds, &self.cache)?;
        line("`wkdb run` of minik, code cached: to the console's first byte", "≤ 50 ms", &ms(first_byte));
        line("`wkdb run` of minik, code cached: to the prompt", "", &ms(prompt));
        Ok(())
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args_os().skip(1).filter(|argument| argument != "--bench").collect();
    let mut only_linux = false;
    match &arguments[..] {
        [] => {}
        [what] if what == "linux" => only_linux = true,
        // To look at with a profiler.
        [what, path] if what == "kernel" => {
            return Ok(std::fs::write(path, kernel::kernel(Era::V6_4, rewriting::DWARF))?);
        }
        [what, of @ ..] if what == resident::CHILD => return resident::report(of),
        [what] if what == "recording" => return recording::measure(&Bench::new()?),
        _ => return Err("no arguments, or: linux, or: recording, or: kernel FILE".into()),
    }
    let bench = Bench::new()?;
    println!("| what | goal | measured |\n| --- | --- | --- |");
    if only_linux {
        return bench.linux();
    }
    bench.demo()?;
    recording::measure(&bench)?;
    bench.linux()?;
    bench.large(Era::V6_4, "large kernel, 6.4 exports")?;
    bench.large(Era::V7_0, "large kernel, 7.0 exports")?;
    rewriting::measure()
}

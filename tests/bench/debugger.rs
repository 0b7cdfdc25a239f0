//! What debugging costs: the debug variant against the fast one, its memory, and how many steps a second there are.
//!
//! Run by `scripts/bench.sh`, or `cargo bench --bench debugger`. `WKDB_BENCH_ROUNDS` sets how often each thing is
//! measured; the table has medians, of processor time where nothing else is said.

#[path = "machine/guest.rs"]
#[expect(dead_code, reason = "the other benchmark looks at more")]
mod guest;
#[path = "remote.rs"]
mod remote;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use guest::{Failure, config, median, run};
use wasm_encoder::Section;
use wkdb::code_cache::compile::find_or_compile;
use wkdb::code_cache::{CodeStore, Role, Variant};
use wkdb::condition::Condition;
use wkdb::demo::linux::LinuxFiles;
use wkdb::machine::engine::{self, EngineOptions};
use wkdb::machine::{Command, Machine, MachineConfig, Output, Port, Request};
use wkdb::process::MachineProcess;
use wkdb::session::Live;
use wkdb_debugger::companion::layout::Layout;
use wkdb_debugger::companion::{CompanionModule, build_kernel, code_len, word_size};
use wkdb_debugger::inferior::{BreakpointSpec, Inferior, Notice, Resume, StepKind, Stop, StopReason};
use wkdb_debugger::symbols::Symbols;
use wkdb_debugger::timeline::Branch;
use wkdb_tracer::{CodeAddress, GuestTime, ModuleId, Outcome};

/// The demo guest.
const MINIK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/minik-7.0.wasm");
const INITRAMFS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/initramfs.cpio");

/// Steps made for a measurement.
const STEPS: u32 = 20_000;

/// Runs of each variant a round: they take some 10 ms, and a few of those say little.
const RUNS_A_ROUND: usize = 5;

fn line(what: &str, goal: &str, measured: &str) {
    println!("| {what} | {goal} | {measured} |");
}

fn debug(config: &MachineConfig, store_checks: bool) -> MachineConfig {
    MachineConfig { engine: EngineOptions { debug: true, ..config.engine }, store_checks, ..config.clone() }
}

/// How long the fast variant runs, and how many times that the debug variants take.
fn variants(rounds: usize, what: &str, fast: &MachineConfig) -> Result<(), Failure> {
    let configs = [fast.clone(), debug(fast, false), debug(fast, true)];
    let mut times = [const { Vec::new() }; 3];
    let mut totals = Vec::new();
    let rounds = rounds * RUNS_A_ROUND;
    for round in 0..rounds + 1 {
        for (config, times) in configs.iter().zip(&mut times) {
            let run = run(config.clone())?;
            if !matches!(run.outcome, Outcome::MaxTime | Outcome::Until(_)) {
                return Err(format!("{what}: {:?}", run.outcome).into());
            }
            match round {
                // The first round compiles.
                0 => totals.push(run.totals),
                _ => times.push(run.ran_in),
            }
        }
    }
    if totals.iter().any(|t| *t != totals[0]) {
        return Err(format!("{what}: the variants run differently").into());
    }
    let [fast, debug, both] = times.map(|times| median(times).as_secs_f64());
    let measured =
        format!("{:.0} ms; debug {:.2}×, debug with store checks {:.2}×", fast * 1e3, debug / fast, both / fast);
    line(what, "≤ 2.2×", &measured);
    Ok(())
}

/// A port that makes steps: the next as soon as the last is done.
struct Stepper {
    address: CodeAddress,
    commands: Vec<Command>,
    steps: u32,
    started: Option<Instant>,
    took: Duration,
    failed: Option<String>,
}

impl Port for Stepper {
    fn output(&mut self, output: Output) {
        let ask = |request| Command::Ask { id: 0, request };
        match output {
            Output::Stopped(Stop { reason: StopReason::Start, .. }) => {
                let spec = BreakpointSpec { address: self.address, only: None, temporary: true };
                self.commands.extend([ask(Request::InsertBreakpoint(spec)), ask(Request::Resume(Resume::go()))]);
            }
            Output::Stopped(Stop { reason: StopReason::Step | StopReason::Breakpoint(_), context, .. }) => {
                let started = *self.started.get_or_insert_with(Instant::now);
                if self.steps == STEPS {
                    self.took = started.elapsed();
                    self.commands.push(Command::Quit);
                } else if let Some(context) = context {
                    self.steps += 1;
                    let step = Resume::step(context.runner, StepKind::Instruction);
                    self.commands.push(ask(Request::Resume(step)));
                }
            }
            Output::Stopped(stop) => {
                self.failed = Some(format!("{stop:?}"));
                self.commands.push(Command::Quit);
            }
            Output::Answer { answer: Err(error), .. } => {
                self.failed = Some(error.to_string());
                self.commands.push(Command::Quit);
            }
            _ => {}
        }
    }

    fn commands(&mut self, _wait: Option<Duration>) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }
}

/// Instruction steps a second from the start of a function, in this process.
fn steps_here(what: &str, config: &MachineConfig, function: &str) -> Result<(), Failure> {
    let mut port = Stepper {
        address: address(&config.kernel, function)?,
        commands: Vec::new(),
        steps: 0,
        started: None,
        took: Duration::ZERO,
        failed: None,
    };
    let mut machine = Machine::new(MachineConfig { attach: true, ..debug(config, false) })?;
    machine.run(&mut port);
    if let Some(failed) = port.failed {
        return Err(format!("{what}: {failed}").into());
    }
    line(what, "≥ 10 000", &format!("{:.0}", f64::from(port.steps) / port.took.as_secs_f64()));
    Ok(())
}

fn address(kernel: &Path, function: &str) -> Result<CodeAddress, Failure> {
    let symbols = Symbols::load(std::fs::read(kernel)?)?;
    let found = symbols.functions_named(function);
    let offset = found.first().ok_or_else(|| format!("no function {function}"))?.start;
    Ok(CodeAddress { module: ModuleId::KERNEL, offset })
}

fn stop(live: &mut Live) -> Result<Stop, Failure> {
    loop {
        for notice in live.notices(Duration::from_secs(1))? {
            match notice {
                Notice::Stopped(stop) => return Ok(*stop),
                Notice::Ended(outcome, _) => return Err(format!("{outcome:?}").into()),
                _ => {}
            }
        }
    }
}

/// A machine process: its memory once it came to its condition, then steps a second over its socket.
fn live(what: &str, config: &MachineConfig, function: &str) -> Result<(), Failure> {
    let config = MachineConfig { attach: true, ..debug(config, false) };
    let address = address(&config.kernel, function)?;
    let process = MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config.clone())?;
    let mut live = Live::over(process);
    stop(&mut live)?;
    let spec = BreakpointSpec { address, only: None, temporary: true };
    live.insert_breakpoint(&spec)?;
    live.resume(&Resume::go())?;
    let mut runner = stop(&mut live)?.context.ok_or("no task")?.runner;
    let (start, steps) = (Instant::now(), STEPS / 10);
    for _ in 0..steps {
        live.resume(&Resume::step(runner, StepKind::Instruction))?;
        runner = stop(&mut live)?.context.ok_or("no task")?.runner;
    }
    let per_second = f64::from(steps) / start.elapsed().as_secs_f64();
    line(&format!("{what}: instruction steps a second over the socket"), "", &format!("{per_second:.0}"));

    live.resume(&Resume::go())?;
    if !matches!(stop(&mut live)?.reason, StopReason::End(_)) {
        return Err("it did not come to its end".into());
    }
    let tasks = live.tasks()?.len();
    let start = Instant::now();
    let mut frames = 0;
    for task in live.tasks()? {
        frames += live.frame_states(task.context.runner)?.len();
    }
    let looked = start.elapsed();
    line(&format!("{what}: {frames} frames of {tasks} tasks with locals"), "", &format!("{:.1?}", looked));
    let mut copied = Vec::new();
    for _ in 0..21 {
        let start = Instant::now();
        // It goes with its handle.
        let _copy = live.fork()?;
        copied.push(start.elapsed());
    }
    line(&format!("{what}: a copy of the process, with {tasks} tasks"), "≤ 5 ms", &format!("{:.1?}", median(copied)));
    let id = live.link().id();
    let rollup = std::fs::read_to_string(format!("/proc/{id}/smaps_rollup"))?;
    let mib = |name: &str| {
        let field = rollup.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"));
        field.and_then(|kib| kib.trim().parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
    };
    let measured = format!(
        "{:.0} MB resident, {:.0} MB without counting shared pages twice, {:.0} MB its own",
        mib("Rss:"),
        mib("Pss:"),
        mib("Private_Dirty:") + mib("Private_Clean:"),
    );
    line(&format!("{what}: memory with {tasks} tasks"), "≤ 400 MB", &measured);
    Ok(())
}

/// What it costs a guest that a debugger may come, while none is there: nothing is armed then.
fn waiting(rounds: usize, cache: &Path) -> Result<(), Failure> {
    let guest =
        ["demo", "--append", "tasks=500 nr_cpus=64", "--max-time", "20s", "--pace", "warp", "--json", "--no-record"];
    let ran = |options: &[&str]| -> Result<Duration, Failure> {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_wkdb"));
        command.args(guest).args(options).env("WKDB_CACHE_DIR", cache).stdin(std::process::Stdio::null());
        let output = command.output()?;
        let console = String::from_utf8_lossy(&output.stdout);
        let closing = console.lines().rev().find(|line| line.starts_with('{')).ok_or("no closing line")?;
        let wall = serde_json::from_str::<serde_json::Value>(closing)?["wall_ms"].as_f64().ok_or("no time")?;
        Ok(Duration::from_secs_f64(wall / 1e3))
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    let rounds = rounds * RUNS_A_ROUND;
    for round in 0..rounds + 1 {
        let (alone, waited_for) = (ran(&[])?, ran(&["--gdb", "0"])?);
        // The first round compiles.
        if round > 0 {
            without.push(alone);
            with.push(waited_for);
        }
    }
    let ratio = median(with).as_secs_f64() / median(without).as_secs_f64();
    line("minik, 500 tasks: --gdb and nobody there, against none (time that passes)", "1.00×", &format!("{ratio:.2}×"));
    Ok(())
}

/// How long it takes to compile a kernel, on all cores, and how large the code is.
fn compile_times(what: &str, kernel: &Path) -> Result<(), Failure> {
    let bytes = std::fs::read(kernel)?;
    for debug in [false, true] {
        let engine = engine::compiling(EngineOptions { debug, ..EngineOptions::default() })?;
        let variant = Variant { debug, ..Variant::default() };
        let folder = tempfile::tempdir()?;
        let store = CodeStore::open_at(folder.path(), u64::MAX)?;
        let code = find_or_compile(&engine, &bytes, Role::Kernel, variant, Some(&store))?;
        let mut size = 0;
        for file in std::fs::read_dir(folder.path())? {
            size += file?.metadata()?.len();
        }
        let took = code.compiled_in.unwrap_or_default().as_secs_f64();
        let variant = if debug { "debug" } else { "fast" };
        line(&format!("{what}: compile the {variant} variant"), "", &format!("{took:.1} s, {} MB", size >> 20));
    }
    Ok(())
}

/// A kernel with its units of debug information again and again behind each other, until it has this many bytes.
fn enlarged(wasm: &[u8], bytes: usize) -> Result<Vec<u8>, Failure> {
    let mut larger = wasm[..8].to_vec();
    let mut grown = wasm.len();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section() else { continue };
        match payload {
            wasmparser::Payload::CustomSection(section) if section.name() == ".debug_info" => {
                let mut units = section.data().to_vec();
                while grown < bytes {
                    units.extend(section.data());
                    grown += section.data().len();
                }
                wasm_encoder::CustomSection { name: section.name().into(), data: units.into() }.append_to(&mut larger);
            }
            _ => wasm_encoder::RawSection { id, data: &wasm[range] }.append_to(&mut larger),
        }
    }
    Ok(larger)
}

/// How long it takes to make the symbols that gdb is given, and gdb to load them, if there is one.
fn companion(rounds: usize, what: &str, wasm: &[u8]) -> Result<(), Failure> {
    let mut layout = Layout::new(word_size(wasm)?);
    let id = layout.add_module(code_len(wasm)?)?;
    let file = tempfile::NamedTempFile::new()?;
    let (mut made, mut loaded) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        let companion = build_kernel(&CompanionModule { id, wasm }, &layout)?;
        made.push(start.elapsed());
        std::fs::write(file.path(), companion.elf)?;
        let start = Instant::now();
        let gdb = std::process::Command::new("gdb").args(["-batch", "-nx"]).arg(file.path()).output();
        if gdb.is_ok_and(|output| output.status.success()) {
            loaded.push(start.elapsed());
        }
    }
    let loaded = if loaded.is_empty() { "no gdb".to_owned() } else { format!("{:.0?}", median(loaded)) };
    let what = format!("{what}, {} MB: symbols for gdb, made; gdb loads them (time that passes)", wasm.len() >> 20);
    line(&what, "≤ 1.5 s; ≤ 2 s", &format!("{:.0?}; {loaded}", median(made)));
    Ok(())
}

fn main() -> Result<(), Failure> {
    let rounds = std::env::var("WKDB_BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(11);
    let folder = tempfile::tempdir()?;
    let cache = std::env::var_os("WKDB_CACHE_DIR").map_or_else(|| folder.path().join("code"), PathBuf::from);
    println!("| what | goal | measured |\n| --- | --- | --- |");

    let mut minik = config(MINIK.as_ref(), "console=hvc nr_cpus=64 tasks=500", &cache);
    minik.initrd = Some(INITRAMFS.into());
    minik.max_time = Some(GuestTime(10_000_000_000));
    variants(rounds, "minik: 500 busy tasks, 10 s of guest time", &minik)?;
    steps_here("minik: instruction steps a second", &minik, "schedule")?;

    waiting(rounds, &cache)?;
    remote::measure("minik", &["demo"], "minik# ", "stress 400", rounds.min(5), &cache)?;

    let files = LinuxFiles::write(None)?;
    let mut linux = config(&files.kernel(), "console=hvc nr_cpus=4", &cache);
    linux.initrd = Some(files.initramfs());
    linux.script = Some("expect \"\\n# \"\n".to_owned());
    linux.until.push(Condition::Script);
    compile_times("Linux", &files.kernel())?;
    let kernel = std::fs::read(files.kernel())?;
    companion(rounds.min(5), "Linux", &kernel)?;
    companion(rounds.min(5), "Linux, with units of debug information repeated", &enlarged(&kernel, 30 << 20)?)?;
    variants(rounds, "Linux: boot to its prompt", &linux)?;
    steps_here("Linux: instruction steps a second", &linux, "vsnprintf")?;
    live("Linux in the debug variant", &linux, "vsnprintf")?;
    remote::measure("Linux", &["run", "linux"], "\n# ", "stress all 100000", rounds.min(5), &cache)
}

//! Steps backwards are the inverse of steps forwards: state for state, at random places, also where tasks are switched,
//! programs are executed and signals are delivered.

use std::path::Path;
use std::time::{Duration, Instant};

use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::demo::linux::LinuxFiles;
use wkdb::demo::{Files, KERNEL_7_0};
use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{Cache, JournalConfig, MachineConfig};
use wkdb::process::MachineProcess;
use wkdb::session::{Live, Rewindable, Tapped};
use wkdb_debugger::inferior::{
    Direction, FrameState, Goal, History, Inferior, Limits, Notice, Resume, Status, StepKind, Stop, StopReason,
    TaskInfo,
};
use wkdb_tracer::{RunnerId, Tick};

const PATIENCE: Duration = Duration::from_secs(120);

/// What is compared: enough of the guest's memory, all tasks, and all values on one task's stack.
#[derive(PartialEq)]
struct State {
    stop: (Tick, wkdb_tracer::GuestTime, Option<wkdb_tracer::Frame>),
    memory: blake3::Hash,
    tasks: Vec<TaskInfo>,
    frames: Vec<FrameState>,
}

struct Guest {
    run: Rewindable,
    console: String,
}

impl Guest {
    fn start(mut config: MachineConfig, script: &str) -> Guest {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("code");
        config.cache = Some(Cache { directory, limit: DEFAULT_LIMIT });
        config.engine = EngineOptions { opt_level: OptLevelChoice::None, debug: true };
        config.store_checks = true;
        config.script = Some(script.to_owned());
        let limits = Limits { spacing: 500_000, ..Limits::default() };
        config.attach = true;
        config.journal = Some(JournalConfig::record());
        let process = MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config).unwrap();
        let run = Rewindable::over(Live::over(Tapped::silent(process)), limits).unwrap();
        Guest { run, console: String::new() }
    }

    fn wait(&mut self) -> Stop {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no stop; console: {}", self.console);
            for notice in self.run.notices(Duration::from_millis(50)).unwrap() {
                match notice {
                    Notice::Stopped(stop) => return *stop,
                    Notice::Console(bytes) => self.console.push_str(&String::from_utf8_lossy(&bytes)),
                    Notice::Ended(outcome, _) => panic!("{outcome:?}"),
                    Notice::Event(event) => {
                        let text = format!("{event:?}");
                        assert!(!text.starts_with("Complaint"), "{text}");
                    }
                    Notice::Module(_) | Notice::Found(_) => {}
                }
            }
        }
    }

    fn resume(&mut self, resume: &Resume) -> Stop {
        self.run.resume(resume).unwrap();
        self.wait()
    }

    fn step(&mut self, runner: RunnerId, direction: Direction) -> Stop {
        self.resume(&Resume { direction, ..Resume::step(runner, StepKind::Instruction) })
    }

    /// Runs until the script is at its end.
    fn run_on(&mut self) -> Tick {
        loop {
            let stop = self.resume(&Resume::go());
            // Traps of programs are none of ours.
            if matches!(stop.reason, StopReason::End(_) | StopReason::Panic { .. }) {
                return stop.tick;
            }
        }
    }

    fn state(&mut self, runner: RunnerId) -> State {
        let Status::Stopped(stop) = self.run.status().clone() else { panic!("it runs") };
        let memory = blake3::hash(&self.run.read_memory(0, 8 << 20).unwrap());
        let frames = self.run.frame_states(runner).unwrap();
        State { stop: (stop.tick, stop.time, stop.frame), memory, tasks: self.run.tasks().unwrap(), frames }
    }

    /// From a tick on, some steps of the task that runs there: back as many, and forward again.
    fn there_and_back(&mut self, tick: Tick, steps: usize) -> bool {
        self.run.go_to(Goal::Tick(tick)).unwrap();
        let stop = self.wait();
        assert_eq!(stop.tick, tick);
        let Some(runner) = stop.context.map(|context| context.runner) else { return false };
        // To an instruction of its own.
        let stop = self.step(runner, Direction::Forward);
        if stop.reason != StopReason::Step || stop.context.is_none_or(|context| context.runner != runner) {
            return false;
        }
        let mut states = vec![self.state(runner)];
        for _ in 0..steps {
            let stop = self.step(runner, Direction::Backward);
            if stop.reason == StopReason::HistoryStart {
                break;
            }
            assert_eq!(stop.reason, StopReason::Step, "at tick {tick}");
            states.push(self.state(runner));
        }
        states.pop();
        self.step(runner, Direction::Forward);
        for (number, state) in states.iter().enumerate().rev() {
            let now = self.state(runner);
            assert!(now == *state, "from tick {tick}, step {number}: {:?} and {:?}", now.stop, state.stop);
            if number > 0 {
                self.step(runner, Direction::Forward);
            }
        }
        true
    }

    /// Random places of a run, and the surroundings of what happened in it.
    fn check(&mut self, places: usize) {
        let end = self.run_on();
        let mut random = 0x2545_f491_4f6c_dd1du64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let events = self.run.milestones().to_vec();
        assert!(events.len() > 10, "{}", self.console);
        let mut ticks: Vec<Tick> = (0..places).map(|_| Tick(1 + next(end.0 - 1))).collect();
        // Births, deaths, traps: where programs are executed and signals delivered.
        for _ in 0..places {
            let event = &events[next(events.len() as u64) as usize];
            ticks.push(Tick((event.at.tick.0 + next(40)).saturating_sub(20).clamp(1, end.0 - 1)));
        }
        let mut walked = 0;
        for tick in ticks {
            walked += usize::from(self.there_and_back(tick, 12));
        }
        assert!(walked > places, "{walked} of {}", 2 * places);
    }
}

#[test]
fn steps_forward_and_back_are_the_same_states_in_the_demo_guest() {
    let files = Files::write(KERNEL_7_0).unwrap();
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    config.command_line = "console=hvc".into();
    let script = "expect \"minik# \"\nsend \"ps | wc\\n\"\nexpect \"minik# \"\nsend \"crash div0\\n\"\nexpect \"minik# \"\n\
                  send \"hello\\n\"\nexpect \"minik# \"\n";
    config.until = vec!["script".parse().unwrap()];
    Guest::start(config, script).check(20);
}

#[test]
fn steps_forward_and_back_are_the_same_states_in_linux() {
    let files = LinuxFiles::write(None).unwrap();
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    config.command_line = "console=hvc nr_cpus=4".into();
    let script = "expect \"# \"\nsend \"ls | cat | wc\\n\"\nexpect \"# \"\nsend \"sleep 5 &\\n\"\nexpect \"# \"\n\
                  send \"kill $!\\n\"\nexpect \"# \"\n";
    config.until = vec!["script".parse().unwrap()];
    Guest::start(config, script).check(10);
}

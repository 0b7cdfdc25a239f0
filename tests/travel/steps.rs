//! Steps backwards are the inverse of steps forwards: state for state, at random places, also where tasks are switched,
//! programs are executed and signals are delivered.

use std::path::Path;
use std::time::{Duration, Instant};

use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::demo::linux::LinuxFiles;
use wkdb::demo::{Files, KERNEL_7_0};
use wkdb::machine::engine::{EngineOptions, OptLevelChoice};
use wkdb::machine::{Cache, JournalConfig, Machine, MachineConfig};
use wkdb::process::MachineProcess;
use wkdb::session::{Live, Rewindable, Tapped};
use wkdb_debugger::inferior::{
    BreakpointSpec, Direction, FrameState, Goal, History, Inferior, Limits, Notice, Resume, Status, StepKind, Stop,
    StopReason, TaskInfo,
};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::{CodeAddress, Event, ModuleId, RunnerId, Tick};

const PATIENCE: Duration = Duration::from_secs(120);

/// What is compared: enough of the guest's memory, all tasks, and all values on one task's stack.
#[derive(PartialEq)]
struct State {
    stop: (Tick, wkdb_tracer::GuestTime, Option<wkdb_tracer::Frame>),
    memory: blake3::Hash,
    tasks: Vec<TaskInfo>,
    frames: Vec<FrameState>,
}

/// What lies between two instructions that a task executes one after the other.
#[derive(Debug, Default)]
struct Crossed {
    /// Other tasks ran: it called the host to be switched away from.
    switches: usize,
    /// It became another program.
    programs: usize,
    /// It began to handle a signal, which the host calls while the kernel delivers it.
    signals: usize,
}

impl Crossed {
    /// Whatever lies between two states of a task.
    fn note(&mut self, before: &State, after: &State) {
        let kernel = |frame: &FrameState| frame.frame.address.module == ModuleId::KERNEL;
        let (Some(then), Some(now)) = (before.frames.first(), after.frames.first()) else { return };
        if kernel(then) && !kernel(now) && after.frames.iter().any(kernel) {
            self.signals += 1;
        } else if kernel(then) && kernel(now) {
            // No instruction takes more than a tick; a call of the host only while others run.
            self.switches += usize::from(after.stop.0.0 > before.stop.0.0 + 1);
        }
    }

    /// The walk that is made of all these states. A system call returns to its caller; where a program becomes another, its
    /// calls are all gone on the way, and others come.
    fn note_walk(&mut self, states: &[State]) {
        let callers = |state: &State| {
            let user = state.frames.iter().filter(|frame| frame.frame.address.module != ModuleId::KERNEL);
            user.map(|frame| (frame.frame.address.module, frame.frame.function)).collect::<Vec<_>>()
        };
        let programs: Vec<_> = states.iter().map(callers).collect();
        let gone = programs.iter().position(Vec::is_empty).filter(|first| *first > 0);
        self.programs += usize::from(gone.is_some_and(|gone| programs[gone..].iter().any(|now| !now.is_empty())));
    }
}

struct Guest {
    run: Rewindable,
    console: String,
    /// Where programs began, and where signals were handled.
    begun: Vec<Tick>,
    handled: Vec<Tick>,
    crossed: Crossed,
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
        // Compiled here, where it may take as long as it takes.
        drop(Machine::new(config.clone()).unwrap());
        let process = MachineProcess::start_program(Path::new(env!("CARGO_BIN_EXE_wkdb")), config).unwrap();
        let run = Rewindable::over(Live::over(Tapped::silent(process)), limits).unwrap();
        let crossed = Crossed::default();
        Guest { run, console: String::new(), begun: Vec::new(), handled: Vec::new(), crossed }
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
                    // Of a guest's program that is damaged there are complaints too.
                    Notice::Event(event) => assert!(
                        !matches!(*event, Event::Complaint { context: None, .. }),
                        "{event:?}; console: {}",
                        self.console
                    ),
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

    /// Runs until the script is at its end, and notes where programs begin and where they handle signals.
    fn run_on(&mut self) -> Tick {
        self.run.stop_at_loads(true).unwrap();
        let mut set = Vec::new();
        loop {
            let stop = self.resume(&Resume::go());
            match &stop.reason {
                StopReason::ModuleLoaded(module) => {
                    let symbols = Symbols::load(self.run.module(*module).unwrap().to_vec()).unwrap();
                    // Where an instance begins, and a handler.
                    for (name, handles) in [("__wasm_init_memory", false), ("__libc_handle_signal", true)] {
                        let function = symbols.functions_named(name)[0].start;
                        let address = CodeAddress { module: *module, offset: function };
                        let spec = BreakpointSpec { address, only: None, temporary: false };
                        set.push((self.run.insert_breakpoint(&spec).unwrap(), handles));
                    }
                }
                StopReason::Breakpoint(met) => {
                    let handles = set.iter().any(|(id, handles)| *handles && met.contains(id));
                    if handles { &mut self.handled } else { &mut self.begun }.push(stop.tick);
                }
                StopReason::End(_) | StopReason::Panic { .. } => {
                    set.into_iter().for_each(|(id, _)| self.run.remove_breakpoint(id).unwrap());
                    return stop.tick;
                }
                // Traps of programs are none of ours.
                _ => {}
            }
        }
    }

    fn state(&mut self, runner: RunnerId) -> State {
        let Status::Stopped(stop) = self.run.status().clone() else { panic!("it runs") };
        let memory = blake3::hash(&self.run.read_memory(0, 4 << 20).unwrap());
        let frames = self.run.frame_states(runner).unwrap();
        State { stop: (stop.tick, stop.time, stop.frame), memory, tasks: self.run.tasks().unwrap(), frames }
    }

    /// Where a task goes on, after others, behind a tick; none if that is not before `end`.
    fn switched_behind(&mut self, tick: Tick, end: Tick) -> Option<Tick> {
        self.run.go_to(Goal::Tick(tick)).unwrap();
        self.wait();
        let kernel = Symbols::load(self.run.module(ModuleId::KERNEL).unwrap().to_vec()).unwrap();
        let offset = kernel.functions_named("finish_task_switch")[0].start;
        let address = CodeAddress { module: ModuleId::KERNEL, offset };
        let spec = BreakpointSpec { address, only: None, temporary: false };
        let breakpoint = self.run.insert_breakpoint(&spec).unwrap();
        let stop = self.resume(&Resume { until_tick: Some(end), ..Resume::go() });
        self.run.remove_breakpoint(breakpoint).unwrap();
        matches!(stop.reason, StopReason::Breakpoint(_)).then_some(stop.tick)
    }

    /// From some steps before a tick, of the task that runs there: as many steps forward as lead past it, and back.
    fn there_and_back(&mut self, tick: Tick, steps: usize) -> bool {
        self.run.go_to(Goal::Tick(tick)).unwrap();
        let stop = self.wait();
        assert_eq!(stop.tick, tick);
        let Some(runner) = stop.context.map(|context| context.runner) else { return false };
        // To an instruction of its own, and from there to some before it.
        let stop = self.step(runner, Direction::Forward);
        if stop.reason != StopReason::Step || stop.context.is_none_or(|context| context.runner != runner) {
            return false;
        }
        for _ in 0..steps / 2 {
            let stop = self.step(runner, Direction::Backward);
            if stop.reason == StopReason::HistoryStart {
                return false;
            }
            assert_eq!(stop.reason, StopReason::Step, "at tick {tick}");
        }
        let mut states = vec![self.state(runner)];
        for _ in 0..steps {
            let stop = self.step(runner, Direction::Forward);
            if stop.reason != StopReason::Step || stop.context.is_none_or(|context| context.runner != runner) {
                // Its task is gone, or history is at its end.
                return false;
            }
            let state = self.state(runner);
            let before = &states[states.len() - 1];
            self.crossed.note(before, &state);
            states.push(state);
        }
        self.crossed.note_walk(&states);
        states.pop();
        for (number, state) in states.iter().enumerate().rev() {
            self.step(runner, Direction::Backward);
            let now = self.state(runner);
            assert!(now == *state, "from tick {tick}, step {number}: {:?} and {:?}", now.stop, state.stop);
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
        // And just behind where programs began and signals were handled, and where a task goes on after others.
        for known in [&self.begun, &self.handled] {
            assert!(!known.is_empty(), "{}", self.console);
            ticks.extend((0..places.div_ceil(4)).map(|_| known[next(known.len() as u64) as usize]));
        }
        let random: Vec<_> = (0..places.div_ceil(4)).map(|_| Tick(1 + next(end.0 - 1))).collect();
        for tick in random {
            ticks.extend(self.switched_behind(tick, end));
        }
        let mut walked = 0;
        for tick in ticks {
            walked += usize::from(self.there_and_back(tick, 24));
        }
        assert!(walked > places / 2, "{walked} of {}", 2 * places);
        let Crossed { switches, programs, signals } = self.crossed;
        assert!(switches > 0 && programs > 0 && signals > 0, "{:?}", self.crossed);
    }
}

#[test]
fn steps_forward_and_back_are_the_same_states_in_the_demo_guest() {
    let files = Files::write(KERNEL_7_0).unwrap();
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    config.command_line = "console=hvc".into();
    let script = "expect \"minik# \"\nsend \"ps | wc\\n\"\nexpect \"minik# \"\nsend \"crash div0\\n\"\nexpect \"minik# \"\n\
                  send \"hello\\n\"\nexpect \"minik# \"\nsend \"contract\\n\"\nexpect \"minik# \"\n";
    config.until = vec!["script".parse().unwrap()];
    Guest::start(config, script).check(6);
}

#[test]
fn steps_forward_and_back_are_the_same_states_in_linux() {
    let files = LinuxFiles::write(None).unwrap();
    let mut config = MachineConfig::new(files.kernel());
    config.initrd = Some(files.initramfs());
    config.command_line = "console=hvc nr_cpus=4".into();
    let script = "expect \"# \"\nsend \"ls | cat | wc\\n\"\nexpect \"# \"\nsend \"sleep 5 &\\n\"\nexpect \"# \"\n\
                  send \"kill $!\\n\"\nexpect \"# \"\nsend \"check nest\\n\"\nexpect \"holds\"\nexpect \"# \"\n";
    config.until = vec!["script".parse().unwrap()];
    Guest::start(config, script).check(6);
}

//! What a debugger did to a recorded run belongs to it: changes of memory and globals at any instruction, tasks that ran
//! alone.

use std::path::Path;
use std::time::Duration;

use wkdb::contract::KernelModule;
use wkdb::demo::KERNEL_7_0;
use wkdb::machine::{Answer, Command, Output, Port, Request};
use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, InferiorError, Resume, StepKind, Stop, StopReason, WatchCondition, WatchId,
    WatchKind, WatchSpec, Who,
};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::recording::{Entry, Intervention, Recording};
use wkdb_tracer::{CodeAddress, ModuleId, WasmValue};

use crate::run::{Guest, config, record_with, verify};

/// Somebody with a debugger: what is asked at each stop, by its number. Without an answer that lets the machine go on,
/// it goes on.
struct Person<F> {
    at_stop: F,
    stops: usize,
    queue: Vec<Command>,
    answers: Vec<Answer>,
    refused: Vec<InferiorError>,
    asked: u64,
}

impl<F: FnMut(usize, &Stop, &[Answer]) -> Vec<Request>> Port for Person<F> {
    fn output(&mut self, output: Output) {
        match output {
            Output::Stopped(stop) => {
                let mut requests = (self.at_stop)(self.stops, &stop, &self.answers);
                if !requests.iter().any(|request| matches!(request, Request::Resume(_))) {
                    requests.push(Request::Resume(Resume::go()));
                }
                self.stops += 1;
                for request in requests {
                    self.asked += 1;
                    self.queue.push(Command::Ask { id: self.asked, request });
                }
            }
            Output::Answer { answer: Err(error), .. } => self.refused.push(error),
            // What was only done says nothing.
            Output::Answer { answer: Ok(answer), .. } if answer != Answer::Done => self.answers.push(answer),
            Output::Ended(..) => self.queue.push(Command::Quit),
            _ => {}
        }
    }

    fn commands(&mut self, _: Option<Duration>) -> Vec<Command> {
        std::mem::take(&mut self.queue)
    }
}

/// Records minik under a debugger; gives how often it stopped, and what was refused.
fn debugged(path: &Path, at_stop: impl FnMut(usize, &Stop, &[Answer]) -> Vec<Request>) -> (usize, Vec<InferiorError>) {
    let script = "expect \"minik# \"\nsend \"ps\\n\"\nexpect \"minik# \"\nwait 1s\n";
    let mut run = config(Guest::Minik, "nr_cpus=4", Some(script));
    (run.attach, run.engine.debug, run.store_checks) = (true, true, true);
    let person = Person { at_stop, stops: 0, queue: Vec::new(), answers: Vec::new(), refused: Vec::new(), asked: 0 };
    let person = record_with(run, person, path);
    (person.stops, person.refused)
}

fn interventions(path: &Path) -> Vec<Intervention> {
    let mut recording = Recording::open(std::fs::File::open(path).unwrap()).unwrap();
    let entries = recording.entries().map(|entry| entry.unwrap().1);
    let interventions = entries.filter_map(|entry| match entry {
        Entry::Intervention(intervention) => Some(intervention),
        _ => None,
    });
    interventions.collect()
}

fn break_at(function: &str) -> Request {
    let symbols = Symbols::load(KERNEL_7_0.to_vec()).unwrap();
    let address = CodeAddress { module: ModuleId::KERNEL, offset: symbols.functions_named(function)[0].start };
    Request::InsertBreakpoint(BreakpointSpec { address, only: None, temporary: false })
}

fn write(address: u64, value: u64) -> Request {
    Request::WriteMemory { address, bytes: value.to_le_bytes().to_vec() }
}

/// In the guest's first page, which nobody uses.
const UNUSED: u64 = 0x200;

#[test]
fn changes_behind_a_store_that_is_watched_are_replayed_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.wkr");
    let jiffies = KernelModule::parse(KERNEL_7_0).unwrap().data_symbol("jiffies_64").unwrap();
    let watch = WatchSpec {
        address: jiffies,
        len: 8,
        kind: WatchKind::Write,
        condition: WatchCondition::default(),
        stop: true,
    };
    let (stops, refused) = debugged(&path, |number, stop, _| match &stop.reason {
        StopReason::Start => vec![Request::InsertWatch(watch.clone())],
        StopReason::Watch(hits) if number < 9 => {
            // A store before the place of the change would undo it, one behind it too: it must be right there.
            let mut now = [0; 8];
            now[..hits[0].1.new.len()].copy_from_slice(&hits[0].1.new);
            vec![write(jiffies, u64::from_le_bytes(now) + 3)]
        }
        _ => vec![Request::RemoveWatch(WatchId(0)), Request::RemoveWatch(WatchId(1))],
    });
    assert!(stops >= 9, "{stops}");
    assert_eq!(refused, []);
    let placed = interventions(&path);
    let at_instruction = |what: &&Intervention| matches!(what, Intervention::InSlice { at: Some(_), .. });
    assert_eq!(placed.iter().filter(at_instruction).count(), 8, "{placed:?}");
    verify(&path, Guest::Minik, |_| {}).unwrap();
    verify(&path, Guest::Minik, |config| config.store_checks = true).unwrap();
}

#[test]
fn changes_at_breakpoints_and_tasks_that_ran_alone_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.wkr");
    let (stops, refused) = debugged(&path, |number, stop, _| {
        let runner = stop.context.as_ref().map(|context| context.runner);
        match (&stop.reason, runner) {
            (StopReason::Start, _) => vec![write(UNUSED, 7), break_at("schedule")],
            (StopReason::Breakpoint(_) | StopReason::Step | StopReason::Interrupt, Some(runner)) if number < 40 => {
                let alone = Resume { who: Who::Only(runner), ..Resume::step(runner, StepKind::Instruction) };
                let far = Resume { who: Who::Only(runner), ..Resume::go() };
                let resume = match number % 4 {
                    0 | 1 => alone,
                    2 => far,
                    _ => Resume::go(),
                };
                vec![write(UNUSED + number as u64, number as u64), Request::Resume(resume)]
            }
            _ => vec![Request::RemoveBreakpoint(BreakpointId(1))],
        }
    });
    assert!(stops > 20, "{stops}");
    // Alone, a task cannot go on where it waits for others.
    assert!(refused.iter().all(|error| error.to_string().contains("waits for others")), "{refused:?}");
    let placed = interventions(&path);
    let alone = placed.iter().filter(|what| matches!(what, Intervention::Only(_))).count();
    assert!(alone >= 2, "{placed:?}");
    verify(&path, Guest::Minik, |_| {}).unwrap();
}

#[test]
fn a_global_that_was_changed_is_changed_in_the_replay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.wkr");
    let mut set = 0;
    let (_, refused) = debugged(&path, |number, stop, answers| match (&stop.reason, &stop.context) {
        (StopReason::Start, _) => vec![break_at("printk")],
        (StopReason::Breakpoint(_), Some(context)) if number < 9 => {
            let step = Resume::step(context.runner, StepKind::Instruction);
            vec![Request::Globals(context.runner, ModuleId::KERNEL), Request::Resume(step)]
        }
        (StopReason::Step, Some(context)) if set < 4 => {
            let Some(Answer::Globals(globals)) = answers.last() else { panic!("{answers:?}") };
            // The kernel's stack pointer: what the function stores in its frame comes to lie elsewhere.
            let Some(Some(WasmValue::I32(stack))) = globals.first() else { panic!("{globals:?}") };
            set += 1;
            let value = WasmValue::I32(stack - 64);
            vec![Request::SetGlobal { runner: context.runner, module: ModuleId::KERNEL, global: 0, value }]
        }
        _ => vec![Request::RemoveBreakpoint(BreakpointId(1))],
    });
    assert_eq!((set, refused), (4, vec![]));
    verify(&path, Guest::Minik, |_| {}).unwrap();
}

#[test]
fn code_that_cannot_be_stopped_at_an_instruction_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.wkr");
    debugged(&path, |number, stop, _| match &stop.reason {
        StopReason::Start => vec![break_at("schedule")],
        _ if number == 1 => vec![write(UNUSED, 1)],
        _ => vec![Request::RemoveBreakpoint(BreakpointId(1))],
    });
    let divergence = verify(&path, Guest::Minik, |config| config.engine.debug = false).unwrap_err();
    let text = divergence.to_string();
    assert!(text.contains("code for debugging") || text.contains("intervention was recorded"), "{text}");
}

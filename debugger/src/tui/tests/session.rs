//! Sessions on a toy machine: what the screen is told, and when.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::commands::tests::toy::Toy;
use crate::commands::{BundledFile, Config};
use crate::inferior::{Inferior, InferiorError, Limits};
use crate::timeline::TimeTravel;
use crate::tui::event::{Effect, FromSession, Wants};
use crate::tui::pane::Pane;
use crate::tui::sample::{Doing, Sample};
use crate::tui::session::{Ended, Gate, Machine, Setting, serve};

const SOURCE: &[BundledFile] = &[("workqueue.c", include_str!("../../../tests/fixtures/symbols/workqueue.c"))];

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn over() -> InferiorError {
    InferiorError::Gone("the toy is put away".into())
}

impl Machine for Toy {
    fn quit(&mut self) -> Result<(), InferiorError> {
        Err(over())
    }
}

impl Machine for TimeTravel<Toy> {
    fn quit(&mut self) -> Result<(), InferiorError> {
        Err(over())
    }
}

struct Rig {
    effects: Sender<Effect>,
    told: Receiver<FromSession>,
    gate: Gate,
    thread: JoinHandle<Ended>,
    last: Sample,
}

impl Rig {
    fn with(machine: impl Machine + Send + 'static, first: &[&str]) -> Rig {
        Rig::telling(machine, first, |_| ())
    }

    /// One whose session also does something behind each thing that it tells.
    fn telling(
        machine: impl Machine + Send + 'static,
        first: &[&str],
        behind: impl Fn(&FromSession) + Send + 'static,
    ) -> Rig {
        let (effects, asked) = channel();
        let (tell, told) = channel();
        let gate = Gate::default();
        let setting = Setting {
            config: Config { bundled_sources: SOURCE, ..Config::default() },
            effects: asked,
            tell: move |what: FromSession| {
                let there = tell.send(what.clone()).is_ok();
                behind(&what);
                there
            },
            gate: gate.clone(),
            save: Box::new(|text| if text.is_empty() { Err("nothing to keep".into()) } else { Ok("kept".into()) }),
            first: first.iter().map(|line| (*line).to_owned()).collect(),
        };
        let thread = std::thread::spawn(move || serve(machine, setting));
        let mut rig = Rig { effects, told, gate, thread, last: Sample::default() };
        let panes = vec![Pane::Source, Pane::Disassembly, Pane::Tasks, Pane::Cpus, Pane::Memory];
        rig.ask(Effect::Watch(Wants { panes, memory: "worker_pools".into(), offset: 0, len: 64 }));
        rig
    }

    fn new() -> Rig {
        Rig::with(Toy::new(), &[])
    }

    fn ask(&mut self, effect: Effect) {
        self.effects.send(effect).unwrap();
    }

    fn command(&mut self, line: &str) {
        self.ask(Effect::Command { line: line.into(), typed: false });
    }

    /// What is told next that is wanted; samples are let through.
    fn wait<T>(&mut self, mut wanted: impl FnMut(&FromSession) -> Option<T>) -> T {
        loop {
            let told = self.told.recv_timeout(PATIENCE).expect("the session says nothing more");
            let found = wanted(&told);
            if let FromSession::Sample(sample) = told {
                self.last = *sample;
                self.gate.passed();
            }
            if let Some(found) = found {
                return found;
            }
        }
    }

    fn sample(&mut self, fits: impl Fn(&Sample) -> bool) -> Sample {
        self.wait(|told| match told {
            FromSession::Sample(sample) if fits(sample) => Some(sample.as_ref().clone()),
            _ => None,
        })
    }

    fn stop(&mut self) -> String {
        self.wait(|told| match told {
            FromSession::Stopped(text) => Some(text.headline().unwrap_or_default()),
            FromSession::Failed(error) => panic!("{error}"),
            _ => None,
        })
    }

    fn end(self) -> Ended {
        let Rig { effects, told, thread, .. } = self;
        drop((effects, told));
        thread.join().unwrap()
    }
}

#[test]
fn a_stop_is_told_with_all_that_the_panes_show() {
    let mut rig = Rig::new();
    assert_eq!(rig.stop(), "The machine is about to start.");
    rig.command("break process_one_work");
    rig.command("continue");
    assert!(rig.stop().starts_with("Breakpoint 1"));
    let sample = rig.sample(|sample| sample.doing == Doing::Stopped && !sample.points.is_empty());
    assert_eq!(sample.tasks.len(), 2);
    assert_eq!(sample.cpus.len(), 2);
    assert!(sample.cpus.iter().all(|cpu| cpu.function.is_some() && cpu.busy));
    assert_eq!(sample.stack.frames[0].function, "process_one_work");
    let source = sample.source.expect("the file comes with the program");
    assert_eq!(source.file, "workqueue.c");
    assert!(source.lines.unwrap()[source.line.unwrap() as usize - 1].contains("nr_calls"));
    assert!(sample.variables.iter().any(|variable| variable.name == "pool" && variable.argument));
    assert_eq!(sample.function.unwrap().name, "process_one_work");
    assert_eq!((sample.points[0].hits, sample.points[0].places.len()), (1, 1));
    assert_eq!(sample.memory.bytes.len(), 64);
    assert_eq!(sample.memory.origin, sample.memory.address);
    assert_eq!(sample.memory.names[0].as_deref(), Some("worker_pools"));
    // What its words are: of an array of structures, with names that are expressions.
    let fields = &sample.memory.fields;
    let count = fields.iter().find(|field| field.name == "[0].nr_workers").unwrap_or_else(|| panic!("{fields:?}"));
    assert_eq!((count.expression.as_str(), count.ty.as_str()), ("worker_pools[0].nr_workers", "u32"));
    let at = (count.address - sample.memory.address) as usize;
    let bytes = sample.memory.bytes[at..at + 4].try_into().unwrap();
    assert_eq!(count.value, u32::from_le_bytes(bytes).to_string());
    // Or of what somebody says that is there.
    let second = sample.memory.origin + 16;
    let memory = format!("(struct worker_pool *) {second:#x}");
    rig.ask(Effect::Watch(Wants { panes: vec![Pane::Memory], memory: memory.clone(), offset: 0, len: 32 }));
    let typed = rig.sample(|sample| sample.memory.expression == memory).memory;
    assert_eq!((typed.origin, typed.size), (second, 16));
    let fields: Vec<_> = typed.fields.iter().map(|field| (field.address, field.name.as_str())).collect();
    assert_eq!(fields[..3], [(second, "id"), (second + 4, "nr_workers"), (second + 8, "watchdog_ts")]);
    assert_eq!(typed.fields[0].expression, format!("(*({memory})).id"));
    assert_eq!(typed.fields[0].value, "2");
    // What comes behind it is a variable of the kernel's, with its name.
    assert_eq!(fields[3], (second + 16, "worker_pools[2].id"));
    assert!(sample.history.is_none());
    assert!(rig.end().outcome.is_none());
}

#[test]
fn another_task_and_frame_are_looked_at_without_a_step_of_the_machine() {
    let mut rig = Rig::with(Toy::new(), &["break process_one_work", "continue"]);
    rig.stop();
    rig.stop();
    let before = rig.sample(|sample| sample.stack.frames.len() == 2 && sample.points.len() == 1);
    let task = before.stack.task.clone().unwrap().runner;
    rig.ask(Effect::LookAt(task, 1));
    let after = rig.sample(|sample| sample.stack.selected == 1);
    assert_eq!(after.source.unwrap().line, Some(42));
    assert!(after.variables.iter().any(|variable| variable.name == "which"));
    assert_eq!(after.tick, before.tick);
    let other = before.tasks.iter().find(|other| other.runner != task).unwrap().runner;
    rig.ask(Effect::LookAt(other, 0));
    rig.sample(|sample| sample.stack.task.as_ref().is_some_and(|task| task.runner == other));
    // What commands say is about it too.
    rig.command("info frame");
    let name = format!("Frame 0 of Task {}", other.0 + 1);
    rig.wait(|told| matches!(told, FromSession::Said(text) if text.headline()?.starts_with(&name)).then_some(()));
}

#[test]
fn samples_that_the_screen_has_no_time_for_are_counted_and_the_machine_is_not_held_up() {
    let mut rig = Rig::with(Toy::new(), &["continue"]);
    rig.sample(|sample| sample.doing == Doing::Running);
    // One is let in and not dealt with.
    let stuck = rig.told.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(stuck, FromSession::Sample(_)), "{stuck:?}");
    std::thread::sleep(Duration::from_millis(300));
    assert!(rig.told.try_recv().is_err(), "no other comes before it was dealt with");
    rig.ask(Effect::Interrupt);
    assert_eq!(rig.stop(), "Interrupted.", "what stops the machine is told all the same");
    rig.gate.passed();
    let sample = rig.sample(|_| true);
    assert!(sample.dropped >= 3, "{}", sample.dropped);
}

#[test]
fn what_cannot_be_done_is_told() {
    let mut rig = Rig::new();
    for (line, word) in [("nonsense", "nonsense"), ("print nowhere", "nowhere"), ("detach", "nobody")] {
        rig.command(line);
        let error = rig.wait(|told| match told {
            FromSession::Failed(error) => Some(error.clone()),
            _ => None,
        });
        assert!(error.contains(word), "{error}");
    }
    rig.ask(Effect::SaveSettings(String::new()));
    rig.wait(|told| (*told == FromSession::Failed("nothing to keep".into())).then_some(()));
}

#[test]
fn a_machine_that_runs_is_stopped_for_a_breakpoint_and_goes_on_without_a_word() {
    let mut rig = Rig::with(Toy::new(), &["continue"]);
    rig.sample(|sample| sample.doing == Doing::Running);
    rig.command("tbreak process_one_work");
    let mut stops = Vec::new();
    rig.wait(|told| {
        if let FromSession::Stopped(text) = told {
            stops.extend(text.headline());
        }
        stops.last().is_some_and(|last| last.starts_with("Temporary breakpoint 1")).then_some(())
    });
    assert_eq!(stops.len(), 1, "{stops:?}");
    // One that cannot be set is told, and the machine goes on all the same.
    rig.command("continue");
    rig.sample(|sample| sample.doing == Doing::Running);
    rig.command("watch nowhere_at_all");
    rig.wait(|told| matches!(told, FromSession::Failed(error) if error.contains("nowhere_at_all")).then_some(()));
    rig.sample(|sample| sample.doing == Doing::Running);
    rig.command("continue");
    rig.wait(|told| matches!(told, FromSession::Failed(error) if error.contains("running")).then_some(()));
}

#[test]
fn commands_that_were_brought_wait_until_the_machine_is_stopped() {
    let mut rig = Rig::with(Toy::new(), &["tbreak process_one_work", "continue", "print 35 + 7"]);
    let mut said = Vec::new();
    rig.wait(|told| {
        if let FromSession::Said(text) | FromSession::Stopped(text) = told {
            said.extend(text.headline());
        }
        said.last().is_some_and(|last| last.starts_with("$1")).then_some(())
    });
    assert!(said.iter().any(|line| line == "(wkdb) print 35 + 7"), "{said:?}");
    let stopped =
        said.iter().position(|line| line.starts_with("Temporary breakpoint 1") && !line.contains(" at ")).unwrap();
    let printed = said.iter().position(|line| line == "(wkdb) print 35 + 7").unwrap();
    assert!(stopped < printed, "{said:?}");
}

#[test]
fn completion_is_for_the_line_that_it_was_asked_for() {
    let mut rig = Rig::new();
    rig.ask(Effect::Complete("break process_".into()));
    let (line, start, candidates) = rig.wait(|told| match told {
        FromSession::Completion { line, start, candidates } => Some((line.clone(), *start, candidates.clone())),
        _ => None,
    });
    assert_eq!((line.as_str(), start), ("break process_", 6));
    assert_eq!(candidates, [("process_one_work".to_owned(), true)]);
    // The screen's own command takes expressions.
    rig.ask(Effect::Complete("memory &worker_p".into()));
    let (line, start, candidates) = rig.wait(|told| match told {
        FromSession::Completion { line, start, candidates } => Some((line.clone(), *start, candidates.clone())),
        _ => None,
    });
    assert_eq!((line.as_str(), &line[start..]), ("memory &worker_p", "worker_p"));
    assert!(candidates.iter().any(|(text, _)| text == "worker_pools"), "{candidates:?}");
}

#[test]
fn the_past_is_gone_to_and_shown_as_such() {
    let mut toy = Toy::new();
    toy.notices(Duration::ZERO).unwrap();
    let machine = TimeTravel::new(toy, Limits::default(), || {}).unwrap();
    let mut rig = Rig::with(machine, &["break process_one_work", "continue", "continue"]);
    let present = rig.sample(|sample| sample.points.first().is_some_and(|point| point.hits == 2));
    assert_eq!(present.history.as_ref().map(|history| history.in_the_past), Some(false));
    rig.command("reverse-continue");
    let past = rig.sample(|sample| sample.history.as_ref().is_some_and(|history| history.in_the_past));
    assert!(past.tick < present.tick);
    assert_eq!(past.history.unwrap().present, present.tick);
    rig.command(&format!("goto {}", present.tick));
    rig.sample(|sample| sample.tick == present.tick && sample.doing == Doing::Stopped);
}

#[test]
fn an_explanation_is_given_up_when_the_screen_says_so() {
    let mut toy = Toy::new();
    toy.notices(Duration::ZERO).unwrap();
    let machine = TimeTravel::new(toy, Limits::default(), || {}).unwrap();
    // It does not begin before the screen has said that.
    let (go, wait) = channel::<()>();
    let behind = move |told: &FromSession| {
        if matches!(told, FromSession::Sample(sample) if sample.doing == Doing::Travelling && sample.tick.0 < 30) {
            wait.recv_timeout(PATIENCE).unwrap();
        }
    };
    let mut rig = Rig::telling(machine, &["run-to 60", "goto 20"], behind);
    let before = rig.sample(|sample| sample.doing == Doing::Stopped && sample.tick.0 == 20);
    for typed in [false, true] {
        match typed {
            false => rig.ask(Effect::Explain),
            true => rig.ask(Effect::Command { line: "explain".into(), typed }),
        }
        rig.sample(|sample| sample.doing == Doing::Travelling);
        rig.ask(Effect::Interrupt);
        go.send(()).unwrap();
        let word = if typed { "Interrupted" } else { "given up" };
        rig.wait(|told| match told {
            FromSession::Said(text) => text.headline().filter(|line| line.contains(word)),
            FromSession::Explained { text, .. } => panic!("{text:?}"),
            _ => None,
        });
        let after = rig.sample(|sample| sample.doing == Doing::Stopped);
        assert_eq!((after.tick, &after.stack), (before.tick, &before.stack), "it is where it was");
    }
    // It can be asked for again.
    rig.ask(Effect::Explain);
    rig.sample(|sample| sample.doing == Doing::Travelling);
    go.send(()).unwrap();
    rig.wait(|told| matches!(told, FromSession::Explained { .. }).then_some(()));
}

#[test]
fn a_screen_that_is_gone_ends_the_session() {
    let rig = Rig::new();
    assert!(rig.end().gone.is_none());
    let mut rig = Rig::with(Toy::new(), &["continue"]);
    rig.sample(|sample| sample.doing == Doing::Running);
    rig.end();
}

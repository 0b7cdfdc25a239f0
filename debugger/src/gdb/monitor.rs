//! `monitor …`: what a person at gdb asks of the server itself.

use std::fmt::Write as _;

use wkdb_tracer::RunnerId;

use crate::inferior::{Inferior, InferiorError, Notice, Status};

/// Commands behind gdb's `monitor`.
pub trait MonitorCommands {
    /// Runs one command; gives what is printed, errors included. An empty command is as `help`.
    fn run(&mut self, inferior: &mut dyn Inferior, command: &str) -> String;

    /// Has commands that take long be given up when `asked` says so.
    fn give_up_when(&mut self, _asked: Box<dyn FnMut() -> bool>) {}

    /// The client looks at this task: what follows is about it, until the client looks at another one.
    fn look_at(&mut self, _: RunnerId) {}

    /// Hears what the machine tells by itself, in every state of the connection.
    fn on_notice(&mut self, _: &mut dyn Inferior, _: &Notice) -> Remark {
        Remark::default()
    }

    /// Takes away what commands have set in the machine, which is stopped: the client is gone.
    ///
    /// # Errors
    /// As the inferior's.
    fn clear(&mut self, _: &mut dyn Inferior) -> Result<(), InferiorError> {
        Ok(())
    }

    /// Whether there is nothing to take away.
    fn is_clear(&self) -> bool {
        true
    }
}

/// What the commands make of a notice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remark {
    /// What a person is told.
    pub text: String,
    /// The machine has stopped for the commands alone, which are done: the client need not know.
    pub goes_on: bool,
}

/// The commands that need nothing but the inferior: `help`, `cpus`, `tasks`, `tick`, `info version`.
#[derive(Debug, Clone, Copy, Default)]
pub struct BasicCommands;

const HELP: &str = "\
cpus          what every CPU runs
tasks         all tasks and what they wait for
tick          the machine's position and the guest's time
info version  the version of wkdb
";

impl MonitorCommands for BasicCommands {
    fn run(&mut self, inferior: &mut dyn Inferior, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let result = match words.as_slice() {
            [] | ["help"] => Ok(HELP.to_owned()),
            ["cpus"] => cpus(inferior),
            ["tasks"] => tasks(inferior),
            ["tick"] => tick(inferior),
            ["info", "version"] | ["version"] => Ok(format!("wkdb {}\n", env!("CARGO_PKG_VERSION"))),
            _ => return format!("there is no command `{}`: monitor help lists them\n", words.join(" ")),
        };
        result.unwrap_or_else(|error| format!("{error}\n"))
    }
}

fn cpus(inferior: &mut dyn Inferior) -> Result<String, InferiorError> {
    let mut text = String::new();
    let mut tasks = inferior.tasks()?;
    tasks.retain(|task| task.holds_cpu);
    tasks.sort_by_key(|task| task.context.cpu);
    for task in &tasks {
        let context = &task.context;
        // Writing to a string does not fail.
        let state = super::threads::state(task);
        let _ = writeln!(text, "{}: {}/{} {state}", context.cpu, context.comm, context.task);
    }
    Ok(text)
}

fn tasks(inferior: &mut dyn Inferior) -> Result<String, InferiorError> {
    let mut text = String::new();
    for task in inferior.tasks()? {
        let thread = super::threads::tid(task.context.runner);
        let _ = writeln!(text, "{thread:>4}  {}", super::threads::title(&task, None));
    }
    Ok(text)
}

fn tick(inferior: &mut dyn Inferior) -> Result<String, InferiorError> {
    let (tick, time) = match inferior.status() {
        Status::Stopped(stop) => (stop.tick, stop.time),
        Status::Ended(_, totals) => (totals.ticks, totals.time),
        Status::Running => {
            let tasks = inferior.tasks()?;
            let Some(task) = tasks.first() else { return Ok("the guest has not started\n".into()) };
            (task.context.tick, task.context.time)
        }
    };
    Ok(format!("tick {}, guest time {}\n", tick.0, time))
}

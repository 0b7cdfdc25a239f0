//! `info`: what is there to know, by topic.

use super::super::error::{CommandError, Result};
use super::super::location::LocationSpec;
use super::super::output::{Output, Style, Table};
use super::super::points::Kind;
use super::super::words::{Words, nearest};
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Info {
    /// What topics there are.
    Topics,
    /// All tasks.
    Tasks,
    /// All CPUs, with what they run.
    Cpus,
    /// Named places in history.
    Bookmarks,
    /// What happened in the run: all of it, without what is common, or what has this word.
    Events(Option<String>),
    /// How far history reaches.
    History,
    /// Breakpoints and watches.
    Breakpoints,
    /// Watches.
    Watches,
    /// The selected frame's local variables.
    Locals,
    /// The selected frame's arguments.
    Args,
    /// Variables that can be seen from a frame of the source, by name.
    Scope,
    /// Global variables whose names match a pattern.
    Globals(String),
    /// Functions whose names match a pattern.
    Functions(String),
    /// The code of a line.
    Line(Option<LocationSpec>),
    /// The selected frame's source file.
    Source,
    /// What an address is of.
    Symbol(String),
    /// Locals, operands and globals of the selected frame as Wasm has them.
    Registers,
    /// The selected frame.
    Frame,
    /// The guest's modules.
    Modules,
    /// Source files.
    Files(String),
    /// What is printed at every stop.
    Display,
    /// What this program is.
    Version,
}

/// Names, short names, and what each is about.
const TOPICS: &[(&str, &[&str], &str)] = &[
    ("tasks", &["threads", "t", "thr", "th"], "all tasks, with where they are"),
    ("cpus", &[], "the CPUs, with what they run"),
    ("breakpoints", &["b", "br"], "breakpoints and watches"),
    ("bookmarks", &["bo"], "places in history that have names"),
    ("events", &["ev"], "[all | WORD]  what happened in the run, with numbers for `goto event`"),
    ("history", &["hi"], "how far back one can go, and where the run is"),
    ("watches", &["watchpoints", "w", "wat"], "watches"),
    ("locals", &["lo"], "the selected frame's local variables"),
    ("args", &["ar"], "the selected frame's arguments"),
    ("scope", &["sc"], "all variables of the selected frame's functions"),
    ("globals", &["variables", "va"], "[PATTERN]  global variables, with their values where the pattern has no *"),
    ("functions", &["fu"], "[PATTERN]  functions"),
    ("line", &["li"], "[LOCATION]  the code of a source line"),
    ("source", &["so"], "the selected frame's source file"),
    ("symbol", &["sy"], "ADDRESS  the variable or function that lies there"),
    ("registers", &["r", "reg"], "the Wasm locals, operands and globals of the selected frame"),
    ("frame", &["f"], "the selected frame"),
    ("modules", &["sharedlibrary", "sh"], "the kernel and the user programs"),
    ("files", &["sources"], "[PATTERN]  source files"),
    ("display", &["d"], "what is printed at every stop"),
    ("version", &["ve"], "what this program is"),
];

/// The topics, a line each.
pub(super) fn topics() -> Output {
    let mut table = Table::default();
    for (name, _, about) in TOPICS {
        table.row([(format!("  info {name}"), None), ((*about).to_owned(), None)]);
    }
    table.into_output()
}

/// The names of the topics.
pub(in super::super) fn topic_names() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().map(|(name, ..)| *name)
}

fn find_topic(typed: &str) -> Result<&'static str> {
    if let Some((name, ..)) = TOPICS.iter().find(|(name, aliases, _)| *name == typed || aliases.contains(&typed)) {
        return Ok(name);
    }
    let all = || {
        TOPICS.iter().flat_map(|(name, aliases, _)| aliases.iter().map(|alias| (*alias, *name)).chain([(*name, *name)]))
    };
    let mut found: Vec<_> = all().filter(|(known, _)| known.starts_with(typed)).map(|(_, name)| name).collect();
    found.dedup();
    match found[..] {
        [name] => Ok(name),
        [] => Err(CommandError::Missing { what: "topic", name: typed.to_owned(), near: nearest(typed, topic_names()) }),
        _ => Err(CommandError::Ambiguous { name: typed.to_owned(), candidates: found }),
    }
}

impl Info {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let Some(typed) = words.word() else { return Ok(Command::Info(Info::Topics)) };
        let mut pattern = || words.rest().unwrap_or("*").to_owned();
        let topic = match find_topic(typed)? {
            "tasks" => Info::Tasks,
            "cpus" => Info::Cpus,
            "breakpoints" => Info::Breakpoints,
            "bookmarks" => Info::Bookmarks,
            "events" => Info::Events(words.rest().map(str::to_owned)),
            "history" => Info::History,
            "watches" => Info::Watches,
            "locals" => Info::Locals,
            "args" => Info::Args,
            "scope" => Info::Scope,
            "globals" => Info::Globals(pattern()),
            "functions" => Info::Functions(pattern()),
            "files" => Info::Files(pattern()),
            "line" => Info::Line(words.rest().map(LocationSpec::parse).transpose()?),
            "source" => Info::Source,
            "symbol" => Info::Symbol(words.wanted_rest("an address")?),
            "registers" => Info::Registers,
            "frame" => Info::Frame,
            "modules" => Info::Modules,
            "display" => Info::Display,
            _ => Info::Version,
        };
        words.end()?;
        Ok(Command::Info(topic))
    }

    pub(super) fn parse_tasks(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Info(Info::Tasks))
    }

    pub(super) fn parse_cpus(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Info(Info::Cpus))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let out = match self {
            Info::Topics => topics(),
            Info::Tasks => tasks(debugger, inferior)?,
            Info::Cpus => cpus(debugger, inferior)?,
            Info::Breakpoints => debugger.list_points(inferior, None),
            Info::Bookmarks => debugger.bookmark_list(),
            Info::Events(wanted) => debugger.event_list(inferior, wanted.as_deref())?,
            Info::History => debugger.history_info(inferior)?,
            Info::Watches => debugger.list_points(inferior, Some(Kind::Watch)),
            Info::Locals | Info::Args => {
                let (runner, view) = debugger.selected_frame(inferior)?;
                debugger.locals(inferior, runner, &view, self == Info::Args)?
            }
            Info::Scope => debugger.scope(inferior)?,
            Info::Globals(pattern) => debugger.globals_like(inferior, &pattern)?,
            Info::Functions(pattern) => debugger.functions_like(inferior, &pattern)?,
            Info::Files(pattern) => debugger.files_like(inferior, &pattern)?,
            Info::Line(location) => debugger.line_info(inferior, location)?,
            Info::Source => debugger.source_info(inferior)?,
            Info::Symbol(address) => debugger.symbol_info(inferior, &address)?,
            Info::Registers => debugger.registers(inferior)?,
            Info::Frame => debugger.frame_info(inferior)?,
            Info::Modules => debugger.module_list(inferior)?,
            Info::Display => debugger.all_displays(inferior),
            Info::Version => Output::from(concat!("wkdb ", env!("CARGO_PKG_VERSION"), "\n")),
        };
        Ok(Reply::say(out))
    }
}

fn tasks(debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Output> {
    let mut table = Table::new(["  Id", "Task", "Name", "CPU", "State", "Frame"]);
    let selected = debugger.selected_task(inferior).ok().map(|task| task.context.runner);
    for task in inferior.tasks()? {
        let runner = task.context.runner;
        let place = match debugger.stack(inferior, runner) {
            Ok(stack) => stack.first().map(|view| view.place()).unwrap_or_default(),
            Err(error) => format!("({error})"),
        };
        table.row([
            (format!("{} {}", if selected == Some(runner) { '*' } else { ' ' }, runner.0 + 1), None),
            (task.context.task.to_string(), Some(Style::Address)),
            (task.context.comm.clone(), Some(Style::Task)),
            (task.context.cpu.to_string(), None),
            (debugger.task_state(&task), None),
            (place, None),
        ]);
    }
    Ok(table.into_output())
}

fn cpus(debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Output> {
    let mut tasks = inferior.tasks()?;
    tasks.sort_by_key(|task| task.context.cpu);
    let mut table = Table::new(["CPU", "Runs", "State", "Frame"]);
    for task in tasks.iter().filter(|task| task.holds_cpu) {
        let place = match debugger.stack(inferior, task.context.runner) {
            Ok(stack) => stack.first().map(|view| view.place()).unwrap_or_default(),
            Err(error) => format!("({error})"),
        };
        table.row([
            (task.context.cpu.to_string(), None),
            (format!("{} ({})", task.context.comm, task.context.task), Some(Style::Task)),
            (debugger.task_state(task), None),
            (place, None),
        ]);
    }
    Ok(table.into_output())
}

//! The commands of a debugger, for whoever types them: the REPL, gdb's `monitor`, a user interface.
//!
//! ```text
//! line ─▶ Command (table, parsers) ─▶ Debugger + Inferior ─▶ Reply: text, and whether the machine runs now
//!                                          ▲
//! Notice ──────────────────────────────────┴────────────────▶ Reaction: a report, or on it goes
//! ```
//!
//! [`Debugger`] is the state of a session that does not depend on who types: symbols, breakpoints, watches, what is
//! selected, values. It holds no machine: each call is given one. It neither waits nor prints.

pub mod command;
mod complete;
mod data;
mod disassembly;
mod displays;
mod error;
mod events;
mod fields;
mod listing;
mod location;
mod look;
mod memory;
mod modules;
mod monitor;
mod notice;
pub(crate) mod output;
mod past;
mod plan;
mod plan_back;
mod points;
mod resolving;
mod selection;
mod sources;
mod stop;
mod values;
mod watching;
mod words;

use std::path::PathBuf;

use crate::inferior::{Inferior, Status};

pub use command::{Command, Leave, WhileRunning, script_lines};
pub use complete::{Candidate, Completion};
pub use error::CommandError;
pub use fields::{FieldView, Layout, Meant};
pub use location::LocationSpec;
pub use look::{FunctionText, InstructionLine, PointPlace, PointView, VariableView};
pub use monitor::Monitor;
pub use notice::{Now, Reaction};
pub use output::{Output, Style};
pub use selection::{FrameView, Selection};
pub use sources::BundledFile;

/// What a session starts with.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Directories in which source files are looked for.
    pub source_directories: Vec<PathBuf>,
    /// Directories with modules that have the symbols which the guest's lack.
    pub symbol_directories: Vec<PathBuf>,
    /// Source files that come with the program.
    pub bundled_sources: &'static [BundledFile],
}

/// The state of a debugging session.
pub struct Debugger {
    modules: modules::Modules,
    points: points::Points,
    selection: Selection,
    values: values::History,
    displays: displays::Displays,
    sources: sources::Sources,
    events: events::EventLog,
    plan: plan::Plan,
    /// The breakpoint or watch that the machine has stopped at.
    stopped_at: Option<u32>,
    /// The machine stops where it is about to run a module that has come, for breakpoints in it.
    stops_at_loads: bool,
    /// A place that is not found is waited for, whatever it is like.
    resolving_again: bool,
    listing: Option<listing::Listing>,
    examined: memory::Examined,
    bookmarks: past::Bookmarks,
    /// Memory whose past is being looked through.
    asked: Option<past::Asked>,
    /// What an empty line does.
    repeat: Option<String>,
    /// Says whether somebody wants no more of what is under way.
    give_up: GiveUp,
}

/// Says whether somebody wants what is under way to be given up.
pub type GiveUp = Box<dyn FnMut() -> bool>;

/// What a command has led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// What to print.
    pub output: Output,
    /// The machine runs now: [`Debugger::on_notice`] tells when it stops.
    pub resumed: bool,
    /// Commands to run next, each when the machine is stopped again.
    pub queued: Vec<String>,
    /// The session is to end.
    pub leave: Option<Leave>,
}

impl Reply {
    fn nothing() -> Self {
        Reply::default()
    }

    fn say(output: impl Into<Output>) -> Self {
        Reply { output: output.into(), ..Reply::default() }
    }

    fn resumed(text: impl Into<Output>) -> Self {
        Reply { resumed: true, ..Reply::say(text) }
    }
}

impl Debugger {
    /// A session that has just begun.
    pub fn new(config: Config) -> Self {
        Debugger {
            modules: modules::Modules::new(config.symbol_directories),
            points: Default::default(),
            selection: Selection::default(),
            values: values::History::default(),
            displays: Default::default(),
            sources: sources::Sources::new(config.source_directories, config.bundled_sources),
            events: Default::default(),
            plan: plan::Plan::None,
            stopped_at: None,
            stops_at_loads: false,
            resolving_again: false,
            listing: None,
            examined: Default::default(),
            bookmarks: Default::default(),
            asked: None,
            repeat: None,
            give_up: Box::new(|| false),
        }
    }

    /// Has what takes long be given up when `asked` says so: it is called again and again meanwhile, and tells of each wish
    /// once.
    pub fn give_up_when(&mut self, asked: GiveUp) {
        self.give_up = asked;
    }

    /// Runs a command line. An empty one does a step, `continue`, `x`, `list`, `up` or `down` again.
    ///
    /// # Errors
    /// The command makes no sense, or cannot be done; nothing has changed then.
    pub fn run(&mut self, inferior: &mut dyn Inferior, line: &str) -> Result<Reply, CommandError> {
        let line = line.trim();
        if line.starts_with('#') {
            return Ok(Reply::nothing());
        }
        let line = match (line, &self.repeat) {
            ("", None) => return Ok(Reply::nothing()),
            ("", Some(repeat)) => repeat.clone(),
            _ => line.to_owned(),
        };
        self.repeat = None;
        let command = Command::parse(&line)?;
        let reply = self.run_command(inferior, command)?;
        let (name, format, _) = command::table::split(&line);
        if let Ok(entry) = command::find(name)
            && entry.repeats()
        {
            // What continues goes on where it ended, not at its argument.
            self.repeat = Some(match entry.name {
                "list" => "list".to_owned(),
                "x" if format.is_empty() => "x".to_owned(),
                "x" => format!("x/{format}"),
                _ => line,
            });
        }
        Ok(reply)
    }

    /// What has to be done about a machine that runs before a command line is run; of one that makes no sense nothing.
    pub fn while_running(&self, line: &str) -> WhileRunning {
        let line = match (line.trim(), &self.repeat) {
            ("", Some(repeat)) => repeat,
            (line, _) => line,
        };
        Command::parse(line).map_or(WhileRunning::Nothing, |command| command.while_running())
    }

    /// Whether a command line looks through the past before it answers.
    pub fn explains(&self, line: &str) -> bool {
        matches!(Command::parse(line.trim()), Ok(Command::Explain(_)))
    }

    /// Runs a command.
    ///
    /// # Errors
    /// It cannot be done; nothing has changed then.
    pub fn run_command(&mut self, inferior: &mut dyn Inferior, command: Command) -> Result<Reply, CommandError> {
        if matches!(inferior.status(), Status::Running) && command.needs_stopped() {
            return Err(CommandError::refused("the machine is running: `interrupt` it first"));
        }
        command.run(self, inferior)
    }

    /// What is looked at.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }
}

#[cfg(test)]
pub(crate) mod tests;

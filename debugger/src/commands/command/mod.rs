//! The commands: a closed enum, a table of names, and a file for each with its arguments, its parser and what it does.

mod backtrace;
mod breakpoint;
mod condition;
mod delete;
mod disassemble;
mod display;
mod examine;
mod explain;
mod finish;
mod frame;
mod go;
pub(super) mod goto;
mod help;
pub(super) mod info;
pub(super) mod kernel;
mod leave;
mod list;
mod log;
mod moment;
mod print;
mod source;
mod step;
pub(super) mod table;
mod task;
mod type_in;
mod watch;
mod writes;

use super::error::Result;
use super::words::Words;
use super::{Debugger, Reply};
use crate::inferior::{Direction, Inferior};

pub use backtrace::Backtrace;
pub use breakpoint::Break;
pub use condition::{Condition, Ignore};
pub use delete::{Delete, Enable};
pub use disassemble::Disassemble;
pub use display::Display;
pub use examine::Examine;
pub use explain::Explain;
pub use finish::{Finish, Until};
pub use frame::Frame;
pub use go::{Continue, Interrupt, RunTo};
pub use goto::{Bookmark, Checkpoints, Goto};
pub use help::Help;
pub use info::Info;
pub use kernel::Kernel;
pub use leave::Leave;
pub use list::List;
pub use log::Log;
pub use moment::Moment;
pub use print::{Print, SetValue, Types};
pub use source::{Directory, Source, script_lines};
pub use step::{Step, StepUnit};
pub use task::Task;
pub use type_in::{Echo, TypeIn};
pub use watch::{Watch, WatchOptions};
pub use writes::{WhoWrote, WriteHistory};

pub(super) use table::find;

/// A command with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is documented where its arguments are")]
pub enum Command {
    Advance(Until),
    Backtrace(Backtrace),
    Bookmark(Bookmark),
    Break(Break),
    Checkpoints(Checkpoints),
    Condition(Condition),
    Continue(Continue),
    Delete(Delete),
    Directory(Directory),
    Disassemble(Disassemble),
    Display(Display),
    Echo(Echo),
    Enable(Enable),
    Examine(Examine),
    Explain(Explain),
    Finish(Finish),
    Frame(Frame),
    Goto(Goto),
    Help(Help),
    Ignore(Ignore),
    Info(Info),
    Interrupt(Interrupt),
    Kernel(Kernel),
    Leave(Leave),
    List(List),
    Log(Log),
    Moment(Moment),
    Print(Print),
    RunTo(RunTo),
    Set(SetValue),
    Source(Source),
    Step(Step),
    Task(Task),
    TypeIn(TypeIn),
    Types(Types),
    Until(Until),
    Watch(Watch),
    WhoWrote(WhoWrote),
    WriteHistory(WriteHistory),
}

/// What has to be done about a machine that runs, so that a command can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileRunning {
    /// Nothing.
    Nothing,
    /// It is stopped for it, and goes on: a breakpoint is set.
    Pause,
    /// It is stopped: the command goes back in time.
    Stop,
    /// It makes no sense: the machine runs already.
    Never,
}

impl Command {
    /// Reads a command line.
    ///
    /// # Errors
    /// There is no such command, several are meant, or its arguments make no sense.
    pub fn parse(line: &str) -> Result<Command> {
        let (name, format, rest) = table::split(line);
        if name.is_empty() {
            // What stands there instead of a name: `*p`.
            find(line.trim())?;
        }
        let entry = find(name)?;
        let mut words = Words::new(entry.name, format, rest);
        if words.format().is_some() && !matches!(entry.name, "print" | "x" | "display" | "backtrace" | "disassemble") {
            return Err(words.wrong(format!("/{format} is not for {}", entry.name)));
        }
        (entry.parse)(&mut words)
    }

    /// Whether it lets the machine run.
    pub fn resumes(&self) -> bool {
        use Command::{Advance, Continue, Finish, Goto, RunTo, Step, Until};
        self.searches()
            || matches!(self, Continue(_) | Step(_) | Finish(_) | Until(_) | Advance(_) | RunTo(_) | Goto(_))
            || matches!(self, Command::WhoWrote(WhoWrote { go: true, .. }))
    }

    /// Whether it looks through the past: the machine is stopped where it was before when that is done.
    pub fn searches(&self) -> bool {
        matches!(self, Command::WhoWrote(WhoWrote { go: false, .. }) | Command::WriteHistory(_))
    }

    /// Whether it cannot be done while the machine runs.
    pub(super) fn needs_stopped(&self) -> bool {
        use Command::{Break, Delete, Display, Enable, Explain, Set, Watch};
        self.resumes() || matches!(self, Break(_) | Delete(_) | Enable(_) | Set(_) | Watch(_) | Display(_) | Explain(_))
    }

    /// What has to be done about a machine that runs, to do this.
    pub(super) fn while_running(&self) -> WhileRunning {
        let back = match self {
            Command::Continue(command) => command.direction == Direction::Backward,
            Command::Step(command) => command.direction == Direction::Backward,
            Command::Finish(Finish(direction)) => *direction == Direction::Backward,
            Command::Explain(_) | Command::Goto(_) | Command::WhoWrote(_) | Command::WriteHistory(_) => true,
            _ => false,
        };
        match () {
            () if back => WhileRunning::Stop,
            () if self.resumes() => WhileRunning::Never,
            () if self.needs_stopped() => WhileRunning::Pause,
            () => WhileRunning::Nothing,
        }
    }

    /// Does it.
    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        match self {
            Command::Backtrace(command) => command.run(debugger, inferior),
            Command::Bookmark(command) => command.run(debugger, inferior),
            Command::Break(command) => command.run(debugger, inferior),
            Command::Checkpoints(command) => command.run(debugger, inferior),
            Command::Condition(command) => command.run(debugger, inferior),
            Command::Continue(command) => command.run(debugger, inferior),
            Command::Delete(command) => command.run(debugger, inferior),
            Command::Directory(command) => command.run(debugger),
            Command::Disassemble(command) => command.run(debugger, inferior),
            Command::Display(command) => command.run(debugger, inferior),
            Command::Echo(command) => command.run(),
            Command::Enable(command) => command.run(debugger, inferior),
            Command::Examine(command) => command.run(debugger, inferior),
            Command::Explain(command) => command.run(debugger, inferior),
            Command::Finish(command) => command.run(debugger, inferior),
            Command::Frame(command) => command.run(debugger, inferior),
            Command::Goto(command) => command.run(debugger, inferior),
            Command::Help(command) => command.run(),
            Command::Ignore(command) => command.run(debugger),
            Command::Info(command) => command.run(debugger, inferior),
            Command::Interrupt(command) => command.run(inferior),
            Command::Kernel(command) => command.run(debugger, inferior),
            Command::Leave(command) => command.run(),
            Command::List(command) => command.run(debugger, inferior),
            Command::Log(command) => command.run(debugger),
            Command::Moment(command) => command.run(debugger, inferior),
            Command::Print(command) => command.run(debugger, inferior),
            Command::RunTo(command) => command.run(debugger, inferior),
            Command::Set(command) => command.run(debugger, inferior),
            Command::Source(command) => command.run(),
            Command::Step(command) => command.run(debugger, inferior),
            Command::Task(command) => command.run(debugger, inferior),
            Command::TypeIn(command) => command.run(inferior),
            Command::Types(command) => command.run(debugger, inferior),
            Command::Advance(command) | Command::Until(command) => command.run(debugger, inferior),
            Command::Watch(command) => command.run(debugger, inferior),
            Command::WhoWrote(command) => command.run(debugger, inferior),
            Command::WriteHistory(command) => command.run(debugger, inferior),
        }
    }
}

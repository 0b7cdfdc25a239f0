//! `log`.

use super::super::error::Result;
use super::super::output::Output;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;

/// Print the last events of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log(pub usize);

impl Log {
    /// So many unless told otherwise.
    const COUNT: usize = 20;

    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let count = words.number("a count")?.unwrap_or(Self::COUNT);
        words.end()?;
        Ok(Command::Log(Log(count)))
    }

    pub(super) fn run(self, debugger: &mut Debugger) -> Result<Reply> {
        let mut out = Output::new();
        for text in debugger.events.last(self.0) {
            out.line(text);
        }
        if out.is_empty() {
            out.line("nothing has happened yet that a log would show");
        }
        Ok(Reply::say(out))
    }
}

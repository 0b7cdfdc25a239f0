//! `quit`, `detach`, `kill`.

use super::super::Reply;
use super::super::error::Result;
use super::super::words::Words;
use super::Command;

/// How a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The debugger goes; what started it decides about the guest.
    Quit,
    /// The guest runs on.
    Detach,
    /// The run ends.
    Kill,
}

impl Leave {
    pub(super) fn parse_quit(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Leave(Leave::Quit))
    }

    pub(super) fn parse_detach(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Leave(Leave::Detach))
    }

    pub(super) fn parse_kill(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Leave(Leave::Kill))
    }

    pub(super) fn run(self) -> Result<Reply> {
        Ok(Reply { leave: Some(self), ..Reply::nothing() })
    }
}

//! `frame`, `up`, `down`.

use super::super::error::{CommandError, Result};
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Select a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The one that is selected: only print it.
    Same,
    /// By its number in the backtrace.
    Number(usize),
    /// So many callers out.
    Up(usize),
    /// So many calls in.
    Down(usize),
}

impl Frame {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let number = words.number("a frame")?;
        words.end()?;
        Ok(Command::Frame(number.map_or(Frame::Same, Frame::Number)))
    }

    pub(super) fn parse_up(words: &mut Words) -> Result<Command> {
        let count = words.number("a count")?.unwrap_or(1);
        words.end()?;
        Ok(Command::Frame(Frame::Up(count)))
    }

    pub(super) fn parse_down(words: &mut Words) -> Result<Command> {
        let count = words.number("a count")?.unwrap_or(1);
        words.end()?;
        Ok(Command::Frame(Frame::Down(count)))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let runner = debugger.selected_task(inferior)?.context.runner;
        let stack = debugger.stack(inferior, runner)?;
        let now = debugger.selection.frame;
        let outermost =
            stack.len().checked_sub(1).ok_or_else(|| CommandError::refused("no guest code on the stack"))?;
        let wanted = match self {
            Frame::Same => now,
            Frame::Number(number) if number > outermost => return Err(CommandError::missing("frame", number)),
            Frame::Number(number) => number,
            // As gdb: as far as there are frames, unless there is none at all in that direction.
            Frame::Up(_) if now >= outermost => return Err(CommandError::refused("this is the outermost frame")),
            Frame::Up(count) => now.saturating_add(count).min(outermost),
            Frame::Down(_) if now == 0 => return Err(CommandError::refused("this is the innermost frame")),
            Frame::Down(count) => now.saturating_sub(count),
        };
        debugger.selection.frame = wanted.min(outermost);
        Ok(Reply::say(debugger.describe_selected(inferior)?))
    }
}

//! `goto`, `bookmark`, `checkpoints`: moving about in history.

use super::super::error::{CommandError, Result};
use super::super::words::{Words, parse_number};
use super::super::{Debugger, Reply};
use super::Command;
use super::go::{RunTo, guest_time};
use crate::inferior::Inferior;

/// Go to a moment of the run's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Goto {
    /// A tick or a time.
    Moment(RunTo),
    /// Something that happened, by its number in `info events`.
    Event(usize),
    /// Where history begins.
    Start,
    /// The end of a recording; of a live run, the present.
    End,
    /// As far as the run has come.
    Present,
    /// A bookmark.
    Bookmark(String),
}

impl Goto {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let text = words
            .word()
            .ok_or_else(|| words.wrong("where to? A tick, a time, `event N`, start, end, or a bookmark"))?;
        let goal = match text {
            "start" => Goto::Start,
            "end" => Goto::End,
            "present" => Goto::Present,
            "event" => {
                let number = words.number("an event")?;
                Goto::Event(number.ok_or_else(|| words.wrong("which event? `info events` lists them"))?)
            }
            "bookmark" => {
                let name = words.word().ok_or_else(|| words.wrong("which bookmark? `info bookmarks` lists them"))?;
                Goto::Bookmark(name.to_owned())
            }
            "tick" => {
                let tick = words.number("a tick")?.ok_or_else(|| words.wrong("which tick?"))?;
                Goto::Moment(RunTo::Tick(wkdb_tracer::Tick(tick)))
            }
            text => match (parse_number(text), guest_time(text)) {
                (Some(tick), _) => Goto::Moment(RunTo::Tick(wkdb_tracer::Tick(tick))),
                (None, Some(time)) => Goto::Moment(RunTo::Time(time)),
                (None, None) => Goto::Bookmark(text.to_owned()),
            },
        };
        words.end()?;
        Ok(Command::Goto(goal))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        debugger.go_to(inferior, self)?;
        Ok(Reply::resumed(String::new()))
    }
}

/// Keep a place in history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bookmark {
    /// Under this name, or a number.
    Set(Option<String>),
    /// Forget it.
    Delete(String),
}

impl Bookmark {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        if words.take("--delete") || words.take("-d") {
            let name = words.word().ok_or_else(|| words.wrong("which bookmark? `info bookmarks` lists them"))?;
            words.end()?;
            return Ok(Command::Bookmark(Bookmark::Delete(name.to_owned())));
        }
        let name = words.word().map(str::to_owned);
        words.end()?;
        if let Some(name) = &name
            && (matches!(name.as_str(), "start" | "end" | "present" | "event" | "bookmark" | "tick")
                || name.starts_with('-'))
        {
            return Err(words.wrong(format!("{name} means something else to `goto`: take another name")));
        }
        Ok(Command::Bookmark(Bookmark::Set(name)))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        match self {
            Bookmark::Set(name) => Ok(Reply::say(debugger.set_bookmark(inferior, name)?)),
            Bookmark::Delete(name) => {
                debugger.delete_bookmark(&name)?;
                Ok(Reply::nothing())
            }
        }
    }
}

/// Tell of the copies of the run that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoints;

impl Checkpoints {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Checkpoints(Checkpoints))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        Ok(Reply::say(debugger.checkpoint_list(inferior)?))
    }
}

/// What every command that needs a history says where there is none.
pub(in super::super) fn no_history() -> CommandError {
    CommandError::refused(
        "this run keeps no history to go back in: start it without --no-history; or record it (`wkdb run --record FILE`) \
         and open the recording (`wkdb debug FILE`)",
    )
}

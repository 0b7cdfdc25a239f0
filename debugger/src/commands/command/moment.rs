//! `tick`, `time`.

use super::super::error::Result;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Tell when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// In ticks.
    Tick,
    /// By the guest's clock.
    Time,
}

impl Moment {
    pub(super) fn parse_tick(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Moment(Moment::Tick))
    }

    pub(super) fn parse_time(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Moment(Moment::Time))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let (tick, time) = debugger.moment(inferior)?;
        Ok(Reply::say(match self {
            Moment::Tick => format!("tick {tick}\n"),
            Moment::Time => format!("time {time}\n"),
        }))
    }
}

//! `finish`, `until`, `advance`.

use super::super::error::Result;
use super::super::location::LocationSpec;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::{Direction, Inferior};

/// Run until the selected frame has returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finish(pub Direction);

impl Finish {
    pub(super) fn parse_forward(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Finish(Finish(Direction::Forward)))
    }

    pub(super) fn parse_backward(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Finish(Finish(Direction::Backward)))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let (plan, text) = debugger.finish_plan(inferior, self.0)?;
        debugger.resume(inferior, plan)?;
        Ok(Reply::resumed(text))
    }
}

/// Run to a location, or until the frame returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Until(pub Option<LocationSpec>);

impl Until {
    pub(super) fn parse_until(words: &mut Words) -> Result<Command> {
        Ok(Command::Until(Until(words.rest().map(LocationSpec::parse).transpose()?)))
    }

    pub(super) fn parse_advance(words: &mut Words) -> Result<Command> {
        let location = words.wanted_rest("a location")?;
        Ok(Command::Advance(Until(Some(LocationSpec::parse(&location)?))))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let plan = match self.0 {
            Some(spec) => debugger.advance_plan(inferior, spec)?,
            None => debugger.until_plan(inferior)?,
        };
        debugger.resume(inferior, plan)?;
        Ok(Reply::resumed(String::new()))
    }
}

//! `delete`, `enable`, `disable`.

use super::super::error::Result;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Take breakpoints and watches away; all without numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete(pub Vec<u32>);

impl Delete {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        // gdb's `delete breakpoints 3`.
        let _ = words.take("breakpoints") || words.take("watches");
        Ok(Command::Delete(Delete(words.numbers("a breakpoint")?)))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        for number in debugger.points.chosen(&self.0)? {
            debugger.delete_point(inferior, number)?;
        }
        Ok(Reply::nothing())
    }
}

/// Let breakpoints and watches stop, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enable {
    /// Which; all if there are none.
    pub numbers: Vec<u32>,
    /// Whether they stop from now on.
    pub on: bool,
}

impl Enable {
    pub(super) fn parse_on(words: &mut Words) -> Result<Command> {
        Self::parse_as(words, true)
    }

    pub(super) fn parse_off(words: &mut Words) -> Result<Command> {
        Self::parse_as(words, false)
    }

    fn parse_as(words: &mut Words, on: bool) -> Result<Command> {
        let _ = words.take("breakpoints") || words.take("watches");
        Ok(Command::Enable(Enable { numbers: words.numbers("a breakpoint")?, on }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        for number in debugger.points.chosen(&self.numbers)? {
            debugger.enable_point(inferior, number, self.on)?;
        }
        Ok(Reply::nothing())
    }
}

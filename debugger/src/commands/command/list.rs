//! `list`.

use super::super::error::Result;
use super::super::location::LocationSpec;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Print source lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// Around the selected frame's line; after that, those that follow the last ones.
    More,
    /// Those before the last ones.
    Before,
    /// Around a place.
    Around(LocationSpec),
    /// From a line to another one, of the current file.
    Range(u32, u32),
}

impl List {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let Some(text) = words.rest() else { return Ok(Command::List(List::More)) };
        if text == "-" {
            return Ok(Command::List(List::Before));
        }
        if let Some((first, last)) = text.split_once(',') {
            let (first, last) = (words.as_number(first.trim(), "a line")?, words.as_number(last.trim(), "a line")?);
            return Ok(Command::List(List::Range(first, last)));
        }
        Ok(Command::List(List::Around(LocationSpec::parse(text)?)))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        Ok(Reply::say(debugger.list(inferior, self)?))
    }
}

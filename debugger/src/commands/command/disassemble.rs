//! `disassemble`.

use super::super::error::Result;
use super::super::location::LocationSpec;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Print the instructions of a function; of the selected frame's without a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disassemble(pub Option<LocationSpec>);

impl Disassemble {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        Ok(Command::Disassemble(Disassemble(words.rest().map(LocationSpec::parse).transpose()?)))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        Ok(Reply::say(debugger.disassembly(inferior, self.0)?))
    }
}

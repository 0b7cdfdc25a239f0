//! `explain`: from what went wrong back to who did it.

use super::super::error::{CommandError, Result};
use super::super::output::Output;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Explain what went wrong in the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explain {
    /// As a line of JSON.
    pub json: bool,
}

impl Explain {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let mut json = false;
        while let Some(word) = words.word() {
            match word {
                "--json" => json = true,
                other => return Err(words.wrong(format!("{other:?} is too much"))),
            }
        }
        Ok(Command::Explain(Explain { json }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let explanation = debugger.explain(inferior)?;
        Ok(Reply::say(match self.json {
            true => {
                let line = serde_json::to_string(&explanation);
                Output::from(line.map_err(|error| CommandError::refused(error.to_string()))? + "\n")
            }
            false => explanation.text(),
        }))
    }
}

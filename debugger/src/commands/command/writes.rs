//! `who-wrote`, `history`: writes in the past, with nothing set up beforehand.

use super::super::error::Result;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::{Inferior, Writes};

/// Find the last write into memory before now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhoWrote {
    /// What was written, with or without a length.
    pub what: String,
    /// Go there.
    pub go: bool,
}

impl WhoWrote {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let mut go = false;
        let mut what = Vec::new();
        while let Some(word) = words.word() {
            match word {
                "--go" => go = true,
                option if option.starts_with("--") => return Err(words.wrong(format!("there is no option {option}"))),
                part => what.push(part),
            }
        }
        if what.is_empty() {
            return Err(words.wrong("who wrote what? Give a variable, a member, or an address"));
        }
        Ok(Command::WhoWrote(WhoWrote { what: what.join(" "), go }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        debugger.look_for_writes(inferior, &self.what, Writes::Last, self.go)?;
        Ok(Reply::resumed(String::new()))
    }
}

/// List the writes into memory before now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteHistory {
    /// What was written, with or without a length.
    pub what: String,
    /// So many are told, the last ones.
    pub most: usize,
}

impl WriteHistory {
    /// So many unless told otherwise.
    const MOST: usize = 20;

    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let mut most = Self::MOST;
        let mut what = Vec::new();
        while let Some(word) = words.word() {
            match word {
                "--max" => {
                    let number = words.number("how many are shown")?;
                    most = number.ok_or_else(|| words.wrong("a number must follow --max"))?;
                }
                option if option.starts_with("--") => return Err(words.wrong(format!("there is no option {option}"))),
                part => what.push(part),
            }
        }
        if what.is_empty() {
            return Err(words.wrong("the history of what? Give a variable, a member, or an address"));
        }
        Ok(Command::WriteHistory(WriteHistory { what: what.join(" "), most }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        debugger.look_for_writes(inferior, &self.what, Writes::All { most: self.most }, false)?;
        Ok(Reply::resumed(String::new()))
    }
}

//! `x`.

use super::super::error::Result;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Print memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examine {
    /// How many units.
    pub count: u64,
    /// How a unit is printed; the last one's if none.
    pub format: Option<char>,
    /// Bytes of a unit; the last one's if none.
    pub size: Option<u64>,
    /// Where; behind the last one if none.
    pub address: Option<String>,
}

impl Examine {
    /// Units that are printed at most.
    const MOST: u64 = 65_536;

    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let mut examine = Examine { count: 1, format: None, size: None, address: None };
        let mut format = words.format().unwrap_or("");
        let digits = format.find(|c: char| !c.is_ascii_digit()).unwrap_or(format.len());
        if digits > 0 {
            let count = words.as_number(&format[..digits], "a count")?;
            if !(1..=Self::MOST).contains(&count) {
                return Err(words.wrong(format!("a count is from 1 to {}", Self::MOST)));
            }
            examine.count = count;
            format = &format[digits..];
        }
        for letter in format.chars() {
            match letter {
                'b' => examine.size = Some(1),
                'h' => examine.size = Some(2),
                'w' => examine.size = Some(4),
                'g' => examine.size = Some(8),
                'x' | 'd' | 'u' | 'o' | 't' | 'c' | 'a' | 'f' | 's' | 'i' => examine.format = Some(letter),
                other => {
                    return Err(words
                        .wrong(format!("{other:?} is neither a format (x d u o t c a f s i) nor a size (b h w g)")));
                }
            }
        }
        examine.address = words.rest().map(str::to_owned);
        Ok(Command::Examine(examine))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        Ok(Reply::say(debugger.examine(inferior, self)?))
    }
}

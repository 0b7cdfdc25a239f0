//! `display`, `undisplay`.

use super::super::displays::Shown;
use super::super::error::{CommandError, Result};
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use super::print::format_letter;
use crate::inferior::Inferior;

/// Print an expression at every stop, or not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Display {
    /// All of them, now.
    All,
    /// This one from now on.
    Add {
        /// How.
        format: Option<char>,
        /// What.
        expression: String,
    },
    /// These not any more; none of them if there are no numbers.
    Remove(Vec<u32>),
}

impl Display {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let format = format_letter(words)?;
        Ok(Command::Display(match words.rest() {
            Some(expression) => Display::Add { format, expression: expression.to_owned() },
            None => Display::All,
        }))
    }

    pub(super) fn parse_undisplay(words: &mut Words) -> Result<Command> {
        Ok(Command::Display(Display::Remove(words.numbers("a display")?)))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        match self {
            Display::All => Ok(Reply::say(debugger.all_displays(inferior))),
            Display::Add { format, expression } => {
                // What cannot be evaluated now is refused: it would be a typing mistake most of the time.
                debugger.evaluate(inferior, &expression)?;
                let shown = Shown { number: debugger.displays.next_number(), format, expression };
                let text = debugger.display(inferior, &shown);
                debugger.displays.add(shown);
                Ok(Reply::say(text))
            }
            Display::Remove(numbers) => match debugger.displays.remove(&numbers) {
                Ok(()) => Ok(Reply::nothing()),
                Err(number) => Err(CommandError::missing("display", number)),
            },
        }
    }
}

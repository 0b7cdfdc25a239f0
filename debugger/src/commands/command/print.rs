//! `print`, `set`, `ptype`, `whatis`.

use super::super::error::{CommandError, Result};
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Print the value of an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Print {
    /// How.
    pub format: Option<char>,
    /// What; none means the last value again.
    pub expression: Option<String>,
}

impl Print {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let format = format_letter(words)?;
        Ok(Command::Print(Print { format, expression: words.rest().map(str::to_owned) }))
    }

    pub(super) fn parse_call(words: &mut Words) -> Result<Command> {
        let expression = words.wanted_rest("an expression")?;
        Ok(Command::Print(Print { format: None, expression: Some(expression) }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let value = match &self.expression {
            Some(expression) => debugger.evaluate(inferior, expression)?,
            None => debugger.values.last().ok_or_else(|| CommandError::refused("no value has been printed yet"))?,
        };
        let text = debugger.format(inferior, &value, self.format)?;
        let name = debugger.values.keep(value);
        Ok(Reply::say(format!("{name} = {text}\n")))
    }
}

/// The one letter that may follow `/`.
pub(super) fn format_letter(words: &Words) -> Result<Option<char>> {
    let Some(format) = words.format() else { return Ok(None) };
    let mut letters = format.chars();
    match (letters.next(), letters.next()) {
        (Some(letter @ ('x' | 'd' | 'u' | 'o' | 't' | 'c' | 'a' | 'f' | 's')), None) => Ok(Some(letter)),
        _ => Err(words.wrong(format!("/{format} is no format: use one of x d u o t c a f s"))),
    }
}

/// Change a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetValue(pub String);

impl SetValue {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let _ = words.take("var") || words.take("variable");
        let expression = words.wanted_rest("what to set, as in `set var x = 1`,")?;
        if !expression.contains('=') {
            return Err(words.wrong("use `set var LVALUE = EXPR` or `set $NAME = EXPR`"));
        }
        Ok(Command::Set(SetValue(expression)))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        debugger.assign(inferior, &self.0)?;
        Ok(Reply::nothing())
    }
}

/// Tell of types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Types {
    /// The name of a type, or an expression.
    pub of: String,
    /// With its members.
    pub definition: bool,
}

impl Types {
    pub(super) fn parse_ptype(words: &mut Words) -> Result<Command> {
        Ok(Command::Types(Types { of: words.wanted_rest("a type or an expression")?, definition: true }))
    }

    pub(super) fn parse_whatis(words: &mut Words) -> Result<Command> {
        Ok(Command::Types(Types { of: words.wanted_rest("a type or an expression")?, definition: false }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let text = debugger.type_text(inferior, &self.of, self.definition)?;
        Ok(Reply::say(format!("type = {text}\n")))
    }
}

//! `condition`, `ignore`.

use super::super::error::Result;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Give a breakpoint or watch a condition, or take it away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which.
    pub number: u32,
    /// It stops only if this is not zero.
    pub condition: Option<String>,
}

impl Condition {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let number = words.number("a breakpoint")?.ok_or_else(|| words.wrong("which breakpoint?"))?;
        Ok(Command::Condition(Condition { number, condition: words.rest().map(str::to_owned) }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        if let Some(condition) = &self.condition {
            debugger.check_expression(inferior, condition)?;
        }
        let point = debugger.points.get_mut(self.number)?;
        let text = match &self.condition {
            Some(_) => String::new(),
            None => format!("{} {} stops always from now on\n", point.kind_name(), point.number),
        };
        debugger.set_condition(inferior, self.number, self.condition)?;
        Ok(Reply::say(text))
    }
}

/// Pass a breakpoint or watch some times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    /// Which.
    pub number: u32,
    /// How many times.
    pub count: u64,
}

impl Ignore {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let number = words.number("a breakpoint")?.ok_or_else(|| words.wrong("which breakpoint?"))?;
        let count = words.number("a count")?.ok_or_else(|| words.wrong("how many times?"))?;
        words.end()?;
        Ok(Command::Ignore(Ignore { number, count }))
    }

    pub(super) fn run(self, debugger: &mut Debugger) -> Result<Reply> {
        let point = debugger.points.get_mut(self.number)?;
        point.ignore = self.count;
        let (kind, number) = (point.kind_name(), point.number);
        Ok(Reply::say(match self.count {
            0 => format!("{kind} {number} stops the next time\n"),
            1 => format!("{kind} {number} is passed once\n"),
            count => format!("{kind} {number} is passed {count} times\n"),
        }))
    }
}

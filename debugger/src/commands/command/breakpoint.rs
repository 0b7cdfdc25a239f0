//! `break`, `tbreak`.

use super::super::error::Result;
use super::super::location::{LocationSpec, split_at_word};
use super::super::points::{BreakDetails, Details};
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Stop before a place in the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// Where; none means at the selected frame's next instruction.
    pub location: Option<LocationSpec>,
    /// Only this task.
    pub task: Option<String>,
    /// Only if this expression is not zero.
    pub condition: Option<String>,
    /// Only once.
    pub temporary: bool,
}

impl Break {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        Self::parse_as(words, false)
    }

    pub(super) fn parse_temporary(words: &mut Words) -> Result<Command> {
        Self::parse_as(words, true)
    }

    fn parse_as(words: &mut Words, temporary: bool) -> Result<Command> {
        let (place, condition) = split_at_word(words.rest().unwrap_or(""), "if");
        if condition == Some("") {
            return Err(words.wrong("a condition must follow `if`"));
        }
        let (place, task) = match split_at_word(place, "task") {
            (place, None) => split_at_word(place, "thread"),
            split => split,
        };
        if task == Some("") {
            return Err(words.wrong("a task must follow: its number, its name, or its address"));
        }
        let location = Some(place).filter(|place| !place.is_empty()).map(LocationSpec::parse).transpose()?;
        let (task, condition) = (task.map(str::to_owned), condition.map(str::to_owned));
        Ok(Command::Break(Break { location, task, condition, temporary }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let only = match &self.task {
            Some(task) => Some(debugger.find_task(inferior, task)?.context.runner),
            None => None,
        };
        if let Some(condition) = &self.condition {
            debugger.check_expression(inferior, condition)?;
        }
        let spec = match self.location {
            Some(spec) => debugger.absolute(inferior, spec)?,
            None => debugger.here(inferior)?,
        };
        let places = debugger.resolve(inferior, &spec)?;
        let details = Details::Break(BreakDetails { spec, only, places: Vec::new() });
        let number = debugger.add_point(inferior, details, self.condition, self.temporary, places)?;
        Ok(Reply::say(debugger.describe_new_point(inferior, number)))
    }
}

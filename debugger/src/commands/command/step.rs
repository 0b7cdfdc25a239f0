//! `step`, `next`, `stepi`, `nexti` and their reverse.

use super::super::error::Result;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::{Direction, Inferior};

/// Run a little of the selected task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What is counted.
    pub unit: StepUnit,
    /// Whether functions that are called run through.
    pub over: bool,
    /// How many.
    pub count: u64,
    /// Which way.
    pub direction: Direction,
}

/// What a step is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepUnit {
    /// To another source line.
    Line,
    /// One Wasm instruction.
    Instruction,
}

macro_rules! parsers {
    ($($name:ident: $unit:ident, $over:literal, $direction:ident;)*) => {
        $(pub(super) fn $name(words: &mut Words) -> Result<Command> {
            Self::parse_as(words, StepUnit::$unit, $over, Direction::$direction)
        })*
    };
}

impl Step {
    parsers! {
        parse_step: Line, false, Forward;
        parse_next: Line, true, Forward;
        parse_stepi: Instruction, false, Forward;
        parse_nexti: Instruction, true, Forward;
        parse_reverse_step: Line, false, Backward;
        parse_reverse_next: Line, true, Backward;
        parse_reverse_stepi: Instruction, false, Backward;
        parse_reverse_nexti: Instruction, true, Backward;
    }

    fn parse_as(words: &mut Words, unit: StepUnit, over: bool, direction: Direction) -> Result<Command> {
        let count = words.number("a count")?.unwrap_or(1);
        words.end()?;
        if count == 0 {
            return Err(words.wrong("a count of 0 does nothing"));
        }
        Ok(Command::Step(Step { unit, over, count, direction }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let plan = debugger.step_plan(inferior, &self)?;
        debugger.resume(inferior, plan)?;
        Ok(Reply::resumed(String::new()))
    }
}

//! `continue`, `run-to`, `interrupt` and their reverse.

use wkdb_tracer::{GuestTime, Tick};

use super::super::error::{CommandError, Result};
use super::super::plan::Plan;
use super::super::words::{Words, parse_number};
use super::super::{Debugger, Reply};
use super::{Command, Goto};
use crate::inferior::{Direction, Inferior};

/// Let the machine run to the next stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continue {
    /// Which of the stops at the breakpoint that it is stopped at.
    pub count: u64,
    /// Which way.
    pub direction: Direction,
}

impl Continue {
    pub(super) fn parse_forward(words: &mut Words) -> Result<Command> {
        Self::parse_as(words, Direction::Forward)
    }

    pub(super) fn parse_backward(words: &mut Words) -> Result<Command> {
        Self::parse_as(words, Direction::Backward)
    }

    fn parse_as(words: &mut Words, direction: Direction) -> Result<Command> {
        let count = words.number("a count")?.unwrap_or(1);
        words.end()?;
        Ok(Command::Continue(Continue { count, direction }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let text = debugger.ignore_here(self.count.saturating_sub(1));
        debugger.resume(inferior, Plan::Go(self.direction))?;
        Ok(Reply::resumed(text))
    }
}

/// Run to a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunTo {
    /// A position of the machine.
    Tick(Tick),
    /// A time of the guest's clock.
    Time(GuestTime),
}

impl RunTo {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let text = words.word().ok_or_else(|| words.wrong("to which tick or time?"))?;
        words.end()?;
        if let Some(tick) = parse_number(text) {
            return Ok(Command::RunTo(RunTo::Tick(Tick(tick))));
        }
        let time = guest_time(text).ok_or_else(|| {
            words.wrong(format!("{text:?} is neither a tick (759840) nor a time with its unit (2.5s, 300ms)"))
        })?;
        Ok(Command::RunTo(RunTo::Time(time)))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let (tick, time) = debugger.moment(inferior)?;
        let past = match self {
            RunTo::Tick(wanted) => wanted <= tick,
            RunTo::Time(wanted) => wanted <= time,
        };
        if !past {
            debugger.resume(inferior, Plan::To(self))?;
        } else if inferior.has_history() {
            debugger.go_to(inferior, Goto::Moment(self))?;
        } else {
            return Err(CommandError::refused(format!(
                "the machine is past it, at tick {tick} and time {time}, and has no history to go back in: start again"
            )));
        }
        Ok(Reply::resumed(String::new()))
    }
}

/// A time with its unit: `2.5s`.
pub(super) fn guest_time(text: &str) -> Option<GuestTime> {
    const UNITS: [(&str, u64); 6] = [
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let number_end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(number_end);
    let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole: u128 = whole.parse().ok()?;
    let mut ns = whole.checked_mul(u128::from(scale))?;
    if !part.is_empty() {
        let digits: u128 = part.parse().ok()?;
        let denominator = 10u128.checked_pow(u32::try_from(part.len()).ok()?)?;
        ns = ns.checked_add(digits.checked_mul(u128::from(scale))? / denominator)?;
    }
    u64::try_from(ns).ok().map(GuestTime)
}

/// Stop the running machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interrupt;

impl Interrupt {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        words.end()?;
        Ok(Command::Interrupt(Interrupt))
    }

    pub(super) fn run(self, inferior: &mut dyn Inferior) -> Result<Reply> {
        inferior.interrupt()?;
        Ok(Reply::nothing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(guest_time("2.5s"), Some(GuestTime(2_500_000_000)));
        assert_eq!(guest_time("300ms"), Some(GuestTime(300_000_000)));
        assert_eq!(guest_time("1h"), Some(GuestTime(3_600_000_000_000)));
        for bad in ["", "s", "2.5", "1x", "1..2s", ".s", "99999999999h", "1.99999999999999999999999999999999999999999s"]
        {
            assert_eq!(guest_time(bad), None, "{bad}");
        }
    }
}

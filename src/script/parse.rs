//! Reads a script, line by line.

use std::fmt;
use std::time::Duration;

use wkdb_tracer::GuestTime;

use super::escape::{self, EscapeError};
use super::{Action, Script, Step, Text, TimedSend};
use crate::units;

/// How many mistakes a message shows.
const SHOWN: usize = 10;

/// A script that cannot be read: every mistake in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptError {
    /// The mistakes, in the script's order; there is at least one.
    pub mistakes: Vec<Mistake>,
}

/// One mistake in a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong and what was expected.
    pub message: String,
    /// The line as it was written.
    pub source: String,
}

impl std::error::Error for ScriptError {}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().take(SHOWN).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            mistake.fmt(f)?;
        }
        match self.mistakes.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more mistakes"),
        }
    }
}

impl fmt::Display for Mistake {
    /// The place, what is wrong, and the line with a caret under the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mistake { line, column, message, source } = self;
        let margin = line.to_string().len();
        writeln!(f, "input script, line {line}, column {column}: {message}")?;
        let printable = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        writeln!(f, " {line} | {}", source.chars().map(printable).collect::<String>())?;
        // Tabs keep their width when they are repeated.
        let indent: String = source.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, " {:margin$} | {indent}^", "")
    }
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    ///
    /// [`ScriptError`] with every mistake, each with its line and column.
    pub fn parse(source: &str) -> Result<Script, ScriptError> {
        let mut script = Script::default();
        let mut mistakes = Vec::new();
        for (line, text) in (1..).zip(source.lines()) {
            match Cursor::new(text).line() {
                Ok(None) => {}
                Ok(Some(Line::Step(action))) => script.steps.push(Step { line, action }),
                Ok(Some(Line::Timed(at, text))) => script.timed.push(TimedSend { line, at, text }),
                Err(EscapeError { at, message }) => mistakes.push(Mistake {
                    line,
                    column: text.get(..at).map_or(at, |before| before.chars().count()) + 1,
                    message,
                    source: text.into(),
                }),
            }
        }
        // Stable: two texts for one moment are sent in the order in which they were written.
        script.timed.sort_by_key(|send| send.at);
        if mistakes.is_empty() { Ok(script) } else { Err(ScriptError { mistakes }) }
    }
}

enum Line {
    Step(Action),
    Timed(GuestTime, Text),
}

/// A place in a line.
struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(line: &'a str) -> Self {
        Cursor { line, at: 0 }
    }

    fn rest(&self) -> &'a str {
        &self.line[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.line.len() - self.rest().trim_start().len();
    }

    /// The characters up to the next space or quote.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || c == '"').unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn fail<T>(&self, at: usize, message: impl Into<String>) -> Result<T, EscapeError> {
        Err(EscapeError { at, message: message.into() })
    }

    fn line(&mut self) -> Result<Option<Line>, EscapeError> {
        self.skip_space();
        if self.rest().is_empty() || self.rest().starts_with('#') {
            return Ok(None);
        }
        let start = self.at;
        let line = match self.word() {
            "expect" => {
                let (at, text) = self.text("expect")?;
                if text.bytes.is_empty() {
                    return self.fail(at, "expected a text to wait for, found an empty one");
                }
                Line::Step(Action::Expect(text))
            }
            "send" => Line::Step(Action::Send(self.text("send")?.1)),
            "wait" => Line::Step(Action::Wait(self.span("wait")?)),
            word if word.starts_with('@') => {
                self.at = start + 1;
                let at = GuestTime::from(self.span("@")?);
                self.skip_space();
                let verb = self.at;
                if self.word() != "send" {
                    return self
                        .fail(verb, "expected `send \"TEXT\"` after the time: only input can be sent at a time");
                }
                Line::Timed(at, self.text("send")?.1)
            }
            _ => {
                return self.fail(
                    start,
                    "expected `expect \"TEXT\"`, `send \"TEXT\"`, `wait TIME`, `@TIME send \"TEXT\"` or a # comment",
                );
            }
        };
        self.skip_space();
        if self.rest().is_empty() || self.rest().starts_with('#') {
            Ok(Some(line))
        } else {
            self.fail(self.at, "expected the end of the line")
        }
    }

    /// A quoted text and where it begins.
    fn text(&mut self, after: &str) -> Result<(usize, Text), EscapeError> {
        self.skip_space();
        let start = self.at;
        if !self.rest().starts_with('"') {
            return self.fail(start, format!("expected a text in double quotes after `{after}`"));
        }
        match escape::quoted(self.rest()) {
            Ok((bytes, length)) => {
                let written = self.rest()[..length].into();
                self.at += length;
                Ok((start, Text { written, bytes }))
            }
            Err(error) => self.fail(start + error.at, error.message),
        }
    }

    fn span(&mut self, after: &str) -> Result<Duration, EscapeError> {
        self.skip_space();
        let start = self.at;
        match self.word() {
            "" => self.fail(start, format!("expected a time after `{after}`, as in 2.5s")),
            word => units::parse_span(word).or_else(|error| self.fail(start, error.to_string())),
        }
    }
}

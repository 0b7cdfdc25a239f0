//! `watch`, `rwatch`, `awatch`.

use super::super::error::Result;
use super::super::location::split_at_word;
use super::super::points::Details;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::{Inferior, WatchKind};

/// Watch memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// What lies there.
    pub expression: String,
    /// Which accesses.
    pub kind: WatchKind,
    /// Only if this expression is not zero.
    pub condition: Option<String>,
    /// Which of the accesses.
    pub options: WatchOptions,
}

/// Which accesses a watch is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WatchOptions {
    /// Only if the bytes changed.
    pub changed: bool,
    /// Only if it has the value of this expression afterwards.
    pub equals: Option<String>,
    /// Only by this task.
    pub task: Option<String>,
    /// Only on this CPU.
    pub cpu: Option<u32>,
    /// Only by code of these files and functions.
    pub inside: Vec<String>,
    /// Only by code outside of these files and functions.
    pub outside: Vec<String>,
    /// Print it and go on.
    pub log: bool,
}

impl Watch {
    pub(super) fn parse_write(words: &mut Words) -> Result<Command> {
        Self::parse_as(words, WatchKind::Write)
    }

    pub(super) fn parse_read(words: &mut Words) -> Result<Command> {
        Self::parse_as(words, WatchKind::Read)
    }

    pub(super) fn parse_access(words: &mut Words) -> Result<Command> {
        Self::parse_as(words, WatchKind::Access)
    }

    /// Options may stand before and behind the expression; `if` comes last.
    fn parse_as(words: &mut Words, kind: WatchKind) -> Result<Command> {
        let (text, condition) = split_at_word(words.rest().unwrap_or(""), "if");
        if condition == Some("") {
            return Err(words.wrong("a condition must follow `if`"));
        }
        let mut options = WatchOptions::default();
        let mut expression: Vec<&str> = Vec::new();
        let mut left = Words::new(words_name(kind), "", text);
        while let Some(word) = left.word() {
            let mut value = || left.word().ok_or_else(|| words.wrong(format!("something must follow {word}")));
            match word {
                "-l" | "-location" => {}
                "--changed" => options.changed = true,
                "--log" => options.log = true,
                "--equals" => options.equals = Some(value()?.to_owned()),
                "--task" => options.task = Some(value()?.to_owned()),
                "--cpu" => options.cpu = Some(words.as_number(value()?, "a CPU")?),
                "--in" => options.inside.push(value()?.to_owned()),
                "--unless-in" => options.outside.push(value()?.to_owned()),
                option if option.starts_with("--") => return Err(words.wrong(format!("there is no option {option}"))),
                part => expression.push(part),
            }
        }
        if expression.is_empty() {
            return Err(words.wrong("watch what? Give a variable, a member, or *(TYPE *) ADDRESS"));
        }
        if kind != WatchKind::Write && (options.changed || options.equals.is_some()) {
            return Err(words.wrong("--changed and --equals are about writes: use them with `watch`"));
        }
        if !options.inside.is_empty() && !options.outside.is_empty() {
            return Err(words.wrong("--in and --unless-in cannot be had together"));
        }
        let condition = condition.map(str::to_owned);
        Ok(Command::Watch(Watch { expression: expression.join(" "), kind, condition, options }))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        if let Some(condition) = &self.condition {
            debugger.check_expression(inferior, condition)?;
        }
        let details = debugger.watch_details(inferior, self.expression, self.kind, self.options)?;
        let details = Details::Watch(Box::new(details));
        let number = debugger.add_point(inferior, details, self.condition, false, Vec::new())?;
        Ok(Reply::say(debugger.describe_new_point(inferior, number)))
    }
}

/// The command that makes a watch of this kind.
fn words_name(kind: WatchKind) -> &'static str {
    match kind {
        WatchKind::Write => "watch",
        WatchKind::Read => "rwatch",
        WatchKind::Access => "awatch",
    }
}

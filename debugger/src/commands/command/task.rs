//! `task`, `thread`.

use super::super::error::Result;
use super::super::output::{Output, Style};
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use super::backtrace::Backtrace;
use crate::inferior::Inferior;

/// Select a task; without a name, tell which one is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task(pub Option<String>);

impl Task {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        if words.take("apply") {
            if !words.take("all") {
                return Err(words.wrong("only `thread apply all bt` is understood"));
            }
            let name = words.word().unwrap_or("");
            if !matches!(super::find(name), Ok(entry) if entry.name == "backtrace") {
                return Err(words.wrong("only `thread apply all bt` is understood"));
            }
            let Command::Backtrace(backtrace) = Backtrace::parse(words)? else {
                return Err(words.wrong("only `thread apply all bt` is understood"));
            };
            return Ok(Command::Backtrace(Backtrace { all: true, ..backtrace }));
        }
        Ok(Command::Task(Task(words.rest().map(str::to_owned))))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let task = match &self.0 {
            Some(name) => {
                let task = debugger.find_task(inferior, name)?;
                debugger.select_task(task.context.runner);
                task
            }
            None => debugger.selected_task(inferior)?,
        };
        let mut out = Output::new();
        out.push("[").mark(Style::Task, debugger.task_title(&task)).push("]\n");
        match debugger.describe_selected(inferior) {
            Ok(text) => out.append(&text),
            // A task that has not run yet has no frames.
            Err(error) => out.line(format!("({error})")),
        };
        Ok(Reply::say(out))
    }
}

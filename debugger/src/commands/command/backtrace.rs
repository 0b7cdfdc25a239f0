//! `backtrace`.

use super::super::error::Result;
use super::super::output::{Output, Style};
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;
use crate::inferior::Inferior;

/// Print call stacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Backtrace {
    /// With local variables.
    pub full: bool,
    /// So many frames: the innermost ones, or the outermost if negative.
    pub limit: Option<i64>,
    /// Of all tasks.
    pub all: bool,
}

impl Backtrace {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        let mut backtrace = Backtrace::default();
        while let Some(word) = words.word() {
            match word {
                "full" | "-full" => backtrace.full = true,
                "--all" | "all" => backtrace.all = true,
                number => {
                    let limit = number.parse().map_err(|_| {
                        words.wrong(format!("{number:?} is neither a number of frames, nor `full`, nor `--all`"))
                    })?;
                    backtrace.limit = Some(limit);
                }
            }
        }
        Ok(Command::Backtrace(backtrace))
    }

    pub(super) fn run(self, debugger: &mut Debugger, inferior: &mut dyn Inferior) -> Result<Reply> {
        let mut out = Output::new();
        if !self.all {
            let runner = debugger.selected_task(inferior)?.context.runner;
            self.print(debugger, inferior, runner, &mut out)?;
            return Ok(Reply::say(out));
        }
        for task in inferior.tasks()? {
            out.push("\n").mark(Style::Task, debugger.task_title(&task)).push(":\n");
            if let Err(error) = self.print(debugger, inferior, task.context.runner, &mut out) {
                out.mark(Style::Problem, format!("{error}")).push("\n");
            }
        }
        Ok(Reply::say(out))
    }

    fn print(
        &self,
        debugger: &mut Debugger,
        inferior: &mut dyn Inferior,
        runner: wkdb_tracer::RunnerId,
        out: &mut Output,
    ) -> Result<()> {
        let stack = debugger.stack(inferior, runner)?;
        let limit = usize::try_from(self.limit.map_or(u64::MAX, i64::unsigned_abs)).unwrap_or(usize::MAX);
        let shown = match self.limit {
            Some(limit) if limit < 0 => stack.len().saturating_sub(limit.unsigned_abs() as usize)..stack.len(),
            _ => 0..stack.len().min(limit),
        };
        let more = stack.len() - shown.end;
        let mut states = debugger.states(inferior, runner);
        for view in &stack[shown] {
            out.append(&debugger.frame_line(inferior, runner, view, &mut states));
            if self.full {
                let locals = debugger.locals(inferior, runner, view, false)?;
                for line in locals.plain().lines() {
                    out.line(format!("        {line}"));
                }
            }
        }
        if stack.is_empty() {
            out.line("(no guest code on the stack)");
        }
        if more > 0 {
            out.line(format!("(More frames follow: {more})"));
        }
        Ok(())
    }
}

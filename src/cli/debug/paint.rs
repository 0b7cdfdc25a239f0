//! A command's output on a terminal, with colours where they are wanted.

use std::io::{self, IsTerminal, Write};

use anyhow::Context;
use wkdb_debugger::commands::{Output, Style};
use wkdb_debugger::inferior::Progress;

/// Standard output, shared by the debugger and the guest's console.
pub(super) struct Screen {
    colours: bool,
    /// The guest's last line is not ended.
    open_line: bool,
}

impl Screen {
    /// Colours only for a terminal, and not if `NO_COLOR` is set.
    pub(super) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen { colours: wanted && io::stdout().is_terminal(), open_line: false }
    }

    /// Shows what the guest printed.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written to.
    pub(super) fn console(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if let Some(last) = bytes.last() {
            self.open_line = *last != b'\n';
        }
        write(bytes)
    }

    /// Shows what the debugger says, on a line of its own.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written to.
    pub(super) fn say(&mut self, output: &Output) -> anyhow::Result<()> {
        if output.is_empty() {
            return Ok(());
        }
        self.end_line()?;
        let text = if self.colours { painted(output) } else { output.plain().to_owned() };
        write(text.as_bytes())
    }

    /// Says how far it is with what takes long, where a person looks on; whether it did.
    pub(super) fn progress(&self, progress: Progress) -> bool {
        if !io::stderr().is_terminal() || progress.of == 0 {
            return false;
        }
        let percent = progress.done.min(progress.of) * 100 / progress.of;
        eprint!("\r\x1b[K{percent} % of the history (Ctrl-C ends it)");
        true
    }

    /// Takes back what [`Screen::progress`] has said.
    pub(super) fn no_progress(&self) {
        eprint!("\r\x1b[K");
    }

    /// Ends a line that the guest has left open.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written to.
    pub(super) fn end_line(&mut self) -> anyhow::Result<()> {
        match std::mem::take(&mut self.open_line) {
            true => write(b"\n"),
            false => Ok(()),
        }
    }
}

fn write(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).context("cannot write to standard output")
}

/// The text with the escape sequences of its marks.
fn painted(output: &Output) -> String {
    let text = output.plain();
    let mut painted = String::new();
    let mut done = 0;
    for (range, style) in output.marks() {
        let code = match style {
            Style::Function => "33",
            Style::Place => "32",
            Style::Address => "34",
            Style::Task => "36",
            Style::Headline => "1",
            Style::Here => "1;35",
            Style::Problem => "31",
        };
        painted.push_str(&text[done..range.start]);
        painted.push_str(&format!("\x1b[{code}m{}\x1b[m", &text[range.clone()]));
        done = range.end;
    }
    painted.push_str(&text[done..]);
    painted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_become_colours() {
        let mut output = Output::from("in ");
        output.mark(Style::Function, "main").push(" ()\n");
        assert_eq!(painted(&output), "in \x1b[33mmain\x1b[m ()\n");
    }
}

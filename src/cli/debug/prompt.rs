//! The prompt: history, completion, hints.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Context as _;
use etcetera::BaseStrategy;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::session::Session;

/// What stands before what a person types.
pub(super) const PROMPT: &str = "(wkdb) ";

/// Lines of history that are kept.
const HISTORY: usize = 10_000;

/// What a person typed.
pub(super) enum Typed {
    /// A line.
    Line(String),
    /// Ctrl-C: the line is given up.
    Nothing,
    /// Ctrl-D.
    End,
}

/// A person's prompt.
pub(super) struct Prompt {
    editor: Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
}

impl Prompt {
    /// Takes the terminal over while a line is typed.
    ///
    /// # Errors
    ///
    /// The terminal cannot be used.
    pub(super) fn new(session: Rc<RefCell<Session>>) -> anyhow::Result<Self> {
        let config = Config::builder()
            .max_history_size(HISTORY)
            .and_then(|config| config.history_ignore_dups(true))
            .context("the prompt cannot be set up")?
            .completion_type(CompletionType::List)
            .history_ignore_space(true)
            .build();
        let mut editor = Editor::with_config(config).context("the terminal cannot be used for a prompt")?;
        editor.set_helper(Some(Assistant { session, hinter: HistoryHinter::new() }));
        let history = history_file();
        if let Some(path) = &history {
            // There is none the first time.
            let _ = editor.load_history(path);
        }
        Ok(Prompt { editor, history })
    }

    /// Reads a line.
    ///
    /// # Errors
    ///
    /// The terminal cannot be used.
    pub(super) fn read(&mut self) -> anyhow::Result<Typed> {
        match self.editor.readline(PROMPT) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    // A line that cannot be kept is a line that was typed all the same.
                    let _ = self.editor.add_history_entry(line.as_str());
                }
                Ok(Typed::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Typed::Nothing),
            Err(ReadlineError::Eof) => Ok(Typed::End),
            Err(error) => Err(error).context("cannot read from the terminal"),
        }
    }

    /// Asks a question; only `y` or `yes` means yes, and so does Ctrl-D once more.
    ///
    /// # Errors
    ///
    /// The terminal cannot be used.
    pub(super) fn ask(&mut self, question: &str) -> anyhow::Result<bool> {
        match self.editor.readline(question) {
            Ok(answer) => Ok(matches!(answer.trim(), "y" | "yes" | "Y")),
            Err(ReadlineError::Interrupted) => Ok(false),
            Err(ReadlineError::Eof) => Ok(true),
            Err(error) => Err(error).context("cannot read from the terminal"),
        }
    }

    /// Keeps what was typed for the next session.
    pub(super) fn close(mut self) {
        if let Some(path) = &self.history {
            let kept = path.parent().is_none_or(|directory| std::fs::create_dir_all(directory).is_ok());
            if !kept || self.editor.append_history(path).is_err() {
                eprintln!("wkdb: the history cannot be kept in {}", path.display());
            }
        }
    }
}

/// `wkdb/history` in the user's directory for state.
fn history_file() -> Option<PathBuf> {
    let base = etcetera::choose_base_strategy().ok()?;
    Some(base.state_dir().unwrap_or_else(|| base.cache_dir()).join("wkdb").join("history"))
}

/// Completes and hints.
struct Assistant {
    session: Rc<RefCell<Session>>,
    hinter: HistoryHinter,
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let completion = match self.session.try_borrow_mut() {
            Ok(mut session) => session.complete(line, position),
            Err(_) => return Ok((position, Vec::new())),
        };
        let only = completion.candidates.len() == 1;
        let pair = |candidate: wkdb_debugger::commands::Candidate| {
            let space = if only && candidate.whole { " " } else { "" };
            Pair { replacement: format!("{}{space}", candidate.text), display: candidate.text }
        };
        Ok((completion.start, completion.candidates.into_iter().map(pair).collect()))
    }
}

impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, line: &str, position: usize, context: &Context<'_>) -> Option<String> {
        self.hinter.hint(line, position, context)
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[m"))
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}

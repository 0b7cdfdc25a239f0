//! `help`.

use super::super::Reply;
use super::super::error::Result;
use super::super::output::{Output, Style};
use super::super::words::Words;
use super::table::{Chapter, Entry, TABLE, find};
use super::{Command, info};

/// Tell about a command, or list them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Help(pub Option<String>);

impl Help {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        Ok(Command::Help(Help(words.word().map(str::to_owned))))
    }

    pub(super) fn run(self) -> Result<Reply> {
        match self.0 {
            Some(name) => Ok(Reply::say(one(find(&name)?))),
            None => Ok(Reply::say(all())),
        }
    }
}

fn all() -> Output {
    let mut out = Output::new();
    for (chapter, title) in Chapter::ALL {
        out.mark(Style::Headline, title).push(":\n");
        for entry in TABLE.iter().filter(|entry| entry.chapter == chapter) {
            let summary = entry.about.lines().next().unwrap_or_default();
            let short = entry.aliases.first().map(|alias| format!(" ({alias})")).unwrap_or_default();
            out.line(format!("  {:24} {summary}", format!("{}{short}", entry.name)));
        }
        out.line("");
    }
    out.line("The beginning of a name is enough. `help COMMAND` tells more; an empty line steps or continues again.");
    out
}

fn one(entry: &Entry) -> Output {
    let mut out = Output::new();
    out.mark(Style::Headline, format!("{} {}", entry.name, entry.usage).trim_end()).push("\n");
    if !entry.aliases.is_empty() {
        out.line(format!("short: {}", entry.aliases.join(", ")));
    }
    out.line(entry.about);
    if entry.name == "info" {
        out.line("").append(&info::topics());
    }
    out
}

//! `source`, `directory`.

use std::path::PathBuf;

use super::super::error::{CommandError, Result};
use super::super::output::Output;
use super::super::words::Words;
use super::super::{Debugger, Reply};
use super::Command;

/// Run the commands of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source(pub PathBuf);

impl Source {
    /// Longer than any script of commands.
    const MOST: u64 = 1 << 20;

    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        Ok(Command::Source(Source(words.wanted_rest("a file")?.into())))
    }

    pub(super) fn run(self) -> Result<Reply> {
        let path = self.0;
        let failed = |error: String| CommandError::File { path: path.clone(), error };
        let size = std::fs::metadata(&path).map_err(|error| failed(error.to_string()))?.len();
        if size > Self::MOST {
            return Err(failed(format!("{size} bytes are too long for a script of commands")));
        }
        let bytes = std::fs::read(&path).map_err(|error| failed(error.to_string()))?;
        Ok(Reply { queued: script_lines(&String::from_utf8_lossy(&bytes)), ..Reply::nothing() })
    }
}

/// The commands of a script: its lines without empty ones and comments.
pub fn script_lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// Say where source files are, or hear of one more directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory(pub Option<PathBuf>);

impl Directory {
    pub(super) fn parse(words: &mut Words) -> Result<Command> {
        Ok(Command::Directory(Directory(words.rest().map(PathBuf::from))))
    }

    pub(super) fn run(self, debugger: &mut Debugger) -> Result<Reply> {
        if let Some(directory) = self.0 {
            let metadata = std::fs::metadata(&directory);
            match metadata {
                Ok(metadata) if metadata.is_dir() => debugger.sources.add_directory(directory),
                Ok(_) => return Err(CommandError::File { path: directory, error: "it is not a directory".into() }),
                Err(error) => return Err(CommandError::File { path: directory, error: error.to_string() }),
            }
        }
        let mut out = Output::from("Source files are looked for in:\n");
        for place in debugger.sources.places() {
            out.line(format!("  {place}"));
        }
        Ok(Reply::say(out))
    }
}

//! Why a command was not done.

use std::path::PathBuf;

use thiserror::Error;

use crate::inferior::InferiorError;

/// Why a command was not done. The session is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// There is no such command.
    #[error("there is no command {name:?}{}{}`help` lists them", did_you_mean(.near), if .near.is_empty() { "; " } else { " " })]
    Unknown {
        /// What was typed.
        name: String,
        /// Commands that it is like.
        near: Vec<String>,
    },
    /// An abbreviation of several commands.
    #[error("{name:?} could be {}: type more of it", .candidates.join(", "))]
    Ambiguous {
        /// What was typed.
        name: String,
        /// What it abbreviates.
        candidates: Vec<&'static str>,
    },
    /// What follows the command makes no sense.
    #[error("{problem} (`help {command}` tells how to use it)")]
    Usage {
        /// The command.
        command: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Something that was named is not there.
    #[error("there is no {what} {name}{}", did_you_mean(.near))]
    Missing {
        /// What kind of thing.
        what: &'static str,
        /// What was typed.
        name: String,
        /// Names that it is like.
        near: Vec<String>,
    },
    /// It cannot be done now, or not with this guest; the text says why and what to do.
    #[error("{0}")]
    Refused(String),
    /// A file cannot be read.
    #[error("cannot read {}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// The guest cannot answer.
    #[error(transparent)]
    Inferior(#[from] InferiorError),
}

impl CommandError {
    pub(super) fn missing(what: &'static str, name: impl ToString) -> Self {
        CommandError::Missing { what, name: name.to_string(), near: Vec::new() }
    }

    pub(super) fn refused(text: impl Into<String>) -> Self {
        CommandError::Refused(text.into())
    }
}

fn did_you_mean(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(", ")),
    }
}

/// Shorthand.
pub(super) type Result<T> = std::result::Result<T, CommandError>;

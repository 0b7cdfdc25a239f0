//! Input scripts: what to type on the guest's console, and when.
//!
//! ```text
//! # a line each; texts have C escapes
//! expect "login: "            wait until the guest prints this
//! send "root\n"               type this
//! wait 2.5s                   let guest time pass
//! @12s send "\x03"            type this at an absolute guest time, whatever the lines around it do
//! ```
//!
//! The lines without a time run one after another. An `expect` looks only at what was printed after the match of the
//! `expect` before it. All times are guest time, so a script does the same in every run.

mod escape;
mod matcher;
mod parse;
mod run;

use std::time::Duration;

use wkdb_tracer::GuestTime;

pub use escape::{escaped, quote};
pub use matcher::TextMatcher;
pub use parse::{Mistake, ScriptError};
pub use run::ScriptRun;

/// A script that has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    /// The lines that run one after another.
    pub steps: Vec<Step>,
    /// The lines with a time of their own, in the order of their times.
    pub timed: Vec<TimedSend>,
}

/// A line of the sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its line in the script, from 1.
    pub line: u32,
    /// What it does.
    pub action: Action,
}

/// What a line of the sequence does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Wait until the guest has printed a text.
    Expect(Text),
    /// Type a text.
    Send(Text),
    /// Let guest time pass.
    Wait(Duration),
}

/// A text, as bytes and as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// With its quotes and escapes.
    pub written: String,
    /// What it means.
    pub bytes: Vec<u8>,
}

/// A line with a time of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedSend {
    /// Its line in the script, from 1.
    pub line: u32,
    /// When to type it.
    pub at: GuestTime,
    /// What to type.
    pub text: Text,
}

/// Reads the C escapes of a text without quotes, as an option of the command line has it.
///
/// # Errors
///
/// What is wrong with an escape.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    escape::unescaped(text).map_err(|error| error.message)
}

#[cfg(test)]
mod tests;

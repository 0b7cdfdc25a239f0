//! Exit codes: how it ended, for scripts.

use std::process::{ExitCode, Termination};

use wkdb_tracer::Outcome;

/// The exit code for a command line that makes no sense; also clap's.
pub const USAGE: u8 = 2;

/// How the program ended. Failures of its own exit with 1, a wrong command line with 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As it was asked to: a condition came true, the script came to its end, the person left.
    Ok,
    /// A command of a debugging session failed, or a seed of a hunt could not be run.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// The guest ended the run otherwise.
    Guest(u8),
    /// The guest ended the run as it was asked to, but detectors found something on the way.
    Findings,
    /// A replay is not the run that was recorded.
    Diverged,
    /// A hunt found seeds that go wrong.
    Found,
    /// A hunt was stopped before it found any, or an explanation before it was complete.
    Interrupted,
}

impl Exit {
    /// The exit code of a run that ended so.
    pub fn of(outcome: &Outcome) -> Exit {
        match outcome {
            Outcome::Until(_) | Outcome::Quit | Outcome::RecordingEnds => Exit::Ok,
            Outcome::Panic => Exit::Guest(3),
            Outcome::Deadlock(_) => Exit::Guest(4),
            Outcome::Spin(_) => Exit::Guest(5),
            Outcome::Script { .. } => Exit::Guest(6),
            Outcome::MaxTime => Exit::Guest(7),
            Outcome::Broken(_) => Exit::Guest(8),
        }
    }

    /// The same of a run in which detectors found so many things: one that ended well did not go well. One that was to end
    /// at the first finding did what it was asked to.
    pub fn with_findings(self, outcome: &Outcome, findings: u64) -> Exit {
        let asked = matches!(outcome, Outcome::Until(condition) if condition == "finding");
        match self {
            Exit::Ok | Exit::Guest(7) if findings > 0 && !asked => Exit::Findings,
            exit => exit,
        }
    }

    /// As a number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => USAGE,
            Exit::Guest(code) => code,
            Exit::Diverged => 9,
            Exit::Found => 10,
            Exit::Findings => 11,
            // As shells say of a program that Ctrl-C ended.
            Exit::Interrupted => 130,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

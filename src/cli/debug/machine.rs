//! What a session debugs: a machine with a past, or one without.

use std::os::fd::{AsFd, BorrowedFd};

use wkdb_debugger::inferior::{Inferior, Result};

use crate::session::{Live, Rewindable};

/// A machine under the debugger.
pub(super) enum Machine {
    /// It keeps no history.
    Plain(Box<Live>),
    /// One can go back in it: a live one, or a recording.
    WithPast(Box<Rewindable>),
}

impl Machine {
    /// The port to it.
    pub(super) fn inferior(&mut self) -> &mut dyn Inferior {
        match self {
            Machine::Plain(live) => &mut **live,
            Machine::WithPast(run) => &mut **run,
        }
    }

    /// The same, only to be asked.
    pub(super) fn shown(&self) -> &dyn Inferior {
        match self {
            Machine::Plain(live) => &**live,
            Machine::WithPast(run) => &**run,
        }
    }

    /// Whether notices came while something else was waited for.
    pub(super) fn has_notices(&self) -> bool {
        match self {
            Machine::Plain(live) => live.has_notices(),
            Machine::WithPast(run) => run.has_notices(),
        }
    }

    /// Whether it is a recording: nothing in it goes on.
    pub(super) fn is_recording(&mut self) -> bool {
        self.inferior().history().is_some_and(|history| history.extent().recording.is_some())
    }

    /// Lets it run on with nobody there.
    pub(super) fn set_attached(&mut self, attached: bool) -> Result<()> {
        match self {
            Machine::Plain(live) => live.set_attached(attached),
            Machine::WithPast(run) => run.set_attached(attached),
        }
    }

    /// Ends the run.
    pub(super) fn quit(&mut self) -> Result<()> {
        match self {
            Machine::Plain(live) => live.quit(),
            Machine::WithPast(run) => run.quit(),
        }
    }
}

impl AsFd for Machine {
    /// Readable when it has something to tell.
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Machine::Plain(live) => live.as_fd(),
            Machine::WithPast(run) => run.as_fd(),
        }
    }
}

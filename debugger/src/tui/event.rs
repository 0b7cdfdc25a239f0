//! What reaches the screen, and what it asks for.

use crossterm::event::{KeyEvent, MouseEvent};
use serde::{Deserialize, Serialize};
use wkdb_tracer::{RunnerId, Tick};

use super::pane::Pane;
use super::sample::{EventRow, Sample, Text};

/// Everything that can happen to the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A key.
    Key(KeyEvent),
    /// The mouse.
    Mouse(MouseEvent),
    /// Text that was pasted.
    Paste(String),
    /// The terminal has another size now: columns and rows.
    Resize(u16, u16),
    /// The session has something to tell.
    Session(FromSession),
    /// The program is asked to end: SIGTERM, SIGHUP, or the terminal is gone.
    Leave,
}

/// What the session tells. It can be kept, so that screens are tested without a guest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum FromSession {
    /// How the machine is.
    Sample(Box<Sample>),
    /// The guest printed.
    Console {
        /// What.
        bytes: Vec<u8>,
        /// Bytes before it that were dropped, because the screen was too slow for them.
        dropped: u64,
    },
    /// Things happened.
    Events {
        /// In order.
        rows: Vec<EventRow>,
        /// So many before them were dropped.
        dropped: u64,
    },
    /// A command answered.
    Said(Text),
    /// A command failed.
    Failed(String),
    /// The machine stopped: why, and where.
    Stopped(Text),
    /// The run is over: how it ended.
    Ended(Text),
    /// What went wrong in the run, and who did it.
    Explained {
        /// In prose.
        text: Text,
        /// When that was done, if it was found out.
        at: Option<Tick>,
    },
    /// What a command line could go on with.
    Completion {
        /// The line that it is for.
        line: String,
        /// Where in it the word begins that the candidates replace, in bytes.
        start: usize,
        /// The candidates, and whether a space can follow.
        candidates: Vec<(String, bool)>,
    },
    /// The session asks the screen to end: a command said so.
    Leave,
    /// The machine's process is gone.
    Gone(String),
}

/// What the screen asks the session for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Run this command, as if it was typed at the prompt.
    Command {
        /// The line.
        line: String,
        /// Whether a person typed it: then it is shown among the commands.
        typed: bool,
    },
    /// What a line could go on with.
    Complete(String),
    /// Type at the guest's console.
    TypeIn(Vec<u8>),
    /// Stop the machine.
    Interrupt,
    /// Find out what went wrong in the run, and who did it.
    Explain,
    /// Look at a frame of a task.
    LookAt(RunnerId, usize),
    /// What is on the screen, so that only this is looked for.
    Watch(Wants),
    /// Keep this as the user's settings.
    SaveSettings(String),
    /// End the run and the session.
    Quit,
}

/// What is on the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wants {
    /// The panes that can be seen.
    pub panes: Vec<Pane>,
    /// The memory window's expression.
    pub memory: String,
    /// Where the window begins, in bytes from where the expression is.
    pub offset: i64,
    /// Bytes in the window.
    pub len: u64,
}

//! What happened in a run, and where exactly.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::Damage;
use crate::{CodeAddress, Event, GuestTime, ModuleId, RunnerId, Tick, WasmValue};

/// A place between two slices of a run. What comes from outside reaches the guest only there.
///
/// `slices` and `time` name the place: between two slices only the clock moves, when all tasks wait. `tick` follows
/// from `slices`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Slices given so far.
    pub slices: u64,
    /// Ticks run so far.
    pub tick: Tick,
    /// The guest's clock.
    pub time: GuestTime,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tick {}, guest time {}, slice {}", self.tick, self.time, self.slices)
    }
}

/// What the machine is at a place, as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Of the guest's memory. Takes time to compute, so only some checks have it.
    pub memory: Option<u64>,
    /// Of the schedule so far.
    pub schedule: u64,
    /// Of all that was printed so far.
    pub console: u64,
}

/// Something from outside, other than console input, that changes a run.
///
/// A debugger intervenes where it has stopped the machine: mostly at an instruction, in the middle of a slice. What can
/// wait for the end of the slice without a difference (which task is to run alone from then on) is told there. What
/// changes the guest's state is told where it was done, by [`Intervention::InSlice`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Intervention {
    /// The run was ended, between slices.
    Quit,
    /// A debugger lets only this runner run; none: all again.
    Only(Option<RunnerId>),
    /// A debugger wrote into the guest's memory.
    WriteMemory {
        /// First byte.
        address: u64,
        /// What was written.
        bytes: Vec<u8>,
    },
    /// The run was ended in the middle of a slice, at the position's tick.
    QuitInSlice,
    /// From here on this input script is at the console, in place of any other: the run goes on in another way than the
    /// one that it was taken from.
    Script(String),
    /// A debugger changed a global of a task's instance of a module.
    SetGlobal {
        /// Whose.
        runner: RunnerId,
        /// Of which module.
        module: ModuleId,
        /// Its index in the original module.
        global: u32,
        /// What it holds from then on.
        value: WasmValue,
    },
    /// Something came in the middle of a slice, at the position's tick.
    InSlice {
        /// The instruction before which it came; none: as the tick was counted. To stop there a replay needs code for
        /// debugging.
        at: Option<CodePlace>,
        /// What came.
        what: Box<Intervention>,
    },
}

/// An instruction of a run, in its tick. Between two ticks no function is entered and no loop begins anew, so a task
/// comes to an instruction with so many calls below it once at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodePlace {
    /// Who came to it.
    pub runner: RunnerId,
    /// The instruction, which had not begun.
    pub address: CodeAddress,
    /// How many frames of the guest's functions there were, in kernel and user image together.
    pub depth: u32,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Bytes typed at the console: from here on the guest can read them.
    Input(Vec<u8>),
    /// Something else from outside.
    Intervention(Intervention),
    /// The guest printed, in the slice that ends here.
    Console(Vec<u8>),
    /// Something worth telling happened in the slice that ends here. Stores into watched memory are left out: they
    /// depend on what is watched, and a replay can watch anything.
    Event(Box<Event>),
    /// What a replay must be here too.
    Check(Check),
}

impl Entry {
    /// Whether it came from outside: a replay has to be given it.
    pub fn is_from_outside(&self) -> bool {
        matches!(self, Entry::Input(_) | Entry::Intervention(_))
    }

    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Entry::Input(_) => "input",
            Entry::Intervention(_) => "intervention",
            Entry::Console(_) => "console output",
            Entry::Event(_) => "event",
            Entry::Check(_) => "check",
        }
    }
}

/// An entry as it is stored, borrowed for writing.
#[derive(Serialize)]
pub(super) enum ToStore<'a> {
    At { slices: u64, ticks: u64, ns: u64 },
    Entry(&'a Entry),
}

/// The same for reading.
#[derive(Deserialize)]
enum Stored {
    At { slices: u64, ticks: u64, ns: u64 },
    Entry(Entry),
}

impl Position {
    /// How far it is from `from` on; none where it is before it in any way.
    pub(super) fn since(self, from: Position) -> Option<ToStore<'static>> {
        Some(ToStore::At {
            slices: self.slices.checked_sub(from.slices)?,
            ticks: self.tick.0.checked_sub(from.tick.0)?,
            ns: self.time.0.checked_sub(from.time.0)?,
        })
    }

    pub(super) fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.slices.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.tick.0.to_le_bytes());
        bytes[16..].copy_from_slice(&self.time.0.to_le_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; 24]) -> Position {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Position { slices: word(0), tick: Tick(word(8)), time: GuestTime(word(16)) }
    }
}

/// Reads the next stored thing from the front of `bytes`: moves `position`, or gives an entry.
pub(super) fn take(bytes: &mut &[u8], position: &mut Position) -> Result<Option<Entry>, Damage> {
    let (stored, rest) =
        postcard::take_from_bytes::<Stored>(bytes).map_err(|_| Damage::Contents("an entry cannot be read"))?;
    *bytes = rest;
    match stored {
        Stored::Entry(entry) => Ok(Some(entry)),
        Stored::At { slices, ticks, ns } => {
            let moved = || {
                Some(Position {
                    slices: position.slices.checked_add(slices)?,
                    tick: Tick(position.tick.0.checked_add(ticks)?),
                    time: GuestTime(position.time.0.checked_add(ns)?),
                })
            };
            *position = moved().ok_or(Damage::Contents("a position is past the end of time"))?;
            Ok(None)
        }
    }
}

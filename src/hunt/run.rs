//! One run of a hunt: a machine process from its start to its end, and what is remembered of it.

use std::io;
use std::time::Duration;

use wkdb_tracer::{Event, ModuleId, Outcome, Totals};

use super::console::ConsoleWatch;
use crate::machine::MachineConfig;
use crate::process::MachineProcess;
use crate::process::protocol::FromMachine;

/// Most that is remembered of what went wrong in one run, in the order in which it did. The last trap and the panic are
/// remembered in any case.
const MAX_NOTES: usize = 64;

/// How often a run looks whether it is to be given up, if it says nothing.
const LOOK: Duration = Duration::from_millis(50);

/// Something of a run that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// An event.
    Event(Event),
    /// A line on the console.
    Console(String),
}

/// A run that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// How it ended.
    pub outcome: Outcome,
    /// What it amounts to.
    pub totals: Totals,
    /// What was not as it should be, the first first.
    pub notes: Vec<Note>,
    /// The last trap.
    pub last_trap: Option<Event>,
    /// The panic.
    pub panic: Option<Event>,
    /// The user images that the guest ran.
    pub modules: Vec<(ModuleId, Vec<u8>)>,
}

/// A run that did not come to an end of which anything could be concluded.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No process.
    #[error("a machine process cannot be started: {0}")]
    Start(io::Error),
    /// The process could not make a machine.
    #[error("{0}")]
    Refused(String),
    /// The process came to a bad end.
    #[error("{0}")]
    Gone(io::Error),
    /// It was given up.
    #[error("it was stopped")]
    Stopped,
}

/// Runs a machine in a process of its own. `heard` is shown all that it says; `give_up` is asked every now and then.
///
/// # Errors
///
/// Where the run has no end: the process is killed, say.
pub fn run(
    config: MachineConfig,
    listen_for: &[String],
    give_up: &dyn Fn() -> bool,
    heard: &mut dyn FnMut(&FromMachine),
) -> Result<Observed, RunError> {
    let mut process = MachineProcess::start(config).map_err(RunError::Start)?;
    let mut console = ConsoleWatch::new(listen_for);
    let (mut notes, mut modules) = (Vec::new(), Vec::new());
    let (mut last_trap, mut panic) = (None, None);
    loop {
        while !process.has_message(LOOK).map_err(RunError::Gone)? {
            if give_up() {
                return Err(RunError::Stopped);
            }
        }
        if give_up() {
            return Err(RunError::Stopped);
        }
        let message = process.receive().map_err(RunError::Gone)?;
        heard(&message);
        match message {
            FromMachine::Failed(error) => return Err(RunError::Refused(error)),
            FromMachine::Console(bytes) => note(&mut notes, console.printed(&bytes).into_iter().map(Note::Console)),
            FromMachine::Event(event) => {
                match *event {
                    Event::Trap { .. } => last_trap = Some((*event).clone()),
                    Event::Panic { .. } => panic = Some((*event).clone()),
                    _ => {}
                }
                note(&mut notes, is_wrong(&event).then_some(Note::Event(*event)));
            }
            FromMachine::Module(module, bytes) => modules.push((module, bytes)),
            FromMachine::Ended(outcome, totals) => {
                note(&mut notes, console.end().map(Note::Console));
                let (outcome, totals) = (*outcome, *totals);
                return Ok(Observed { outcome, totals, notes, last_trap, panic, modules });
            }
            FromMachine::At(_)
            | FromMachine::Took(_)
            | FromMachine::Stopped(_)
            | FromMachine::Answer(..)
            | FromMachine::Forked { .. }
            | FromMachine::Trace(_) => {}
        }
    }
}

fn note(notes: &mut Vec<Note>, new: impl IntoIterator<Item = Note>) {
    let room = MAX_NOTES.saturating_sub(notes.len());
    notes.extend(new.into_iter().take(room));
}

/// Whether something is not as it should be. A panic ends the run and is judged with its end.
fn is_wrong(event: &Event) -> bool {
    match event {
        Event::Trap { .. } | Event::Complaint { .. } => true,
        Event::Finding(_) => event.is_mistake(),
        Event::Hog { others, .. } => *others > 0,
        _ => false,
    }
}

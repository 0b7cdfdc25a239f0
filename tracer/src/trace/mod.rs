//! Traces: what went on in a run, event by event, for people and for the programs that show traces.
//!
//! ```text
//! machine ─▶ Record, Event ─▶ Presenter ─▶ TraceEvent ─▶ Filter ─▶ text, JSON, Perfetto, CTF, trace.dat
//!            raw: numbers       + Names      in words
//!        └─▶ Sample ─▶ Profile ─▶ folded stacks, flame graph, a table
//! ```
//!
//! The machine tells [`Record`]s: who, when, and what in numbers, as cheaply as it can. A [`Presenter`] remembers what a
//! record alone does not say (names of tasks, which call an end belongs to) and makes [`TraceEvent`]s of them: each has a
//! category, a name, fields, and is the begin or the end of something, or a moment. All that comes behind knows only these.
//!
//! Every begin has its end: where code is left without returning (exec, a signal's return, a trap, a task's death, the end
//! of the run) the presenter ends what was begun.

mod event;
pub mod export;
mod filter;
mod present;
mod profile;
mod record;
pub mod syscalls;
mod text;

#[cfg(test)]
mod tests;

pub use event::{Category, Field, Phase, Thread, TraceEvent};
pub use filter::{Filter, FilterError, glob};
pub use present::{Names, Presenter};
pub use profile::Profile;
pub use record::{Record, TraceWhat, WakeCause};
pub use text::{to_json, to_text};

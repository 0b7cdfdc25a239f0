//! The vocabulary of a run: who ([`ids`]), when ([`moment`]), what ([`event`]), what is wrong ([`finding`]); and a run as a file ([`recording`]).
//!
//! Everything above this crate (the debugger, the machine, the command line) speaks in these types, so that a value
//! read from a live machine and one read from a recording are the same thing. The crate depends on neither the engine
//! that runs the guest nor on DWARF.

pub mod event;
pub mod finding;
pub mod ids;
pub mod moment;
pub mod recording;
pub mod trace;
pub mod value;

pub use event::{AccessKind, Context, Event, Frame, Outcome, RunnerReport, RunnerState, Totals, WatchHit, Writer};
pub use finding::{Area, Change, Cost, Detector, Finding, UnknownDetector};
pub use ids::{CodeAddress, CodeOffset, Cpu, ModuleId, RunnerId, TaskId};
pub use moment::{GuestTime, Tick};
pub use value::WasmValue;

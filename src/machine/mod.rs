//! The machine: a guest kernel's CPUs, tasks, clock and devices, on one thread.
//!
//! ```text
//! MachineConfig ─▶ Machine::new ─▶ Machine::run ─▶ Output… ─▶ (Outcome, Totals)
//!                                    ▲  │
//!                         Command… ──┘  └─ picks a runner, resumes its fiber, charges its ticks, fires timeouts
//! ```
//!
//! Invariants:
//! - The same configuration and the same commands at the same ticks make the same run, whatever is compiled in to
//!   observe it. Nothing of the host's (time, addresses, order of hash maps) reaches the guest.
//! - Exactly one fiber runs at a time, and only inside of [`Machine::run`].
//! - `core`, `runners`, `schedule`, `watch` and `console` know nothing of Wasmtime.

/// The version of the machine's behaviour: of equal versions, equal configurations and input make equal runs. Raise it
/// with every change after which they would not (order of draws, cost of ticks, what a host call does): recordings of
/// another version are refused.
pub const SEMANTICS: u32 = 3;

mod attended;
mod config;
mod console;
mod core;
mod debug;
mod detect;
pub mod engine;
mod executor;
mod host;
mod images;
mod journal;
pub mod memory;
mod one_thread;
mod own_offset;
mod runners;
mod schedule;
mod table;
mod tracing;
mod watch;

pub use config::{Cache, MachineConfig, Pace, Quirk, WatchRange};
pub use core::Output;
pub use debug::{Answer, Answered, Place, Request};
pub use detect::{BadRule, DetectConfig, GuardRule};
pub use executor::{COMMAND_LINE_SIZE, Command, Machine, MachineError, Port, Side};
pub use journal::JournalConfig;
pub use schedule::Policy;
pub use tracing::{IRQ_FUNCTIONS, TaskLayout, TraceConfig};
pub use watch::WatchError;

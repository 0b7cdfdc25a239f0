//! The supervisor's side of a machine under a debugger.
//!
//! ```text
//! gdb server, REPL, UI ─▶ Inferior ─▶ Live ─▶ Link ─▶ machine process
//!                                      ▲                    │
//!                    notices, answers ─┴────────────────────┘
//! ```
//!
//! A [`Rewindable`] is a machine with a past: copies of its process are what it goes back to. What came from outside to
//! the machine is kept, and given to the copies that run again.

mod alarm;
mod branch;
mod foresight;
mod live;
mod relay;
mod rewindable;
mod tapped;

pub use branch::Fork;
pub use live::{Link, Live};
pub use relay::{Relay, Variants};
pub use rewindable::Rewindable;
pub use tapped::{Tap, Tapped};

//! Going back in time: a run that can be copied, and run again from any of its copies.
//!
//! ```text
//!   origin      checkpoint        checkpoint          present
//!     ●───────────●──────────────────●────────────────────●      (the run)
//!                 ╰─ copy ─▶ runs again, to count what stops it ─▶ limit
//!                 ╰─ copy ─▶ runs again, to the last of these stops: the new position
//! ```
//!
//! A run is deterministic, so a copy of it that runs again does the same, wherever it stops on its way. Nothing is ever
//! undone: to go backwards is to run a copy of an earlier state forwards, to the place that lies before the present.
//!
//! [`TimeTravel`] is an [`Inferior`] over a [`Branch`]: something that runs and can be copied. It takes the copies
//! (checkpoints) while the run goes forwards, and keeps few enough of them.

mod backward;
mod checkpoints;
mod engine;
mod going;
mod history;
mod inferior;
mod job;
mod near;
mod search;
mod steps;
mod trail;
mod travel;

use crate::inferior::{Inferior, Result};

pub use crate::inferior::{CheckpointInfo, Goal, Limits, Position};
pub use travel::TimeTravel;

/// A run that can be copied.
pub trait Branch: Inferior + Send + Sized + 'static {
    /// A copy of it, stopped where it is stopped. It keeps the breakpoints and watches that are set.
    ///
    /// # Errors
    /// It runs, or there is no room for a copy.
    fn fork(&mut self) -> Result<Self>;

    /// What a copy of it costs now, in bytes: memory that it does not share with others.
    fn cost(&self) -> u64;

    /// Takes over what came from outside since the copy was made, so that it does the same as `present` did.
    ///
    /// # Errors
    /// One of the two is gone.
    fn follow(&mut self, present: &mut Self) -> Result<()>;
}

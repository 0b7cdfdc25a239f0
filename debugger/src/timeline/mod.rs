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
//! Where a stop or a write is looked for, parts of history are left out that cannot have it: a run tells the *footprint* of
//! each part, which is what was written and run there. A footprint may have more than there was, never less.
//!
//! [`TimeTravel`] is an [`Inferior`] over a [`Branch`]: something that runs and can be copied. It takes the copies
//! (checkpoints) while the run goes forwards, and keeps few enough of them.

mod backward;
mod checkpoints;
mod engine;
mod footprint;
mod going;
mod history;
mod inferior;
mod job;
mod near;
mod search;
mod steps;
mod survey;
mod trail;
mod travel;

use wkdb_tracer::CodeAddress;

use crate::inferior::{Inferior, Result};

pub use crate::inferior::{CheckpointInfo, Goal, Limits, Position};
pub use footprint::{CodeMark, Footprint, LINE, Surveyed};
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

    /// What it has done since the last footprint that began anew, where the first one begins; `anew`: the next one tells of
    /// what comes from here on. None if that is not known.
    ///
    /// # Errors
    /// It runs, or is gone.
    fn footprint(&mut self, anew: bool) -> Result<Option<Footprint>> {
        let _ = anew;
        Ok(None)
    }

    /// By what footprints tell that control came to this instruction; none if they do not.
    ///
    /// # Errors
    /// It is gone.
    fn mark(&mut self, address: CodeAddress) -> Result<Option<CodeMark>> {
        let _ = address;
        Ok(None)
    }

    /// From now on hits of breakpoints and watches are counted and neither stop it nor are told, and the ticks of the last
    /// `keep` remembered; without, they stop it again. Gives what was counted before. None if it cannot count.
    ///
    /// # Errors
    /// It runs, or is gone.
    fn survey(&mut self, keep: Option<usize>) -> Result<Option<Surveyed>> {
        let _ = keep;
        Ok(None)
    }
}

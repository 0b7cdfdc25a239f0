//! Two processes: the supervisor has the terminal, the files and the symbols; the machine process has the guest.
//!
//! ```text
//! supervisor ── Start, Input, Quit, Ask ─▶ machine process (wkdb __machine)
//!            ◀─ Console, Event, Module, Stopped, Answer, Ended ──
//! ```

mod child;
mod fork;
pub mod protocol;
mod supervisor;

pub use child::run as run_machine_process;
pub use supervisor::{ALLOCATOR, MACHINE_SUBCOMMAND, MachineProcess};

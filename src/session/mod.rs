//! The supervisor's side of a machine under a debugger.
//!
//! ```text
//! gdb server, REPL, UI ─▶ Inferior ─▶ Live ─▶ Link ─▶ machine process
//!                                      ▲                    │
//!                    notices, answers ─┴────────────────────┘
//! ```

mod branch;
mod foresight;
mod live;
mod tapped;

pub use live::{Link, Live};
pub use tapped::Tapped;

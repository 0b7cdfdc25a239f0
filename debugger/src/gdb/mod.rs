//! The server for stock gdb and lldb: the guest as a processor that they know.
//!
//! ```text
//! socket ─▶ wire: packets ─▶ front ──────────▶ stub (gdbstub) ─▶ target ─▶ view ─▶ Inferior
//!                              └ stop, lldb, threads: answered here          ├ stack: Wasm frames as x86 frames
//!                                                                            ├ modules, code: addresses
//!                                                                            └ registers
//!                                                 └ wasm: to lldb's own Wasm
//! ```
//!
//! [Where everything lies](crate::companion::layout) is shared with the companion, the file that the client reads its
//! symbols from, over the same connection.
//!
//! Nothing here waits or starts a thread. A client may send anything and leave at any time: what it set is taken away,
//! and the guest goes on.

mod arch;
mod attention;
mod code;
mod disas;
mod files;
mod front;
mod link;
mod lldb;
mod modules;
mod monitor;
mod names;
mod points;
mod registers;
mod server;
mod stack;
mod stop;
mod stub;
mod target;
mod threads;
mod view;
mod wasm;
mod wire;

#[cfg(test)]
mod tests;

pub use files::{BuildCompanions, Companions};
pub use monitor::{BasicCommands, MonitorCommands, Remark};
pub use names::KernelNames;
pub use server::{Protocol, Server, ServerError, ServerEvent, ServerParts};
pub use threads::TaskNames;

/// A script for gdb's `source`: Wasm disassembly for `x/i` and `disassemble`, and `info wkdb`.
pub const GDB_SCRIPT: &str = include_str!("wkdb-gdb.py");

//! What a debugger knows about a guest that does not depend on what runs it: symbols, C expressions over them, and the
//! port ([`inferior`]) through which everything is asked of the guest.

pub mod commands;
pub mod companion;
pub mod explain;
pub mod expr;
pub mod gdb;
pub mod inferior;
pub mod kernel;
pub mod symbols;
pub mod timeline;
pub mod tui;

//! What a debugger knows about a guest that does not depend on what runs it.

pub mod symbols;

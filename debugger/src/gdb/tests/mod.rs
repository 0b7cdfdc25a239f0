//! The server against an inferior that does what a test says.

mod fake;
mod fuzz;
mod lldb;
mod monitor;
mod sessions;
mod transcripts;
mod wasm;

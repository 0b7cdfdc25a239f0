//! The Wasm kernel debugging workbench.

pub mod cli;
pub mod code_cache;
pub mod condition;
pub mod contract;
pub mod demo;
pub mod hunt;
pub mod instrument;
pub mod machine;
pub mod process;
pub mod recording;
mod report;
pub mod script;
pub mod session;
pub mod units;
mod watch_arg;

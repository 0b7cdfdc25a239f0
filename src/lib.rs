//! The Wasm kernel debugging workbench.

pub mod code_cache;
pub mod condition;
pub mod contract;
pub mod script;
pub mod units;

//! The Wasm kernel debugging workbench.

pub mod contract;

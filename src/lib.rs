//! The Wasm kernel debugging workbench.

pub mod instrument;

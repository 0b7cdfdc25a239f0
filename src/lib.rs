//! The Wasm kernel debugging workbench.

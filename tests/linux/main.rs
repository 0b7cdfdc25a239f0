//! The bundled Linux on the machine: it boots, works, and does so the same way every time.

mod bugs;
#[path = "../support/collect.rs"]
mod collect;
mod commands;
mod gdb_scripts;
mod run;
mod sources;
mod stress;

//! The bundled Linux on the machine: it boots, works, and does so the same way every time.

mod bugs;
mod commands;
mod run;
mod sources;
mod stress;

//! `wkdb hunt`: many seeds of one guest. What goes wrong is found, grouped and counted right, with a recording of each
//! kind; a hunt that is stopped, killed, cut into parts or starved of disk loses nothing, and takes nothing for good that
//! was not run to its end.

mod dice;
mod groups;
mod linux;
mod parts;
#[allow(dead_code, reason = "has kernels for other tests")]
#[path = "../cli/program.rs"]
mod program;
mod races;
mod refused;
mod stopped;

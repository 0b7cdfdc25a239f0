//! Traces of recordings: what they tell, that telling it changes nothing, and that other programs can read them.

mod exports;
mod guest;
mod probes;
mod profile;
#[path = "../cli/program.rs"]
mod program;
mod told;

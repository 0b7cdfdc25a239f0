//! Traces of recordings: what they tell, that telling it changes nothing, and that other programs can read them.

mod exports;
mod guest;
mod probes;
mod profile;
#[allow(dead_code, reason = "other tests use more of it")]
#[path = "../cli/program.rs"]
mod program;
mod told;

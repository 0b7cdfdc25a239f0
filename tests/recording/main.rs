//! Recordings: every run can be replayed exactly, in every variant; whatever happens to the recorder or its file, what
//! is left is right or says what is wrong.

mod branch;
mod changed;
mod committed;
mod damage;
mod exact;
mod killed;
mod left;
mod narrow;
#[path = "../cli/program.rs"]
mod program;
mod refused;
mod run;
mod size;

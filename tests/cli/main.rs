//! The `wkdb` program from outside: its streams, its exit codes, its processes.

mod bad_input;
mod ends;
mod info;
mod processes;
mod program;
mod terminal;

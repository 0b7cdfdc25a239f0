//! The terminal UI: the states that its screens are tested with come from real machines, and the program in a real
//! terminal (tmux), from its start to the stray store that a planted bug makes.

mod latency;
mod live;
mod machine;
mod panic;
mod pressed;
mod recorded;
mod terminal;
mod tmux;

//! Sessions on the toy machine.

mod looking;
mod past;
mod sessions;
mod toy;
mod typed;

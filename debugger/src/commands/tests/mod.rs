//! Sessions on the toy machine.

mod looking;
mod sessions;
mod toy;
mod typed;

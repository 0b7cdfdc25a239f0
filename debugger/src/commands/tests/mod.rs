//! Sessions on the toy machine.

mod looking;
mod past;
mod sessions;
pub(crate) mod toy;
mod typed;

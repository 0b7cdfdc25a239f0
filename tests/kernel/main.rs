//! The kernel's views of guests that run: they agree with what the guest says of itself under /proc, and say what is
//! wrong where a bug was planted.

mod inspect;
mod linux;
mod minik;
mod planted;
mod seen;

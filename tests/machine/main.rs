//! The machine against its contract: small kernels in WAT that do one thing each.

mod guest;
mod imports;
mod life;
mod signals;
mod traps;
mod user;
mod waits;

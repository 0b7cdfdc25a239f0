//! The machine against its contract: small kernels in WAT that do one thing each.

mod debugger;
mod determinism;
mod ends;
mod guest;
mod imports;
mod life;
mod reads;
mod recursion;
mod refused;
mod signals;
mod stacktrace;
mod traps;
mod user;
mod waits;
mod wasm64;
mod watch;

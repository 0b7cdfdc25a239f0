//! minik, the demo guest, on the machine: the whole contract at once, and the same way every time.

mod bugs;
#[path = "../support/collect.rs"]
mod collect;
mod contract;
mod determinism;
mod run;
mod sources;

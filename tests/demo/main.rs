//! minik, the demo guest, on the machine: the whole contract at once, and the same way every time.

mod bugs;
mod contract;
mod determinism;
mod run;
mod sources;

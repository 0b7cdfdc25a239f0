//! The rewriting pass, seen from outside.

mod behaviour;
mod generated;
mod guests;
mod hosted;
mod identity;
mod machine;
mod refusals;
mod programs;
mod sections;
mod snapshots;
mod stores;

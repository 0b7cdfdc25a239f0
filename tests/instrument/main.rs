//! The rewriting pass, seen from outside.

mod behaviour;
mod generated;
mod guests;
mod hosted;
mod identity;
mod machine;
mod programs;
mod refusals;
mod sections;
mod snapshots;
mod stack;
mod stack_pointer;
mod stores;

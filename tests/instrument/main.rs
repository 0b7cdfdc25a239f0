//! The rewriting pass, seen from outside.

mod behaviour;
mod generated;
mod identity;
mod machine;
mod snapshots;
mod stores;

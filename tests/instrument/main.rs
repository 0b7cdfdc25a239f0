//! The rewriting pass, seen from outside.

mod snapshots;

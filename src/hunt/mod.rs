//! Hunting for a bug that shows on some schedules: one guest, many seeds, and what went wrong in how many of them.
//!
//! ```text
//! Plan ─▶ engine ─▶ runs, a machine process each ─▶ judge ─▶ Results (DIR/hunt.jsonl) ─▶ Summary
//!            └─ the shortest run of each symptom once more, recorded ─▶ DIR/….wkr
//! ```
//!
//! What is known lies in the results alone, a line for every seed: a hunt that was stopped, or killed, goes on from
//! there, and the results of several machines are joined by joining their lines. Recordings follow from the results,
//! as any seed can be run again; so a run is not recorded before it is known that it is the one to keep.
//!
//! [`plan`]: which seeds; [`run`]: one run; [`console`]: what a kernel says about itself when something is wrong;
//! [`judge`]: what a run showed, as a [`symptom`]; [`results`]: the file; [`merge`]: several of them; [`summary`]: groups
//! and probabilities; [`kept`]: the recordings; [`engine`]: all of it together.

pub mod console;
pub mod engine;
pub mod judge;
pub mod kept;
pub mod merge;
pub mod plan;
pub mod results;
pub mod run;
pub mod summary;
pub mod symptom;

pub use engine::{Ended, Hunt, HuntError, Progress, Stop};
pub use judge::Judge;
pub use plan::{Plan, SeedRange, Shard};
pub use results::{Configuration, Results, ResultsError, ResultsFile};
pub use summary::Summary;
pub use symptom::{Kind, Symptom};

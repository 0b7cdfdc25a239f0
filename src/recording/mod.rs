//! Recording runs of the machine and replaying them: what `wkdb_tracer::recording` leaves to the one who knows the
//! machine.
//!
//! ```text
//! MachineConfig, guest files ─▶ RunRecorder ─▶ file.wkr ─▶ Replayable ─▶ MachineConfig (with the file as its journal)
//! ```
//!
//! [`machine_record`] is the machine's configuration as it stands in a recording; [`recorder`] writes a run down, or keeps
//! it until it is known whether it ends badly; [`replayable`] opens a recording and finds its guest; [`narrow`] finds
//! where two runs that should be one part.

pub mod machine_record;
pub mod narrow;
pub mod recorder;
pub mod replayable;
mod stamp;

pub use machine_record::MachineRecord;
pub use recorder::{RunRecorder, Target};
pub use replayable::{ReplayError, Replayable};

use wkdb_tracer::recording::FileRole;

/// The BLAKE3 of a file, as recordings have it.
pub fn file_hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// What a role is called.
pub(crate) fn role_name(role: FileRole) -> &'static str {
    match role {
        FileRole::Kernel => "kernel",
        FileRole::Initramfs => "initramfs",
    }
}

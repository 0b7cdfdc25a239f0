//! The first and the last block: what was run, and how it ended.

use serde::{Deserialize, Serialize};

use crate::{Outcome, Totals};

/// What a file is to the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileRole {
    /// The kernel module.
    Kernel,
    /// The initramfs.
    Initramfs,
}

/// A file that the run was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFile {
    /// What it was used as.
    pub role: FileRole,
    /// What it was called, without its directory.
    pub name: String,
    /// Bytes.
    pub len: u64,
    /// Its BLAKE3, in 64 hexadecimal digits.
    pub hash: String,
    /// Whether it is meant to be in the recording.
    pub embedded: bool,
}

/// What a run was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of wkdb that recorded it, in words.
    pub wkdb: String,
    /// The version of the machine's behaviour: of equal versions, equal configurations make equal runs. A replay by a
    /// machine of another version would be another run.
    pub semantics: u32,
    /// When it was recorded, in seconds since 1970. Nothing in the run depends on it.
    pub recorded_at: u64,
    /// The files of the guest.
    pub files: Vec<GuestFile>,
    /// The machine's configuration; the machine's to read.
    pub machine: serde_json::Value,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// What ended it.
    pub outcome: Outcome,
    /// What it amounts to.
    pub totals: Totals,
}

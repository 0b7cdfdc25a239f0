//! What can be wrong with a recording.

use std::io;

use super::block::FORMAT_VERSION;

/// How a part of a recording is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A block's header does not have the checksum that it should.
    #[error("a block's header is damaged")]
    BlockHeader,
    /// A block's contents do not have the checksum that they should.
    #[error("a block's checksum is wrong")]
    Checksum,
    /// A block of a kind that this version does not have.
    #[error("a block is of the unknown kind {0}")]
    UnknownBlock(u8),
    /// The checksums are right and the contents make no sense.
    #[error("a block's contents make no sense: {0}")]
    Contents(&'static str),
    /// Something follows the end.
    #[error("there is more behind the end")]
    BehindEnd,
}

/// Why a file cannot be opened as a recording.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
    /// It is something else.
    #[error("this is no recording of wkdb's: it does not begin like one")]
    NotARecording,
    /// Its first bytes are damaged.
    #[error("the recording's first {0} bytes are damaged; nothing can be read from it")]
    Start(u64),
    /// It ends before anything could be read.
    #[error("the recording was cut off after {0} bytes, before it says what was run; there is nothing to replay")]
    Empty(u64),
    /// A later wkdb wrote it.
    #[error(
        "the recording has version {0} of the format and this wkdb reads up to {FORMAT_VERSION}: use a newer wkdb, \
         at least the one that recorded it"
    )]
    Newer(u32),
    /// There never was such a version.
    #[error("the recording claims version {0} of the format, which there never was: it is damaged")]
    Version(u32),
    /// Its header cannot be understood.
    #[error("the recording's header makes no sense: {0}")]
    Header(String),
}

/// Why reading a recording ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
    /// It is damaged.
    #[error("the recording is damaged at byte {at}: {damage}; what comes before is whole")]
    Damaged {
        /// Where the block begins.
        at: u64,
        /// How.
        damage: Damage,
    },
    /// A file of the guest's is not all there.
    #[error("{name} is not whole in the recording: byte {at} is missing; name the file, whose hash is {hash}")]
    Missing {
        /// The file.
        name: String,
        /// The first byte that is missing.
        at: u64,
        /// Its BLAKE3.
        hash: String,
    },
}

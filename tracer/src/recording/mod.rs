//! Recordings: a run as a file (`.wkr`) that can be run again, exactly.
//!
//! ```text
//! machine ─▶ (Position, Entry)… ─▶ Recorder ─▶ Writer ─▶ file.wkr ─▶ Recording ─▶ Entries ─┬▶ machine (inputs, places)
//!                                  (a thread)                                              └▶ Verifier ◀─ replay
//! ```
//!
//! The machine is deterministic, so what a recording needs is little: what the machine was made from, what came from
//! outside and where exactly, and hashes to know that a replay is the same run. Console output and events are in it so
//! that it can be read without being run.
//!
//! # The format, version 1
//!
//! All numbers are little-endian. A file is 16 bytes and then blocks, one behind the other; it only ever grows.
//!
//! | at | bytes | file header |
//! | --- | --- | --- |
//! | 0 | 8 | `89 57 4b 52 0d 0a 1a 0a` (`\x89WKR\r\n\x1a\n`: a file that was sent as text shows) |
//! | 8 | 4 | version of the format |
//! | 12 | 4 | low half of the XXH3-64 of the 12 bytes before |
//!
//! | at | bytes | block header |
//! | --- | --- | --- |
//! | 0 | 1 | kind: 1 header, 2 piece of a file, 3 entries, 4 end |
//! | 1 | 1 | flags: 1: the body is a zstd frame |
//! | 2 | 2 | 0 |
//! | 4 | 4 | bytes of payload that follow the block header |
//! | 8 | 4 | bytes of the body when it is unpacked; at most 16 MiB |
//! | 12 | 4 | low half of the XXH3-64 of the 12 bytes before, seeded with the checksum of the block before |
//! | 16 | 8 | XXH3-64 of the payload, seeded with the checksum of the block before plus the 4 bytes at 12 |
//!
//! The checksums form a chain (before the first block: the XXH3-64 of the file header), so a block that is missing or
//! in another place shows as well as one that is damaged. The headers alone are enough to find all blocks.
//!
//! | kind | payload | how many |
//! | --- | --- | --- |
//! | header | [`Header`] as JSON | one, the first |
//! | piece of a file | number of the file in [`Header::files`] (u32), offset in it (u64), then its bytes | any |
//! | entries | [`Position`] before the first (3 × u64), then entries in postcard, each position a difference | any |
//! | end | [`End`] as JSON | one, the last; none where the run was cut off |
//!
//! The body is what follows the fixed numbers of the payload. Entries and events are postcard: their enums only ever
//! grow at the end; any other change of them is a new version of the format. A reader takes its own version and those
//! before it. A replay also needs the machine that the recording was made by to behave the same: see
//! [`Header::semantics`].
//!
//! What came from outside came between two slices, where the position's `slices` and `time` say it all; or, by a debugger's
//! hand, in the middle of one ([`Intervention::InSlice`]): at the position's tick, before an instruction. A replay comes
//! to such a place by breakpoints, in code for debugging; all else can be replayed in any code.
//!
//! Invariants:
//! - Whatever the bytes, reading gives a prefix of what was written or an error that says where; never a panic, and
//!   never more memory than a block may take.
//! - A writer that fails leaves the blocks before whole.

mod block;
mod entry;
mod error;
mod header;
mod index;
mod reader;
mod recorder;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use block::{BlockKind, FORMAT_VERSION};
pub use entry::{Check, CodePlace, Entry, Intervention, Position};
pub use error::{Damage, OpenError, ReadError};
pub use header::{End, FileRole, GuestFile, Header};
pub use reader::{Ending, Entries, Recording, Share};
pub use recorder::{RecordError, Recorder};
pub use verify::{Difference, Divergence, Verified, Verifier};
pub use writer::{PIECE, Packed, Sink, Writer, pack};

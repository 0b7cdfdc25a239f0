//! Blocks: the frame around everything in a recording. The format is in the module's header.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::error::Damage;

/// The version of the format that is written, and the newest that can be read.
pub const FORMAT_VERSION: u32 = 1;

/// How a recording begins.
pub(super) const MAGIC: [u8; 8] = *b"\x89WKR\r\n\x1a\n";
/// Bytes before the first block.
pub(super) const FILE_HEADER: usize = 16;
/// Bytes before a block's payload.
pub(super) const BLOCK_HEADER: usize = 24;
/// The largest body of a block, unpacked, in bytes: what reading one may cost.
pub(super) const MAX_BODY: usize = 16 << 20;
/// The largest payload: a body that does not get smaller, and the numbers before it.
const MAX_PAYLOAD: usize = MAX_BODY + 64;
/// The body is a zstd frame.
pub(super) const PACKED: u8 = 1;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockKind {
    /// What the run was made from.
    Header,
    /// A piece of a file of the guest's.
    Piece,
    /// What happened.
    Entries,
    /// How it ended.
    End,
}

impl BlockKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [BlockKind::Header, BlockKind::Piece, BlockKind::Entries, BlockKind::End].into_iter().find(|k| k.byte() == byte)
    }

    fn byte(self) -> u8 {
        match self {
            BlockKind::Header => 1,
            BlockKind::Piece => 2,
            BlockKind::Entries => 3,
            BlockKind::End => 4,
        }
    }

    /// Bytes of fixed numbers at the beginning of its payload.
    pub(super) fn prefix(self) -> usize {
        match self {
            BlockKind::Header | BlockKind::End => 0,
            BlockKind::Piece => 12,
            BlockKind::Entries => 24,
        }
    }
}

/// A block's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockHeader {
    pub(super) kind: BlockKind,
    pub(super) packed: bool,
    /// Bytes of payload.
    pub(super) payload: u32,
    /// Bytes of the body, unpacked.
    pub(super) body: u32,
    /// Of the payload; also the seed for the next block.
    pub(super) checksum: u64,
    /// What `checksum` is seeded with.
    seed: u64,
}

impl BlockHeader {
    /// The header for `payload`, behind a block whose checksum is `before`.
    pub(super) fn of(kind: BlockKind, packed: bool, payload: &[u8], body: u32, before: u64) -> BlockHeader {
        let mut header = BlockHeader { kind, packed, payload: payload.len() as u32, body, checksum: 0, seed: 0 };
        header.seed = seed(before, header.check(before));
        header.checksum = xxh3_64_with_seed(payload, header.seed);
        header
    }

    fn first_bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[0] = self.kind.byte();
        bytes[1] = if self.packed { PACKED } else { 0 };
        bytes[4..8].copy_from_slice(&self.payload.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.body.to_le_bytes());
        bytes
    }

    fn check(&self, before: u64) -> u32 {
        xxh3_64_with_seed(&self.first_bytes(), before) as u32
    }

    /// As it stands in the file behind a block whose checksum is `before`.
    pub(super) fn to_bytes(self, before: u64) -> [u8; BLOCK_HEADER] {
        let mut bytes = [0; BLOCK_HEADER];
        bytes[..12].copy_from_slice(&self.first_bytes());
        bytes[12..16].copy_from_slice(&self.check(before).to_le_bytes());
        bytes[16..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// Reads a header.
    pub(super) fn parse(bytes: &[u8; BLOCK_HEADER], before: u64) -> Result<BlockHeader, Damage> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let check = word(12);
        if xxh3_64_with_seed(&bytes[..12], before) as u32 != check {
            return Err(Damage::BlockHeader);
        }
        let kind = BlockKind::from_byte(bytes[0]).ok_or(Damage::UnknownBlock(bytes[0]))?;
        let (payload, body) = (word(4), word(8));
        let plausible = payload as usize <= MAX_PAYLOAD
            && body as usize <= MAX_BODY
            && payload as usize >= kind.prefix()
            && bytes[1] & !PACKED == 0
            && bytes[2..4] == [0, 0];
        if !plausible {
            return Err(Damage::BlockHeader);
        }
        let mut checksum = [0; 8];
        checksum.copy_from_slice(&bytes[16..]);
        let checksum = u64::from_le_bytes(checksum);
        Ok(BlockHeader { kind, packed: bytes[1] & PACKED != 0, payload, body, checksum, seed: seed(before, check) })
    }

    /// Whether this is the payload.
    pub(super) fn is_of(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload as usize && xxh3_64_with_seed(payload, self.seed) == self.checksum
    }

    /// The unpacked body of a payload.
    pub(super) fn unpack(&self, payload: &[u8]) -> Result<Vec<u8>, Damage> {
        let stored = payload.get(self.kind.prefix()..).ok_or(Damage::Contents("too short"))?;
        let body = match self.packed {
            false => stored.to_vec(),
            true => zstd::bulk::decompress(stored, self.body as usize)
                .map_err(|_| Damage::Contents("cannot be unpacked"))?,
        };
        match body.len() == self.body as usize {
            true => Ok(body),
            false => Err(Damage::Contents("has another length than it says")),
        }
    }
}

fn seed(before: u64, check: u32) -> u64 {
    before.wrapping_add(u64::from(check))
}

/// The first bytes of a file, and the seed for its first block.
pub(super) fn file_header(version: u32) -> ([u8; FILE_HEADER], u64) {
    let mut bytes = [0; FILE_HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&version.to_le_bytes());
    let check = xxh3_64(&bytes[..12]) as u32;
    bytes[12..].copy_from_slice(&check.to_le_bytes());
    (bytes, xxh3_64(&bytes))
}

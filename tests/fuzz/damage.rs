//! Ways to damage a module.

use wasmparser::{BinaryReader, Parser};

/// A sequence of numbers that depends on its seed alone (SplitMix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, or 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % (limit.max(1) as u64)) as usize
    }
}

/// Where the sections of a whole module begin and end: id, contents, end.
pub(super) fn boundaries(module: &[u8]) -> Vec<usize> {
    let mut places = vec![0, 4, 8];
    for payload in Parser::new(0).parse_all(module) {
        if let Some((_, range)) = payload.unwrap().as_section() {
            places.extend([range.start, range.end]);
        }
    }
    places.sort_unstable();
    places.dedup();
    places
}

/// A damaged copy: one to four kinds of damage.
pub(super) fn damage(module: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = module.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        let length = random.below(16).min(bytes.len() - at);
        match random.below(8) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, 0x60][random.below(6)],
            3 => drop(bytes.drain(at..at + length)),
            4 => {
                let copy = bytes[at..at + length].to_vec();
                bytes.splice(at..at, copy);
            }
            5 => enlarge_number(&mut bytes, at),
            6 => splice_section(&mut bytes, other, random),
            _ => {
                let from = random.below(other.len());
                let length = length.min(other.len() - from);
                bytes[at..at + length].copy_from_slice(&other[from..from + length]);
            }
        }
    }
    bytes
}

/// Makes the number at a place a huge one, with its encoding whole.
fn enlarge_number(bytes: &mut Vec<u8>, at: usize) {
    let mut reader = BinaryReader::new(&bytes[at..], at);
    if reader.read_var_u32().is_ok() {
        let end = reader.original_position();
        bytes.splice(at..end, [0xff, 0xff, 0xff, 0xff, 0x0f]);
    }
}

/// Puts a whole section of another module somewhere.
fn splice_section(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let from = boundaries(other);
    let start = from[random.below(from.len())];
    let end = from[random.below(from.len())];
    let piece = other[start.min(end)..start.max(end)].to_vec();
    let at = random.below(bytes.len());
    bytes.splice(at..at, piece);
}

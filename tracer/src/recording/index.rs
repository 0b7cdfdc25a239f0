//! Where in a recording what is, without reading all of it.

use super::entry::Position;

/// Points kept at most: what the index of any recording may cost.
const LIMIT: usize = 1 << 16;

/// A block of entries from which reading can begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    /// The position before its first entry.
    pub(super) position: Position,
    /// Where the block begins.
    pub(super) at: u64,
    /// The checksum of the block before.
    pub(super) before: u64,
}

/// Blocks of entries by position: all of them, or of very many every 2nd, 4th…
#[derive(Debug, Default)]
pub(super) struct Index {
    points: Vec<Point>,
    stride: u64,
    seen: u64,
}

impl Index {
    /// The next block.
    pub(super) fn add(&mut self, point: Point) {
        let stride = self.stride.max(1);
        if self.seen.is_multiple_of(stride) {
            self.points.push(point);
        }
        self.seen += 1;
        if self.points.len() == LIMIT {
            let mut number = 0;
            self.points.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.stride = stride * 2;
        }
    }

    /// The last point that is not behind what `is_before` accepts; the points are in the order of their positions.
    pub(super) fn last_before(&self, is_before: impl Fn(Position) -> bool) -> Option<Point> {
        let behind = self.points.partition_point(|point| is_before(point.position));
        self.points.get(behind.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GuestTime, Tick};

    #[test]
    fn an_index_of_any_number_of_blocks_is_of_limited_size_and_finds_a_block_before() {
        let mut index = Index::default();
        for n in 0..300_000u64 {
            let position = Position { slices: n, tick: Tick(n * 10), time: GuestTime(n * 100) };
            index.add(Point { position, at: n, before: 0 });
        }
        assert!(index.points.len() < LIMIT);
        for tick in [0, 9, 10, 12_345, 2_999_999, u64::MAX] {
            let point = index.last_before(|position| position.tick.0 <= tick).unwrap();
            assert!(point.position.tick.0 <= tick);
            assert!((tick.min(2_999_990) - point.position.tick.0) / 10 < index.stride, "{tick}: {point:?}");
        }
        assert_eq!(index.last_before(|_| false), None);
    }
}

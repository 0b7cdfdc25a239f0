//! Which lines of memory were written: each is marked in the map until a first write into it, so that code calls the
//! host once for each.
//!
//! ```text
//!   begin: all lines marked ─▶ first write into a line: noted, its mark goes ─▶ take: those noted are told, and marked anew
//! ```

use std::ops::Range;

use crate::instrument::WATCH_LINE;

/// See the module.
#[derive(Default)]
pub(super) struct Lines {
    /// Lines from here on are not marked: memory ended there when it began.
    end: u64,
    /// Those that were written, a bit for each, and in the order in which they were.
    written: Vec<u64>,
    order: Vec<u32>,
}

impl Lines {
    /// The lines of a range of memory.
    pub(super) fn of(range: &Range<u64>) -> Range<u64> {
        range.start / WATCH_LINE..range.end.div_ceil(WATCH_LINE)
    }

    /// Whether a line is marked: not yet written.
    pub(super) fn is_marked(&self, line: u64) -> bool {
        line < self.end && self.written.get((line / 64) as usize).is_none_or(|word| word >> (line % 64) & 1 == 0)
    }

    /// A line is written: whether for the first time.
    pub(super) fn write(&mut self, line: u64) -> bool {
        if !self.is_marked(line) {
            return false;
        }
        let word = (line / 64) as usize;
        if word >= self.written.len() {
            self.written.resize(word + 1, 0);
        }
        self.written[word] |= 1 << (line % 64);
        // Below 4 GiB there are fewer than 2²⁶.
        self.order.push(line as u32);
        true
    }

    /// The first line that is not marked for certain.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Lines up to here are marked from now on. Gives those that were not.
    pub(super) fn extend(&mut self, end: u64) -> Range<u64> {
        let new = self.end..end.max(self.end);
        self.end = new.end;
        new
    }

    /// Those that were written.
    pub(super) fn written(&self) -> &[u32] {
        &self.order
    }

    /// Forgets what was written: all are marked. Gives those that were not.
    pub(super) fn clear(&mut self) -> Vec<u32> {
        for line in &self.order {
            self.written[(line / 64) as usize] = 0;
        }
        std::mem::take(&mut self.order)
    }
}

//! Hits of breakpoints and watches that are counted, and stop nothing: to find the last of many.

use std::collections::VecDeque;

use wkdb_debugger::timeline::Surveyed;
use wkdb_tracer::Tick;

/// What was met.
pub(in crate::machine) struct Survey {
    /// So many of the last ones are remembered.
    keep: usize,
    count: u64,
    last: VecDeque<Tick>,
}

impl Survey {
    pub(in crate::machine) fn new(keep: usize) -> Survey {
        Survey { keep, count: 0, last: VecDeque::new() }
    }

    /// A breakpoint or a watch was hit.
    pub(in crate::machine) fn meet(&mut self, tick: Tick) {
        self.count += 1;
        if self.last.len() == self.keep {
            self.last.pop_front();
        }
        if self.keep > 0 {
            self.last.push_back(tick);
        }
    }

    pub(in crate::machine) fn told(self) -> Surveyed {
        Surveyed { count: self.count, last: self.last.into() }
    }
}

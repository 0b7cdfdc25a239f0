//! What was written and run since a point of a run, without a call for each write: see `instrument`.

use std::collections::BTreeSet;

use wkdb_debugger::timeline::{Footprint, LINE};

use super::{Access, WatchSet};
use crate::instrument::WATCH_LINE;

/// The map's lines are those of footprints.
const _: () = assert!(WATCH_LINE == LINE);

/// What footprints are made from, besides the map.
#[derive(Default)]
pub(super) struct Kept {
    /// Lines from here on are not marked: memory ended there when the present one began.
    end: u64,
    /// Calls that were under way then, by function and offset, if all are known.
    under_way: Option<BTreeSet<(u32, u32)>>,
}

impl WatchSet {
    /// Whether the code that runs can tell footprints.
    pub(in crate::machine) fn can_tell_footprints(&self) -> bool {
        self.variant.footprint()
    }

    /// Whether footprints are kept.
    pub(in crate::machine) fn keeps_footprints(&self) -> bool {
        self.kept.is_some()
    }

    /// What was written and run since footprints were kept, or began anew; of so many functions of the kernel, and of user
    /// images. None if they are not kept.
    pub(in crate::machine) fn footprint(&self, functions: [u32; 2]) -> Option<Footprint> {
        let Kept { end, under_way } = self.kept.as_ref()?;
        let entered = self.map.functions(functions[0], functions[1], false);
        let is_watched = !self.watches.is_empty() || !self.foreign.is_empty();
        let footprint = Footprint::new(self.map.written(*end, is_watched), *end, entered);
        Some(footprint.with_under_way(under_way.as_ref()))
    }

    /// Keeps footprints that begin here: nothing was written, no function entered. Calls are under way by function and
    /// offset; none if not all are known.
    pub(in crate::machine) fn footprint_anew(&mut self, functions: [u32; 2], under_way: Option<BTreeSet<(u32, u32)>>) {
        // Marks that were set before the first one are of any functions.
        let [kernel, user] = if self.kept.is_some() { functions } else { [u32::MAX; 2] };
        let end = self.memory.size() / WATCH_LINE;
        self.map.mark_all(end);
        self.map.functions(kernel, user, true);
        self.kept = Some(Kept { end, under_way });
    }

    /// Memory is written.
    pub(in crate::machine) fn wrote(&mut self, access: Access) {
        if let (Some(kept), (Some(written), _)) = (&self.kept, access.ranges()) {
            let lines = written.start / WATCH_LINE..written.end.div_ceil(WATCH_LINE).min(kept.end);
            self.map.unmark(lines);
        }
    }
}

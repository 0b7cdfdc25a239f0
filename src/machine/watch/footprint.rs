//! What was written and run since a point of a run, without a call for each write: see `instrument`.

use wkdb_debugger::timeline::{Footprint, LINE};

use super::lines::Lines;
use super::map::{WIDEST, bits};
use super::{Access, WatchSet, range};
use crate::instrument::WATCH_LINE;

/// The map's lines are those of footprints.
const _: () = assert!(WATCH_LINE == LINE);

impl WatchSet {
    /// Whether the code that runs can tell footprints.
    pub(in crate::machine) fn can_tell_footprints(&self) -> bool {
        self.variant.footprint()
    }

    /// Whether footprints are kept.
    pub(in crate::machine) fn keeps_footprints(&self) -> bool {
        self.lines.is_some()
    }

    /// Keeps footprints from now on.
    pub(in crate::machine) fn keep_footprints(&mut self) {
        let mut lines = Lines::default();
        self.map.fill(lines.extend(self.memory.size() / WATCH_LINE));
        self.map.functions(u32::MAX, u32::MAX, true);
        self.lines = Some(lines);
    }

    /// What was written and run since footprints were kept, or began anew; of so many functions of the kernel, and of user
    /// images. None if they are not kept.
    pub(in crate::machine) fn footprint(&self, functions: [u32; 2]) -> Option<Footprint> {
        let lines = self.lines.as_ref()?;
        let entered = self.map.functions(functions[0], functions[1], false);
        Some(Footprint::new(lines.written().to_vec(), lines.end(), entered))
    }

    /// Begins anew: nothing was written, and of functions those were entered whose marks these are.
    pub(in crate::machine) fn footprint_anew(&mut self, functions: [u32; 2], under_way: impl Iterator<Item = u32>) {
        let Some(lines) = &mut self.lines else { return };
        for line in lines.clear() {
            self.map.put(line.into(), 0xff);
        }
        self.map.fill(lines.extend(self.memory.size() / WATCH_LINE));
        self.map.functions(functions[0], functions[1], true);
        self.map.enter(under_way);
    }

    /// Memory is written.
    pub(in crate::machine) fn wrote(&mut self, access: Access) {
        let (Some(_), (Some(written), _)) = (&self.lines, access.ranges()) else { return };
        for line in Lines::of(&written) {
            if self.lines.as_mut().is_some_and(|lines| lines.write(line)) {
                let watched = self.bits(line);
                self.map.put(line, watched);
            }
        }
    }

    /// The bits of a line that stand for what is watched.
    fn bits(&mut self, line: u64) -> u8 {
        let near = line * WATCH_LINE..(line + 1) * WATCH_LINE + WIDEST;
        let foreign = self.foreign.range(..near.end).rev().take_while(|(_, end)| **end > near.start);
        let foreign = foreign.fold(0, |all, (&start, &end)| all | bits(line, &(start..end), true));
        if self.watches.is_empty() {
            return foreign;
        }
        let watches = self.intervals.overlapping(&near);
        let specs = watches.iter().filter_map(|id| self.watches.get(id));
        specs.fold(foreign, |all, spec| all | bits(line, &range(spec), true))
    }

    /// What was taken from the map may have been marks of lines: these stay until they are written.
    pub(super) fn mark_lines(&self, changed: &std::ops::Range<u64>) {
        let Some(lines) = &self.lines else { return };
        let near = changed.start.saturating_sub(WIDEST)..changed.end;
        let last = Lines::of(&near).end.min(lines.end());
        for line in (Lines::of(&near).start..last).filter(|&line| lines.is_marked(line)) {
            self.map.put(line, 0xff);
        }
    }
}

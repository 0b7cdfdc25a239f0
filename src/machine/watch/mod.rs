//! Watched ranges of guest memory: which accesses touch them, and what they changed.
//!
//! ```text
//! compiled code ─▶ map: near something watched? ─▶ Core ─▶ intervals: which watches? ─▶ conditions ─▶ hits
//!                                                             shadow: the bytes before ─┘
//! ```

mod footprint;
mod intervals;
mod map;
mod shadow;

use std::collections::BTreeMap;
use std::ops::Range;

use wkdb_debugger::inferior::{PlaceFilter, Places, WatchId, WatchKind, WatchSpec};
use wkdb_tracer::{AccessKind, CodeAddress, Cpu, RunnerId};

use super::memory::{GuestMemory, MemoryError};
use crate::code_cache::Variant;
use footprint::Kept;
use intervals::Intervals;
use map::WIDEST;
pub(super) use map::WatchMap;
use shadow::Shadow;

/// Why a range cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// Without a byte.
    #[error("a watched range of 0 bytes at {0:#x}: give a length of at least 1")]
    Empty(u64),
    /// What is no memory.
    #[error(
        "a watched range of {len} bytes at {address:#x} is outside: the guest's memory can grow to {limit:#x} bytes"
    )]
    Outside {
        /// Its first byte.
        address: u64,
        /// Its length in bytes.
        len: u64,
        /// The most bytes that the guest's memory can have.
        limit: u64,
    },
    /// A comparison with more or fewer bytes than are watched.
    #[error("{given} bytes to compare with are given for a watched range of {len} bytes: give as many")]
    Compared {
        /// How many bytes are given.
        given: usize,
        /// How many are watched.
        len: u64,
    },
    /// The code was compiled without the checks that it needs.
    #[error("the guest's code was compiled without checks of its {0}: start it with them to watch these")]
    NoChecks(&'static str),
}

/// An access to memory, after it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Bytes were written.
    Write { address: u64, len: u64 },
    /// Bytes were read.
    Read { address: u64, len: u64 },
    /// Bytes were read, and then written.
    Exchange { address: u64, len: u64 },
    /// Bytes were copied from one place to another.
    Copy { to: u64, from: u64, len: u64 },
}

impl Touched {
    /// Whether the watch is one of the machine's own.
    pub(super) fn is_own(&self) -> bool {
        self.watch.0 >= OWN
    }
}

impl Access {
    /// What it wrote.
    pub(super) fn written(self) -> Option<Range<u64>> {
        self.ranges().0
    }

    /// What it wrote, and what it read.
    fn ranges(self) -> (Option<Range<u64>>, Option<Range<u64>>) {
        let range = |address: u64, len: u64| Some(address..address.saturating_add(len));
        match self {
            Access::Write { address, len } => (range(address, len), None),
            Access::Read { address, len } => (None, range(address, len)),
            Access::Exchange { address, len } => (range(address, len), range(address, len)),
            Access::Copy { to, from, len } => (range(to, len), range(from, len)),
        }
    }
}

/// Whose watches an access touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Touches {
    /// Nobody's.
    Nothing,
    /// The machine's own alone.
    Own,
    /// Somebody else's.
    Others,
}

/// Who accessed memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    pub(super) runner: Option<RunnerId>,
    pub(super) cpu: Option<Cpu>,
    /// The instruction; none of the host's own.
    pub(super) place: Option<CodeAddress>,
}

/// The part of a watch that an access touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) watch: WatchId,
    pub(super) kind: AccessKind,
    /// First byte of the overlap.
    pub(super) address: u64,
    /// The overlap before the access.
    pub(super) old: Vec<u8>,
    /// The overlap after the access; of a read, what was read.
    pub(super) new: Vec<u8>,
    /// The whole access.
    pub(super) access: Range<u64>,
    /// Whether the machine is to stop.
    pub(super) stop: bool,
}

/// The names of watches that are the machine's own begin here: nobody else has so many.
const OWN: u32 = 1 << 31;

/// All watches of a machine.
pub(super) struct WatchSet {
    watches: BTreeMap<WatchId, WatchSpec>,
    next: u32,
    next_own: u32,
    intervals: Intervals,
    shadow: Shadow,
    map: WatchMap,
    /// What is watched since the last call of [`WatchSet::take_fresh`].
    fresh: Vec<Range<u64>>,
    memory: GuestMemory,
    variant: Variant,
    /// What footprints are made from, if they are kept.
    kept: Option<Kept>,
    /// Ranges that are marked for the machine itself, without a watch: their ends by their starts.
    foreign: BTreeMap<u64, u64>,
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> Option<Range<u64>> {
    let overlap = a.start.max(b.start)..a.end.min(b.end);
    (!overlap.is_empty()).then_some(overlap)
}

fn range(spec: &WatchSpec) -> Range<u64> {
    spec.address..spec.address.saturating_add(spec.len)
}

impl WatchSet {
    /// Watches of `memory` by code that was compiled as `variant`.
    ///
    /// # Errors
    /// There is no room for the map.
    pub(super) fn new(memory: GuestMemory, variant: Variant) -> Result<Self, MemoryError> {
        Ok(WatchSet {
            watches: BTreeMap::new(),
            next: 0,
            next_own: OWN,
            intervals: Intervals::default(),
            shadow: Shadow::default(),
            map: WatchMap::new(variant.footprint())?,
            fresh: Vec::new(),
            memory,
            variant,
            kept: None,
            foreign: BTreeMap::new(),
        })
    }

    /// Whether nothing is watched.
    pub(super) fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Whether it matters to a watch where code is.
    pub(super) fn ask_for_places(&self) -> bool {
        self.watches.values().any(|spec| spec.condition.places.is_some())
    }

    /// The map that compiled code looks at.
    pub(super) fn map(&self) -> &WatchMap {
        &self.map
    }

    /// Watches what `spec` says. Code sees it at its next access.
    ///
    /// # Errors
    /// It is empty or no memory, or the code has no checks for it: see [`WatchError`].
    pub(super) fn insert(&mut self, spec: WatchSpec) -> Result<WatchId, WatchError> {
        let id = WatchId(self.next);
        self.insert_as(id, spec)?;
        self.next += 1;
        Ok(id)
    }

    /// The same for one of the machine's own: it has another kind of name, so that those of others stay what they are.
    ///
    /// # Errors
    /// As [`WatchSet::insert`].
    pub(super) fn insert_own(&mut self, spec: WatchSpec) -> Result<WatchId, WatchError> {
        let id = WatchId(self.next_own);
        self.insert_as(id, spec)?;
        // Names may come again once two thousand million were used.
        self.next_own = self.next_own.checked_add(1).unwrap_or(OWN);
        Ok(id)
    }

    fn insert_as(&mut self, id: WatchId, spec: WatchSpec) -> Result<(), WatchError> {
        let WatchSpec { address, len, kind, ref condition, .. } = spec;
        let limit = self.memory.limit();
        if len == 0 {
            return Err(WatchError::Empty(address));
        }
        let end = address.checked_add(len).filter(|&end| end <= limit);
        let end = end.ok_or(WatchError::Outside { address, len, limit })?;
        if let Some(bytes) = condition.equals.as_ref().filter(|bytes| bytes.len() as u64 != len) {
            return Err(WatchError::Compared { given: bytes.len(), len });
        }
        if kind != WatchKind::Write && !self.variant.loads {
            return Err(WatchError::NoChecks("reads"));
        }
        if kind != WatchKind::Read && !self.variant.stores && !self.variant.loads {
            return Err(WatchError::NoChecks("writes"));
        }
        let memory = &self.memory;
        self.shadow.update(&(address..end), &|range| read(memory, range));
        self.intervals.insert(&(address..end), id);
        self.map.set(&(address..end), true, kind != WatchKind::Write);
        self.fresh.push(address..end);
        self.watches.insert(id, spec);
        Ok(())
    }

    /// Takes a watch away; false if there is none of that name.
    pub(super) fn remove(&mut self, id: WatchId) -> bool {
        let Some(spec) = self.watches.remove(&id) else { return false };
        let gone = range(&spec);
        self.intervals.remove(id);
        self.map.set(&gone, false, true);
        self.mark_again(&gone);
        let intervals = &self.intervals;
        self.shadow.forget(&gone, |page| !intervals.overlapping(&page).is_empty());
        true
    }

    /// Marks a range on the map without a watch, so that the host is called for what is written there; or no longer. Such
    /// ranges do not overlap each other.
    pub(super) fn set_foreign(&mut self, range: &Range<u64>, marked: bool) {
        match marked {
            true => {
                self.foreign.insert(range.start, range.end);
                self.map.set(range, true, false);
            }
            false => {
                self.foreign.remove(&range.start);
                self.map.set(range, false, false);
                self.mark_again(range);
            }
        }
    }

    /// Marks what is watched, or marked without a watch, near a range whose marks were taken away.
    fn mark_again(&mut self, gone: &Range<u64>) {
        // Slots may be shared with what lies beside it.
        let slots = gone.start.saturating_sub(WIDEST) & !7..gone.end.saturating_add(WIDEST + 7) & !7;
        for id in self.intervals.overlapping(&slots) {
            let spec = self.watches.get(&id).map(|spec| (range(spec), spec.kind != WatchKind::Write));
            if let Some((range, reads)) = spec
                && let Some(both) = overlap(&range, &slots)
            {
                self.map.set(&both, true, reads);
            }
        }
        for (&start, &end) in self.foreign.range(..slots.end).rev().take_while(|(_, end)| **end > slots.start) {
            if let Some(both) = overlap(&(start..end), &slots) {
                self.map.set(&both, true, false);
            }
        }
    }

    /// What was watched since the last call: other maps have to be told.
    pub(super) fn take_fresh(&mut self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.fresh)
    }

    /// The parts of a range that are watched.
    pub(super) fn watched_in(&mut self, range: &Range<u64>) -> Vec<Range<u64>> {
        let ids = self.intervals.overlapping(range);
        let watched = ids.iter().filter_map(|id| Some(self::range(self.watches.get(id)?)));
        let foreign = self.foreign.range(..range.end).rev().take_while(|(_, end)| **end > range.start);
        watched.chain(foreign.map(|(&start, &end)| start..end)).filter_map(|watched| overlap(&watched, range)).collect()
    }

    /// Memory was changed behind the guest's back: what it holds now is what it held before the next access.
    pub(super) fn refresh(&mut self, changed: &Range<u64>) {
        let memory = &self.memory;
        for id in self.intervals.overlapping(changed) {
            if let Some(both) = self.watches.get(&id).and_then(|spec| overlap(&range(spec), changed)) {
                self.shadow.update(&both, &|range| read(memory, range));
            }
        }
    }

    /// What an access touches, whatever the watches' conditions.
    pub(super) fn overlaps(&mut self, access: Access) -> Touches {
        let (written, was_read) = access.ranges();
        let mut touches = Touches::Nothing;
        for range in [written, was_read].into_iter().flatten() {
            for id in self.intervals.overlapping(&range) {
                touches = touches.max(if id.0 >= OWN { Touches::Own } else { Touches::Others });
            }
        }
        touches
    }

    /// The watches that an access touched, if their conditions hold, in the order in which they were inserted. Each is
    /// there once: by the bytes written if it is about writes and there are some, else by those read.
    pub(super) fn touched(&mut self, access: Access, who: &Who) -> Vec<Touched> {
        let (written, was_read) = access.ranges();
        let mut ids = Vec::new();
        for range in [&written, &was_read].into_iter().flatten() {
            ids.extend(self.intervals.overlapping(range));
        }
        ids.sort_unstable();
        ids.dedup();
        let touched = ids.iter().filter_map(|id| self.watches.get_key_value(id));
        let touched = touched.filter_map(|(&id, spec)| self.hit(id, spec, &written, &was_read, who)).collect();
        if let Some(written) = written {
            self.refresh(&written);
        }
        touched
    }

    fn hit(
        &self,
        watch: WatchId,
        spec: &WatchSpec,
        written: &Option<Range<u64>>,
        was_read: &Option<Range<u64>>,
        who: &Who,
    ) -> Option<Touched> {
        let part = |access: &Option<Range<u64>>, kind: AccessKind| {
            let access = access.clone()?;
            Some((kind, overlap(&range(spec), &access)?, access))
        };
        let write = part(written, AccessKind::Write).filter(|_| spec.kind != WatchKind::Read);
        let found = write.or_else(|| part(was_read, AccessKind::Read).filter(|_| spec.kind != WatchKind::Write));
        let (kind, both, access) = found?;
        let old = self.shadow.read(&both);
        let new = match kind {
            AccessKind::Write => read(&self.memory, both.clone()),
            // A copy may have written over what it read.
            AccessKind::Read => old.clone(),
        };
        let condition = &spec.condition;
        let listed = |places: &Places| {
            who.place.is_some_and(|place| {
                places.0.iter().any(|(module, code)| *module == place.module && code.contains(&place.offset))
            })
        };
        let holds = (!condition.changed || old != new)
            && condition.equals.as_ref().is_none_or(|bytes| read(&self.memory, range(spec)) == *bytes)
            && condition.runners.as_ref().is_none_or(|all| who.runner.is_some_and(|runner| all.contains(&runner)))
            && condition.cpus.as_ref().is_none_or(|all| who.cpu.is_some_and(|cpu| all.contains(&cpu)))
            && match &condition.places {
                None => true,
                Some(PlaceFilter::In(places)) => listed(places),
                Some(PlaceFilter::NotIn(places)) => !listed(places),
            };
        holds.then_some(Touched { watch, kind, address: both.start, old, new, access, stop: spec.stop })
    }
}

/// What memory holds, as far as it reaches.
fn read(memory: &GuestMemory, range: Range<u64>) -> Vec<u8> {
    let end = range.end.min(memory.size());
    let mut bytes = memory.read_vec(range.start, end.saturating_sub(range.start)).unwrap_or_default();
    bytes.resize((range.end - range.start) as usize, 0);
    bytes
}

#[cfg(test)]
mod tests;

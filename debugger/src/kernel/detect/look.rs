//! One look at the guest: its memory by the landmarks, its CPUs and who runs on them.

use std::collections::BTreeMap;

use wkdb_tracer::{Frame, RunnerId, RunnerState};

use super::landmarks::{At, Landmarks};
use super::{Host, Kinds, MOST_SUSPECTS, Occasion, Seat, Suspect};
use crate::kernel::{LOWEST, MAX_CPUS};

/// Words that a look reads at most, stacks of sleeping tasks aside: lists of garbage end here.
const MOST_READS: u32 = 2_000_000;

/// See the module.
pub(super) struct Look<'l> {
    pub(super) marks: &'l Landmarks,
    host: &'l mut dyn Host,
    kinds: Kinds,
    pub(super) occasion: Occasion,
    pub(super) now: u64,
    seats: Vec<Seat>,
    /// By task, what its seat's number is.
    by_task: BTreeMap<u64, usize>,
    /// By CPU, likewise of who holds it.
    holders: BTreeMap<u32, usize>,
    /// The CPUs that take part, with how far their copies of per-CPU variables lie from the symbols.
    cpus: Vec<(u32, u64)>,
    suspects: Vec<Suspect>,
    reads: std::cell::Cell<u32>,
}

impl<'l> Look<'l> {
    pub(super) fn new(marks: &'l Landmarks, host: &'l mut dyn Host, kinds: Kinds, occasion: Occasion) -> Look<'l> {
        let seats = host.seats();
        let by_task = seats.iter().enumerate().map(|(number, seat)| (seat.task, number)).collect();
        let holders = seats.iter().enumerate().filter(|(_, seat)| seat.holds_cpu);
        let holders = holders.map(|(number, seat)| (seat.cpu, number)).collect();
        let now = host.now().0;
        let mut look = Look {
            marks,
            host,
            kinds,
            occasion,
            now,
            seats,
            by_task,
            holders,
            cpus: Vec::new(),
            suspects: Vec::new(),
            reads: std::cell::Cell::new(0),
        };
        look.cpus = look.online();
        look
    }

    pub(super) fn wants(&self, kind: super::Kind) -> bool {
        self.kinds.has(kind)
    }

    /// Notes something odd.
    pub(super) fn suspect(&mut self, suspect: Suspect) {
        if self.suspects.len() < MOST_SUSPECTS {
            self.suspects.push(suspect);
        }
    }

    pub(super) fn suspects(self) -> Vec<Suspect> {
        self.suspects
    }

    pub(super) fn host(&self) -> &dyn Host {
        self.host
    }

    pub(super) fn frames(&mut self, runner: RunnerId) -> Vec<Frame> {
        self.host.frames(runner)
    }

    pub(super) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    pub(super) fn seat_of(&self, task: u64) -> Option<&Seat> {
        self.seats.get(*self.by_task.get(&task)?)
    }

    pub(super) fn holder(&self, cpu: u32) -> Option<&Seat> {
        self.seats.get(*self.holders.get(&cpu)?)
    }

    /// The CPUs that take part.
    pub(super) fn cpus(&self) -> Vec<(u32, u64)> {
        self.cpus.clone()
    }

    /// Whether a CPU sleeps in its idle loop.
    pub(super) fn is_asleep(&self, cpu: u32, offset: u64) -> bool {
        let word = self.marks.raised_irqs.map(|word| word.wrapping_add(offset) & self.mask());
        self.holder(cpu).is_some_and(|seat| match seat.state {
            RunnerState::Waiting { address, deadline } => {
                // Where that has passed it is about to wake up.
                seat.idle && deadline.0 > self.now && word.is_none_or(|word| word == address)
            }
            _ => false,
        })
    }

    fn mask(&self) -> u64 {
        if self.marks.word == 8 { u64::MAX } else { u64::from(u32::MAX) }
    }

    /// A number; nothing after too many of them.
    pub(super) fn number(&self, address: u64, size: u64) -> Option<u64> {
        let reads = self.reads.get();
        if reads >= MOST_READS {
            return None;
        }
        self.reads.set(reads + 1);
        self.host.number(address & self.mask(), size)
    }

    /// A member of a structure.
    pub(super) fn at(&self, object: u64, at: At) -> Option<u64> {
        self.number(object.wrapping_add(at.offset), at.size)
    }

    /// A pointer.
    pub(super) fn word(&self, address: u64) -> Option<u64> {
        self.number(address, self.marks.word)
    }

    /// Whether an address may be that of a structure.
    pub(super) fn is_pointer(&self, address: u64) -> bool {
        address >= LOWEST && address.is_multiple_of(4) && self.word(address).is_some()
    }

    /// Whether a spin lock is held. A ticket lock is free when both of its halves are equal.
    pub(super) fn is_locked(&self, object: u64, lock: At) -> bool {
        let value = self.number(object.wrapping_add(lock.offset), 4).unwrap_or(1);
        match value {
            0 => false,
            _ => value >> 16 != value & 0xffff,
        }
    }

    fn online(&self) -> Vec<(u32, u64)> {
        let Some((offsets, room)) = self.marks.per_cpu else { return vec![(0, 0)] };
        let count = self.marks.cpu_count.and_then(|count| self.number(count, 4)).unwrap_or(room);
        let count = count.min(room).min(MAX_CPUS);
        let is_online = |cpu: u64| {
            let mask = self.marks.online?;
            Some(self.number(mask + cpu / 8, 1)? >> (cpu % 8) & 1 == 1)
        };
        let cpus = (0..count).filter(|&cpu| is_online(cpu) != Some(false));
        cpus.filter_map(|cpu| Some((cpu as u32, self.word(offsets + cpu * self.marks.word)?))).collect()
    }

    /// The entries of a circular list, `most` at most; and if it breaks, the last good entry with where that leads.
    pub(super) fn list(&self, head: u64, most: usize) -> (Vec<u64>, Option<(u64, u64)>) {
        let word = self.marks.word;
        let mut entries = Vec::new();
        let (mut before, Some(mut entry)) = (head, self.word(head)) else { return (entries, Some((head, 0))) };
        // One that was never made has no entries.
        if entry == 0 {
            return (entries, None);
        }
        while entry != head && entries.len() < most {
            if !self.is_pointer(entry) || self.word(entry.wrapping_add(word)) != Some(before) {
                return (entries, Some((before, entry)));
            }
            entries.push(entry);
            let Some(next) = self.word(entry) else { return (entries, Some((before, entry))) };
            (before, entry) = (entry, next);
        }
        (entries, None)
    }

    /// The same of a list with one pointer as its head.
    pub(super) fn hlist(&self, head: u64, most: usize) -> (Vec<u64>, Option<(u64, u64)>) {
        let mut entries = Vec::new();
        let mut from = head;
        while let Some(entry) = self.word(from).filter(|&entry| entry != 0 && entries.len() < most) {
            if !self.is_pointer(entry) || self.word(entry.wrapping_add(self.marks.word)) != Some(from) {
                return (entries, Some((from, entry)));
            }
            entries.push(entry);
            from = entry;
        }
        (entries, None)
    }
}

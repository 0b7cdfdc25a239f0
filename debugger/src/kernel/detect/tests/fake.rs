//! A guest that does not run: its memory and its runners are what the test says.

use std::collections::BTreeMap;

use wkdb_tracer::{CodeAddress, CodeOffset, Frame, GuestTime, ModuleId, RunnerId, RunnerState};

use super::super::landmarks::At;
use super::super::{Host, Kinds, Landmarks, LostBaton, MS, Occasion, Patrol, Seat, Suspect};

/// The first jiffies, at 100 a second.
pub(super) const FIRST: u64 = (1 << 32) - 30_000;

/// See the module.
pub(super) struct Guest {
    pub(super) marks: Landmarks,
    bytes: BTreeMap<u64, u8>,
    pub(super) seats: Vec<Seat>,
    pub(super) lost: Vec<LostBaton>,
    pub(super) now: u64,
    /// The functions that each runner is in, innermost first.
    pub(super) stacks: BTreeMap<RunnerId, Vec<u32>>,
}

impl Guest {
    /// One CPU that sleeps; jiffies have just begun.
    pub(super) fn new(marks: &Landmarks) -> Guest {
        let mut guest = Guest {
            marks: marks.clone(),
            bytes: BTreeMap::new(),
            seats: Vec::new(),
            lost: Vec::new(),
            now: 0,
            stacks: BTreeMap::new(),
        };
        guest.set(marks.cpu_count.unwrap(), 4, 1);
        guest.set(marks.online.unwrap(), 4, 1);
        guest.jiffies(FIRST);
        let word = marks.raised_irqs.unwrap();
        guest.seat(0x70_0000, RunnerState::Waiting { address: word, deadline: GuestTime::NEVER }, true);
        guest.seats[0].idle = true;
        guest
    }

    pub(super) fn seat(&mut self, task: u64, state: RunnerState, holds_cpu: bool) -> RunnerId {
        let runner = RunnerId(self.seats.len() as u32);
        self.seats.push(Seat { runner, task, cpu: 0, state, holds_cpu, idle: false, since: GuestTime(0) });
        runner
    }

    pub(super) fn set(&mut self, address: u64, size: u64, value: u64) {
        self.bytes.extend((address..address + size).zip(value.to_le_bytes()));
    }

    /// Memory as it was found, jiffies too.
    pub(super) fn load(&mut self, memory: &[u8]) {
        let written = (0..).zip(memory).filter(|(_, byte)| **byte != 0);
        self.bytes = written.map(|(address, &byte)| (address, byte)).collect();
    }

    pub(super) fn put(&mut self, object: u64, at: At, value: u64) {
        self.set(object + at.offset, at.size, value);
    }

    pub(super) fn jiffies(&mut self, jiffies: u64) {
        self.set(self.marks.jiffies.unwrap(), 8, jiffies);
    }

    /// A circular list, as it should be.
    pub(super) fn list(&mut self, addresses: &[u64]) {
        for (number, &address) in addresses.iter().enumerate() {
            let next = addresses[(number + 1) % addresses.len()];
            self.set(address, 4, next);
            self.set(next + 4, 4, address);
        }
    }

    /// What is reported in so much guest time, with a look every 250 ms, while jiffies go on.
    pub(super) fn watched_for(&mut self, patrol: &mut Patrol, ms: u64, ticking: bool) -> Vec<Suspect> {
        let end = self.now + ms * MS;
        let mut found = Vec::new();
        while self.now <= end {
            if ticking {
                self.jiffies(FIRST + self.now / (10 * MS));
            }
            found.extend(patrol.look(self, Occasion::Interval));
            self.now += 250 * MS;
        }
        found
    }

    /// The same with a patrol of its own, of all kinds.
    pub(super) fn found_in(&mut self, ms: u64) -> Vec<Suspect> {
        let mut patrol = Patrol::new(self.marks.clone(), Kinds::ALL);
        self.watched_for(&mut patrol, ms, true)
    }
}

impl Host for Guest {
    fn now(&self) -> GuestTime {
        GuestTime(self.now)
    }

    fn number(&self, address: u64, size: u64) -> Option<u64> {
        if address + size > 1 << 24 {
            return None;
        }
        let byte = |at: u64| u64::from(self.bytes.get(&at).copied().unwrap_or(0));
        Some((0..size).map(|number| byte(address + number) << (8 * number)).sum())
    }

    fn seats(&self) -> Vec<Seat> {
        self.seats.clone()
    }

    fn lost_batons(&self) -> Vec<LostBaton> {
        self.lost.clone()
    }

    fn frames(&mut self, runner: RunnerId) -> Vec<Frame> {
        let functions = self.stacks.get(&runner).cloned().unwrap_or_default();
        let frame = |function| Frame {
            address: CodeAddress { module: ModuleId::KERNEL, offset: CodeOffset(function * 10) },
            function,
        };
        functions.into_iter().map(frame).collect()
    }
}

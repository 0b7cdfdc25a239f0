//! Memory made of garbage: every look ends, and so does every report of what it found.

use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wkdb_tracer::{Frame, GuestTime, RunnerId, RunnerState};

use super::super::{Host, Kinds, Landmarks, LostBaton, Occasion, Patrol, SECOND, Seat, Suspect, tell};
use super::marks;
use crate::kernel::Kernel;
use crate::kernel::tests::fake::{Fake, Memory, linux, minik};
use crate::kernel::tests::garbage::garbage;
use crate::symbols::Symbols;

/// A guest whose memory is a [`Memory`].
struct Guest<'m> {
    word: &'m dyn Fn(u64) -> u32,
    size: u64,
    now: u64,
}

impl Host for Guest<'_> {
    fn now(&self) -> GuestTime {
        GuestTime(self.now)
    }

    fn number(&self, address: u64, size: u64) -> Option<u64> {
        if address.checked_add(size)? > self.size {
            return None;
        }
        let byte = |at: u64| u64::from((self.word)(at & !3) >> (8 * (at & 3)) & 0xff);
        Some((0..size).map(|number| byte(address + number) << (8 * number)).sum())
    }

    fn seats(&self) -> Vec<Seat> {
        let never = RunnerState::Waiting { address: 16, deadline: GuestTime::NEVER };
        let states = [RunnerState::Runnable, never, RunnerState::SwitchedOut, RunnerState::Stopped];
        let seat = |number: u32| Seat {
            runner: RunnerId(number),
            task: 0x2_0000 + u64::from(number) * 0x3330,
            cpu: number % 4,
            state: states[number as usize % 4],
            holds_cpu: number < 4,
            idle: number < 4,
            since: GuestTime(0),
        };
        (0..24).map(seat).collect()
    }

    fn lost_batons(&self) -> Vec<LostBaton> {
        Vec::new()
    }

    fn frames(&mut self, _: RunnerId) -> Vec<Frame> {
        Vec::new()
    }
}

fn look_at(symbols: &Rc<Symbols>, marks: &Landmarks, memory: impl Fn() -> Memory) {
    let Memory::Words { size, word } = memory() else { panic!("it has to be made up") };
    let mut guest = Guest { word: &*word, size, now: 0 };
    let mut patrol = Patrol::new(marks.clone(), Kinds::ALL);
    let mut found: Vec<Suspect> = Vec::new();
    for _ in 0..4 {
        found.extend(patrol.look(&mut guest, Occasion::Interval));
        guest.now += 4 * SECOND;
    }
    found.extend(patrol.look(&mut guest, Occasion::End));
    assert!(found.len() <= 6 * super::super::MOST, "{}", found.len());
    for suspect in found.iter().take(3).chain(found.iter().rev().take(3)) {
        let mut fake = Fake::new(memory());
        fake.add_runner(0x2_0000, RunnerState::Runnable);
        fake.add_runner(0x2_3330, RunnerState::SwitchedOut);
        let kernel = Kernel::new(&mut fake, Rc::clone(symbols));
        if let Some(report) = tell(suspect, &kernel, marks, &[]) {
            assert!(!report.headline.is_empty() && report.details.len() < 100, "{report:?}");
        }
    }
}

fn check(symbols: &Rc<Symbols>, marks: &Landmarks, cases: u32) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let inputs = (any::<u64>(), 0x400_u32..0x100_0000, 0_u32..60);
    let result = runner.run(&inputs, |(seed, window, pointers)| {
        look_at(symbols, marks, || garbage(seed, window, pointers));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_look_at_garbage_ends_with_reports_in_minik() {
    check(&minik(), marks::minik(), 8);
}

#[test]
fn every_look_at_garbage_ends_with_reports_in_linux() {
    check(&linux(), marks::linux(), 3);
}

#[test]
fn every_look_at_memory_that_points_to_itself_or_is_all_the_same_ends() {
    for (symbols, marks) in [(minik(), marks::minik()), (linux(), marks::linux())] {
        look_at(&symbols, marks, || Memory::Words { size: 1 << 26, word: Box::new(|address| address as u32) });
        for word in [0, 1, 0xffff_ffff, 0x2_0000, 0x6b6b_6b6b] {
            look_at(&symbols, marks, || Memory::Words { size: 1 << 26, word: Box::new(move |_| word) });
        }
        look_at(&symbols, marks, || Memory::Words { size: 0, word: Box::new(|_| 0) });
    }
}

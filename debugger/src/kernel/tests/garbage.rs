//! Structures made of garbage: every view ends, soon, with a report. So it does of memory that is right in most places, where
//! walks get far before they meet what is not.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use wkdb_tracer::{GuestTime, RunnerState};

use super::super::{Kernel, View, ViewKind, ViewRequest};
use super::fake::{Fake, Memory, linux, minik};
use super::shapes;
use crate::symbols::Symbols;

/// Memory in which words are often pointers, so that walks get somewhere, often in circles.
pub(in crate::kernel) fn garbage(seed: u64, window: u32, pointers: u32) -> Memory {
    let mix = move |address: u64| {
        let mut x = address.wrapping_add(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^ x >> 32
    };
    let word = move |address: u64| {
        let random = mix(address);
        let kind = (random >> 32) as u32 % 100;
        let low = random as u32;
        match kind {
            _ if kind < pointers => 0x1_0000 + low % window / 16 * 16,
            // To the neighbourhood, as a list that was just made has them.
            _ if kind < pointers + 10 => address as u32 & !7,
            _ if kind < pointers + 20 => low % 64,
            _ if kind < pointers + 35 => 0,
            _ => low,
        }
    };
    Memory::Words { size: 1 << 26, word: Box::new(word) }
}

fn look_at_everything(symbols: &Rc<Symbols>, memory: impl Fn() -> Memory, of: u64) {
    for (kind, name, _) in ViewKind::ALL {
        let mut fake = Fake::new(memory());
        fake.add_runner(0x2_0000, RunnerState::Runnable);
        fake.add_runner(0x2_0001, RunnerState::Waiting { address: 16, deadline: GuestTime::NEVER });
        fake.add_runner(0x3_0000, RunnerState::SwitchedOut);
        let request = ViewRequest { kind: *kind, of: (*kind == ViewKind::Address).then_some(of) };
        let view: View = request.view(&mut fake, Rc::clone(symbols)).unwrap();
        let text = view.text();
        assert!(text.plain().len() < 1 << 28, "{name}: {} bytes", text.plain().len());
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!(json["view"], *name);
    }
}

fn check(symbols: &Rc<Symbols>, cases: u32) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let inputs = (any::<u64>(), 0x400_u32..0x100_0000, 0_u32..60, any::<u32>());
    let result = runner.run(&inputs, |(seed, window, pointers, of)| {
        look_at_everything(symbols, || garbage(seed, window, pointers), u64::from(of));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

/// The shapes of a version, of whose words in 10 000 so many are overwritten, with what is found somewhere else, with an
/// address, with a number.
fn damaged(memory: &[u8], seed: u64, often: u64) -> Vec<u8> {
    let mut memory = memory.to_vec();
    let mut state = seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // Where the data are.
    let (first, end) = (0x1_0000, memory.iter().rposition(|&byte| byte != 0).unwrap() / 4 * 4);
    for at in (first..end).step_by(4) {
        if random() % 10_000 >= often {
            continue;
        }
        let place = first + random() as usize % (end - first) / 4 * 4;
        let word: [u8; 4] = match random() % 8 {
            0 => (place as u32).to_le_bytes(),
            1 => (at as u32).to_le_bytes(),
            2 => (random() as u32).to_le_bytes(),
            3 => (random() as u32 % 4096).to_le_bytes(),
            4 => [0xff; 4],
            5 => [0x6b; 4],
            6 => [memory[at] ^ 1 << (random() % 8), memory[at + 1], memory[at + 2], memory[at + 3]],
            _ => [memory[place], memory[place + 1], memory[place + 2], memory[place + 3]],
        };
        memory[at..at + 4].copy_from_slice(&word);
    }
    memory
}

#[test]
fn every_view_of_a_kernel_that_is_damaged_here_and_there_ends_with_a_report() {
    let problems = Cell::new(0);
    for version in shapes::VERSIONS {
        let (symbols, whole) = shapes::kernel(version);
        let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
        let result = runner.run(&(any::<u64>(), 1_u64..3000, 0_u64..12), |(seed, often, probe)| {
            let memory = damaged(&whole, seed, often);
            let of = shapes::probe(&symbols, &whole, probe);
            look_at_everything(&symbols, || Memory::Bytes(memory.clone()), of);
            // Of the tasks that there should be, by their numbers; of those that were found, as it is asked for from outside.
            for (kind, of) in [(ViewKind::Fds, 1), (ViewKind::Maps, 1), (ViewKind::Fds, 3), (ViewKind::Maps, 7)] {
                let mut fake = shapes::guest(&symbols, &memory);
                if let Ok(view) = (ViewRequest { kind, of: Some(of) }).view(&mut fake, Rc::clone(&symbols)) {
                    assert!(view.text().plain().len() < 1 << 28);
                }
            }
            let mut fake = shapes::guest(&symbols, &memory);
            let kernel = Kernel::new(&mut fake, Rc::clone(&symbols));
            let all = [kernel.tasks().problems, kernel.workqueues().problems, kernel.timers().problems].concat();
            problems.set(problems.get() + usize::from(!all.is_empty()));
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{version}: {error}"));
    }
    assert!(problems.get() > 24, "what is damaged is told: {}", problems.get());
}

#[test]
fn every_view_of_garbage_in_the_shapes_of_all_versions_ends_with_a_report() {
    for version in shapes::VERSIONS {
        check(&shapes::kernel(version).0, 2);
    }
}

#[test]
fn every_view_of_garbage_ends_with_a_report_in_minik() {
    check(&minik(), 12);
}

#[test]
fn every_view_of_garbage_ends_with_a_report_in_linux() {
    check(&linux(), 5);
}

#[test]
fn every_view_of_memory_that_is_all_the_same_ends_with_a_report() {
    for symbols in [minik(), linux()] {
        for word in [0, 1, 0xffff_ffff, 0x1_0000, 0x2_0000, 0x6b6b_6b6b, 0x5a5a_5a5a] {
            let memory = || Memory::Words { size: 1 << 26, word: Box::new(move |_| word) };
            look_at_everything(&symbols, memory, u64::from(word));
        }
    }
}

#[test]
fn every_view_of_memory_that_points_to_itself_ends_with_a_report() {
    for symbols in [minik(), linux()] {
        look_at_everything(
            &symbols,
            || Memory::Words { size: 1 << 26, word: Box::new(|address| address as u32) },
            0x1_0000,
        );
    }
}

#[test]
fn views_without_memory_say_so() {
    for symbols in [minik(), linux()] {
        let mut fake = Fake::new(Memory::Words { size: 0, word: Box::new(|_| 0) });
        let request = ViewRequest { kind: ViewKind::Cpus, of: None };
        let view = request.view(&mut fake, symbols).unwrap();
        assert!(view.problems().iter().any(|problem| problem.contains("there is no memory")), "{:?}", view.problems());
    }
}

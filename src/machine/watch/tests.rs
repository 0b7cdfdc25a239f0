//! The set of watches, by itself.

use std::collections::BTreeSet;

use wkdb_debugger::inferior::WatchCondition;
use wkdb_debugger::timeline::CodeMark;
use wkdb_tracer::{CodeOffset, ModuleId};

use super::*;

const NOBODY: Who = Who { runner: None, cpu: None, place: None };

fn memory() -> GuestMemory {
    GuestMemory::new(4, 16).unwrap()
}

fn set(memory: &GuestMemory) -> WatchSet {
    WatchSet::new(memory.clone(), Variant { stores: true, loads: true, ..Variant::default() }).unwrap()
}

fn spec(address: u64, len: u64, kind: WatchKind) -> WatchSpec {
    WatchSpec { address, len, kind, condition: WatchCondition::default(), stop: false }
}

fn write(memory: &GuestMemory, address: u64, bytes: &[u8]) -> Access {
    memory.write(address, bytes).unwrap();
    Access::Write { address, len: bytes.len() as u64 }
}

/// Watch, address, old and new bytes of each.
fn told(touched: &[Touched]) -> Vec<(u32, u64, &[u8], &[u8])> {
    touched.iter().map(|t| (t.watch.0, t.address, t.old.as_slice(), t.new.as_slice())).collect()
}

#[test]
fn overlaps_from_both_sides() {
    let memory = memory();
    let mut set = set(&memory);
    set.insert(spec(20, 4, WatchKind::Write)).unwrap();
    set.insert(spec(30, 1, WatchKind::Write)).unwrap();
    let access = write(&memory, 18, &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(told(&set.touched(access, &NOBODY)), [(0, 20, &[0; 4][..], &[3, 4, 5, 6][..])]);
    let access = Access::Write { address: 23, len: 1 };
    assert_eq!(told(&set.touched(access, &NOBODY)), [(0, 23, &[6][..], &[6][..])], "of the same value");
    assert_eq!(set.touched(Access::Write { address: 24, len: 6 }, &NOBODY), []);
    assert_eq!(set.touched(Access::Write { address: 23, len: 8 }, &NOBODY).len(), 2);
    assert_eq!(set.touched(Access::Write { address: 23, len: 0 }, &NOBODY), []);
}

#[test]
fn names_are_never_used_again_and_what_is_removed_is_silent() {
    let memory = memory();
    let mut set = set(&memory);
    let first = set.insert(spec(64, 8, WatchKind::Write)).unwrap();
    // In the same slot of the map, and around.
    let second = set.insert(spec(66, 2, WatchKind::Write)).unwrap();
    let around = set.insert(spec(0, 4096, WatchKind::Write)).unwrap();
    assert!(set.remove(first) && !set.remove(first));
    assert!(set.remove(around));
    let map = |set: &WatchSet| set.map().memory().read_vec(0, 4).unwrap();
    assert_eq!(map(&set), [0, 1, 0, 0]);
    let access = write(&memory, 64, &[9; 8]);
    assert_eq!(told(&set.touched(access, &NOBODY)), [(second.0, 66, &[0; 2][..], &[9; 2][..])]);
    assert!(set.remove(second));
    assert_eq!(map(&set), [0; 4]);
    assert_eq!(set.overlaps(access), Touches::Nothing);
    let again = set.insert(spec(64, 8, WatchKind::Write)).unwrap();
    assert!(again > around);
    let access = write(&memory, 64, &[7; 8]);
    assert_eq!(told(&set.touched(access, &NOBODY)), [(again.0, 64, &[9; 8][..], &[7; 8][..])]);
}

#[test]
fn each_kind_has_its_own_accesses() {
    let memory = memory();
    let mut set = set(&memory);
    for kind in [WatchKind::Write, WatchKind::Read, WatchKind::Access] {
        set.insert(spec(100, 4, kind)).unwrap();
    }
    let mut kinds = |access| {
        let touched = set.touched(access, &NOBODY);
        touched.iter().map(|t| (t.watch.0, t.kind)).collect::<Vec<_>>()
    };
    let (read, wrote) = (AccessKind::Read, AccessKind::Write);
    assert_eq!(kinds(Access::Write { address: 98, len: 4 }), [(0, wrote), (2, wrote)]);
    assert_eq!(kinds(Access::Read { address: 103, len: 1 }), [(1, read), (2, read)]);
    // One access is one hit.
    assert_eq!(kinds(Access::Exchange { address: 100, len: 4 }), [(0, wrote), (1, read), (2, wrote)]);
    assert_eq!(kinds(Access::Copy { to: 200, from: 90, len: 20 }), [(1, read), (2, read)]);
    assert_eq!(kinds(Access::Copy { to: 90, from: 200, len: 20 }), [(0, wrote), (2, wrote)]);
    assert_eq!(kinds(Access::Copy { to: 90, from: 95, len: 20 }), [(0, wrote), (1, read), (2, wrote)]);
}

#[test]
fn a_copy_over_itself_has_read_what_was_there_before() {
    let memory = memory();
    memory.write(100, &[1, 2, 3, 4]).unwrap();
    let mut set = set(&memory);
    set.insert(spec(100, 4, WatchKind::Read)).unwrap();
    memory.write(101, &[1, 2, 3, 4]).unwrap();
    let touched = set.touched(Access::Copy { to: 101, from: 100, len: 4 }, &NOBODY);
    assert_eq!(told(&touched), [(0, 100, &[1, 2, 3, 4][..], &[1, 2, 3, 4][..])]);
    let touched = set.touched(Access::Read { address: 100, len: 4 }, &NOBODY);
    assert_eq!(touched[0].new, [1, 1, 2, 3]);
}

#[test]
fn conditions() {
    let memory = memory();
    let mut set = set(&memory);
    let place = |offset| CodeAddress { module: ModuleId(1), offset: CodeOffset(offset) };
    let places = Places(vec![(ModuleId(1), CodeOffset(10)..CodeOffset(20))]);
    let conditions = [
        WatchCondition { changed: true, ..WatchCondition::default() },
        WatchCondition { equals: Some(vec![5, 0]), ..WatchCondition::default() },
        WatchCondition { runners: Some(vec![RunnerId(3)]), ..WatchCondition::default() },
        WatchCondition { cpus: Some(vec![Cpu(1), Cpu(2)]), ..WatchCondition::default() },
        WatchCondition { places: Some(PlaceFilter::In(places.clone())), ..WatchCondition::default() },
        WatchCondition { places: Some(PlaceFilter::NotIn(places)), ..WatchCondition::default() },
    ];
    for condition in conditions {
        set.insert(WatchSpec { condition, ..spec(8, 2, WatchKind::Write) }).unwrap();
    }
    let mut hits = |bytes: &[u8], who: Who| {
        let access = write(&memory, 8, bytes);
        set.touched(access, &who).iter().map(|t| t.watch.0).collect::<Vec<_>>()
    };
    assert_eq!(hits(&[0], NOBODY), [5], "the host's writes are outside of all places");
    assert_eq!(hits(&[5], NOBODY), [0, 1, 5]);
    assert_eq!(hits(&[5], NOBODY), [1, 5]);
    assert_eq!(
        hits(&[5, 1], Who { runner: Some(RunnerId(3)), cpu: Some(Cpu(2)), place: Some(place(10)) }),
        [0, 2, 3, 4]
    );
    assert_eq!(hits(&[5, 1], Who { runner: Some(RunnerId(2)), cpu: Some(Cpu(0)), place: Some(place(20)) }), [5]);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let memory = memory();
    let mut set = set(&memory);
    let limit = memory.limit();
    assert_eq!(set.insert(spec(4, 0, WatchKind::Write)), Err(WatchError::Empty(4)));
    for (address, len) in [(limit, 1), (limit - 1, 2), (u64::MAX, 1), (1, u64::MAX)] {
        assert_eq!(set.insert(spec(address, len, WatchKind::Write)), Err(WatchError::Outside { address, len, limit }));
    }
    let mut odd = spec(4, 4, WatchKind::Write);
    odd.condition.equals = Some(vec![1]);
    assert_eq!(set.insert(odd), Err(WatchError::Compared { given: 1, len: 4 }));
    // Beyond what memory has now, but not beyond what it can have.
    set.insert(spec(limit - 1, 1, WatchKind::Access)).unwrap();
    let mut set = WatchSet::new(memory.clone(), Variant { stores: true, ..Variant::default() }).unwrap();
    assert_eq!(set.insert(spec(4, 4, WatchKind::Access)), Err(WatchError::NoChecks("reads")));
    let mut set = WatchSet::new(memory, Variant::default()).unwrap();
    assert_eq!(set.insert(spec(4, 4, WatchKind::Write)), Err(WatchError::NoChecks("writes")));
}

#[test]
fn what_a_debugger_writes_is_not_the_next_writers_doing() {
    let memory = memory();
    let mut set = set(&memory);
    set.insert(spec(4090, 12, WatchKind::Write)).unwrap();
    memory.write(4000, &[7; 200]).unwrap();
    set.refresh(&(4000..4200));
    let access = write(&memory, 4095, &[8, 8]);
    assert_eq!(told(&set.touched(access, &NOBODY)), [(0, 4095, &[7, 7][..], &[8, 8][..])]);
}

#[test]
fn a_hundred_thousand_ranges_are_as_quick_as_one() {
    use std::time::{Duration, Instant};
    let memory = GuestMemory::new(64, 64).unwrap();
    let time = |ranges: u64| {
        let mut set = set(&memory);
        let begun = Instant::now();
        for n in 0..ranges {
            set.insert(spec(n * 40, 4, WatchKind::Write)).unwrap();
        }
        // The first question sorts.
        assert_eq!(set.overlaps(Access::Write { address: 0, len: 1 }), Touches::Others);
        let inserted = begun.elapsed();
        let rounds = (0..20).map(|_| {
            let begun = Instant::now();
            for n in 0..1000 {
                assert_eq!(set.overlaps(Access::Write { address: 4 + n * 3960, len: 16 }), Touches::Nothing);
            }
            begun.elapsed()
        });
        (rounds.min().unwrap(), inserted)
    };
    let ((few, _), (many, inserted)) = (time(1), time(100_000));
    // A binary search of 100 000 is 17 steps; a look at all would be some thousand times slower.
    assert!(many < few * 40, "{many:?} against {few:?}");
    assert!(inserted < Duration::from_secs(5), "{inserted:?}");
}

#[test]
fn a_footprint_has_the_lines_that_were_written_since_the_last_one() {
    let memory = memory();
    let variant = Variant { stores: true, loads: true, debug: true, ..Variant::default() };
    let mut set = WatchSet::new(memory.clone(), variant).unwrap();
    assert_eq!(set.footprint([10, 10]), None, "it is not kept yet");
    set.wrote(write(&memory, 0, &[1]));
    set.footprint_anew([10, 10], None);
    let map = |set: &WatchSet, line: u64| set.map().memory().read_vec(line, 1).unwrap()[0];
    assert_eq!((map(&set, 0), map(&set, 4095), map(&set, 4096)), (0xff, 0xff, 0), "memory ends there");
    let watched = set.insert(spec(128, 8, WatchKind::Access)).unwrap();
    set.wrote(write(&memory, 120, &[7; 16]));
    set.wrote(write(&memory, 200, &[7; 4]));
    let written = set.footprint([10, 10]).unwrap();
    assert!(written.may_write(64, 1) && written.may_write(128, 1) && written.may_write(255, 1));
    assert!(!written.may_write(0, 64) && !written.may_write(256 + 15, 4));
    // The slots from which a write reaches into what is watched, and what is; the marks of lines stay where nothing was written.
    assert_eq!((map(&set, 1), map(&set, 2), map(&set, 3)), (0b1100_0000, 1, 0));
    assert!(set.remove(watched));
    assert_eq!((map(&set, 0), map(&set, 1), map(&set, 2), map(&set, 4)), (0xff, 0, 0, 0xff));
    // What is watched and not yet written stays marked when it is watched no more.
    let other = set.insert(spec(1000, 4, WatchKind::Write)).unwrap();
    assert!(set.remove(other));
    assert_eq!(map(&set, 1000 / 64), 0xff);
    memory.grow(1).unwrap();
    assert!(written.may_write(4 * 65536, 4), "nothing is known of new memory");
    set.footprint_anew([10, 10], None);
    assert_eq!((map(&set, 1), map(&set, 4096)), (0xff, 0xff));
    let written = set.footprint([10, 10]).unwrap();
    assert!(!written.may_write(64, 1000) && !written.may_write(4 * 65536, 4));
}

#[test]
fn a_footprint_has_the_functions_that_were_entered_and_those_under_way() {
    let memory = memory();
    let mut set = WatchSet::new(memory, Variant { stores: true, debug: true, ..Variant::default() }).unwrap();
    set.footprint_anew([10, 10], Some(BTreeSet::new()));
    let enter = |set: &WatchSet, mark: u32| {
        set.map().memory().write(crate::instrument::FUNCTION_MARKS + u64::from(mark), &[1]).unwrap();
    };
    let (kernel, user) = (crate::instrument::function_mark(false, 5), crate::instrument::function_mark(true, 5));
    enter(&set, kernel);
    let run = |set: &WatchSet| {
        let footprint = set.footprint([10, 10]).unwrap();
        let place = |function, offset| CodeMark { function, offset, in_loop: false };
        [place(kernel, 0), place(user, 0), place(7, 10), place(7, 9)].map(|place| footprint.may_run(&place))
    };
    assert_eq!(run(&set), [true, false, false, false]);
    set.footprint_anew([10, 10], Some(BTreeSet::from([(7, 10)])));
    assert_eq!(run(&set), [false, false, true, false]);
    enter(&set, user);
    assert_eq!(run(&set), [false, true, true, false]);
}

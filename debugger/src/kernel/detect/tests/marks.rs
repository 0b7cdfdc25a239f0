//! The landmarks of the bundled kernels.

use std::rc::Rc;
use std::sync::OnceLock;

use super::super::{AreaMarks, Landmarks};
use crate::kernel::tests::fake;
use crate::kernel::tests::shapes::{VERSIONS, kernel};
use crate::symbols::Symbols;

pub(super) fn minik() -> &'static Landmarks {
    static MARKS: OnceLock<Landmarks> = OnceLock::new();
    MARKS.get_or_init(|| Landmarks::of(&fake::minik()))
}

pub(super) fn linux() -> &'static Landmarks {
    static MARKS: OnceLock<Landmarks> = OnceLock::new();
    MARKS.get_or_init(|| Landmarks::of(&fake::linux()))
}

fn symbols(name: &str) -> Rc<Symbols> {
    match name {
        "minik" => fake::minik(),
        "linux" => fake::linux(),
        version => kernel(version).0,
    }
}

/// Those of Linux in the shapes of a version.
pub(super) fn shapes(version: &str) -> Landmarks {
    Landmarks::of(&kernel(version).0)
}

#[test]
fn kernels_of_all_versions_have_all_landmarks() {
    let versions = VERSIONS.map(|version| (version, shapes(version)));
    let versions = versions.iter().map(|(version, marks)| (*version, marks));
    for (name, marks) in [("minik", minik()), ("linux", linux())].into_iter().chain(versions) {
        assert_eq!(marks.word, if name.ends_with("wasm64") { 8 } else { 4 }, "{name}");
        for (what, found) in [
            ("jiffies", marks.jiffies.is_some()),
            ("per-CPU offsets", marks.per_cpu.is_some()),
            ("the number of CPUs", marks.cpu_count.is_some()),
            ("the CPUs that take part", marks.online.is_some()),
            ("raised interrupts", marks.raised_irqs.is_some()),
            ("wheels", marks.wheels.is_some()),
            ("run queues", marks.run_queues.is_some()),
            ("tasks", marks.tasks.is_some()),
            ("a stack's size", marks.tasks.as_ref().is_some_and(|tasks| tasks.stack_size.is_some() || name == "minik")),
            ("two kinds of lock", marks.locks.len() == 2 || name == "minik"),
            ("a mutex", marks.locks.iter().any(|lock| lock.name == "struct mutex")),
            ("pools", marks.pools.as_ref().is_some_and(|pools| !pools.of_cpus.is_empty() && pools.progress.is_some())),
            ("memory areas", AreaMarks::of(&symbols(name)).is_some()),
            ("the mutex of workers", marks.pools.as_ref().is_some_and(|pools| pools.attach_owner.is_some())),
            ("RCU", marks.rcu.as_ref().is_some_and(|rcu| !rcu.heads.is_empty() && rcu.gp_seq.is_some())),
            ("functions that spin", !marks.spinning.is_empty()),
            ("where a worker's task has it", marks.tasks.as_ref().is_some_and(|tasks| tasks.private.is_some())),
        ] {
            assert!(found, "{name} has no {what}: {marks:?}");
        }
    }
    assert_eq!(linux().wheels.as_ref().unwrap().count, 3);
    assert!(linux().pools.as_ref().unwrap().unbound.is_some());
    assert!(linux().rcu.as_ref().unwrap().gp_bits && !minik().rcu.as_ref().unwrap().gp_bits);
}

#[test]
fn a_pointer_can_be_called_where_the_table_has_a_function_of_its_type() {
    let (symbols, marks) = (fake::minik(), minik());
    let callable = &marks.rcu.as_ref().unwrap().callable;
    let place = |name: &str| {
        let function = symbols.functions_named(name).into_iter().next().unwrap_or_else(|| panic!("{name}"));
        symbols.table_place(function.index).unwrap_or_else(|| panic!("{name} is in no table"))
    };
    assert!(callable.has(place("process_timeout")));
    // A thread's function has a result.
    assert!(!callable.has(place("khungtaskd")));
    for place in [0, 1 << 20, 0x6b6b_6b6b, u64::MAX] {
        assert!(!callable.has(place), "{place:#x}");
    }
}

//! The same configuration is the same run, whatever is compiled in to observe it; another seed is another run.
//!
//! The guests are random: some CPUs, each with two tasks that hand each other its baton, all of them busy with the same
//! few words of memory.

use proptest::prelude::*;
use wkdb::machine::engine::OptLevelChoice;
use wkdb::machine::{Cache, MachineConfig, Policy, WatchRange};
use wkdb_debugger::inferior::{WatchKind, WatchSpec};
use wkdb_tracer::{Event, Outcome, Totals};

use crate::guest::{Era, Kernel, boot, kernel};

/// Shared words: 8 of 8 bytes.
const WORDS: u32 = 0x11000;

/// One thing that a task does.
#[derive(Debug, Clone)]
enum Op {
    /// Adds to a word, not atomically: what is lost depends on the schedule.
    Add {
        word: u32,
        value: u8,
    },
    AtomicAdd {
        word: u32,
        value: u8,
    },
    Exchange {
        word: u32,
        expected: u8,
        new: u8,
    },
    /// Waits on a word for its present value, or another.
    Wait {
        word: u32,
        value: u8,
        ns: u32,
    },
    WaitForNow {
        word: u32,
        ns: u32,
    },
    Notify {
        word: u32,
        count: u8,
    },
    /// Counts a word up for so many turns: room to be pre-empted in.
    Spin {
        word: u32,
        turns: u16,
    },
    Recurse {
        depth: u8,
    },
    Print(char),
    PrintWord {
        word: u32,
    },
    StoreClock {
        word: u32,
    },
    StoreRandom {
        word: u32,
    },
    Fill {
        word: u32,
        value: u8,
        len: u8,
    },
    Copy {
        to: u32,
        from: u32,
        len: u8,
    },
    /// Hands the CPU to its other task.
    Switch,
}

fn op() -> impl Strategy<Value = Op> {
    let word = 0..8_u32;
    let byte = any::<u8>();
    let ns = prop_oneof![1..50_u32, 1..100_000_u32];
    prop_oneof![
        (word.clone(), byte).prop_map(|(word, value)| Op::Add { word, value }),
        (word.clone(), byte).prop_map(|(word, value)| Op::AtomicAdd { word, value }),
        (word.clone(), 0..3_u8, byte).prop_map(|(word, expected, new)| Op::Exchange { word, expected, new }),
        (word.clone(), 0..3_u8, ns.clone()).prop_map(|(word, value, ns)| Op::Wait { word, value, ns }),
        (word.clone(), ns).prop_map(|(word, ns)| Op::WaitForNow { word, ns }),
        (word.clone(), 0..3_u8).prop_map(|(word, count)| Op::Notify { word, count }),
        (word.clone(), 1..300_u16).prop_map(|(word, turns)| Op::Spin { word, turns }),
        (1..20_u8).prop_map(|depth| Op::Recurse { depth }),
        proptest::char::range('a', 'z').prop_map(Op::Print),
        word.clone().prop_map(|word| Op::PrintWord { word }),
        word.clone().prop_map(|word| Op::StoreClock { word }),
        word.clone().prop_map(|word| Op::StoreRandom { word }),
        (word.clone(), byte, 1..30_u8).prop_map(|(word, value, len)| Op::Fill { word, value, len }),
        (word.clone(), word, 1..30_u8).prop_map(|(to, from, len)| Op::Copy { to, from, len }),
        Just(Op::Switch),
        Just(Op::Switch),
    ]
}

impl Op {
    fn wat(&self) -> String {
        let at = |word: &u32| format!("(i32.const {})", WORDS + 8 * word);
        let load = |word: &u32| format!("(i32.load {})", at(word));
        let int = |n: u32| format!("(i32.const {n})");
        match self {
            Op::Add { word, value } => {
                // The call between load and store is a tick: others may run there.
                let sum = format!("(i32.add {} (call $same {}))", load(word), int((*value).into()));
                format!("(i32.store {} {sum})", at(word))
            }
            Op::AtomicAdd { word, value } => {
                format!("(drop (i32.atomic.rmw.add {} {}))", at(word), int((*value).into()))
            }
            Op::Exchange { word, expected, new } => format!(
                "(drop (i32.atomic.rmw8.cmpxchg_u {} {} {}))",
                at(word),
                int((*expected).into()),
                int((*new).into())
            ),
            Op::Wait { word, value, ns } => {
                format!("(drop (memory.atomic.wait32 {} {} (i64.const {ns})))", at(word), int((*value).into()))
            }
            Op::WaitForNow { word, ns } => {
                format!("(drop (memory.atomic.wait32 {} {} (i64.const {ns})))", at(word), load(word))
            }
            Op::Notify { word, count } => {
                format!("(drop (memory.atomic.notify {} {}))", at(word), int((*count).into()))
            }
            Op::Spin { word, turns } => format!("(call $spin {} {})", at(word), int((*turns).into())),
            Op::Recurse { depth } => format!("(call $recurse {})", int((*depth).into())),
            Op::Print(c) => format!("{{{{{c}}}}}"),
            Op::PrintWord { word } => format!("(call $say {})", load(word)),
            Op::StoreClock { word } => format!("(i64.store {} (call $clock))", at(word)),
            Op::StoreRandom { word } => format!("(drop (call $random {} (i32.const 4)))", at(word)),
            Op::Fill { word, value, len } => {
                format!("(memory.fill {} {} {})", at(word), int((*value).into()), int((*len).into()))
            }
            Op::Copy { to, from, len } => format!("(memory.copy {} {} {})", at(to), at(from), int((*len).into())),
            Op::Switch => "(drop (call $switch (local.get $me) (local.get $other)))".to_owned(),
        }
    }
}

/// What the two tasks of a CPU do, again and again.
type Programs = [(u8, Vec<Op>); 2];

fn programs() -> impl Strategy<Value = Vec<Programs>> {
    let program = || (1..6_u8, prop::collection::vec(op(), 1..10));
    prop::collection::vec([program(), program()], 1..4)
}

/// A kernel that runs them. The idle task of CPU n is at 0x20000·(n+1), its other task 0x1000 higher.
fn guest(cpus: &[Programs]) -> Kernel {
    let tasks = 2 * cpus.len();
    let mut text = format!(
        r#"(func $same (param i32) (result i32) (local.get 0))
           (func $spin (param $at i32) (param $turns i32)
             (loop $more
               (i32.store (local.get $at) (i32.add (i32.load (local.get $at)) (i32.const 1)))
               (br_if $more (local.tee $turns (i32.sub (local.get $turns) (i32.const 1))))))
           (func $recurse (param $n i32)
             (if (local.get $n) (then (call $recurse (i32.sub (local.get $n) (i32.const 1))))))
           ;; A task is through: the last ends the run, the others keep their CPU's baton going round.
           (func $finish (param $me i32) (param $other i32)
             (if (i32.eq (i32.atomic.rmw.add (i32.const 0x10600) (i32.const 1)) (i32.const {}))
               (then (call $done)))
             (loop $for_ever
               (call $sleep (i64.const 500))
               (drop (call $switch (local.get $me) (local.get $other)))
               (br $for_ever)))
        "#,
        tasks - 1
    );
    let mut entries = String::new();
    for (cpu, programs) in cpus.iter().enumerate() {
        for (task, (rounds, ops)) in programs.iter().enumerate() {
            let ops: String = ops.iter().map(Op::wat).collect();
            text.push_str(&format!(
                r#"(func $program_{cpu}_{task} (param $me i32) (param $other i32) (local $rounds i32)
                     (loop $again
                       {ops}
                       (br_if $again (i32.lt_u
                         (local.tee $rounds (i32.add (local.get $rounds) (i32.const 1))) (i32.const {rounds}))))
                     (call $finish (local.get $me) (local.get $other)))
                "#
            ));
        }
        let (idle, other) = (0x20000 * (cpu + 1), 0x20000 * (cpu + 1) + 0x1000);
        let idle = if cpu == 0 { 0x10000 } else { idle };
        entries.push_str(&format!(
            r#"(if (i32.eq (local.get $task) (i32.const {idle}))
                 (then (drop (call $spawn (i32.const {idle}) (i32.const {other})))
                       (call $program_{cpu}_0 (i32.const {idle}) (i32.const {other}))))
               (if (i32.eq (local.get $task) (i32.const {other}))
                 (then (call $program_{cpu}_1 (i32.const {other}) (i32.const {idle}))))
            "#
        ));
    }
    let starts: String = (1..cpus.len())
        .map(|cpu| format!("(call $start_cpu (i32.const {cpu}) (i32.const {}))", 0x20000 * (cpu + 1)))
        .collect();
    text.push_str(&format!(
        r#"(func $run (param $task i32) {entries})
           (func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (call $run (local.get $new)) (i32.const 0))
           (func $_start_secondary (export "_start_secondary") (param $idle i32) (call $run (local.get $idle)))
           (func $_start (export "_start") {starts} (call $run (i32.const 0x10000)))"#
    ));
    kernel(&text).era(Era::V7_0)
}

/// What a run amounts to, and all that was told of it but what watches saw.
fn run(kernel: &Kernel, set: impl FnOnce(&mut MachineConfig)) -> (Totals, String, Vec<Event>, usize) {
    let run = boot(kernel, set);
    assert_eq!(run.outcome, Outcome::Panic, "{:?}", run.traps());
    let hits = run.hits().len();
    let events = run.events.into_iter().filter(|e| !matches!(e, Event::Watch(_))).collect();
    (run.totals, run.console, events, hits)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_is_decided_by_its_configuration(cpus in programs(), seed in any::<u64>(), slice in 1..400_u32) {
        let kernel = guest(&cpus);
        let cache = tempfile::tempdir().unwrap();
        for policy in [Policy::Fair, Policy::Random, Policy::Pct] {
            let base = |config: &mut MachineConfig| {
                (config.seed, config.slice, config.policy) = (seed, slice, policy);
                config.cache = Some(Cache { directory: cache.path().into(), limit: 1 << 30 });
            };
            let first = run(&kernel, base);
            let again = run(&kernel, base);
            prop_assert_eq!(&first, &again, "again, {:?}", policy);
            let optimised = run(&kernel, |config| {
                base(config);
                config.engine.opt_level = OptLevelChoice::Speed;
            });
            prop_assert_eq!(&first, &optimised, "optimised, {:?}", policy);
            let checked = run(&kernel, |config| {
                base(config);
                config.store_checks = true;
            });
            prop_assert_eq!(&first, &checked, "with store checks, {:?}", policy);
            let watched = run(&kernel, |config| {
                base(config);
                config.watch = vec![WatchRange { address: WORDS.into(), len: 64 }, WatchRange { address: 0x10600, len: 4 }];
            });
            prop_assert!(watched.3 >= 2 * cpus.len());
            prop_assert_eq!((&first.0, &first.1, &first.2), (&watched.0, &watched.1, &watched.2), "watched, {:?}", policy);
            for stores in [false, true] {
                let debugged = run(&kernel, |config| {
                    base(config);
                    (config.engine.debug, config.store_checks) = (true, stores);
                });
                prop_assert_eq!(&first, &debugged, "for a debugger, store checks: {}, {:?}", stores, policy);
            }
            let read = run(&kernel, |config| {
                base(config);
                let spec = |n: u64| WatchSpec { kind: WatchKind::Access, ..WatchRange { address: u64::from(WORDS) + 4096 * n, len: 64 }.spec() };
                config.watch_specs = (0..300).map(spec).collect();
                // All that was watched before, and more.
                config.watch_specs.push(WatchRange { address: 0x10600, len: 4 }.spec());
            });
            prop_assert!(read.3 >= watched.3);
            prop_assert_eq!((&first.0, &first.1, &first.2), (&read.0, &read.1, &read.2), "reads watched, {:?}", policy);
            // Few slices of few ticks can be drawn alike.
            if slice > 16 && first.0.slices > 4 {
                let other = run(&kernel, |config| {
                    base(config);
                    config.seed = seed ^ 1;
                });
                prop_assert_ne!(first.0.schedule_hash, other.0.schedule_hash);
            }
        }
    }
}

#[test]
fn twenty_runs_of_four_cpus_that_fight() {
    // Each CPU adds to one word without a lock, so the sum tells the schedule.
    let ops = vec![
        Op::Add { word: 0, value: 1 },
        Op::Add { word: 0, value: 1 },
        Op::Add { word: 0, value: 1 },
        Op::Spin { word: 1, turns: 50 },
        Op::WaitForNow { word: 1, ns: 700 },
        Op::Notify { word: 1, count: 1 },
        Op::Switch,
        Op::PrintWord { word: 0 },
    ];
    let cpus = vec![[(40, ops.clone()), (40, ops)]; 4];
    let kernel = guest(&cpus);
    let cache = tempfile::tempdir().unwrap();
    let with_seed = |seed| {
        run(&kernel, |config| {
            (config.seed, config.slice, config.policy) = (seed, 40, Policy::Random);
            config.cache = Some(Cache { directory: cache.path().into(), limit: 1 << 30 });
        })
    };
    let first = with_seed(7);
    assert!(first.0.slices > 500, "{:?}", first.0);
    for _ in 1..20 {
        assert_eq!(with_seed(7), first);
    }
    let memories: std::collections::BTreeSet<_> = (0..20).map(|seed| with_seed(seed).0.memory_hash).collect();
    assert!(memories.len() > 10, "the seeds make different runs: {}", memories.len());
}

//! Stopping, looking and stepping change nothing: the run is the one that it would have been.

use proptest::prelude::*;
use wkdb_debugger::inferior::{BreakpointSpec, Inferior, Resume, StepKind, StopReason};
use wkdb_tracer::{CodeAddress, ModuleId, Outcome, RunnerId, Tick, Totals};

use super::Session;
use crate::guest::{Kernel, boot, kernel};

/// Several tasks on two CPUs that work, switch, wait, print and ask the time.
fn busy() -> Kernel {
    kernel(
        r#"(func $work (param $n i32) (result i32) (local $sum i32)
             (loop $again
               (local.set $sum (call $mix (local.get $sum) (local.get $n)))
               (i32.store (i32.add (i32.const 0x11000) (i32.and (local.get $sum) (i32.const 0xffc))) (local.get $sum))
               (drop (i32.atomic.rmw.add (i32.const 0x12000) (i32.const 1)))
               (local.set $n (i32.sub (local.get $n) (i32.const 1)))
               (br_if $again (local.get $n)))
             (local.get $sum))
           (func $mix (param $a i32) (param $b i32) (result i32)
             (i32.add (i32.mul (local.get $a) (i32.const 31)) (i32.xor (local.get $b) (i32.wrap_i64 (call $clock)))))
           (func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (loop $always
               (drop (call $work (i32.const 17)))
               (drop (call $switch (i32.const 0x11000) (i32.const 0x10000)))
               (br $always))
             (unreachable))
           (func $_start_secondary (export "_start_secondary") (param $stack i32)
             (loop $always
               (call $say (call $work (i32.const 40)))
               (call $sleep (i64.const 3000))
               (br $always)))
           (func $_start (export "_start") (local $n i32)
             (call $start_cpu (i32.const 1) (i32.const 0x13000) (i32.const 0x1e000))
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (loop $again
               (call $say (call $work (i32.const 23)))
               (drop (call $switch (i32.const 0x10000) (i32.const 0x11000)))
               (call $sleep (i64.const 1000))
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $n) (i32.const 6))))
             (call $done))"#,
    )
}

#[derive(Debug, Clone)]
enum Act {
    RunTo(u64),
    Step(StepKind),
    StepOther(u32),
    Break(u32),
    Clear,
    Look,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (1u64..300).prop_map(Act::RunTo),
        Just(Act::Step(StepKind::Instruction)),
        Just(Act::Step(StepKind::Out)),
        (0u32..3).prop_map(Act::StepOther),
        any::<u32>().prop_map(Act::Break),
        Just(Act::Clear),
        Just(Act::Look),
    ];
    prop::collection::vec(act, 1..40)
}

/// The run with these disturbances.
fn disturbed(kernel: &Kernel, seed: u64, checks: bool, acts: &[Act]) -> (Totals, String) {
    let mut session = Session::start(kernel, |c| {
        (c.seed, c.slice, c.store_checks) = (seed, 40, checks);
    });
    let places: Vec<_> = ["work", "mix", "say", "ret_from_fork"]
        .iter()
        .flat_map(|name| session.code(ModuleId::KERNEL, name))
        .map(|(offset, _)| CodeAddress { module: ModuleId::KERNEL, offset })
        .collect();
    let mut set = Vec::new();
    for act in acts {
        let stop = session.stopped();
        if matches!(stop.reason, StopReason::Panic { .. } | StopReason::End(_)) {
            break;
        }
        let me = stop.context.map_or(RunnerId(0), |context| context.runner);
        match act {
            Act::RunTo(ticks) => {
                let stop = session.resume(&Resume { until_tick: Some(Tick(stop.tick.0 + ticks)), ..Resume::go() });
                assert!(stop.reason != StopReason::Interrupt);
            }
            Act::Step(kind) => _ = session.resume(&Resume::step(me, kind.clone())),
            Act::StepOther(runner) if session.live.frames(RunnerId(*runner)).is_ok() => {
                session.resume(&Resume::step(RunnerId(*runner), StepKind::Instruction));
            }
            Act::StepOther(_) => {}
            Act::Break(n) => {
                let address = places[*n as usize % places.len()];
                // None where no control comes.
                let spec = BreakpointSpec { address, only: None, temporary: n % 3 == 0 };
                set.extend(session.live.insert_breakpoint(&spec).ok());
            }
            Act::Clear => set.drain(..).for_each(|id| session.live.remove_breakpoint(id).unwrap()),
            Act::Look => {
                for task in session.live.tasks().unwrap() {
                    session.live.frame_states(task.context.runner).unwrap();
                }
            }
        }
    }
    for id in set {
        session.live.remove_breakpoint(id).unwrap();
    }
    let (outcome, totals) = session.end();
    assert_eq!(outcome, Outcome::Panic);
    let console = session.console.clone();
    session.quit();
    (totals, console)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_disturbed_run_is_the_same_run(acts in acts(), seed in 0u64..4, checks: bool) {
        let kernel = busy();
        let plain = boot(&kernel, |c| (c.seed, c.slice) = (seed, 40));
        let console = plain.done();
        prop_assert_eq!(disturbed(&kernel, seed, checks, &acts), (plain.totals, console));
    }
}

#[test]
fn the_variants_run_alike() {
    for seed in 0..5 {
        let plain = boot(&busy(), |c| c.seed = seed);
        for stores in [false, true] {
            let debug = boot(&busy(), |c| {
                (c.seed, c.store_checks, c.engine.debug) = (seed, stores, true);
            });
            assert_eq!((debug.done(), debug.totals), (plain.done(), plain.totals.clone()), "store checks: {stores}");
        }
    }
}

//! Steps: by instruction, by range, into, over and out, in tasks that others run beside.

use wkdb_debugger::inferior::{Inferior, InferiorError, Resume, StepKind, StopReason, Who};
use wkdb_tracer::{CodeOffset, ModuleId, RunnerId};

use super::{Session, at};
use crate::guest::{Kernel, kernel, user_image};

/// Direct and indirect calls, recursion, loops, host calls.
fn calling() -> Kernel {
    kernel(
        r#"(type $unary (func (param i32) (result i32)))
           (table $t 4 funcref)
           (elem (table $t) (i32.const 1) func $double $down)
           (func $double (param $n i32) (result i32) (i32.mul (local.get $n) (i32.const 2)))
           (func $down (param $n i32) (result i32)
             (if (result i32) (local.get $n)
               (then (i32.add (i32.const 1) (call $down (i32.sub (local.get $n) (i32.const 1)))))
               (else (i32.const 0))))
           (func $main (local $i i32)
             (drop (call $double (i32.const 4)))
             (drop (call_indirect (type $unary) (i32.const 3) (i32.const 2)))
             (loop $again
               (local.set $i (i32.add (local.get $i) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $i) (i32.const 2))))
             (drop (i64.eqz (call $clock))))
           (func $_start (export "_start") (call $main) (call $done))"#,
    )
}

/// The places that steps by instruction come to, up to and without the first in `end`.
fn walk(session: &mut Session, end: &str) -> Vec<(String, usize)> {
    let mut places = Vec::new();
    loop {
        let stop = session.step(StepKind::Instruction);
        assert_eq!(stop.reason, StopReason::Step);
        let place = session.place_of(&stop);
        if place.0 == end {
            return places;
        }
        places.push(place);
    }
}

#[test]
fn by_instruction_through_calls_loops_and_returns() {
    for checks in [false, true] {
        let mut session = Session::start(&calling(), |c| c.store_checks = checks);
        session.break_at("main", 0);
        session.go();
        let places = walk(&mut session, "_start");
        let main = |range: std::ops::Range<usize>| range.map(|n| at("main", n)).collect::<Vec<_>>();
        let inside = |name: &str, range: std::ops::Range<usize>| range.map(|n| at(name, n)).collect::<Vec<_>>();
        let mut expected = main(1..2);
        expected.extend(inside("double", 0..4));
        expected.extend(main(2..6));
        // down(3): local.get, if, i32.const, local.get, i32.const, i32.sub, call; then the sums on the way back.
        for _ in 0..3 {
            expected.extend(inside("down", 0..7));
        }
        expected.extend(inside("down", 0..2));
        let code = session.code(ModuleId::KERNEL, "down");
        let otherwise = code.iter().position(|(_, operator)| operator == "Else").unwrap();
        expected.extend(inside("down", otherwise + 1..code.len()));
        for _ in 0..3 {
            // The sum; the end of the arm, which `else` is, leads to the end.
            expected.extend(inside("down", 7..otherwise + 1));
            expected.push(at("down", code.len() - 1));
        }
        expected.extend(main(6..8));
        expected.extend(main(8..16));
        expected.extend(main(8..16));
        expected.extend(main(16..session.code(ModuleId::KERNEL, "main").len()));
        assert_eq!(places, expected, "with store checks: {checks}");
        session.quit();
    }
}

#[test]
fn out_of_a_recursive_function_and_over_one() {
    let mut session = Session::start(&calling(), |_| {});
    let recursion = session.code(ModuleId::KERNEL, "down").iter().position(|(_, op)| op.starts_with("Call")).unwrap();
    let breakpoint = session.break_at("down", recursion);
    session.go();
    session.go();
    session.live.remove_breakpoint(breakpoint).unwrap();
    // The second of four frames, at its call: over it the deeper ones run through.
    let depth = |session: &mut Session| session.stack(RunnerId(0)).len();
    assert_eq!(depth(&mut session), 4);
    let call = session.place("down", recursion).offset;
    let stop = session.step(StepKind::Over(call..CodeOffset(call.0 + 1)));
    assert_eq!((session.place_of(&stop), depth(&mut session)), (at("down", recursion + 1), 4));
    let stop = session.step(StepKind::Out);
    assert_eq!((session.place_of(&stop), depth(&mut session)), (at("down", recursion + 1), 3));
    session.quit();
}

#[test]
fn a_range_runs_through_and_into_it_ends_in_what_it_calls() {
    let mut session = Session::start(&calling(), |_| {});
    session.break_at("main", 0);
    session.go();
    let code = session.code(ModuleId::KERNEL, "main");
    let line = |from: usize, to: usize| code[from].0..code[to].0;
    // The direct call, then the one through the table.
    let stop = session.step(StepKind::Into(line(0, 3)));
    assert_eq!(session.place_of(&stop), at("double", 0));
    let stop = session.step(StepKind::Out);
    assert_eq!(session.place_of(&stop), at("main", 2), "behind the call");
    let stop = session.step(StepKind::Into(line(2, 6)));
    assert_eq!(session.place_of(&stop), at("down", 0), "through the table");
    let stop = session.step(StepKind::Out);
    assert_eq!(session.place_of(&stop), at("main", 6), "over the recursion");
    session.quit();
}

#[test]
fn tasks_that_run_beside_do_not_end_a_step() {
    let kernel = kernel(
        r#"(func $count (param $at i32) (param $n i32)
             (loop $again
               (i32.store (local.get $at) (local.get $n))
               (local.set $n (i32.sub (local.get $n) (i32.const 1)))
               (br_if $again (local.get $n))))
           (func $_start_secondary (export "_start_secondary") (param $stack i32)
             (call $count (i32.const 0x11000) (i32.const 100000))
             (call $sleep (i64.const -1)))
           (func $_start (export "_start")
             (call $start_cpu (i32.const 1) (i32.const 0x12000) (i32.const 0x1e000))
             (call $count (i32.const 0x11004) (i32.const 50))
             (call $sleep (i64.const 500000))
             (call $done))"#,
    );
    // Slices that end in the middle of steps.
    let mut session = Session::start(&kernel, |c| c.slice = 1);
    let id = session.break_at("count", 0);
    let stop = session.go();
    let runner = stop.context.unwrap().runner;
    session.live.remove_breakpoint(id).unwrap();
    let other = RunnerId(1 - runner.0);
    let mut moved = 0;
    let mut before = session.live.frame_states(other).unwrap();
    for _ in 0..300 {
        let stop = session.resume(&Resume::step(runner, StepKind::Instruction));
        assert_eq!((stop.reason, stop.context.unwrap().runner), (StopReason::Step, runner));
        let now = session.live.frame_states(other).unwrap();
        moved += u32::from(now != before);
        before = now;
    }
    assert!(moved > 10, "the other task ran between {moved} of 300 steps");

    // Alone.
    let only = Resume { who: Who::Only(runner), ..Resume::step(runner, StepKind::Instruction) };
    for _ in 0..100 {
        session.resume(&only);
        assert_eq!(session.live.frame_states(other).unwrap(), before, "the other task stands still");
    }
    let both = Resume { who: Who::Only(other), ..Resume::step(runner, StepKind::Instruction) };
    assert!(matches!(session.live.resume(&both), Err(InferiorError::Refused(_))));
    session.quit();
}

#[test]
fn a_step_over_a_switch_goes_on_when_the_task_is_switched_to() {
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (call $say (i32.const 5))
             (drop (call $switch (i32.const 0x11000) (i32.const 0x10000)))
             (unreachable))
           (func $_start (export "_start")
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (call $done))"#,
    );
    let mut session = Session::start(&kernel, |_| {});
    let create = session.code(ModuleId::KERNEL, "spawn").len() - 2;
    session.break_at("spawn", create);
    session.go();
    let stop = session.step(StepKind::Instruction);
    assert_eq!((session.place_of(&stop), stop.context.unwrap().runner), (at("spawn", create + 1), RunnerId(0)));
    assert_eq!(session.console, "5 ", "the other task ran");
    session.quit();
}

#[test]
fn a_step_over_a_call_that_throws_ends_where_it_is_caught() {
    let kernel = kernel(
        r#"(tag $oops)
           (func $throws (call $deeper))
           (func $deeper (throw $oops))
           (func $catches (result i32)
             (block $caught
               (try_table (catch $oops $caught) (call $throws))
               (return (i32.const 1)))
             (i32.const 2))
           (func $_start (export "_start") (call $say (call $catches)) (call $done))"#,
    );
    let mut session = Session::start(&kernel, |_| {});
    session.break_at("throws", 0);
    session.go();
    let code = session.code(ModuleId::KERNEL, "catches");
    let caught = code.iter().position(|(_, operator)| operator.contains("value: 2")).unwrap();
    for _ in 0..3 {
        let stop = session.step(StepKind::Instruction);
        if session.place_of(&stop).0 == "catches" {
            assert_eq!(session.place_of(&stop), at("catches", caught));
            session.quit();
            return;
        }
    }
    panic!("{:?}", session.stopped());
}

#[test]
fn a_task_that_waits_cannot_run_alone() {
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (call $say (i32.const 5))
             (drop (call $switch (i32.const 0x11000) (i32.const 0x10000)))
             (unreachable))
           (func $_start (export "_start")
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (call $done))"#,
    );
    let mut session = Session::start(&kernel, |_| {});
    session.break_at("say", 0);
    let stop = session.go();
    assert_eq!(stop.context.unwrap().runner, RunnerId(1));
    let only = |runner| Resume { who: Who::Only(RunnerId(runner)), ..Resume::go() };
    assert!(matches!(session.live.resume(&only(0)), Err(InferiorError::Refused(_))), "it waits for the other");
    assert_eq!(session.live.resume(&only(9)), Err(InferiorError::NoRunner(RunnerId(9))));
    // Until it waits itself.
    assert_eq!(session.resume(&only(1)).reason, StopReason::Interrupt);
    assert_eq!(session.console, "5 ");
    assert!(matches!(session.go().reason, StopReason::Panic { .. }));
    session.quit();
}

#[test]
fn a_step_ends_where_exec_begins_and_where_a_signal_handler_does() {
    let second = user_image(r#"(func $fresh (export "_start") (call $done))"#);
    let first = user_image(
        r#"(func (export "__libc_handle_signal") (drop (call $call (i32.const 10) (i32.const 0))))
           (func (export "_start")
             (drop (call $call (i32.const 8) (i32.const 0)))
             (drop (call $call (i32.const 7) (i32.const 0))))"#,
    );
    let kernel = kernel(
        r#"(func $sys (param $nr i32) (param $a i32) (param $b i32) (result i32)
             (if (i32.eq (local.get $nr) (i32.const 8)) (then (call $user_mode_tail (i32.const 1))))
             (if (i32.eq (local.get $nr) (i32.const 10)) (then (call $user_mode_tail (i32.const 2))))
             (if (i32.eq (local.get $nr) (i32.const 7)) (then
               (call $exec (global.get $second) (global.get $second_end))
               (call $user_mode_tail (i32.const -1))))
             (i32.const 0))"#,
    )
    .image("second", second)
    .init(first);
    let mut session = Session::start(&kernel, |_| {});
    let code = session.code(ModuleId::KERNEL, "sys");
    let tails: Vec<_> =
        (0..code.len()).filter(|&n| code[n].1 == code.iter().find(|c| c.1.starts_with("Call")).unwrap().1).collect();
    let [signal, back, exec] = tails[..] else { panic!("{code:?}") };
    for place in tails {
        session.break_at("sys", place);
    }
    let stop = session.go();
    assert_eq!(session.place_of(&stop), at("sys", signal));
    // Over the delivery of a signal, whose handler runs through to the signal return …
    let stop = session.go();
    assert_eq!(session.place_of(&stop), at("sys", back));
    // … which unwinds to behind the delivery, once the host has asked the kernel for the user stack.
    let stop = session.step_past_questions();
    assert_eq!((stop.reason.clone(), session.place_of(&stop)), (StopReason::Step, at("sys", signal + 1)));
    let stop = session.go();
    assert_eq!(session.place_of(&stop), at("sys", exec));
    let stop = session.step_past_questions();
    assert_eq!(stop.reason, StopReason::Step);
    let frames = session.live.frames(stop.context.unwrap().runner).unwrap();
    assert_eq!((frames.len(), frames[0].address.module), (1, ModuleId(2)), "the first place of the new image");
    session.end();
    session.quit();
}

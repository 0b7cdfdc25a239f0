//! Breakpoints: met once for each time that their instruction runs, before it, wherever code was inserted.

use wkdb_debugger::inferior::{BreakpointSpec, Inferior, InferiorError, StopReason};
use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId, Outcome, RunnerId};

use super::{Session, at};
use crate::guest::{Kernel, kernel, user_image};

/// A loop that stores, calls and returns.
fn counting() -> Kernel {
    kernel(
        r#"(func $work (param $n i32) (result i32) (local $sum i32)
             (loop $again
               (i32.store (i32.const 0x11000) (local.get $sum))
               (local.set $sum (call $add (local.get $sum) (local.get $n)))
               (local.set $n (i32.sub (local.get $n) (i32.const 1)))
               (br_if $again (local.get $n)))
             (local.get $sum))
           (func $add (param $a i32) (param $b i32) (result i32)
             (i32.add (local.get $a) (local.get $b)))
           (func $_start (export "_start")
             (call $say (call $work (i32.const 3)))
             (call $done))"#,
    )
}

#[test]
fn every_instruction_stops_once_each_time_it_runs() {
    let mut seen = Vec::new();
    for (checks, loads) in [(false, false), (true, false), (true, true)] {
        let mut session = Session::start(&counting(), |c| (c.store_checks, c.load_checks) = (checks, loads));
        let code = session.code(ModuleId::KERNEL, "work");
        for instruction in 0..code.len() {
            session.break_at("work", instruction);
        }
        let mut met = vec![0; code.len()];
        let mut states = Vec::new();
        loop {
            let stop = session.go();
            let StopReason::Breakpoint(ids) = &stop.reason else { break };
            let (function, instruction) = session.place_of(&stop);
            assert_eq!((function.as_str(), ids.len()), ("work", 1));
            met[instruction] += 1;
            states.extend(session.states());
        }
        // The loop is entered once; a branch to it goes behind its head.
        let last = code.iter().position(|(_, operator)| operator == "End").unwrap();
        let wanted: Vec<_> = (0..code.len()).map(|n| if (1..last).contains(&n) { 3 } else { 1 }).collect();
        assert_eq!(met, wanted, "with store checks: {checks}; {code:?}");
        assert_eq!(session.end().0, Outcome::Panic);
        assert_eq!(session.console, "6 ");
        session.quit();
        seen.push(states);
    }
    // Frames, locals, operands: whatever code was inserted.
    assert!(seen[0].iter().any(|state| state.operands.len() == 2));
    assert!(seen.iter().all(|states| *states == seen[0]));
}

#[test]
fn the_instruction_has_not_run_yet() {
    for checks in [false, true] {
        let mut session = Session::start(&counting(), |c| c.store_checks = checks);
        let store = session.code(ModuleId::KERNEL, "work").iter().position(|(_, op)| op.starts_with("I32Store"));
        let store = store.unwrap();
        session.break_at("work", store);
        for sum in [0, 3, 5] {
            let stop = session.go();
            assert_eq!(session.place_of(&stop), at("work", store));
            let present = session.live.read_memory(0x11000, 4).unwrap();
            let before = [0, 0, 3][[0, 3, 5].iter().position(|&s| s == sum).unwrap()];
            assert_eq!(present, u32::to_le_bytes(before), "before the store of {sum}");
            let states = session.states();
            let operands: Vec<_> = states[0].operands.iter().map(|v| v.word().unwrap()).collect();
            assert_eq!(operands, [0x11000, sum], "with store checks: {checks}");
            assert_eq!(states[0].locals.len(), 2, "none of those that were added");
        }
        session.end();
        session.quit();
    }
}

#[test]
fn between_instructions_it_is_the_next_one_and_a_body_begins_with_its_first() {
    let mut session = Session::start(&counting(), |_| {});
    let code = session.code(ModuleId::KERNEL, "work");
    let body = CodeAddress { module: ModuleId::KERNEL, offset: CodeOffset(code[0].0.0 - 1) };
    session.break_at_address(body);
    let stop = session.go();
    assert_eq!(session.place_of(&stop), at("work", 0));
    // The constant 0x11000 is of several bytes.
    let inside = CodeAddress { module: ModuleId::KERNEL, offset: CodeOffset(code[1].0.0 + 2) };
    session.break_at_address(inside);
    let stop = session.go();
    assert_eq!(session.place_of(&stop), at("work", 2));
    for offset in [CodeOffset(0), CodeOffset(u32::MAX)] {
        let nowhere = CodeAddress { module: ModuleId::KERNEL, offset };
        let spec = BreakpointSpec { address: nowhere, only: None, temporary: false };
        assert_eq!(session.live.insert_breakpoint(&spec), Err(InferiorError::NoCode(nowhere)));
    }
    session.quit();
}

#[test]
fn a_temporary_one_is_met_once_and_a_removed_one_never() {
    let mut session = Session::start(&counting(), |_| {});
    let address = session.place("add", 0);
    let spec = BreakpointSpec { address, only: None, temporary: true };
    let temporary = session.live.insert_breakpoint(&spec).unwrap();
    let removed = session.break_at("work", 1);
    session.live.remove_breakpoint(removed).unwrap();
    assert_eq!(session.go().reason, StopReason::Breakpoint(vec![temporary]));
    assert!(matches!(session.go().reason, StopReason::Panic { .. }));
    session.quit();
}

/// Two tasks that call the same function in turns.
fn two_tasks() -> Kernel {
    kernel(
        r#"(func $turn (param $me i32) (param $next i32)
             (drop (call $switch (local.get $me) (local.get $next))))
           (func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (loop $always
               (call $turn (i32.const 0x11000) (i32.const 0x10000))
               (br $always))
             (unreachable))
           (func $_start (export "_start")
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (call $turn (i32.const 0x10000) (i32.const 0x11000))
             (call $turn (i32.const 0x10000) (i32.const 0x11000))
             (call $done))"#,
    )
}

#[test]
fn all_tasks_stop_also_those_made_later_or_only_one() {
    let mut session = Session::start(&two_tasks(), |_| {});
    session.break_at("turn", 0);
    let mut runners = Vec::new();
    loop {
        let stop = session.go();
        match stop.reason {
            StopReason::Breakpoint(_) => runners.push(stop.context.unwrap().runner.0),
            _ => break,
        }
    }
    assert_eq!(runners, [1, 0, 1, 0, 1]);
    session.quit();

    let mut session = Session::start(&two_tasks(), |_| {});
    let address = session.place("turn", 0);
    let spec = BreakpointSpec { address, only: Some(RunnerId(0)), temporary: false };
    let id = session.live.insert_breakpoint(&spec).unwrap();
    for _ in 0..2 {
        let stop = session.go();
        assert_eq!((stop.reason, stop.context.unwrap().runner), (StopReason::Breakpoint(vec![id]), RunnerId(0)));
    }
    assert!(matches!(session.go().reason, StopReason::Panic { .. }));
    session.quit();
}

#[test]
fn user_programs_loaded_later_have_them_too() {
    let image = user_image(
        r#"(func $loops (local $n i32)
             (loop $again
               (local.set $n (i32.add (local.get $n) (i32.const 1)))
               (br_if $again (i32.lt_u (local.get $n) (i32.const 2)))))
           (func (export "_start") (call $loops) (call $done))"#,
    );
    let mut session = Session::start(&kernel("").init(image), |_| {});
    // The kernel loads it, and everybody is told.
    session.break_at("get_user_stack_pointer", 0);
    session.go();
    let user = ModuleId(1);
    assert_eq!(session.live.module_count(), Ok(2));
    let address = session.place_in(user, "loops", 1);
    let id = session.break_at_address(address);
    let mut met = 0;
    loop {
        match session.go().reason {
            StopReason::Breakpoint(ids) if ids == [id] => met += 1,
            StopReason::Breakpoint(_) => {}
            _ => break,
        }
    }
    assert_eq!(met, 2);
    session.quit();
}

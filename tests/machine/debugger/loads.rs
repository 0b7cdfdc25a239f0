//! Programs that start later: the machine stops before their first instruction, at the same tick in every run.

use wkdb_debugger::inferior::{Inferior, StopReason};
use wkdb_tracer::ModuleId;

use super::session::{Session, at};
use crate::guest::{Kernel, kernel, user_image};

/// A program that runs another one, and that one again.
fn guest() -> Kernel {
    let next = user_image(
        r#"(func $early (export "__wasm_call_ctors") {{early }})
           (func $main (export "_start") (nop) {{next }} (drop (call $call (i32.const 12) (i32.const 0))))"#,
    );
    let first = user_image(r#"(func (export "_start") {{first }} (drop (call $call (i32.const 12) (i32.const 0))))"#);
    kernel(
        r#"(func $sys (param $nr i32) (param $a i32) (param $b i32) (result i32)
             (i32.store (i32.const 0x10710) (i32.add (i32.load (i32.const 0x10710)) (i32.const 1)))
             (if (i32.eq (i32.load (i32.const 0x10710)) (i32.const 3)) (then (call $done)))
             (call $exec (global.get $next) (global.get $next_end))
             (call $user_mode_tail (i32.const -1))
             (i32.const 0))"#,
    )
    .init(first)
    .image("next", next)
}

#[test]
fn a_breakpoint_set_where_a_program_is_loaded_is_met_at_its_first_call() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let mut session = Session::start(&guest(), |_| {});
        session.live.stop_at_loads(true).unwrap();
        let stop = session.go();
        assert_eq!((&stop.reason, session.console.as_str()), (&StopReason::ModuleLoaded(ModuleId(1)), ""));
        let loaded = session.go();
        assert_eq!((&loaded.reason, session.console.as_str()), (&StopReason::ModuleLoaded(ModuleId(2)), "first "));
        for function in ["early", "main"] {
            session.break_at_address(session.place_in(ModuleId(2), function, 0));
        }
        let early = session.go();
        assert_eq!((session.place_of(&early), session.console.as_str()), (at("early", 0), "first "));
        assert!(early.tick >= loaded.tick);
        let main = session.go();
        assert_eq!((session.place_of(&main), session.console.as_str()), (at("main", 0), "first early "));
        // The same program once more is nothing new; its breakpoints are met again.
        let again = session.go();
        assert_eq!((session.place_of(&again), session.console.as_str()), (at("early", 0), "first early next "));
        runs.push([stop.tick, loaded.tick, early.tick, main.tick, again.tick]);
    }
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn nobody_who_does_not_ask_is_stopped_and_the_run_is_the_same() {
    let totals = |asks: bool| {
        let mut session = Session::start(&guest(), |_| {});
        session.live.stop_at_loads(asks).unwrap();
        let mut stops = 0;
        while let StopReason::ModuleLoaded(_) = session.go().reason {
            stops += 1;
        }
        (stops, session.end())
    };
    let ((stops, asked), (none, plain)) = (totals(true), totals(false));
    assert_eq!((stops, none), (2, 0));
    assert_eq!(asked, plain);
}

#[test]
fn what_ran_before_somebody_asks_is_not_told() {
    let mut session = Session::start(&guest(), |_| {});
    session.live.stop_at_loads(true).unwrap();
    session.go();
    session.live.stop_at_loads(false).unwrap();
    let breakpoint = session.break_at_address(session.place_in(ModuleId(1), "call", 0));
    let called = session.go();
    assert_eq!(called.reason, StopReason::Breakpoint(vec![breakpoint]));
    session.live.remove_breakpoint(breakpoint).unwrap();
    session.live.stop_at_loads(true).unwrap();
    assert_eq!(session.go().reason, StopReason::ModuleLoaded(ModuleId(2)));
}

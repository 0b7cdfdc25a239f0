//! What can be seen of a task: its frames in all its activations, locals, operands, globals, memory.

use wkdb_debugger::inferior::{Inferior, InferiorError, StopReason};
use wkdb_tracer::{ModuleId, RunnerId, RunnerState, WasmValue};

use super::{Session, at};
use crate::guest::{kernel, user_image};

#[test]
fn frames_hold_the_functions_own_locals_and_operands() {
    for checks in [false, true] {
        let kernel = kernel(
            r#"(func $inner (param $a i32) (result i32) (local $l i64) (local $f f64)
                 (local.set $l (i64.const -5))
                 (local.set $f (f64.const 1.5))
                 (loop $l1 (nop))
                 (i32.store (i32.const 0x11000) (i32.const 9))
                 (i32.add (i32.const 40) (call $leaf (local.get $a) (i32.const 2))))
               (func $leaf (param $x i32) (param $y i32) (result i32)
                 (i32.mul (local.get $x) (local.get $y)))
               (func $_start (export "_start")
                 (call $say (i32.sub (i32.const 100) (call $inner (i32.const 1))))
                 (call $done))"#,
        );
        let mut session = Session::start(&kernel, |c| c.store_checks = checks);
        let mul = session.code(ModuleId::KERNEL, "leaf").len() - 2;
        session.break_at("leaf", mul);
        let stop = session.go();
        assert_eq!(session.place_of(&stop), at("leaf", mul));
        let states = session.states();
        let i32s = |values: &[u32]| values.iter().map(|&v| WasmValue::I32(v)).collect::<Vec<_>>();
        assert_eq!((&states[0].locals, &states[0].operands), (&i32s(&[1, 2]), &i32s(&[1, 2])));
        let locals = vec![WasmValue::I32(1), WasmValue::I64(-5i64 as u64), WasmValue::F64(1.5f64.to_bits())];
        assert_eq!((&states[1].locals, &states[1].operands), (&locals, &i32s(&[40])), "checks: {checks}");
        assert_eq!((&states[2].locals, &states[2].operands), (&vec![], &i32s(&[100])));
        let frames = session.live.frames(RunnerId(0)).unwrap();
        assert_eq!(states.iter().map(|s| s.frame).collect::<Vec<_>>(), frames);
        let names: Vec<_> = frames.iter().map(|f| session.frame(f).0).collect();
        assert_eq!(names, ["leaf", "inner", "_start"]);
        assert_eq!(session.end().0, wkdb_tracer::Outcome::Panic);
        assert_eq!(session.console, "58 ");
        session.quit();
    }
}

#[test]
fn frames_go_through_system_calls_and_signal_handlers() {
    let image = user_image(
        r#"(func $in_handler (drop (call $call (i32.const 9) (i32.const 0))))
           (func (export "__libc_handle_signal") (call $in_handler) (drop (call $call (i32.const 10) (i32.const 0))))
           (func (export "_start") (drop (call $call (i32.const 8) (i32.const 0))) (call $done))"#,
    );
    let kernel = kernel(
        r#"(func $sys (param $nr i32) (param $a i32) (param $b i32) (result i32)
             (if (i32.eq (local.get $nr) (i32.const 8)) (then (call $user_mode_tail (i32.const 1))))
             (if (i32.eq (local.get $nr) (i32.const 10)) (then (call $user_mode_tail (i32.const 2))))
             (if (i32.eq (local.get $nr) (i32.const 9)) (then (call $deep)))
             (i32.const 0))
           (func $deep (nop))"#,
    )
    .init(image);
    let mut session = Session::start(&kernel, |_| {});
    session.break_at("deep", 0);
    let stop = session.go();
    let runner = stop.context.unwrap().runner;
    let names: Vec<_> = session.stack(runner).into_iter().map(|(name, _)| name).collect();
    let modules: Vec<_> = session.live.frames(runner).unwrap().iter().map(|f| f.address.module.0).collect();
    assert_eq!(names[0], "deep");
    assert_eq!(names.last().unwrap(), "_start");
    assert!(names.iter().any(|name| name == "in_handler"), "{names:?}");
    // kernel, handler, kernel, program
    let mut turns = modules.clone();
    turns.dedup();
    assert_eq!(turns, [0, 1, 0, 1], "{names:?}");
    let states = session.states();
    assert_eq!(states.iter().map(|s| s.frame.address.module.0).collect::<Vec<_>>(), modules);
    assert_eq!(session.live.stack_pointer(runner), Ok(0x1f000), "the kernel's");
    session.end();
    assert!(session.events.iter().all(|e| !matches!(e, wkdb_tracer::Event::Complaint { .. })), "{:?}", session.events);
    session.quit();
}

#[test]
fn tasks_that_wait_have_frames_too() {
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (call $say (i32.const 7))
             (drop (call $switch (i32.const 0x11000) (i32.const 0x10000)))
             (unreachable))
           (func $_start (export "_start")
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (call $say (i32.const 8))
             (call $sleep (i64.const 5000))
             (call $done))"#,
    );
    let mut session = Session::start(&kernel, |_| {});
    let first = &session.live.tasks().unwrap()[0];
    assert!(!first.started && first.holds_cpu);
    assert_eq!(session.live.frames(RunnerId(0)), Ok(vec![]), "it has not run");
    session.break_at("say", 0);
    session.go();
    let spawning: Vec<_> = session.stack(RunnerId(0)).into_iter().map(|f| f.0).collect();
    assert_eq!(spawning, ["spawn", "_start"]);
    session.go();
    let switched = session.stack(RunnerId(1));
    assert_eq!(switched, [at("ret_from_fork", 4)]);
    let tasks = session.live.tasks().unwrap();
    let states: Vec<_> = tasks.iter().map(|t| (t.state, t.holds_cpu, t.context.task.0)).collect();
    assert_eq!(states, [(RunnerState::Runnable, true, 0x10000), (RunnerState::SwitchedOut, false, 0x11000)]);
    assert_eq!(session.live.frames(RunnerId(7)), Err(InferiorError::NoRunner(RunnerId(7))));
    session.quit();
}

#[test]
fn globals_and_memory_can_be_changed_and_locals_not() {
    let kernel = kernel(
        r#"(global $counter (mut i32) (i32.const 5))
           (global $never_used (mut i64) (i64.const 77))
           (func $look (param $p i32) (call $say (global.get $counter)) (call $say (i32.load (i32.const 0x11000))))
           (func $_start (export "_start") (call $look (i32.const 3)) (call $done))"#,
    );
    for checks in [false, true] {
        let mut session = Session::start(&kernel, |c| c.store_checks = checks);
        session.break_at("look", 0);
        session.go();
        let (me, module) = (RunnerId(0), ModuleId::KERNEL);
        let globals = session.live.globals(me, module).unwrap();
        let counter = globals.iter().position(|g| *g == Some(WasmValue::I32(5))).unwrap() as u32;
        assert_eq!(globals.len() as u32, counter + 2, "all of the original's, none of those that were added");
        assert_eq!(globals[counter as usize + 1], None, "nothing uses it");
        session.live.set_global(me, module, counter, WasmValue::I32(6)).unwrap();
        let refused = |result| assert!(matches!(result, Err(InferiorError::Refused(_))), "{result:?}");
        refused(session.live.set_global(me, module, counter, WasmValue::I64(6)));
        refused(session.live.set_global(me, module, counter + 1, WasmValue::I64(6)));
        refused(session.live.set_global(me, ModuleId(3), 0, WasmValue::I64(6)));
        refused(session.live.set_local(me, 0, 0, WasmValue::I32(6)));
        session.live.write_memory(0x11000, &[1, 2, 0, 0]).unwrap();
        assert_eq!(session.live.read_memory(0x10fff, 4), Ok(vec![0, 1, 2, 0]));
        let size = 32 << 16;
        assert_eq!(session.live.read_memory(size - 2, 4).map(|bytes| bytes.len()), Ok(2), "up to the end");
        let outside = |address, len| Err(InferiorError::NoMemory { address, len });
        assert_eq!(session.live.read_memory(size, 4), outside(size, 4));
        assert_eq!(
            session.live.write_memory(size - 2, &[1; 4]),
            Err(InferiorError::NoMemory { address: size - 2, len: 4 })
        );
        assert_eq!(session.live.read_memory(size - 2, 2), Ok(vec![0, 0]), "nothing of it was written");
        session.end();
        assert_eq!(session.console, "6 513 ");
        session.quit();
    }
}

#[test]
fn code_that_was_compiled_for_speed_has_frames_and_no_breakpoints() {
    let kernel = kernel(r#"(func $_start (export "_start") (call $say (i32.const 1)) (call $done))"#);
    let mut session = Session::start(&kernel, |c| c.engine.debug = false);
    let address = session.place("say", 0);
    let spec = wkdb_debugger::inferior::BreakpointSpec { address, only: None, temporary: false };
    assert!(matches!(session.live.insert_breakpoint(&spec), Err(InferiorError::Refused(_))));
    let stop = session.go();
    assert_eq!(stop.reason, StopReason::Panic { message: "done".into() });
    let names: Vec<_> = session.stack(RunnerId(0)).into_iter().map(|f| f.0).collect();
    assert_eq!(names, ["done", "_start"]);
    assert!(matches!(session.live.frame_states(RunnerId(0)), Err(InferiorError::Refused(_))));
    session.quit();
}

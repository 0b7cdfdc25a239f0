//! Why a machine stops, and that it can be looked at after its end.

use std::time::{Duration, Instant};

use wkdb_debugger::inferior::{
    Inferior, InferiorError, Resume, Status, StopReason, WatchCondition, WatchKind, WatchSpec,
};
use wkdb_tracer::{Event, ModuleId, Outcome, RunnerId, Tick, Writer};

use super::{Session, at};
use crate::guest::{kernel, user_image};

/// Counts for ever.
const FOREVER: &str = r#"(func $_start (export "_start") (local $i i32)
    (loop $again
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (i32.store (i32.const 0x11000) (local.get $i))
      (br $again)))"#;

#[test]
fn an_interrupt_stops_within_a_long_slice() {
    const SLICE: u32 = 1_000_000_000;
    let mut session = Session::start(&kernel(FOREVER), |c| {
        c.slice = SLICE;
        c.stall_ns = u64::MAX / 4;
        c.max_time = None;
    });
    for _ in 0..5 {
        session.live.resume(&Resume::go()).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        // Reading does not need a stop.
        assert_eq!(session.live.read_memory(0x11000, 4).unwrap().len(), 4);
        assert_eq!(session.live.write_memory(0x11000, &[0]), Err(InferiorError::Running));
        session.live.interrupt().unwrap();
        let stop = session.stop();
        assert!(stop.tick < Tick(SLICE.into()), "only its slice ended at {}", stop.tick);
        assert_eq!((stop.reason, stop.context.unwrap().runner), (StopReason::Interrupt, RunnerId(0)));
    }
    session.quit();
}

#[test]
fn a_run_to_a_tick_stops_exactly_there() {
    let mut session = Session::start(&kernel(FOREVER), |_| {});
    for tick in [1, 2, 50, 51, 99_999, 100_000, 150_001, 412_345] {
        let stop = session.resume(&Resume { until_tick: Some(Tick(tick)), ..Resume::go() });
        assert_eq!((stop.reason, stop.tick), (StopReason::Tick, Tick(tick)));
        if tick > 50 {
            // Each turn of the loop is a tick, and stores its number once it has been counted.
            let stored = u32::from_le_bytes(session.live.read_memory(0x11000, 4).unwrap().try_into().unwrap());
            let turns = session.states()[0].locals[0].word().unwrap();
            assert_eq!(u64::from(stored), turns);
        }
    }
    session.quit();
}

#[test]
fn a_trap_stops_with_its_frames_before_the_kernel_sees_it() {
    let kernel = kernel(
        r#"(func $divide (param $a i32) (param $b i32) (result i32) (i32.div_u (local.get $a) (local.get $b)))
           (func $raise_exception (export "raise_exception") {{caught}} (call $died))
           (func $_start (export "_start") (drop (call $divide (i32.const 6) (i32.const 0))))"#,
    );
    let mut session = Session::start(&kernel, |_| {});
    let stop = session.go();
    assert_eq!(stop.reason, StopReason::Trap { reason: "integer divide by zero".into() });
    assert_eq!(session.place_of(&stop), at("divide", 2));
    assert_eq!(session.stack(RunnerId(0)), [at("divide", 2), at("_start", 2)]);
    let states = session.states();
    let words: Vec<_> = states[0].locals.iter().map(|l| l.word().unwrap()).collect();
    assert_eq!(words, [6, 0]);
    assert_eq!(session.console, "");
    let stop = session.go();
    assert_eq!(stop.reason, StopReason::Panic { message: "died".into() });
    assert_eq!(session.console, "caught");
    let traps = session.events.iter().filter(|e| matches!(e, Event::Trap { .. })).count();
    assert_eq!(traps, 1);
    session.quit();
}

#[test]
fn a_trap_through_several_activations_stops_once() {
    let image = user_image(
        r#"(func (export "__libc_handle_signal") (unreachable))
           (func (export "_start") (drop (call $call (i32.const 8) (i32.const 0))) (call $done))"#,
    );
    let kernel = kernel(
        r#"(func $sys (param $nr i32) (param $a i32) (param $b i32) (result i32)
             (call $user_mode_tail (i32.const 1)) (i32.const 0))"#,
    )
    .init(image);
    let mut session = Session::start(&kernel, |_| {});
    let stop = session.go();
    assert!(matches!(&stop.reason, StopReason::Trap { reason } if reason.contains("unreachable")), "{stop:?}");
    assert_eq!(stop.frame.unwrap().address.module, ModuleId(1));
    assert_eq!(session.go().reason, StopReason::Panic { message: "died".into() });
    session.quit();
}

#[test]
fn the_end_is_a_stop_first_and_what_ended_can_still_be_looked_at() {
    let kernel = kernel(
        r#"(func $_start (export "_start")
             (i32.store (i32.const 0x11000) (i32.const 77))
             (call $sleep (i64.const -1)))"#,
    );
    let mut session = Session::start(&kernel, |_| {});
    let stop = session.go();
    let StopReason::End(outcome) = stop.reason else { panic!("{:?}", stop.reason) };
    assert!(matches!(*outcome, Outcome::Deadlock(_)));
    let (outcome, _) = session.end();
    assert!(matches!(outcome, Outcome::Deadlock(_)));
    assert!(matches!(session.live.status(), Status::Ended(..)));
    assert_eq!(session.live.read_memory(0x11000, 1), Ok(vec![77]));
    assert_eq!(session.stack(RunnerId(0)).len(), 2);
    assert!(matches!(session.live.resume(&Resume::go()), Err(InferiorError::Refused(_))));
    assert!(matches!(session.live.write_memory(0x11000, &[1]), Err(InferiorError::Refused(_))));
    session.quit();
}

fn watch(address: u64, len: u64) -> WatchSpec {
    WatchSpec { address, len, kind: WatchKind::Write, condition: WatchCondition::default(), stop: true }
}

#[test]
fn a_watched_store_stops_behind_it_with_what_changed() {
    for debug in [true, false] {
        let kernel = kernel(
            r#"(func $write (param $n i32)
                 (i32.store16 offset=2 (i32.const 0x11000) (local.get $n))
                 (nop)
                 (memory.fill (i32.const 0x10ff0) (i32.const 7) (i32.const 0x40)))
               (func $_start (export "_start") (call $write (i32.const 0x1234)) (call $done))"#,
        );
        let mut session = Session::start(&kernel, |c| {
            c.store_checks = true;
            c.engine.debug = debug;
        });
        let both = session.live.insert_watch(&watch(0x11000, 4)).unwrap();
        let high = session.live.insert_watch(&watch(0x11003, 1)).unwrap();
        let gone = session.live.insert_watch(&watch(0x11000, 1)).unwrap();
        session.live.remove_watch(gone).unwrap();
        let stop = session.go();
        let StopReason::Watch(hits) = &stop.reason else { panic!("{stop:?}") };
        let seen: Vec<_> = hits.iter().map(|(id, hit)| (*id, hit.address, hit.old.clone(), hit.new.clone())).collect();
        let expected = [(both, 0x11002, vec![0, 0], vec![0x34, 0x12]), (high, 0x11003, vec![0], vec![0x12])];
        assert_eq!(seen, expected);
        let Writer::Guest { stack } = &hits[0].1.writer else { panic!("{hits:?}") };
        let code = session.code(ModuleId::KERNEL, "write");
        let store = code.iter().position(|(_, op)| op.starts_with("I32Store16")).unwrap();
        assert_eq!(session.frame(&stack[0]), at("write", store));
        assert_eq!(session.place_of(&stop), at("write", store + 1), "behind it");
        assert_eq!(session.live.read_memory(0x11002, 2), Ok(vec![0x34, 0x12]), "it is done");
        if debug {
            assert!(session.states()[0].operands.is_empty());
            // What comes next is met by a breakpoint only if the runner comes to it again.
            session.break_at("write", store + 1);
        }
        let stop = session.go();
        let StopReason::Watch(hits) = &stop.reason else { panic!("{stop:?}") };
        assert_eq!(hits.len(), 2, "one stop for all that one instruction did");
        let fill = code.iter().position(|(_, op)| op.starts_with("MemoryFill")).unwrap();
        assert_eq!(session.place_of(&stop), at("write", fill + 1));
        if debug {
            let stop = session.step(wkdb_debugger::inferior::StepKind::Instruction);
            let (function, _) = session.place_of(&stop);
            assert_eq!(function, "_start", "the end of the function was where it stood");
        }
        assert!(matches!(session.go().reason, StopReason::Panic { .. }));
        session.quit();
    }
}

#[test]
fn a_watched_load_stops_behind_it_and_an_exchange_once() {
    let kernel = kernel(
        r#"(func $reads
             (drop (i64.load (i32.const 0x10ffe)))
             (drop (i32.atomic.rmw.add (i32.const 0x11000) (i32.const 5))))
           (func $_start (export "_start") (call $reads) (call $done))"#,
    );
    let mut session = Session::start(&kernel, |c| c.load_checks = true);
    let id = session.live.insert_watch(&WatchSpec { kind: WatchKind::Access, ..watch(0x11000, 4) }).unwrap();
    let code = session.code(ModuleId::KERNEL, "reads");
    for operator in ["I64Load", "I32AtomicRmwAdd"] {
        let stop = session.go();
        let StopReason::Watch(hits) = &stop.reason else { panic!("{stop:?}") };
        assert_eq!((hits.len(), hits[0].0), (1, id), "{operator}");
        let access = code.iter().position(|(_, op)| op.starts_with(operator)).unwrap();
        assert_eq!(session.place_of(&stop), at("reads", access + 1), "{operator}");
        assert_eq!(session.states()[0].operands.len(), 1, "what was there is on the stack");
    }
    assert!(matches!(session.go().reason, StopReason::Panic { .. }));
    session.quit();
}

#[test]
fn what_the_host_writes_stops_as_the_hosts() {
    let kernel = kernel(
        r#"(func $_start (export "_start")
             (call $dump (i32.const 0x11000) (i32.const 100))
             (call $done))"#,
    );
    let mut session = Session::start(&kernel, |c| c.store_checks = true);
    session.live.insert_watch(&watch(0x11000, 4)).unwrap();
    let stop = session.go();
    let StopReason::Watch(hits) = &stop.reason else { panic!("{stop:?}") };
    assert_eq!(hits[0].1.writer, Writer::Host { action: "stack trace".into() });
    assert_eq!(hits[0].1.new, b"    ");
    session.end();
    session.quit();
}

#[test]
fn watches_need_code_with_checks_and_memory() {
    let kernel = kernel(r#"(func $_start (export "_start") (call $done))"#);
    let mut session = Session::start(&kernel, |_| {});
    assert!(matches!(session.live.insert_watch(&watch(0x11000, 4)), Err(InferiorError::Refused(_))));
    session.quit();
    let mut session = Session::start(&kernel, |c| c.store_checks = true);
    let (address, len) = (u64::MAX - 1, 4);
    assert_eq!(session.live.insert_watch(&watch(address, len)), Err(InferiorError::NoMemory { address, len }));
    assert!(matches!(session.live.insert_watch(&watch(0x11000, 0)), Err(InferiorError::Refused(_))));
    let reads = WatchSpec { kind: WatchKind::Read, ..watch(0x11000, 4) };
    assert!(matches!(session.live.insert_watch(&reads), Err(InferiorError::Refused(_))), "loads have no checks");
    session.quit();
}

#[test]
fn without_a_debugger_nothing_stops() {
    let kernel = kernel(r#"(func $_start (export "_start") (call $say (i32.const 1)) (unreachable))"#);
    let mut session = Session::start(&kernel, |_| {});
    session.live.set_attached(false).unwrap();
    session.live.resume(&Resume::go()).unwrap();
    // Its thread ends by itself, and the channel with it.
    let deadline = Instant::now() + Duration::from_secs(30);
    while session.live.notices(Duration::from_millis(50)).is_ok() {
        assert!(Instant::now() < deadline);
    }
}

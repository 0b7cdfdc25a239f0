//! How runs end, and what is said of guests that hang.

use std::time::{Duration, Instant};

use wkdb::condition::Condition;
use wkdb::machine::{Command, Pace, Policy};
use wkdb_tracer::{Cpu, Event, GuestTime, Outcome, RunnerState, Tick};

use crate::guest::{Kernel, boot, kernel, user_image};

/// Prints a dot a millisecond, for ever.
fn dots() -> Kernel {
    kernel(r#"(func $_start (export "_start") (loop $more {{.}} (call $sleep (i64.const 1_000_000)) (br $more)))"#)
}

/// Counts for ever.
fn counter() -> Kernel {
    kernel(
        r#"(func $count (loop $more
             (i32.store (i32.const 0x10600) (i32.add (i32.load (i32.const 0x10600)) (i32.const 1)))
             (br $more)))
           (func $_start (export "_start") (call $count))"#,
    )
}

#[test]
fn a_deadlock_says_who_waits_where() {
    let kernel = kernel(
        r#"(func $lock (param $address i32)
             (drop (memory.atomic.wait32 (local.get $address) (i32.const 0) (i64.const -1))))
           (func $ret_from_fork (export "ret_from_fork") (param i32 i32) (result i32)
             (call $lock (i32.const 0x10700)) (i32.const 0))
           (func $_start_secondary (export "_start_secondary") (param i32) (call $lock (i32.const 0x10600)))
           (func $_start (export "_start")
             (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x12000))))"#,
    );
    let run = kernel.run();
    let Outcome::Deadlock(reports) = &run.outcome else { panic!("{:?}", run.outcome) };
    let never = GuestTime::NEVER;
    let seen: Vec<_> = reports
        .iter()
        .map(|r| (r.context.task.0, r.context.cpu.0, r.state, r.holds_cpu, run.functions(&r.stack).join(" < ")))
        .collect();
    let expected = [
        (0x10000, 0, RunnerState::SwitchedOut, false, "spawn < _start"),
        (0x11000, 1, RunnerState::Waiting { address: 0x10600, deadline: never }, true, "lock < _start_secondary"),
        (0x12000, 0, RunnerState::Waiting { address: 0x10700, deadline: never }, true, "lock < ret_from_fork"),
    ];
    assert_eq!(seen, expected.map(|(task, cpu, state, holds, stack)| (task, cpu, state, holds, stack.to_owned())));
}

#[test]
fn a_machine_that_only_spins_is_ended() {
    let run = boot(&counter(), |config| config.stall_ns = 2_000_000);
    let Outcome::Spin(reports) = &run.outcome else { panic!("{:?}", run.outcome) };
    assert_eq!(run.functions(&reports[0].stack), ["count", "_start"]);
    // At most two slices late.
    assert!((2_000_000..4_000_000).contains(&run.totals.time.0), "{}", run.totals.time);
    assert!(reports.iter().all(|report| report.state == RunnerState::Runnable));
}

#[test]
fn waiting_printing_and_switching_is_not_spinning() {
    for act in
        ["{{.}}", "(call $sleep (i64.const 100))", "(drop (call $switch (i32.const 0x10000) (i32.const 0x10000)))"]
    {
        // Every 0.5 ms, for 5 ms, where 1 ms is a stall.
        let kernel = kernel(&format!(
            r#"(func $_start (export "_start") (local $i i32) (local $j i32)
                 (loop $more
                   (local.set $j (i32.const 0))
                   (loop $busy (br_if $busy (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 1))) (i32.const 50_000))))
                   {act}
                   (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 10))))
                 (call $done))"#
        ));
        let run = boot(&kernel, |config| (config.stall_ns, config.slice) = (1_000_000, 1000));
        run.done();
    }
}

#[test]
fn a_task_that_holds_its_cpu_in_the_kernel_is_reported_once() {
    let kernel = kernel(
        r#"(func $spin (loop $for_ever (call $cpu_relax) (br $for_ever)))
           (func $cpu_relax)
           (func $_start_secondary (export "_start_secondary") (param i32) (call $spin))
           (func $_start (export "_start")
             (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
             (loop $tick (call $sleep (i64.const 10_000)) (br $tick)))"#,
    );
    let run = boot(&kernel, |config| {
        (config.stall_ns, config.slice) = (1_000_000, 1000);
        config.max_time = Some(GuestTime(5_000_000));
    });
    assert_eq!(run.outcome, Outcome::MaxTime);
    let hogs: Vec<_> = run.events.iter().filter(|e| matches!(e, Event::Hog { .. })).collect();
    let [Event::Hog { context, for_ns, others, stack }] = hogs[..] else { panic!("{hogs:?}") };
    assert_eq!((context.cpu, *others), (Cpu(1), 0));
    assert!((1_000_000..1_100_000).contains(for_ns), "{for_ns}");
    assert_eq!(run.functions(stack)[run.functions(stack).len() - 2..], ["spin", "_start_secondary"]);
}

#[test]
fn a_user_program_is_a_hog_only_where_others_wait_for_its_cpu() {
    let image = user_image(r#"(func $main (export "_start") (loop $for_ever (br $for_ever)))"#);
    // The task at 0x12000 becomes a user program on CPU 1, alone or with another task of that CPU switched out.
    let body = |other: &str| {
        format!(
            r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
                 (if (i32.eq (local.get $new) (i32.const 0x13000))
                   (then (drop (call $spawn (i32.const 0x13000) (i32.const 0x12000)))))
                 (call $exec (global.get $init) (global.get $init_end))
                 (i32.const 0))
               (func $_start_secondary (export "_start_secondary") (param i32)
                 (drop (call $spawn (i32.const 0x11000) (i32.const {other}))))
               (func $_start (export "_start")
                 (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
                 (loop $tick (call $sleep (i64.const 10_000)) (br $tick)))"#
        )
    };
    for (first, expected) in [("0x12000", None), ("0x13000", Some(1))] {
        let run = boot(&kernel(&body(first)).init(image.clone()), |config| {
            config.stall_ns = 1_000_000;
            config.max_time = Some(GuestTime(5_000_000));
        });
        let hog = run
            .events
            .iter()
            .find_map(|e| if let Event::Hog { others, stack, .. } = e { Some((*others, stack)) } else { None });
        assert_eq!(hog.as_ref().map(|hog| hog.0), expected);
        if let Some((_, stack)) = hog {
            assert_eq!(run.functions(stack), ["main"]);
        }
    }
}

#[test]
fn a_run_until_a_tick_ends_at_exactly_that_tick() {
    for policy in [Policy::Fair, Policy::Random, Policy::Pct] {
        for tick in [1, 2, 49_999, 50_000, 123_456] {
            let run = boot(&counter(), |config| {
                config.until = vec![Condition::Tick(Tick(tick)), Condition::Tick(Tick(tick + 5))];
                config.policy = policy;
            });
            assert_eq!((run.outcome, run.totals.ticks), (Outcome::Until(format!("tick={tick}")), Tick(tick)));
            assert_eq!(run.totals.time, GuestTime(tick * 10));
        }
    }
}

#[test]
fn a_run_until_a_time_ends_there() {
    // Busy: at the tick at which the time comes. Idle: at that very moment.
    for (kernel, at, expected) in [(counter(), 100_001, 100_010), (dots(), 10_500_000, 10_500_000)] {
        let run = boot(&kernel, |config| config.until = vec![Condition::Time(GuestTime(at))]);
        assert!(matches!(&run.outcome, Outcome::Until(text) if text.starts_with("time=")), "{:?}", run.outcome);
        assert_eq!(run.totals.time.0, expected);
        let run = boot(&kernel, |config| config.max_time = Some(GuestTime(at)));
        assert_eq!((run.outcome, run.totals.time.0), (Outcome::MaxTime, expected));
    }
}

#[test]
fn conditions_of_the_guests_doing() {
    let kernel = kernel(
        r#"(func $raise_exception (export "raise_exception") (call $done))
           (func $_start (export "_start") {{log}} (call $sleep (i64.const 1000)) {{in: }} (unreachable))"#,
    );
    let until = |conditions: &[Condition]| boot(&kernel, |config| config.until = conditions.to_vec()).outcome;
    let console = |text: &str| Condition::Console(text.as_bytes().to_vec());
    assert_eq!(until(&[console("nothing"), console("login: ")]), Outcome::Until("console=login: ".into()));
    assert_eq!(until(&[Condition::Panic]), Outcome::Until("panic".into()));
    assert_eq!(until(&[Condition::Panic, Condition::Trap]), Outcome::Until("trap".into()));
    assert_eq!(until(&[Condition::Trap, console("log")]), Outcome::Until("console=log".into()));
    assert_eq!(until(&[]), Outcome::Panic);
}

#[test]
fn a_person_leaves() {
    let run = dots().run_with(vec![Command::Input(b"x".to_vec()), Command::Quit]);
    assert_eq!((run.outcome, run.totals.ticks), (Outcome::Quit, Tick(0)));
}

/// A shell of a kind: a prompt, then it reads a byte at a time, polling each millisecond, and says what and when.
fn shell() -> Kernel {
    kernel(
        r#"(func $_start (export "_start")
             (call $sleep (i64.const 5_000_000))
             {{$ }}
             (loop $poll
               (if (call $get (i32.const 0x10600) (i32.const 1))
                 (then
                   (drop (call $put (i32.const 0x10600) (i32.const 1)))
                   (call $say64 (i64.div_u (call $clock) (i64.const 1_000_000))))
                 (else (call $sleep (i64.const 1_000_000))))
               (br $poll)))"#,
    )
}

#[test]
fn a_script_types_when_it_should_and_its_end_ends_the_run() {
    let script = "# a comment\nexpect \"$ \"\nsend \"a\"\nwait 20ms\nsend \"b\"\n@90ms send \"c\"\n";
    let run = boot(&shell(), |config| {
        config.script = Some(script.into());
        config.until = vec![Condition::Script];
    });
    assert_eq!(run.outcome, Outcome::Until("script".into()));
    let console = run.console.replace('a', " a").replace('b', " b").replace('c', " c");
    let words: Vec<_> = console.split_whitespace().collect();
    let [_, a, b, c] = words[..] else { panic!("{console}") };
    let time = |word: &str| word[1..].parse::<u64>().unwrap();
    assert!((5..8).contains(&time(a)) && (25..28).contains(&time(b)) && (90..93).contains(&time(c)), "{console}");
}

#[test]
fn an_expect_that_fails_says_where_and_shows_the_console() {
    let script = "expect \"$ \"\nsend \"ab\"\n\nexpect \"b7\"\nexpect \"never\"\n";
    for (timeout, limit, why) in [
        (50_000_000, None, "was not printed in time"),
        (u64::MAX, Some(GuestTime(60_000_000)), "was not printed before the run's time limit"),
    ] {
        let run = boot(&shell(), |config| {
            config.script = Some(script.into());
            config.expect_timeout_ns = timeout;
            config.max_time = limit;
        });
        let Outcome::Script { reason, console_tail } = &run.outcome else { panic!("{:?}", run.outcome) };
        assert!(reason.starts_with("input script, line 4: expect \"b7\" was not printed"), "{reason}");
        assert!(reason.contains(why), "{reason}");
        assert!(console_tail.starts_with("$ a"), "{console_tail}");
        assert!((55_000_000..61_000_000).contains(&run.totals.time.0), "{}", run.totals.time);
    }
}

#[test]
fn real_pace_waits_for_the_wall_clock_and_computes_the_same() {
    let set = |pace| {
        move |config: &mut wkdb::machine::MachineConfig| {
            config.pace = pace;
            config.until = vec![Condition::Time(GuestTime(60_000_000))];
        }
    };
    let warp = boot(&dots(), set(Pace::Warp));
    let started = Instant::now();
    let real = boot(&dots(), set(Pace::Real));
    assert!(started.elapsed() >= Duration::from_millis(60));
    assert_eq!((real.totals, real.console), (warp.totals, warp.console));
}

#[test]
fn ten_minutes_of_idle_ticks_pass_quickly() {
    // A 100 Hz tick for 600 s, as CPU 0 keeps it.
    let kernel =
        kernel(r#"(func $_start (export "_start") (loop $tick (call $sleep (i64.const 10_000_000)) (br $tick)))"#);
    let started = Instant::now();
    let run = boot(&kernel, |config| config.until = vec![Condition::Time(GuestTime(600_000_000_000))]);
    assert_eq!(run.totals.time.0, 600_000_000_000);
    // It takes 30 ms or so; a jump of the clock that costs a millisecond would take a minute.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

//! CPUs, tasks and the baton: who runs on which CPU, and what a switch returns.

use wkdb_tracer::{Cpu, Event, Outcome, RunnerState, TaskId};

use crate::guest::{Era, Run, boot, kernel};

/// The tasks of the events of one kind, in order.
fn born(run: &Run) -> Vec<u64> {
    run.events
        .iter()
        .filter_map(|e| if let Event::TaskBorn { context } = e { Some(context.task.0) } else { None })
        .collect()
}

fn gone(run: &Run) -> Vec<u64> {
    run.events
        .iter()
        .filter_map(|e| if let Event::TaskGone { context } = e { Some(context.task.0) } else { None })
        .collect()
}

#[test]
fn secondary_cpus_start_with_their_stack_or_their_idle_task() {
    let body = |arguments: &str| {
        format!(
            r#"(func $_start_secondary (export "_start_secondary") (param $argument i32)
                 (call $say (local.get $argument))
                 (i32.store (i32.const 0x10600) (i32.add (i32.load (i32.const 0x10600)) (i32.const 1)))
                 (drop (memory.atomic.notify (i32.const 0x10600) (i32.const 1)))
                 (call $sleep (i64.const -1)))
               (func $wait_for (param $n i32)
                 (loop $more
                   (drop (memory.atomic.wait32 (i32.const 0x10600) (i32.sub (local.get $n) (i32.const 1)) (i64.const -1)))
                   (br_if $more (i32.lt_u (i32.atomic.load (i32.const 0x10600)) (local.get $n)))))
               (func $_start (export "_start")
                 (call $start_cpu (i32.const 1) (i32.const 0x11000) {arguments})
                 (call $wait_for (i32.const 1))
                 (call $start_cpu (i32.const 2) (i32.const 0x12000) {arguments})
                 (call $wait_for (i32.const 2))
                 (call $done))"#
        )
    };
    for (era, arguments, expected) in [(Era::V6_4, "(i32.const 1234)", "1234 1234 "), (Era::V7_0, "", "69632 73728 ")] {
        let run = kernel(&body(arguments)).era(era).run();
        assert_eq!(run.done(), expected);
        assert_eq!(run.totals.cpus, 3);
        let started: Vec<_> = run
            .events
            .iter()
            .filter_map(|e| {
                if let Event::CpuStarted { context } = e {
                    Some((context.cpu, context.task, context.comm.as_str()))
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(started, [(Cpu(1), TaskId(0x11000), "swapper/1"), (Cpu(2), TaskId(0x12000), "swapper/2")]);
    }
}

#[test]
fn many_cpus() {
    let kernel = kernel(
        r#"(func $_start_secondary (export "_start_secondary") (param $cpu i32)
             (if (i32.eq (i32.atomic.rmw.add (i32.const 0x10600) (i32.const 1)) (i32.const 62)) (then (call $done)))
             (call $sleep (i64.const -1)))
           (func $_start (export "_start") (local $cpu i32)
             (loop $more
               (local.set $cpu (i32.add (local.get $cpu) (i32.const 1)))
               (call $start_cpu (local.get $cpu) (i32.mul (local.get $cpu) (i32.const 0x11000)) (local.get $cpu))
               (br_if $more (i32.lt_u (local.get $cpu) (i32.const 63))))
             (call $sleep (i64.const -1)))"#,
    );
    let run = kernel.run();
    assert_eq!((run.done(), run.totals.cpus), (String::new(), 64));
}

#[test]
fn a_switch_returns_who_switched_back() {
    // init → a → b → init: init's create returns b. Then init → a, whose create returns init.
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             {{from }} (call $say (local.get $prev)) {{to }} (call $say (local.get $new))
             (if (i32.eq (local.get $new) (i32.const 0x11000))
               (then {{a: }} (call $say (call $spawn (i32.const 0x11000) (i32.const 0x12000)))
                     (call $done)))
             (drop (call $switch (i32.const 0x12000) (i32.const 0x10000)))
             (unreachable))
           (func $_start (export "_start")
             {{init: }} (call $say (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (call $say (call $switch (i32.const 0x10000) (i32.const 0x11000))))"#,
    );
    let run = kernel.run();
    assert_eq!(run.done(), "init: from 65536 to 69632 a: from 69632 to 73728 73728 65536 ");
    assert_eq!(born(&run), [0x11000, 0x12000]);
    assert_eq!(run.totals.tasks, 3);
}

#[test]
fn a_task_is_known_by_the_name_it_was_born_with() {
    let kernel = kernel(
        r#"(data $name "kworker/0:1\00")
           (func $ret_from_fork (export "ret_from_fork") (param i32 i32) (result i32) (call $done) (i32.const 0))
           (func $_start (export "_start")
             (memory.init $name (i32.const 0x10540) (i32.const 0) (i32.const 12))
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000))))"#,
    );
    let run = kernel.run();
    run.done();
    let Event::TaskBorn { context } = &run.events[0] else { panic!() };
    assert_eq!((context.comm.as_str(), context.cpu), ("kworker/0:1", Cpu(0)));
    let Some(Event::Panic { context, .. }) = run.events.last() else { panic!() };
    assert_eq!(context.comm, "kworker/0:1");
}

#[test]
fn a_baton_that_comes_before_its_task_sleeps_is_not_lost() {
    // cpu0's task hands itself to nobody yet when cpu1, which has already picked it up, switches to it.
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             ;; On cpu0. Lets cpu1 go, and spins until it has switched to us, before we have switched away.
             (i32.atomic.store (i32.const 0x10600) (i32.const 1))
             (drop (memory.atomic.notify (i32.const 0x10600) (i32.const 1)))
             (loop $spin (br_if $spin (i32.ne (i32.atomic.load (i32.const 0x10604)) (i32.const 1))))
             (call $nothing) (call $nothing)
             {{away }}
             (call $say (call $switch (i32.const 0x12000) (i32.const 0x10000)))
             {{back }}
             (call $done)
             (i32.const 0))
           (func $nothing)
           (func $_start_secondary (export "_start_secondary") (param i32)
             (drop (memory.atomic.wait32 (i32.const 0x10600) (i32.const 0) (i64.const -1)))
             (i32.atomic.store (i32.const 0x10604) (i32.const 1))
             (drop (call $switch (i32.const 0x11000) (i32.const 0x12000))))
           (func $_start (export "_start")
             (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x12000)))
             (call $sleep (i64.const -1)))"#,
    );
    for seed in 0..20 {
        let run = boot(&kernel, |config| (config.seed, config.slice) = (seed, 5));
        assert_eq!(run.done(), "away 69632 back ", "seed {seed}");
        let Some(Event::Panic { context, .. }) = run.events.last() else { panic!() };
        assert_eq!(context.cpu, Cpu(1), "it runs where it was switched to");
    }
}

/// A task that is released while it is switched out, a hundred times, always at the same address.
#[test]
fn a_released_task_is_gone_and_its_address_can_be_another_task() {
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (i32.store (i32.const 0x10600) (i32.add (i32.load (i32.const 0x10600)) (i32.const 1)))
             (drop (call $switch (i32.const 0x11000) (i32.const 0x10000)))
             (unreachable))
           (func $_start (export "_start") (local $i i32)
             (loop $more
               (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
               (call $release (i32.const 0x11000))
               (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
             (call $say (i32.load (i32.const 0x10600)))
             (call $done))"#,
    );
    let run = kernel.run();
    assert_eq!(run.done(), "100 ");
    assert_eq!((run.totals.tasks, run.totals.tasks_alive), (101, 1));
    assert_eq!(gone(&run), [0x11000; 100]);
}

#[test]
fn an_idle_worker_that_releases_itself_after_300_s_still_hands_its_cpu_on() {
    // The port's five-minute freeze: destroyed at once, the worker would take cpu0's baton with it.
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (call $sleep (i64.const 300_000_000_000))
             {{exit }}
             (call $release (i32.const 0x11000))
             {{still here }}
             (call $sleep (i64.const 1000))
             (drop (call $switch (i32.const 0x11000) (i32.const 0x10000)))
             {{zombie}}
             (unreachable))
           (func $_start (export "_start")
             (call $say (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (call $say64 (i64.div_u (call $clock) (i64.const 1_000_000_000)))
             (call $done))"#,
    );
    let run = kernel.run();
    assert_eq!(run.done(), "exit still here 69632 300 ");
    assert_eq!(run.totals.tasks_alive, 1);
    assert_eq!(gone(&run), [0x11000]);
}

#[test]
fn a_zombie_may_be_reaped_while_it_is_in_its_last_schedule() {
    // cpu0's task dies; a parent on cpu1 releases it before it has switched away.
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (i32.atomic.store (i32.const 0x10600) (i32.const 1))
             (drop (memory.atomic.notify (i32.const 0x10600) (i32.const 1)))
             (loop $until_released (br_if $until_released (i32.eqz (i32.atomic.load (i32.const 0x10604)))))
             {{dying }}
             (drop (call $switch (i32.const 0x12000) (i32.const 0x10000)))
             (unreachable))
           (func $_start_secondary (export "_start_secondary") (param i32)
             (drop (memory.atomic.wait32 (i32.const 0x10600) (i32.const 0) (i64.const -1)))
             (call $release (i32.const 0x12000))
             (i32.atomic.store (i32.const 0x10604) (i32.const 1))
             (call $sleep (i64.const -1)))
           (func $_start (export "_start")
             (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
             (call $say (call $spawn (i32.const 0x10000) (i32.const 0x12000)))
             (call $done))"#,
    );
    let run = boot(&kernel, |config| config.slice = 10);
    assert_eq!(run.done(), "dying 73728 ");
    assert_eq!((run.totals.tasks, run.totals.tasks_alive), (3, 2));
}

#[test]
fn the_address_of_a_task_that_still_dies_can_be_a_new_task() {
    // The parent on cpu1 reaps it in its last schedule and gets the same address for a new task at once.
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (if (i32.eq (local.get $prev) (i32.const 0x11000)) (then {{new }} (call $done)))
             (i32.atomic.store (i32.const 0x10600) (i32.const 1))
             (drop (memory.atomic.notify (i32.const 0x10600) (i32.const 1)))
             (loop $until_released (br_if $until_released (i32.eqz (i32.atomic.load (i32.const 0x10604)))))
             (drop (call $switch (i32.const 0x12000) (i32.const 0x10000)))
             (unreachable))
           (func $_start_secondary (export "_start_secondary") (param i32)
             (drop (memory.atomic.wait32 (i32.const 0x10600) (i32.const 0) (i64.const -1)))
             (call $release (i32.const 0x12000))
             (call $sleep (i64.const 1000))
             (drop (call $spawn (i32.const 0x11000) (i32.const 0x12000)))
             (unreachable))
           (func $_start (export "_start")
             (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x12000)))
             {{reaped }}
             (call $sleep (i64.const -1)))"#,
    );
    // The old one spins on, or it goes: the new one runs in either case.
    let run = kernel.run();
    assert_eq!(run.done(), "new ");
    assert_eq!(born(&run), [0x12000, 0x12000]);
    let Some(Event::Panic { context, .. }) = run.events.last() else { panic!() };
    assert_eq!((context.cpu, context.task), (Cpu(1), TaskId(0x12000)));
}

#[test]
fn memory_that_one_runner_grew_is_there_for_all() {
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (call $say (memory.grow (i32.const 2)))
             (i32.store (i32.const 0x21fffc) (i32.const 42))
             (drop (call $switch (i32.const 0x11000) (i32.const 0x10000)))
             (call $say (memory.size))
             (i32.store (i32.const 0x23fffc) (i32.const 43))
             (call $say (memory.grow (i32.const 1)))
             (drop (call $switch (i32.const 0x11000) (i32.const 0x10000)))
             (unreachable))
           (func $_start (export "_start")
             (call $say (memory.size))
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x11000)))
             (call $say (memory.size))
             (call $say (i32.load (i32.const 0x21fffc)))
             (call $say (memory.grow (i32.const 2)))
             (drop (call $switch (i32.const 0x10000) (i32.const 0x11000)))
             (call $say (i32.load (i32.const 0x23fffc)))
             (call $done))"#,
    )
    .pages("32 36");
    let run = kernel.run();
    assert_eq!(run.done(), "32 32 34 42 34 36 -1 43 ");
    assert_eq!(run.machine.memory().pages(), 36);
}

#[test]
fn a_stopped_cpu_runs_no_more() {
    let body = |stop: &str| {
        format!(
            r#"(func $_start_secondary (export "_start_secondary") (param i32)
                 {stop}
                 (loop $more
                   (i32.store (i32.const 0x10600) (i32.add (i32.load (i32.const 0x10600)) (i32.const 1)))
                   (br $more)))
               (func $_start (export "_start") (local $seen i32)
                 (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
                 (call $sleep (i64.const 100_000))
                 (if (i32.eqz (i32.load (i32.const 0x10600))) (then {{{{never ran }}}}))
                 (if (i32.load (i32.const 0x10600)) (then (call $stop_cpu (i32.const 1))))
                 (local.set $seen (i32.load (i32.const 0x10600)))
                 (call $sleep (i64.const 100_000))
                 (call $say (i32.sub (i32.load (i32.const 0x10600)) (local.get $seen)))
                 (call $done))"#
        )
    };
    for (stop, console) in [("", "0 "), ("(call $stop_cpu (i32.const 1))", "never ran 0 ")] {
        let run = boot(&kernel(&body(stop)), |config| config.slice = 100);
        assert_eq!(run.done(), console, "{stop}");
        let stopped = run.events.iter().filter(|e| matches!(e, Event::CpuStopped { context } if context.cpu == Cpu(1)));
        assert_eq!(stopped.count(), 1);
    }
}

#[test]
fn stopping_cpu_0_is_a_panic() {
    let kernel = kernel(
        r#"(func $_start_secondary (export "_start_secondary") (param i32) (call $die))
           (func $die (call $stop_cpu (i32.const 0)) {{after}})
           (func $_start (export "_start")
             (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
             (call $sleep (i64.const -1)))"#,
    );
    let mut run = kernel.run();
    assert_eq!((&run.outcome, run.console.as_str()), (&Outcome::Panic, ""));
    let Some(Event::Panic { message, stack, context }) = run.events.last() else { panic!("{:?}", run.events) };
    assert!(message.contains("CPU 0"), "{message}");
    assert_eq!((run.functions(stack), context.cpu), (vec!["die".into(), "_start_secondary".into()], Cpu(1)));
    // It stays to be looked at.
    let states: Vec<_> = run.machine.reports().into_iter().map(|r| (r.state, run.functions(&r.stack))).collect();
    assert!(matches!(states[0].0, RunnerState::Waiting { address: 0x10530, .. }), "{states:?}");
    assert_eq!(states[0].1, ["sleep", "_start"]);
    assert_eq!(states[1], (RunnerState::Stopped, vec!["die".into(), "_start_secondary".into()]));
}

#[test]
fn what_the_guest_should_not_do_is_told_and_survived() {
    let cases = [
        ("(call $release (i32.const 0x77000))", "wasm_release_task(0x77000): that task has no runner"),
        ("(call $stop_cpu (i32.const 5))", "wasm_stop_cpu(5): that CPU does not run"),
        (
            "(call $start_cpu (i32.const 0) (i32.const 0x11000) (i32.const 0))",
            "wasm_start_cpu(0): that CPU already runs",
        ),
    ];
    for (call, complaint) in cases {
        let kernel = kernel(&format!(
            r#"(func $_start_secondary (export "_start_secondary") (param i32) (call $sleep (i64.const -1)))
               (func $_start (export "_start") {call} {{{{survived}}}} (call $done))"#
        ));
        let run = kernel.run();
        assert_eq!((run.complaints(), run.console.as_str()), (vec![complaint], "survived"), "{call}");
    }
    // A switch to nobody: the CPU is lost, and the run ends as a deadlock that says so.
    let run =
        kernel(r#"(func $_start (export "_start") (drop (call $switch (i32.const 0x10000) (i32.const 0x66000))))"#)
            .run();
    assert!(run.complaints()[0].starts_with("switched to task 0x66000, which has no runner"), "{:?}", run.events);
    assert!(matches!(run.outcome, Outcome::Deadlock(_)));
}

#[test]
fn five_hundred_tasks() {
    let kernel = kernel(
        r#"(func $ret_from_fork (export "ret_from_fork") (param $prev i32) (param $new i32) (result i32)
             (i32.store (i32.const 0x10600) (i32.add (i32.load (i32.const 0x10600)) (i32.const 1)))
             (if (i32.lt_u (i32.load (i32.const 0x10600)) (i32.const 500))
               (then (drop (call $spawn (local.get $new) (i32.add (local.get $new) (i32.const 0x1000))))))
             (drop (call $switch (local.get $new) (local.get $prev)))
             (unreachable))
           (func $_start (export "_start")
             (drop (call $spawn (i32.const 0x10000) (i32.const 0x100000)))
             (call $say (i32.load (i32.const 0x10600)))
             (call $done))"#,
    );
    let run = kernel.run();
    assert_eq!((run.done(), run.totals.tasks_alive), ("500 ".into(), 501));
}

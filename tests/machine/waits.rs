//! `memory.atomic.wait` and `notify`: who sleeps, for how long, and who is woken.

use wkdb_tracer::Outcome;

use crate::guest::{boot, kernel};

/// The console of a kernel that does this on CPU 0 and ends well.
fn console(statements: &str) -> String {
    kernel(&format!("(func $_start (export \"_start\") (local $t i64) {statements} (call $done))")).console()
}

#[test]
fn another_value_is_not_waited_on() {
    let wait = |instruction, expected| {
        format!(
            "(i64.store (i32.const 0x10600) (i64.const 0x1_0000_0005))
                 (call $say ({instruction} (i32.const 0x10600) {expected} (i64.const 100)))"
        )
    };
    assert_eq!(console(&wait("memory.atomic.wait32", "(i32.const 4)")), "1 ");
    assert_eq!(console(&wait("memory.atomic.wait32", "(i32.const 5)")), "2 ");
    assert_eq!(console(&wait("memory.atomic.wait64", "(i64.const 5)")), "1 ");
    assert_eq!(console(&wait("memory.atomic.wait64", "(i64.const 0x1_0000_0005)")), "2 ");
    assert_eq!(
        console("(call $say (memory.atomic.wait32 offset=16 (i32.const 0x10600) (i32.const 1) (i64.const 9)))"),
        "1 "
    );
}

#[test]
fn a_timeout_takes_exactly_its_time() {
    for ns in [0_u64, 1, 999, 1_000_000_007, 86_400_000_000_000] {
        let wait = format!(
            "(local.set $t (call $clock))
             (call $say (memory.atomic.wait32 (i32.const 0x10600) (i32.const 0) (i64.const {ns})))
             (call $say64 (i64.sub (call $clock) (local.get $t)))"
        );
        let kernel = kernel(&format!("(func $_start (export \"_start\") (local $t i64) {wait} (call $done))"));
        let run = boot(&kernel, |config| (config.max_time, config.ns_per_tick) = (None, 10));
        let console = run.done();
        let numbers: Vec<u64> = console.split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert_eq!(numbers[0], 2);
        // Saying the result takes ticks, 10 ns each; the wait itself takes what it was told.
        let saying = numbers[1] - ns;
        assert!(saying > 0 && saying < 200 && saying % 10 == 0, "{console}");
    }
}

#[test]
fn the_longest_waits_do_not_overflow_the_clock() {
    let wait = |ns: i64| {
        let wait = format!("(call $say (memory.atomic.wait32 (i32.const 0x10600) (i32.const 0) (i64.const {ns})))");
        let start =
            format!("(func $_start (export \"_start\") {wait} {wait} (call $say64 (call $clock)) (call $done))");
        boot(&kernel(&start), |config| config.max_time = None)
    };
    // 150 years fit into the clock's 292 once: the second wait would end behind its end, that is, never.
    let years = 4_730_000_000_000_000_000;
    for (ns, console) in [(i64::MAX, ""), (years, "2 ")] {
        let run = wait(ns);
        assert!(matches!(run.outcome, Outcome::Deadlock(_)), "{:?}", run.outcome);
        assert_eq!(run.console, console);
    }
    let console = wait(years / 2).done();
    assert!(console.starts_with("2 2 4730000000000000"), "{console}");
}

/// CPUs 1 to 4 wait on 0x10600 in this order and print their number when they are woken.
fn waiters(wait: &str, main: &str) -> String {
    kernel(&format!(
        r#"(func $_start_secondary (export "_start_secondary") (param $cpu i32) (local $result i32)
             (i32.atomic.store (i32.const 0x10700) (local.get $cpu))
             (local.set $result {wait})
             (call $say (local.get $cpu))
             (if (local.get $result) (then {{{{not woken }}}}))
             (drop (i32.atomic.rmw.add (i32.const 0x10704) (i32.const 1)))
             (call $sleep (i64.const -1)))
           (func $_start (export "_start") (local $cpu i32)
             (loop $more
               (local.set $cpu (i32.add (local.get $cpu) (i32.const 1)))
               (call $start_cpu (local.get $cpu) (i32.mul (local.get $cpu) (i32.const 0x11000)) (local.get $cpu))
               ;; Until it waits.
               (loop $starting (br_if $starting (i32.ne (i32.atomic.load (i32.const 0x10700)) (local.get $cpu))))
               (call $sleep (i64.const 1000))
               (br_if $more (i32.lt_u (local.get $cpu) (i32.const 4))))
             {main}
             (call $done))"#
    ))
    .console()
}

#[test]
fn a_notify_wakes_so_many_and_those_that_waited_longest_first() {
    let notify = |n: &str| {
        format!(
            "{{{{n}}}} (call $say (memory.atomic.notify (i32.const 0x10600) (i32.const {n}))) (call $sleep (i64.const 1000))"
        )
    };
    for (wait, width) in [("32", "i32"), ("64", "i64")] {
        let wait = format!("(memory.atomic.wait{wait} (i32.const 0x10600) ({width}.const 0) (i64.const -1))");
        let main = [notify("0"), notify("1"), notify("1"), notify("-1"), notify("3")].concat();
        // Two that are woken at once run in the order that the seed draws.
        let console = waiters(&wait, &main);
        assert_eq!(console.replace("4 3", "3 4"), "n0 n1 1 n1 2 n2 3 4 n0 ");
    }
    // Another word's waiters sleep on.
    let wait = "(memory.atomic.wait32 offset=4 (i32.const 0x105fc) (i32.const 0) (i64.const -1))";
    let other = "(call $say (memory.atomic.notify (i32.const 0x10604) (i32.const 9)))
                 (call $say (memory.atomic.notify offset=0x100 (i32.const 0x10500) (i32.const 1)))
                 (call $sleep (i64.const 1000))";
    assert_eq!(waiters(wait, other), "0 1 1 ");
}

//! Going back, and looking at the past, on the toy machine.

use proptest::prelude::*;
use wkdb_tracer::RunnerId;

use super::sessions::Session;
use super::toy::Toy;
use crate::commands::{Config, Monitor};
use crate::gdb::MonitorCommands as _;
use crate::inferior::{FrameState, Inferior, Status};
use crate::timeline::{Limits, TimeTravel};

#[test]
fn who_wrote_finds_the_last_write_and_stays_or_goes_there() {
    Session::with_history().check(
        "> run-to 60
         Came to the moment that was asked for.
         task 1 tick 60 time 0.000060 cpu0 kworker/0:0 (0x1000)
         #0  0x27 in worker_thread (which=0) at workqueue.c:43
         43  return state_names[which & 1][0];
         > who-wrote worker_pools[0].nr_workers
         Last write to worker_pools[0].nr_workers (4 bytes at 0x10024)
         old = 0
         new = 1
         4 bytes at 0x10024 by touch_pool (workqueue.c:21) < process_one_work (workqueue.c:29)
         task 1 tick 48 time 0.000048 cpu0 kworker/0:0 (0x1000)
         #0  touch_pool at workqueue.c:21 [inlined]
         #1  0x62 in process_one_work at workqueue.c:29
         21  pool->nr_workers++;
         (`who-wrote --go worker_pools[0].nr_workers` goes there)
         > tick
         tick 60
         > who-wrote --go worker_pools[0].nr_workers
         Last write to worker_pools[0].nr_workers (4 bytes at 0x10024)
         old = 0
         new = 1
         4 bytes at 0x10024 by touch_pool (workqueue.c:21) < process_one_work (workqueue.c:29)
         task 1 tick 48 time 0.000048 cpu0 kworker/0:0 (0x1000)
         #0  0x65 in process_one_work (pool=0x10020 <worker_pools>) at workqueue.c:30
         30  }
         > history worker_pools[0].nr_workers
         1 write to worker_pools[0].nr_workers (4 bytes at 0x10024)
         Tick  Time      Task         CPU   Old  New  By
         48    0.000048  kworker/0:0  cpu0  0    1    touch_pool (workqueue.c:21) < process_one_work (workqueue.c:29)
         > set var nr_lost = 7
         error: what was cannot be changed: `goto end` leads to the present; or record the run (`wkdb run --record FILE`) \
         and go on from here in another way with `wkdb branch FILE --at TICK`
         > who-wrote worker_pools[2].id
         Nothing has written to worker_pools[2].id (4 bytes at 0x10040) since the start of history at tick 0: what is \
         there was there then.
         > goto end
         The end of the recorded history.
         task 1 tick 60 time 0.000060 cpu0 kworker/0:0 (0x1000)
         #0  0x27 in worker_thread (which=0) at workqueue.c:43
         43  return state_names[which & 1][0];",
    );
}

#[test]
fn memory_is_named_by_expressions_addresses_and_lengths() {
    let mut session = Session::with_history();
    session.say("run-to 200");
    for (what, title) in [
        ("worker_pools[0]", "worker_pools[0] (16 bytes at 0x10020)"),
        ("&worker_pools[0]", "&worker_pools[0] (16 bytes at 0x10020)"),
        ("&worker_pools[0] 2", "&worker_pools[0] 2 (2 bytes at 0x10020)"),
        ("0x10024", "0x10024 (4 bytes at 0x10024)"),
        ("0x10024 1", "0x10024 1 (1 byte at 0x10024)"),
        ("0x10024 + 4", "0x10024 + 4 (4 bytes at 0x10028)"),
    ] {
        let said = session.say(&format!("who-wrote {what}"));
        assert!(said.contains(title), "{what}: {said}");
    }
    for (wrong, part) in [
        ("who-wrote", "who wrote what?"),
        ("who-wrote nosuch", "nosuch"),
        ("who-wrote worker_pools 0", "a length of 0"),
        ("who-wrote 0xffff0000", "guest memory has no 4 bytes at 0xffff0000"),
        ("who-wrote worker_pools --went", "there is no option --went"),
        ("history worker_pools --max", "a number must follow --max"),
        ("goto", "where to?"),
        ("goto nosuch", "there is no bookmark nosuch"),
        ("goto event 1", "there is no event 1: `info events` lists 0"),
        ("goto event", "which event?"),
        ("bookmark end", "means something else"),
        ("bookmark --delete nosuch", "there is no bookmark nosuch"),
    ] {
        let said = session.say(wrong);
        assert!(said.starts_with("error: ") && said.contains(part), "{wrong}: {said}");
    }
    assert!(Session::new().say("who-wrote worker_pools").contains("keeps no history"));
}

#[test]
fn bookmarks_lead_back_to_their_instruction() {
    let mut session = Session::with_history();
    session.say("tbreak process_one_work");
    session.say("continue");
    session.say("stepi");
    let there = session.say("frame");
    assert!(session.say("bookmark here").contains("Bookmark here at tick"));
    session.say("run-to 300");
    assert_ne!(session.say("frame"), there);
    session.say("goto here");
    assert_eq!(session.say("frame"), there);
    let list = session.say("info bookmarks");
    assert!(list.contains("here") && list.contains("process_one_work"), "{list}");
    session.say("bookmark --delete here");
    assert!(session.say("goto here").starts_with("error: "));
}

#[test]
fn the_list_of_checkpoints_says_what_they_cost_and_what_bounds_them() {
    let mut session = Session::with_history();
    session.say("run-to 2000");
    let list = session.say("checkpoints");
    assert!(list.contains("6 checkpoints, 768 KiB of at most 1024.0 MiB; one every 100 ticks, at most 6"), "{list}");
    // The older they are, the sparser.
    let ticks: Vec<u64> = list.lines().filter_map(|line| line.split_whitespace().nth(1)?.parse().ok()).collect();
    let gaps: Vec<u64> = ticks.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.first() > gaps.last(), "{gaps:?}");
    assert!(session.say("info history").contains("now  tick 2000 time 0.002000, the present"));
}

#[test]
fn lines_backwards_are_come_to_at_their_beginning() {
    let mut session = Session::with_history();
    session.say("break process_one_work");
    session.say("continue");
    session.say("delete");
    let mut forward = Vec::new();
    for _ in 0..2 {
        session.say("next");
        forward.push(session.say("frame"));
    }
    let line = |said: &str| said.lines().nth(1).unwrap_or_default().to_owned();
    assert_eq!((&line(&forward[0])[..2], &line(&forward[1])[..2]), ("30", "43"));
    // Back into the function that had returned, to its last line; over it, to the line that called it.
    session.say("bookmark after");
    session.say("reverse-step");
    assert_eq!(session.say("frame"), forward[0]);
    session.say("goto after");
    session.say("reverse-next");
    assert_eq!(&line(&session.say("frame"))[..2], "42");
    session.say("goto after");
    session.say("reverse-step");
    session.say("reverse-finish");
    assert!(session.say("bt").lines().count() == 1, "{}", session.say("bt"));
}

#[test]
fn monitor_can_ask_who_wrote() {
    let mut run = TimeTravel::new(Toy::new(), Limits::default(), || {}).unwrap();
    run.resume(&crate::inferior::Resume { until_tick: Some(wkdb_tracer::Tick(60)), ..crate::inferior::Resume::go() })
        .unwrap();
    while !matches!(run.status(), Status::Stopped(_)) {
        run.notices(std::time::Duration::from_millis(10)).unwrap();
    }
    let mut monitor = Monitor::new(Config::default());
    let said = monitor.run(&mut run, "who-wrote worker_pools[0].nr_workers");
    assert!(said.contains("new = 1") && said.contains("by touch_pool"), "{said}");
    assert!(monitor.run(&mut run, "goto start").contains("gdb's own commands"));
}

#[test]
fn an_explanation_that_is_given_up_says_so_and_leads_back() {
    let mut session = Session::with_history();
    session.say("run-to 60");
    session.say("goto 20");
    let before = state(&mut session);
    let mut monitor = Monitor::new(Config::default());
    let asked = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = asked.clone();
    monitor.give_up_when(Box::new(move || {
        counted.set(counted.get() + 1);
        true
    }));
    let said = monitor.run(&mut session.toy, "explain");
    assert_eq!(said, "Interrupted before it was known what went wrong.\n");
    assert_eq!(asked.get(), 1, "who wants it given up is asked no more");
    assert!(monitor.run(&mut session.toy, "explain --json").contains("\"interrupted\":true"));
    assert!(state(&mut session) == before);
    monitor.give_up_when(Box::new(|| false));
    let said = monitor.run(&mut session.toy, "explain");
    assert!(said.starts_with("Nothing went wrong"), "{said}");
    assert!(!monitor.run(&mut session.toy, "explain --json").contains("interrupted"));
    assert!(state(&mut session) == before);
}

type State = (u64, Vec<u8>, Vec<Vec<FrameState>>);

fn state(session: &mut Session<TimeTravel<Toy>>) -> State {
    let Status::Stopped(stop) = session.toy.status().clone() else { panic!("it runs") };
    let memory = session.toy.read_memory(0, 2 << 16).unwrap();
    (stop.tick.0, memory, (0..2).map(|task| session.toy.frame_states(RunnerId(task)).unwrap()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn steps_forward_and_as_many_back_are_the_same_state(start in 1u64..3000, task in 1u32..3, steps in 1usize..60) {
        let mut session = Session::with_history();
        session.say(&format!("run-to {start}"));
        session.say(&format!("task {task}"));
        let mut states = Vec::new();
        for _ in 0..steps {
            session.say("stepi");
            states.push(state(&mut session));
        }
        for expected in states.iter().rev().skip(1) {
            let said = session.say("reverse-stepi");
            prop_assert!(state(&mut session) == *expected, "{}", said);
        }
        for expected in states.iter().skip(1) {
            let said = session.say("stepi");
            prop_assert!(state(&mut session) == *expected, "{}", said);
        }
    }
}

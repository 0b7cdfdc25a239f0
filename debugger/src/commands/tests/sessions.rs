//! What is typed on the toy machine, and what must be said.

use std::time::Duration;

use super::toy::Toy;
use crate::commands::{Config, Debugger, Now, Output};
use crate::inferior::Inferior;
use crate::timeline::{Limits, TimeTravel};

/// The source of the toy's program comes with the session.
const SOURCES: &[(&str, &str)] = &[("workqueue.c", include_str!("../../../tests/fixtures/symbols/workqueue.c"))];

pub(super) struct Session<I = Toy> {
    pub(super) debugger: Debugger,
    pub(super) toy: I,
}

impl Session {
    pub(super) fn new() -> Session {
        let config = Config { bundled_sources: SOURCES, ..Config::default() };
        Session { debugger: Debugger::new(config), toy: Toy::new() }
    }
}

impl Session<TimeTravel<Toy>> {
    /// With a history, and a checkpoint every 100 ticks.
    pub(super) fn with_history() -> Self {
        let config = Config { bundled_sources: SOURCES, ..Config::default() };
        let limits = Limits { spacing: 100, count: 5, ..Limits::default() };
        let toy = TimeTravel::new(Toy::new(), limits, || {}).unwrap();
        Session { debugger: Debugger::new(config), toy }
    }
}

impl<I: Inferior> Session<I> {
    /// What a command says, with the report of the stop after it; errors begin with `error: `.
    pub(super) fn say(&mut self, line: &str) -> String {
        let reply = match self.debugger.run(&mut self.toy, line) {
            Ok(reply) => reply,
            Err(error) => return format!("error: {error}\n"),
        };
        let mut output = reply.output;
        if reply.resumed {
            output.append(&self.wait());
        }
        output.to_string()
    }

    fn wait(&mut self) -> Output {
        let mut output = Output::new();
        for _ in 0..10_000 {
            for notice in self.toy.notices(Duration::from_millis(1)).unwrap() {
                let reaction = self.debugger.on_notice(&mut self.toy, &notice).unwrap();
                output.append(&reaction.output);
                if reaction.now == Now::Stopped {
                    return output;
                }
            }
        }
        panic!("the toy does not stop: {output}");
    }

    /// Runs the commands in a transcript and compares all that is said. How many blanks there are does not count.
    pub(super) fn check(&mut self, transcript: &str) {
        let plain = |text: &str| -> String {
            let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n";
            text.trim().lines().map(words).collect()
        };
        let commands = transcript.lines().filter_map(|line| line.trim_start().strip_prefix("> "));
        let said: String = commands.map(|command| format!("> {command}\n{}", self.say(command))).collect();
        assert!(plain(&said) == plain(transcript), "said:\n{said}\nexpected:\n{transcript}");
    }

    pub(super) fn completions(&mut self, line: &str) -> Vec<String> {
        let completion = self.debugger.complete(&mut self.toy, line, line.len());
        completion.candidates.into_iter().map(|candidate| candidate.text).collect()
    }
}

#[test]
fn breakpoints_stop_before_their_code_with_a_report() {
    Session::new().check(
        "> break process_one_work
         Breakpoint 1 at 0x35: process_one_work (workqueue.c:28)
         > continue
         Breakpoint 1
         task 1 tick 18 time 0.000018 cpu0 kworker/0:0 (0x1000)
         #0  0x35 in process_one_work (pool=0x10020 <worker_pools>) at workqueue.c:28
         28  nr_calls++;
         > c
         Breakpoint 1
         task 2 tick 25 time 0.000025 cpu1 kworker/1:0 (0x2000)
         #0  0x35 in process_one_work (pool=0x10030 <worker_pools+16>) at workqueue.c:28
         28  nr_calls++;
         > info breakpoints
         Num  Type        Disp  Enb  Address  What
         1    breakpoint  keep  y    0x35     process_one_work (workqueue.c:28)
         come to 2 times
         > disable
         > tbreak *0x20
         Temporary breakpoint 2 at 0x20: worker_thread (workqueue.c)
         > c
         Temporary breakpoint 2
         task 1 tick 56 time 0.000056 cpu0 kworker/0:0 (0x1000)
         #0  0x20 in worker_thread (which=0) at workqueue.c
         > info b
         Num  Type        Disp  Enb  Address  What
         1    breakpoint  keep  n    0x35     process_one_work (workqueue.c:28)
         come to 2 times
         > delete 1
         > delete 7
         error: there is no breakpoint or watch 7",
    );
}

#[test]
fn conditions_tasks_and_ignore_counts_pass_a_breakpoint() {
    let mut session = Session::new();
    session.say("break process_one_work if pool->id == 3");
    let said = session.say("c");
    assert!(said.contains("(pool=0x10040 <worker_pools+32>)") && said.contains("tick 89"), "{said}");
    session.check("> condition 1\nBreakpoint 1 stops always from now on\n> ignore 1 2\nBreakpoint 1 is passed 2 times");
    session.say("c");
    let said = session.say("info breakpoints");
    assert!(said.contains("come to 4 times"), "once, and two were passed: {said}");
    session.say("delete");
    session.say("break process_one_work task kworker/1:0");
    for _ in 0..3 {
        let said = session.say("c");
        assert!(said.contains("task 2 "), "{said}");
    }
    session.say("delete");
    session.check("> break 28 if nosuch == 1\nBreakpoint 3 at 0x35: process_one_work (workqueue.c:28)");
    let said = session.say("c");
    assert!(said.starts_with("The condition \"nosuch == 1\" cannot be evaluated: no variable"), "{said}");
    assert!(session.say("break 28 if x ==").starts_with("error: "));
    assert!(session.say("break 28 if x task nobody").starts_with("error: "));
}

#[test]
fn lines_are_stepped_by_whole_lines() {
    let mut session = Session::new();
    session.say("break process_one_work task 1");
    session.say("c");
    session.say("delete");
    // `next` stays out of the inlined function, `step` does not.
    session.check(
        "> next
         task 1 tick 48 time 0.000048 cpu0 kworker/0:0 (0x1000)
         #0  0x65 in process_one_work (pool=0x10020 <worker_pools>) at workqueue.c:30
         30  }
         > next
         task 1 tick 58 time 0.000058 cpu0 kworker/0:0 (0x1000)
         #0  0x24 in worker_thread (which=0) at workqueue.c:43
         43  return state_names[which & 1][0];",
    );
    let said = session.say("step 2");
    println!("{said}");
    assert!(said.contains("task 1") && said.contains("worker_thread (which=2)"), "{said}");
    let said = session.say("step");
    assert!(said.contains("task 1") && said.contains("process_one_work (pool=0x10040 <worker_pools+32>)"), "{said}");
    let said = session.say("");
    assert!(said.contains("touch_pool (pool=0x10040 <worker_pools+32>) at workqueue.c:20 [inlined]"), "{said}");
    let said = session.say("finish");
    assert!(said.contains("Run till exit from #0 touch_pool") && said.contains("in process_one_work"), "{said}");
}

#[test]
fn finish_returns_and_tells_the_value() {
    let mut session = Session::new();
    session.say("tbreak process_one_work");
    session.say("c");
    let said = session.say("finish");
    assert!(said.contains("Run till exit from #0 process_one_work (workqueue.c:28)"), "{said}");
    assert!(said.contains("0x20 in worker_thread (which=0)") && !said.contains("Value returned"), "{said}");
    assert_eq!(session.say("finish"), "error: `finish` has no meaning in the outermost frame: nothing called it\n");
}

#[test]
fn instructions_are_stepped_into_and_over_calls() {
    let mut session = Session::new();
    session.say("tbreak *0x1a");
    let said = session.say("c");
    assert!(said.contains("0x1a in worker_thread (which=0) at workqueue.c:42"), "{said}");
    let said = session.say("nexti");
    assert!(said.contains("task 1 ") && said.contains("0x20 in worker_thread"), "{said}");
    session.say("tbreak *0x1a task 2");
    session.say("c");
    let said = session.say("stepi");
    assert!(said.contains("task 2 ") && said.contains("0x35 in process_one_work"), "{said}");
    let said = session.say("stepi 3");
    assert!(said.contains("0x40") || said.contains("touch_pool"), "{said}");
    session.check("> reverse-stepi\nerror: this run keeps no history to go back in: start it without --no-history; or record it (`wkdb run --record FILE`) and open the recording (`wkdb debug FILE`)");
}

#[test]
fn moments_and_locations_are_run_to() {
    let mut session = Session::new();
    assert!(session.say("run-to 500").contains("tick 500 "));
    assert!(session.say("run-to 2ms").contains("time 0.002000"));
    assert!(session.say("run-to 500").starts_with("error: the machine is past it, at tick 2000"));
    let runner = if session.say("task").starts_with("[Task 1") { "task 1" } else { "task 2" };
    let said = session.say("advance 42");
    assert!(said.contains(runner), "{said}");
    let said = session.say("advance process_one_work");
    assert!(said.contains(runner) && said.contains("in process_one_work"), "{said}");
    let said = session.say("until 30");
    assert!(said.contains(runner) && said.contains("workqueue.c:30"), "{said}");
    assert_eq!(session.say("info breakpoints"), "No breakpoints or watches.\n");
}

#[test]
fn watches_tell_old_and_new_and_who() {
    let mut session = Session::new();
    session.check(
        "> watch worker_pools[0].nr_workers
         Watch 1: worker_pools[0].nr_workers (4 bytes at 0x10024)
         > c
         Watch 1: worker_pools[0].nr_workers
         old = 0
         new = 1
         4 bytes at 0x10024 by touch_pool (workqueue.c:21) < process_one_work (workqueue.c:29)
         task 1 tick 48 time 0.000048 cpu0 kworker/0:0 (0x1000)
         #0  0x65 in process_one_work (pool=0x10020 <worker_pools>) at workqueue.c:30
         30  }",
    );
    session.say("delete");
    let said =
        session.say("watch worker_pools[1] --log --changed --task kworker/0:0 if worker_pools[1].nr_workers > 2");
    assert!(said.starts_with("Watch 2: worker_pools[1] (16 bytes at 0x10030)"), "{said}");
    let said = session.say("run-to 1000");
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("watch 2 worker_pools[1]: {id = 2, ")).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| line.contains("kworker/0:0")), "{said}");
    assert!(!said.contains("-> {id = 2, nr_workers = 2,"), "{said}");
    session.say("delete");
    session.say("watch worker_pools[2].nr_workers --equals 20");
    let said = session.say("c");
    assert!(said.contains("\n  new = 20\n"), "{said}");
    session.say("delete");
    // All of its writers are in this file.
    session.say("watch nr_calls --unless-in workqueue.c");
    session.say("watch 'workqueue.c'::nr_lost --unless-in workqueue.c");
    session.say("watch worker_pools --unless-in process_one_work");
    assert!(session.say("run-to 3000").contains("tick 3000 "));
}

#[test]
fn what_cannot_be_watched_is_refused_with_the_reason() {
    let mut session = Session::new();
    for (line, part) in [
        ("watch", "watch what?"),
        ("watch 5", "not a place in memory"),
        ("watch jiffies_64 --equal 3", "there is no option --equal"),
        ("watch jiffies_64 --in nosuch.c", "there is no file or function nosuch.c"),
        ("watch worker_pools --equals 1", "up to 16 bytes"),
        ("watch worker_pools[0].id --equals 0x1ffffffff", "does not fit into 4 bytes"),
        ("watch jiffies_64 --task nobody", "there is no task nobody"),
        ("rwatch jiffies_64 --changed", "are about writes"),
        ("watch jiffies_64 --in a --unless-in b", "cannot be had together"),
        ("watch nosuch", "no variable, function or enumerator is called nosuch"),
    ] {
        let said = session.say(line);
        assert!(said.starts_with("error: ") && said.contains(part), "{line}: {said}");
    }
    assert_eq!(session.say("info watches"), "No watches.\n");
}

//! What a trace tells.

use crate::guest::{check_nesting, events, minik, named, trace, traced};

#[test]
fn system_calls_have_names_arguments_and_results() {
    let events = events(minik(), &["--events", "syscalls"]);
    assert!(check_nesting(&events) > 50, "{}", events.len());
    let opens: Vec<_> =
        named(&events, "openat", "begin").into_iter().map(|e| e["fields"]["args"].as_str().unwrap()).collect();
    assert!(opens.iter().any(|args| args.starts_with("AT_FDCWD, \"/etc/motd\", O_RDONLY")), "{opens:?}");
    let results: Vec<_> = named(&events, "openat", "end").into_iter().map(|e| &e["fields"]["result"]).collect();
    assert!(results.contains(&&"-1 ENOENT".into()) && results.contains(&&"3".into()), "{results:?}");
    let written = named(&events, "write", "begin");
    assert!(
        written.iter().any(|e| e["fields"]["args"].as_str().unwrap().starts_with("1, \"minik# \", 7")),
        "{written:?}"
    );
    // These never return; their ends are there all the same.
    for name in ["execve", "exit"] {
        let (begun, ended) = (named(&events, name, "begin"), named(&events, name, "end"));
        assert!(!begun.is_empty() && begun.len() == ended.len(), "{name}: {} and {}", begun.len(), ended.len());
    }
}

#[test]
fn tasks_have_their_own_names_and_numbers() {
    let events = events(minik(), &["--events", "syscalls,sched"]);
    // The shell execs nothing itself: init's child became it.
    let comms: std::collections::BTreeSet<_> =
        events.iter().filter_map(|e| Some((e["task"]["comm"].as_str()?, e["task"]["pid"].as_u64()?))).collect();
    assert!(comms.iter().any(|(comm, pid)| *comm == "init" && *pid == 1), "{comms:?}");
    assert!(comms.iter().any(|(comm, _)| *comm == "sh"), "{comms:?}");
}

#[test]
fn each_switch_goes_on_from_the_one_before() {
    let events = events(minik(), &["--events", "sched"]);
    let mut holders = std::collections::HashMap::new();
    let switches = named(&events, "switch", "instant");
    assert!(switches.len() > 20, "{}", switches.len());
    for switch in switches {
        let (from, to) = (&switch["task"]["runner"], &switch["other"]["runner"]);
        if let Some(holder) = holders.insert(switch["cpu"].as_u64().unwrap(), to) {
            assert_eq!(holder, from, "{switch}");
        }
    }
}

#[test]
fn who_waits_is_woken_or_times_out() {
    let events = events(minik(), &["--events", "wake"]);
    let mut waiting = std::collections::HashSet::new();
    let (mut woken, mut timed_out) = (0, 0);
    for event in &events {
        let runner = event["task"]["runner"].as_u64().unwrap();
        match event["name"].as_str().unwrap() {
            "wait" => assert!(waiting.insert(runner), "{event}: it waits already"),
            "wake" => {
                woken += 1;
                assert!(waiting.remove(&event["other"]["runner"].as_u64().unwrap()), "{event}: it does not wait");
            }
            _ => {
                timed_out += 1;
                assert!(waiting.remove(&runner), "{event}: it does not wait");
            }
        }
    }
    assert!(woken > 0 && timed_out > 0, "{woken} {timed_out}");
}

#[test]
fn interrupts_are_raised_and_handled() {
    let events = events(minik(), &["--events", "irq"]);
    check_nesting(&events);
    for name in ["raise_interrupt", "do_irqs"] {
        assert!(!named(&events, name, "begin").is_empty(), "no {name}");
    }
}

#[test]
fn console_traps_and_watches_are_told() {
    let events = events(minik(), &["--events", "console,event", "--watch", "jiffies_64"]);
    let printed: String =
        named(&events, "print", "instant").into_iter().map(|e| e["fields"]["text"].as_str().unwrap()).collect();
    assert!(printed.contains("minik# crash div0"), "{printed}");
    let trap = named(&events, "trap", "instant");
    assert!(trap[0]["fields"]["reason"].as_str().unwrap().contains("divide by zero"), "{trap:?}");
    assert!(trap[0]["fields"]["at"].as_str().unwrap().contains("sh_builtins.c:"), "{trap:?}");
    assert!(!named(&events, "jiffies_64", "instant").is_empty());
}

#[test]
fn host_calls_are_told_with_their_arguments() {
    let events = events(minik(), &["--events", "host"]);
    let clocks = named(&events, "wasm_cpu_clock_get_monotonic", "instant").len();
    let switches = named(&events, "wasm_serialize_tasks", "instant");
    assert!(clocks > 0 && !switches.is_empty());
    assert_eq!(switches[0]["fields"]["args"].as_str().unwrap().split(", ").count(), 2);
}

#[test]
fn filters_choose() {
    let all = events(minik(), &["--events", "syscalls,sched"]);
    let chosen = events(minik(), &["--events", "syscalls,sched", "--filter", "comm=cat", "--filter", "name=open*"]);
    let expected: Vec<_> = all
        .iter()
        .filter(|e| e["task"]["comm"] == "cat" && e["name"].as_str().unwrap().starts_with("open"))
        .cloned()
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(chosen, expected);
    let slow = events(minik(), &["--events", "syscalls", "--filter", "took>=1ms"]);
    assert!(!slow.is_empty() && slow.iter().all(|e| e["took"].as_u64().unwrap() >= 1_000_000), "{slow:?}");
}

#[test]
fn two_traces_of_a_recording_are_the_same_text() {
    let args = ["--trace", "schedule,queue_work*,process_one_work"];
    let text = traced(minik(), &args);
    assert!(text.contains("schedule("), "{text}");
    assert_eq!(text, traced(minik(), &args));
}

#[test]
fn what_cannot_be_told_is_said() {
    for (args, says) in [
        (["--events", "weather"], "no kind of event is called weather"),
        (["--filter", "comm"], "a filter is KEY=VALUE"),
        (["--filter", "cpu<many"], "compare with a number"),
        (["--export", "vhs=tape"], "there is no format vhs"),
    ] {
        let output = trace(minik(), &args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(says), "{error}");
    }
    let output = trace(minik(), &["--trace", "no_such_function", "--until", "tick=1000"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no function no_such_function"));
}

//! The shell and its commands.

use crate::run::{run, typed};

#[test]
fn commands_do_what_they_say() {
    let script = typed(&[
        "echo hello > /tmp/a; cat /tmp/a; wc /tmp/a",
        "seq 100 | grep 7 | head -n 3",
        "mkdir /tmp/d; ls /tmp; rm /tmp/d /tmp/a; ls /tmp",
        "cat /proc/cpuinfo | grep processor | wc",
        "mount | grep sysfs; uname",
        "cat /nonexistent",
        "wild badptr; nosuchcommand",
    ]);
    let run = run("nr_cpus=4", &script, |_| {});
    let expected = "echo hello > /tmp/a; cat /tmp/a; wc /tmp/a\nhello\n1 1 6 /tmp/a\n\
                    # seq 100 | grep 7 | head -n 3\n7\n17\n27\n\
                    # mkdir /tmp/d; ls /tmp; rm /tmp/d /tmp/a; ls /tmp\nd\na\n\
                    # cat /proc/cpuinfo | grep processor | wc\n4 12 56\n\
                    # mount | grep sysfs; uname\nsysfs /sys sysfs rw,relatime 0 0\nLinux wasm 6.12.117 wasm\n\
                    # cat /nonexistent\ncat: /nonexistent: error 2\n\
                    # wild badptr; nosuchcommand\nsh: nosuchcommand: not found\n# ";
    assert_eq!(run.session(), expected);
}

#[test]
fn jobs_signals_and_the_terminal() {
    let script = "expect \"\\n# \"
send \"sleep 1000 &\\n\"
expect \"[1] \"
expect \"\\n# \"
send \"ps | grep sleep\\n\"
expect \"\\n# \"
send \"sleep 1000\\n\"
wait 1s
send \"\\x03\"
expect \"\\n# \"
send \"sleep 2 & sleep 1; wait\\n\"
wait 1s
send \"\\x03\"
expect \"\\n# \"
send \"echo here\\n\"
expect \"here\\r\\n# \"
";
    let run = run("nr_cpus=2", script, |_| {});
    assert!(run.session().contains(" sleep\n"), "{}", run.console);
}

/// Handlers that nest, wait, restart calls, have a stack of their own or exec; timers; descriptors to poll; files.
#[test]
fn signals_timers_and_files_keep_their_promises() {
    let run = run("nr_cpus=4", &typed(&["check"]), |_| {});
    let names = ["nest", "mask", "recursion", "restart", "altstack", "exec", "thread", "stop", "timer", "poll", "file"];
    let expected: String = names.iter().map(|name| format!("check: {name} holds\n")).collect();
    assert_eq!(run.session(), format!("check\n{expected}# "));
}

/// Each handler in another takes room on the kernel's stack: a program without end takes only itself down.
#[test]
fn handlers_that_nest_without_end_kill_the_program() {
    let run = run("nr_cpus=2", &typed(&["wild nest", "echo on"]), |_| {});
    assert_eq!(run.session(), "wild nest\nwild: killed by signal 11\n# echo on\non\n# ");
}

/// What the issue asks for, each doing something that can be seen.
#[test]
fn the_usual_commands_are_there() {
    let script = typed(&[
        "ls -l / | grep init; ls /bin | grep stress",
        "mkdir /tmp/m; mount -t proc none /tmp/m; cat /tmp/m/version | wc",
        "sleep 0.5; uptime | grep load | wc",
        "dmesg | grep \"Run /init\" | wc",
        "sleep 500 & repeat 3 echo loop",
        "ps | grep sleep | wc",
    ]);
    let run = run("nr_cpus=4", &script, |_| {});
    let session = run.session();
    let replies: Vec<_> = session.split("\n# ").map(|part| part.split_once('\n').unwrap_or_default().1).collect();
    assert!(replies[0].contains("init") && replies[0].ends_with("stress"), "{session}");
    let words = |reply: &str| reply.split(' ').next().map(str::to_owned);
    for counted in [1, 2, 3, 5] {
        assert_eq!(words(replies[counted]).as_deref(), Some("1"), "{session}");
    }
    assert!(replies[4].ends_with("loop\nloop\nloop"), "{session}");
}

/// The first run tells the job's number; the second is the same until it is killed.
#[test]
fn a_job_is_killed() {
    let first = run("nr_cpus=2", &typed(&["sleep 1000 &"]), |_| {});
    let pid = first.session().split("[1] ").nth(1).and_then(|rest| rest.split('\n').next()).unwrap_or_default();
    let second = run("nr_cpus=2", &typed(&["sleep 1000 &", &format!("kill -9 {pid}; sleep 1"), "echo on"]), |_| {});
    assert!(second.session().contains("[1] done sleep (137)\n"), "{}", second.console);
}

#[test]
fn a_trap_in_a_program_kills_the_program() {
    let run = run("nr_cpus=2", &typed(&["wild trap", "wild far", "echo on"]), |_| {});
    assert_eq!(
        run.session(),
        "wild trap\nwild: Illegal instruction\n# wild far\nwild: Illegal instruction\n# echo on\non\n# "
    );
    assert_eq!(run.traps(), 2);
}

/// A program that makes no system call takes its CPU, and nothing more: RCU and the other CPUs go on.
#[test]
fn a_spinning_program_takes_one_cpu_only() {
    let run = run("nr_cpus=4", &typed(&["wild spin &", "sleep 30", "stress exec 20", "ps | grep wild"]), |c| {
        c.ns_per_tick = 1000;
    });
    assert!(run.session().contains("stress: exec 20 of 20\n"), "{}", run.console);
    assert!(!run.console.contains("rcu: INFO"), "{}", run.console);
}

/// Across the wrap of jiffies five minutes after boot, and the death of idle workers after another five.
#[test]
fn an_hour_passes_and_the_console_answers() {
    let script = "expect \"\\n# \"\nwait 3600s\nsend \"uptime\\n\"\nexpect \"up 3600 s\"\nexpect \"\\n# \"\n";
    run("nr_cpus=4", script, |_| {}).session();
}

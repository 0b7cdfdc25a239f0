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

//! Backwards from the crash to the store that made it: for every bug that the demo guest can plant, with gdb and lldb.
//! Nothing is set up beforehand.

use std::process::Command;

use crate::debuggers::{LLDB_PAUSE, gdb, gdbs, lldb, output, unhurried};
use crate::guest::Guest;

/// A planted bug, as a person finds it.
struct Bug {
    name: &'static str,
    /// Where to look from, at the end of the run.
    frame: &'static str,
    /// The same for lldb: the frame's number, which counts inlined functions.
    number: u32,
    /// What is wrong there.
    corrupted: &'static str,
    /// The function that made it so, among the innermost frames at the last store.
    culprit: &'static str,
}

const BUGS: [Bug; 10] = [
    Bug {
        name: "stray-write",
        frame: "frame function wq_worker_comm",
        number: 1,
        corrupted: "worker->pool",
        culprit: "evdev_stop_autorepeat",
    },
    Bug { name: "timer-stall", frame: "bt 1", number: 0, corrupted: "timer_bases[0].clk", culprit: "rtc_align" },
    Bug {
        name: "wq-corrupt",
        frame: "bt 1",
        number: 0,
        corrupted: "((struct work_struct *)0x2f0100)->entry.next",
        culprit: "usb_log_disconnect",
    },
    Bug {
        name: "fdtable",
        frame: "frame function dup_fd",
        number: 3,
        corrupted: "oldf->fdt->fd[5]",
        culprit: "binder_reserve_fd",
    },
    Bug { name: "rcu", frame: "bt 1", number: 0, corrupted: "head->func", culprit: "memset" },
    Bug {
        name: "stack-overflow",
        frame: "bt 1",
        number: 0,
        corrupted: "((struct task_struct *)0x391f30)->comm",
        culprit: "memset",
    },
    Bug { name: "user-write", frame: "bt 1", number: 0, corrupted: "fb_info.fbops", culprit: "draw_frame" },
    Bug {
        name: "lost-wakeup",
        frame: "bt 1",
        number: 0,
        corrupted: "((struct task_struct *)0x397f30)->__state",
        culprit: "ring_wait",
    },
    Bug {
        name: "deadlock",
        frame: "bt 1",
        number: 0,
        corrupted: "minik_eth0.stats_lock.owner",
        culprit: "_raw_spin_lock",
    },
    Bug { name: "deadlock-sleep", frame: "bt 1", number: 0, corrupted: "tty_mutex.owner", culprit: "mutex_lock" },
];

/// What was printed behind the last echo of a command.
pub(crate) fn after<'t>(text: &'t str, command: &str) -> &'t str {
    text.rsplit_once(command).map_or("", |(_, after)| after)
}

/// Goes back from the end of the run with a bug.
fn goes_back(name: &str) {
    let bug = BUGS.iter().find(|bug| bug.name == name).unwrap();
    for program in gdbs() {
        let guest = Guest::start(&format!("demo {name} --gdb-wait --detect none"));
        let watch = format!("watch -l {}", bug.corrupted);
        let said = gdb(&program, guest.port, &["continue", bug.frame, &watch, "reverse-continue", "bt 4", "kill"]);
        let back = after(&said, "(gdb) reverse-continue\n");
        let whole = format!("{}, {name}:\n{said}", program.display());
        assert!(back.contains("watchpoint"), "no store was found by {whole}");
        assert!(after(back, "(gdb) bt 4\n").contains(bug.culprit), "no {} in {whole}", bug.culprit);
    }
}

/// What lldb does to go back.
pub(crate) const LLDB_BACK: &str = "process continue --reverse";

/// The same with lldb, from a frame by its number.
fn lldb_goes_back(arguments: &str, frame: u32, corrupted: &str, culprit: &str) {
    let select = format!("frame select {frame}");
    let watch = format!("watchpoint set expression -w write -s 4 -- &{corrupted}");
    let Some(said) = lldb_says(arguments, &[&select, &watch, LLDB_BACK, "thread backtrace"]) else { return };
    let there = after(&said, &format!("(lldb) {LLDB_BACK}\n"));
    assert!(there.contains("stop reason = watchpoint 1"), "no store was found by lldb, {arguments}:\n{said}");
    let stack = after(there, "(lldb) thread backtrace\n");
    assert!(stack.contains(culprit), "no {culprit} in lldb, {arguments}:\n{said}");
}

/// What lldb says at the end of a run, to these commands; nothing where there is no lldb.
pub(crate) fn lldb_says(arguments: &str, commands: &[&str]) -> Option<String> {
    let program = lldb()?;
    let symbols = tempfile::tempdir().unwrap();
    let symbols = symbols.path().join("vmlinux.elf");
    let guest = Guest::start(&format!("{arguments} --gdb-symbols {}", symbols.display()));
    let mut command = Command::new(program);
    command.args(["--batch", "--no-lldbinit"]);
    let (target, connect) = (format!("target create {}", symbols.display()), format!("gdb-remote {}", guest.port));
    // In a batch, what is done after a crash is another list.
    for line in [&target, &connect, "process continue"] {
        command.args(["-o", line]);
    }
    command.args(["-k", LLDB_PAUSE]);
    for line in unhurried(commands.iter().copied().chain(["process kill"])) {
        command.args(["-k", line]);
    }
    Some(output(command))
}

macro_rules! bugs {
    ($($test:ident $with_lldb:ident $name:literal;)*) => {
        $(#[test]
        fn $test() {
            goes_back($name);
        }

        #[test]
        fn $with_lldb() {
            let bug = BUGS.iter().find(|bug| bug.name == $name).unwrap();
            let arguments = concat!("demo ", $name, " --detect none --gdb-wait");
            lldb_goes_back(arguments, bug.number, bug.corrupted, bug.culprit);
        })*

        #[test]
        fn every_bug_is_gone_back_from() {
            let planted: Vec<_> = wkdb::demo::SCENES.iter().map(|scene| scene.name).collect();
            assert_eq!(planted.len(), [$($name),*].len());
            assert!([$($name),*].iter().all(|name| planted.contains(name)), "{planted:?}");
        }
    };
}

bugs! {
    gdb_finds_the_stray_write lldb_finds_the_stray_write "stray-write";
    gdb_finds_what_stopped_the_timers lldb_finds_what_stopped_the_timers "timer-stall";
    gdb_finds_who_wrote_into_freed_work lldb_finds_who_wrote_into_freed_work "wq-corrupt";
    gdb_finds_who_wrote_into_the_table_of_files lldb_finds_who_wrote_into_the_table_of_files "fdtable";
    gdb_finds_who_freed_the_callback lldb_finds_who_freed_the_callback "rcu";
    gdb_finds_the_overflow_of_the_stack lldb_finds_the_overflow_of_the_stack "stack-overflow";
    gdb_finds_the_program_that_wrote_into_the_kernel lldb_finds_the_program_that_wrote_into_the_kernel "user-write";
    gdb_finds_the_wakeup_that_was_lost lldb_finds_the_wakeup_that_was_lost "lost-wakeup";
    gdb_finds_the_lock_that_was_taken_first lldb_finds_the_lock_that_was_taken_first "deadlock";
    gdb_finds_the_mutex_that_was_taken_first lldb_finds_the_mutex_that_was_taken_first "deadlock-sleep";
}

#[test]
fn gdb_comes_to_the_beginning_of_history_and_forward_again() {
    for program in gdbs() {
        let guest = Guest::start("demo --gdb-wait");
        let said = gdb(
            &program,
            guest.port,
            &[
                "tbreak rest_init",
                "continue",
                "p $pc",
                "reverse-stepi",
                "p $pc == $1",
                "stepi",
                "p $pc == $1",
                "reverse-continue",
                "bt",
                "kill",
            ],
        );
        assert!(after(&said, "(gdb) reverse-stepi\n").contains("$2 = 0"), "{said}");
        assert!(said.contains("$3 = 1"), "a step back and a step forward is where it was: {said}");
        let back = after(&said, "(gdb) reverse-continue\n");
        // gdb 13 and 18.
        let told = ["No more reverse-execution history", "Backward execution from here not possible"];
        assert!(told.iter().any(|words| back.contains(words)), "{said}");
        assert!(after(back, "(gdb) bt\n").contains("[host]"), "{said}");
    }
}

#[test]
fn gdb_stops_where_a_detector_finds_something() {
    for program in gdbs() {
        let guest = Guest::start("demo stack-overflow --gdb-wait");
        let said = gdb(&program, guest.port, &["continue", "bt 2", "reverse-stepi", "p $sp", "kill"]);
        assert!(said.contains("stack: kacpid is 144 bytes below its kernel stack"), "{said}");
        assert!(said.contains("received signal SIGTRAP"), "{said}");
        assert!(after(&said, "bt 2").contains("acpi_ns_walk (depth=38"), "{said}");
    }
}

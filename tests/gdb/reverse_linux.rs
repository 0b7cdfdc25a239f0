//! Backwards from a crash to its cause in the bundled Linux: for every bug that it can plant, with gdb and lldb.

use std::io::Write;

use tempfile::NamedTempFile;

use crate::debuggers::{gdb, gdbs};
use crate::guest::Guest;
use crate::reverse::{LLDB_BACK, after, lldb_says};

/// A planted bug, as a person finds it.
struct Bug {
    name: &'static str,
    /// What is typed at the console, and when; without a script the guest comes to grief by itself.
    script: &'static str,
    /// From where it stops, back to the cause.
    commands: &'static [&'static str],
    /// The same in lldb.
    lldb: &'static [&'static str],
    /// Who did it: in the last command's answer.
    culprit: &'static str,
}

const THEN_PS: &str = "expect \"\\n# \"\nwait 6s\nsend \"ps\\n\"\nexpect \"\\n# \"\nwait 1s\n";
const WILD: &str = "expect \"\\n# \"\nsend \"wild fb\\n\"\nexpect \"\\n# \"\nwait 5s\n";
/// The clock of one of CPU 0's timer wheels.
macro_rules! wheel {
    () => {
        "((struct timer_base *)((unsigned)&timer_bases + __per_cpu_offset[0]))[1].clk"
    };
}

/// Addresses on the heap are the same in every run.
const BUGS: [Bug; 9] = [
    Bug {
        name: "stray-write",
        script: THEN_PS,
        commands: &["frame function wq_worker_comm", "watch -l worker->pool", "reverse-continue", "bt 2"],
        lldb: &[
            "frame select 7",
            "watchpoint set expression -w write -s 4 -- &worker->pool",
            LLDB_BACK,
            "thread backtrace",
        ],
        culprit: "evdev_store_event",
    },
    Bug {
        name: "wq-corrupt",
        script: THEN_PS,
        commands: &["frame function wq_worker_comm", "watch -l worker->pool", "reverse-continue", "bt 2"],
        lldb: &[
            "frame select 7",
            "watchpoint set expression -w write -s 4 -- &worker->pool",
            LLDB_BACK,
            "thread backtrace",
        ],
        culprit: "hub_store_status",
    },
    Bug {
        name: "timer-stall",
        script: "expect \"\\n# \"\nwait 6s\n",
        commands: &[concat!("watch -l ", wheel!()), "reverse-continue", "bt 2"],
        lldb: &[concat!("watchpoint set expression -w write -s 4 -- &", wheel!()), LLDB_BACK, "thread backtrace"],
        culprit: "rtc_set_next_alarm",
    },
    Bug {
        name: "fdtable",
        script: THEN_PS,
        commands: &["frame function copy_files", "watch -l oldf->fdt->fd[0]", "reverse-continue", "bt 2"],
        lldb: &[
            "frame select 7",
            "watchpoint set expression -w write -s 4 -- &oldf->fdt->fd[0]",
            LLDB_BACK,
            "thread backtrace",
        ],
        culprit: "binder_copy_transaction",
    },
    Bug {
        name: "rcu",
        script: "",
        // The last store into the callback's function is RCU's own.
        commands: &["watch *(unsigned *)0x2422a4", "reverse-continue", "info symbol $pc", "reverse-continue", "bt 2"],
        lldb: &["watchpoint set expression -w write -s 4 -- 0x2422a4", LLDB_BACK, LLDB_BACK, "thread backtrace"],
        culprit: "dst_scrub",
    },
    Bug {
        name: "stack-overflow",
        script: "",
        // What the panic forbade was not written: back to the call that was one too many.
        commands: &["tbreak acpi_walk", "reverse-continue", "bt -5"],
        lldb: &["breakpoint set --name acpi_walk --one-shot true", LLDB_BACK, "thread backtrace"],
        culprit: "acpi_thread",
    },
    Bug {
        name: "user-write",
        script: WILD,
        commands: &["watch -l fbdev.blink.function", "reverse-continue", "bt 2"],
        lldb: &["watchpoint set expression -w write -s 4 -- &fbdev.blink.function", LLDB_BACK, "thread backtrace"],
        culprit: "draw_too_much",
    },
    Bug {
        name: "lost-wakeup",
        script: "expect \"\\n# \"\nwait 60s\n",
        // Asleep with an item waiting: to where it lay down, and then to where it had last looked.
        commands: &[
            "p ring.head - ring.tail",
            "watch -l ring.consumer->__state",
            "reverse-continue",
            "delete",
            "reverse-next",
            "reverse-next",
            "p ring.head - ring.tail",
            "bt 1",
        ],
        lldb: &[
            "p ring.head - ring.tail",
            "watchpoint set expression -w write -s 4 -- &ring.consumer->__state",
            LLDB_BACK,
            "thread backtrace",
        ],
        culprit: "ring_consumer",
    },
    Bug {
        name: "deadlock",
        script: "expect \"\\n# \"\nwait 50s\n",
        // Before the one that waits for it, the one that has it.
        commands: &["watch -l netdev_lock.owner.counter", "reverse-continue", "reverse-continue", "bt"],
        lldb: &[
            "watchpoint set expression -w write -s 4 -- &netdev_lock.owner.counter",
            LLDB_BACK,
            LLDB_BACK,
            "thread backtrace",
        ],
        culprit: "netdev_up",
    },
];

/// The arguments that run a bug, and the script, which has to be there as long as they are used.
fn arguments(name: &str, script: &str) -> (String, Option<NamedTempFile>) {
    let mut arguments = format!("run linux --gdb-wait --append wkdbbug={name}");
    if script.is_empty() {
        return (arguments, None);
    }
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(script.as_bytes()).unwrap();
    arguments.push_str(&format!(" --input {}", file.path().display()));
    (arguments, Some(file))
}

/// Goes back from the end of the run with a bug. Each with one of the gdbs in turn: what they do differently the demo
/// guest has shown.
fn goes_back(name: &str) -> String {
    let number = BUGS.iter().position(|bug| bug.name == name).unwrap();
    let (bug, gdbs) = (&BUGS[number], gdbs());
    let Some(program) = gdbs.get(number % gdbs.len().max(1)) else { return String::new() };
    let (arguments, _script) = arguments(name, bug.script);
    let guest = Guest::start(&arguments);
    let mut commands = vec!["continue"];
    commands.extend(bug.commands);
    commands.push("kill");
    let said = gdb(program, guest.port, &commands);
    let last = bug.commands[bug.commands.len() - 1];
    let found = after(&said, &format!("(gdb) {last}\n"));
    assert!(found.contains(bug.culprit), "no {} in {}, {name}:\n{said}", bug.culprit, program.display());
    said
}

/// The same in lldb.
fn lldb_goes_back(name: &str) -> String {
    let bug = BUGS.iter().find(|bug| bug.name == name).unwrap();
    let (arguments, _script) = arguments(name, bug.script);
    let Some(said) = lldb_says(&arguments, bug.lldb) else { return String::new() };
    let last = bug.lldb[bug.lldb.len() - 1];
    let found = after(&said, &format!("(lldb) {last}\n"));
    assert!(found.contains(bug.culprit), "no {} in lldb, {name}:\n{said}", bug.culprit);
    said
}

macro_rules! bugs {
    ($($test:ident $with_lldb:ident $name:literal;)*) => {
        $(#[test]
        fn $test() {
            goes_back($name);
        }

        #[test]
        fn $with_lldb() {
            lldb_goes_back($name);
        })*

        #[test]
        fn every_bug_of_linux_is_gone_back_from() {
            let tested = ["lost-wakeup", $($name),*];
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/linux-guest/arch/wasm/kernel/planted_bugs.c");
            let source = std::fs::read_to_string(source).unwrap();
            let (_, table) = source.split_once("} planted[] = {\n").unwrap();
            let names = table.lines().map_while(|line| line.strip_prefix("\t{ \"")?.split('"').next());
            let planted: Vec<&str> = names.collect();
            assert_eq!(planted.len(), tested.len(), "{planted:?}");
            assert!(planted.iter().all(|name| tested.contains(name)), "{planted:?}");
        }
    };
}

bugs! {
    gdb_finds_the_stray_write_of_linux lldb_finds_the_stray_write_of_linux "stray-write";
    gdb_finds_who_answered_to_the_wrong_address_in_linux lldb_finds_who_answered_to_the_wrong_address_in_linux "wq-corrupt";
    gdb_finds_what_stopped_the_timers_of_linux lldb_finds_what_stopped_the_timers_of_linux "timer-stall";
    gdb_finds_who_wrote_over_the_files_of_linux lldb_finds_who_wrote_over_the_files_of_linux "fdtable";
    gdb_finds_who_scrubbed_the_callback_of_linux lldb_finds_who_scrubbed_the_callback_of_linux "rcu";
    gdb_finds_the_last_call_before_the_stack_of_linux_overflowed lldb_finds_the_last_call_before_the_stack_of_linux_overflowed "stack-overflow";
    gdb_finds_the_program_that_wrote_into_linux lldb_finds_the_program_that_wrote_into_linux "user-write";
    gdb_finds_the_mutex_of_linux_that_was_taken_first lldb_finds_the_mutex_of_linux_that_was_taken_first "deadlock";
}

#[test]
fn gdb_finds_the_wakeup_that_was_lost_in_linux() {
    let said = goes_back("lost-wakeup");
    if said.is_empty() {
        return;
    }
    // An item waits while it sleeps; none did when it looked.
    assert!(said.contains("$1 = 1\n") && said.contains("$2 = 0\n"), "{said}");
}

#[test]
fn lldb_finds_the_wakeup_that_was_lost_in_linux() {
    let said = lldb_goes_back("lost-wakeup");
    // An item waits while it sleeps.
    assert!(said.is_empty() || said.contains("$0 = 1") || said.contains(") 1\n"), "{said}");
}

//! lldb at the same port as gdb, and its own Wasm at another.

use std::process::Command;

use crate::clients::Raw;
use crate::debuggers::{assert_lines, lldb, lldb_attaches, lldb_session, output, unhurried};
use crate::guest::Guest;

/// What lldb says to these commands, as lldb's own Wasm attached to a guest; none if there is no lldb.
fn wasm_session(guest: &Guest, commands: &[&str]) -> Option<String> {
    let commands: Vec<String> = commands.iter().map(|&command| command.to_owned()).collect();
    Some(lldb_session(&lldb()?, &lldb_attaches("--lldb", guest.port), &commands))
}

#[test]
fn lldb_sees_tasks_frames_variables_and_watches() {
    let Some(program) = lldb() else { return };
    let symbols = tempfile::tempdir().unwrap();
    let symbols = symbols.path().join("vmlinux.elf");
    let guest = Guest::start(&format!("demo --gdb-symbols {}", symbols.display()));
    guest.shows("minik# ");
    let mut command = Command::new(program);
    command.args(["--batch", "--no-lldbinit"]);
    let connect = format!("gdb-remote {}", guest.port);
    for line in unhurried([
        &format!("target create {}", symbols.display()),
        connect.as_str(),
        "thread list",
        "thread select 3",
        "thread backtrace",
        "expression init_task.comm",
        "target variable task_list",
        "watchpoint set variable jiffies_64",
        "continue",
        "watchpoint delete --force",
        "breakpoint set --name tick_do_update_jiffies64",
        "continue",
        "thread backtrace",
        "frame variable",
        "thread step-over",
        "memory write 0x20 0x2a",
        "memory read --format x --size 1 --count 1 0x20",
        "detach",
    ]) {
        command.args(["-o", line]);
    }
    let text = output(command);
    assert_lines(
        &text,
        &[
            "(lldb) thread list",
            "* thread #1: …'swapper/0/0 @cpu0 waiting on 0x…",
            "…'kthreadd/2 @cpu0 switched out'",
            "(lldb) thread backtrace",
            "…frame #0: …context_switch(prev=0x…, next=0x…) at sched.c:104:…",
            "…frame #…kthreadd(unused=<unavailable>) at kthread.c:…",
            "(lldb) expression init_task.comm",
            "…\"swapper/0\"…",
            "(lldb) watchpoint set variable jiffies_64",
            "(lldb) continue",
            "…stop reason = watchpoint 1",
            "…tick_do_update_jiffies64 at time.c:…",
            "(lldb) continue",
            "…stop reason = breakpoint 1…",
            "(lldb) thread backtrace",
            "…frame #1: …tick_handle_irq at time.c:…",
            "(lldb) thread step-over",
            "…stop reason = step over",
            "0x00000020: 0x2a",
            "Process 1 detached",
        ],
        &text,
    );
}

#[test]
fn lldbs_own_wasm_needs_no_file_and_sees_the_variables_of_all_frames() {
    let guest = Guest::start_for("--lldb", "demo --gdb-wait");
    let session = wasm_session(
        &guest,
        &[
            "breakpoint set --name alloc_file",
            "continue",
            "thread backtrace",
            "frame variable",
            "frame select 1",
            "frame variable inode i",
            "frame select 0",
            "expression *fop",
            "expression init_task.comm",
            "target variable jiffies_64",
            // The tables are of one task each: whichever was looked at last, each has its own.
            "thread select 1",
            "thread backtrace",
            "thread select 2",
            "frame variable flags",
            "frame select 1",
            "frame variable inode",
            "frame select 0",
            "disassemble --count 5",
            "breakpoint delete 1",
            "thread step-over",
            "thread step-over",
            "thread step-in",
            "thread step-out",
            "memory write 0x20 0x2a",
            "memory read --format x --size 1 --count 1 0x20",
            "watchpoint set variable jiffies_64",
            "continue",
            "thread backtrace",
            "watchpoint delete --force",
            "breakpoint set --file sched.c --line 143",
            "continue",
            "detach",
        ],
    );
    let Some(text) = session else { return };
    assert_lines(
        &text,
        &[
            "(lldb) breakpoint set --name alloc_file",
            "Breakpoint 1: where = vmlinux`alloc_file + …at file.c:230:…, address = 0x4…",
            "(lldb) continue",
            "* thread #2, name = '…/1 @cpu0 running', stop reason = breakpoint 1.1",
            "    frame #0: 0x4… vmlinux`alloc_file(inode=0x…, fop=0x…, flags=2) at file.c:230:…",
            "(lldb) thread backtrace",
            "  * frame #0: 0x4… vmlinux`alloc_file(inode=0x…, fop=0x…, flags=2) at file.c:230:…",
            "    frame #1: 0x4… vmlinux`open_console at main.c:18:…",
            "    frame #2: 0x4… vmlinux`kernel_init(unused=<unavailable>) at main.c:67:…",
            "    frame #3: 0x4… vmlinux`__ret_from_fork(prev=<unavailable>, next=0x…) at process.c:12:…",
            "    frame #4: 0x4… vmlinux`ret_from_fork + …",
            "(lldb) frame variable",
            "(inode *) inode = 0x…",
            "(u32) flags = 2",
            "(lldb) frame variable inode i",
            "(inode *) inode = 0x…",
            "(int) i = 0",
            "(lldb) expression *fop",
            "  open = 0x00000000",
            "(lldb) expression init_task.comm",
            "…\"swapper/0\"",
            "(lldb) target variable jiffies_64",
            "(u64) jiffies_64 = 42949…",
            "(lldb) thread backtrace",
            "  * frame #0: 0x4… vmlinux`context_switch(prev=0x…, next=0x…) at sched.c:104:…",
            "    frame #5: 0x4… vmlinux`start_kernel at main.c:103:…",
            "(lldb) frame variable flags",
            "(u32) flags = 2",
            "(lldb) frame variable inode",
            "(inode *) inode = 0x…",
            "(lldb) disassemble --count 5",
            "vmlinux`alloc_file:",
            "->  0x4… <+…>: …call…",
            // Over the call, in the same function.
            "(lldb) thread step-over",
            "    frame #0: 0x4… vmlinux`alloc_file(…) at file.c:232:…",
            "(lldb) thread step-over",
            "(lldb) thread step-in",
            "(lldb) thread step-out",
            "(lldb) memory read --format x --size 1 --count 1 0x20",
            "0x00000020: 0x2a",
            "(lldb) continue",
            "Watchpoint 1 hit:",
            "old value: 42949…",
            "new value: 42949…",
            "* thread #…, stop reason = watchpoint 1",
            "(lldb) thread backtrace",
            "…tick_do_update_jiffies64 at time.c:…",
            "    frame #1: 0x4… vmlinux`tick_handle_irq at time.c:…",
            "(lldb) continue",
            "…stop reason = breakpoint 2…",
            "    frame #0: 0x4… vmlinux`__schedule at sched.c:143:…",
            "Process 1 detached",
        ],
        &text,
    );
}

#[test]
fn lldbs_own_wasm_steps_into_calls_and_back() {
    let guest = Guest::start_for("--lldb", "demo --gdb-wait");
    let session = wasm_session(
        &guest,
        &[
            "breakpoint set --one-shot true --name alloc_file",
            "continue",
            "thread step-in",
            "thread backtrace --count 2",
            "thread step-out",
            "thread step-inst",
            "process continue --reverse",
            "kill",
        ],
    );
    let Some(text) = session else { return };
    assert_lines(
        &text,
        &[
            "(lldb) thread step-in",
            "…stop reason = step in",
            "    frame #0: 0x4… vmlinux`kzalloc(size=32) at slab.c:…",
            "(lldb) thread backtrace --count 2",
            "    frame #1: 0x4… vmlinux`alloc_file(inode=0x…, fop=0x…, flags=2) at file.c:230:…",
            "(lldb) thread step-out",
            "…stop reason = step out",
            "    frame #0: 0x4… vmlinux`alloc_file(…",
            "(lldb) thread step-inst",
            "…stop reason = instruction step into",
            "(lldb) process continue --reverse",
            "…stop reason = history boundary",
        ],
        &text,
    );
}

#[test]
fn lldbs_own_wasm_walks_a_linux_into_user_programs() {
    let guest = Guest::start_for("--lldb", "run linux");
    guest.shows("# ");
    let commands = ["thread backtrace all", "expression (int)init_task.pid", "target variable jiffies_64", "detach"];
    let Some(text) = wasm_session(&guest, &commands) else { return };
    for expected in
        ["`__schedule(", "`kthreadd(", "`start_kernel", "`do_syscall", "(int) $0 = 0", "(u64) jiffies_64 = 4"]
    {
        assert!(text.contains(expected), "no {expected} in:\n{text}");
    }
    assert!(!text.contains("invalid location"), "{text}");
    assert!(text.contains("module1`") || text.contains("module2`"), "no user program in:\n{text}");
}

#[test]
fn a_guest_stops_for_lldbs_own_wasm_and_there_is_one_debugger_at_all_ports() {
    let guest = Guest::start_for("--lldb", "demo --gdb 0");
    guest.shows("minik# ");
    let other = guest.other_port().expect("the port for gdb");
    let mut client = Raw::connect(guest.port);
    assert!(client.ask("qHostInfo").contains("arch:wasm32"));
    client.send("vCont;c");
    client.interrupt();
    assert!(client.hear().starts_with("T02thread:"));
    let mut second = Raw::dial(other);
    assert!(second.ask("qSupported").contains("another debugger is attached"));
    assert_eq!(client.ask("D"), "OK");
    guest.says("the debugger left", 1);
    let mut third = Raw::connect(other);
    assert_eq!(third.ask("qHostInfo"), "", "this is the processor");
}

#[test]
fn a_kernel_with_64_bit_addresses_is_refused_by_lldbs_own_wasm() {
    let kernel = crate::sessions::fixture("wasm64/guest-O2.wasm");
    let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
    let output = command.args(["run", &kernel.display().to_string(), "--lldb", "0"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("--gdb PORT"), "{said}");
    assert_eq!(output.status.code(), Some(2), "{said}");
}

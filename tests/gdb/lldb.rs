//! lldb at the same port.

use std::process::Command;

use crate::debuggers::{assert_lines, lldb, output};
use crate::guest::Guest;

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
    for line in [
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
    ] {
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

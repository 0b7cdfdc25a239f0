//! Ctrl-C at the prompt of a real debugger, while the guest runs.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::debuggers::{gdbs, lldb, lldb_attaches};
use crate::guest::{Guest, collect, in_time};

/// A debugger at whose prompt somebody types.
struct Typed {
    child: Child,
    stdin: ChildStdin,
    said: Arc<Mutex<String>>,
}

impl Typed {
    fn start(mut command: Command) -> Typed {
        let (reader, writer) = std::io::pipe().unwrap();
        command.stdin(Stdio::piped()).stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = command.spawn().unwrap();
        drop(command);
        let said = collect(reader);
        Typed { stdin: child.stdin.take().unwrap(), child, said }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// As a terminal does it.
    fn ctrl_c(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it has printed this.
    fn says(&self, text: &str) {
        in_time(&format!("the debugger says {text:?}"), || self.said.lock().unwrap().contains(text).then_some(()));
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the debugger said:\n{}", self.said.lock().unwrap());
        }
    }
}

/// Lets the guest run to its prompt, stops it, looks at it, and ends it.
fn interrupts(command: Command, port_option: &str, attach: impl Fn(u16) -> String, attached: &str, stop: &str) {
    let mut guest = Guest::start_for(port_option, "demo --gdb-wait");
    let mut debugger = Typed::start(command);
    debugger.types(&attach(guest.port));
    debugger.says(attached);
    debugger.types("continue");
    guest.shows("minik# ");
    debugger.ctrl_c();
    debugger.says(stop);
    debugger.types("p init_task.comm");
    debugger.says("swapper/0");
    debugger.types("kill");
    assert_eq!(guest.ended(), Some(0));
}

#[test]
fn ctrl_c_at_gdbs_prompt_stops_the_guest() {
    for program in gdbs() {
        let mut command = Command::new(program);
        command.args(["-nx", "-q", "-ex", "set pagination off", "-ex", "set confirm off"]);
        let attach = |port| format!("target remote :{port}");
        interrupts(command, "--gdb", attach, "in [host] ()", "received signal SIGINT, Interrupt.");
    }
}

#[test]
fn ctrl_c_at_lldbs_prompt_stops_the_guest() {
    let Some(program) = lldb() else { return };
    for option in ["--gdb", "--lldb"] {
        let mut command = Command::new(&program);
        command.args(["--no-lldbinit", "-o", "settings set plugin.process.gdb-remote.packet-timeout 200"]);
        command.current_dir(env!("CARGO_TARGET_TMPDIR"));
        let attach = |port| lldb_attaches(option, port);
        interrupts(command, option, attach, "stop reason = signal SIGTRAP", "stop reason = signal SIGINT");
    }
}

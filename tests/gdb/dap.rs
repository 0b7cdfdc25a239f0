//! gdb as a debug adapter: what editors use.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::debuggers::gdbs;
use crate::guest::Guest;

/// The longest that an adapter may take for anything.
const DEADLINE: Duration = Duration::from_secs(60);

struct Adapter {
    child: Child,
    stdin: ChildStdin,
    messages: Receiver<Value>,
    sequence: u64,
    /// What came before what was waited for.
    earlier: Vec<Value>,
}

impl Adapter {
    /// Starts one; none if this gdb cannot be one.
    fn start(program: &std::path::Path) -> Option<Adapter> {
        let mut command = Command::new(program);
        command.args(["-nx", "-q", "-i", "dap"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let (stdin, mut stdout) = (child.stdin.take()?, BufReader::new(child.stdout.take()?));
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            loop {
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if !matches!(stdout.read_line(&mut line), Ok(1..)) {
                        return;
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                    if let Some(value) = line.strip_prefix("Content-Length:") {
                        length = value.trim().parse().unwrap_or(0);
                    }
                }
                let mut body = vec![0; length];
                let read = stdout.read_exact(&mut body).ok().and_then(|()| serde_json::from_slice(&body).ok());
                if read.is_none_or(|message| sender.send(message).is_err()) {
                    return;
                }
            }
        });
        let mut adapter = Adapter { child, stdin, messages, sequence: 0, earlier: Vec::new() };
        adapter.send("initialize", &json!({"adapterID": "gdb", "linesStartAt1": true, "columnsStartAt1": true}));
        // Others end at once, or say what they cannot do.
        adapter.wait_for(|message| message["command"] == "initialize").map(|_| adapter)
    }

    fn send(&mut self, command: &str, arguments: &Value) {
        self.sequence += 1;
        let body = json!({"seq": self.sequence, "type": "request", "command": command, "arguments": arguments});
        let body = body.to_string();
        // Where it is gone, nothing will come back.
        let _ = write!(self.stdin, "Content-Length: {}\r\n\r\n{body}", body.len());
        let _ = self.stdin.flush();
    }

    fn wait_for(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        if let Some(at) = self.earlier.iter().position(&wanted) {
            return Some(self.earlier.remove(at));
        }
        loop {
            let message = self.messages.recv_timeout(DEADLINE).ok()?;
            if wanted(&message) {
                return Some(message);
            }
            self.earlier.push(message);
        }
    }

    fn ask(&mut self, command: &str, arguments: &Value) -> Value {
        self.send(command, arguments);
        let answer = self.wait_for(|message| message["type"] == "response" && message["command"] == command);
        let answer = answer.unwrap_or_else(|| panic!("no answer to {command}: {:#?}", self.earlier));
        assert_eq!(answer["success"], true, "{answer:#}");
        answer["body"].clone()
    }

    fn event(&mut self, name: &str) -> Value {
        let event = self.wait_for(|message| message["type"] == "event" && message["event"] == name);
        event.unwrap_or_else(|| panic!("no event {name}: {:#?}", self.earlier))["body"].clone()
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_editor_attaches_stops_and_reads_variables() {
    for program in gdbs() {
        let Some(mut adapter) = Adapter::start(&program) else {
            eprintln!("{} is no debug adapter", program.display());
            continue;
        };
        let guest = Guest::start("demo --gdb-wait");
        // Depending on its version, it answers at once or after `configurationDone`.
        adapter.send("attach", &json!({"target": format!(":{}", guest.port)}));
        adapter.event("initialized");
        let breakpoints = adapter.ask("setFunctionBreakpoints", &json!({"breakpoints": [{"name": "alloc_file"}]}));
        assert_eq!(breakpoints["breakpoints"].as_array().map(Vec::len), Some(1), "{breakpoints}");
        adapter.send("configurationDone", &json!({}));
        let attached = adapter.wait_for(|message| message["command"] == "attach").expect("it attaches");
        assert_eq!(attached["success"], true, "{attached:#}");
        let mut stopped = adapter.event("stopped");
        // Attached, it may be told that it is stopped where it is.
        for _ in 0..3 {
            if stopped["reason"] == "breakpoint" || stopped["reason"] == "function breakpoint" {
                break;
            }
            adapter.ask("continue", &json!({"threadId": 1}));
            stopped = adapter.event("stopped");
        }
        let thread = stopped["threadId"].clone();
        let stack = adapter.ask("stackTrace", &json!({"threadId": thread}));
        let frame = &stack["stackFrames"][0];
        assert_eq!(frame["name"], "alloc_file", "{stack:#}");
        assert_eq!(frame["line"], 230, "{stack:#}");
        assert_eq!(stack["stackFrames"][1]["name"], "open_console", "{stack:#}");
        let scopes = adapter.ask("scopes", &json!({"frameId": frame["id"]}));
        let arguments = scopes["scopes"].as_array().unwrap().iter().find(|scope| scope["name"] == "Arguments").unwrap();
        let variables =
            adapter.ask("variables", &json!({"variablesReference": arguments["variablesReference"], "count": 3}));
        let flags = variables["variables"].as_array().unwrap().iter().find(|v| v["name"] == "flags").unwrap();
        assert_eq!(flags["value"], "2", "{variables:#}");
        let threads = adapter.ask("threads", &json!({}));
        assert!(threads["threads"].as_array().unwrap().len() > 2, "{threads:#}");
        adapter.ask("disconnect", &json!({}));
    }
}

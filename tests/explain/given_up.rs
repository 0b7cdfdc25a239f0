//! Ctrl-C while a run is explained: what was found until then is told, and the session goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::bugs::{Bug, MINIK};
use crate::gdb::{Waiting, gdbs};
use crate::recorded::{Recorded, text, wkdb};

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// The bug that is the longest to be explained: it is gone back in often.
fn recorded() -> Recorded {
    let bug: &Bug = MINIK.iter().find(|bug| bug.name == "lost-wakeup").unwrap();
    Recorded::run(bug, bug.seed)
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
}

/// Whether a process deals with Ctrl-C itself.
fn heeds_interrupts(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (Signal::SIGINT as u64 - 1)) != 0
}

#[test]
fn ctrl_c_gives_up_an_explanation_and_what_was_found_is_told() {
    let recorded = recorded();
    let mut command = wkdb();
    command.args(["explain", "x.wkr"]).current_dir(recorded.folder());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    // Before that Ctrl-C ends it, as any other program.
    while !heeds_interrupts(&child) {
        assert!(began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "it never begins");
        std::thread::sleep(Duration::from_millis(1));
    }
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{said}{}", text(&output.stderr));
    assert!(said.contains("Interrupted"), "{said}");
    assert!(!said.contains("culprit: "), "it was not found out before:\n{said}");
}

/// The lines that a process prints, as they come.
fn lines(stdout: impl Read + Send + 'static) -> Receiver<String> {
    let (send, lines) = channel();
    std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        while stdout.read_line(&mut line).is_ok_and(|read| read > 0) {
            if send.send(std::mem::take(&mut line)).is_err() {
                break;
            }
        }
    });
    lines
}

#[test]
fn ctrl_c_at_the_prompt_gives_up_the_explanation_alone() {
    let recorded = recorded();
    let mut command = wkdb();
    command.args(["debug", "x.wkr", "-e", "goto end", "-e", "explain", "-e", "info history"]);
    command.current_dir(recorded.folder()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let lines = lines(child.stdout.take().unwrap());
    let mut said = String::new();
    let mut asked = false;
    let began = Instant::now();
    while !said.contains("Interrupted") {
        assert!(began.elapsed() < PATIENCE, "it is not interrupted:\n{said}");
        match lines.recv_timeout(Duration::from_millis(20)) {
            Ok(line) => {
                asked |= line.contains(") explain");
                said.push_str(&line);
            }
            Err(_) if asked => interrupt(&child),
            Err(_) => {}
        }
        assert!(!said.contains("culprit: "), "it was not interrupted:\n{said}");
    }
    // The session goes on, where it was before.
    while let Ok(line) = lines.recv_timeout(PATIENCE) {
        said.push_str(&line);
    }
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}{errors}");
    let after = said.split("Interrupted").nth(1).unwrap();
    assert!(after.contains("info history") && after.contains(", the present"), "{said}");
}

/// A client that says what gdb and lldb say, and may say more.
struct Client(TcpStream);

impl Client {
    fn send(&mut self, body: &str, behind: &[u8]) {
        let sum = body.bytes().fold(0_u8, u8::wrapping_add);
        self.0.write_all(format!("${body}#{sum:02x}").as_bytes()).unwrap();
        self.0.write_all(behind).unwrap();
    }

    /// The body of the next packet.
    fn packet(&mut self) -> String {
        let mut byte = || {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            char::from(byte[0])
        };
        while byte() != '$' {}
        let body: String = std::iter::from_fn(|| Some(byte()).filter(|&byte| byte != '#')).collect();
        // Its checksum.
        byte();
        byte();
        body
    }

    /// Has a command of `monitor` run; gives what it prints.
    fn monitor(&mut self, command: &str, behind: &[u8]) -> String {
        let hex: String = command.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.send(&format!("qRcmd,{hex}"), behind);
        let mut printed = Vec::new();
        loop {
            let packet = self.packet();
            match packet.strip_prefix('O').filter(|_| packet != "OK") {
                Some(hex) => {
                    printed.extend((0..hex.len() / 2).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()));
                }
                None => {
                    assert_eq!(packet, "OK");
                    return text(&printed);
                }
            }
        }
    }
}

#[test]
fn an_interrupt_at_the_port_gives_up_what_monitor_explains() {
    let recorded = recorded();
    let replay = Waiting::start(&recorded, "wkdb replay x.wkr --gdb 1234");
    let mut client = Client(TcpStream::connect(("127.0.0.1", replay.1)).unwrap());
    client.0.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send("QStartNoAckMode", b"");
    assert_eq!(client.packet(), "OK");
    // To where the run ended.
    client.send("vCont;c", b"");
    while !client.packet().starts_with('T') {}
    let said = client.monitor("explain", b"\x03");
    assert!(said.contains("Interrupted") && !said.contains("culprit: "), "{said}");
    assert!(client.monitor("tick", b"").starts_with("tick "), "it is answered as before");
    let said = client.monitor("explain", b"");
    assert!(said.contains("culprit: ") && !said.contains("Interrupted"), "{said}");
}

/// gdb says nothing of its Ctrl-C; an answer that comes for nobody is not taken for that of the next command.
#[test]
fn gdb_is_not_one_answer_behind_after_ctrl_c() {
    let recorded = recorded();
    for gdb in gdbs() {
        let replay = Waiting::start(&recorded, "wkdb replay x.wkr --gdb 1234");
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = Command::new(gdb);
        command.args(["-nx", "-q", "-ex", "set pagination off", "-ex", "set confirm off"]);
        command.stdin(Stdio::piped()).stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = command.spawn().unwrap();
        // Only gdb has the other end.
        drop(command);
        let lines = lines(reader);
        let mut stdin = child.stdin.take().unwrap();
        let mut said = String::new();
        let mut until = |text: &str| {
            while !said.contains(text) {
                said.push_str(&lines.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {text:?} in:\n{said}")));
            }
            std::mem::take(&mut said)
        };
        writeln!(stdin, "target remote :{}\ncontinue\necho at the end\\n\nmonitor explain", replay.1).unwrap();
        until("at the end");
        interrupt(&child);
        // Now nobody waits for the answer, which may come at any time; the later, the more there is to be mistaken.
        std::thread::sleep(Duration::from_secs(2));
        writeln!(stdin, "p init_task.comm\nmonitor tick\np/x jiffies_64 >= 0\necho all answered\\n").unwrap();
        let said = until("all answered");
        assert!(said.contains("swapper/0"), "{said}");
        assert!(said.contains("tick ") && said.contains("guest time"), "{said}");
        assert!(said.contains("= 0x1"), "{said}");
        writeln!(stdin, "kill\nquit").unwrap();
        child.wait().unwrap();
    }
}

//! Clients that behave badly, and what is left of them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wkdb::contract::KernelModule;
use wkdb::demo::KERNEL_7_0;

use crate::debuggers::{gdb, gdbs, lldb, lldb_attaches, lldb_session};
use crate::guest::{Guest, in_time};

/// A client that speaks the protocol by hand.
pub(crate) struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    /// Connects, and switches acknowledgements off.
    pub(crate) fn connect(port: u16) -> Raw {
        let mut raw = Raw::dial(port);
        assert_eq!(raw.ask("QStartNoAckMode"), "OK");
        raw.stream.write_all(b"+").unwrap();
        raw
    }

    /// Connects.
    pub(crate) fn dial(port: u16) -> Raw {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Raw { stream, unread: Vec::new() }
    }

    pub(crate) fn send(&mut self, body: &str) {
        let sum = body.bytes().fold(0_u8, u8::wrapping_add);
        self.stream.write_all(format!("${body}#{sum:02x}").as_bytes()).unwrap();
    }

    pub(crate) fn interrupt(&mut self) {
        self.stream.write_all(&[3]).unwrap();
    }

    /// The next reply that is not a message for a person.
    pub(crate) fn hear(&mut self) -> String {
        self.hear_all().1
    }

    /// The same, behind the messages for a person.
    fn hear_all(&mut self) -> (String, String) {
        let mut messages = Vec::new();
        loop {
            let packet = self.unread.iter().position(|&byte| byte == b'$').and_then(|start| {
                let end = start + self.unread[start..].iter().position(|&byte| byte == b'#')?;
                (self.unread.len() >= end + 3).then_some(start + 1..end)
            });
            if let Some(range) = packet {
                let body = String::from_utf8_lossy(&self.unread[range.clone()]).into_owned();
                self.unread.drain(..range.end + 3);
                if let Some(text) = body.strip_prefix('O').filter(|_| body != "OK") {
                    messages
                        .extend((0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()));
                    continue;
                }
                return (String::from_utf8_lossy(&messages).into_owned(), body);
            }
            let mut buf = [0; 0x1_0000];
            let n = self.stream.read(&mut buf).expect("a reply in time");
            assert!(n > 0, "the server hung up");
            self.unread.extend_from_slice(&buf[..n]);
        }
    }

    pub(crate) fn ask(&mut self, body: &str) -> String {
        self.send(body);
        self.hear()
    }

    /// What a command of `monitor` says.
    pub(crate) fn monitor(&mut self, command: &str) -> String {
        let hex: String = command.bytes().map(|byte| format!("{byte:02x}")).collect();
        self.send(&format!("qRcmd,{hex}"));
        let (said, reply) = self.hear_all();
        assert_eq!(reply, "OK", "{command}: {said}");
        said
    }

    /// A register, by its number.
    pub(crate) fn register(&mut self, number: u32) -> u32 {
        u32::from_str_radix(&self.ask(&format!("p{number:x}")), 16).unwrap().swap_bytes()
    }

    /// A word of memory.
    pub(crate) fn word(&mut self, address: u32) -> u32 {
        u32::from_str_radix(&self.ask(&format!("m{address:x},4")), 16).unwrap().swap_bytes()
    }
}

#[test]
fn ctrl_c_stops_a_running_guest_each_time() {
    let guest = Guest::start("demo");
    guest.shows("minik# ");
    let mut client = Raw::connect(guest.port);
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        client.send("vCont;c");
        std::thread::sleep(Duration::from_millis(20));
        let asked = Instant::now();
        client.interrupt();
        assert!(client.hear().starts_with("T02thread:"));
        longest = longest.max(asked.elapsed());
    }
    // Beside other tests it says little of how quick it is: that it stops, each time, is what is asserted.
    println!("Ctrl-C: at most {longest:?}");
}

#[test]
fn a_killed_gdb_leaves_a_running_guest_and_the_next_one_attaches() {
    for program in gdbs() {
        let guest = Guest::start("demo");
        guest.shows("minik# ");
        let mut victim = Command::new(&program)
            .args(["-nx", "-q", "-ex", "set pagination off", "-ex", &format!("target remote :{}", guest.port)])
            .args(["-ex", "break tick_do_update_jiffies64 if 0", "-ex", "continue"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        guest.says("a debugger attached", 1);
        std::thread::sleep(Duration::from_millis(300));
        victim.kill().unwrap();
        victim.wait().unwrap();
        guest.says("the debugger left", 1);
        // Nothing is left of its breakpoint: time passes.
        let jiffies = || {
            let said = gdb(&program, guest.port, &["p jiffies_64", "detach"]);
            let value = said.lines().find_map(|line| line.strip_prefix("$1 = "));
            value.unwrap_or_else(|| panic!("{said}")).parse::<u64>().unwrap()
        };
        let seen = jiffies();
        in_time("time goes on", || (jiffies() > seen).then_some(()));
    }
}

#[test]
fn a_killed_lldb_leaves_a_running_guest() {
    let Some(program) = lldb() else { return };
    let guest = Guest::start("demo");
    guest.shows("minik# ");
    let mut victim = Command::new(program)
        .args(["--no-lldbinit", "-o", &format!("gdb-remote {}", guest.port)])
        .args(["-o", "breakpoint set --name tick_do_update_jiffies64 --condition 0", "-o", "continue"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    guest.says("a debugger attached", 1);
    std::thread::sleep(Duration::from_millis(500));
    victim.kill().unwrap();
    victim.wait().unwrap();
    guest.says("the debugger left", 1);
    // Nothing is left of its breakpoint: time passes.
    let address = KernelModule::parse(KERNEL_7_0).unwrap().data_symbol("jiffies_64").unwrap() as u32;
    let jiffies = || {
        let mut client = Raw::connect(guest.port);
        let now = client.word(address);
        assert_eq!(client.ask("D"), "OK");
        now
    };
    let seen = jiffies();
    in_time("time goes on", || (jiffies() != seen).then_some(()));
}

#[test]
fn a_client_that_vanishes_on_its_way_back_leaves_a_guest_that_goes_on_in_the_present() {
    let address = KernelModule::parse(KERNEL_7_0).unwrap().data_symbol("jiffies_64").unwrap() as u32;
    let jiffies = |client: &mut Raw| (u64::from(client.word(address + 4)) << 32) | u64::from(client.word(address));
    let guest = Guest::start("demo");
    guest.shows("minik# ");
    let mut last = 0;
    for (number, wait) in [0, 3, 10, 30, 100].into_iter().enumerate() {
        let mut client = Raw::connect(guest.port);
        let now = jiffies(&mut client);
        assert!(now >= last, "it is in the past: {now} after {last}");
        last = now;
        // To the beginning of history; it is there when the client has gone, or still on its way.
        client.send("bc");
        std::thread::sleep(Duration::from_millis(wait));
        drop(client);
        guest.says("the debugger left", number + 1);
    }
    in_time("time goes on", || {
        let mut client = Raw::connect(guest.port);
        let now = jiffies(&mut client);
        assert_eq!(client.ask("D"), "OK");
        (now > last).then_some(())
    });
}

#[test]
fn garbage_on_the_port_does_not_hurt_the_guest() {
    let guest = Guest::start("demo");
    guest.shows("minik# ");
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..20 {
        let mut stream = TcpStream::connect(("127.0.0.1", guest.port)).unwrap();
        let bytes: Vec<u8> = (0..random() % 20_000).map(|_| (random() >> 32) as u8).collect();
        // The server may have hung up already.
        let _ = stream.write_all(if round % 2 == 0 { &bytes } else { b"$vKill;#zz$m0,fffff#00$Z0,0,1" });
        drop(stream);
        guest.says("the debugger left", round + 1);
    }
    let mut client = Raw::connect(guest.port);
    assert!(client.ask("?").starts_with('T'));
    assert_eq!(client.ask("D"), "OK");
}

#[test]
fn a_second_debugger_is_sent_away() {
    let guest = Guest::start("demo --gdb-wait");
    let mut first = Raw::connect(guest.port);
    for program in gdbs() {
        let told = gdb(&program, guest.port, &["info threads"]);
        assert!(told.contains("another debugger is attached"), "{told}");
    }
    if let Some(program) = lldb() {
        // It shows no words of a server's, but does not wait.
        let told = lldb_session(&program, &format!("gdb-remote {}", guest.port), &[]);
        assert!(told.contains("error: Connection shut down by remote side"), "{told}");
    }
    assert!(first.ask("?").starts_with("T05"));
}

#[test]
fn kill_ends_the_run() {
    for program in gdbs() {
        let mut guest = Guest::start("demo --gdb-wait");
        gdb(&program, guest.port, &["kill"]);
        assert_eq!(guest.ended(), Some(0));
    }
}

/// The hashes of a run's closing line.
fn hashes(console: &str) -> Vec<String> {
    let line = console.lines().rev().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{console}"));
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    ["ticks", "memory_hash", "schedule_hash", "console_hash"].iter().map(|key| json[key].to_string()).collect()
}

/// A run that ends by itself.
const SHORT: &str = "demo --seed 5 --until time=0.5s --json";

/// Its hashes where nobody looks.
fn undisturbed() -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
    let output = command.args(SHORT.split_whitespace()).stdin(Stdio::null()).output().unwrap();
    hashes(&String::from_utf8_lossy(&output.stdout))
}

/// Waits for the end of the run that somebody looked at; checks that it was the same.
fn is_the_same(mut guest: Guest, undisturbed: &[String], session: &str) {
    assert_eq!(guest.ended(), Some(0));
    let end = in_time("the closing line", || Some(guest.console()).filter(|text| text.contains("\"ticks\"")));
    assert_eq!(hashes(&end), undisturbed, "{session}");
}

#[test]
fn a_run_is_the_same_with_a_debugger_that_stops_and_steps_it() {
    let undisturbed = undisturbed();
    for program in gdbs() {
        let guest = Guest::start(&format!("{SHORT} --gdb-wait"));
        let session = gdb(
            &program,
            guest.port,
            &[
                "break __schedule",
                "continue",
                "continue",
                "bt",
                "next",
                "next",
                "step",
                "stepi",
                "info threads",
                "delete",
                "watch jiffies_64",
                "continue",
                "continue",
                "delete",
                "detach",
            ],
        );
        assert!(session.contains("Old value"), "{session}");
        is_the_same(guest, &undisturbed, &session);
    }
}

#[test]
fn a_run_is_the_same_with_an_lldb_that_stops_and_steps_it() {
    let Some(program) = lldb() else { return };
    let undisturbed = undisturbed();
    for option in ["--gdb", "--lldb"] {
        let guest = Guest::start_for(option, &format!("{SHORT} --gdb-wait"));
        let commands = [
            "breakpoint set --name __schedule",
            "continue",
            "continue",
            "thread backtrace",
            "next",
            "next",
            "step",
            "thread step-inst",
            "thread list",
            "thread step-out",
            "breakpoint delete --force",
            "watchpoint set variable jiffies_64",
            "continue",
            "continue",
            "watchpoint delete --force",
            "detach",
        ];
        let session = lldb_session(&program, &lldb_attaches(option, guest.port), &commands.map(str::to_owned));
        assert!(session.contains("stop reason = watchpoint 1"), "{session}");
        assert!(!session.contains("error: "), "{session}");
        is_the_same(guest, &undisturbed, &session);
    }
}

//! Whole sessions over sockets, also with the real gdb where there is one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wkdb_tracer::RunnerId;

use super::super::{BuildCompanions, Server, ServerEvent, ServerParts};
use super::fake::{Fake, parts};
use crate::inferior::{BreakpointId, Inferior, Resume, Status, StopReason};

/// The longest that anything here may take.
const DEADLINE: Duration = Duration::from_secs(30);

struct Served {
    fake: Fake,
    server: Server,
    events: Vec<ServerEvent>,
}

impl Served {
    fn new(fake: Fake) -> Served {
        let parts = ServerParts { companions: Box::new(BuildCompanions::default()), ..parts() };
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0).to_address(), parts).unwrap();
        Served { fake, server, events: Vec::new() }
    }

    fn port(&self) -> u16 {
        self.server.address().unwrap().port()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        stream
    }

    fn turn(&mut self) {
        let events = self.server.on_ready(&mut self.fake);
        self.events.extend(events);
        for notice in self.fake.notices(Duration::ZERO).unwrap() {
            let events = self.server.on_notice(&notice, &mut self.fake);
            self.events.extend(events);
        }
        std::thread::sleep(Duration::from_millis(1));
    }

    fn until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Served) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            self.turn();
            if let Some(done) = done(self) {
                return done;
            }
            assert!(started.elapsed() < DEADLINE, "{what}: not in time");
        }
    }

    /// Serves until a client has got something that contains `text`; gives all that it got.
    fn hears(&mut self, client: &mut TcpStream, text: &str) -> String {
        let mut heard = String::new();
        self.until(text, |_| {
            let mut buf = [0; 0x1_0000];
            if let Ok(n) = client.read(&mut buf) {
                heard.push_str(&String::from_utf8_lossy(&buf[..n]));
            }
            heard.contains(text).then(|| heard.clone())
        })
    }

    /// Runs gdb on the server; gives what it prints.
    fn gdb(&mut self, commands: &[&str]) -> Option<String> {
        let mut gdb = Command::new("gdb");
        gdb.args(["-batch", "-nx", "-ex", "set pagination off", "-ex", "set confirm off"]);
        gdb.args(["-ex", &format!("target remote localhost:{}", self.port())]);
        for command in commands {
            gdb.args(["-ex", command]);
        }
        gdb.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let Ok(mut child) = gdb.spawn() else {
            let wanted = std::env::var_os("WKDB_TEST_GDBS").is_some();
            assert!(!wanted, "there is no gdb: scripts/test.sh tools installs what the tests drive");
            eprintln!("skipped: there is no gdb on the PATH");
            return None;
        };
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() {
            self.turn();
            if started.elapsed() > DEADLINE {
                child.kill().unwrap();
                panic!("gdb does not end: {commands:?}");
            }
        }
        let output = child.wait_with_output().unwrap();
        Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
    }
}

trait ToAddress {
    fn to_address(self) -> String;
}

impl ToAddress for (Ipv4Addr, u16) {
    fn to_address(self) -> String {
        format!("{}:{}", self.0, self.1)
    }
}

#[test]
fn one_client_is_served_and_a_second_one_is_told_why_not() {
    let mut served = Served::new(Fake::new());
    let mut first = served.connect();
    first.write_all(b"+$qC#b4").unwrap();
    assert!(served.hears(&mut first, "QC1").starts_with('+'));
    let mut second = served.connect();
    second.write_all(b"$qSupported#37").unwrap();
    served.hears(&mut second, "another debugger is attached");
    first.write_all(b"+$qC#b4").unwrap();
    served.hears(&mut first, "QC1");
    let [ServerEvent::Attached(_), ServerEvent::Refused(_)] = served.events[..] else { panic!("{:?}", served.events) };
    // lldb is told by hanging up.
    let mut third = served.connect();
    third.write_all(b"+$QStartNoAckMode#b0").unwrap();
    served.until("it hangs up", |_| match third.read(&mut [0; 64]) {
        Ok(0) => Some(()),
        Ok(_) => panic!("it would wait for more"),
        Err(_) => None,
    });
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind_and_the_guest_goes_on() {
    let mut served = Served::new(Fake::new());
    let mut client = served.connect();
    let address = served.fake.address(0, 2);
    let breakpoint = format!("Z0,{address:x},1");
    client.write_all(&super::super::wire::packet(breakpoint.as_bytes())).unwrap();
    client.write_all(&super::super::wire::packet(b"Z2,100,4")).unwrap();
    served.hears(&mut client, "OK#9a+$OK");
    assert_eq!((served.fake.breakpoints.len(), served.fake.watches.len()), (1, 1));
    // While the machine is stopped.
    drop(client);
    served.until("it goes on", |served| (served.fake.status == Status::Running).then_some(()));
    assert!(served.fake.breakpoints.is_empty() && served.fake.watches.is_empty());
    // And while it runs.
    let mut client = served.connect();
    client.write_all(&super::super::wire::packet(breakpoint.as_bytes())).unwrap();
    client.write_all(&super::super::wire::packet(b"vCont;c")).unwrap();
    served.until("it runs", |served| (served.fake.resumed.len() == 2).then_some(()));
    assert_eq!(served.fake.breakpoints.len(), 1);
    drop(client);
    served.until("it goes on again", |served| (served.fake.resumed.len() == 3).then_some(()));
    assert!(served.fake.breakpoints.is_empty());
    assert_eq!(served.fake.status, Status::Running);
}

#[test]
fn killing_the_guest_is_left_to_the_program() {
    let mut served = Served::new(Fake::new());
    let mut client = served.connect();
    client.write_all(&super::super::wire::packet(b"vKill;1")).unwrap();
    served.until("it is told", |served| {
        matches!(served.events[..], [ServerEvent::Attached(_), ServerEvent::Kill(_)]).then_some(())
    });
    assert!(matches!(served.fake.status, Status::Stopped(_)), "it has not been let go on");
    assert!(!served.server.is_attached());
}

#[test]
fn an_address_that_is_taken_is_an_error_that_says_so() {
    let served = Served::new(Fake::new());
    let taken = served.server.address().unwrap();
    let error = Server::bind(taken, parts()).err().unwrap().to_string();
    assert!(error.contains(&taken.to_string()) && error.contains("port 0"), "{error}");
}

/// Checks that the patterns appear, in this order.
fn assert_order(text: &str, patterns: &[&str]) {
    let mut rest = text;
    for pattern in patterns {
        let Some(at) = rest.find(pattern) else { panic!("no {pattern:?} (in order) in:\n{text}") };
        rest = &rest[at + pattern.len()..];
    }
}

#[test]
fn gdb_attaches_looks_around_and_leaves() {
    let mut served = Served::new(Fake::new());
    let at = |served: &Served, n| format!("{:#x}", served.fake.address(0, n));
    let Some(out) = served.gdb(&[
        "info threads",
        "bt",
        "info registers eip esp",
        "x/4xb 16",
        "set var *(char*)16 = 0x55",
        "x/1xb 16",
        "set $eip = 5",
        "thread 2",
        "p/x $eip",
        "monitor tasks",
        "monitor nonsense",
        "detach",
    ]) else {
        return;
    };
    let (inner, outer) = (at(&served, 5), format!("{:#x}", served.fake.address(1, 1)));
    assert_order(
        &out,
        &[
            "* 1    Thread 1 \"swapper/0/0x1000 @cpu0 running\"",
            "2    Thread 2 \"init/0x1100 @cpu1 waiting on 0x40\"",
            "3    Thread 3 \"kthreadd/0x1200 @cpu0 new\"",
            "#0  ",
            " in inner ()",
            "#1  ",
            " in outer ()",
            "#2  ",
            " in [host] ()",
            &inner,
            "0xff0",
            "0x10\t0x11\t0x12\t0x13",
            "0x55",
            &outer,
            "detached",
        ],
    );
    // What it prints as errors and as the target's words comes in another stream.
    assert_order(&out, &["   1  swapper/0/0x1000", "there is no command `nonsense`"]);
    assert!(out.contains("eip cannot be changed"), "{out}");
    assert_eq!(served.fake.status, Status::Running, "detached, it goes on");
}

#[test]
fn gdb_stops_at_breakpoints_steps_and_watches() {
    let mut fake = Fake::new();
    fake.script.extend([StopReason::Breakpoint(vec![BreakpointId(1)]), StopReason::Step, StopReason::Step]);
    let mut served = Served::new(fake);
    let break_here = format!("break *{:#x}", served.fake.address(0, 5));
    let Some(out) = served.gdb(&[&break_here, "continue", "stepi", "watch *(long long*)0x100", "info breakpoints"])
    else {
        return;
    };
    assert_order(&out, &["Breakpoint 1 at", "Breakpoint 1, ", "Hardware watchpoint 2", "breakpoint already hit"]);
    let steps: Vec<RunnerId> =
        served.fake.resumed.iter().filter_map(|resume| Some(resume.step.as_ref()?.runner)).collect();
    assert_eq!(steps.first(), Some(&RunnerId(0)));
}

#[test]
fn gdb_interrupts_a_running_guest() {
    let mut served = Served::new(Fake::new());
    served.fake.resume(&Resume::go()).unwrap();
    // A batch gdb interrupts by itself only by attaching.
    let Some(out) = served.gdb(&["p $eip", "info threads", "kill"]) else { return };
    assert_order(&out, &["$1 = ", "Thread 1", "killed"]);
    assert!(matches!(served.events.last(), Some(ServerEvent::Kill(_))), "{:?}", served.events);
}

#[test]
fn the_script_shows_wasm_and_the_machine() {
    let mut served = Served::new(Fake::new());
    let script = tempfile::Builder::new().suffix(".py").tempfile().unwrap();
    std::fs::write(script.path(), super::super::GDB_SCRIPT).unwrap();
    let source = format!("source {}", script.path().display());
    let Some(out) = served.gdb(&[&source, "disassemble outer", "x/2i $pc", "info wkdb"]) else { return };
    assert_order(
        &out,
        &[
            "Dump of assembler code for function outer",
            "local.get 0",
            "call 0 <inner>",
            "drop",
            "end",
            "=> ",
            "local.get 1",
            "local.get 0",
            "Machine",
            "tick 100, guest time 0.005000",
            "CPUs",
            "cpu0: swapper/0",
            "Tasks",
            "3  kthreadd",
        ],
    );
}

//! What commands of `monitor` tell by themselves, and where they look.

use std::cell::RefCell;
use std::io::Read;
use std::net::TcpStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use wkdb_tracer::{Event, RunnerId};

use super::super::wire::{Framer, Inbound, packet};
use super::super::{MonitorCommands, Remark, Server, ServerParts};
use super::fake::{Fake, parts};
use crate::inferior::{Inferior, InferiorError, Notice, Status, StopReason};

/// What the server did with its commands.
#[derive(Debug, Default)]
struct Seen {
    looked_at: Vec<RunnerId>,
    cleared: usize,
    set: bool,
    /// Commands that were given up.
    given_up: usize,
}

/// Tells every notice, and lets the machine go on from stops for watches. `long` takes until it is given up.
struct Teller(Rc<RefCell<Seen>>, Box<dyn FnMut() -> bool>);

impl MonitorCommands for Teller {
    fn run(&mut self, _: &mut dyn Inferior, command: &str) -> String {
        self.0.borrow_mut().set = true;
        if command == "long" {
            let began = Instant::now();
            while !(self.1)() {
                assert!(began.elapsed() < Duration::from_secs(20), "nobody gives it up");
                std::thread::sleep(Duration::from_millis(1));
            }
            self.0.borrow_mut().given_up += 1;
        }
        format!("ran {command}\n")
    }

    fn give_up_when(&mut self, asked: Box<dyn FnMut() -> bool>) {
        self.1 = asked;
    }

    fn look_at(&mut self, runner: RunnerId) {
        self.0.borrow_mut().looked_at.push(runner);
    }

    fn on_notice(&mut self, _: &mut dyn Inferior, notice: &Notice) -> Remark {
        match notice {
            Notice::Event(event) => match &**event {
                Event::Complaint { text, .. } => Remark { text: text.clone(), goes_on: false },
                _ => Remark::default(),
            },
            Notice::Stopped(stop) if matches!(stop.reason, StopReason::Watch(_)) => {
                Remark { text: "passed\n".into(), goes_on: true }
            }
            _ => Remark::default(),
        }
    }

    fn clear(&mut self, _: &mut dyn Inferior) -> Result<(), InferiorError> {
        let mut seen = self.0.borrow_mut();
        seen.cleared += 1;
        seen.set = false;
        Ok(())
    }

    fn is_clear(&self) -> bool {
        !self.0.borrow().set
    }
}

struct Session {
    fake: Fake,
    server: Server,
    client: TcpStream,
    seen: Rc<RefCell<Seen>>,
    framer: Framer,
}

impl Session {
    fn new(fake: Fake) -> Session {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let parts = ServerParts { monitor: Box::new(Teller(Rc::clone(&seen), Box::new(|| false))), ..parts() };
        let server = Server::bind("127.0.0.1:0", parts).unwrap();
        let client = TcpStream::connect(server.address().unwrap()).unwrap();
        client.set_nonblocking(true).unwrap();
        Session { fake, server, client, seen, framer: Framer::default() }
    }

    fn notice(&mut self, notice: &Notice) {
        self.server.on_notice(notice, &mut self.fake);
    }

    fn complain(&mut self, text: &str) {
        self.notice(&Notice::Event(Box::new(Event::Complaint { context: None, text: text.into() })));
    }

    /// Serves until as many packets have come; gives them, messages as text.
    fn hear(&mut self, count: usize) -> Vec<String> {
        let began = Instant::now();
        let mut heard = Vec::new();
        while heard.len() < count {
            assert!(began.elapsed() < Duration::from_secs(20), "no answer: {heard:?}");
            self.server.on_ready(&mut self.fake);
            for notice in self.fake.notices(Duration::ZERO).unwrap() {
                self.notice(&notice);
            }
            let mut buf = [0; 0x1_0000];
            let Ok(n) = self.client.read(&mut buf) else { continue };
            for inbound in self.framer.push(&buf[..n]) {
                let Inbound::Packet(body) = inbound else { continue };
                heard.push(match body.strip_prefix(b"O").filter(|rest| !rest.is_empty() && body != b"OK") {
                    Some(hex) => {
                        let digit = |n: usize| char::from(hex[n]).to_digit(16).unwrap() as u8;
                        let text = (0..hex.len() / 2).map(|n| digit(2 * n) << 4 | digit(2 * n + 1)).collect();
                        format!("O {}", String::from_utf8(text).unwrap())
                    }
                    None => String::from_utf8(body).unwrap(),
                });
            }
        }
        heard
    }

    fn send(&mut self, body: &str) {
        use std::io::Write as _;
        self.client.write_all(&packet(body.as_bytes())).unwrap();
    }
}

fn hex(text: &str) -> String {
    super::super::wire::hex(text.as_bytes())
}

#[test]
fn messages_come_while_the_client_waits_and_only_then() {
    let mut session = Session::new(Fake::new());
    session.send("qC");
    session.hear(1);
    session.complain("nobody waits\n");
    session.send("vCont;c");
    session.send("qC");
    session.hear(1);
    session.complain("somebody waits\n");
    assert_eq!(session.hear(1), ["O somebody waits\n"]);
}

#[test]
fn a_stop_for_a_command_alone_is_told_and_passed() {
    let mut fake = Fake::new();
    fake.script.push_back(StopReason::Watch(Vec::new()));
    let mut session = Session::new(fake);
    session.send("vCont;c");
    assert_eq!(session.hear(1), ["O passed\n"]);
    assert_eq!(session.fake.status, Status::Running);
    assert_eq!(session.fake.resumed.len(), 2);
    assert_eq!(session.fake.resumed[0], session.fake.resumed[1]);
}

#[test]
fn a_step_that_ends_in_such_a_stop_is_done() {
    let mut fake = Fake::new();
    fake.script.push_back(StopReason::Watch(Vec::new()));
    let mut session = Session::new(fake);
    session.send("vCont;s:1;c");
    let heard = session.hear(2);
    assert_eq!(heard[0], "O passed\n");
    assert!(heard[1].starts_with("T05thread:1;"), "{heard:?}");
}

#[test]
fn commands_look_where_the_client_looks() {
    let mut session = Session::new(Fake::new());
    for (select, runner) in [("Hg2", 1), ("Hg1", 0)] {
        session.send(select);
        session.send(&format!("qRcmd,{}", hex("bt")));
        let heard = session.hear(3);
        assert!(heard.contains(&"O ran bt\n".to_owned()), "{heard:?}");
        assert_eq!(session.seen.borrow().looked_at.last(), Some(&RunnerId(runner)));
    }
}

#[test]
fn what_commands_set_is_taken_away_with_the_client() {
    let mut session = Session::new(Fake::new());
    session.send(&format!("qRcmd,{}", hex("watch")));
    session.hear(2);
    // It runs when the client is lost: it has to stop for this.
    session.send("vCont;c");
    session.send("qC");
    session.hear(1);
    session.client.shutdown(std::net::Shutdown::Both).unwrap();
    let began = Instant::now();
    while session.seen.borrow().cleared == 0 || session.fake.status != Status::Running {
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", session.fake.status);
        session.server.on_ready(&mut session.fake);
        for notice in session.fake.notices(Duration::ZERO).unwrap() {
            session.notice(&notice);
        }
    }
    assert_eq!(session.seen.borrow().cleared, 1);
    assert_eq!(session.fake.resumed.len(), 2, "and it goes on");
}

#[test]
fn a_client_that_does_not_read_gets_fewer_messages_and_hears_of_it() {
    let mut session = Session::new(Fake::new());
    session.send("vCont;c");
    session.send("qC");
    session.hear(1);
    let line = "x".repeat(1 << 12);
    for _ in 0..4000 {
        session.complain(&line);
    }
    let mut heard = session.hear(200);
    // With all of it read, there is room again.
    let mut told = false;
    for _ in 0..2000 {
        session.complain("again\n");
        heard.extend(session.hear(1));
        told |= heard.iter().any(|text| text.contains("messages were not shown"));
        if told {
            break;
        }
    }
    assert!(told);
    assert!(heard.len() < 4000);
}

/// Sends something a while after the server has begun to answer.
fn later(client: &TcpStream, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    use std::io::Write as _;
    let mut client = client.try_clone().unwrap();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        client.write_all(&bytes).unwrap();
    })
}

#[test]
fn a_command_that_takes_long_is_given_up_at_an_interrupt_and_answered() {
    let mut session = Session::new(Fake::new());
    session.send("qC");
    session.hear(1);
    // Behind it, and read along with it; or while it runs.
    for at_once in [true, false] {
        let long = packet(format!("qRcmd,{}", hex("long")).as_bytes());
        let sender = match at_once {
            true => later(&session.client, [&long[..], b"\x03"].concat()),
            false => {
                session.send(&format!("qRcmd,{}", hex("long")));
                later(&session.client, b"\x03".to_vec())
            }
        };
        assert_eq!(session.hear(2), ["O ran long\n", "OK"]);
        sender.join().unwrap();
    }
    assert_eq!(session.seen.borrow().given_up, 2);
}

#[test]
fn the_answer_to_a_command_that_nobody_waits_for_any_more_is_not_taken_for_another() {
    let mut session = Session::new(Fake::new());
    session.send("qC");
    let first = session.hear(1);
    session.send(&format!("qRcmd,{}", hex("long")));
    // gdb has said "Quit", and asks something else.
    let sender = later(&session.client, packet(b"qC"));
    assert_eq!(session.hear(1), first);
    sender.join().unwrap();
    session.send(&format!("qRcmd,{}", hex("bt")));
    assert_eq!(session.hear(2), ["O ran bt\n", "OK"], "the next one is answered as ever");
    assert_eq!(session.seen.borrow().given_up, 1);
}

#[test]
fn a_command_that_takes_long_is_given_up_when_the_client_is_gone() {
    let mut session = Session::new(Fake::new());
    session.send("qC");
    session.hear(1);
    session.send(&format!("qRcmd,{}", hex("long")));
    session.client.shutdown(std::net::Shutdown::Both).unwrap();
    let began = Instant::now();
    while session.server.is_attached() {
        assert!(began.elapsed() < Duration::from_secs(20), "it is not noticed");
        session.server.on_ready(&mut session.fake);
    }
    assert_eq!(session.seen.borrow().given_up, 1);
}

/// gdb waits for an acknowledgement before it takes a packet for an answer: it has it before the command is done, and where
/// it sends the packet again all the same, that is not run twice.
#[test]
fn a_command_that_takes_long_is_acknowledged_at_once_and_run_once() {
    let mut session = Session::new(Fake::new());
    session.send("qC");
    session.hear(1);
    let long = packet(format!("qRcmd,{}", hex("long")).as_bytes());
    // Only the acknowledgement has somebody interrupt it.
    let mut client = session.client.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        use std::io::Write as _;
        let began = Instant::now();
        let mut byte = [0];
        while !matches!(client.peek(&mut byte), Ok(1)) {
            assert!(began.elapsed() < Duration::from_secs(20), "it is not acknowledged");
            std::thread::sleep(Duration::from_millis(1));
        }
        client.write_all(b"\x03").unwrap();
        byte
    });
    use std::io::Write as _;
    session.client.write_all(&[&long[..], &long[..]].concat()).unwrap();
    let began = Instant::now();
    while session.seen.borrow().given_up == 0 {
        assert!(began.elapsed() < Duration::from_secs(20), "it is not given up");
        session.server.on_ready(&mut session.fake);
    }
    assert_eq!(sender.join().unwrap(), [b'+']);
    assert_eq!(session.hear(2), ["O ran long\n", "OK"]);
    session.send("qC");
    session.hear(1);
    assert_eq!(session.seen.borrow().given_up, 1);
}

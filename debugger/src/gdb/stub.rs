//! One packet at a time through gdbstub.
//!
//! gdbstub's state machine is made for a target that it may hold for as long as a connection lasts, and it is spent when
//! it meets a packet that it cannot parse. Here the inferior is lent for one packet, and a packet is all that a bad one
//! may cost. So every packet gets a state machine of its own, which is cheap; what lasts, the [session](super::front)
//! remembers.

use std::convert::Infallible;

use gdbstub::common::Tid;
use gdbstub::conn::Connection;
use gdbstub::stub::GdbStub;
use gdbstub::stub::state_machine::GdbStubStateMachine;

use super::target::Face;
use super::wire::{Framer, Inbound, MAX_PACKET, number, packet};

/// Where gdbstub writes to.
struct Sink<'a>(&'a mut Vec<u8>);

impl Connection for Sink<'_> {
    type Error = Infallible;

    fn write(&mut self, byte: u8) -> Result<(), Infallible> {
        self.0.push(byte);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// gdbstub's working space, kept from packet to packet.
pub(super) struct Stub {
    buffer: Vec<u8>,
    out: Vec<u8>,
}

impl Stub {
    pub(super) fn new() -> Stub {
        // A packet has four bytes around its body.
        Stub { buffer: vec![0; MAX_PACKET + 8], out: Vec::new() }
    }

    /// Answers a packet for the thread that the client has selected: bodies of replies; none if gdbstub cannot make
    /// sense of it. What the client wants to happen is in `face` afterwards.
    pub(super) fn answer(&mut self, face: &mut Face<'_>, selected: Tid, body: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.out.clear();
        let room = room(body).min(self.buffer.len());
        let builder = GdbStub::builder(Sink(&mut self.out)).with_packet_buffer(&mut self.buffer[..room]);
        let mut machine = builder.build().ok()?.run_state_machine(face).ok()?;
        let preludes = [format!("Hg{:x}", selected.get()), format!("Hc{:x}", selected.get())];
        for prelude in &preludes {
            machine = feed(machine, face, prelude.as_bytes())?;
        }
        let understood = feed(machine, face, body).is_some();
        let mut replies = Framer::default().push(&self.out).into_iter();
        // Those of the preludes.
        replies.nth(preludes.len() - 1);
        let replies = replies.filter_map(|reply| if let Inbound::Packet(body) = reply { Some(body) } else { None });
        understood.then(|| replies.collect())
    }
}

/// How long a buffer gdbstub needs for a packet: it looks through all of it for every packet. Objects come in pieces as
/// long as it is; memory is read into what the packet leaves of it.
fn room(body: &[u8]) -> usize {
    /// For what is around a body, and a register.
    const MARGIN: usize = 0x80;
    let object = body.starts_with(b"vFile") || body.first() == Some(&b'q');
    let read = body.strip_prefix(b"m").map(|range| range.rsplit(|&byte| byte == b',').next().and_then(number));
    match read {
        _ if object => usize::MAX,
        Some(len) => len.and_then(|len| usize::try_from(len).ok()).unwrap_or(usize::MAX).saturating_add(MARGIN),
        None => body.len().saturating_add(MARGIN),
    }
}

type Machine<'s, 'f, 'o> = GdbStubStateMachine<'s, Face<'f>, Sink<'o>>;

fn feed<'s, 'f, 'o>(mut machine: Machine<'s, 'f, 'o>, face: &mut Face<'f>, body: &[u8]) -> Option<Machine<'s, 'f, 'o>> {
    for byte in packet(body) {
        machine = match machine {
            GdbStubStateMachine::Idle(idle) => idle.incoming_data(face, byte).ok()?,
            GdbStubStateMachine::Running(running) => running.incoming_data(face, byte).ok()?,
            ended => return Some(ended),
        };
    }
    Some(machine)
}

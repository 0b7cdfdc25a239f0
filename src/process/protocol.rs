//! What supervisor and machine process say to each other: length-prefixed postcard messages on a socket pair.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wkdb_debugger::inferior::Stop;
use wkdb_tracer::recording::{Entry, Position};
use wkdb_tracer::trace::Record;
use wkdb_tracer::{Event, ModuleId, Outcome, Totals};

use crate::machine::{Answered, MachineConfig, Request};

/// Both sides are the same binary, so a mismatch means that it was replaced while it ran.
pub const VERSION: u32 = 5;

/// The longest message taken, in bytes: above any module, below what would exhaust memory.
const MAX_MESSAGE: u32 = 1 << 30;

/// For messages of up to so many bytes there is room at once.
const MAX_TRUSTED: u32 = 1 << 16;

/// From the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToMachine {
    /// Make a machine and run it. The first message, and only that.
    Start {
        /// [`VERSION`].
        version: u32,
        /// The machine.
        config: Box<MachineConfig>,
    },
    /// Bytes typed at the console.
    Input(Vec<u8>),
    /// End the run.
    Quit,
    /// A debugger's question or order.
    Ask(u64, Request),
}

/// From the machine process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromMachine {
    /// The machine could not be made. The last message.
    Failed(String),
    /// The guest printed.
    Console(Vec<u8>),
    /// Something worth telling happened.
    Event(Box<Event>),
    /// The bytes of a user image that the next message speaks of.
    Module(ModuleId, Vec<u8>),
    /// Of a run that is recorded: the place at which all that follows happened or came.
    At(Position),
    /// Of a run that is recorded: what came from outside, or a check.
    Took(Entry),
    /// The run has ended. The last message, but for answers to a debugger.
    Ended(Box<Outcome>, Box<Totals>),
    /// The machine stopped for the debugger.
    Stopped(Box<Stop>),
    /// To the [`ToMachine::Ask`] with this number.
    Answer(u64, Answered),
    /// To the [`ToMachine::Ask`] of a copy: there is one. The next byte on the socket brings the copy's own socket with it.
    Forked {
        /// The copy's process.
        pid: u32,
    },
    /// Of a run that is traced: what happened.
    Trace(Box<Record>),
}

/// Writes one message.
///
/// # Errors
///
/// As the stream's.
pub fn send(stream: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    send_all(stream, std::slice::from_ref(message))
}

/// Writes messages, in one piece: the other side is woken once.
///
/// # Errors
///
/// As the stream's.
pub fn send_all(stream: &mut impl Write, messages: &[impl Serialize]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for message in messages {
        encode(message, &mut bytes)?;
    }
    stream.write_all(&bytes)
}

fn encode(message: &impl Serialize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let body = postcard::to_stdvec(message).map_err(io::Error::other)?;
    let len = u32::try_from(body.len()).ok().filter(|&len| len <= MAX_MESSAGE);
    let len = len.ok_or_else(|| io::Error::other("message too long"))?;
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&body);
    Ok(())
}

/// Reads one message; none where the other side has closed between messages.
///
/// # Errors
///
/// As the stream's; also `InvalidData` for what is not a message.
pub fn receive<T: DeserializeOwned>(stream: &mut impl Read) -> io::Result<Option<T>> {
    let mut len = [0; 4];
    match stream.read(&mut len)? {
        0 => return Ok(None),
        n => stream.read_exact(&mut len[n..])?,
    }
    let len = u32::from_le_bytes(len);
    if len > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {len} bytes")));
    }
    // What is longer may not be true.
    let mut body = Vec::with_capacity(len.min(MAX_TRUSTED) as usize);
    if stream.take(u64::from(len)).read_to_end(&mut body)? < len as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    postcard::from_bytes(&body).map(Some).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_through_and_garbage_does_not() {
        let mut wire = Vec::new();
        send(&mut wire, &ToMachine::Input(b"ls\n".to_vec())).unwrap();
        send(&mut wire, &ToMachine::Quit).unwrap();
        let mut reader = wire.as_slice();
        assert_eq!(receive(&mut reader).unwrap(), Some(ToMachine::Input(b"ls\n".to_vec())));
        assert_eq!(receive(&mut reader).unwrap(), Some(ToMachine::Quit));
        assert_eq!(receive::<ToMachine>(&mut reader).unwrap(), None);
        let cut = receive::<ToMachine>(&mut &wire[..6]).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        assert!(receive::<ToMachine>(&mut &[1, 0, 0, 0, 99][..]).is_err(), "no such message");
        assert!(receive::<ToMachine>(&mut &[0xff; 64][..]).is_err(), "too long");
    }
}

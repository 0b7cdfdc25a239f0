//! Whether a client still waits for the answer to a command of `monitor` that takes long.
//!
//! ```text
//!  Ctrl-C at lldb and others:  an interrupt byte comes                       ─▶ the answer is what was found until then
//!  Ctrl-C at gdb:              "Quit", and then its next packet comes, or not ─▶ nobody wants the answer any more;
//!                              one that is sent all the same is thrown away: gdb waits for an acknowledgement next
//!  it is killed:               the connection is gone                        ─▶ the same
//! ```
//!
//! A client has one packet on its way at a time: what comes while it waits for an answer is not said by one that waits.

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::rc::Rc;

use super::wire::Inbound;

/// The interrupt byte.
const INTERRUPT: u8 = 3;

/// What a client has said while it was not listened to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Said {
    /// Nothing that matters.
    #[default]
    Nothing,
    /// It wants to be answered now.
    Interrupt,
    /// It goes on with something else, or is gone.
    MovedOn,
}

/// What the first bytes mean that wait in a client's socket.
fn said(bytes: &[u8]) -> Said {
    // It acknowledges what it was sent before.
    match bytes.iter().find(|byte| !matches!(byte, b'+' | b'-')) {
        None => Said::Nothing,
        Some(&INTERRUPT) => Said::Interrupt,
        Some(_) => Said::MovedOn,
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Attention {
    /// Said behind the packet that is answered, and read along with it.
    behind: Rc<Cell<Said>>,
    /// The client's socket.
    stream: Rc<RefCell<Option<TcpStream>>>,
    moved_on: Rc<Cell<bool>>,
}

impl Attention {
    /// This was read along with the packet that is to be answered, and comes behind it; or is that packet, sent again.
    pub(super) fn behind(&self, answered: &Inbound, rest: &[Inbound]) {
        self.behind.set(match rest.iter().find(|inbound| !matches!(inbound, Inbound::Nack) && *inbound != answered) {
            None => Said::Nothing,
            Some(Inbound::Interrupt) => Said::Interrupt,
            Some(_) => Said::MovedOn,
        });
    }

    /// What has to be asked while a command runs: whether it is to be given up. `stream` does not block.
    pub(super) fn ask(&self, stream: TcpStream) -> Box<dyn FnMut() -> bool> {
        let Attention { behind, moved_on, stream: own } = self.clone();
        *own.borrow_mut() = stream.try_clone().ok();
        Box::new(move || {
            let mut buffer = [0; 64];
            let said = match stream.peek(&mut buffer) {
                _ if behind.get() != Said::Nothing => behind.get(),
                Ok(0) => Said::MovedOn,
                Ok(len) => said(&buffer[..len]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Said::Nothing,
                Err(_) => Said::MovedOn,
            };
            moved_on.set(moved_on.get() | (said == Said::MovedOn));
            said != Said::Nothing
        })
    }

    /// Acknowledges a packet at once; whether that was possible.
    pub(super) fn acknowledge(&self) -> bool {
        self.stream.borrow_mut().as_mut().is_some_and(|stream| stream.write(b"+").is_ok_and(|written| written == 1))
    }

    /// The client is gone.
    pub(super) fn forget(&self) {
        *self.stream.borrow_mut() = None;
    }

    /// Whether nobody wants the answer of the command that has just run.
    pub(super) fn has_moved_on(&self) -> bool {
        self.moved_on.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_say_nothing() {
        assert_eq!(said(b""), Said::Nothing);
        assert_eq!(said(b"++-"), Said::Nothing);
        assert_eq!(said(b"+\x03"), Said::Interrupt);
        assert_eq!(said(b"$g#67"), Said::MovedOn);
        assert_eq!(said(b"+$m0,4#fd\x03"), Said::MovedOn);
    }
}

//! A machine process that somebody listens to.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::branch::Fork;
use super::live::Link;
use crate::process::MachineProcess;
use crate::process::protocol::{FromMachine, ToMachine};

/// Who listens.
pub type Tap = Box<dyn FnMut(&FromMachine) + Send>;

/// A link that shows every message to somebody else, before it is acted upon. Nobody listens to copies of the machine.
pub struct Tapped {
    process: MachineProcess,
    tap: Option<Tap>,
}

impl Tapped {
    /// Has `tap` hear what `process` says.
    pub fn new(process: MachineProcess, tap: impl FnMut(&FromMachine) + Send + 'static) -> Self {
        Tapped { process, tap: Some(Box::new(tap)) }
    }

    /// Nobody hears what `process` says, so far.
    pub fn silent(process: MachineProcess) -> Self {
        Tapped { process, tap: None }
    }

    /// Has somebody else listen from now on, or nobody; gives who has listened.
    pub fn listen(&mut self, tap: Option<Tap>) -> Option<Tap> {
        std::mem::replace(&mut self.tap, tap)
    }

    /// The process.
    pub fn process(&self) -> &MachineProcess {
        &self.process
    }
}

impl AsFd for Tapped {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl Link for Tapped {
    fn send(&mut self, message: &ToMachine) -> io::Result<()> {
        Link::send(&mut self.process, message)
    }

    fn send_all(&mut self, messages: &[ToMachine]) -> io::Result<()> {
        Link::send_all(&mut self.process, messages)
    }

    fn receive(&mut self, wait: Option<Duration>) -> io::Result<Option<FromMachine>> {
        let message = Link::receive(&mut self.process, wait)?;
        if let (Some(message), Some(tap)) = (&message, &mut self.tap) {
            tap(message);
        }
        Ok(message)
    }
}

impl Fork for Tapped {
    fn adopt(&mut self, pid: u32) -> io::Result<Self> {
        self.process.adopt(pid).map(Tapped::silent)
    }

    fn private_memory(&self) -> u64 {
        self.process.private_memory()
    }
}

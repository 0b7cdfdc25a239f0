//! A machine process that somebody listens to.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::live::Link;
use crate::process::MachineProcess;
use crate::process::protocol::{FromMachine, ToMachine};

/// A link that shows every message to somebody else, before it is acted upon.
pub struct Tapped {
    process: MachineProcess,
    tap: Box<dyn FnMut(&FromMachine) + Send>,
}

impl Tapped {
    /// Has `tap` hear what `process` says.
    pub fn new(process: MachineProcess, tap: impl FnMut(&FromMachine) + Send + 'static) -> Self {
        Tapped { process, tap: Box::new(tap) }
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
        if let Some(message) = &message {
            (self.tap)(message);
        }
        Ok(message)
    }
}

//! Copies of a machine process: what a session with history is made of.

use std::io;

use wkdb_debugger::inferior::{Inferior, InferiorError, Result, Status};
use wkdb_debugger::timeline::{Branch, CodeMark, Footprint, Surveyed};
use wkdb_tracer::CodeAddress;

use super::Live;
use super::live::{Heard, Link, confused};
use crate::machine::{Answer, Request};
use crate::process::MachineProcess;

/// A way to a machine that can be copied.
pub trait Fork: Link + Send + Sized + 'static {
    /// Takes over the copy that the machine has just told of. Nobody else listens to it.
    ///
    /// # Errors
    /// It is gone already.
    fn adopt(&mut self, pid: u32) -> io::Result<Self>;

    /// Bytes of memory that the machine does not share with another one; 0 if it is gone.
    fn private_memory(&self) -> u64;
}

impl Fork for MachineProcess {
    fn adopt(&mut self, pid: u32) -> io::Result<Self> {
        MachineProcess::adopt(self, pid)
    }

    fn private_memory(&self) -> u64 {
        MachineProcess::private_memory(self)
    }
}

impl<L: Fork> Branch for Live<L> {
    fn fork(&mut self) -> Result<Self> {
        if !matches!(self.status(), Status::Stopped(_)) {
            return Err(InferiorError::Running);
        }
        let asked = self.begin(Request::Fork)?;
        let pid = loop {
            match self.hear(None)? {
                Heard::Forked(pid) => break pid,
                Heard::Answer(id, Err(error)) if id == asked => return Err(error),
                _ => {}
            }
        };
        let copy = self.link_mut().adopt(pid).map_err(|error| InferiorError::Gone(error.to_string()))?;
        Ok(self.copied(copy))
    }

    fn cost(&self) -> u64 {
        self.link().private_memory()
    }

    fn follow(&mut self, _: &mut Self) -> Result<()> {
        self.catch_up(None)
    }

    fn footprint(&mut self, anew: bool) -> Result<Option<Footprint>> {
        match self.ask(Request::Footprint { anew })? {
            Answer::Footprint(footprint) => Ok(footprint),
            other => Err(confused(&other)),
        }
    }

    fn mark(&mut self, address: CodeAddress) -> Result<Option<CodeMark>> {
        match self.ask(Request::Mark(address)) {
            Ok(Answer::Mark(mark)) => Ok(Some(mark)),
            Ok(other) => Err(confused(&other)),
            // In a module that is not there, which nothing is known of.
            Err(InferiorError::NoCode(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn survey(&mut self, keep: Option<usize>) -> Result<Option<Surveyed>> {
        match self.ask(Request::Survey(keep))? {
            Answer::Surveyed(surveyed) => Ok(Some(surveyed)),
            other => Err(confused(&other)),
        }
    }
}

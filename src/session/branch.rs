//! Copies of a machine process: what a session with history is made of.

use wkdb_debugger::inferior::{Inferior, InferiorError, Result, Status};
use wkdb_debugger::timeline::Branch;

use super::Live;
use super::live::Heard;
use crate::machine::Request;

impl Branch for Live {
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

    /// Nothing is to be done: input is taken between two slices, and a session's history begins anew with it.
    fn follow(&mut self, _: &mut Self) -> Result<()> {
        Ok(())
    }
}

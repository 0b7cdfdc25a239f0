//! A run of two machines, as an [`Inferior`]: the one that leads.

use std::sync::Arc;
use std::time::Duration;

use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, FrameState, History, Inferior, InferiorError, Loads, Notice, Result, Resume, Status,
    TaskInfo, WatchId, WatchSpec, Who,
};
use wkdb_tracer::{Frame, ModuleId, RunnerId, WasmValue};

use super::{Relay, Run};

static RUNNING: Status = Status::Running;

impl Relay {
    /// The leader, to be asked.
    fn asked(&mut self) -> &mut dyn Inferior {
        self.leader.inferior_mut()
    }

    /// The leader, to be changed or told what to do.
    fn told(&mut self) -> Result<&mut dyn Inferior> {
        match self.status() {
            Status::Running => Err(InferiorError::Running),
            Status::Stopped(_) | Status::Ended(..) => Ok(self.leader.inferior_mut()),
        }
    }
}

impl Inferior for Relay {
    fn status(&self) -> &Status {
        match self.leader.inferior().status() {
            Status::Stopped(_) if self.is_passing() => &RUNNING,
            // Nobody stopped it but who wants to pass the lead on.
            Status::Stopped(_) if matches!(self.leader, Run::Fast(_)) && !self.bare => &RUNNING,
            status => status,
        }
    }

    fn notices(&mut self, wait: Duration) -> Result<Vec<Notice>> {
        let wait = if self.notices.is_empty() { wait } else { Duration::ZERO };
        self.hear(wait)?;
        Ok(self.notices.drain(..).collect())
    }

    fn module(&mut self, module: ModuleId) -> Result<Arc<[u8]>> {
        self.asked().module(module)
    }

    fn module_count(&mut self) -> Result<u32> {
        self.asked().module_count()
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        self.asked().tasks()
    }

    fn loads(&mut self) -> Result<Loads> {
        self.asked().loads()
    }

    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>> {
        self.asked().frames(runner)
    }

    fn frame_states(&mut self, runner: RunnerId) -> Result<Vec<FrameState>> {
        self.asked().frame_states(runner)
    }

    fn globals(&mut self, runner: RunnerId, module: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        self.asked().globals(runner, module)
    }

    fn stack_pointer(&mut self, runner: RunnerId) -> Result<u64> {
        self.asked().stack_pointer(runner)
    }

    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>> {
        self.asked().read_memory(address, len)
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        self.told()?.write_memory(address, bytes)
    }

    fn set_global(&mut self, runner: RunnerId, module: ModuleId, global: u32, value: WasmValue) -> Result<()> {
        self.told()?.set_global(runner, module, global, value)
    }

    fn set_local(&mut self, runner: RunnerId, depth: u32, local: u32, value: WasmValue) -> Result<()> {
        self.told()?.set_local(runner, depth, local, value)?;
        self.altered = true;
        Ok(())
    }

    fn insert_breakpoint(&mut self, spec: &BreakpointSpec) -> Result<BreakpointId> {
        let id = self.told()?.insert_breakpoint(spec)?;
        self.points.breakpoints.insert(id);
        Ok(id)
    }

    fn remove_breakpoint(&mut self, id: BreakpointId) -> Result<()> {
        self.told()?.remove_breakpoint(id)?;
        self.points.breakpoints.remove(&id);
        Ok(())
    }

    fn insert_watch(&mut self, spec: &WatchSpec) -> Result<WatchId> {
        let id = self.told()?.insert_watch(spec)?;
        self.points.watches.insert(id);
        Ok(id)
    }

    fn remove_watch(&mut self, id: WatchId) -> Result<()> {
        self.told()?.remove_watch(id)?;
        self.points.watches.remove(&id);
        Ok(())
    }

    fn stop_at_loads(&mut self, stop: bool) -> Result<()> {
        // A fast machine stops for nobody: the one for debugging is told when it takes over.
        self.stops_at_loads = stop;
        match &mut self.leader {
            Run::Fast(_) => Ok(()),
            Run::Debug(machine) => machine.stop_at_loads(stop),
        }
    }

    fn resume(&mut self, resume: &Resume) -> Result<()> {
        self.told()?.resume(resume)?;
        self.altered |= matches!(resume.who, Who::Only(_));
        match self.stays_in_debug(resume) {
            true => Ok(()),
            false => self.chase(),
        }
    }

    fn interrupt(&mut self) -> Result<()> {
        match &self.leader {
            Run::Fast(_) if self.pass.is_some() || self.halting || self.bare => self.asked().interrupt(),
            Run::Fast(_) => self.halt(),
            Run::Debug(_) => {
                let waits = self.is_passing();
                self.give_up_pass()?;
                if waits { Ok(()) } else { self.asked().interrupt() }
            }
        }
    }

    fn type_in(&mut self, bytes: &[u8]) -> Result<()> {
        match self.is_passing() {
            true => Err(InferiorError::Running),
            false => self.asked().type_in(bytes),
        }
    }

    fn has_history(&self) -> bool {
        matches!(self.leader, Run::Debug(_))
    }

    fn history(&mut self) -> Option<&mut dyn History> {
        match &mut self.leader {
            Run::Debug(machine) => machine.history(),
            Run::Fast(_) => None,
        }
    }
}

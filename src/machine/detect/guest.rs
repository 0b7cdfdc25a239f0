//! What a monitor sees of the machine: its memory, its runners, and the kernel's symbols. It cannot change anything.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, FrameState, Inferior, InferiorError, Notice, Result, Resume, Status, Stop,
    StopReason, TaskInfo, WatchId, WatchSpec,
};
use wkdb_debugger::kernel::Kernel;
use wkdb_debugger::kernel::detect::{LostBaton, Seat};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::{Context, Frame, GuestTime, ModuleId, RunnerId, Tick, WasmValue};

use super::super::debug::{Answer, Answered, Request};
use super::super::executor::Machine;
use super::super::memory::GuestMemory;

/// The machine as a monitor sees it, standing still.
pub(in crate::machine) struct Guest<'m> {
    machine: &'m mut Machine,
    status: Status,
}

impl<'m> Guest<'m> {
    pub(in crate::machine) fn new(machine: &'m mut Machine) -> Self {
        let stop = {
            let core = machine.shared.core.borrow();
            let known = machine.last.filter(|&runner| core.runners.get(runner).is_some());
            let context = known.map(|runner| core.context(runner));
            Stop { reason: StopReason::Interrupt, context, frame: None, tick: core.ticks, time: core.now }
        };
        Guest { machine, status: Status::Stopped(Box::new(stop)) }
    }

    /// The guest's clock.
    pub(in crate::machine) fn now(&self) -> GuestTime {
        self.machine.shared.core.borrow().now
    }

    /// The machine's position.
    pub(in crate::machine) fn tick(&self) -> Tick {
        self.machine.shared.core.borrow().ticks
    }

    /// The guest's memory.
    pub(in crate::machine) fn memory(&self) -> GuestMemory {
        self.machine.shared.memory.clone()
    }

    /// Who a runner is, as of now.
    pub(in crate::machine) fn context(&self, runner: RunnerId) -> Context {
        self.machine.shared.core.borrow().context(runner)
    }

    /// All tasks with a runner, in the order in which those were created.
    pub(in crate::machine) fn runners(&mut self) -> Vec<TaskInfo> {
        match self.machine.answer(Request::Tasks) {
            Ok(Answer::Tasks(tasks)) => tasks,
            _ => Vec::new(),
        }
    }

    /// All runners, as detectors that read the kernel's structures see them.
    pub(in crate::machine) fn seats(&self) -> Vec<Seat> {
        let core = self.machine.shared.core.borrow();
        let seat = |runner: RunnerId| {
            let known = core.runners.get(runner)?;
            Some(Seat {
                runner,
                task: known.task.0,
                cpu: known.cpu.0,
                state: known.state,
                holds_cpu: core.runners.holder(known.cpu) == Some(runner),
                idle: known.idle,
                since: known.since,
            })
        };
        core.runners.ids().into_iter().filter_map(seat).collect()
    }

    /// The CPUs whose baton is lost.
    pub(in crate::machine) fn lost_batons(&self) -> Vec<LostBaton> {
        let core = self.machine.shared.core.borrow();
        let lost = core.runners.lost().map(|(cpu, lost)| LostBaton {
            cpu: cpu.0,
            task: lost.task.0,
            runner: lost.runner,
            comm: lost.comm.clone(),
            at: lost.at,
            to: lost.to.map(|task| task.0),
        });
        lost.collect()
    }

    /// A runner's call stack, innermost first; empty where it has none.
    pub(in crate::machine) fn stack(&mut self, runner: RunnerId) -> Vec<Frame> {
        self.machine.stack(runner)
    }

    /// The kernel's symbols, which are read when they are first asked for: its debug information takes a while, so a
    /// monitor that is on by default asks only where something is likely to be wrong.
    pub(in crate::machine) fn symbols(&self) -> Option<Rc<Symbols>> {
        let images = self.machine.shared.images.borrow();
        images.get(ModuleId::KERNEL)?.symbols()
    }

    /// The kernel's structures, by its debug information. Each call reads memory anew.
    pub(in crate::machine) fn kernel(&mut self) -> Option<Kernel<'_>> {
        let symbols = self.symbols()?;
        let known = Rc::clone(&self.machine.shared.images.borrow().get(ModuleId::KERNEL)?.known);
        Some(Kernel::near(self, symbols, known))
    }

    fn ask(&mut self, request: Request) -> Answered {
        self.machine.answer(request)
    }
}

fn unfit<T>() -> Result<T> {
    Err(InferiorError::Refused("the answer does not fit the question".into()))
}

/// A monitor only looks.
fn refused<T>() -> Result<T> {
    Err(InferiorError::Refused("who looks for mistakes changes nothing".into()))
}

impl Inferior for Guest<'_> {
    fn status(&self) -> &Status {
        &self.status
    }

    fn notices(&mut self, _: Duration) -> Result<Vec<Notice>> {
        Ok(Vec::new())
    }

    fn module(&mut self, module: ModuleId) -> Result<Arc<[u8]>> {
        match self.ask(Request::Module(module))? {
            Answer::Bytes(bytes) => Ok(bytes.into()),
            _ => unfit(),
        }
    }

    fn module_count(&mut self) -> Result<u32> {
        match self.ask(Request::ModuleCount)? {
            Answer::Number(count) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
            _ => unfit(),
        }
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        Ok(self.runners())
    }

    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>> {
        match self.ask(Request::Frames(runner))? {
            Answer::Frames(frames) => Ok(frames),
            _ => unfit(),
        }
    }

    /// Not in all variants of the code: what is found would depend on it.
    fn frame_states(&mut self, _: RunnerId) -> Result<Vec<FrameState>> {
        refused()
    }

    /// As above.
    fn globals(&mut self, _: RunnerId, _: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        refused()
    }

    fn stack_pointer(&mut self, runner: RunnerId) -> Result<u64> {
        match self.ask(Request::StackPointer(runner))? {
            Answer::Number(pointer) => Ok(pointer),
            _ => unfit(),
        }
    }

    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>> {
        match self.ask(Request::ReadMemory { address, len })? {
            Answer::Bytes(bytes) => Ok(bytes),
            _ => unfit(),
        }
    }

    fn write_memory(&mut self, _: u64, _: &[u8]) -> Result<()> {
        refused()
    }

    fn set_global(&mut self, _: RunnerId, _: ModuleId, _: u32, _: WasmValue) -> Result<()> {
        refused()
    }

    fn set_local(&mut self, _: RunnerId, _: u32, _: u32, _: WasmValue) -> Result<()> {
        refused()
    }

    fn insert_breakpoint(&mut self, _: &BreakpointSpec) -> Result<BreakpointId> {
        refused()
    }

    fn remove_breakpoint(&mut self, _: BreakpointId) -> Result<()> {
        refused()
    }

    fn insert_watch(&mut self, _: &WatchSpec) -> Result<WatchId> {
        refused()
    }

    fn remove_watch(&mut self, _: WatchId) -> Result<()> {
        refused()
    }

    fn resume(&mut self, _: &Resume) -> Result<()> {
        refused()
    }

    fn interrupt(&mut self) -> Result<()> {
        refused()
    }

    fn type_in(&mut self, _: &[u8]) -> Result<()> {
        refused()
    }

    fn has_history(&self) -> bool {
        false
    }
}

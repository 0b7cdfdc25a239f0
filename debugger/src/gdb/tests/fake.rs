//! An [`Inferior`] that runs nothing: its tasks, memory and stops are what the test put there.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use wkdb_tracer::{
    CodeAddress, CodeOffset, Context, Cpu, Frame, GuestTime, ModuleId, Outcome, RunnerId, RunnerState, TaskId, Tick,
    Totals, WasmValue,
};

use super::super::code::Code;
use super::super::{BasicCommands, Companions, ServerParts};
use crate::companion::layout::Layout;
use crate::inferior::{
    BreakpointId, BreakpointSpec, FrameState, Inferior, InferiorError, Notice, Result, Resume, Status, Stop,
    StopReason, TaskInfo, WatchId, WatchSpec,
};

/// `outer` calls `inner`, which has a shadow frame of 16 bytes; both have i32 locals.
pub(crate) const MODULE: &str = r#"(module
    (import "env" "memory" (memory 1 1 shared))
    (global $__stack_pointer (mut i32) (i32.const 4096))
    (global $counter (mut i64) (i64.const 7))
    (func $inner (param $n i32) (result i32) (local $fp i32)
        (global.set $__stack_pointer (local.tee $fp (i32.sub (global.get $__stack_pointer) (i32.const 16))))
        (i32.store (local.get $fp) (local.get $n))
        (global.set $__stack_pointer (i32.add (local.get $fp) (i32.const 16)))
        (i32.add (local.get $n) (i32.const 1)))
    (func $outer (param $n i32) (result i32)
        (drop (call $inner (local.get $n)))
        (local.get $n)))"#;

/// See the module.
pub(crate) struct Fake {
    pub(crate) module: Arc<[u8]>,
    pub(crate) status: Status,
    pub(crate) tasks: Vec<TaskInfo>,
    pub(crate) states: BTreeMap<RunnerId, Vec<FrameState>>,
    pub(crate) memory: Vec<u8>,
    /// Stops that come by themselves, one for each [`Inferior::resume`]; without one, the machine runs.
    pub(crate) script: VecDeque<StopReason>,
    pub(crate) breakpoints: BTreeMap<BreakpointId, BreakpointSpec>,
    pub(crate) watches: BTreeMap<WatchId, WatchSpec>,
    /// How the machine was made to go on.
    pub(crate) resumed: Vec<Resume>,
    pub(crate) history: bool,
    /// Why it does not go on.
    pub(crate) refusal: Option<String>,
    /// How many modules there are, all the same.
    modules: u32,
    globals: Vec<WasmValue>,
    notices: VecDeque<Notice>,
    next_id: u32,
}

fn context(runner: u32, comm: &str) -> Context {
    Context {
        runner: RunnerId(runner),
        task: TaskId(0x1000 + u64::from(runner) * 0x100),
        comm: comm.into(),
        cpu: Cpu(runner % 2),
        tick: Tick(100),
        time: GuestTime(5_000_000),
    }
}

/// The offsets of the instructions of a function of the module.
pub(crate) fn instructions(code: &Code, function: u32) -> Vec<CodeOffset> {
    let first = code.first_instruction(function).unwrap();
    let all = std::iter::successors(Some(first), |&at| Some(code.after(at)).filter(|&next| code.has(next)));
    let end = code.first_instruction(function + 1).map_or(u32::MAX, |next| next.0 - 2);
    all.take_while(|at| at.0 < end).collect()
}

impl Fake {
    /// Stopped at its start; task 0 is in `inner`, called by `outer`; task 1 waits in `outer`; task 2 has not run.
    pub(crate) fn new() -> Fake {
        let module: Arc<[u8]> = wat::parse_str(MODULE).unwrap().into();
        let code = Code::read(Arc::clone(&module));
        let (inner, outer) = (instructions(&code, 0), instructions(&code, 1));
        let frame = |function, offset| Frame { address: CodeAddress { module: ModuleId::KERNEL, offset }, function };
        let in_outer = FrameState { frame: frame(1, outer[1]), locals: vec![WasmValue::I32(41)], operands: vec![] };
        let in_inner = FrameState {
            frame: frame(0, inner[5]),
            locals: vec![WasmValue::I32(41), WasmValue::I32(4080)],
            operands: vec![WasmValue::I32(4080), WasmValue::I64(0x1_0000_0002)],
        };
        let waiting = RunnerState::Waiting { address: 0x40, deadline: GuestTime(9) };
        let task = |runner, comm, state, holds_cpu| TaskInfo {
            context: context(runner, comm),
            state,
            holds_cpu,
            started: runner < 2,
        };
        let mut fake = Fake {
            module,
            status: Status::Running,
            tasks: vec![
                task(0, "swapper/0", RunnerState::Runnable, true),
                task(1, "init", waiting, true),
                task(2, "kthreadd", RunnerState::Runnable, false),
            ],
            states: BTreeMap::from([
                (RunnerId(0), vec![in_inner, in_outer.clone()]),
                (RunnerId(1), vec![in_outer]),
                (RunnerId(2), vec![]),
            ]),
            memory: (0..=u8::MAX).cycle().take(0x1_0000).collect(),
            script: VecDeque::new(),
            breakpoints: BTreeMap::new(),
            watches: BTreeMap::new(),
            resumed: Vec::new(),
            history: false,
            refusal: None,
            modules: 1,
            globals: vec![WasmValue::I32(4080), WasmValue::I64(7)],
            notices: VecDeque::new(),
            next_id: 1,
        };
        fake.stop(StopReason::Start);
        fake.notices.clear();
        fake
    }

    /// Stops the machine, for task 0.
    pub(crate) fn stop(&mut self, reason: StopReason) {
        let stop = Stop {
            reason,
            context: self.tasks.first().map(|task| task.context.clone()),
            frame: self.states.get(&RunnerId(0)).and_then(|states| states.first()).map(|state| state.frame),
            tick: Tick(100),
            time: GuestTime(5_000_000),
        };
        self.status = Status::Stopped(Box::new(stop.clone()));
        self.notices.push_back(Notice::Stopped(Box::new(stop)));
    }

    /// Has one more module, and tells of it.
    pub(crate) fn load_module(&mut self) {
        self.notices.push_back(Notice::Module(ModuleId(self.modules)));
        self.modules += 1;
    }

    /// Ends the run.
    pub(crate) fn end(&mut self, outcome: Outcome) {
        let totals = Totals {
            ticks: Tick(100),
            time: GuestTime(5_000_000),
            seed: 0,
            memory_hash: 0,
            schedule_hash: 0,
            console_hash: 0,
            slices: 0,
            tasks: 3,
            tasks_alive: 3,
            cpus: 2,
        };
        self.status = Status::Ended(Box::new(outcome.clone()), Box::new(totals.clone()));
        self.notices.push_back(Notice::Ended(Box::new(outcome), Box::new(totals)));
    }

    /// The address of an instruction of a function, as a client sees it.
    pub(crate) fn address(&self, function: u32, instruction: usize) -> u64 {
        let code = Code::read(Arc::clone(&self.module));
        let mut layout = Layout::new(code.word());
        layout.add_module(code.len()).unwrap();
        let offset = instructions(&code, function)[instruction];
        layout.code_address(CodeAddress { module: ModuleId::KERNEL, offset }).unwrap()
    }

    fn stopped(&self) -> Result<()> {
        match self.status {
            Status::Running => Err(InferiorError::Running),
            Status::Stopped(_) => Ok(()),
            Status::Ended(..) => Err(InferiorError::Refused("the run is over".into())),
        }
    }

    fn range(&self, address: u64, len: u64) -> Result<std::ops::Range<usize>> {
        let error = InferiorError::NoMemory { address, len };
        let end = address.checked_add(len).filter(|&end| end <= self.memory.len() as u64).ok_or(error)?;
        Ok(address as usize..end as usize)
    }
}

impl Inferior for Fake {
    fn status(&self) -> &Status {
        &self.status
    }

    fn notices(&mut self, _: Duration) -> Result<Vec<Notice>> {
        Ok(self.notices.drain(..).collect())
    }

    fn module(&mut self, module: ModuleId) -> Result<Arc<[u8]>> {
        let none = InferiorError::NoCode(CodeAddress { module, offset: CodeOffset(0) });
        if module.0 < self.modules { Ok(Arc::clone(&self.module)) } else { Err(none) }
    }

    fn module_count(&mut self) -> Result<u32> {
        Ok(self.modules)
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        Ok(self.tasks.clone())
    }

    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>> {
        Ok(self.frame_states(runner)?.into_iter().map(|state| state.frame).collect())
    }

    fn frame_states(&mut self, runner: RunnerId) -> Result<Vec<FrameState>> {
        self.states.get(&runner).cloned().ok_or(InferiorError::NoRunner(runner))
    }

    fn globals(&mut self, runner: RunnerId, _: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        self.frame_states(runner)?;
        Ok(self.globals.iter().copied().map(Some).collect())
    }

    fn stack_pointer(&mut self, runner: RunnerId) -> Result<u64> {
        self.frame_states(runner)?;
        Ok(4080)
    }

    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>> {
        let len = len.min((self.memory.len() as u64).saturating_sub(address));
        let range = self.range(address, len.max(1))?;
        Ok(self.memory[range].to_vec())
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        self.stopped()?;
        let range = self.range(address, bytes.len() as u64)?;
        self.memory[range].copy_from_slice(bytes);
        Ok(())
    }

    fn set_global(&mut self, runner: RunnerId, _: ModuleId, global: u32, value: WasmValue) -> Result<()> {
        self.stopped()?;
        self.frame_states(runner)?;
        self.globals[global as usize] = value;
        Ok(())
    }

    fn set_local(&mut self, _: RunnerId, _: u32, _: u32, _: WasmValue) -> Result<()> {
        Err(InferiorError::Refused("Wasm locals cannot be changed".into()))
    }

    fn insert_breakpoint(&mut self, spec: &BreakpointSpec) -> Result<BreakpointId> {
        self.stopped()?;
        let id = BreakpointId(self.next_id);
        self.next_id += 1;
        self.breakpoints.insert(id, spec.clone());
        Ok(id)
    }

    fn remove_breakpoint(&mut self, id: BreakpointId) -> Result<()> {
        self.stopped()?;
        self.breakpoints.remove(&id);
        Ok(())
    }

    fn insert_watch(&mut self, spec: &WatchSpec) -> Result<WatchId> {
        self.stopped()?;
        self.range(spec.address, spec.len.max(1))?;
        let id = WatchId(self.next_id);
        self.next_id += 1;
        self.watches.insert(id, spec.clone());
        Ok(id)
    }

    fn remove_watch(&mut self, id: WatchId) -> Result<()> {
        self.stopped()?;
        self.watches.remove(&id);
        Ok(())
    }

    fn resume(&mut self, resume: &Resume) -> Result<()> {
        self.stopped()?;
        if let Some(refusal) = &self.refusal {
            return Err(InferiorError::Refused(refusal.clone()));
        }
        self.resumed.push(resume.clone());
        self.status = Status::Running;
        if let Some(reason) = self.script.pop_front() {
            self.stop(reason);
        }
        Ok(())
    }

    fn interrupt(&mut self) -> Result<()> {
        if self.status == Status::Running {
            self.stop(StopReason::Interrupt);
        }
        Ok(())
    }

    fn type_in(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn has_history(&self) -> bool {
        self.history
    }
}

/// No symbols.
pub(crate) struct NoCompanions;

impl Companions for NoCompanions {
    fn companion(
        &mut self,
        _: &mut dyn Inferior,
        _: &Layout,
        _: ModuleId,
    ) -> std::result::Result<Option<Arc<[u8]>>, String> {
        Ok(None)
    }
}

/// The parts of a server without symbols.
pub(crate) fn parts() -> ServerParts {
    ServerParts { companions: Box::new(NoCompanions), monitor: Box::new(BasicCommands), names: None }
}

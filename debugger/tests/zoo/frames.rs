//! The frame of the port that expressions are evaluated in.

use std::sync::Arc;
use std::time::Duration;

use wkdb_debugger::expr::{Evaluator, Format, FrameTarget};
use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, FrameState, Inferior, InferiorError, Notice, Result, Resume, Status, TaskInfo,
    WatchId, WatchSpec,
};
use wkdb_tracer::{
    CodeAddress, CodeOffset, Context, Cpu, Frame, GuestTime, ModuleId, RunnerId, RunnerState, TaskId, Tick, WasmValue,
};

use super::fake::{FRAME, Fake};
use super::{O0, ZOO_C, line_of, load};

const RUNNER: RunnerId = RunnerId(3);
const OTHER: ModuleId = ModuleId(1);

/// A machine that is stopped with one task, whose inner frame is of another module.
struct Stopped {
    fake: Fake,
    at: CodeOffset,
    states: bool,
    status: Status,
}

impl Stopped {
    fn new() -> Stopped {
        let symbols = load(O0);
        let at = symbols.line_places("zoo.c", line_of(ZOO_C, "return a + b + c + d")).unwrap()[0].offset;
        let mut fake = Fake::new(O0);
        fake.put(FRAME + 44, &(-7_i32).to_le_bytes());
        Stopped { fake, at, states: true, status: Status::Running }
    }

    fn frame(module: ModuleId, offset: CodeOffset) -> Frame {
        Frame { address: CodeAddress { module, offset }, function: 0 }
    }
}

impl Inferior for Stopped {
    fn status(&self) -> &Status {
        &self.status
    }

    fn notices(&mut self, _: Duration) -> Result<Vec<Notice>> {
        Ok(Vec::new())
    }

    fn module(&mut self, _: ModuleId) -> Result<Arc<[u8]>> {
        Ok(O0.into())
    }

    fn module_count(&mut self) -> Result<u32> {
        Ok(2)
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        let context = Context {
            runner: RUNNER,
            task: TaskId(0x1f20),
            comm: "sh".into(),
            cpu: Cpu(2),
            tick: Tick(0),
            time: GuestTime(0),
        };
        Ok(vec![TaskInfo { context, state: RunnerState::Runnable, holds_cpu: true, started: true }])
    }

    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>> {
        match runner {
            RUNNER => Ok(vec![Stopped::frame(OTHER, CodeOffset(5)), Stopped::frame(ModuleId::KERNEL, self.at)]),
            other => Err(InferiorError::NoRunner(other)),
        }
    }

    fn frame_states(&mut self, runner: RunnerId) -> Result<Vec<FrameState>> {
        if !self.states {
            return Err(InferiorError::Refused("compiled without debugging: attach again".into()));
        }
        let frames = self.frames(runner)?;
        let locals = vec![WasmValue::I32(FRAME); 16];
        Ok(frames.into_iter().map(|frame| FrameState { frame, locals: locals.clone(), operands: Vec::new() }).collect())
    }

    fn globals(&mut self, _: RunnerId, _: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        Ok(vec![Some(WasmValue::I32(FRAME)), None])
    }

    fn stack_pointer(&mut self, _: RunnerId) -> Result<u64> {
        Ok(u64::from(FRAME))
    }

    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>> {
        let memory = self.fake.memory.get(address as usize..).filter(|rest| !rest.is_empty());
        let memory = memory.ok_or(InferiorError::NoMemory { address, len })?;
        Ok(memory[..memory.len().min(len as usize)].to_vec())
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        self.fake.put(address as u32, bytes);
        Ok(())
    }

    fn set_global(&mut self, _: RunnerId, _: ModuleId, _: u32, _: WasmValue) -> Result<()> {
        Ok(())
    }

    fn set_local(&mut self, _: RunnerId, _: u32, _: u32, _: WasmValue) -> Result<()> {
        Err(InferiorError::Refused("the engine keeps locals in registers".into()))
    }

    fn insert_breakpoint(&mut self, _: &BreakpointSpec) -> Result<BreakpointId> {
        Err(InferiorError::Running)
    }

    fn remove_breakpoint(&mut self, _: BreakpointId) -> Result<()> {
        Ok(())
    }

    fn insert_watch(&mut self, _: &WatchSpec) -> Result<WatchId> {
        Err(InferiorError::Running)
    }

    fn remove_watch(&mut self, _: WatchId) -> Result<()> {
        Ok(())
    }

    fn resume(&mut self, _: &Resume) -> Result<()> {
        Ok(())
    }

    fn interrupt(&mut self) -> Result<()> {
        Ok(())
    }

    fn type_in(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn has_history(&self) -> bool {
        false
    }
}

fn print(target: &mut FrameTarget<'_>, text: &str) -> String {
    let symbols = load(O0);
    let mut evaluator = Evaluator::new(&symbols, target);
    match evaluator.evaluate(text) {
        Ok(value) => evaluator.format(&value, &Format::default()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_frame_of_the_port_has_locals_registers_and_memory() {
    let mut machine = Stopped::new();
    let at = machine.at;
    let mut target = FrameTarget::new(&mut machine, ModuleId::KERNEL, RUNNER, 1, 0).unwrap();
    for (text, printed) in [
        ("a", "-7".to_owned()),
        ("a = 8", "8".into()),
        ("a", "8".into()),
        ("$pc", at.0.to_string()),
        ("$cpu", "2".into()),
        ("$task", "(void *) 0x1f20".into()),
        ("$sp", "(void *) 0x8000".into()),
        ("$local15 == $global0", "1".into()),
        ("$local16", "there is no $local16: there are 16".into()),
        ("$op0", "there is no $op0: there are 0".into()),
        ("$global1", "the value of $global1 is not kept".into()),
        ("$local0 = 1", "the engine keeps locals in registers".into()),
        ("workers[0].state", "BUSY".into()),
        // The memory ends in the middle of it.
        ("*(long long *)0x1fffc", "<error: guest memory has no 8 bytes at 0x1fffc>".into()),
    ] {
        assert_eq!(print(&mut target, text), printed, "{text}");
    }
}

#[test]
fn a_frame_of_another_module_has_the_globals_of_this_one() {
    let mut machine = Stopped::new();
    let mut target = FrameTarget::new(&mut machine, ModuleId::KERNEL, RUNNER, 0, 0).unwrap();
    assert_eq!(print(&mut target, "counter"), "18446744073709551600");
    assert!(print(&mut target, "a").starts_with("no variable, function or enumerator is called a"));
    assert_eq!(print(&mut target, "$local0"), "the frame belongs to another module");
    let mut target = FrameTarget::without_frame(&mut machine, ModuleId::KERNEL);
    assert_eq!(print(&mut target, "counter & 15"), "0");
    assert_eq!(print(&mut target, "$pc"), "no task is selected");
    assert_eq!(print(&mut target, "$local0"), "no frame is selected");
}

#[test]
fn what_the_port_refuses_is_told() {
    let mut machine = Stopped::new();
    machine.states = false;
    let mut target = FrameTarget::new(&mut machine, ModuleId::KERNEL, RUNNER, 1, 0).unwrap();
    assert_eq!(print(&mut target, "a"), "a: compiled without debugging: attach again");
    assert_eq!(print(&mut target, "counter & 1"), "0");
    let gone = FrameTarget::new(&mut machine, ModuleId::KERNEL, RunnerId(9), 0, 0).err();
    assert_eq!(gone, Some(InferiorError::NoRunner(RunnerId(9))));
    let outside = FrameTarget::new(&mut machine, ModuleId::KERNEL, RUNNER, 2, 0).err();
    assert_eq!(outside, Some(InferiorError::NoFrame { runner: RUNNER, depth: 2 }));
}

//! A toy machine behind the port: each of its tasks calls `worker_thread` of the symbol fixture, again and again, and
//! the few instructions that this compiles to are really run, one a tick, the tasks by turns. So steps, breakpoints and
//! watches have to be right, not only asked for.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use wasmparser::{DataKind, Operator, Parser, Payload};
use wkdb_tracer::{
    CodeAddress, CodeOffset, Context, Cpu, Event, Frame, GuestTime, ModuleId, RunnerId, RunnerState, TaskId, Tick,
    WasmValue, WatchHit, Writer,
};

use crate::inferior::*;
use crate::timeline::Branch;

const MODULE: &[u8] = include_bytes!("../../../tests/fixtures/symbols/workqueue-dwarf5.wasm");

/// Ticks of a turn.
const TURN: u64 = 7;

#[derive(Debug, Clone)]
struct Activation {
    function: u32,
    at: CodeOffset,
    local: u32,
    operands: Vec<WasmValue>,
}

#[derive(Clone)]
struct Task {
    comm: &'static str,
    stack: Vec<Activation>,
    /// The argument of the next call of `worker_thread`.
    which: u32,
}

/// See the module.
#[derive(Clone)]
pub(crate) struct Toy {
    code: BTreeMap<CodeOffset, (Operator<'static>, CodeOffset)>,
    functions: Vec<Range<CodeOffset>>,
    memory: Vec<u8>,
    tasks: Vec<Task>,
    /// The task that stopped the machine, or ran last.
    running: usize,
    tick: u64,
    status: Status,
    notices: VecDeque<Notice>,
    breakpoints: BTreeMap<BreakpointId, BreakpointSpec>,
    watches: BTreeMap<WatchId, WatchSpec>,
    last_id: u32,
    pub(super) typed: Vec<u8>,
}

impl Toy {
    pub(crate) fn new() -> Toy {
        let (mut code, mut functions, mut memory) = (BTreeMap::new(), Vec::new(), vec![0; 2 << 16]);
        let mut base = 0;
        for payload in Parser::new(0).parse_all(MODULE) {
            match payload.unwrap() {
                Payload::CodeSectionStart { range, .. } => base = range.start,
                Payload::CodeSectionEntry(body) => {
                    let offset = |at: usize| CodeOffset(u32::try_from(at - base).unwrap());
                    functions.push(offset(body.range().start)..offset(body.range().end));
                    let mut reader = body.get_operators_reader().unwrap();
                    while !reader.eof() {
                        let at = offset(reader.original_position());
                        let operator = reader.read().unwrap();
                        code.insert(at, (operator, offset(reader.original_position())));
                    }
                }
                Payload::DataSection(data) => {
                    for segment in data {
                        let segment = segment.unwrap();
                        let DataKind::Active { offset_expr, .. } = segment.kind else { panic!() };
                        let Operator::I32Const { value } = offset_expr.get_operators_reader().read().unwrap() else {
                            panic!()
                        };
                        memory[value as usize..][..segment.data.len()].copy_from_slice(segment.data);
                    }
                }
                _ => {}
            }
        }
        let task = |comm, which| Task { comm, stack: Vec::new(), which };
        let mut toy = Toy {
            code,
            functions,
            memory,
            tasks: vec![task("kworker/0:0", 0), task("kworker/1:0", 1)],
            running: 0,
            tick: 0,
            status: Status::Running,
            notices: VecDeque::new(),
            breakpoints: BTreeMap::new(),
            watches: BTreeMap::new(),
            last_id: 0,
            typed: Vec::new(),
        };
        toy.tasks.iter_mut().for_each(|task| call_again(&toy.functions, &toy.code, task));
        toy.stop(StopReason::Start);
        toy.notices.clear();
        toy
    }

    /// Hands out what it has to tell.
    pub(super) fn told(&mut self) -> Vec<Notice> {
        self.notices.drain(..).collect()
    }

    fn context(&self, task: usize) -> Context {
        Context {
            runner: RunnerId(task as u32),
            task: TaskId(0x1000 * (task as u64 + 1)),
            comm: self.tasks[task].comm.to_owned(),
            cpu: Cpu(task as u32),
            tick: Tick(self.tick),
            time: GuestTime(self.tick * 1000),
        }
    }

    fn frame(activation: &Activation) -> Frame {
        Frame {
            address: CodeAddress { module: ModuleId::KERNEL, offset: activation.at },
            function: activation.function,
        }
    }

    fn stop(&mut self, reason: StopReason) {
        let frame = self.tasks[self.running].stack.last().map(Self::frame);
        let stop = Stop {
            reason,
            context: Some(self.context(self.running)),
            frame,
            tick: Tick(self.tick),
            time: GuestTime(self.tick * 1000),
        };
        self.status = Status::Stopped(Box::new(stop.clone()));
        self.notices.push_back(Notice::Stopped(Box::new(stop)));
    }

    /// Runs an instruction of the task whose turn it is; gives what it wrote.
    fn run_one(&mut self) -> Option<(u64, Vec<u8>, Vec<u8>, Frame)> {
        let functions = self.functions.clone();
        let task = &mut self.tasks[self.running];
        let top = task.stack.last_mut().unwrap();
        let frame = Self::frame(top);
        let (operator, next) = self.code[&top.at].clone();
        let mut written = None;
        let mut to = next;
        let pop = |top: &mut Activation| top.operands.pop().unwrap().word().unwrap();
        let binary = |top: &mut Activation, f: fn(u32, u32) -> u32| {
            let (b, a) = (pop(top) as u32, pop(top) as u32);
            top.operands.push(WasmValue::I32(f(a, b)));
        };
        let at = |address: u64, offset: u64| (address as u32 as u64 + offset) as usize;
        let mut store = |top: &mut Activation, offset: u64, len: usize| {
            let value = pop(top);
            let place = at(pop(top), offset);
            let old = self.memory[place..][..len].to_vec();
            self.memory[place..][..len].copy_from_slice(&value.to_le_bytes()[..len]);
            written = Some((place as u64, old, value.to_le_bytes()[..len].to_vec(), frame));
        };
        match operator {
            Operator::LocalGet { .. } => top.operands.push(WasmValue::I32(top.local)),
            Operator::I32Const { value } => top.operands.push(WasmValue::I32(value as u32)),
            Operator::I32LtU => binary(top, |a, b| u32::from(a < b)),
            Operator::I32Shl => binary(top, |a, b| a << b),
            Operator::I32Add => binary(top, u32::wrapping_add),
            Operator::I32And => binary(top, |a, b| a & b),
            Operator::I32Load { memarg } => {
                let place = at(pop(top), memarg.offset);
                let word = self.memory[place..][..4].try_into().unwrap();
                top.operands.push(WasmValue::I32(u32::from_le_bytes(word)));
            }
            Operator::I32Load8S { memarg } => {
                let place = at(pop(top), memarg.offset);
                top.operands.push(WasmValue::I32(self.memory[place] as i8 as u32));
            }
            Operator::I64Load { memarg } => {
                let place = at(pop(top), memarg.offset);
                let word = self.memory[place..][..8].try_into().unwrap();
                top.operands.push(WasmValue::I64(u64::from_le_bytes(word)));
            }
            Operator::I32Store { memarg } => store(top, memarg.offset, 4),
            Operator::I64Store { memarg } => store(top, memarg.offset, 8),
            Operator::Block { .. } => {}
            // There is one block, and a branch out of it.
            Operator::BrIf { .. } => {
                if pop(top) != 0 {
                    let ends = self.code.range(next..).find(|(_, (operator, _))| matches!(operator, Operator::End));
                    to = ends.unwrap().1.1;
                }
            }
            Operator::Call { function_index } => {
                let argument = pop(top) as u32;
                let start = functions[function_index as usize].start;
                let first = *self.code.range(start..).next().unwrap().0;
                // While it runs, its caller is at the call.
                task.stack.push(Activation {
                    function: function_index,
                    at: first,
                    local: argument,
                    operands: Vec::new(),
                });
                return None;
            }
            Operator::End if functions[top.function as usize].end == next => {
                let result = top.operands.pop();
                task.stack.pop();
                match task.stack.last_mut() {
                    Some(caller) => {
                        caller.at = self.code[&caller.at].1;
                        caller.operands.extend(result);
                    }
                    None => call_again(&functions, &self.code, task),
                }
                return None;
            }
            Operator::End => {}
            other => panic!("the toy does not know {other:?}"),
        }
        self.tasks[self.running].stack.last_mut().unwrap().at = to;
        written
    }

    /// The watches that a write concerns.
    fn watched(&self, (address, old, new, frame): &(u64, Vec<u8>, Vec<u8>, Frame)) -> Vec<(WatchId, WatchHit)> {
        let context = self.context(self.running);
        let mut hits = Vec::new();
        for (id, spec) in &self.watches {
            let (from, to) = (spec.address.max(*address), (spec.address + spec.len).min(address + new.len() as u64));
            if spec.kind == WatchKind::Read || from >= to {
                continue;
            }
            let part = (from - address) as usize..(to - address) as usize;
            let condition = &spec.condition;
            let inside = |places: &Places| {
                let at = frame.address;
                places.0.iter().any(|(module, range)| *module == at.module && range.contains(&at.offset))
            };
            let wanted = (!condition.changed || old[part.clone()] != new[part.clone()])
                && condition.runners.as_ref().is_none_or(|runners| runners.contains(&context.runner))
                && condition.cpus.as_ref().is_none_or(|cpus| cpus.contains(&context.cpu))
                && condition
                    .equals
                    .as_ref()
                    .is_none_or(|bytes| self.memory[spec.address as usize..][..spec.len as usize] == bytes[..])
                && match &condition.places {
                    None => true,
                    Some(PlaceFilter::In(places)) => inside(places),
                    Some(PlaceFilter::NotIn(places)) => !inside(places),
                };
            if wanted {
                hits.push((
                    *id,
                    WatchHit {
                        kind: wkdb_tracer::AccessKind::Write,
                        watch: id.0,
                        address: from,
                        old: old[part.clone()].to_vec(),
                        new: new[part].to_vec(),
                        store_address: *address,
                        store_len: new.len() as u64,
                        writer: Writer::Guest { stack: vec![*frame] },
                        context: Some(context.clone()),
                    },
                ));
            }
        }
        hits
    }

    /// Stops where the next instruction of a task has a breakpoint; whether it does.
    fn stop_at_breakpoint(&mut self, task: usize) -> bool {
        let next = self.tasks[task].stack.last().unwrap().at;
        let runner = RunnerId(task as u32);
        let hit = |spec: &BreakpointSpec| spec.address.offset == next && spec.only.is_none_or(|only| only == runner);
        let hits: Vec<_> = self.breakpoints.iter().filter(|(_, spec)| hit(spec)).map(|(id, _)| *id).collect();
        if hits.is_empty() {
            return false;
        }
        self.running = task;
        self.stop(StopReason::Breakpoint(hits));
        true
    }

    /// Whether a step that began with so many frames is done.
    fn stepped(&self, step: &Step, frames: usize) -> bool {
        let task = &self.tasks[step.runner.0 as usize];
        let (now, at) = (task.stack.len(), task.stack.last().unwrap().at);
        match &step.kind {
            StepKind::Instruction => true,
            StepKind::Into(range) => now != frames || !range.contains(&at),
            StepKind::Over(range) => now < frames || now == frames && !range.contains(&at),
            StepKind::Out => now < frames,
        }
    }
}

/// Calls `worker_thread`, the first function.
fn call_again(
    functions: &[Range<CodeOffset>],
    code: &BTreeMap<CodeOffset, (Operator<'static>, CodeOffset)>,
    task: &mut Task,
) {
    let first = *code.range(functions[0].start..).next().unwrap().0;
    task.stack = vec![Activation { function: 0, at: first, local: task.which, operands: Vec::new() }];
    task.which = (task.which + 2) % 3;
}

impl Branch for Toy {
    fn fork(&mut self) -> Result<Self> {
        Ok(Toy { notices: VecDeque::new(), ..self.clone() })
    }

    fn cost(&self) -> u64 {
        self.memory.len() as u64
    }

    fn follow(&mut self, _: &mut Self) -> Result<()> {
        Ok(())
    }
}

impl Inferior for Toy {
    fn status(&self) -> &Status {
        &self.status
    }

    fn notices(&mut self, _: Duration) -> Result<Vec<Notice>> {
        Ok(self.told())
    }

    fn module(&mut self, module: ModuleId) -> Result<Arc<[u8]>> {
        let none = InferiorError::NoCode(CodeAddress { module, offset: CodeOffset(0) });
        if module == ModuleId::KERNEL { Ok(MODULE.into()) } else { Err(none) }
    }

    fn module_count(&mut self) -> Result<u32> {
        Ok(1)
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        let task = |number: usize| TaskInfo {
            context: self.context(number),
            state: RunnerState::Runnable,
            holds_cpu: true,
            started: true,
        };
        Ok((0..self.tasks.len()).map(task).collect())
    }

    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>> {
        Ok(self.frame_states(runner)?.into_iter().map(|state| state.frame).collect())
    }

    fn frame_states(&mut self, runner: RunnerId) -> Result<Vec<FrameState>> {
        let task = self.tasks.get(runner.0 as usize).ok_or(InferiorError::NoRunner(runner))?;
        let state = |activation: &Activation| FrameState {
            frame: Self::frame(activation),
            locals: vec![WasmValue::I32(activation.local)],
            operands: activation.operands.clone(),
        };
        Ok(task.stack.iter().rev().map(state).collect())
    }

    fn globals(&mut self, runner: RunnerId, _: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        self.frame_states(runner)?;
        Ok(vec![Some(WasmValue::I32(0x1_0000)); 3])
    }

    fn stack_pointer(&mut self, runner: RunnerId) -> Result<u64> {
        self.frame_states(runner)?;
        Ok(0x1_0000)
    }

    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>> {
        let start = usize::try_from(address).ok().filter(|&start| start < self.memory.len());
        let start = start.ok_or(InferiorError::NoMemory { address, len })?;
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(self.memory.len() - start);
        Ok(self.memory[start..][..len].to_vec())
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        let none = InferiorError::NoMemory { address, len: bytes.len() as u64 };
        let place = self.memory.get_mut(address as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
        place.ok_or(none)?.copy_from_slice(bytes);
        Ok(())
    }

    fn set_global(&mut self, _: RunnerId, _: ModuleId, _: u32, _: WasmValue) -> Result<()> {
        Err(InferiorError::Refused("the toy has no globals".into()))
    }

    fn set_local(&mut self, _: RunnerId, _: u32, _: u32, _: WasmValue) -> Result<()> {
        Err(InferiorError::Refused("Wasm locals cannot be changed".into()))
    }

    fn insert_breakpoint(&mut self, spec: &BreakpointSpec) -> Result<BreakpointId> {
        if self.status == Status::Running {
            return Err(InferiorError::Running);
        }
        // Between two instructions, the next one.
        let at = self.code.range(spec.address.offset..).next().map(|(at, _)| *at);
        let offset = at.ok_or(InferiorError::NoCode(spec.address))?;
        self.last_id += 1;
        let id = BreakpointId(self.last_id);
        let address = CodeAddress { offset, ..spec.address };
        self.breakpoints.insert(id, BreakpointSpec { address, ..spec.clone() });
        Ok(id)
    }

    fn remove_breakpoint(&mut self, id: BreakpointId) -> Result<()> {
        self.breakpoints.remove(&id);
        Ok(())
    }

    fn insert_watch(&mut self, spec: &WatchSpec) -> Result<WatchId> {
        self.last_id += 1;
        self.watches.insert(WatchId(self.last_id), spec.clone());
        Ok(WatchId(self.last_id))
    }

    fn remove_watch(&mut self, id: WatchId) -> Result<()> {
        self.watches.remove(&id);
        Ok(())
    }

    fn resume(&mut self, resume: &Resume) -> Result<()> {
        assert_eq!(resume.direction, Direction::Forward, "there is no history");
        self.status = Status::Running;
        let frames = resume.step.as_ref().map(|step| self.tasks[step.runner.0 as usize].stack.len());
        // Nothing in these tests runs longer.
        for _ in 0..100_000 {
            let ran = (self.tick / TURN) as usize % self.tasks.len();
            if ran != self.running && self.stop_at_breakpoint(ran) {
                return Ok(());
            }
            self.running = ran;
            let written = self.run_one();
            self.tick += 1;
            if let Some(write) = written {
                let hits = self.watched(&write);
                let (stops, logs): (Vec<_>, Vec<_>) = hits.into_iter().partition(|(id, _)| self.watches[id].stop);
                self.notices.extend(logs.into_iter().map(|(_, hit)| Notice::Event(Box::new(Event::Watch(hit)))));
                if !stops.is_empty() {
                    self.stop(StopReason::Watch(stops));
                    return Ok(());
                }
            }
            if !self.tick.is_multiple_of(TURN) && self.stop_at_breakpoint(ran) {
                return Ok(());
            }
            if let (Some(step), Some(frames)) = (&resume.step, frames)
                && step.runner.0 as usize == ran
                && self.stepped(step, frames)
            {
                self.stop(StopReason::Step);
                return Ok(());
            }
            let time = GuestTime(self.tick * 1000);
            if resume.until_tick.is_some_and(|tick| tick.0 <= self.tick)
                || resume.until_time.is_some_and(|wanted| wanted <= time)
            {
                self.stop(StopReason::Tick);
                return Ok(());
            }
        }
        Ok(())
    }

    fn interrupt(&mut self) -> Result<()> {
        if self.status == Status::Running {
            self.stop(StopReason::Interrupt);
        }
        Ok(())
    }

    fn type_in(&mut self, bytes: &[u8]) -> Result<()> {
        self.typed.extend(bytes);
        Ok(())
    }

    fn has_history(&self) -> bool {
        false
    }
}

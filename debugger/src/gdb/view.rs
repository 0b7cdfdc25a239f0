//! What a client sees: threads, registers and one address space, made of what the inferior answers.
//!
//! Answers are kept for as long as the machine is stopped.

use std::collections::HashMap;
use std::rc::Rc;

use gdbstub::common::Tid;
use thiserror::Error;
use wkdb_tracer::{ModuleId, RunnerId, WasmValue};

use super::modules::Modules;
use super::registers::{Registers, Values};
use super::stack::{Stack, slot_bytes};
use super::threads::{TaskNames, runner, tid, title};
use crate::companion::layout::{Region, SLOT_BYTES, Slot, WordSize};
use crate::inferior::{Inferior, InferiorError, Status, TaskInfo};

/// Why something that a client asked for was not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Fault {
    /// As the inferior says.
    #[error(transparent)]
    Inferior(#[from] InferiorError),
    /// There is nothing that can be read at this address.
    #[error("there is nothing at {0:#x}")]
    NoMemory(u64),
    /// It cannot be changed.
    #[error("{0}")]
    ReadOnly(String),
}

impl Fault {
    /// The error number that comes closest; the protocol has its own, which are those of Linux.
    pub(super) fn errno(&self) -> u8 {
        match self {
            Fault::Inferior(InferiorError::Running) => 16,
            Fault::Inferior(InferiorError::NoRunner(_) | InferiorError::NoFrame { .. }) => 3,
            Fault::Inferior(InferiorError::NoMemory { .. } | InferiorError::NoCode(_)) | Fault::NoMemory(_) => 14,
            Fault::Inferior(InferiorError::Refused(_)) => 95,
            Fault::Inferior(InferiorError::Gone(_)) => 5,
            Fault::ReadOnly(_) => 1,
        }
    }
}

/// See the module.
pub(super) struct View {
    pub(super) modules: Modules,
    pub(super) registers: Registers,
    names: Option<Box<dyn TaskNames>>,
    tasks: Option<Rc<[TaskInfo]>>,
    stacks: HashMap<RunnerId, Rc<Stack>>,
    /// There may be modules that are not known yet.
    more_modules: bool,
}

impl View {
    /// Of an inferior of which nothing has been asked yet.
    pub(super) fn new(names: Option<Box<dyn TaskNames>>) -> View {
        View {
            modules: Modules::new(),
            registers: Registers::new(WordSize::Four),
            names,
            tasks: None,
            stacks: HashMap::new(),
            more_modules: true,
        }
    }

    /// There may be modules that are not known yet.
    pub(super) fn expect_modules(&mut self) {
        self.more_modules = true;
    }

    /// Forgets what is true only while the machine is stopped where it is.
    pub(super) fn forget(&mut self) {
        self.tasks = None;
        self.stacks.clear();
    }

    /// Makes sure that answers are of the present, and modules known.
    pub(super) fn refresh(&mut self, inferior: &mut dyn Inferior) -> Result<(), InferiorError> {
        if *inferior.status() == Status::Running {
            self.forget();
            self.more_modules = true;
        }
        // Asking costs as much as a step of the machine: it is done where there is a reason.
        if !std::mem::take(&mut self.more_modules) {
            return Ok(());
        }
        let word = self.modules.layout().word();
        self.modules.update(inferior).inspect_err(|_| self.more_modules = true)?;
        if self.modules.layout().word() != word {
            self.registers = Registers::new(self.modules.layout().word());
        }
        Ok(())
    }

    pub(super) fn tasks(&mut self, inferior: &mut dyn Inferior) -> Result<Rc<[TaskInfo]>, InferiorError> {
        if let Some(tasks) = &self.tasks {
            return Ok(Rc::clone(tasks));
        }
        let tasks: Rc<[TaskInfo]> = inferior.tasks()?.into();
        self.tasks = Some(Rc::clone(&tasks));
        Ok(tasks)
    }

    /// All threads. A client needs one at any time: before the first task runs, it is shown that as one without frames.
    pub(super) fn threads(&mut self, inferior: &mut dyn Inferior) -> Result<Vec<Tid>, InferiorError> {
        let tasks = self.tasks(inferior)?;
        if tasks.is_empty() {
            return Ok(vec![tid(RunnerId(0))]);
        }
        Ok(tasks.iter().map(|task| tid(task.context.runner)).collect())
    }

    /// What a thread is called, and its CPU.
    pub(super) fn title(&mut self, inferior: &mut dyn Inferior, tid: Tid) -> Result<(String, u32), InferiorError> {
        let tasks = self.tasks(inferior)?;
        let Some(task) = tasks.iter().find(|task| task.context.runner == runner(tid)) else {
            return Ok((if tasks.is_empty() { "the guest has not started" } else { "gone" }.to_owned(), 0));
        };
        let name = self.names.as_mut().and_then(|names| names.name(inferior, task));
        Ok((title(task, name), task.context.cpu.0))
    }

    /// A thread's stack. One that has none yet, or is gone, has an empty one.
    pub(super) fn stack(&mut self, inferior: &mut dyn Inferior, tid: Tid) -> Result<Option<Rc<Stack>>, InferiorError> {
        let runner = runner(tid);
        if let Some(stack) = self.stacks.get(&runner) {
            return Ok(Some(Rc::clone(stack)));
        }
        match Stack::of(inferior, &self.modules, runner) {
            Ok(stack) => {
                let stack = Rc::new(stack);
                self.stacks.insert(runner, Rc::clone(&stack));
                Ok(Some(stack))
            }
            Err(InferiorError::NoRunner(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a thread's registers hold.
    pub(super) fn values(&mut self, inferior: &mut dyn Inferior, tid: Tid) -> Result<Values, InferiorError> {
        let layout = self.modules.layout();
        let nowhere = Values { pc: layout.host_return(), globals: layout.globals_base(), ..Values::default() };
        Ok(self.stack(inferior, tid)?.map_or(nowhere, |stack| stack.values.clone()))
    }

    /// Reads what a thread sees at an address; fewer bytes where a region ends.
    pub(super) fn read(
        &mut self,
        inferior: &mut dyn Inferior,
        tid: Tid,
        address: u64,
        out: &mut [u8],
    ) -> Result<usize, Fault> {
        let wanted = out.len();
        match self.modules.layout().region(address) {
            Region::Memory => {
                let len = (wanted as u64).min(self.modules.layout().memory_end() - address);
                let bytes = inferior.read_memory(address, len)?;
                let len = bytes.len().min(wanted);
                out[..len].copy_from_slice(&bytes[..len]);
                Ok(len)
            }
            // Asked for one byte, a client looks whether it is x86's `ret`: no instruction of Wasm is any of x86's.
            Region::Code(_) | Region::Host(_) if wanted == 1 => {
                out[0] = 0x90;
                Ok(1)
            }
            Region::Code(place) => {
                let code = self.modules.code(place.module).ok_or(Fault::NoMemory(address))?;
                let bytes = code.bytes(place.offset, wanted);
                out[..bytes.len()].copy_from_slice(bytes);
                Ok(bytes.len())
            }
            Region::Host(_) => {
                out.fill(0x90);
                Ok(wanted)
            }
            Region::Globals { module, global, byte } => {
                let globals = self.globals(inferior, tid, module)?;
                let skip = u64::from(global) * SLOT_BYTES + byte;
                let bytes = globals.iter().flat_map(|value| value.map_or([0; 8], slot_bytes));
                let mut len = 0;
                for (to, from) in out.iter_mut().zip(bytes.skip(skip as usize)) {
                    *to = from;
                    len += 1;
                }
                if len == 0 { Err(Fault::NoMemory(address)) } else { Ok(len) }
            }
            Region::Frames => {
                let tid = self.owner(inferior, tid, address)?;
                let stack = self.stack(inferior, tid)?.ok_or(Fault::NoMemory(address))?;
                stack.read(address, out);
                Ok(wanted)
            }
            Region::Nothing => Err(Fault::NoMemory(address)),
        }
    }

    /// The thread one of whose frames has an address: the one that is asked about, or else any. To lldb, memory is no
    /// thread's: it does not say which it means.
    fn owner(&mut self, inferior: &mut dyn Inferior, asked: Tid, address: u64) -> Result<Tid, InferiorError> {
        let covers = |view: &mut View, inferior: &mut dyn Inferior, tid| {
            view.stack(inferior, tid).is_ok_and(|stack| stack.is_some_and(|stack| stack.covers(address)))
        };
        if covers(self, inferior, asked) {
            return Ok(asked);
        }
        let word = self.modules.layout().word();
        let tasks = self.tasks(inferior)?;
        let runners = tasks.iter().filter(|task| task.started).map(|task| task.context.runner);
        let near: Vec<Tid> = runners.filter(|&runner| Stack::is_window_of(runner, address, word)).map(tid).collect();
        // Reads by whole lines of a cache begin below the frames.
        let owner = near.iter().copied().find(|&tid| covers(self, inferior, tid)).or(near.first().copied());
        Ok(owner.unwrap_or(asked))
    }

    fn globals(
        &mut self,
        inferior: &mut dyn Inferior,
        tid: Tid,
        module: ModuleId,
    ) -> Result<Vec<Option<WasmValue>>, InferiorError> {
        inferior.globals(runner(tid), module)
    }

    /// Changes what is at an address: guest memory, a global, or a local.
    pub(super) fn write(
        &mut self,
        inferior: &mut dyn Inferior,
        tid: Tid,
        address: u64,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        match self.modules.layout().region(address) {
            Region::Memory => Ok(inferior.write_memory(address, bytes)?),
            Region::Code(_) | Region::Host(_) => {
                Err(Fault::ReadOnly("Wasm code cannot be changed while it runs".into()))
            }
            Region::Globals { module, global, byte } => {
                let globals = self.globals(inferior, tid, module)?;
                let old = globals.get(global as usize).copied().flatten().ok_or(Fault::NoMemory(address))?;
                let new = changed(old, byte, bytes)?;
                self.forget();
                Ok(inferior.set_global(runner(tid), module, global, new)?)
            }
            Region::Frames => {
                let tid = self.owner(inferior, tid, address)?;
                let stack = self.stack(inferior, tid)?.ok_or(Fault::NoMemory(address))?;
                let (depth, slot) = stack.place(address).ok_or(Fault::NoMemory(address))?;
                let Slot::Local(local) = slot else {
                    let what = if matches!(slot, Slot::Operand(_)) { "the operand stack" } else { "a return address" };
                    return Err(Fault::ReadOnly(format!("Wasm has no way to change {what}")));
                };
                let old = stack.local(depth, local).ok_or(Fault::NoMemory(address))?;
                let start = stack.slot_address(depth, slot).ok_or(Fault::NoMemory(address))?;
                let new = changed(old, address - start, bytes)?;
                self.forget();
                Ok(inferior.set_local(runner(tid), depth, local, new)?)
            }
            Region::Nothing => Err(Fault::NoMemory(address)),
        }
    }
}

/// A value some of whose bytes, as they are in its slot, are others.
fn changed(old: WasmValue, first: u64, bytes: &[u8]) -> Result<WasmValue, Fault> {
    let mut slot = slot_bytes(old);
    let range = first as usize..first as usize + bytes.len();
    let place = slot.get_mut(range).ok_or_else(|| Fault::ReadOnly("one value at a time can be changed".into()))?;
    place.copy_from_slice(bytes);
    let word = u64::from_le_bytes(slot);
    match old {
        WasmValue::I32(_) => Ok(WasmValue::I32(word as u32)),
        WasmValue::I64(_) => Ok(WasmValue::I64(word)),
        WasmValue::F32(_) => Ok(WasmValue::F32(word as u32)),
        WasmValue::F64(_) => Ok(WasmValue::F64(word)),
        WasmValue::V128(_) | WasmValue::Ref { .. } => {
            Err(Fault::ReadOnly(format!("a value of type {} cannot be changed", old.type_name())))
        }
    }
}

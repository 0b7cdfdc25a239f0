//! A guest that does not run: its memory is what the test says.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wkdb_tracer::{
    CodeAddress, CodeOffset, Context, Cpu, Frame, GuestTime, ModuleId, RunnerId, RunnerState, TaskId, Tick, WasmValue,
};

use crate::inferior::{
    BreakpointId, BreakpointSpec, FrameState, Inferior, InferiorError, Notice, Result, Resume, Status, Stop,
    StopReason, TaskInfo, WatchId, WatchSpec,
};
use crate::symbols::Symbols;

/// The symbols of a kernel that is bundled with the program.
pub(in crate::kernel) fn symbols(name: &str) -> Rc<Symbols> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/demo").join(name);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let bytes = if name.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes };
    Rc::new(Symbols::load(bytes).unwrap())
}

pub(in crate::kernel) fn minik() -> Rc<Symbols> {
    symbols("minik-7.0.wasm")
}

pub(in crate::kernel) fn linux() -> Rc<Symbols> {
    symbols("linux/vmlinux.wasm.zst")
}

/// What the guest's memory holds.
pub(in crate::kernel) enum Memory {
    /// Zeros, but for these bytes.
    Written { size: u64, bytes: BTreeMap<u64, u8> },
    /// Whatever a function says of each word of four bytes.
    Words { size: u64, word: Box<dyn Fn(u64) -> u32> },
    /// These bytes, from 0 on.
    Bytes(Vec<u8>),
}

/// See the module.
pub(in crate::kernel) struct Fake {
    pub(in crate::kernel) memory: Memory,
    pub(in crate::kernel) tasks: Vec<TaskInfo>,
    status: Status,
    /// How often memory was read.
    pub(in crate::kernel) reads: usize,
    /// The kernel's module, where there is one.
    pub(in crate::kernel) module: Option<Arc<[u8]>>,
    /// What every global holds, that of the stack pointer too.
    pub(in crate::kernel) stack_pointer: WasmValue,
}

impl Fake {
    pub(in crate::kernel) fn new(memory: Memory) -> Fake {
        let (tick, time) = (Tick(100), GuestTime(1_000));
        let stop = Stop { reason: StopReason::Interrupt, context: None, frame: None, tick, time };
        let stack_pointer = WasmValue::I32(0x8000);
        Fake {
            memory,
            tasks: Vec::new(),
            status: Status::Stopped(Box::new(stop)),
            reads: 0,
            module: None,
            stack_pointer,
        }
    }

    /// A megabyte of zeros.
    pub(in crate::kernel) fn zeros() -> Fake {
        Fake::new(Memory::Written { size: 1 << 20, bytes: BTreeMap::new() })
    }

    pub(in crate::kernel) fn write(&mut self, address: u64, value: u32) -> &mut Fake {
        let Memory::Written { bytes, .. } = &mut self.memory else { panic!("it is made up already") };
        bytes.extend((address..).zip(value.to_le_bytes()));
        self
    }

    /// A circular list with a head and entries, as it should be.
    pub(in crate::kernel) fn write_list(&mut self, addresses: &[u64]) -> &mut Fake {
        for (n, &address) in addresses.iter().enumerate() {
            let next = addresses[(n + 1) % addresses.len()];
            self.write(address, next as u32).write(next + 4, address as u32);
        }
        self
    }

    /// A task that the host runs.
    pub(in crate::kernel) fn add_runner(&mut self, task: u64, state: RunnerState) {
        let runner = RunnerId(self.tasks.len() as u32);
        let (tick, time) = (Tick(100), GuestTime(1_000));
        let context = Context { runner, task: TaskId(task), comm: "task".into(), cpu: Cpu(runner.0 % 2), tick, time };
        self.tasks.push(TaskInfo { context, state, holds_cpu: runner.0 < 2, started: true });
    }
}

fn refused<T>() -> Result<T> {
    Err(InferiorError::Refused("nothing of the kind here".into()))
}

impl Inferior for Fake {
    fn status(&self) -> &Status {
        &self.status
    }

    fn notices(&mut self, _: Duration) -> Result<Vec<Notice>> {
        Ok(Vec::new())
    }

    fn module(&mut self, _: ModuleId) -> Result<Arc<[u8]>> {
        self.module.clone().map_or_else(refused, Ok)
    }

    fn module_count(&mut self) -> Result<u32> {
        Ok(1)
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        Ok(self.tasks.clone())
    }

    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>> {
        let address = CodeAddress { module: ModuleId::KERNEL, offset: CodeOffset(100 * runner.0) };
        Ok(vec![Frame { address, function: runner.0 * 37 }; 3])
    }

    fn frame_states(&mut self, _: RunnerId) -> Result<Vec<FrameState>> {
        refused()
    }

    fn globals(&mut self, _: RunnerId, _: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        Ok(vec![Some(self.stack_pointer); 8])
    }

    fn stack_pointer(&mut self, _: RunnerId) -> Result<u64> {
        Ok(match self.stack_pointer {
            WasmValue::I64(pointer) => pointer,
            WasmValue::I32(pointer) => u64::from(pointer),
            _ => 0,
        })
    }

    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>> {
        self.reads += 1;
        let size = match self.memory {
            Memory::Written { size, .. } | Memory::Words { size, .. } => size,
            Memory::Bytes(ref bytes) => bytes.len() as u64,
        };
        if address >= size {
            return Err(InferiorError::NoMemory { address, len });
        }
        let end = address.saturating_add(len).min(size);
        Ok(match &self.memory {
            Memory::Written { bytes, .. } => {
                let mut all = vec![0; (end - address) as usize];
                for (&at, &byte) in bytes.range(address..end) {
                    all[(at - address) as usize] = byte;
                }
                all
            }
            Memory::Words { word, .. } => {
                let words = (address / 4..end.div_ceil(4)).flat_map(|number| word(number * 4).to_le_bytes());
                words.skip((address % 4) as usize).take((end - address) as usize).collect()
            }
            Memory::Bytes(bytes) => bytes[address as usize..end as usize].to_vec(),
        })
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
        Ok(())
    }

    fn type_in(&mut self, _: &[u8]) -> Result<()> {
        refused()
    }

    fn has_history(&self) -> bool {
        false
    }
}

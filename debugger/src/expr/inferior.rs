//! A frame of an [`Inferior`] to evaluate expressions in.

use wkdb_tracer::{CodeOffset, Frame, ModuleId, RunnerId, WasmValue};

use super::{Register, Target};
use crate::inferior::{FrameState, Inferior, InferiorError};
use crate::symbols::{FrameReader, Slot, Unavailable};

/// A frame of a task, or no frame at all, of something that is debugged. What it reads of the frame it keeps: make a new
/// one after each stop.
pub struct FrameTarget<'i> {
    inferior: &'i mut dyn Inferior,
    /// Whose symbols are used: code and globals are those of this module.
    module: ModuleId,
    /// Whose frame, and which, counted from the innermost.
    frame: Option<(RunnerId, u32)>,
    inlined: usize,
    frames: Option<Vec<Frame>>,
    states: Option<Result<Vec<FrameState>, Unavailable>>,
    globals: Option<Result<Vec<Option<WasmValue>>, Unavailable>>,
}

impl From<InferiorError> for Unavailable {
    fn from(error: InferiorError) -> Self {
        Unavailable(error.to_string())
    }
}

impl<'i> FrameTarget<'i> {
    /// No frame: expressions have globals alone.
    pub fn without_frame(inferior: &'i mut dyn Inferior, module: ModuleId) -> Self {
        FrameTarget { inferior, module, frame: None, inlined: 0, frames: None, states: None, globals: None }
    }

    /// A frame of a runner, counted from the innermost; `inlined` is the function in it, counted from the innermost
    /// inlined one. If the frame's code is not that of `module`, its variables are not in scope.
    ///
    /// # Errors
    /// There is no such runner or frame.
    pub fn new(
        inferior: &'i mut dyn Inferior,
        module: ModuleId,
        runner: RunnerId,
        depth: u32,
        inlined: usize,
    ) -> Result<Self, InferiorError> {
        let frames = inferior.frames(runner)?;
        // A task that has not run yet has no frames, but globals.
        if depth as usize >= frames.len() && (depth > 0 || !frames.is_empty()) {
            return Err(InferiorError::NoFrame { runner, depth });
        }
        let frame = Some((runner, depth));
        Ok(FrameTarget { inferior, module, frame, inlined, frames: Some(frames), states: None, globals: None })
    }

    /// The frame, if the task has one.
    pub fn frame(&self) -> Option<&Frame> {
        let (_, depth) = self.frame?;
        self.frames.as_ref()?.get(depth as usize)
    }

    fn runner(&self) -> Result<RunnerId, Unavailable> {
        self.frame.map(|(runner, _)| runner).ok_or_else(|| Unavailable("no task is selected".into()))
    }

    fn state(&mut self) -> Result<&FrameState, Unavailable> {
        let Some((runner, depth)) = self.frame else { return Err(Unavailable("no frame is selected".into())) };
        if self.pc().is_none() {
            return Err(Unavailable("the frame belongs to another module".into()));
        }
        let inferior = &mut *self.inferior;
        let states = self.states.get_or_insert_with(|| inferior.frame_states(runner).map_err(Unavailable::from));
        let states = states.as_ref().map_err(Clone::clone)?;
        states.get(depth as usize).ok_or_else(|| InferiorError::NoFrame { runner, depth }.into())
    }

    fn globals(&mut self) -> Result<&[Option<WasmValue>], Unavailable> {
        let runner = match self.frame {
            Some((runner, _)) => runner,
            // Without a frame, the globals that all instances share will do: those of any task.
            None => match self.inferior.tasks()?.first() {
                Some(task) => task.context.runner,
                None => return Err(Unavailable("there is no task yet, so there are no Wasm globals".into())),
            },
        };
        let (inferior, module) = (&mut *self.inferior, self.module);
        let globals = self.globals.get_or_insert_with(|| inferior.globals(runner, module).map_err(Unavailable::from));
        globals.as_deref().map_err(Clone::clone)
    }
}

fn pick<T: Copy>(values: &[T], slot: Slot, index: u32) -> Result<T, Unavailable> {
    let count = values.len();
    values.get(index as usize).copied().ok_or_else(|| Unavailable(format!("there is no {slot}: there are {count}")))
}

impl FrameReader for FrameTarget<'_> {
    fn slot(&mut self, slot: Slot) -> Result<WasmValue, Unavailable> {
        match slot {
            Slot::Local(index) => pick(&self.state()?.locals, slot, index),
            Slot::Operand(index) => pick(&self.state()?.operands, slot, index),
            Slot::Global(index) => pick(self.globals()?, slot, index)?
                .ok_or_else(|| Unavailable(format!("the value of {slot} is not kept"))),
        }
    }

    fn memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>, Unavailable> {
        let bytes = self.inferior.read_memory(address, len)?;
        if bytes.len() as u64 != len {
            return Err(InferiorError::NoMemory { address, len }.into());
        }
        Ok(bytes)
    }

    fn is_consumed(&mut self, slot: Slot) -> bool {
        let Slot::Operand(index) = slot else { return false };
        self.state().is_ok_and(|state| state.operands.len() <= index as usize)
    }
}

impl Target for FrameTarget<'_> {
    fn pc(&self) -> Option<CodeOffset> {
        let frame = self.frame()?;
        (frame.address.module == self.module).then_some(frame.address.offset)
    }

    fn inlined_frame(&self) -> usize {
        self.inlined
    }

    fn register(&mut self, register: Register) -> Result<u64, Unavailable> {
        let runner = self.runner()?;
        match register {
            Register::Pc => match self.frame() {
                Some(frame) => Ok(u64::from(frame.address.offset.0)),
                None => Err(Unavailable(format!("{runner} has not run yet: it has no frames"))),
            },
            Register::Sp => Ok(self.inferior.stack_pointer(runner)?),
            Register::Cpu | Register::Task => {
                let tasks = self.inferior.tasks()?;
                let task = tasks.into_iter().find(|task| task.context.runner == runner);
                let task = task.ok_or(InferiorError::NoRunner(runner))?;
                Ok(match register {
                    Register::Cpu => u64::from(task.context.cpu.0),
                    _ => task.context.task.0,
                })
            }
        }
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<(), Unavailable> {
        Ok(self.inferior.write_memory(address, bytes)?)
    }

    fn set_slot(&mut self, slot: Slot, value: WasmValue) -> Result<(), Unavailable> {
        let runner = self.runner()?;
        match slot {
            Slot::Global(index) => self.inferior.set_global(runner, self.module, index, value)?,
            Slot::Local(index) => {
                let depth = self.frame.map_or(0, |(_, depth)| depth);
                self.inferior.set_local(runner, depth, index, value)?;
            }
            Slot::Operand(_) => return Err(Unavailable(format!("{slot} cannot be changed: set the variable instead"))),
        }
        (self.states, self.globals) = (None, None);
        Ok(())
    }
}

//! A task's Wasm call stack, as the registers and the memory of the processor that the guest is shown as.
//!
//! The companion's call-frame information and variable locations find everything in there; [`FrameStack`] says where.

use std::collections::HashMap;

use wkdb_tracer::{CodeAddress, ModuleId, RunnerId, WasmValue};

use super::modules::Modules;
use super::registers::Values;
use crate::companion::layout::{FRAMES_WINDOW, FRAMES_WINDOWS, FrameStack, OPERAND_SLOTS, SLOT_BYTES, Slot, WordSize};
use crate::inferior::{FrameState, Inferior, InferiorError};

/// A task's stack at one moment.
#[derive(Debug)]
pub(super) struct Stack {
    /// The registers' values.
    pub(super) values: Values,
    word: WordSize,
    places: FrameStack,
    /// Frames inside the ones that have a place.
    hidden: usize,
    /// The address of the first byte of `image`.
    low: u64,
    /// The frames, from the lowest address on.
    image: Vec<u8>,
    /// The frames as the inferior gave them, all of them.
    states: Vec<FrameState>,
}

impl Stack {
    /// Asks for the frames of a runner and lays them out.
    pub(super) fn of(inferior: &mut dyn Inferior, modules: &Modules, runner: RunnerId) -> Result<Stack, InferiorError> {
        let states = match inferior.frame_states(runner) {
            Ok(states) => states,
            // Compiled without debugging: where it is can be told, what is in its locals cannot.
            Err(InferiorError::Refused(_)) => inferior
                .frames(runner)?
                .into_iter()
                .map(|frame| FrameState { frame, locals: Vec::new(), operands: Vec::new() })
                .collect(),
            Err(error) => return Err(error),
        };
        let counts: Vec<u32> = states.iter().map(|state| state.locals.len() as u32).collect();
        let places = FrameStack::new(modules.layout().word(), runner.0, &counts);
        let hidden = states.len() - places.len();
        let shown = &states[hidden..];
        let layout = modules.layout();
        let pc = |address: CodeAddress| layout.code_address(address).unwrap_or(layout.host_return());
        let mut pointers = StackPointers { inferior, modules, runner, last: HashMap::new() };
        let mut stack = Stack {
            values: Values {
                pc: shown.first().map_or(layout.host_return(), |state| pc(state.frame.address)),
                sp: shown.first().map_or(0, |state| pointers.of(state.frame.address.module)),
                fp: places.cfa(0).unwrap_or(places.host_cfa()),
                globals: layout.globals_base(),
                top: shown.first().and_then(|state| state.operands.last().copied()),
            },
            word: layout.word(),
            low: 0,
            image: Vec::new(),
            places,
            hidden,
            states: Vec::new(),
        };
        stack.make_room(shown);
        for (depth, state) in shown.iter().enumerate() {
            pointers.leave(state);
            let caller = shown.get(depth + 1).map(|caller| caller.frame.address);
            let return_pc = caller.map_or(layout.host_return(), |call| pc(modules.after(call)));
            let caller_sp = caller.map_or(0, |call| pointers.of(call.module));
            let caller_cfa = stack.places.cfa(depth + 1).unwrap_or(stack.places.host_cfa());
            stack.put(depth, Slot::ReturnPc, &return_pc.to_le_bytes());
            stack.put(depth, Slot::CallerCfa, &caller_cfa.to_le_bytes());
            stack.put(depth, Slot::CallerStackPointer, &caller_sp.to_le_bytes());
            for (n, &value) in state.locals.iter().enumerate() {
                stack.put(depth, Slot::Local(n as u32), &slot_bytes(value));
            }
            for (n, &value) in state.operands.iter().enumerate().take(OPERAND_SLOTS as usize) {
                stack.put(depth, Slot::Operand(n as u32), &slot_bytes(value));
            }
        }
        stack.states = states;
        Ok(stack)
    }

    fn make_room(&mut self, shown: &[FrameState]) {
        let lowest = shown.first().and_then(|state| {
            let last = (state.locals.len() as u32).checked_sub(1).map_or(Slot::CallerStackPointer, Slot::Local);
            self.places.address(0, last)
        });
        let outermost = self.places.len().checked_sub(1).and_then(|depth| self.places.cfa(depth));
        if let (Some(low), Some(outermost)) = (lowest, outermost) {
            self.low = low;
            self.image.resize((outermost + OPERAND_SLOTS * SLOT_BYTES - low) as usize, 0);
        }
    }

    /// Writes a part of a frame: its first bytes, if it has fewer than `bytes`.
    fn put(&mut self, depth: usize, slot: Slot, bytes: &[u8]) {
        let len = slot.bytes(self.word) as usize;
        let start = self.places.address(depth, slot).and_then(|address| address.checked_sub(self.low));
        let range = start.map(|start| start as usize..start as usize + len);
        if let Some(place) = range.and_then(|range| self.image.get_mut(range)) {
            place.copy_from_slice(&bytes[..len]);
        }
    }

    /// The frames that have a place, the innermost first.
    pub(super) fn shown(&self) -> &[FrameState] {
        &self.states[self.hidden.min(self.states.len())..]
    }

    /// The canonical frame address of a frame that has a place, and `__stack_pointer` in it.
    pub(super) fn cfa_and_stack_pointer(&self, depth: usize) -> Option<(u64, u64)> {
        let cfa = self.places.cfa(depth)?;
        let Some(inner) = depth.checked_sub(1) else { return Some((cfa, self.values.sp)) };
        let mut word = [0; 8];
        let len = self.word.bytes() as usize;
        self.read(self.places.address(inner, Slot::CallerStackPointer)?, &mut word[..len]);
        Some((cfa, u64::from_le_bytes(word)))
    }

    /// Whether one of the frames has an address.
    pub(super) fn covers(&self, address: u64) -> bool {
        address.checked_sub(self.low).is_some_and(|index| index < self.image.len() as u64)
    }

    /// Whether a task's frames begin in the part of the frame region that has this address.
    pub(super) fn is_window_of(runner: RunnerId, address: u64, word: WordSize) -> bool {
        let top = FrameStack::new(word, 0, &[]).host_cfa();
        let window = top.checked_sub(address + 1).map(|below| below / FRAMES_WINDOW);
        window == Some(u64::from(runner.0) % FRAMES_WINDOWS)
    }

    /// Memory of the frame region; what is in no frame is 0.
    pub(super) fn read(&self, address: u64, out: &mut [u8]) {
        for (address, byte) in (address..).zip(out) {
            let index = address.checked_sub(self.low).and_then(|index| usize::try_from(index).ok());
            *byte = index.and_then(|index| self.image.get(index)).copied().unwrap_or(0);
        }
    }

    /// What is at an address of the frame region: the depth of its frame as the inferior counts, and the part.
    pub(super) fn place(&self, address: u64) -> Option<(u32, Slot)> {
        let (depth, slot, _) = self.places.place(address)?;
        Some(((depth + self.hidden) as u32, slot))
    }

    /// The address of a part of a frame, by its depth as the inferior counts.
    pub(super) fn slot_address(&self, depth: u32, slot: Slot) -> Option<u64> {
        self.places.address((depth as usize).checked_sub(self.hidden)?, slot)
    }

    /// A local of a frame, by its depth as the inferior counts.
    pub(super) fn local(&self, depth: u32, local: u32) -> Option<WasmValue> {
        self.states.get(depth as usize)?.locals.get(local as usize).copied()
    }
}

/// A value in its slot. Of vectors, the first half.
pub(super) fn slot_bytes(value: WasmValue) -> [u8; SLOT_BYTES as usize] {
    let word = match value {
        WasmValue::V128(bytes) => bytes[..8].try_into().map_or(0, u64::from_le_bytes),
        WasmValue::Ref { null } => u64::from(!null),
        other => other.word().unwrap_or(0),
    };
    word.to_le_bytes()
}

/// Follows the stack pointers of a stack's modules outwards.
struct StackPointers<'a> {
    inferior: &'a mut dyn Inferior,
    modules: &'a Modules,
    runner: RunnerId,
    /// The pointer of each module that has been met, where the walk is.
    last: HashMap<ModuleId, u64>,
}

impl StackPointers<'_> {
    /// The pointer of a module: at first the present one.
    fn of(&mut self, module: ModuleId) -> u64 {
        if let Some(&pointer) = self.last.get(&module) {
            return pointer;
        }
        let pointer = if self.last.is_empty() {
            self.inferior.stack_pointer(self.runner).unwrap_or(0)
        } else {
            let global = self.modules.code(module).and_then(|code| code.stack_pointer());
            let globals = self.inferior.globals(self.runner, module).unwrap_or_default();
            let value = global.and_then(|global| globals.get(global as usize).copied().flatten());
            match value {
                Some(WasmValue::I32(value)) => u64::from(value),
                Some(WasmValue::I64(value)) => value,
                _ => 0,
            }
        };
        self.last.insert(module, pointer);
        pointer
    }

    /// Goes out of a frame: its function's room on the shadow stack is given back.
    fn leave(&mut self, state: &FrameState) {
        let CodeAddress { module, offset } = state.frame.address;
        let own = self.of(module);
        if let Some(code) = self.modules.code(module) {
            self.last.insert(module, code.callers_stack_pointer(state.frame.function, offset, &state.locals, own));
        }
    }
}

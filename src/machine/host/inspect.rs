//! What a store answers when it is asked: its frames, their locals and operand stacks, its globals.

use std::rc::Rc;

use wasmtime::{AsContextMut, Global, Instance, Mutability, Val, ValType};
use wkdb_debugger::inferior::{FrameState, InferiorError};
use wkdb_tracer::{Frame, ModuleId, WasmValue};

use super::super::debug::{Answer, Answered, Request};
use super::super::engine::MAX_FRAMES;
use super::breaks::{LiveFrame, live_frames};
use super::{RunnerData, frames, word};

/// What is said of code that was compiled for speed.
const NOT_COMPILED: &str = "the guest's code was compiled without debugging: no breakpoints, locals or steps; \
                            start it under the debugger to have them";

/// Refuses what needs code that was compiled for a debugger.
pub(in crate::machine) fn not_compiled() -> InferiorError {
    InferiorError::Refused(NOT_COMPILED.to_owned())
}

/// Answers a question about this store.
pub(super) fn answer(store: &mut impl AsContextMut<Data = RunnerData>, request: Request) -> Answered {
    match request {
        Request::Frames(_) => Ok(Answer::Frames(shown_frames(store))),
        Request::FrameStates(_) => frame_states(store).map(Answer::FrameStates),
        Request::Globals(_, module) => globals(store, module).map(Answer::Globals),
        Request::CodePlace(_) => super::breaks::code_place(store).map(Answer::CodePlace),
        Request::StackPointer(_) => stack_pointer(store).map(Answer::Number),
        Request::SetGlobal { module, global, value, .. } => {
            set_global(store, module, global, value).map(|()| Answer::Done)
        }
        other => Err(InferiorError::Refused(format!("{other:?} is no question about one task"))),
    }
}

/// The call stack as the debugger is to see it.
fn shown_frames(store: &mut impl AsContextMut<Data = RunnerData>) -> Vec<Frame> {
    let data = store.as_context().data();
    if let Some(lost) = &data.debug.lost_stack {
        return lost.clone();
    }
    let shown = data.debug.shown;
    let mut frames = frames(store);
    if let (Some(first), Some(shown)) = (frames.first_mut(), shown) {
        first.address = shown;
    }
    frames
}

/// The call stack with what is in the frames.
fn frame_states(store: &mut impl AsContextMut<Data = RunnerData>) -> Result<Vec<FrameState>, InferiorError> {
    let data = store.as_context().data();
    if !data.shared.debugging {
        return Err(not_compiled());
    }
    if let Some(lost) = data.debug.lost_stack.clone() {
        let empty = |frame| FrameState { frame, locals: Vec::new(), operands: Vec::new() };
        return Ok(lost.into_iter().map(empty).collect());
    }
    let (shared, shown, ready) = (Rc::clone(&data.shared), data.debug.shown, data.debug.ready);
    let images = shared.images.borrow();
    let mut states = Vec::new();
    for LiveFrame { handle, mut address } in live_frames(store, &images).into_iter().take(MAX_FRAMES) {
        let Some(code) = images.get(address.module).and_then(|image| image.function_code(address.offset)) else {
            continue;
        };
        let innermost = states.is_empty();
        if innermost {
            address = shown.unwrap_or(address);
        }
        let before = innermost && (ready || shown.is_some());
        // Above the function's own operands are those of calls: of the instruction, or of inserted code.
        let height = code
            .at(address.offset)
            .map_or(u32::MAX, |i| if before { i.height } else { i.height.saturating_sub(i.takes) });
        // Locals that the rewriting added are behind the function's own.
        let locals = handle.num_locals(&mut *store).unwrap_or(0).min(code.locals);
        let locals = (0..locals).filter_map(|n| handle.local(&mut *store, n).ok()).collect::<Vec<_>>();
        let operands = handle.num_stacks(&mut *store).unwrap_or(0).min(height);
        let operands = (0..operands).filter_map(|n| handle.stack(&mut *store, n).ok()).collect::<Vec<_>>();
        states.push(FrameState {
            frame: Frame { address, function: code.function },
            locals: locals.iter().map(value).collect(),
            operands: operands.iter().map(value).collect(),
        });
    }
    Ok(states)
}

/// A value in the terms of the debugger.
fn value(val: &Val) -> WasmValue {
    match val {
        Val::I32(v) => WasmValue::I32(*v as u32),
        Val::I64(v) => WasmValue::I64(*v as u64),
        Val::F32(v) => WasmValue::F32(*v),
        Val::F64(v) => WasmValue::F64(*v),
        Val::V128(v) => WasmValue::V128(v.as_u128().to_le_bytes()),
        Val::FuncRef(r) => WasmValue::Ref { null: r.is_none() },
        Val::ExternRef(r) => WasmValue::Ref { null: r.is_none() },
        Val::AnyRef(r) => WasmValue::Ref { null: r.is_none() },
        Val::ExnRef(r) => WasmValue::Ref { null: r.is_none() },
        Val::ContRef(r) => WasmValue::Ref { null: r.is_none() },
    }
}

/// The store's instance of a module.
fn instance(store: &impl AsContextMut<Data = RunnerData>, module: ModuleId) -> Result<Instance, InferiorError> {
    let data = store.as_context().data();
    let found = match &data.user {
        _ if module == ModuleId::KERNEL => data.kernel,
        Some(user) if user.module == module => Some(user.instance),
        _ => None,
    };
    found.ok_or_else(|| InferiorError::Refused(format!("{} does not run module {}", data.me, module.0)))
}

/// A global by its index in the original module, if the rewritten one has it.
fn global(
    store: &mut impl AsContextMut<Data = RunnerData>,
    instance: Instance,
    module: ModuleId,
    index: u32,
) -> Option<Global> {
    let rewritten = {
        let shared = Rc::clone(&store.as_context().data().shared);
        let images = shared.images.borrow();
        images.get(module)?.map()?.rewritten_global(index)?
    };
    instance.debug_global(&mut *store, rewritten)
}

fn globals(
    store: &mut impl AsContextMut<Data = RunnerData>,
    module: ModuleId,
) -> Result<Vec<Option<WasmValue>>, InferiorError> {
    let shared = Rc::clone(&store.as_context().data().shared);
    if !shared.debugging {
        return Err(not_compiled());
    }
    let instance = instance(store, module)?;
    let count = shared.images.borrow().get(module).map_or(0, |image| image.code().globals());
    let mut values = Vec::with_capacity(count as usize);
    for index in 0..count {
        let global = global(store, instance, module, index);
        values.push(global.map(|global| value(&global.get(&mut *store))));
    }
    Ok(values)
}

fn set_global(
    store: &mut impl AsContextMut<Data = RunnerData>,
    module: ModuleId,
    index: u32,
    new: WasmValue,
) -> Result<(), InferiorError> {
    if !store.as_context().data().shared.debugging {
        return Err(not_compiled());
    }
    let instance = instance(store, module)?;
    let found = global(store, instance, module, index);
    let global = found.ok_or_else(|| InferiorError::Refused(format!("module {} has no global {index}", module.0)))?;
    let ty = global.ty(&*store);
    if ty.mutability() == Mutability::Const {
        return Err(InferiorError::Refused(format!("global {index} is a constant")));
    }
    let val = match (ty.content(), new) {
        (ValType::I32, WasmValue::I32(v)) => Val::I32(v as i32),
        (ValType::I64, WasmValue::I64(v)) => Val::I64(v as i64),
        (ValType::F32, WasmValue::F32(v)) => Val::F32(v),
        (ValType::F64, WasmValue::F64(v)) => Val::F64(v),
        (ValType::V128, WasmValue::V128(v)) => Val::V128(u128::from_le_bytes(v).into()),
        (ty, new) => {
            let text = format!("global {index} is of type {ty}, not {}", new.type_name());
            return Err(InferiorError::Refused(text));
        }
    };
    global.set(&mut *store, val).map_err(|error| InferiorError::Refused(format!("{error:#}")))
}

/// The stack pointer of the module of the innermost frame.
fn stack_pointer(store: &mut impl AsContextMut<Data = RunnerData>) -> Result<u64, InferiorError> {
    let module = shown_frames(store).first().map_or(ModuleId::KERNEL, |frame| frame.address.module);
    let data = store.as_context().data();
    let global = match &data.user {
        Some(user) if user.module == module => Some(user.stack_pointer),
        _ => data.globals.and_then(|globals| globals.stack_pointer),
    };
    let me = data.me;
    let global = global.ok_or_else(|| InferiorError::Refused(format!("{me}'s module names no __stack_pointer")))?;
    Ok(word(Some(&global.get(&mut *store))))
}

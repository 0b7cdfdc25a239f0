//! Steps: which instructions a runner may come to next, and whether it has come to where the step ends.
//!
//! A step sets breakpoints where it may end: at the instructions of its frame's function, at the callers' next ones, at
//! the entry of a function that is called. Frames are told apart by how deep they are.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use wasmtime::{AsContextMut, FrameHandle, Instance, Ref, StoreContextMut, Val};
use wkdb_debugger::inferior::StepKind;
use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId};

use super::super::debug::{FunctionCode, Kind};
use super::super::images::Images;
use super::breaks::{self, depth, live_frames};
use super::{RunnerData, Shared};

/// What a step waits for.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Where it has breakpoints.
    pub(super) places: BTreeSet<CodeAddress>,
    /// The function that it has one at every instruction of, besides.
    pub(super) function: Option<(ModuleId, u32)>,
    /// How many frames there were when it began; 0 where they are gone, or were not there: then it ends in whatever the
    /// host calls next.
    depth: usize,
}

fn code(images: &Images, address: CodeAddress) -> Option<std::rc::Rc<FunctionCode>> {
    images.get(address.module)?.function_code(address.offset)
}

impl Plan {
    /// Whether the same breakpoints do for both.
    pub(super) fn waits_as(&self, other: &Plan) -> bool {
        (self.function, &self.places) == (other.function, &other.places)
    }

    fn waits_at(&self, images: &Images, address: CodeAddress) -> bool {
        let in_function = |(module, function)| {
            let here = images.get(module).and_then(|image| image.code().function_at(address.offset));
            module == address.module && here == Some(function)
        };
        self.places.contains(&address) || self.function.is_some_and(in_function)
    }
}

/// The places of a function's instructions that control can come to.
pub(super) fn instructions(images: &Images, module: ModuleId, function: u32) -> Vec<CodeAddress> {
    let code = images.get(module).and_then(|image| image.instructions(function));
    let live = code.iter().flat_map(|code| code.live());
    live.map(|i| CodeAddress { module, offset: CodeOffset(i.offset) }).collect()
}

/// What a step of this kind waits for from here.
pub(super) fn plan(store: &mut impl AsContextMut<Data = RunnerData>, shared: &Shared, kind: StepKind) -> Plan {
    let images = shared.images.borrow();
    let mut frames = live_frames(store, &images);
    if let (Some(first), Some(shown)) = (frames.first_mut(), store.as_context().data().debug.shown) {
        first.address = shown;
    }
    let mut plan = Plan { depth: frames.len(), ..Plan::default() };
    let Some((innermost, callers)) = frames.split_first() else { return plan };
    let here = innermost.address;
    for caller in callers.iter().map(|frame| frame.address) {
        let code = code(&images, caller);
        let next = code.as_ref().and_then(|code| code.slip(code.behind(caller.offset)?));
        plan.places.extend(next.map(|offset| CodeAddress { offset, ..caller }));
    }
    let Some(function) = code(&images, here) else { return plan };
    let range = match kind {
        StepKind::Out => return plan,
        StepKind::Instruction => None,
        StepKind::Into(range) => Some((range, true)),
        StepKind::Over(range) => Some((range, false)),
    };
    match &range {
        None => plan.function = Some((here.module, function.function)),
        Some((range, into)) => {
            let waits = |offset, kind| !inside(range, offset) || (*into && kind != Kind::Plain);
            let offsets = function.live().filter(|i| waits(i.offset, i.kind)).map(|i| CodeOffset(i.offset));
            plan.places.extend(offsets.map(|offset| CodeAddress { offset, ..here }));
        }
    }
    if !matches!(range, Some((_, false))) {
        plan.places.extend(callee(store, &images, &innermost.handle, here));
    }
    plan
}

fn inside(range: &Range<CodeOffset>, offset: u32) -> bool {
    range.contains(&CodeOffset(offset))
}

/// Whether the step is done with the runner at `address`, where it has a breakpoint; if not, makes sure that it will be.
pub(super) fn arrived(
    store: &mut StoreContextMut<'_, RunnerData>,
    shared: &Shared,
    kind: &StepKind,
    frame: &FrameHandle,
    address: CodeAddress,
) -> wasmtime::Result<bool> {
    let planned = &store.data().debug.plan;
    if !planned.waits_at(&shared.images.borrow(), address) {
        // A breakpoint of the debugger's, or of a step that was made before.
        return Ok(false);
    }
    let start = planned.depth;
    if start == 0 {
        return Ok(true);
    }
    let depth = depth(store, &shared.images.borrow());
    Ok(match kind {
        StepKind::Instruction => true,
        StepKind::Out => depth < start,
        StepKind::Over(range) => depth < start || (depth == start && !inside(range, address.offset.0)),
        StepKind::Into(range) => {
            if depth != start || !inside(range, address.offset.0) {
                return Ok(true);
            }
            // A call in the range: it ends in the function called, if that is the guest's.
            let entry = callee(store, &shared.images.borrow(), frame, address);
            if let Some(entry) = entry
                && store.data_mut().debug.plan.places.insert(entry)
            {
                breaks::arm(store, shared)?;
            }
            false
        }
    })
}

/// An exception is on its way: a step ends wherever it may be caught.
pub(super) fn thrown(store: &mut StoreContextMut<'_, RunnerData>) {
    let (shared, me) = (store.data().shared.clone(), store.data().me);
    if shared.core.borrow().debug.step_of(me).is_none() {
        return;
    }
    let catching: Vec<CodeAddress> = {
        let images = shared.images.borrow();
        let frames = live_frames(store, &images);
        let functions = frames.iter().filter_map(|frame| Some((frame.address, code(&images, frame.address)?)));
        let catching = functions.filter(|(_, code)| code.catches);
        let all = catching.flat_map(|(address, code)| {
            code.live().map(|i| CodeAddress { offset: CodeOffset(i.offset), ..address }).collect::<Vec<_>>()
        });
        all.collect()
    };
    store.data_mut().debug.plan.places.extend(catching);
    if let Err(error) = breaks::arm(store, &shared) {
        shared.core.borrow_mut().complain(Some(me), format!("a step may miss its end: {error:#}"));
    }
}

/// The host is about to call an export of the guest's: a step of an instruction ends there, and any whose frames are gone.
///
/// Other steps go over a handler of a signal, which is what the host calls while there are frames: as those of stock
/// debuggers do.
pub(super) fn host_calls(
    store: &mut impl AsContextMut<Data = RunnerData>,
    instance: Instance,
    name: &str,
) -> wasmtime::Result<()> {
    let data = store.as_context().data();
    let (shared, me) = (data.shared.clone(), data.me);
    if !shared.debugging {
        return Ok(());
    }
    let Some(into) = shared.core.borrow().debug.step_of(me).map(|step| step.kind == StepKind::Instruction) else {
        return Ok(());
    };
    let frames = store.as_context_mut().debug_exit_frames().next().is_some();
    // What the host asks of the kernel for itself is no place where a task goes on.
    if !into && (frames || name.starts_with("get_user_")) {
        return Ok(());
    }
    let entry = {
        let images = shared.images.borrow();
        let image = images.of(instance.module(&*store));
        image.and_then(|image| image.entry(image.code().exported(name)?))
    };
    if let Some(entry) = entry {
        let mut context = store.as_context_mut();
        let plan = &mut context.data_mut().debug.plan;
        if !frames {
            *plan = Plan::default();
        }
        plan.places.insert(entry);
        breaks::arm(store, &shared)?;
    }
    Ok(())
}

/// The first instruction of the function that the instruction at `address` of `frame` calls; none where it is no call,
/// or calls the host.
fn callee(
    store: &mut impl AsContextMut<Data = RunnerData>,
    images: &Images,
    frame: &FrameHandle,
    address: CodeAddress,
) -> Option<CodeAddress> {
    let image = images.get(address.module)?;
    let instruction = *code(images, address)?.at(address.offset)?;
    let top = |store: &mut _| {
        let last = frame.num_stacks(&mut *store).ok()?.checked_sub(1)?;
        frame.stack(&mut *store, last).ok()
    };
    match instruction.kind {
        Kind::Plain => None,
        Kind::Call { function, .. } => match image.code().import(function) {
            None => image.entry(function),
            Some((_, name)) => {
                // A system call: from the image straight into the kernel.
                let arity = name.strip_prefix("__wasm_syscall_").filter(|_| image.id != ModuleId::KERNEL)?;
                let kernel = images.get(ModuleId::KERNEL)?;
                kernel.entry(kernel.code().exported(&format!("wasm_syscall_{arity}"))?)
            }
        },
        Kind::CallIndirect { table, .. } => {
            let index = match top(store)? {
                Val::I32(index) => u64::from(index as u32),
                Val::I64(index) => index as u64,
                _ => return None,
            };
            let instance = frame.instance(&mut *store).ok()?;
            let table = instance.debug_table(&mut *store, table)?;
            let Ref::Func(Some(function)) = table.get(&mut *store, index)? else { return None };
            find(store, images, &function)
        }
        Kind::CallRef { .. } => match top(store)? {
            Val::FuncRef(Some(function)) => find(store, images, &function),
            _ => None,
        },
    }
}

/// The first instruction of a function of the guest's that a reference refers to.
fn find(
    store: &mut impl AsContextMut<Data = RunnerData>,
    images: &Images,
    function: &wasmtime::Func,
) -> Option<CodeAddress> {
    let wanted = function.to_raw(&mut *store) as usize;
    if let Some(&found) = store.as_context().data().debug_functions.get(&wanted) {
        return Some(found);
    }
    let data = store.as_context().data();
    let instances: Vec<Instance> = data.kernel.into_iter().chain(data.user.as_ref().map(|u| u.instance)).collect();
    let mut all = HashMap::new();
    for instance in instances {
        let Some(image) = images.of(instance.module(&*store)) else { continue };
        let Some(map) = image.map() else { continue };
        for &function in image.code().referenced() {
            let Some(entry) = image.entry(function) else { continue };
            if let Some(reference) = instance.debug_function(&mut *store, map.rewritten_function(function)) {
                all.insert(reference.to_raw(&mut *store) as usize, entry);
            }
        }
    }
    let found = all.get(&wanted).copied();
    store.as_context_mut().data_mut().debug_functions = all;
    found
}

//! Breakpoints in a store's code, and what happens where one is met.
//!
//! Each store has a private copy of the code, in which the engine sets and removes breakpoints: so a breakpoint can be
//! one runner's own. A store's code is brought up to date when its runner goes on ([`sync`]), never while others run.
//! An edit costs two changes of the protection of all of a module's code, so edits are made together, and what a step
//! needs stays for the next one.

use std::collections::BTreeSet;
use std::rc::Rc;

use wasmtime::{AsContextMut, DebugEvent, DebugHandler, FrameHandle, ModulePC, StoreContextMut};
use wkdb_debugger::inferior::{InferiorError, StopReason};
use wkdb_tracer::recording::CodePlace;
use wkdb_tracer::{CodeAddress, CodeOffset, Frame, ModuleId, Outcome, Tick};

use super::super::images::Images;
use super::life::guest_fault;
use super::step::{self, Plan};
use super::{RunnerData, Shared, Unwind, charge, meet, pause};

/// Functions in which steps leave their breakpoints for the next step, at most.
const MAX_STEPPED: usize = 64;

/// What a store knows of the debugger.
#[derive(Default)]
pub(super) struct StoreDebug {
    /// The version of the debugger's wishes that the code is at.
    version: u64,
    /// The step that the code is ready for.
    step_number: u64,
    /// Where breakpoints are set one by one.
    armed: BTreeSet<CodeAddress>,
    /// Functions that have one at every instruction: those that steps came to, one after the other.
    stepped: BTreeSet<(ModuleId, u32)>,
    pub(super) plan: Plan,
    /// Where the runner said that it is, if that is not what its code says: behind the instruction that is under way.
    pub(super) shown: Option<CodeAddress>,
    /// The place, the depth and the tick at which the debugger was told that the runner is, before the breakpoint there
    /// was met.
    told: Option<(CodeAddress, usize, Tick)>,
    /// The instruction that the runner is at has not begun: its operands are there.
    pub(super) ready: bool,
    /// The engine's idea of where the innermost frame is names the instruction itself: see [`place`].
    own_pc: bool,
    /// It is unwinding from a trap that the debugger was told of.
    pub(super) trapped: bool,
    /// The frames of a trap that are gone.
    pub(super) lost_stack: Option<Vec<Frame>>,
}

/// A frame of a store's.
pub(super) struct LiveFrame {
    pub(super) handle: FrameHandle,
    /// The instruction that it is at, of the original module.
    pub(super) address: CodeAddress,
}

/// The engine's frames, innermost first: of all the store's activations.
fn handles(store: &mut impl AsContextMut<Data = RunnerData>) -> Vec<FrameHandle> {
    let exits: Vec<_> = store.as_context_mut().debug_exit_frames().collect();
    let mut all = Vec::new();
    for exit in exits {
        let mut next = Some(exit);
        while let Some(frame) = next {
            next = frame.parent(&mut *store).ok().flatten();
            all.push(frame);
        }
    }
    all
}

/// How many frames of the guest's own functions a store has.
pub(super) fn depth(store: &mut impl AsContextMut<Data = RunnerData>, images: &Images) -> usize {
    let frames = handles(store);
    frames.iter().filter(|frame| is_original(store, images, frame).is_some()).count()
}

/// Something if a frame is of a function that the original module has: the rewriting adds some.
fn is_original(
    store: &mut impl AsContextMut<Data = RunnerData>,
    images: &Images,
    frame: &FrameHandle,
) -> Option<CodeOffset> {
    let (_, pc) = frame.wasm_function_index_and_pc(&mut *store).ok()??;
    let image = images.of(frame.module(store.as_context_mut()).ok()??)?;
    image.map()?.original(pc.raw().checked_sub(1)?)
}

/// All frames of a store and where they are, innermost first.
pub(super) fn live_frames(store: &mut impl AsContextMut<Data = RunnerData>, images: &Images) -> Vec<LiveFrame> {
    let mut own_pc = store.as_context().data().debug.own_pc;
    let mut frames = Vec::new();
    for handle in handles(store) {
        let address = place(store, images, &handle, std::mem::take(&mut own_pc));
        frames.extend(address.map(|address| LiveFrame { handle, address }));
    }
    frames
}

/// Where a frame is, in terms of the original module.
///
/// Of a frame that calls, the engine gives the next instruction: it is at the one before that, whose last byte is in
/// front of it. `own_pc`: of one that was stopped by a breakpoint or a trap it gives the instruction itself.
fn place(
    store: &mut impl AsContextMut<Data = RunnerData>,
    images: &Images,
    frame: &FrameHandle,
    own_pc: bool,
) -> Option<CodeAddress> {
    let (_, pc) = frame.wasm_function_index_and_pc(&mut *store).ok()??;
    let image = images.of(frame.module(store.as_context_mut()).ok()??)?;
    let map = image.map()?;
    let offset = match own_pc {
        true => map.original(pc.raw())?,
        false => {
            let last = map.original(pc.raw().checked_sub(1)?)?;
            CodeOffset(image.function_code(last)?.around(last)?.offset)
        }
    };
    Some(CodeAddress { module: image.id, offset })
}

/// The modules that a store has instances of.
pub(super) fn present(store: &mut impl AsContextMut<Data = RunnerData>) -> Vec<ModuleId> {
    let data = store.as_context().data();
    let kernel = data.kernel.is_some().then_some(ModuleId::KERNEL);
    kernel.into_iter().chain(data.user.as_ref().map(|user| user.module)).collect()
}

/// Brings the store's code up to what the debugger wants of it.
pub(super) fn sync(store: &mut impl AsContextMut<Data = RunnerData>) -> wasmtime::Result<()> {
    let data = store.as_context().data();
    if !data.shared.debugging {
        return Ok(());
    }
    let (shared, me) = (Rc::clone(&data.shared), data.me);
    let (version, number, step) = {
        let core = shared.core.borrow();
        (core.debug.version, core.debug.step_number, core.debug.step_of(me).map(|step| step.kind.clone()))
    };
    let mut context = store.as_context_mut();
    let known = &mut context.data_mut().debug;
    if known.version == version && (step.is_none() || known.step_number == number) {
        return Ok(());
    }
    let stepping = step.is_some();
    let same_version = known.version == version;
    (known.version, known.step_number) = (version, number);
    let plan = match step {
        Some(kind) => step::plan(store, &shared, kind),
        None => Plan::default(),
    };
    let mut context = store.as_context_mut();
    let known = &mut context.data_mut().debug;
    if same_version && stepping && plan.waits_as(&known.plan) {
        known.plan = plan;
        return Ok(());
    }
    known.plan = plan;
    arm(store, &shared)
}

/// The store has another module now.
pub(super) fn sync_modules(store: &mut impl AsContextMut<Data = RunnerData>) -> wasmtime::Result<()> {
    let shared = Rc::clone(&store.as_context().data().shared);
    if shared.debugging { arm(store, &shared) } else { Ok(()) }
}

/// Sets and removes breakpoints so that there are those of the debugger's that are for this runner, and those of its
/// step.
pub(super) fn arm(store: &mut impl AsContextMut<Data = RunnerData>, shared: &Shared) -> wasmtime::Result<()> {
    let modules = present(store);
    let mut context = store.as_context_mut();
    let me = context.data().me;
    let known = &mut context.data_mut().debug;
    let function = known.plan.function;
    let outgrown = function.is_none() || known.stepped.len() >= MAX_STEPPED;
    let left = if outgrown { std::mem::take(&mut known.stepped) } else { BTreeSet::new() };
    let entered = function.filter(|&function| known.stepped.insert(function));
    let images = shared.images.borrow();
    // What has one at every instruction needs no more: a step into a function and out of it changes nothing then.
    let covered = |place: &CodeAddress| {
        let function = images.get(place.module).and_then(|image| image.code().function_at(place.offset));
        function.is_some_and(|function| known.stepped.contains(&(place.module, function)))
    };
    let wanted: BTreeSet<CodeAddress> = {
        let core = shared.core.borrow();
        let meeting = core.debug.meeting_of(me).map(|meeting| meeting.address);
        let places = core.debug.breakpoints.places(me).chain(known.plan.places.iter().copied()).chain(meeting);
        places.filter(|place| modules.contains(&place.module) && !covered(place)).collect()
    };
    let armed = std::mem::replace(&mut known.armed, wanted.clone());
    if armed == wanted && left.is_empty() && entered.is_none() {
        return Ok(());
    }
    let Some(mut edit) = context.edit_breakpoints() else { return Ok(()) };
    let code = |address: &CodeAddress| {
        let image = images.get(address.module)?;
        Some((image.module(), ModulePC::new(image.map()?.rewritten(address.offset)?)))
    };
    let whole = |&(module, function): &(ModuleId, u32)| step::instructions(&images, module, function);
    for (module, pc) in armed.difference(&wanted).filter_map(code) {
        edit.remove_breakpoint(module, pc)?;
    }
    for (module, pc) in left.iter().flat_map(whole).filter_map(|address| code(&address)) {
        edit.remove_breakpoint(module, pc)?;
    }
    for (module, pc) in wanted.difference(&armed).filter_map(code) {
        edit.add_breakpoint(module, pc)?;
    }
    for (module, pc) in entered.iter().flat_map(whole).filter_map(|address| code(&address)) {
        edit.add_breakpoint(module, pc)?;
    }
    Ok(())
}

/// Where the runner is, if its code can say.
fn position(store: &mut impl AsContextMut<Data = RunnerData>, shared: &Shared) -> Option<(FrameHandle, CodeAddress)> {
    let exit = store.as_context_mut().debug_exit_frames().next()?;
    let address = place(store, &shared.images.borrow(), &exit, true)?;
    Some((exit, address))
}

/// The runner is about to stop behind the instruction that is under way.
pub(super) fn show_behind(store: &mut impl AsContextMut<Data = RunnerData>) {
    charge(store);
    let shared = Rc::clone(&store.as_context().data().shared);
    let Some(at) = super::frames(store).first().map(|frame| frame.address) else { return };
    let images = shared.images.borrow();
    let code = images.get(at.module).and_then(|image| image.function_code(at.offset));
    let Some(offset) = code.and_then(|code| code.behind(at.offset)) else { return };
    let shown = CodeAddress { offset, ..at };
    let depth = depth(store, &images);
    let tick = shared.core.borrow().ticks;
    let mut context = store.as_context_mut();
    let known = &mut context.data_mut().debug;
    known.shown = Some(shown);
    known.told = Some((shown, depth, tick));
}

/// A breakpoint is met: of the debugger's, or of a step.
async fn hit(store: &mut StoreContextMut<'_, RunnerData>) {
    store.data_mut().debug.own_pc = true;
    met(store).await;
    store.data_mut().debug.own_pc = false;
}

async fn met(store: &mut StoreContextMut<'_, RunnerData>) {
    charge(store);
    let (shared, me) = (store.data().shared.clone(), store.data().me);
    let Some((frame, address)) = position(store, &shared) else { return };
    let meeting = shared.core.borrow().debug.meeting_of(me).filter(|meeting| meeting.address == address);
    if meeting.is_some_and(|meeting| meeting.depth as usize == depth(store, &shared.images.borrow())) {
        meet(store).await;
    }
    if let Some((told, depth, tick)) = store.data_mut().debug.told.take()
        && (told, tick) == (address, shared.core.borrow().ticks)
        && depth == self::depth(store, &shared.images.borrow())
    {
        return;
    }
    let (met, stepping) = {
        let core = shared.core.borrow();
        (core.debug.breakpoints.hit(address, me), core.debug.step_of(me).map(|step| step.kind.clone()))
    };
    let done = match stepping {
        Some(kind) => match step::arrived(store, &shared, &kind, &frame, address) {
            Ok(done) => done,
            Err(error) => {
                let text = format!("a step cannot go on: {error:#}");
                shared.core.borrow_mut().stop(Outcome::Broken(text));
                true
            }
        },
        None => false,
    };
    if !met.is_empty() && !done {
        let mut core = shared.core.borrow_mut();
        let tick = core.ticks;
        if let Some(survey) = &mut core.debug.survey {
            survey.meet(tick);
            return;
        }
    }
    store.data_mut().debug.ready = true;
    if !met.is_empty() {
        pause(store, StopReason::Breakpoint(met)).await;
    } else if done {
        pause(store, StopReason::Step).await;
    }
    store.data_mut().debug.ready = false;
}

/// The instruction that this runner, which is stopped, is about to begin.
///
/// # Errors
/// It is not stopped in front of one: the host is in the middle of what it does for it.
pub(super) fn code_place(store: &mut impl AsContextMut<Data = RunnerData>) -> Result<CodePlace, InferiorError> {
    let data = store.as_context().data();
    let (shared, runner, shown, own_pc) = (data.shared.clone(), data.me, data.debug.shown, data.debug.own_pc);
    let inside = || {
        let text = "the run is recorded, and a recording cannot tell of a change in the middle of a host call: step to \
                    the next instruction (stepi), then make it";
        InferiorError::Refused(text.into())
    };
    if !shared.debugging || (shown.is_none() && !own_pc) {
        return Err(inside());
    }
    let images = shared.images.borrow();
    let frames = live_frames(store, &images);
    let address = shown.or_else(|| frames.first().map(|frame| frame.address)).ok_or_else(inside)?;
    Ok(CodePlace { runner, address, depth: depth(store, &images) as u32 })
}

/// The engine's way to tell of what happens in a store's code.
#[derive(Clone)]
pub(super) struct Handler;

impl DebugHandler for Handler {
    type Data = RunnerData;

    async fn handle(&self, mut store: StoreContextMut<'_, RunnerData>, event: DebugEvent<'_>) {
        let reason = match event {
            DebugEvent::Breakpoint => return hit(&mut store).await,
            DebugEvent::Exception(_) => return step::thrown(&mut store),
            DebugEvent::EpochYield => return,
            DebugEvent::Trap(trap) => {
                let text = trap.to_string();
                Some(text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned())
            }
            DebugEvent::HostcallError(error) if error.is::<Unwind>() => None,
            DebugEvent::HostcallError(error) => guest_fault(error),
        };
        if let Some(reason) = reason {
            trapped(&mut store, reason, Vec::new()).await;
        }
    }
}

/// The guest trapped. `lost` are the frames of the trap if they are gone already.
pub(super) async fn trapped(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    reason: String,
    lost: Vec<Frame>,
) {
    let attached = store.as_context().data().shared.core.borrow().debug.attached;
    // What unwinds through several activations is seen in each.
    let known = std::mem::replace(&mut store.as_context_mut().data_mut().debug.trapped, true);
    if attached && !known {
        // The trap may be the guest's own or come from a host function that it called: the backtrace knows.
        let shared = store.as_context().data().shared.clone();
        let told = super::frames(store).first().map(|frame| frame.address);
        let own_pc = told.is_some() && position(store, &shared).map(|(_, address)| address) == told;
        let mut context = store.as_context_mut();
        let debug = &mut context.data_mut().debug;
        debug.lost_stack = (!lost.is_empty()).then_some(lost);
        (debug.ready, debug.own_pc) = (true, own_pc);
        pause(store, StopReason::Trap { reason }).await;
        store.as_context_mut().data_mut().debug.own_pc = false;
    }
}

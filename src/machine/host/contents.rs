//! Stores into the stacks of others, as the host hears of them: see `detect/contents.rs`; and heaps that grow into stacks in
//! use: see `detect/overlay.rs`.

use std::ops::Range;

use wasmtime::AsContextMut;
use wkdb_tracer::{Change, CodeAddress, Detector, ModuleId, RunnerId};

use super::super::detect::contents::Trespass;
use super::super::detect::frames::Untouchable;
use super::detect::found;
use super::{RunnerData, charge, frames, trespass};

/// Most bytes of a store that a finding shows.
const SHOWN: u64 = 64;

/// The runner is about to be suspended: notes its stack pointers, if stacks are watched.
pub(super) fn note_stack_pointers(store: &mut impl AsContextMut<Data = RunnerData>) {
    if !store.as_context().data().shared.core.borrow().detects(Detector::StackContents) {
        return;
    }
    let kernel = super::user::kernel_stack_pointer(store).map(|value| super::word(Some(&value)));
    let user = user_stack_pointer(store);
    if let Some(kernel) = kernel {
        let context = store.as_context();
        let data = context.data();
        data.shared.core.borrow_mut().note_stack_pointers(data.me, kernel, user);
    }
}

/// The stack pointer of the program that a runner has.
fn user_stack_pointer(store: &mut impl AsContextMut<Data = RunnerData>) -> Option<u64> {
    let pointer = store.as_context().data().user.as_ref()?.stack_pointer;
    Some(super::word(Some(&pointer.get(&mut *store))))
}

/// A program's system call is done: looks whether its heap reaches into a stack in use.
pub(super) fn returned(store: &mut impl AsContextMut<Data = RunnerData>) {
    let context = store.as_context();
    let (shared, me) = (context.data().shared.clone(), context.data().me);
    if !shared.core.borrow().detects(Detector::StackContents) {
        return;
    }
    let Some(pointer) = user_stack_pointer(store) else { return };
    let mut core = shared.core.borrow_mut();
    let mut overlays = core.overlays(&shared, me, pointer);
    overlays.retain(|overlay| core.tell_overlay_once(overlay));
    drop(core);
    if overlays.is_empty() {
        return;
    }
    charge(store);
    let mut stack = frames(store);
    stack.retain(|frame| frame.address.module != ModuleId::KERNEL);
    let mut core = shared.core.borrow_mut();
    for overlay in overlays {
        let finding = core.overlies(me, &overlay).at(stack.clone());
        core.found(&finding);
    }
}

/// The guest's code has written: looks whether that was into somebody else's stack, and may be.
pub(super) async fn wrote(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    written: &Range<u64>,
) -> wasmtime::Result<()> {
    let shared = store.as_context().data().shared.clone();
    let me = store.as_context().data().me;
    let overlaid = shared.core.borrow().overlaid(&shared, me, written);
    if let Some(owner) = overlaid
        && super::site(store).is_none()
    {
        return trespassed(store, owner, written, &Trespass::Heap).await;
    }
    let owner = shared.core.borrow().detection.stacks.owner(written).filter(|owner| *owner != me);
    let Some(owner) = owner else { return Ok(()) };
    // It has not run yet: who makes it makes its stack, too.
    if !shared.core.borrow().runners.get(owner).is_some_and(|runner| runner.started) {
        return Ok(());
    }
    let noted = super::site(store).map(|offset| CodeAddress { module: ModuleId::KERNEL, offset });
    let told = |place| shared.core.borrow().was_told(Detector::StackContents, place);
    if noted.is_some_and(told) {
        return Ok(());
    }
    let why = match noted {
        None => Some(Trespass::Program),
        Some(_) => {
            let known = shared.known_trespass(owner, written);
            match known {
                Some(why) => why,
                None => trespass(store, owner, written.clone()).await,
            }
        }
    };
    match why {
        Some(why) => trespassed(store, owner, written, &why).await,
        None => Ok(()),
    }
}

/// Tells that the instruction that is under way has written into the stack of another runner, once.
async fn trespassed(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    owner: RunnerId,
    written: &Range<u64>,
    why: &Trespass,
) -> wasmtime::Result<()> {
    let shared = store.as_context().data().shared.clone();
    let me = store.as_context().data().me;
    charge(store);
    let stack = frames(store);
    let mut finding = shared.core.borrow().trespassed(me, owner, written, why).at(stack);
    let new = shared.memory.read_vec(written.start, (written.end - written.start).min(SHOWN)).unwrap_or_default();
    finding.change = Some(Change { old: None, new });
    if let Trespass::Frame(frame, why) = why {
        let symbols = shared.images.borrow().get(ModuleId::KERNEL).and_then(|kernel| kernel.symbols());
        if let Some(symbols) = symbols {
            let place = symbols.locate(frame.address.offset).frames.into_iter().next();
            let name = symbols.function_name(frame.function);
            let source = place.and_then(|place| place.source);
            let line =
                source.map(|source| format!(" ({}:{})", source.file, source.line.unwrap_or(0))).unwrap_or_default();
            let what = match why {
                Untouchable::NoVariable => "which has no variable there".to_owned(),
                Untouchable::Unshared(Some(name)) => format!("which gives nobody the address of {name}"),
                Untouchable::Unshared(None) => "which gives nobody the address of what is there".to_owned(),
            };
            finding = finding.detail(format!("that is in the frame of {name}{line}, {what}"));
        }
    }
    let new = shared.core.borrow_mut().tell_once(&finding);
    if new { found(store, finding).await } else { Ok(()) }
}

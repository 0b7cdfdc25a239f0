//! Stores into the kernel stacks of others, as the host hears of them: see `detect/contents.rs`; and heaps that grow into
//! their programs' stacks.

use std::ops::Range;

use wasmtime::AsContextMut;
use wkdb_tracer::{Change, CodeAddress, Detector, Finding, ModuleId};

use super::super::detect::contents::Trespass;
use super::super::detect::stack;
use super::detect::found;
use super::{RunnerData, charge, frames, trespass};

/// Most bytes of a store that a finding shows.
const SHOWN: u64 = 64;

/// The runner is about to be suspended: notes its stack pointer, if stacks are watched.
pub(super) fn note_stack_pointer(store: &mut impl AsContextMut<Data = RunnerData>) {
    if !store.as_context().data().shared.core.borrow().detects(Detector::StackContents) {
        return;
    }
    let pointer = super::user::kernel_stack_pointer(store).map(|value| super::word(Some(&value)));
    if let Some(pointer) = pointer {
        let context = store.as_context();
        let data = context.data();
        data.shared.core.borrow_mut().note_stack_pointer(data.me, pointer);
    }
}

/// A program's system call is done: looks whether its heap reaches into the stack that it uses. They are one area, in which
/// the one grows up and the other down, and nothing is between them.
pub(super) fn returned(store: &mut impl AsContextMut<Data = RunnerData>) {
    let context = store.as_context();
    let data = context.data();
    let (shared, me) = (data.shared.clone(), data.me);
    let Some(stack_pointer) = data.user.as_ref().map(|user| user.stack_pointer) else { return };
    let task = {
        let core = shared.core.borrow();
        core.runners.get(me).map(|runner| runner.task.0).filter(|_| core.detects(Detector::StackContents))
    };
    let Some(task) = task else { return };
    let wide = shared.boot_data.pointer_bytes == 8;
    let heap = stack::heap_end(&shared.memory, &shared.facts, wide, task);
    let bounds = stack::user_stack(&shared.memory, &shared.facts, wide, task);
    let (Some(end), Some(bounds)) = (heap, bounds) else { return };
    let pointer = super::word(Some(&stack_pointer.get(&mut *store)));
    // Other threads have their stacks elsewhere.
    if !bounds.contains(&pointer) || end <= pointer {
        return;
    }
    let stack = frames(store);
    let place = stack.iter().map(|frame| frame.address).find(|place| place.module != ModuleId::KERNEL);
    let mut core = shared.core.borrow_mut();
    if place.is_none_or(|place| core.was_told(Detector::StackContents, place)) {
        return;
    }
    let context = core.context(me);
    let headline = format!("the heap of {} reaches {} bytes into the stack that it uses", context.comm, end - pointer);
    let finding = Finding::new(Detector::StackContents, headline)
        .about(context)
        .at(stack.into_iter().skip_while(|frame| frame.address.module == ModuleId::KERNEL).collect())
        .on(pointer, end - pointer)
        .detail(format!("the heap ends at {end:#x}, and the stack pointer is {pointer:#x}"));
    if core.tell_once(&finding) {
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
        Some(_) => trespass(store, owner, written.clone()).await,
    };
    let Some(why) = why else { return Ok(()) };
    charge(store);
    let stack = frames(store);
    let mut finding = shared.core.borrow().trespassed(me, owner, written, &why).at(stack);
    let new = shared.memory.read_vec(written.start, (written.end - written.start).min(SHOWN)).unwrap_or_default();
    finding.change = Some(Change { old: None, new });
    if let Trespass::Frame(frame) = &why {
        let symbols = shared.images.borrow().get(ModuleId::KERNEL).and_then(|kernel| kernel.symbols());
        if let Some(symbols) = symbols {
            let place = symbols.locate(frame.address.offset).frames.into_iter().next();
            let name = symbols.function_name(frame.function);
            let source = place.and_then(|place| place.source);
            let line =
                source.map(|source| format!(" ({}:{})", source.file, source.line.unwrap_or(0))).unwrap_or_default();
            finding = finding.detail(format!("that is in the frame of {name}{line}, which has no variable there"));
        }
    }
    let new = shared.core.borrow_mut().tell_once(&finding);
    if new { found(store, finding).await } else { Ok(()) }
}

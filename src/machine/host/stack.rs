//! The stack pointer is somewhere else than the code was told: it has left its stack, or begins on another one.

use std::collections::BTreeSet;

use wasmtime::{AsContextMut, Caller, Global, Linker, Val};
use wkdb_tracer::{Detector, ModuleId};

use super::super::detect::stack::{self, Bounds, Left, Whose};
use super::detect::found;
use super::{RunnerData, charge, frames, here, set_word};
use crate::instrument::IMPORT_MODULE;

/// How often the host looks for a stack that it does not know before it takes it that nobody knows it.
const TRIES: u32 = 64;

/// What the code of a module compares its stack pointer with.
#[derive(Clone, Copy)]
pub(super) struct StackBounds {
    pub(super) low: Global,
    pub(super) room: Global,
}

/// What is known of the stack of a store's module.
#[derive(Default)]
pub(super) struct StackWatch {
    /// Where it is, once it was found.
    known: Option<Bounds>,
    /// The pointer was out of it when it was last looked at.
    out: bool,
    tries: u32,
    /// Functions in which that was told.
    told: BTreeSet<u32>,
}

/// Defines what the code calls.
pub(super) fn define(linker: &mut Linker<RunnerData>, wide: bool) -> wasmtime::Result<()> {
    let whose = |user: u32| if user == 0 { Whose::Kernel } else { Whose::User };
    match wide {
        true => linker.func_wrap_async(IMPORT_MODULE, "stack_left", move |caller, (pointer, user): (u64, u32)| {
            Box::new(left(caller, pointer, whose(user)))
        }),
        false => linker.func_wrap_async(IMPORT_MODULE, "stack_left", move |caller, (pointer, user): (u32, u32)| {
            Box::new(left(caller, pointer.into(), whose(user)))
        }),
    }?;
    Ok(())
}

fn watch(data: &mut RunnerData, whose: Whose) -> Option<(&mut StackWatch, StackBounds)> {
    match whose {
        Whose::Kernel => Some((&mut data.kernel_stack, data.globals?.stack_bounds?)),
        Whose::User => {
            let user = data.user.as_mut()?;
            Some((&mut user.stack_watch, user.stack_bounds?))
        }
    }
}

/// Has the code call again outside of this, or always.
fn set_bounds(store: &mut impl AsContextMut<Data = RunnerData>, at: StackBounds, to: Option<&Bounds>) {
    // A stack pointer is a multiple of 16: it is never 1.
    let (low, room) = to.map_or((1, 0), |bounds| (*bounds.start(), bounds.end() - bounds.start()));
    // They are the rewriter's own, and mutable.
    let _ = set_word(store, at.low, low).and_then(|()| set_word(store, at.room, room));
}

/// The stack pointer was moved out of the bounds that the code knows.
async fn left(mut caller: Caller<'_, RunnerData>, pointer: u64, whose: Whose) -> wasmtime::Result<()> {
    let (shared, me) = here(&caller);
    let Some(task) = shared.core.borrow().runners.get(me).map(|runner| runner.task.0) else { return Ok(()) };
    let (facts, wide) = (&shared.facts, shared.boot_data.pointer_bytes == 8);
    let bounds = match whose {
        Whose::Kernel => stack::kernel_stack(&shared.memory, facts, wide, task),
        Whose::User => stack::user_stack(&shared.memory, facts, wide, task),
    };
    let Some((watch, globals)) = self::watch(caller.data_mut(), whose) else { return Ok(()) };
    let inside = bounds.as_ref().is_some_and(|bounds| bounds.contains(&pointer));
    if let (true, Some(bounds)) = (inside, bounds) {
        watch.out = false;
        watch.known = Some(bounds.clone());
        set_bounds(&mut caller, globals, Some(&bounds));
        return Ok(());
    }
    let Some(known) = watch.known.clone() else {
        // It began elsewhere: before the kernel goes to its task's stack, or on one that a program made for a thread.
        watch.tries += 1;
        if whose == Whose::User || watch.tries >= TRIES {
            set_bounds(&mut caller, globals, Some(&(0..=u64::MAX)));
        }
        return Ok(());
    };
    let first = !std::mem::replace(&mut watch.out, true);
    set_bounds(&mut caller, globals, None);
    if !first {
        return Ok(());
    }
    charge(&mut caller);
    let stack = frames(&caller);
    let function = stack.first().map_or(u32::MAX, |frame| frame.function);
    if self::watch(caller.data_mut(), whose).is_some_and(|(watch, _)| !watch.told.insert(function)) {
        return Ok(());
    }
    // A frame that leaves the stack overwrites what is next to it first.
    let (low, high) = (*known.start(), *known.end());
    let next = if pointer < low { low.saturating_sub(facts.stack_guard).saturating_sub(1) } else { high };
    let finding = {
        let images = shared.images.borrow();
        let symbols = images.get(ModuleId::KERNEL).and_then(|kernel| kernel.symbols());
        let symbol = |address: u64| symbols.as_ref()?.symbol_at(address).map(|(s, at)| (s.name.clone(), at));
        if symbol(pointer).is_some_and(|(name, _)| name.contains("stack")) && whose == Whose::Kernel {
            // It has gone to a stack that the kernel keeps for interrupts, or for telling of an overflow.
            return Ok(());
        }
        let core = shared.core.borrow();
        let named = || symbol(next).map(|(name, at)| if at == 0 { name } else { format!("{name}+{at:#x}") });
        let there = core.task_at(facts, wide, next).or_else(named);
        core.left_stack(me, Left { whose, bounds: &known, pointer, stack, there })
    };
    debug_assert_eq!(finding.detector, Detector::Stack);
    found(&mut caller, finding).await
}

/// What a user image is given for one of the bounds.
pub(super) fn bound(
    store: &mut impl AsContextMut<Data = RunnerData>,
    ty: wasmtime::GlobalType,
) -> wasmtime::Result<Global> {
    let zero = if ty.content().is_i64() { Val::I64(0) } else { Val::I32(0) };
    Global::new(store, ty, zero)
}

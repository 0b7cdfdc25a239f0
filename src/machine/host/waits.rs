//! What the rewriter put into the guest's code: ticks, waits, notifies, growth, stores.

use wasmtime::{Caller, ExternType, Linker, Module, Trap, Val};
use wkdb_tracer::Writer;

use super::super::memory::OutOfBounds;
use super::super::runners::Wake;
use super::{RunnerData, charge, define_suspending, define_sync, frames, here, int, suspend, word};

/// Import module of everything here.
const MODULE: &str = "wkdb";

/// Results of `memory.atomic.wait`, by the threads proposal.
const OK: i64 = 0;
const NOT_EQUAL: i64 = 1;
const TIMED_OUT: i64 = 2;

/// Defines the functions at the types that `kernel` imports; user images have the same.
pub(super) fn define(linker: &mut Linker<RunnerData>, kernel: &Module) -> wasmtime::Result<()> {
    for import in kernel.imports().filter(|i| i.module() == MODULE) {
        let ExternType::Func(ty) = import.ty() else { continue };
        match import.name() {
            "tick" => linker.func_wrap_async(MODULE, "tick", |caller, ()| Box::new(tick(caller))).map(|_| ())?,
            "wait32" => define_suspending(linker, MODULE, "wait32", ty, |c, p| Box::pin(wait(c, p, 4)))?,
            "wait64" => define_suspending(linker, MODULE, "wait64", ty, |c, p| Box::pin(wait(c, p, 8)))?,
            "notify" => define_sync(linker, MODULE, "notify", ty, notify)?,
            "memory_grow" => define_sync(linker, MODULE, "memory_grow", ty, memory_grow)?,
            "stored" => define_sync(linker, MODULE, "stored", ty, stored)?,
            "bulk_stored" => define_sync(linker, MODULE, "bulk_stored", ty, bulk_stored)?,
            other => return Err(wasmtime::Error::msg(format!("the rewriter imports {other}, which is unknown"))),
        };
    }
    Ok(())
}

/// The slice is used up: others run.
async fn tick(mut caller: Caller<'_, RunnerData>) -> wasmtime::Result<()> {
    suspend(&mut caller).await?;
    Ok(())
}

/// The effective address of an atomic access, with the traps that the instruction has.
fn effective(caller: &Caller<'_, RunnerData>, address: u64, offset: u64, width: u64) -> wasmtime::Result<u64> {
    let effective = address.checked_add(offset).ok_or(Trap::MemoryOutOfBounds)?;
    if effective % width != 0 {
        return Err(Trap::HeapMisaligned.into());
    }
    if effective.checked_add(width).is_none_or(|end| end > caller.data().shared.memory.size()) {
        return Err(Trap::MemoryOutOfBounds.into());
    }
    Ok(effective)
}

/// `wait32`/`wait64(addr, expected, timeout, offset)`; the timeout is in nanoseconds, negative for none.
async fn wait(mut caller: Caller<'_, RunnerData>, params: &[Val], width: u64) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let address = effective(&caller, word(params.first()), word(params.get(3)), width)?;
    let (shared, me) = here(&caller);
    let in_bounds = |_: OutOfBounds| wasmtime::Error::from(Trap::MemoryOutOfBounds);
    let (found, expected) = match width {
        4 => (u64::from(shared.memory.read_u32(address).map_err(in_bounds)?), int(params.get(1)) as u32 as u64),
        _ => (shared.memory.read_u64(address).map_err(in_bounds)?, int(params.get(1)) as u64),
    };
    if found != expected {
        return Ok(NOT_EQUAL);
    }
    {
        let mut core = shared.core.borrow_mut();
        core.progress();
        let deadline = core.deadline(int(params.get(2)));
        core.runners.wait(me, address, deadline);
    }
    let woken = suspend(&mut caller).await?;
    Ok(if woken == Some(Wake::Notified) { OK } else { TIMED_OUT })
}

/// `notify(addr, count, offset)`: wakes up to `count` runners.
fn notify(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let address = effective(&caller, word(params.first()), word(params.get(2)), 4)?;
    let (shared, _) = here(&caller);
    let mut core = shared.core.borrow_mut();
    let now = core.now;
    let woken = core.runners.notify(address, word(params.get(1)) as u32, now);
    Ok(i64::from(woken))
}

/// `memory.grow`: of the machine's memory, then of this store's view of it. Others follow when they resume.
fn memory_grow(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    let before = caller.data().shared.memory.grow(word(params.first()));
    let pages = caller.data().shared.memory.pages();
    if let Some(memory) = caller.data().memory {
        let known = memory.size(&caller);
        if known < pages {
            memory.grow(&mut caller, pages - known)?;
        }
    }
    Ok(before.map_or(-1, |pages| pages as i64))
}

/// `stored(addr, offset, size)`: a store may have touched a watched range.
fn stored(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    let address = word(params.first()).wrapping_add(word(params.get(1)));
    guest_stored(&mut caller, address, word(params.get(2)));
    Ok(0)
}

/// `bulk_stored(addr, len)`: the same for `memory.fill`, `memory.copy` and `memory.init`.
fn bulk_stored(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    guest_stored(&mut caller, word(params.first()), word(params.get(1)));
    Ok(0)
}

fn guest_stored(caller: &mut Caller<'_, RunnerData>, address: u64, len: u64) {
    let (shared, me) = here(caller);
    if !shared.core.borrow().watches.overlaps(address..address.saturating_add(len)) {
        return;
    }
    // Charging now or at the next host call comes to the same: the clock does not move otherwise.
    charge(caller);
    let stack = frames(&*caller);
    shared.core.borrow_mut().stored(Some(me), address, len, || Writer::Guest { stack });
}

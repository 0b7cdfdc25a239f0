//! What the rewriter put into the guest's code: ticks, waits, notifies, growth, watched accesses.

use wasmtime::{Caller, ExternType, Linker, Module, Trap, WasmTy};
use wkdb_tracer::Writer;

use super::super::memory::OutOfBounds;
use super::super::runners::Wake;
use super::super::watch::{Access, Touches};
use super::{
    CallStackExhausted, RunnerData, charge, contents, detect, frames, here, owned, pause_at_hits, pause_behind_hits,
    stack, suspend, trace, trap,
};

/// Import module of everything here.
const MODULE: &str = "wkdb";

/// Results of `memory.atomic.wait`, by the threads proposal.
const OK: u32 = 0;
const NOT_EQUAL: u32 = 1;
const TIMED_OUT: u32 = 2;

/// The index type of the guest's memory: of addresses, lengths and offsets.
trait Address: WasmTy + Into<u64> {
    /// What `memory.grow` returns: a number of pages, or all ones.
    fn grown(pages: Option<u64>) -> Self;
}

impl Address for u32 {
    fn grown(pages: Option<u64>) -> Self {
        pages.map_or(u32::MAX, |pages| pages as u32)
    }
}

impl Address for u64 {
    fn grown(pages: Option<u64>) -> Self {
        pages.unwrap_or(u64::MAX)
    }
}

/// Defines the functions that `kernel` imports; user images have the same, and may have their stores checked where the
/// kernel has not.
pub(super) fn define(linker: &mut Linker<RunnerData>, kernel: &Module) -> wasmtime::Result<()> {
    let imported = |name: &str| kernel.imports().find(|import| import.module() == MODULE && import.name() == name);
    if imported("stored").is_none() {
        let grow = imported("memory_grow").map(|import| import.ty());
        let wide = grow.is_some_and(|ty| ty.func().is_some_and(|ty| ty.params().next().is_some_and(|ty| ty.is_i64())));
        for name in ["stored", "bulk_stored"] {
            match wide {
                true => define_at::<u64>(linker, name)?,
                false => define_at::<u32>(linker, name)?,
            }
        }
    }
    for import in kernel.imports().filter(|i| i.module() == MODULE) {
        let ExternType::Func(ty) = import.ty() else { continue };
        match (import.name(), ty.params().next()) {
            ("probe_enter" | "probe_exit" | "probe_at", _) => trace::define(linker, import.name())?,
            ("stack_left", address) => stack::define(linker, address.is_some_and(|address| address.is_i64()))?,
            ("tick", _) => _ = linker.func_wrap_async(MODULE, "tick", |caller, ()| Box::new(tick(caller)))?,
            ("overflow", _) => {
                let overflow = || wasmtime::Result::<()>::Err(trap(CallStackExhausted));
                _ = linker.func_wrap(MODULE, "overflow", overflow)?;
            }
            (name, Some(address)) if address.is_i64() => define_at::<u64>(linker, name)?,
            (name, _) => define_at::<u32>(linker, name)?,
        }
    }
    Ok(())
}

/// Defines one of the functions that take addresses.
fn define_at<A: Address + 'static>(linker: &mut Linker<RunnerData>, name: &str) -> wasmtime::Result<()> {
    type Guest<'a> = Caller<'a, RunnerData>;
    match name {
        "wait32" => linker.func_wrap_async(MODULE, name, |guest, (address, expected, timeout, offset)| {
            let (address, offset): (A, A) = (address, offset);
            let expected: u32 = expected;
            Box::new(wait(guest, address.into(), expected.into(), timeout, offset.into(), 4))
        }),
        "wait64" => linker.func_wrap_async(MODULE, name, |guest, (address, expected, timeout, offset)| {
            let (address, offset): (A, A) = (address, offset);
            Box::new(wait(guest, address.into(), expected, timeout, offset.into(), 8))
        }),
        "notify" => linker.func_wrap(MODULE, name, |guest: Guest<'_>, address: A, count: u32, offset: A| {
            notify(guest, address.into(), count, offset.into())
        }),
        "memory_grow" => linker.func_wrap(MODULE, name, |guest: Guest<'_>, delta: A| {
            wasmtime::Result::Ok(A::grown(memory_grow(guest, delta.into())?))
        }),
        "stored" => linker.func_wrap_async(MODULE, name, |guest, (address, size)| {
            let (address, size): (A, u32) = (address, size);
            Box::new(guest_accessed(guest, Access::Write { address: address.into(), len: size.into() }))
        }),
        "loaded" => linker.func_wrap_async(MODULE, name, |guest, (address, size)| {
            let (address, size): (A, u32) = (address, size);
            Box::new(guest_accessed(guest, Access::Read { address: address.into(), len: size.into() }))
        }),
        "exchanged" => linker.func_wrap_async(MODULE, name, |guest, (address, size)| {
            let (address, size): (A, u32) = (address, size);
            Box::new(guest_accessed(guest, Access::Exchange { address: address.into(), len: size.into() }))
        }),
        "bulk_stored" => linker.func_wrap_async(MODULE, name, |guest, (address, length)| {
            let (address, length): (A, A) = (address, length);
            Box::new(guest_accessed(guest, Access::Write { address: address.into(), len: length.into() }))
        }),
        "bulk_copied" => linker.func_wrap_async(MODULE, name, |guest, (to, from, length)| {
            let (to, from, length): (A, A, A) = (to, from, length);
            Box::new(guest_accessed(guest, Access::Copy { to: to.into(), from: from.into(), len: length.into() }))
        }),
        other => return Err(wasmtime::Error::msg(format!("the rewriter imports {other}, which is unknown"))),
    }?;
    Ok(())
}

/// The ticks that it was given are used up: others run, or it is given more.
async fn tick(mut caller: Caller<'_, RunnerData>) -> wasmtime::Result<()> {
    caller.data().shared.core.borrow_mut().ticked = true;
    caller.data_mut().debug.ready = true;
    suspend(&mut caller).await?;
    caller.data_mut().debug.ready = false;
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
async fn wait(
    mut caller: Caller<'_, RunnerData>,
    address: u64,
    expected: u64,
    timeout: i64,
    offset: u64,
    width: u64,
) -> wasmtime::Result<u32> {
    charge(&mut caller);
    let address = effective(&caller, address, offset, width)?;
    let (shared, me) = here(&caller);
    accessed(&mut caller, Access::Read { address, len: width });
    // What it finds is what is there when it goes on.
    pause_at_hits(&mut caller).await;
    let found = match width {
        4 => shared.memory.read_u32(address).map(u64::from),
        _ => shared.memory.read_u64(address),
    };
    let found = found.map_err(|_: OutOfBounds| Trap::MemoryOutOfBounds)?;
    if found != expected {
        return Ok(NOT_EQUAL);
    }
    {
        let mut core = shared.core.borrow_mut();
        core.progress();
        let deadline = core.deadline(timeout);
        core.trace_wait(me, address, deadline);
        core.runners.wait(me, address, deadline);
    }
    let woken = suspend(&mut caller).await?;
    Ok(if woken == Some(Wake::Notified) { OK } else { TIMED_OUT })
}

/// `notify(addr, count, offset)`: wakes up to `count` runners.
fn notify(mut caller: Caller<'_, RunnerData>, address: u64, count: u32, offset: u64) -> wasmtime::Result<u32> {
    charge(&mut caller);
    let address = effective(&caller, address, offset, 4)?;
    let (shared, me) = here(&caller);
    let mut core = shared.core.borrow_mut();
    let now = core.now;
    core.trace_notify(me, address, count);
    Ok(core.runners.notify(address, count, now))
}

/// `memory.grow`: of the machine's memory, then of this store's view of it. Others follow when they resume.
fn memory_grow(mut caller: Caller<'_, RunnerData>, delta: u64) -> wasmtime::Result<Option<u64>> {
    let before = caller.data().shared.memory.grow(delta);
    let pages = caller.data().shared.memory.pages();
    if let Some(memory) = caller.data().memory {
        let known = memory.size(&caller);
        if known < pages {
            memory.grow(&mut caller, pages - known)?;
        }
    }
    Ok(before)
}

/// An access may have touched a watched range.
async fn guest_accessed(mut caller: Caller<'_, RunnerData>, access: Access) -> wasmtime::Result<()> {
    if accessed(&mut caller, access) {
        pause_behind_hits(&mut caller).await;
        detect::wrote(&mut caller).await?;
    }
    if let Some(written) = access.written() {
        contents::wrote(&mut caller, &written).await?;
        owned::wrote(&mut caller, written).await?;
    }
    Ok(())
}

/// Tells of the watches that an access touched; whether it touched any.
fn accessed(caller: &mut Caller<'_, RunnerData>, access: Access) -> bool {
    let (shared, me) = here(caller);
    let without_stack = {
        let mut core = shared.core.borrow_mut();
        core.watches.wrote(access);
        match core.watches.overlaps(access) {
            Touches::Nothing => return false,
            // Whose code it is, the detectors ask if they have to.
            Touches::Own => true,
            Touches::Others => core.debug.survey.is_some() && !core.watches.ask_for_places(),
        }
    };
    // Charging now or at the next host call comes to the same: the clock does not move otherwise.
    charge(caller);
    let stack = if without_stack { Vec::new() } else { frames(caller) };
    shared.core.borrow_mut().accessed(Some(me), access, Writer::Guest { stack });
    true
}

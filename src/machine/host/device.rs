//! Clock, console, random numbers, stack traces: host functions that return at once, unless what they write is watched.

use wasmtime::{Caller, Val};

use super::{RunnerData, charge, frames, here, pause_at_hits, trace, trap, word};

/// −ENOSYS.
const ENOSYS: i64 = -38;
/// The most that `wasm_driver_hvc_put` takes at once; the kernel asks again with the rest.
const MAX_PUT: u64 = 65536;
/// The most that `wasm_random_get_bytes` gives at once.
const MAX_RANDOM: u64 = 65536;

/// `wasm_cpu_clock_get_monotonic()`: nanoseconds.
pub(super) fn clock(mut caller: Caller<'_, RunnerData>) -> i64 {
    charge(&mut caller);
    trace::host_call(&mut caller, "wasm_cpu_clock_get_monotonic", &[]);
    let now = caller.data().shared.core.borrow().now;
    i64::try_from(now.0).unwrap_or(i64::MAX)
}

/// `wasm_driver_hvc_put(buf, count)`.
pub(super) async fn hvc_put(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let (shared, me) = here(&caller);
    let count = word(params.get(1)).min(MAX_PUT);
    let bytes = shared.memory.read_vec(word(params.first()), count).map_err(trap)?;
    let taken = bytes.len() as i64;
    if taken > 0 {
        shared.core.borrow_mut().host_read(me, word(params.first()), count, "console output");
        shared.core.borrow_mut().trace_console(me, &bytes, false);
        shared.core.borrow_mut().console_put(bytes);
        pause_at_hits(&mut caller).await;
    }
    Ok(taken)
}

/// `wasm_driver_hvc_get(buf, count)`.
pub(super) async fn hvc_get(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let (shared, me) = here(&caller);
    let (buf, count) = (word(params.first()), word(params.get(1)));
    let taken = {
        let mut core = shared.core.borrow_mut();
        let bytes = core.console_get(usize::try_from(count).unwrap_or(usize::MAX));
        core.trace_console(me, &bytes, true);
        core.host_write(Some(me), buf, &bytes, "console input").map_err(trap)?;
        bytes.len()
    };
    pause_at_hits(&mut caller).await;
    Ok(taken as i64)
}

/// `wasm_random_get_bytes(buf, count)`.
pub(super) async fn random(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let (shared, me) = here(&caller);
    let (buf, count) = (word(params.first()), word(params.get(1)));
    if count > MAX_RANDOM {
        return Ok(-1);
    }
    {
        let mut core = shared.core.borrow_mut();
        let bytes = core.random_bytes(count as usize);
        core.host_write(Some(me), buf, &bytes, "random numbers").map_err(trap)?;
    }
    pause_at_hits(&mut caller).await;
    Ok(count as i64)
}

/// Any `sys_*` that the kernel was built without.
pub(super) fn absent_syscall(_: Caller<'_, RunnerData>, _: &[Val]) -> wasmtime::Result<i64> {
    Ok(ENOSYS)
}

/// `wasm_dump_stacktrace(buf, size)`: the caller's Wasm call stack as text, in terms of the original modules: what it
/// writes is the same in every variant of a run.
pub(super) async fn dump_stacktrace(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let (shared, me) = here(&caller);
    let (buf, size) = (word(params.first()), word(params.get(1)));
    let Some(room) = usize::try_from(size).ok().and_then(|s| s.checked_sub(1)) else { return Ok(0) };
    {
        let mut text = String::new();
        let images = shared.images.borrow();
        for frame in frames(&caller) {
            let name = images.get(frame.address.module).map(|image| image.function_name(frame.function));
            let name = name.unwrap_or_default();
            text.push_str(&format!("    at {name} (wasm-function[{}]:{})\n", frame.function, frame.address.offset));
        }
        let mut bytes = text.into_bytes();
        bytes.truncate(room);
        bytes.push(0);
        shared.core.borrow_mut().host_write(Some(me), buf, &bytes, "stack trace").map_err(trap)?;
    }
    pause_at_hits(&mut caller).await;
    Ok(0)
}

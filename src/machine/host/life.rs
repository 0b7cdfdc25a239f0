//! A runner from its birth to its last instruction.
//!
//! ```text
//! Boot ─▶ _start ─────────────────────────┐
//! Secondary ─▶ _start_secondary ──────────┼─▶ (never returns)
//! Fork ─▶ ret_from_fork ─┬─ kthread ──────┘
//!                        ├─ 0 ─▶ image ──▶ user mode ─┬─ exec: unwound ─▶ image
//!                        └─ 1 ─▶ clone ──▶ user mode ─┘
//! a trap anywhere ─▶ told ─▶ raise_exception ─▶ (never returns: the kernel kills the task, or panics)
//! ```

use std::convert::Infallible;
use std::rc::Rc;

use wasmtime::{AsContextMut, Instance, Store, ThrownException, Trap, Val, WasmBacktrace};
use wkdb_tracer::trace::TraceWhat;
use wkdb_tracer::{Event, ModuleId, Outcome, RunnerId};

use super::super::core::Entry;
use super::super::memory::OutOfBounds;
use super::breaks::{self, Handler};
use super::stack::StackBounds;
use super::user::{self, StartError};
use super::{
    CallStackExhausted, RunnerData, RuntimeGlobals, START, Shared, Unwind, charge, park, pause_at_hits, step, trace,
    wake, word_val,
};
use crate::condition::Condition;
use crate::contract::KernelModule;
use crate::instrument::{MEMORY_EXPORT, WATCH_MAP_EXPORT};

/// Where the kernel expects what it is booted with, as far as it says.
#[derive(Debug, Clone, Copy)]
pub(in crate::machine) struct BootData {
    command_line: Option<u64>,
    /// The pointers to the initramfs: to its first byte, and behind its last.
    initrd: [Option<u64>; 2],
    pub(super) pointer_bytes: usize,
}

impl BootData {
    pub(in crate::machine) fn of(kernel: &KernelModule) -> Self {
        BootData {
            command_line: kernel.data_symbol("boot_command_line"),
            initrd: [kernel.data_symbol("initrd_start"), kernel.data_symbol("initrd_end")],
            pointer_bytes: kernel.width.bytes() as usize,
        }
    }
}

/// Runs a runner for as long as it lives. The future never completes unless the host itself cannot go on.
pub(in crate::machine) async fn live(shared: Rc<Shared>, me: RunnerId, entry: Entry) {
    let mut store = Store::new(&shared.engine, RunnerData::new(me, shared.clone()));
    store.limiter(|data| &mut data.limits);
    if shared.debugging {
        store.set_debug_handler(Handler);
    }
    let Err(error) = run(&mut store, entry).await;
    charge(&mut store);
    let mut core = shared.core.borrow_mut();
    let context = core.context(me);
    // Wasmtime's backtrace is of the rewritten code: it would mislead.
    let reason = match error.downcast_ref::<WasmBacktrace>() {
        Some(_) => error.root_cause().to_string(),
        None => format!("{error:#}"),
    };
    core.stop(Outcome::Broken(format!("task {} ({}) on {}: {reason}", context.task, context.comm, context.cpu)));
}

/// Calls an export with integer arguments; gives its first result, sign-extended, or 0.
pub(super) async fn call(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    instance: Instance,
    name: &str,
    args: &[u64],
) -> wasmtime::Result<i64> {
    let Some(func) = instance.get_func(&mut *store, name) else {
        return Err(wasmtime::Error::msg(format!("the module does not export the function {name}")));
    };
    step::host_calls(store, instance, name)?;
    let ty = func.ty(&mut *store);
    let params: Vec<Val> = ty.params().zip(args).map(|(ty, &arg)| word_val(&ty, arg)).collect();
    let mut results: Vec<Val> = ty.results().map(|ty| word_val(&ty, 0)).collect();
    let stack = store.as_context().data().globals.map(|globals| globals.stack);
    let left = stack.map(|stack| (stack, stack.get(&mut *store)));
    let ended = func.call_async(&mut *store, &params, &mut results).await;
    if let (Err(_), Some((stack, left))) = (&ended, left) {
        // The frames that were unwound have not given back what they took.
        stack.set(&mut *store, left)?;
    }
    ended?;
    Ok(super::int(results.first()))
}

/// Calls an export of the kernel.
pub(super) async fn call_kernel(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    name: &str,
    args: &[u64],
) -> wasmtime::Result<i64> {
    let kernel = store.as_context().data().kernel;
    let kernel = kernel.ok_or_else(|| wasmtime::Error::msg("the kernel is not instantiated yet"))?;
    call(store, kernel, name, args).await
}

async fn run(store: &mut Store<RunnerData>, entry: Entry) -> wasmtime::Result<Infallible> {
    instantiate_kernel(store).await?;
    let kernel = store.data().kernel;
    if kernel.is_some_and(|kernel| kernel.get_func(&mut *store, START).is_some())
        && let Err(error) = call_kernel(store, START, &[]).await
    {
        return raise(store, error).await;
    }
    match entry {
        Entry::Boot => {
            boot_parameters(store).await?;
            let ended = call_kernel(store, "_start", &[]).await;
            never_returns(store, "_start", ended).await
        }
        Entry::Secondary(argument) => {
            let ended = call_kernel(store, "_start_secondary", &[argument]).await;
            never_returns(store, "_start_secondary", ended).await
        }
        Entry::Fork { prev, new } => {
            let (shared, me) = (Rc::clone(&store.data().shared), store.data().me);
            store.data_mut().clone = shared.clones.borrow_mut().remove(&me);
            let ended = call_kernel(store, "ret_from_fork", &[prev, new]).await;
            user_mode(store, ended).await
        }
    }
}

async fn instantiate_kernel(store: &mut Store<RunnerData>) -> wasmtime::Result<()> {
    let shared = Rc::clone(&store.data().shared);
    // Its memory becomes this store's view of the machine's.
    let instance = shared.memory.attaching(shared.kernel.instantiate_async(&mut *store)).await?;
    let memory = instance.get_memory(&mut *store, MEMORY_EXPORT);
    let memory = memory.ok_or_else(|| wasmtime::Error::msg("the kernel was compiled without the machine's memory"))?;
    store.data_mut().memory = Some(memory);
    store.data_mut().watch_map = instance.get_memory(&mut *store, WATCH_MAP_EXPORT);
    let mut global = |name: &str| instance.get_global(&mut *store, name);
    let globals = RuntimeGlobals {
        ticks: global("wkdb:ticks").ok_or_else(|| wasmtime::Error::msg("the kernel was compiled without ticks"))?,
        stack: global("wkdb:stack").ok_or_else(|| wasmtime::Error::msg("the kernel does not count its stack"))?,
        stack_pointer: global("__stack_pointer").or_else(|| global("wkdb:stack_pointer")),
        callee: global("wkdb:callee"),
        site: global("wkdb:site"),
        fault: global("wkdb:fault"),
        stack_bounds: match (global("wkdb:stack_low"), global("wkdb:stack_room")) {
            (Some(low), Some(room)) => Some(StackBounds { low, room }),
            _ => None,
        },
    };
    let data = store.data_mut();
    data.kernel = Some(instance);
    data.globals = Some(globals);
    let me = data.me;
    let kernel = shared.images.borrow().get(ModuleId::KERNEL).cloned();
    if let Some(kernel) = kernel {
        shared.core.borrow_mut().instantiated(me, || kernel.active_data(0));
    }
    pause_at_hits(store).await;
    wake(store)
}

/// Step 2 of the contract's life of a machine: command line and initramfs.
async fn boot_parameters(store: &mut Store<RunnerData>) -> wasmtime::Result<()> {
    let (shared, me) = (Rc::clone(&store.data().shared), store.data().me);
    let missing = |name: &str| wasmtime::Error::msg(format!("the kernel does not export the symbol {name}"));
    let mut line = shared.core.borrow().config.command_line.clone().into_bytes();
    line.push(0);
    let BootData { command_line, initrd, pointer_bytes } = shared.boot_data;
    let address = command_line.ok_or_else(|| missing("boot_command_line"))?;
    shared.core.borrow_mut().host_write(Some(me), address, &line, "kernel command line")?;
    pause_at_hits(store).await;

    let archive = shared.core.borrow_mut().initrd.take();
    let Some(archive) = archive else { return Ok(()) };
    let start = shared.memory.size();
    let pages = (archive.len() as u64).div_ceil(super::super::memory::WASM_PAGE);
    shared.memory.grow(pages).ok_or_else(|| {
        wasmtime::Error::msg(format!("the initramfs of {} bytes does not fit into guest memory", archive.len()))
    })?;
    shared.core.borrow_mut().host_write(Some(me), start, &archive, "initramfs")?;
    let ends = [("initrd_start", initrd[0], start), ("initrd_end", initrd[1], start + archive.len() as u64)];
    for (name, address, value) in ends {
        let address = address.ok_or_else(|| missing(name))?;
        let action = format!("pointer {name}");
        shared.core.borrow_mut().host_write(Some(me), address, &value.to_le_bytes()[..pointer_bytes], &action)?;
    }
    pause_at_hits(store).await;
    wake(store)
}

/// The call of a kernel entry that should not have returned.
async fn never_returns(
    store: &mut Store<RunnerData>,
    entry: &str,
    ended: wasmtime::Result<i64>,
) -> wasmtime::Result<Infallible> {
    match ended {
        Ok(_) => Err(wasmtime::Error::msg(format!("{entry} returned, which the host contract forbids"))),
        Err(error) => raise(store, error).await,
    }
}

/// From `ret_from_fork`'s return on.
async fn user_mode(store: &mut Store<RunnerData>, forked: wasmtime::Result<i64>) -> wasmtime::Result<Infallible> {
    let mut clone = match forked {
        Ok(0) => false,
        Ok(1) => true,
        Ok(other) => {
            let message = format!("ret_from_fork returned {other}; the host contract knows 0 and 1");
            return Err(wasmtime::Error::msg(message));
        }
        Err(error) if error.downcast_ref::<Unwind>() == Some(&Unwind::Exec) => {
            trace::tell(store, TraceWhat::Unwound);
            false
        }
        Err(error) => return raise(store, error).await,
    };
    let kernel_stack = user::kernel_stack_pointer(store);
    loop {
        let ended = if clone { user::start_clone(store).await } else { user::start_image(store).await };
        match ended {
            Ok(()) => {
                let (shared, me) = (Rc::clone(&store.data().shared), store.data().me);
                charge(store);
                shared.core.borrow_mut().complain(Some(me), "the user program returned instead of exiting");
                return raise(store, Trap::UnreachableCodeReached.into()).await;
            }
            Err(error) if error.downcast_ref::<Unwind>() == Some(&Unwind::Exec) => {
                trace::tell(store, TraceWhat::Unwound);
                // The kernel's frames of the exec system call are gone with the image.
                user::set_kernel_stack_pointer(store, kernel_stack)?;
                clone = false;
            }
            Err(error) => return raise(store, error).await,
        }
    }
}

/// What a trap, or an error that the guest has to answer for, is called; none where the host itself failed.
pub(super) fn guest_fault(error: &wasmtime::Error) -> Option<String> {
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let text = trap.to_string();
        return Some(text.strip_prefix("wasm trap: ").unwrap_or(&text).to_owned());
    }
    if let Some(out) = error.downcast_ref::<OutOfBounds>() {
        return Some(format!("host call with a bad pointer: {out}"));
    }
    if let Some(exhausted) = error.downcast_ref::<CallStackExhausted>() {
        return Some(exhausted.to_string());
    }
    if let Some(start) = error.downcast_ref::<StartError>() {
        return Some(start.to_string());
    }
    if error.is::<ThrownException>() {
        return Some("exception that nothing catches".to_owned());
    }
    error.downcast_ref::<Unwind>().map(ToString::to_string)
}

/// Tells of a trap, then has the kernel deal with it on this runner.
async fn raise(store: &mut Store<RunnerData>, error: wasmtime::Error) -> wasmtime::Result<Infallible> {
    tell_trap(store, error).await?;
    trace::tell(store, TraceWhat::Unwound);
    let shared = Rc::clone(&store.data().shared);
    if shared.core.borrow().config.until.contains(&Condition::Trap) {
        shared.core.borrow_mut().stop(Outcome::Until(Condition::Trap.to_string()));
        return park(store).await;
    }
    match call_kernel(store, "raise_exception", &[]).await {
        Ok(_) => Err(wasmtime::Error::msg("raise_exception returned, which the host contract forbids")),
        Err(error) => {
            tell_trap(store, error).await?;
            Err(wasmtime::Error::msg("the kernel trapped while it handled a trap"))
        }
    }
}

/// Tells of a trap; gives the error back where it is the host's own.
async fn tell_trap(store: &mut Store<RunnerData>, error: wasmtime::Error) -> wasmtime::Result<()> {
    let Some(reason) = guest_fault(&error) else { return Err(error) };
    charge(store);
    // It is told of, and what the kernel does next must not meet it.
    store.take_pending_exception();
    let (shared, me) = (Rc::clone(&store.data().shared), store.data().me);
    let stack = match error.downcast_ref::<WasmBacktrace>() {
        Some(backtrace) => shared.images.borrow().frames(backtrace),
        None => Vec::new(),
    };
    // A debugger that could not be told while the frames were there is told now: before anybody else, as always. So a
    // machine of other code can take over here, and tell the rest.
    breaks::trapped(store, reason.clone(), stack.clone()).await;
    store.data_mut().debug.trapped = false;
    {
        let mut core = shared.core.borrow_mut();
        if error.downcast_ref::<Trap>() == Some(&Trap::StackOverflow) {
            let text = "its compiled frames overflowed the host's stack before its calls were too many: code that is \
                        compiled in another way may go on from here, and make another run";
            core.complain(Some(me), text);
        }
        let context = core.context(me);
        core.tell(Event::Trap { context, reason: reason.clone(), stack: stack.clone() });
    }
    for finding in super::traps::findings(store, &reason, &stack) {
        shared.core.borrow_mut().found(&finding);
    }
    super::have_looked_at(store).await;
    Ok(())
}

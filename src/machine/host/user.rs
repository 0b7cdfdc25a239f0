//! User images: loading, instantiating, and the ways between kernel and user mode.

use std::rc::Rc;

use wasmtime::{
    AsContextMut, Caller, Extern, ExternType, Func, Global, GlobalType, Instance, Mutability, Ref, Table, TableType,
    Trap, Val,
};
use wkdb_tracer::ModuleId;
use wkdb_tracer::trace::TraceWhat;

use super::super::images::Image;
use super::super::one_thread::OneThread;
use super::life::{call, call_kernel};
use super::owned;
use super::stack::{self, StackBounds, StackWatch};
use super::{RunnerData, Unwind, charge, here, int, set_word, trace, word, word_val};

/// Entries that a user image's function table has at least.
const MIN_TABLE: u64 = 4096;

/// Signal handlers that may be active at once in a runner. The kernel's own stack, of 8 KiB, has room for fewer; a guest
/// that goes on has lost its way, and each takes a stack of the host's.
const MAX_HANDLERS: u32 = 64;

/// Where a user image's bytes are and where it goes. The latter is a live process's own: no two have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::machine) struct ImageRef {
    pub(super) bin_start: u64,
    pub(super) bin_end: u64,
    pub(super) data_start: u64,
    pub(super) table_start: u64,
}

/// A user image that a runner is about to run, and where it goes.
#[derive(Clone)]
pub(in crate::machine) struct Prepared {
    /// None where the bytes could not be compiled: then the task dies as it starts.
    image: Option<OneThread<Rc<Image>>>,
    data_start: u64,
    table_start: u64,
}

/// The image that a runner runs in user mode.
pub(super) struct UserInstance {
    pub(super) instance: Instance,
    /// The image.
    pub(super) module: ModuleId,
    pub(super) stack_pointer: Global,
    /// What its code compares that with, if it does, and what is known of the stack.
    pub(super) stack_bounds: Option<StackBounds>,
    pub(super) stack_watch: StackWatch,
    /// Where its functions begin in its table.
    pub(super) table_start: u64,
    /// What its process owns, if its stores are watched.
    pub(super) own: Option<owned::Shared>,
    /// How many signal handlers are active.
    handlers: u32,
}

/// Why an image cannot be started; the task that should have run it dies.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("no image was loaded for this task, or it could not be compiled")]
    NoImage,
    #[error("the image imports {0}, which is not in the host contract")]
    Import(String),
    #[error("the image has no export {0}")]
    NoExport(&'static str),
    #[error("the image cannot be instantiated: {0}")]
    Instantiate(String),
}

/// `wasm_load_executable(bin_start, bin_end, data_start, table_start)`.
pub(super) fn load_executable(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    charge(&mut caller);
    let arg = |n: usize| word(params.get(n));
    let image = ImageRef { bin_start: arg(0), bin_end: arg(1), data_start: arg(2), table_start: arg(3) };
    let prepared = prepare(&mut caller, image, false);
    caller.data_mut().prepared = Some(prepared);
    Ok(0)
}

/// Finds or compiles the image at `at`: a new one, or a clone's.
pub(super) fn prepare(store: &mut impl AsContextMut<Data = RunnerData>, at: ImageRef, clone: bool) -> Prepared {
    let context = store.as_context();
    let (shared, me) = (Rc::clone(&context.data().shared), context.data().me);
    let range = at.bin_start..at.bin_end;
    let mut images = shared.images.borrow_mut();
    let found = match if clone { images.at(at) } else { None } {
        Some(image) => Ok(image),
        None => match shared.memory.read_vec(range.start, range.end.saturating_sub(range.start)) {
            Ok(bytes) => images.load(at, bytes).map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        },
    };
    let image = match found {
        Ok(image) => Some(OneThread::new(image)),
        Err(error) => {
            let mut core = shared.core.borrow_mut();
            let text = format!("the user image at {:#x}..{:#x} cannot be run: {error}", range.start, range.end);
            core.complain(Some(me), text);
            None
        }
    };
    Prepared { image, data_start: at.data_start, table_start: at.table_start }
}

/// `wasm_user_mode_tail(flow)`.
pub(super) async fn user_mode_tail(mut caller: Caller<'_, RunnerData>, params: &[Val]) -> wasmtime::Result<i64> {
    /// Bits of `flow`.
    const DELIVER: i64 = 1;
    const RETURN: i64 = 2;
    charge(&mut caller);
    let flow = int(params.first());
    if flow == -1 {
        return Err(Unwind::Exec.into());
    }
    if flow & DELIVER != 0 {
        deliver_signal(&mut caller).await?;
    }
    if flow & RETURN != 0 {
        return Err(Unwind::SignalReturn.into());
    }
    Ok(0)
}

/// Calls the image's signal handler, which ends by a signal return.
async fn deliver_signal(caller: &mut Caller<'_, RunnerData>) -> wasmtime::Result<()> {
    if caller.data().user.is_none() {
        // A clone that was born with a pending signal.
        let clone = caller.data().clone.clone();
        instantiate(caller, clone).await?;
    }
    if caller.data().user.as_ref().is_some_and(|user| user.handlers >= MAX_HANDLERS) {
        return Err(super::trap(super::CallStackExhausted));
    }
    restore_user_stack(caller).await?;
    let kernel_stack = kernel_stack_pointer(caller);
    let instance = set_handlers(caller, 1)?;
    trace::tell(caller, TraceWhat::Handler);
    let ended = call_image(caller, instance, "__libc_handle_signal", &[]).await;
    trace::tell(caller, TraceWhat::HandlerEnd);
    // Also where an exception leaves it for good.
    set_handlers(caller, -1)?;
    match ended {
        Err(error) if error.downcast_ref::<Unwind>() == Some(&Unwind::SignalReturn) => {}
        Err(error) => return Err(error),
        Ok(_) => {
            let (shared, me) = here(caller);
            let text = "__libc_handle_signal returned instead of making the signal return system call";
            shared.core.borrow_mut().complain(Some(me), text);
        }
    }
    // The frames of the signal return system call were unwound without running their ends.
    set_kernel_stack_pointer(caller, kernel_stack)?;
    restore_user_stack(caller).await
}

fn set_handlers(store: &mut impl AsContextMut<Data = RunnerData>, change: i32) -> wasmtime::Result<Instance> {
    let mut context = store.as_context_mut();
    let user = context.data_mut().user.as_mut().ok_or(StartError::NoImage)?;
    user.handlers = user.handlers.saturating_add_signed(change);
    Ok(user.instance)
}

/// Gives the image the stack pointer and thread pointer that the kernel keeps for it.
async fn restore_user_stack(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) -> wasmtime::Result<()> {
    let stack = call_kernel(store, "get_user_stack_pointer", &[]).await?;
    let tls = call_kernel(store, "get_user_tls_base", &[]).await?;
    let user = store.as_context().data().user.as_ref().ok_or(StartError::NoImage)?;
    let (instance, stack_pointer) = (user.instance, user.stack_pointer);
    set_word(store, stack_pointer, stack as u64)?;
    call_image(store, instance, "__set_tls_base", &[tls as u64]).await
}

/// Calls an export that an image in this situation must have.
async fn call_image(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    instance: Instance,
    name: &'static str,
    args: &[u64],
) -> wasmtime::Result<()> {
    if instance.get_func(&mut *store, name).is_none() {
        return Err(StartError::NoExport(name).into());
    }
    call(store, instance, name, args).await?;
    Ok(())
}

/// The kernel's stack pointer on this runner, where the kernel exports it.
pub(super) fn kernel_stack_pointer(store: &mut impl AsContextMut<Data = RunnerData>) -> Option<Val> {
    let global = store.as_context().data().globals?.stack_pointer?;
    Some(global.get(store))
}

/// Puts back what [`kernel_stack_pointer`] gave, after frames of the kernel were unwound.
pub(super) fn set_kernel_stack_pointer(
    store: &mut impl AsContextMut<Data = RunnerData>,
    value: Option<Val>,
) -> wasmtime::Result<()> {
    let global = store.as_context().data().globals.and_then(|g| g.stack_pointer);
    match (global, value) {
        (Some(global), Some(value)) => global.set(store, value),
        _ => Ok(()),
    }
}

/// Instantiates an image in this runner, and makes it ready to be called.
pub(super) async fn instantiate(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    prepared: Option<Prepared>,
) -> wasmtime::Result<()> {
    let Some(Prepared { image: Some(image), data_start, table_start }) = prepared else {
        return Err(StartError::NoImage.into());
    };
    let stack_top = call_kernel(store, "get_user_stack_pointer", &[]).await? as u64;
    let (mut stack_pointer, mut bounds) = (None, [None; 2]);
    let own = owned::begin(store).await?;
    let mut externs = Vec::new();
    for import in image.module().imports() {
        let bound =
            ["stack_low", "stack_room"].iter().position(|&name| (import.module(), import.name()) == ("wkdb", name));
        if let (Some(number), ExternType::Global(ty)) = (bound, import.ty()) {
            let global = stack::bound(&mut *store, ty)?;
            bounds[number] = Some(global);
            externs.push(global.into());
            continue;
        }
        if let (Some((map, _)), ("wkdb", "watch_map")) = (&own, (import.module(), import.name())) {
            externs.push((*map).into());
            continue;
        }
        let found = extern_for(store, &import, data_start, table_start, stack_top, &mut stack_pointer)?;
        let unknown = || StartError::Import(format!("{}.{}", import.module(), import.name()));
        externs.push(found.ok_or_else(unknown)?);
    }
    let instance = Instance::new_async(&mut *store, image.module(), &externs)
        .await
        .map_err(|e| StartError::Instantiate(format!("{e:#}")))?;
    {
        let context = store.as_context();
        let data = context.data();
        data.shared.core.borrow_mut().instantiated(data.me, || image.active_data(data_start));
    }
    super::pause_at_hits(store).await;
    // An image without a stack never has it moved.
    let stack_pointer = match stack_pointer {
        Some(global) => global,
        None => Global::new(&mut *store, GlobalType::new(wasmtime::ValType::I32, Mutability::Var), Val::I32(0))?,
    };
    let stack_bounds = match bounds {
        [Some(low), Some(room)] => Some(StackBounds { low, room }),
        _ => None,
    };
    let stack_watch = StackWatch::default();
    store.as_context_mut().data_mut().user = Some(UserInstance {
        instance,
        module: image.id,
        stack_pointer,
        stack_bounds,
        stack_watch,
        table_start,
        own: own.map(|(_, own)| own),
        handlers: 0,
    });
    store.as_context_mut().data_mut().debug_functions.clear();
    super::breaks::sync_modules(store)?;
    super::pause_at_load(store, image.id).await;
    if instance.get_func(&mut *store, super::START).is_some() {
        call(store, instance, super::START, &[]).await?;
    }
    if instance.get_func(&mut *store, "__wasm_apply_data_relocs").is_some() {
        call(store, instance, "__wasm_apply_data_relocs", &[]).await?;
    }
    Ok(())
}

/// What a user image is given for an import; none where the contract has no such import.
fn extern_for(
    store: &mut impl AsContextMut<Data = RunnerData>,
    import: &wasmtime::ImportType<'_>,
    data_start: u64,
    table_start: u64,
    stack: u64,
    stack_pointer: &mut Option<Global>,
) -> wasmtime::Result<Option<Extern>> {
    let data = store.as_context().data();
    let (kernel, memory, globals, watch_map) = (data.kernel, data.memory, data.globals, data.watch_map);
    let shared = Rc::clone(&data.shared);
    let found = match (import.module(), import.name(), import.ty()) {
        ("env", _, ExternType::Memory(_)) => memory.map(Extern::from),
        ("env", "__memory_base", ExternType::Global(ty)) => Some(word_global(store, ty, data_start)?),
        ("env", "__table_base" | "__table_base32", ExternType::Global(ty)) => {
            Some(word_global(store, ty, table_start)?)
        }
        ("env", "__stack_pointer", ExternType::Global(ty)) => {
            let value = word_val(&ty.content().clone(), stack);
            let global = Global::new(&mut *store, ty, value)?;
            *stack_pointer = Some(global);
            Some(global.into())
        }
        ("env", "__indirect_function_table", ExternType::Table(ty)) => {
            let size = ty.minimum().max(MIN_TABLE.min(ty.maximum().unwrap_or(MIN_TABLE)));
            let ty = if ty.is_64() {
                TableType::new64(ty.element().clone(), size, ty.maximum())
            } else {
                let bound = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
                TableType::new(ty.element().clone(), bound(size), ty.maximum().map(bound))
            };
            let table = Table::new(&mut *store, ty, Ref::Func(None));
            Some(table.map_err(|e| StartError::Instantiate(format!("{e:#}")))?.into())
        }
        ("env", "__wasm_abort", ExternType::Func(ty)) => {
            let abort = |_: Caller<'_, RunnerData>, _: &[Val], _: &mut [Val]| Err(Trap::UnreachableCodeReached.into());
            Some(Func::new(&mut *store, ty, abort).into())
        }
        ("env", name, ExternType::Func(_)) => match (name.strip_prefix("__wasm_syscall_"), kernel) {
            (Some(arity), Some(kernel)) => {
                kernel.get_func(&mut *store, &format!("wasm_syscall_{arity}")).map(Extern::from)
            }
            _ => None,
        },
        ("wkdb", "ticks", _) => globals.map(|g| g.ticks.into()),
        ("wkdb", "callee", _) => globals.and_then(|g| g.callee).map(Extern::from),
        ("wkdb", "site", _) => globals.and_then(|g| g.site).map(Extern::from),
        ("wkdb", "fault", _) => globals.and_then(|g| g.fault).map(Extern::from),
        ("wkdb", "stack", _) => globals.map(|g| g.stack.into()),
        ("wkdb", "watch_map", _) => watch_map.map(Extern::from),
        ("wkdb", name, ExternType::Func(_)) => shared.linker.get(&mut *store, "wkdb", name).ok(),
        _ => None,
    };
    Ok(found)
}

fn word_global(
    store: &mut impl AsContextMut<Data = RunnerData>,
    ty: GlobalType,
    value: u64,
) -> wasmtime::Result<Extern> {
    let value = word_val(&ty.content().clone(), value);
    Ok(Global::new(store, ty, value)?.into())
}

/// Runs the image that `wasm_load_executable` prepared, from its beginning.
pub(super) async fn start_image(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) -> wasmtime::Result<()> {
    let prepared = store.as_context_mut().data_mut().prepared.take();
    store.as_context_mut().data_mut().user = None;
    instantiate(store, prepared).await?;
    let instance = user(store)?;
    if instance.get_func(&mut *store, "__wasm_call_ctors").is_some() {
        call(store, instance, "__wasm_call_ctors", &[]).await?;
    }
    call_image(store, instance, "_start", &[]).await
}

/// Runs a clone from its entry.
pub(super) async fn start_clone(store: &mut (impl AsContextMut<Data = RunnerData> + Send)) -> wasmtime::Result<()> {
    if store.as_context().data().user.is_none() {
        let clone = store.as_context().data().clone.clone();
        instantiate(store, clone).await?;
    }
    let instance = user(store)?;
    let tls = call_kernel(store, "get_user_tls_base", &[]).await?;
    call_image(store, instance, "__set_tls_base", &[tls as u64]).await?;
    call_image(store, instance, "__libc_clone_callback", &[]).await
}

fn user(store: &mut impl AsContextMut<Data = RunnerData>) -> wasmtime::Result<Instance> {
    let context = store.as_context();
    Ok(context.data().user.as_ref().ok_or(StartError::NoImage)?.instance)
}

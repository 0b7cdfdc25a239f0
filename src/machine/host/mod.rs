//! What the guest imports, and the life of its runners: the host side of the contract.
//!
//! Each runner is a fiber: the future that [`life::live`] returns. A host function that must wait calls [`suspend`]; the
//! executor polls the future again when the runner is scheduled. State is in two places: a [`RunnerData`] in each
//! store, and one [`Machine`](Shared) that all of them reach, borrowed only between suspensions.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use wasmtime::{
    AsContext, AsContextMut, Caller, Engine, ExternType, FuncType, Global, Instance, InstancePre, Linker, Memory,
    StoreLimits, StoreLimitsBuilder, Val, ValType, WasmBacktrace,
};
use wkdb_tracer::{CodeAddress, CodeOffset, Frame, RunnerId};

use super::core::Core;
use super::detect::facts::KernelFacts;
use super::detect::owned::{Called, OwnMemory};
use super::images::Images;
use super::memory::GuestMemory;
use super::one_thread::OneThread;
use crate::contract::ImportKind;
use crate::instrument::USER_SITE;

mod breaks;
mod contents;
mod detect;
mod device;
mod inspect;
pub(super) mod life;
mod mailbox;
mod owned;
mod stack;
mod step;
mod tasks;
mod trace;
mod traps;
pub(super) mod user;
mod waits;

pub(super) use inspect::not_compiled;
use mailbox::{
    have_looked_at, is_in_use, meet, park, pause, pause_at_hits, pause_at_load, pause_behind_hits, suspend, trespass,
    wake,
};

/// The start function of a rewritten module: an export, so that its runner's state is there before it runs.
const START: &str = crate::instrument::START_EXPORT;

/// What all runners of a machine share.
pub(super) struct Shared {
    pub(super) core: RefCell<Core>,
    pub(super) images: RefCell<Images>,
    pub(super) memory: GuestMemory,
    pub(super) engine: Engine,
    pub(super) linker: Linker<RunnerData>,
    /// The kernel with its imports resolved.
    pub(super) kernel: InstancePre<RunnerData>,
    /// The images of clones that have not run yet.
    pub(super) clones: RefCell<BTreeMap<RunnerId, user::Prepared>>,
    /// The memory of processes whose programs are watched, by their `mm_struct`.
    pub(super) processes: RefCell<BTreeMap<u64, Weak<RefCell<OwnMemory>>>>,
    /// A module with a memory for the map of such a program; none in it if it cannot be compiled.
    pub(super) map_module: OnceCell<Option<wasmtime::Module>>,
    pub(super) boot_data: life::BootData,
    /// The code was compiled for a debugger.
    pub(super) debugging: bool,
    /// What detectors know of the kernel's structures.
    pub(super) facts: KernelFacts,
}

/// A call that ends by unwinding the guest's frames: an error to Wasmtime, none to the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unwind {
    /// `wasm_user_mode_tail(-1)`: to the bottom of the runner.
    #[error("exec")]
    Exec,
    /// `wasm_user_mode_tail(2)`: to the innermost signal handler.
    #[error("signal return outside of a signal handler")]
    SignalReturn,
}

/// The guest's calls go deeper than they may: by the count of the rewritten code, which all variants share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("call stack exhausted")]
pub(super) struct CallStackExhausted;

/// A runner's own state, in its store.
pub(super) struct RunnerData {
    me: RunnerId,
    shared: OneThread<Rc<Shared>>,
    memory: Option<Memory>,
    kernel: Option<Instance>,
    globals: Option<RuntimeGlobals>,
    /// What the tick counter was when the ticks were last charged.
    granted: i32,
    /// The map of what is watched, if the code looks at it.
    watch_map: Option<Memory>,
    user: Option<user::UserInstance>,
    /// System calls under way, if the program's stores are watched.
    calls: Vec<Called>,
    /// The kernel's stack, if that is watched.
    kernel_stack: stack::StackWatch,
    /// What `wasm_load_executable` prepared.
    prepared: Option<user::Prepared>,
    /// Of a clone that has not come to user mode yet, its image.
    clone: Option<user::Prepared>,
    /// What the guest can make the host allocate.
    limits: StoreLimits,
    /// The last turn of the executor's in which it got ticks.
    turn: u64,
    debug: breaks::StoreDebug,
    /// The first instructions of the functions that references were met of, by what the engine calls them.
    debug_functions: HashMap<usize, CodeAddress>,
}

/// Entries that a table of the guest's can have: some ten times what a kernel or a large program has functions.
const MAX_TABLE: usize = 1 << 20;

/// The globals that the rewriter gave the kernel.
#[derive(Clone, Copy)]
struct RuntimeGlobals {
    ticks: Global,
    /// What is left of the stack for calls, by the rewriter's estimate.
    stack: Global,
    /// The kernel's stack pointer, where it is exported.
    stack_pointer: Option<Global>,
    /// What the kernel's code compares that with, if it does.
    stack_bounds: Option<stack::StackBounds>,
    /// The index of its last call through a table, if it is noted.
    callee: Option<Global>,
    /// The access that is looked at closer, if it is noted.
    site: Option<Global>,
    /// The address operand of its last access, if it is noted.
    fault: Option<Global>,
}

impl RunnerData {
    fn new(me: RunnerId, shared: Rc<Shared>) -> Self {
        RunnerData {
            me,
            shared: OneThread::new(shared),
            memory: None,
            kernel: None,
            globals: None,
            granted: 0,
            watch_map: None,
            user: None,
            calls: Vec::new(),
            kernel_stack: stack::StackWatch::default(),
            prepared: None,
            clone: None,
            limits: StoreLimitsBuilder::new().table_elements(MAX_TABLE).build(),
            turn: 0,
            debug: breaks::StoreDebug::default(),
            debug_functions: HashMap::new(),
        }
    }
}

/// Charges the machine's clock with the ticks that this runner has used since it was last charged.
fn charge(store: &mut impl AsContextMut<Data = RunnerData>) {
    let Some(globals) = store.as_context().data().globals else { return };
    let left = globals.ticks.get(&mut *store).i32().unwrap_or(0);
    let mut context = store.as_context_mut();
    let data = context.data_mut();
    let used = data.granted.wrapping_sub(left) as u32;
    data.granted = left;
    data.shared.core.borrow_mut().charge(used);
}

/// Sets an integer global, of either width.
fn set_word(store: &mut impl AsContextMut<Data = RunnerData>, global: Global, value: u64) -> wasmtime::Result<()> {
    let value = word_val(&global.ty(&*store).content().clone(), value);
    global.set(store, value)
}

/// The store's present Wasm call stack, in terms of the original modules: what its code says.
fn frames(store: &impl AsContext<Data = RunnerData>) -> Vec<Frame> {
    let backtrace = WasmBacktrace::force_capture(store.as_context());
    store.as_context().data().shared.images.borrow().frames(&backtrace)
}

/// The instruction of the kernel's that the host was called behind, for its access to memory, if that is noted; none of a
/// program's.
fn site(store: &mut impl AsContextMut<Data = RunnerData>) -> Option<CodeOffset> {
    let site = store.as_context().data().globals?.site?;
    let site = site.get(&mut *store).i32()? as u32;
    (site & USER_SITE == 0).then_some(CodeOffset(site))
}

/// An integer argument, zero-extended: an address or a count of either width.
fn word(val: Option<&Val>) -> u64 {
    match val {
        Some(Val::I32(v)) => u64::from(*v as u32),
        Some(Val::I64(v)) => *v as u64,
        _ => 0,
    }
}

/// An integer argument, sign-extended.
fn int(val: Option<&Val>) -> i64 {
    match val {
        Some(Val::I32(v)) => i64::from(*v),
        Some(Val::I64(v)) => *v,
        _ => 0,
    }
}

/// `value` in a type that the guest chose; wrapped where that is narrower.
fn word_val(ty: &ValType, value: u64) -> Val {
    match ty {
        ValType::I64 => Val::I64(value as i64),
        ValType::F32 => Val::F32((value as i64 as f32).to_bits()),
        ValType::F64 => Val::F64((value as i64 as f64).to_bits()),
        _ => Val::I32(value as i32),
    }
}

/// The future of a host function that may suspend.
type Suspending<'a> = Pin<Box<dyn Future<Output = wasmtime::Result<i64>> + Send + 'a>>;

/// Defines a host function that returns at once, at the type that the guest chose. Its result is given in whatever
/// type the guest wants, or dropped.
fn define_sync(
    linker: &mut Linker<RunnerData>,
    module: &str,
    name: &str,
    ty: FuncType,
    function: impl Fn(Caller<'_, RunnerData>, &[Val]) -> wasmtime::Result<i64> + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    let types: Vec<ValType> = ty.results().collect();
    let called: Arc<str> = name.into();
    linker.func_new(module, name, ty, move |mut caller, params, results| {
        trace::host_call(&mut caller, &called, params);
        let value = function(caller, params)?;
        give(results, &types, value);
        Ok(())
    })?;
    Ok(())
}

/// The same for a host function that may suspend.
fn define_suspending(
    linker: &mut Linker<RunnerData>,
    module: &str,
    name: &str,
    ty: FuncType,
    function: impl for<'a> Fn(Caller<'a, RunnerData>, &'a [Val]) -> Suspending<'a> + Send + Sync + 'static,
) -> wasmtime::Result<()> {
    let types: Arc<[ValType]> = ty.results().collect();
    let called: Arc<str> = name.into();
    linker.func_new_async(module, name, ty, move |mut caller, params, results| {
        let types = types.clone();
        trace::host_call(&mut caller, &called, params);
        let called = function(caller, params);
        Box::new(async move {
            let value = called.await?;
            give(results, &types, value);
            Ok(())
        })
    })?;
    Ok(())
}

fn give(results: &mut [Val], types: &[ValType], value: i64) {
    for (result, ty) in results.iter_mut().zip(types) {
        *result = word_val(ty, value as u64);
    }
}

/// A linker with every function that the kernel and user images may import, at the types that `kernel` imports.
///
/// # Errors
///
/// Where an import is not in the contract; the caller has looked at the module, so this names a bug or a race.
pub(super) fn linker(engine: &Engine, kernel: &wasmtime::Module) -> wasmtime::Result<Linker<RunnerData>> {
    let mut linker = Linker::new(engine);
    for import in kernel.imports() {
        let ExternType::Func(ty) = import.ty() else { continue };
        if import.module() == "env" {
            define(&mut linker, import.name(), ty)?;
        }
    }
    waits::define(&mut linker, kernel)?;
    Ok(linker)
}

fn define(linker: &mut Linker<RunnerData>, name: &str, ty: FuncType) -> wasmtime::Result<()> {
    let Some(kind) = ImportKind::from_name(name) else {
        return Err(wasmtime::Error::msg(format!("import env.{name} is not in the host contract")));
    };
    match kind {
        ImportKind::StartCpu => define_sync(linker, "env", name, ty, tasks::start_cpu),
        ImportKind::StopCpu => define_suspending(linker, "env", name, ty, |c, p| Box::pin(tasks::stop_cpu(c, p))),
        ImportKind::CreateAndRunTask => {
            define_suspending(linker, "env", name, ty, |c, p| Box::pin(tasks::create_and_run(c, p)))
        }
        ImportKind::SerializeTasks => define_serialize(linker, name, ty),
        ImportKind::ReleaseTask => define_suspending(linker, "env", name, ty, |c, p| Box::pin(tasks::release(c, p))),
        ImportKind::Panic => define_suspending(linker, "env", name, ty, |c, p| Box::pin(tasks::panic(c, p))),
        ImportKind::DumpStacktrace => {
            define_suspending(linker, "env", name, ty, |c, p| Box::pin(device::dump_stacktrace(c, p)))
        }
        ImportKind::LoadExecutable => define_sync(linker, "env", name, ty, user::load_executable),
        ImportKind::UserModeTail => {
            define_suspending(linker, "env", name, ty, |c, p| Box::pin(user::user_mode_tail(c, p)))
        }
        // By far the most called: at its own type, which the contract fixes.
        ImportKind::ClockMonotonic => linker.func_wrap("env", name, device::clock).map(|_| ()),
        ImportKind::HvcPut => define_suspending(linker, "env", name, ty, |c, p| Box::pin(device::hvc_put(c, p))),
        ImportKind::HvcGet => define_suspending(linker, "env", name, ty, |c, p| Box::pin(device::hvc_get(c, p))),
        ImportKind::RandomGetBytes => define_suspending(linker, "env", name, ty, |c, p| Box::pin(device::random(c, p))),
        ImportKind::AbsentSyscall => define_sync(linker, "env", name, ty, device::absent_syscall),
    }
}

/// `wasm_serialize_tasks`, on which the cost of a switch depends: at its own type, if that is the usual one.
fn define_serialize(linker: &mut Linker<RunnerData>, name: &str, ty: FuncType) -> wasmtime::Result<()> {
    let all_i32 = ty.params().chain(ty.results()).all(|ty| ty.is_i32());
    if all_i32 && ty.params().len() == 2 && ty.results().len() == 1 {
        linker.func_wrap_async("env", name, |mut caller, (prev, next): (u32, u32)| {
            Box::new(async move {
                let params = [Val::I32(prev.cast_signed()), Val::I32(next.cast_signed())];
                trace::host_call(&mut caller, "wasm_serialize_tasks", &params);
                let from = tasks::serialize(caller, prev.into(), next.into()).await?;
                wasmtime::Result::Ok(from as u32)
            })
        })?;
        return Ok(());
    }
    define_suspending(linker, "env", name, ty, |caller, params| {
        Box::pin(tasks::serialize(caller, word(params.first()), word(params.get(1))))
    })
}

/// An error as a host function reports it to Wasmtime.
fn trap(error: impl std::error::Error + Send + Sync + 'static) -> wasmtime::Error {
    wasmtime::Error::new(error)
}

/// The machine and the runner of a host call.
fn here(caller: &Caller<'_, RunnerData>) -> (OneThread<Rc<Shared>>, RunnerId) {
    let data = caller.data();
    (data.shared.clone(), data.me)
}

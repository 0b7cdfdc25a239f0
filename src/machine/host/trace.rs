//! What the guest does as the host sees it, for traces: its calls of the host, and the functions that have probes.

use wasmtime::{AsContextMut, Caller, Linker, Val};
use wkdb_tracer::trace::{Category, TraceWhat};
use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId};

use super::{RunnerData, charge, contents, here, int, owned};
use crate::instrument::{IMPORT_MODULE, PROBE_ARGUMENTS, PROBE_USER};

/// Defines what probes call.
pub(super) fn define(linker: &mut Linker<RunnerData>, name: &str) -> wasmtime::Result<()> {
    type Guest<'a> = Caller<'a, RunnerData>;
    type Word = u64;
    match name {
        "probe_enter" => linker.func_wrap(
            IMPORT_MODULE,
            name,
            |mut guest: Guest<'_>,
             function: u32,
             told: u32,
             a: Word,
             b: Word,
             c: Word,
             d: Word,
             e: Word,
             f: Word,
             g: Word,
             h: Word,
             i: Word| {
                let args: [Word; PROBE_ARGUMENTS] = [a, b, c, d, e, f, g, h, i];
                enter(&mut guest, function, &args[..(told as usize).min(PROBE_ARGUMENTS)]);
            },
        ),
        "probe_at" => linker.func_wrap(IMPORT_MODULE, name, |mut guest: Guest<'_>, offset: u32| {
            let address = CodeAddress { module: ModuleId::KERNEL, offset: CodeOffset(offset) };
            tell(&mut guest, TraceWhat::Reached(address));
        }),
        _ => {
            linker.func_wrap(IMPORT_MODULE, name, |mut guest: Guest<'_>, function: u32, results: u32, result: Word| {
                exit(&mut guest, function, (results > 0).then_some(result));
            })
        }
    }?;
    Ok(())
}

/// The module and the index that a probe's number stands for.
fn probed(caller: &Caller<'_, RunnerData>, function: u32) -> (ModuleId, u32) {
    let user = caller.data().user.as_ref().map(|user| user.module);
    match user.filter(|_| function & PROBE_USER != 0) {
        Some(module) => (module, function & !PROBE_USER),
        None => (ModuleId::KERNEL, function & !PROBE_USER),
    }
}

fn enter(caller: &mut Caller<'_, RunnerData>, function: u32, args: &[u64]) {
    owned::entered(caller, args);
    charge(caller);
    let (shared, me) = here(caller);
    let (module, function) = probed(caller, function);
    shared.core.borrow_mut().trace_enter(me, module, function, args);
}

fn exit(caller: &mut Caller<'_, RunnerData>, function: u32, result: Option<u64>) {
    owned::returned(caller, result.unwrap_or(0));
    contents::returned(caller);
    charge(caller);
    let (shared, me) = here(caller);
    let (module, function) = probed(caller, function);
    shared.core.borrow_mut().trace_exit(me, module, function, result);
}

/// The guest calls a function of the host's.
pub(super) fn host_call(caller: &mut Caller<'_, RunnerData>, name: &str, params: &[Val]) {
    if !caller.data().shared.core.borrow().traces(Category::Host) {
        return;
    }
    charge(caller);
    let (shared, me) = here(caller);
    let args = params.iter().map(|param| int(Some(param)) as u64).collect();
    shared.core.borrow_mut().trace(me, TraceWhat::HostCall { name: name.to_owned(), args });
}

/// Tells of something, if the run is traced.
pub(super) fn tell(store: &mut impl AsContextMut<Data = RunnerData>, what: TraceWhat) {
    let traces = store.as_context().data().shared.core.borrow().tracer.is_some();
    if traces {
        charge(store);
        let context = store.as_context();
        let data = context.data();
        data.shared.core.borrow_mut().trace(data.me, what);
    }
}

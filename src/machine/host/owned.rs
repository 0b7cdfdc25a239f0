//! Stores of programs outside of what their processes own: see `detect/owned.rs`.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::{Rc, Weak};

use wasm_encoder::{ExportKind, ExportSection, MemorySection, MemoryType};
use wasmtime::{AsContextMut, Engine, Instance, Memory, Module};
use wkdb_tracer::{Change, Detector, Finding, Frame, ModuleId};

use super::super::detect::owned::{Called, OwnMemory};
use super::super::detect::stack;
use super::super::memory::GuestMemory;
use super::super::one_thread::OneThread;
use super::detect::found;
use super::{RunnerData, charge, frames};
use crate::instrument::{WATCH_MAP_PAGES, WATCH_SLOT};

/// The export of the module that has a map's memory.
const MAP: &str = "map";

/// Most bytes of a store that a finding shows.
const SHOWN: u64 = 64;

/// The memory of a process, as its programs share it.
pub(super) type Shared = OneThread<Rc<RefCell<OwnMemory>>>;

/// The map that a program that is about to be instantiated looks at, and the memory of its process; none where it looks at
/// the common map.
pub(super) async fn begin(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
) -> wasmtime::Result<Option<(Memory, Shared)>> {
    let shared = store.as_context().data().shared.clone();
    let Some(own) = own_memory(store)? else {
        // It looks at the common map: that of the kernel's code, if the kernel's looks at one.
        if store.as_context().data().watch_map.is_none() && shared.core.borrow().detects(Detector::UserStores) {
            let map = shared.core.borrow().watches.map().memory().clone();
            let memory = memory_over(store, &map).await?;
            store.as_context_mut().data_mut().watch_map = Some(memory);
        }
        return Ok(None);
    };
    let map = own.borrow().map().memory().clone();
    let memory = memory_over(store, &map).await?;
    store.as_context_mut().data_mut().calls.clear();
    Ok(Some((memory, own)))
}

/// A memory of the store's over a map.
async fn memory_over(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    map: &GuestMemory,
) -> wasmtime::Result<Memory> {
    let shared = store.as_context().data().shared.clone();
    let module = match shared.map_module.get() {
        Some(module) => module.clone(),
        None => shared.map_module.get_or_init(|| map_module(&shared.engine)).clone(),
    };
    let module = module.ok_or_else(|| wasmtime::Error::msg("the module of a program's map cannot be compiled"))?;
    // The engine asks the host for the memories of instances alone.
    let instance = shared.memory.lending(map, Instance::new_async(&mut *store, &module, &[])).await?;
    let memory = instance.get_memory(&mut *store, MAP);
    memory.ok_or_else(|| wasmtime::Error::msg("the module of a program's map has no memory"))
}

/// A module that has a memory of a map's size, and nothing else.
fn map_module(engine: &Engine) -> Option<Module> {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: WATCH_MAP_PAGES,
        maximum: Some(WATCH_MAP_PAGES),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export(MAP, ExportKind::Memory, 0);
    let mut module = wasm_encoder::Module::new();
    module.section(&memories).section(&exports);
    Module::new(engine, module.finish()).ok()
}

/// The memory of the runner's process, if its stores are watched.
fn own_memory(store: &mut impl AsContextMut<Data = RunnerData>) -> wasmtime::Result<Option<Shared>> {
    let context = store.as_context();
    let data = context.data();
    let shared = &data.shared;
    let process = {
        let core = shared.core.borrow();
        let wide = shared.boot_data.pointer_bytes == 8;
        let task = core.runners.get(data.me).map(|runner| runner.task.0);
        let process = task.and_then(|task| stack::process(&shared.memory, &shared.facts, wide, task));
        process.filter(|_| core.detects(Detector::UserStores))
    };
    let Some(process) = process else { return Ok(None) };
    let mut processes = shared.processes.borrow_mut();
    if let Some(known) = processes.get(&process).and_then(Weak::upgrade) {
        return Ok(Some(OneThread::new(known)));
    }
    let own = Rc::new(RefCell::new(OwnMemory::new(&shared.memory)?));
    processes.retain(|_, process| process.strong_count() > 0);
    processes.insert(process, Rc::downgrade(&own));
    Ok(Some(OneThread::new(own)))
}

/// A program enters the kernel.
pub(super) fn entered(store: &mut impl AsContextMut<Data = RunnerData>, args: &[u64]) {
    let mut context = store.as_context_mut();
    let data = context.data_mut();
    let wide = data.shared.boot_data.pointer_bytes == 8;
    if data.user.as_ref().is_some_and(|user| user.own.is_some()) {
        data.calls.extend(Called::of(args, wide));
    }
}

/// It returns to it.
pub(super) fn returned(store: &mut impl AsContextMut<Data = RunnerData>, result: u64) {
    let mut context = store.as_context_mut();
    let data = context.data_mut();
    let wide = data.shared.boot_data.pointer_bytes == 8;
    let own = data.user.as_ref().and_then(|user| user.own.clone());
    if let (Some(own), Some(called)) = (own, data.calls.pop()) {
        own.borrow_mut().returned(called, result, wide);
    }
}

/// Others are watched than were: the maps of programs have to know.
pub(super) fn mark_fresh(store: &impl AsContextMut<Data = RunnerData>) {
    let shared = store.as_context().data().shared.clone();
    let fresh = shared.core.borrow_mut().watches.take_fresh();
    if fresh.is_empty() {
        return;
    }
    for process in shared.processes.borrow().values().filter_map(Weak::upgrade) {
        fresh.iter().for_each(|range| process.borrow().map().set(range, true, false));
    }
}

/// Code has written something marked: if that was a program's, looks whether it may.
pub(super) async fn wrote(
    store: &mut (impl AsContextMut<Data = RunnerData> + Send),
    written: Range<u64>,
) -> wasmtime::Result<()> {
    let Some(own) = store.as_context().data().user.as_ref().and_then(|user| user.own.clone()) else { return Ok(()) };
    let stack = frames(store);
    let place = stack.first().map(|frame| frame.address).filter(|place| place.module != ModuleId::KERNEL);
    let Some(place) = place else { return Ok(()) };
    let shared = store.as_context().data().shared.clone();
    let me = store.as_context().data().me;
    let mut area = own.borrow().area(&written);
    if area.is_none() {
        if shared.core.borrow().was_told(Detector::UserStores, place) {
            return Ok(());
        }
        // Where nobody knows, all of it may be its own.
        let areas = areas(&shared, me).unwrap_or_else(|| std::iter::once(0..u64::MAX).collect());
        own.borrow_mut().set_areas(areas);
        area = own.borrow().area(&written);
    }
    if let Some(area) = area {
        let area = area.start..area.end.min(shared.memory.size());
        let own = own.borrow();
        // A slot that it shares with others stays marked.
        let slots = area.start.next_multiple_of(WATCH_SLOT)..area.end & !(WATCH_SLOT - 1);
        if !slots.is_empty() {
            own.map().set(&slots, false, false);
        }
        let watched = shared.core.borrow_mut().watches.watched_in(&area);
        watched.iter().for_each(|range| own.map().set(range, true, false));
        return Ok(());
    }
    charge(store);
    let finding = tell(&shared, me, &written, stack);
    let new = shared.core.borrow_mut().tell_once(&finding);
    if new { found(store, finding).await } else { Ok(()) }
}

/// What memory the runner's process may write; none where the kernel does not say.
fn areas(shared: &super::Shared, me: wkdb_tracer::RunnerId) -> Option<Vec<Range<u64>>> {
    let marks = shared.facts.areas.as_ref()?;
    let task = shared.core.borrow().runners.get(me)?.task.0;
    let process = stack::process(&shared.memory, &shared.facts, shared.boot_data.pointer_bytes == 8, task)?;
    let read = |address: u64, size: u64| {
        let mut bytes = [0; 8];
        shared.memory.read(address, bytes.get_mut(..size as usize)?).ok()?;
        Some(u64::from_le_bytes(bytes))
    };
    Some(marks.writable(process, &read))
}

/// The finding that a program has written what is not its own.
fn tell(shared: &super::Shared, me: wkdb_tracer::RunnerId, written: &Range<u64>, stack: Vec<Frame>) -> Finding {
    let core = shared.core.borrow();
    let context = core.context(me);
    let len = written.end - written.start;
    let unit = if len == 1 { "byte" } else { "bytes" };
    let headline = format!("{} writes {len} {unit} at {:#x}, which is not its own", context.comm, written.start);
    let mut finding = Finding::new(Detector::UserStores, headline).about(context).at(stack).on(written.start, len);
    let new = shared.memory.read_vec(written.start, len.min(SHOWN)).unwrap_or_default();
    finding.change = Some(Change { old: None, new });
    let wide = shared.boot_data.pointer_bytes == 8;
    let task = core.task_at(&shared.facts, wide, written.start);
    let symbols = shared.images.borrow().get(ModuleId::KERNEL).and_then(|kernel| kernel.symbols());
    let named = || {
        let (symbol, at) = symbols.as_ref()?.symbol_at(written.start)?;
        Some(if at == 0 { symbol.name.clone() } else { format!("{}+{at:#x}", symbol.name) })
    };
    match task.or_else(named) {
        Some(there) => finding.detail(format!("there lies {there}")),
        None => finding,
    }
}

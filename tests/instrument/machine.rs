//! A host for rewritten modules, small enough to be obviously right: it runs every export of a module once and notes
//! everything that can be seen from outside.

use wasmtime::{
    Caller, Config, Engine, Extern, ExternType, Func, FuncType, Global, Instance, Memory, Module, OptLevel, Ref, Store,
    Trap, Val, WasmBacktrace,
};
use wkdb::instrument::{
    READS_MAP, WATCH_LINE, WATCH_MAP_EXPORT, WATCH_MAP_PAGES, WATCH_MAP_REACH, WATCH_SLOT, WATCHED_MAP,
};

/// What calls may take of the stack: enough for all that ends.
pub(crate) const STACK: u32 = 1 << 24;

/// The byte of a line of the map that nobody has written into.
const MARKED: u8 = 0xff;
/// So many lines of the map are marked with footprints: a guest has no more than 2 MiB.
const LINES: usize = 1 << 15;

/// What the host functions keep.
#[derive(Default)]
pub(crate) struct Host {
    /// Ticks of finished time slices.
    spent: i64,
    /// The budget of the current slice: 0 at first, as the module's counter is.
    budget: i32,
    /// How many slices have ended.
    pub(crate) slices: u32,
    /// The tick at each call of an import of the original module.
    pub(crate) calls: Vec<i64>,
    /// The accesses reported that touch the watched range.
    pub(crate) accesses: Vec<Access>,
    /// How many were reported that do not.
    pub(crate) near: usize,
    /// The start and length of the range to watch.
    watch: (u64, u64),
    /// All lines are marked at first, and those that were written are here in the end.
    pub(crate) footprint: Option<std::collections::BTreeSet<u64>>,
    /// The name under which the memory is exported.
    memory: Option<String>,
    /// What the memory holds, as far as the reported writes tell.
    pub(crate) shadow: Vec<u8>,
}

/// The ways in which the host is told of accesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Stored,
    Loaded,
    Exchanged,
    BulkStored,
    /// With the place that was copied from.
    BulkCopied(u64),
}

/// A reported access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) kind: Kind,
    pub(crate) address: u64,
    pub(crate) len: u64,
    /// What the memory held there when it was reported.
    pub(crate) bytes: Vec<u8>,
}

/// What an export returned, with references by whether they are null, or the trap it ended in.
pub(crate) type CallResult = Result<Vec<String>, Option<Trap>>;

/// A finished run.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    /// How the call of each export ended.
    pub(crate) results: Vec<CallResult>,
    /// The tick after each export, and at each call of an import.
    pub(crate) ticks: Vec<i64>,
    /// Where each trap was: the frames' offsets in the original code section.
    pub(crate) frames: Vec<Vec<Option<u32>>>,
    pub(crate) globals: Vec<String>,
    pub(crate) memory: Option<Vec<u8>>,
}

/// How a module's ticks are read, and offsets of its file become original code offsets.
pub(crate) struct View<'v> {
    /// Whether the count goes down from a budget in `wkdb:ticks`; else it goes up in `oracle`.
    pub(crate) counts_down: bool,
    pub(crate) original: &'v dyn Fn(u32) -> Option<u32>,
}

pub(crate) fn engine() -> Engine {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::Speed).cranelift_nan_canonicalization(true).wasm_branch_hinting(true);
    config.wasm_memory64(true).wasm_multi_memory(true).wasm_tail_call(true).wasm_threads(true);
    config.wasm_exceptions(true).wasm_function_references(true).wasm_gc(true).wasm_relaxed_simd(true);
    config.relaxed_simd_deterministic(true).wasm_wide_arithmetic(true).wasm_custom_page_sizes(true);
    config.memory_reservation(1 << 20).memory_guard_size(1 << 16);
    Engine::new(&config).expect("the configuration is consistent")
}

impl Host {
    /// A host that watches the range from `lo` on.
    pub(crate) fn watching(lo: u64, len: u64) -> Host {
        Host { watch: (lo, len), ..Host::default() }
    }

    fn now(&self, counter: &Val) -> i64 {
        match counter {
            Val::I32(remaining) => self.spent + i64::from(self.budget.wrapping_sub(*remaining)),
            Val::I64(counted) => *counted,
            _ => unreachable!("a counter is an integer"),
        }
    }
}

/// The tick counter of the instance that called, whichever of the two kinds it has.
fn counter(caller: &mut Caller<'_, Host>) -> Option<Global> {
    let name = if caller.get_export("oracle").is_some() { "oracle" } else { "wkdb:ticks" };
    caller.get_export(name).and_then(Extern::into_global)
}

fn tick(mut caller: Caller<'_, Host>) {
    let ticks = counter(&mut caller).expect("the counter is exported");
    assert!(matches!(ticks.get(&mut caller), Val::I32(0)), "the host is called at exactly 0");
    let host = caller.data_mut();
    host.spent += i64::from(host.budget);
    host.slices += 1;
    host.budget = 1 + (host.slices * 7 % 23).cast_signed();
    let budget = host.budget;
    ticks.set(&mut caller, Val::I32(budget)).expect("the counter is mutable");
}

fn address(value: &Val) -> u64 {
    match value {
        Val::I32(value) => u64::from(value.cast_unsigned()),
        Val::I64(value) => value.cast_unsigned(),
        _ => unreachable!("an address is an integer"),
    }
}

/// The memory that the calling instance exports.
fn memory(caller: &mut Caller<'_, Host>) -> Option<Memory> {
    let name = caller.data().memory.clone()?;
    caller.get_export(&name).and_then(Extern::into_memory)
}

/// Whether two ranges, by start and length, overlap.
pub(crate) fn overlap(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1)
}

fn note_access(caller: &mut Caller<'_, Host>, kind: Kind, address: u64, len: u64) {
    let mut bytes = Vec::new();
    if let Some(memory) = memory(caller) {
        let (data, host) = memory.data_and_store_mut(&mut *caller);
        let range = address as usize..(address + len) as usize;
        bytes = data[range.clone()].to_vec();
        if kind != Kind::Loaded {
            // What has grown since is zero.
            host.shadow.resize(data.len(), 0);
            host.shadow[range].copy_from_slice(&bytes);
        }
    }
    if kind != Kind::Loaded && caller.data().footprint.is_some() {
        let map = caller.get_export(WATCH_MAP_EXPORT).and_then(Extern::into_memory).expect("it is exported");
        let (map, host) = map.data_and_store_mut(&mut *caller);
        let lines = address / WATCH_LINE..(address + len).div_ceil(WATCH_LINE);
        let bulk = matches!(kind, Kind::BulkStored | Kind::BulkCopied(_));
        let marked = |line: u64| map[line as usize] == MARKED;
        assert!(bulk || !lines.clone().any(marked), "code takes the marks off lines {lines:?}");
        let line = WATCH_LINE;
        // Whole lines: the one before is marked where an access of 16 bytes reaches from it into the range.
        let first_near = (host.watch.0 / line).saturating_sub(1) * line;
        let beside = (first_near, (host.watch.0 + host.watch.1).next_multiple_of(line) - first_near);
        // A copy may be told for what it reads.
        let near =
            overlap(beside, (address, len)) || matches!(kind, Kind::BulkCopied(from) if overlap(beside, (from, len)));
        assert!(near || (bulk && lines.clone().any(marked)), "the host is called for lines {lines:?}");
        for line in lines {
            if map[line as usize] == MARKED {
                map[line as usize] = map[WATCHED_MAP as usize + line as usize];
            }
        }
    }
    let host = caller.data_mut();
    let copied = matches!(kind, Kind::BulkCopied(from) if overlap(host.watch, (from, len)));
    match copied || overlap(host.watch, (address, len)) {
        true => host.accesses.push(Access { kind, address, len, bytes }),
        false => host.near += 1,
    }
}

/// Marks what is watched in the map, as the host of a machine does. Guests have no more than a megabyte.
pub(crate) fn mark(map: &mut [u8], (lo, len): (u64, u64)) {
    let page = WATCH_MAP_PAGES as usize * 65536;
    let footprint = map.len() > page;
    let maps = if footprint { &[0, READS_MAP as usize, WATCHED_MAP as usize][..] } else { &[0] };
    for &map_at in maps {
        if len > 0 {
            // With footprints, slots of the line before as well, from which an access of 16 bytes reaches into the range.
            let near = footprint && lo % WATCH_LINE < 15;
            let first = if near { lo.saturating_sub(15) } else { lo } / WATCH_SLOT;
            let last = lo.saturating_add(len - 1).min(1 << 20) / WATCH_SLOT;
            (first..=last).for_each(|slot| map[map_at + (slot / 8) as usize] |= 1 << (slot % 8));
        }
        let end = map_at + page - 65536;
        map.copy_within(map_at..map_at + WATCH_MAP_REACH as usize, end);
    }
}

/// A host function of the workbench, or a stand-in for one of the module's own.
fn host_function(store: &mut Store<Host>, module: &str, name: &str, ty: FuncType) -> Func {
    match (module, name) {
        ("wkdb", "tick") => Func::wrap(store, tick),
        ("wkdb", "stored" | "loaded" | "exchanged" | "bulk_stored" | "bulk_copied") => {
            let name = name.to_owned();
            Func::new(store, ty, move |mut caller, arguments, _| {
                let number = |n: usize| address(&arguments[n]);
                let (kind, len) = match name.as_str() {
                    "stored" => (Kind::Stored, number(1)),
                    "loaded" => (Kind::Loaded, number(1)),
                    "exchanged" => (Kind::Exchanged, number(1)),
                    "bulk_stored" => (Kind::BulkStored, number(1)),
                    _ => (Kind::BulkCopied(number(1)), number(2)),
                };
                note_access(&mut caller, kind, number(0), len);
                Ok(())
            })
        }
        ("wkdb", "memory_grow") => Func::new(store, ty, |mut caller, arguments, results| {
            let memory = memory(&mut caller).expect("the memory is exported");
            let grown = memory.grow(&mut caller, address(&arguments[0])).map_or(-1, u64::cast_signed);
            results[0] = if arguments[0].i32().is_some() { Val::I32(grown as i32) } else { Val::I64(grown) };
            Ok(())
        }),
        _ => Func::new(store, ty.clone(), move |mut caller, _, results| {
            if let Some(counter) = counter(&mut caller) {
                let counter = counter.get(&mut caller);
                let now = caller.data().now(&counter);
                caller.data_mut().calls.push(now);
            }
            for (result, ty) in results.iter_mut().zip(ty.results()) {
                *result = Val::default_for_ty(&ty).expect("only nullable references are used");
            }
            Ok(())
        }),
    }
}

/// Text for a value that is the same for the same value of another store.
fn show(value: &Val) -> String {
    match value {
        Val::FuncRef(reference) => format!("funcref {}", reference.is_some()),
        Val::ExternRef(reference) => format!("externref {}", reference.is_some()),
        Val::AnyRef(reference) => format!("anyref {}", reference.is_some()),
        other => format!("{other:?}"),
    }
}

/// The frames of a trap, and which trap it was.
fn trap(error: &wasmtime::Error, view: &View<'_>) -> (Option<Trap>, Vec<Option<u32>>) {
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let frames = backtrace.map_or(&[][..], WasmBacktrace::frames);
    let offsets = frames.iter().map(|frame| (view.original)(frame.module_offset()? as u32));
    (error.downcast_ref::<Trap>().copied(), offsets.collect())
}

/// Runs a module's start function and then each of its exported functions once. `None` if it cannot be run with
/// stand-ins for its imports.
pub(crate) fn run(engine: &Engine, wasm: &[u8], view: &View<'_>, host: Host) -> Option<(Outcome, Host)> {
    let module = Module::new(engine, wasm).unwrap_or_else(|error| panic!("{error:?}"));
    let mut store = Store::new(engine, host);
    let mut memories = module
        .exports()
        .filter(|export| matches!(export.ty(), ExternType::Memory(_)) && export.name() != WATCH_MAP_EXPORT);
    store.data_mut().memory = memories.next().map(|export| export.name().to_owned());
    let mut imports = Vec::new();
    for import in module.imports() {
        let ty = import.ty();
        imports.push(match ty {
            ExternType::Func(ty) => {
                ty.results().all(|ty| Val::default_for_ty(&ty).is_some()).then_some(())?;
                Extern::Func(host_function(&mut store, import.module(), import.name(), ty))
            }
            ExternType::Memory(ty) => Extern::Memory(Memory::new(&mut store, ty).ok()?),
            other => other.default_value(&mut store).ok()?,
        });
    }
    let mut outcome =
        Outcome { results: Vec::new(), ticks: Vec::new(), frames: Vec::new(), globals: Vec::new(), memory: None };
    let instance = match Instance::new(&mut store, &module, &imports) {
        Ok(instance) => instance,
        Err(error) => {
            let (trap, frames) = trap(&error, view);
            outcome.results.push(Err(trap));
            outcome.frames.push(frames);
            outcome.ticks.clone_from(&store.data().calls);
            return Some((outcome, store.into_data()));
        }
    };
    let counter = if view.counts_down { "wkdb:ticks" } else { "oracle" };
    // The start function ran with the counter's first value, 0: into the negative, without the host being called.
    if let Some(ticks) = instance.get_global(&mut store, "wkdb:ticks") {
        let counter = ticks.get(&mut store);
        let used = store.data().now(&counter);
        let host = store.data_mut();
        (host.spent, host.budget) = (used, 3);
        ticks.set(&mut store, Val::I32(3)).expect("the counter is mutable");
    }
    let exports: Vec<_> = module.exports().map(|export| export.name().to_owned()).collect();
    let own = |name: &&String| *name != WATCH_MAP_EXPORT;
    let memory = exports.iter().filter(own).find_map(|name| instance.get_memory(&mut store, name));
    store.data_mut().shadow = memory.map(|memory| memory.data(&store).to_vec()).unwrap_or_default();
    if let Some(map) = instance.get_memory(&mut store, WATCH_MAP_EXPORT) {
        let (map, host) = map.data_and_store_mut(&mut store);
        if host.footprint.is_some() {
            map[..LINES].fill(MARKED);
        }
        mark(map, host.watch);
    }
    for name in &exports {
        let Some(function) = instance.get_func(&mut store, name) else { continue };
        let ty = function.ty(&store);
        let arguments: Option<Vec<_>> = ty.params().map(|ty| Val::default_for_ty(&ty)).collect();
        let Some(arguments) = arguments else { continue };
        let mut results = vec![Val::I32(0); ty.results().len()];
        let stack = instance.get_global(&mut store, "wkdb:stack");
        match function.call(&mut store, &arguments, &mut results) {
            Ok(()) => {
                outcome.results.push(Ok(results.iter().map(show).collect()));
                let left = stack.map(|stack| stack.get(&mut store).unwrap_i32().cast_unsigned());
                assert!(left.is_none_or(|left| left == STACK), "{name} gave back what it took: {left:?}");
            }
            Err(error) => {
                let (trap, frames) = trap(&error, view);
                outcome.results.push(Err(trap));
                outcome.frames.push(frames);
                if let Some(stack) = stack {
                    stack.set(&mut store, Val::I32(STACK.cast_signed())).expect("it is mutable");
                }
            }
        }
        if let Some(counter) = instance.get_global(&mut store, counter) {
            let counter = counter.get(&mut store);
            outcome.ticks.push(store.data().now(&counter));
        }
    }
    for name in exports.iter().filter(|name| !name.starts_with("wkdb:") && *name != "oracle") {
        match instance.get_export(&mut store, name) {
            Some(Extern::Global(global)) => outcome.globals.push(show(&global.get(&mut store))),
            Some(Extern::Memory(memory)) => outcome.memory = Some(memory.data(&store).to_vec()),
            Some(Extern::Table(table)) => {
                for index in 0..table.size(&store) {
                    let null = match table.get(&mut store, index) {
                        Some(Ref::Func(function)) => function.is_none(),
                        Some(Ref::Extern(value)) => value.is_none(),
                        _ => true,
                    };
                    outcome.globals.push(format!("null {null}"));
                }
            }
            _ => {}
        }
    }
    if let Some(map) = instance.get_memory(&mut store, WATCH_MAP_EXPORT) {
        let (map, host) = map.data_and_store_mut(&mut store);
        let written = (0..LINES as u64).filter(|line| map[*line as usize] != MARKED);
        host.footprint.iter_mut().for_each(|lines| lines.extend(written.clone()));
    }
    outcome.ticks.extend_from_slice(&store.data().calls);
    let mut host = store.into_data();
    // The memory may have grown after the last write.
    host.shadow.resize(outcome.memory.as_ref().map_or(0, Vec::len), 0);
    Some((outcome, host))
}

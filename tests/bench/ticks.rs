//! What instrumentation costs: CPU-bound guests, plain and rewritten.
//!
//! Variants take turns within each round, so that all see the same machine; a table shows ratios of medians. Run by
//! `scripts/bench.sh`, or `cargo bench --bench ticks`. `WKDB_BENCH_ROUNDS` sets the number of rounds.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{
    Caller, Config, Engine, Extern, Global, GlobalType, Linker, Module, Mutability, OptLevel, Store, TypedFunc, Val,
    ValType,
};
use wkdb::code_cache::CALL_STACK;
use wkdb::instrument::{Options, RuntimeGlobals, TickCounter, WATCH_MAP_EXPORT, rewrite};

/// A guest: its name, its code, the function to call, and the rounds it works for in one measurement: about 50 ms.
type Work = (&'static str, &'static [u8], &'static str, u32);

/// Guests of all kinds.
const GUESTS: [Work; 6] = [
    ("mix (CoreMark-like)", include_bytes!("mix.wasm"), "run", 2_000),
    ("sort", include_bytes!("sort.wasm"), "run", 120),
    ("hash", include_bytes!("hash.wasm"), "run", 600_000),
    ("linked list", include_bytes!("list.wasm"), "run", 300_000),
    ("LZ", include_bytes!("lz.wasm"), "run", 220),
    ("SHA-256", include_bytes!("sha.wasm"), "run", 2_000),
];

/// Guests that do little but write memory.
const STORES: &[u8] = include_bytes!("stores.wasm");
const STORE_GUESTS: [Work; 6] = [
    ("bytes in a row", STORES, "fill", 10_000),
    ("words copied", STORES, "copy", 10_000),
    ("objects made", STORES, "init", 20_000),
    ("counters at random", STORES, "count", 60_000),
    ("list moves", STORES, "move", 8_000_000),
    ("stack in memory", STORES, "push", 40_000),
];

/// Ticks in a time slice, as the machine has them.
const SLICE: i32 = 50_000;

struct Variant {
    name: &'static str,
    options: Option<Options>,
    /// How many ranges are watched, all where no guest writes.
    ranges: usize,
}

/// Numbers of slots of the map: around everything that a guest writes, whose data begins at the second page.
fn watched(ranges: usize, memory: usize) -> impl Iterator<Item = usize> {
    const BELOW: usize = 4096;
    (0..ranges).map(move |n| if n < BELOW { n } else { memory / 8 + n * 64 })
}

fn variants() -> Vec<Variant> {
    let alone = Options { ticks: true, host_waits: true, ..Options::identity() };
    let ticks = Options { call_stack: Some(CALL_STACK), ..alone };
    let variant = |name, options| Variant { name, options, ranges: 0 };
    let stores = Options { stores: true, ..ticks };
    let loads = Options { loads: true, ..ticks };
    vec![
        variant("plain", None),
        variant("ticks alone", Some(alone)),
        variant("ticks and stack", Some(ticks)),
        variant("ticks (global only)", Some(Options { tick_counter: TickCounter::Global, ..ticks })),
        variant("ticks (user module)", Some(Options { runtime_globals: RuntimeGlobals::Import, ..ticks })),
        variant("ticks + stores", Some(stores)),
        Variant { name: "1 range elsewhere", options: Some(stores), ranges: 1 },
        Variant { name: "100 000 ranges around", options: Some(stores), ranges: 100_000 },
        Variant { name: "ticks + stores and loads", options: Some(loads), ranges: 1 },
    ]
}

/// A guest ready to run.
struct Guest {
    store: Store<u64>,
    run: TypedFunc<u32, u32>,
}

fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::Speed).cranelift_nan_canonicalization(true).wasm_branch_hinting(true);
    config.wasm_multi_memory(true);
    Engine::new(&config)
}

fn load(engine: &Engine, wasm: &[u8], export: &str, variant: &Variant) -> Result<Guest, Box<dyn std::error::Error>> {
    let wasm = match &variant.options {
        Some(options) => rewrite(wasm, options)?.wasm,
        None => wasm.to_vec(),
    };
    let module = Module::new(engine, wasm)?;
    let mut store = Store::new(engine, 0);
    let mut linker = Linker::new(engine);
    // What a user module shares with its kernel.
    let shared = Global::new(&mut store, GlobalType::new(ValType::I32, Mutability::Var), Val::I32(SLICE))?;
    linker.define(&store, "wkdb", "ticks", shared)?;
    let left = Val::I32(CALL_STACK.cast_signed());
    let stack = Global::new(&mut store, GlobalType::new(ValType::I32, Mutability::Var), left)?;
    linker.define(&store, "wkdb", "stack", stack)?;
    linker.func_wrap("wkdb", "tick", move |mut caller: Caller<'_, u64>| {
        *caller.data_mut() += 1;
        let ticks = caller.get_export("wkdb:ticks").and_then(Extern::into_global).unwrap_or(shared);
        ticks.set(&mut caller, Val::I32(SLICE))
    })?;
    linker.define_unknown_imports_as_traps(&module)?;
    let instance = linker.instantiate(&mut store, &module)?;
    let mut set = |name, value| match instance.get_global(&mut store, name) {
        Some(global) => global.set(&mut store, Val::I32(value)),
        None => Ok(()),
    };
    set("wkdb:ticks", SLICE)?;
    if let Some(map) = instance.get_memory(&mut store, WATCH_MAP_EXPORT) {
        let size = instance.get_memory(&mut store, "memory").map_or(0, |memory| memory.data_size(&store));
        for slot in watched(variant.ranges, size) {
            map.data_mut(&mut store)[slot / 8] |= 1 << (slot % 8);
        }
    }
    let run = instance.get_typed_func(&mut store, export)?;
    Ok(Guest { store, run })
}

/// What this thread has had of a processor: other programs do not count.
fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Median times of all variants of a guest, and the ticks of one run.
fn measure(
    engine: &Engine,
    (_, wasm, export, work): Work,
    rounds: usize,
) -> Result<(Vec<Duration>, u64), Box<dyn std::error::Error>> {
    let variants = variants();
    let mut guests = variants
        .iter()
        .map(|variant| load(engine, wasm, export, variant))
        .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    let mut times = vec![Vec::new(); guests.len()];
    let mut expected = None;
    for round in 0..rounds + 1 {
        for turn in 0..guests.len() {
            // Another variant goes first each time.
            let at = (turn + round) % guests.len();
            let guest = &mut guests[at];
            let start = processor_time();
            let sum = guest.run.call(&mut guest.store, work)?;
            let time = processor_time() - start;
            if *expected.get_or_insert(sum) != sum {
                return Err(format!("{} computes something else", variants[at].name).into());
            }
            // The first round warms up.
            if round > 0 {
                times[at].push(time);
            }
        }
    }
    let ticks = *guests[1].store.data() * u64::from(SLICE.cast_unsigned()) / (rounds as u64 + 1);
    Ok((times.iter_mut().map(|times| median(times)).collect(), ticks))
}

/// Prints a table of guests: times of the first variant, and of the others against it.
fn table(engine: &Engine, guests: &[Work], rounds: usize) -> Result<(), Box<dyn std::error::Error>> {
    let variants = variants();
    let names: Vec<_> = variants.iter().skip(1).map(|variant| variant.name).collect();
    println!("| guest | plain | ticks/µs | {} |", names.join(" | "));
    println!("| --- | --- | --- |{}", " --- |".repeat(names.len()));
    let mut logs = vec![0.0; names.len()];
    for &guest in guests {
        let (medians, ticks) = measure(engine, guest, rounds)?;
        let plain = medians[0].as_secs_f64();
        print!("| {} | {:.1} ms | {:.0} |", guest.0, plain * 1e3, ticks as f64 / plain / 1e6);
        for (log, time) in logs.iter_mut().zip(&medians[1..]) {
            let ratio = time.as_secs_f64() / plain;
            *log += ratio.ln();
            print!(" {ratio:.2} |");
        }
        println!();
    }
    print!("| **geomean** | | |");
    for log in &logs {
        print!(" **{:.2}** |", (log / guests.len() as f64).exp());
    }
    println!("\n");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = std::env::var("WKDB_BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(11);
    let engine = engine()?;
    table(&engine, &GUESTS, rounds)?;
    table(&engine, &STORE_GUESTS, rounds)
}

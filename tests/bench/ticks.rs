//! What instrumentation costs: CPU-bound guests, plain and rewritten, and how long the rewriting itself takes.
//!
//! Variants take turns within each round, so that all see the same machine; a table shows ratios of medians. Run by
//! `scripts/bench.sh`, or `cargo bench --bench ticks`. `WKDB_BENCH_ROUNDS` sets the number of rounds.

use std::time::{Duration, Instant};

use wasmtime::{
    Caller, Config, Engine, Extern, Global, GlobalType, Linker, Module, Mutability, OptLevel, Store, TypedFunc, Val,
    ValType,
};
use wkdb::instrument::{Options, RuntimeGlobals, TickCounter, rewrite};

/// A guest, and the rounds it works for in one measurement: about 50 ms.
const GUESTS: [(&str, &[u8], u32); 6] = [
    ("mix (CoreMark-like)", include_bytes!("mix.wasm"), 2_000),
    ("sort", include_bytes!("sort.wasm"), 120),
    ("hash", include_bytes!("hash.wasm"), 600_000),
    ("linked list", include_bytes!("list.wasm"), 300_000),
    ("LZ", include_bytes!("lz.wasm"), 220),
    ("SHA-256", include_bytes!("sha.wasm"), 2_000),
];

/// Ticks in a time slice, as the machine has them.
const SLICE: i32 = 50_000;

/// Where the armed watch lies: no guest writes there.
const ELSEWHERE: (i32, i32) = (0x10, 8);

struct Variant {
    name: &'static str,
    options: Option<Options>,
    armed: bool,
}

fn variants() -> Vec<Variant> {
    let ticks = Options { ticks: true, host_waits: true, ..Options::identity() };
    let variant = |name, options| Variant { name, options, armed: false };
    let stores = Options { stores: true, ..ticks };
    vec![
        variant("plain", None),
        variant("ticks", Some(ticks)),
        variant("ticks (global only)", Some(Options { tick_counter: TickCounter::Global, ..ticks })),
        variant("ticks (user module)", Some(Options { runtime_globals: RuntimeGlobals::Import, ..ticks })),
        variant("ticks + stores", Some(stores)),
        Variant { name: "ticks + stores, armed elsewhere", options: Some(stores), armed: true },
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
    Engine::new(&config)
}

fn load(engine: &Engine, wasm: &[u8], variant: &Variant) -> Result<Guest, Box<dyn std::error::Error>> {
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
    if variant.armed {
        set("wkdb:watch_lo", ELSEWHERE.0)?;
        set("wkdb:watch_len", ELSEWHERE.1)?;
    }
    let run = instance.get_typed_func(&mut store, "run")?;
    Ok(Guest { store, run })
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Median times of all variants of a guest, and the ticks of one run.
fn measure(
    engine: &Engine,
    wasm: &[u8],
    work: u32,
    rounds: usize,
) -> Result<(Vec<Duration>, u64), Box<dyn std::error::Error>> {
    let variants = variants();
    let mut guests = variants
        .iter()
        .map(|variant| load(engine, wasm, variant))
        .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()?;
    let mut times = vec![Vec::new(); guests.len()];
    let mut expected = None;
    for round in 0..rounds + 1 {
        for turn in 0..guests.len() {
            // Another variant goes first each time.
            let at = (turn + round) % guests.len();
            let guest = &mut guests[at];
            let start = Instant::now();
            let sum = guest.run.call(&mut guest.store, work)?;
            let time = start.elapsed();
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

/// A module of about the size of a kernel with its debug information: many functions, much DWARF.
fn large_module() -> Vec<u8> {
    use wasm_encoder::{
        BlockType, CodeSection, CustomSection, Function, FunctionSection, Ieee64, MemArg, MemorySection, MemoryType,
        TypeSection, ValType,
    };
    const FUNCTIONS: u32 = 20_000;
    const DWARF: usize = 26 << 20;
    let (mut types, mut functions, mut memories) = (TypeSection::new(), FunctionSection::new(), MemorySection::new());
    types.ty().function([ValType::I32], [ValType::I32]);
    memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut code = CodeSection::new();
    for index in 0..FUNCTIONS {
        functions.function(0);
        let mut function = Function::new([(2, ValType::I32), (1, ValType::F64)]);
        let memarg = MemArg { offset: u64::from(index % 1000), align: 2, memory_index: 0 };
        let mut sink = function.instructions();
        sink.block(BlockType::Empty).loop_(BlockType::Empty);
        for value in 0..12 {
            sink.local_get(0).i32_const(value).i32_add().local_tee(1).i32_load(memarg).local_set(2);
            sink.local_get(1).local_get(2).i32_store(memarg).f64_const(Ieee64::from(1.5)).local_set(3);
        }
        sink.local_get(1).call(index / 2).br_if(1).br(0).end().end().local_get(2).end();
        code.function(&function);
    }
    let dwarf: Vec<u8> = (0..DWARF as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut module = wasm_encoder::Module::new();
    module.section(&types).section(&functions).section(&memories).section(&code);
    module.section(&CustomSection { name: ".debug_info".into(), data: dwarf.into() });
    module.finish()
}

fn rewriting() -> Result<(), Box<dyn std::error::Error>> {
    let module = large_module();
    let options = Options { ticks: true, host_waits: true, stores: true, ..Options::identity() };
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..5 {
        let start = Instant::now();
        last = Some(rewrite(&module, &options)?);
        times.push(start.elapsed());
    }
    if let Some(last) = last {
        let map = last.map.to_bytes().len();
        println!(
            "Rewriting a module of {:.1} MB (ticks + stores): {:.0} ms; result {:.1} MB, offset map {:.1} MB.",
            module.len() as f64 / 1e6,
            median(&mut times).as_secs_f64() * 1e3,
            last.wasm.len() as f64 / 1e6,
            map as f64 / 1e6
        );
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = std::env::var("WKDB_BENCH_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(11);
    let engine = engine()?;
    let variants = variants();
    let names: Vec<_> = variants.iter().skip(1).map(|variant| variant.name).collect();
    println!("| guest | plain | ticks/µs | {} |", names.join(" | "));
    println!("| --- | --- | --- |{}", " --- |".repeat(names.len()));
    let mut logs = vec![0.0; names.len()];
    for (name, wasm, work) in GUESTS {
        let (medians, ticks) = measure(&engine, wasm, work, rounds)?;
        let plain = medians[0].as_secs_f64();
        print!("| {name} | {:.1} ms | {:.0} |", plain * 1e3, ticks as f64 / plain / 1e6);
        for (log, time) in logs.iter_mut().zip(&medians[1..]) {
            let ratio = time.as_secs_f64() / plain;
            *log += ratio.ln();
            print!(" {ratio:.2} |");
        }
        println!();
    }
    print!("| **geomean** | | |");
    for log in &logs {
        print!(" **{:.2}** |", (log / GUESTS.len() as f64).exp());
    }
    println!("\n");
    rewriting()
}

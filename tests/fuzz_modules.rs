//! Damaged modules never make the workbench panic, hang or fall silent.
//!
//! Every seed is cut at and around every section's boundary; then, for `WKDB_FUZZ_SECONDS` seconds (5 if unset), seeds
//! are damaged at random. `WKDB_FUZZ_SEED` chooses the damage; the same seed does the same damage. An input that breaks
//! something is kept, and the message says where. To fuzz another reader, add a line to `TARGETS`.

#[path = "fuzz/damage.rs"]
mod damage;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use damage::{Random, boundaries, damage};
use wasmparser::{Validator, WasmFeatures};
use wkdb::code_cache::{Role, Variant, compile};
use wkdb::contract::{ContractError, KernelModule, ModuleInfo, UserModule};
use wkdb::instrument::{OffsetMap, rewrite};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::CodeOffset;

/// Something that reads modules, by its name. It panics if it finds something wrong.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 5] = [
    ("kernel", read_kernel),
    ("user", read_user),
    ("info", read_info),
    ("symbols", read_symbols),
    ("instrument", rewrite_module),
];

/// No reader may take longer than this for one of these small modules.
const TOO_LONG: Duration = Duration::from_secs(2);

fn read_kernel(module: &[u8]) {
    match KernelModule::parse(module) {
        Ok(kernel) => assert!(kernel.function("_start").is_some() && kernel.data_symbol("init_task").is_some()),
        Err(error) => check_error(&error),
    }
}

fn read_user(module: &[u8]) {
    match UserModule::parse(module) {
        Ok(user) => assert!(user.function("_start").is_some()),
        Err(error) => check_error(&error),
    }
}

/// As the machine has it rewritten: what is not refused is a valid module again, and its map can be read back.
fn rewrite_module(module: &[u8]) {
    let [plain, stores, loads] = [(false, false), (true, false), (true, true)];
    for (role, (stores, loads)) in
        [(Role::Kernel, plain), (Role::Kernel, stores), (Role::Kernel, loads), (Role::User, loads)]
    {
        match rewrite(module, &compile::options(role, Variant { stores, loads, debug: loads, ..Variant::default() })) {
            Ok(rewritten) => {
                let features = WasmFeatures::all();
                if let Err(error) = Validator::new_with_features(features).validate_all(&rewritten.wasm) {
                    panic!("rewritten for {role:?}, the module is not valid any more: {error}");
                }
                OffsetMap::from_bytes(&rewritten.map.to_bytes()).unwrap();
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn read_info(module: &[u8]) {
    match ModuleInfo::of(module) {
        Ok(info) => {
            let text = info.to_string();
            assert!(text.contains("The host") && !text.contains('\x1b'), "{text:?}");
            serde_json::to_string(&info).unwrap();
        }
        Err(ContractError::Refused(_)) => panic!("a refused module is described"),
        Err(error) => check_error(&error),
    }
}

fn read_symbols(module: &[u8]) {
    match Symbols::load(module) {
        Ok(symbols) => {
            for offset in [0, 1, 2, 9, 50, 120, 1 << 20, u32::MAX] {
                let location = symbols.locate(CodeOffset(offset));
                assert!(!location.frames.is_empty());
            }
            let _ = (symbols.data_symbol("worker_pools"), symbols.symbol_at(0x10020), symbols.problems());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A message says what is wrong, and a list of refusals is never empty.
fn check_error(error: &ContractError) {
    assert!(error.to_string().len() > 10);
    if let ContractError::Refused(refusals) = error {
        assert!(!refusals.is_empty());
    }
}

/// Every module and module text among the fixtures.
fn seeds() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders =
        vec![root.join("tests/fixtures"), root.join("tests/guests"), root.join("debugger/tests/fixtures")];
    let mut seeds = Vec::new();
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = file.path();
            let name = file.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if matches!(path.extension().and_then(|extension| extension.to_str()), Some("wat" | "wasm")) {
                seeds.push((name, wat::parse_file(&path).unwrap_or_else(|error| panic!("{error}"))));
            }
        }
    }
    seeds.sort();
    seeds
}

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) => default,
    }
}

/// Gives an input to all targets. Keeps it if one of them panics or is slow.
fn feed(input: &[u8], origin: &str) {
    for (name, target) in TARGETS {
        let started = Instant::now();
        let survived = catch_unwind(AssertUnwindSafe(|| target(input))).is_ok();
        let what = match (survived, started.elapsed()) {
            (true, took) if took < TOO_LONG => continue,
            (true, took) => format!("takes {took:?}"),
            (false, _) => "panics".into(),
        };
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}.wasm"));
        std::fs::write(&path, input).unwrap();
        panic!("{name} {what} on {origin}; the input is kept in {}", path.display());
    }
}

#[test]
fn seeds_are_read() {
    let seeds = seeds();
    assert!(seeds.len() >= 6, "seeds are missing");
    for (name, module) in &seeds {
        feed(module, name);
        let text = ModuleInfo::of(module).unwrap().to_string();
        assert!(!name.ends_with(".wat") || text.ends_with("The host can run it.\n"), "{name}:\n{text}");
    }
}

#[test]
fn modules_cut_at_every_boundary() {
    for (name, module) in seeds() {
        for boundary in boundaries(&module) {
            for end in boundary.saturating_sub(2)..=(boundary + 2).min(module.len()) {
                feed(&module[..end], &format!("{name} cut to {end} bytes"));
            }
        }
    }
}

#[test]
fn modules_damaged_at_random() {
    let seeds = seeds();
    let seed = number("WKDB_FUZZ_SEED", 1);
    let end = Instant::now() + Duration::from_secs(number("WKDB_FUZZ_SECONDS", 5));
    let mut random = Random::new(seed);
    let mut inputs = 0u64;
    while Instant::now() < end {
        let (name, module) = &seeds[random.below(seeds.len())];
        let (_, other) = &seeds[random.below(seeds.len())];
        let input = damage(module, other, &mut random);
        feed(&input, &format!("{name} damaged, WKDB_FUZZ_SEED={seed}, input {inputs}"));
        inputs += 1;
    }
    eprintln!("{inputs} inputs from {} seeds, WKDB_FUZZ_SEED={seed}", seeds.len());
    assert!(inputs > 0);
}

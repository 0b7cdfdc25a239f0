//! Symbols and expressions on small modules (fixtures/zoo, with a script that makes them again) whose sources have every
//! kind of type and variable.

mod cplusplus;
mod damage;
mod expressions;
mod fake;
mod fields;
mod formats;
mod frames;
mod lines;
mod matching;
mod sources;
mod types;
mod user;
mod variables;
mod wasm64;

use sha2::{Digest, Sha256};
use wkdb_debugger::symbols::{FunctionSymbol, Symbols};

const O0: &[u8] = include_bytes!("../fixtures/zoo/zoo-O0.wasm");
const O2: &[u8] = include_bytes!("../fixtures/zoo/zoo-O2.wasm");
const DWARF_4: &[u8] = include_bytes!("../fixtures/zoo/zoo-O2-dwarf4.wasm");
const WASM64: &[u8] = include_bytes!("../fixtures/zoo/zoo-wasm64.wasm");
const BIRDS: &[u8] = include_bytes!("../fixtures/zoo/birds.wasm");
const STRIPPED: &[u8] = include_bytes!("../fixtures/zoo/zoo-stripped.wasm");
const ALL: [&[u8]; 3] = [O0, O2, DWARF_4];

fn load(module: &[u8]) -> Symbols {
    Symbols::load(module).unwrap()
}

/// The line of a source that has this text.
fn line_of(source: &str, text: &str) -> u32 {
    let line = source.lines().position(|line| line.contains(text)).unwrap();
    u32::try_from(line).unwrap() + 1
}

const ZOO_C: &str = include_str!("../fixtures/zoo/zoo.c");
const ZOO_H: &str = include_str!("../fixtures/zoo/zoo.h");
const OTHER_C: &str = include_str!("../fixtures/zoo/other.c");

fn function(symbols: &Symbols, name: &str) -> FunctionSymbol {
    let [function] = &symbols.functions_named(name)[..] else { panic!("{name} is not one function") };
    function.clone()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

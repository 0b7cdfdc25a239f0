//! The same kernel in the shapes that Linux has had from 6.1 to 7.3: its views are the same, whatever its structures look
//! like. `tests/fixtures/shapes` has the structures and what is in them; the module's data are the guest's memory.
//!
//! What is expected is in `tests/fixtures/shapes/views.txt`, without addresses: `BLESS=1` writes it anew.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use sha2::{Digest, Sha256};
use wasmparser::{DataKind, Operator, Parser, Payload};
use wkdb_tracer::{RunnerState, WasmValue};

use super::super::{View, ViewKind, ViewRequest};
use super::fake::{Fake, Memory};
use crate::symbols::Symbols;

pub(in crate::kernel) const VERSIONS: [&str; 7] = ["6.1", "6.1-slab", "6.12", "6.18", "7.0", "7.0-wasm64", "7.3"];

/// Room behind the data, which is zeros.
const SIZE: u64 = 1 << 20;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shapes")
}

/// The symbols of a version, and its memory before anything has run.
pub(in crate::kernel) fn kernel(version: &str) -> (Rc<Symbols>, Vec<u8>) {
    let path = folder().join(format!("linux-{version}.wasm.zst"));
    let bytes = zstd::decode_all(&std::fs::read(&path).unwrap()[..]).unwrap();
    let mut memory = vec![0; SIZE as usize];
    for payload in Parser::new(0).parse_all(&bytes) {
        let Payload::DataSection(section) = payload.unwrap() else { continue };
        for segment in section {
            let segment = segment.unwrap();
            let DataKind::Active { offset_expr, .. } = segment.kind else { panic!("{segment:?}") };
            let at = match offset_expr.get_operators_reader().read().unwrap() {
                Operator::I32Const { value } => value as usize,
                Operator::I64Const { value } => value as usize,
                other => panic!("{other:?}"),
            };
            memory[at..at + segment.data.len()].copy_from_slice(segment.data);
        }
    }
    (Rc::new(Symbols::load(bytes).unwrap()), memory)
}

/// A guest of a version: `sh` runs, and the other tasks wait.
pub(in crate::kernel) fn guest(symbols: &Symbols, memory: &[u8]) -> Fake {
    let address = |name: &str| symbols.data_symbol(name).unwrap_or_else(|| panic!("{name}")).address;
    let mut fake = Fake::new(Memory::Bytes(memory.to_vec()));
    fake.module = Some(symbols.module_bytes().into());
    let top = address("sh_stack") + 512;
    fake.stack_pointer = match symbols.address_size() {
        8 => WasmValue::I64(top - 64),
        _ => WasmValue::I32((top - 64) as u32),
    };
    fake.add_runner(address("sh_task"), RunnerState::Runnable);
    fake
}

fn number(memory: &[u8], at: u64, size: u64) -> u64 {
    (0..size).rev().fold(0, |number, byte| number << 8 | u64::from(memory[(at + byte) as usize]))
}

/// One of twelve addresses that are worth a question: in an object or a page, the last two in a stack and in a task.
pub(in crate::kernel) fn probe(symbols: &Symbols, memory: &[u8], index: u64) -> u64 {
    let probes = symbols.data_symbol("probes").unwrap();
    let (word, places) = (symbols.address_size(), ["sh_stack", "sleeper_task"]);
    match index.checked_sub(probes.size.unwrap() / word) {
        None => number(memory, probes.address + index * word, word),
        Some(more) => symbols.data_symbol(places[more as usize]).unwrap().address + 20,
    }
}

/// Every address by the name of what lies there, and nothing of how far into that it is: the next version has it elsewhere.
fn without_addresses(text: &str, symbols: &Symbols) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("0x") {
        let digits = rest[start + 2..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - start - 2);
        let value = u64::from_str_radix(&rest[start + 2..start + 2 + digits], 16).unwrap_or(0);
        let name = symbols.symbol_at(value).map(|(symbol, _)| symbol.name.clone());
        out.push_str(&rest[..start]);
        match (out.strip_suffix('+').map(str::len), name) {
            (Some(before), _) => out.truncate(before),
            (None, Some(name)) => out.push_str(&format!("<{name}>")),
            (None, None) => out.push_str(&format!("{value:#x}")),
        }
        rest = &rest[start + 2 + digits..];
    }
    out.push_str(rest);
    // Columns are as wide as what is in them.
    let lines = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n");
    lines.collect()
}

/// All views, one after the other.
fn views(version: &str) -> String {
    let (symbols, memory) = kernel(version);
    assert_eq!(symbols.problems(), [""; 0]);
    let mut text = String::new();
    let mut look = |kind: ViewKind, of: Option<u64>| {
        let mut fake = guest(&symbols, &memory);
        let view = ViewRequest { kind, of }.view(&mut fake, Rc::clone(&symbols)).unwrap();
        let view = match view {
            // The wheels of older kernels are fewer, and have other names.
            View::Timers(mut timers) => {
                timers.bases.retain(|base| base.name != "global");
                timers.bases.iter_mut().filter(|base| base.name == "standard").for_each(|base| base.name = "local");
                View::Timers(timers)
            }
            view => view,
        };
        text.push_str(&format!("== {}\n{}", kind.name(), without_addresses(view.text().plain(), &symbols)));
    };
    for (kind, ..) in ViewKind::ALL.iter().filter(|(kind, ..)| *kind != ViewKind::Address) {
        look(*kind, None);
    }
    for index in 0..12 {
        look(ViewKind::Address, Some(probe(&symbols, &memory, index)));
    }
    text
}

#[test]
fn views_are_the_same_in_the_shapes_of_all_versions() {
    let path = folder().join("views.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, views(VERSIONS[0])).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for version in VERSIONS {
        let found = views(version);
        for (number, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{version}, line {}", number + 1);
        }
        assert_eq!(found.lines().count(), expected.lines().count(), "{version}");
        assert!(!found.contains("problem: "), "{version}: {found}");
    }
}

#[test]
fn pages_that_nobody_counts_are_in_use_where_they_are_marked() {
    for version in ["6.18", "7.0", "7.0-wasm64", "7.3"] {
        let (symbols, memory) = kernel(version);
        let said = |page: u64| {
            let mut fake = guest(&symbols, &memory);
            let request = ViewRequest { kind: ViewKind::Address, of: Some(page << 12) };
            request.view(&mut fake, Rc::clone(&symbols)).unwrap().text().plain().to_owned()
        };
        assert!(said(0x14).contains("page 0x14: in use, marked as large_kmalloc"), "{version}: {}", said(0x14));
        assert!(said(0x15).contains("page 0x15: free"), "{version}: {}", said(0x15));
    }
}

#[test]
fn the_shapes_were_built_from_these_sources() {
    let list = std::fs::read_to_string(folder().join("SOURCES.sha256")).unwrap();
    assert_eq!(list.lines().count(), 5);
    for line in list.lines() {
        let (hash, name) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(folder().join(name)).unwrap();
        let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, hash, "{name} changed: run build.sh in {}", folder().display());
    }
}

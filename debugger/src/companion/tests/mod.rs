//! Reads what is written back, with gimli and object in place of a debugger. `tests/companion` has real ones.

mod garbage;
mod layout;
mod object;
mod reading;
mod same;
mod symbols;

use std::path::Path;

use super::layout::Layout;
use super::{Companion, CompanionModule, build_kernel, code_len, word_size};

/// The bytes of a fixture of `tests/fixtures/companion`.
fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/companion/frames-{name}.wasm", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(Path::new(&path)).expect("the fixture is there")
}

/// The demo guest.
fn minik() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/demo/minik-7.0.wasm")).expect("it is there")
}

fn layout(wasm: &[u8]) -> Layout {
    let mut layout = Layout::new(word_size(wasm).expect("a module"));
    layout.add_module(code_len(wasm).expect("a module")).expect("room");
    layout
}

fn built(wasm: &[u8]) -> Companion {
    let layout = layout(wasm);
    build_kernel(&CompanionModule { id: wkdb_tracer::ModuleId::KERNEL, wasm }, &layout).expect("it is a module")
}

//! Symbols of whole kernels: minik and the bundled Linux.

mod linux;
mod minik;

use std::collections::BTreeMap;
use std::path::Path;

use wkdb_debugger::expr::{Evaluator, Format, Register, Target};
use wkdb_debugger::symbols::{FrameReader, PlaceError, Slot, Symbols, Unavailable};
use wkdb_tracer::{CodeOffset, WasmValue};

fn demo(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src/demo").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A frame in which everything there can be is there.
struct Anything;

impl FrameReader for Anything {
    fn slot(&mut self, slot: Slot) -> Result<WasmValue, Unavailable> {
        Ok(match slot {
            Slot::Local(index) | Slot::Operand(index) | Slot::Global(index) => WasmValue::I32(0x1_0000 + index),
        })
    }

    fn memory(&mut self, _: u64, len: u64) -> Result<Vec<u8>, Unavailable> {
        Ok(vec![1; len as usize])
    }
}

impl Target for Anything {
    fn pc(&self) -> Option<CodeOffset> {
        None
    }

    fn register(&mut self, _: Register) -> Result<u64, Unavailable> {
        Ok(1)
    }

    fn write_memory(&mut self, _: u64, _: &[u8]) -> Result<(), Unavailable> {
        Err(Unavailable("nothing can be written here".into()))
    }

    fn set_slot(&mut self, _: Slot, _: WasmValue) -> Result<(), Unavailable> {
        Err(Unavailable("nothing can be written here".into()))
    }
}

/// An expression over a memory whose bytes are all 1.
fn print(symbols: &Symbols, text: &str) -> String {
    let mut target = Anything;
    let mut evaluator = Evaluator::new(symbols, &mut target);
    let value = evaluator.evaluate(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    evaluator.format(&value, &Format::default())
}

/// Works out where every variable is at instructions of all functions, `step` bytes apart: how many are somewhere, and
/// how many are optimized out. `senseless` are those that the compiler describes in a way that makes no sense.
fn work_out_variables(symbols: &Symbols, step: usize, senseless: &[&str]) -> (usize, usize) {
    let (mut known, mut gone) = (0, 0);
    let mut other: BTreeMap<String, usize> = BTreeMap::new();
    for function in symbols.functions_like("*") {
        for at in (function.start.0..function.end.0).step_by(step).map(CodeOffset) {
            let scopes = symbols.scopes(at);
            for variable in scopes.iter().flat_map(|scope| &scope.variables) {
                match symbols.place(variable, Some(at), &mut Anything) {
                    Ok(_) => known += 1,
                    Err(PlaceError::OptimizedOut) => gone += 1,
                    Err(PlaceError::Damaged(_)) if senseless.contains(&variable.name.as_str()) => gone += 1,
                    Err(error) => {
                        *other.entry(format!("{error}: {} at {at} in {}", variable.name, function.name)).or_default() +=
                            1
                    }
                }
            }
        }
    }
    assert_eq!(other, BTreeMap::new(), "of {known} known and {gone} gone ones");
    (known, gone)
}

/// Every function has a breakpoint inside, and its scopes are of the functions that are active there.
fn check_functions(symbols: &Symbols) -> usize {
    let mut with_scopes = 0;
    for function in symbols.functions_like("*") {
        let at = symbols.breakpoint_in(&function);
        assert!(at >= function.start && at < function.end, "{function:?} {at}");
        let scopes = symbols.scopes(at);
        let frames = symbols.locate(at).frames;
        let mut active = frames.iter().map(|frame| frame.function.as_str());
        for name in scopes.iter().filter_map(|scope| scope.function.as_deref()) {
            assert_eq!(Some(name), active.next(), "{function:?} {at}: {frames:?} {scopes:?}");
        }
        with_scopes += usize::from(!scopes.is_empty());
    }
    with_scopes
}

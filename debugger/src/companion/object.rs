//! A module for lldb's own Wasm: the guest's code, names for what has no debug information, and debug information in terms
//! that lldb can follow.
//!
//! It is less than the module that the guest loaded. lldb 22 misreads imports of anything but functions, and counts them
//! wrong; it takes addresses of data for places in the module's own data; and a function with a name and an entry in the
//! debug information is two places to it, for only one of them is past the declarations of locals.

use std::collections::HashSet;

use super::bytes::Put;
use super::dwarf::{self, DataBase, Target, Terms};
use super::layout::{Layout, WordSize};
use super::wasm::Wasm;
use super::{CompanionError, CompanionModule};

const CUSTOM: u8 = 0;
const TYPE: u8 = 1;
const IMPORT: u8 = 2;
const FUNCTION: u8 = 3;
const CODE: u8 = 10;
const FUNCTION_NAMES: u8 = 1;

/// A module for lldb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WasmObject {
    /// The module.
    pub wasm: Vec<u8>,
    /// The offset in there of the contents of its code section, which are those of the guest's module.
    pub code_start: u64,
}

impl WasmObject {
    /// One that was made before; none if these bytes are not one.
    pub fn of(wasm: Vec<u8>) -> Option<WasmObject> {
        let code = wasmparser::Parser::new(0).parse_all(&wasm).find_map(|payload| match payload {
            Ok(wasmparser::Payload::CodeSectionStart { range, .. }) => Some(range.start as u64),
            _ => None,
        });
        Some(WasmObject { code_start: code?, wasm })
    }
}

/// Makes the module that lldb is given for one of the guest's; and says, in words, what of that could not be read and is
/// missing there.
///
/// # Errors
///
/// It is not a whole core module; or one with 64-bit addresses, which lldb does not know.
pub fn build_object(module: &CompanionModule<'_>) -> Result<(WasmObject, Vec<String>), CompanionError> {
    let mut problems = Vec::new();
    let outline = Wasm::read(module.wasm, &mut problems)?;
    if outline.word == WordSize::Eight {
        return Err(CompanionError::WordSize { module: 8, layout: 4 });
    }
    let data = if outline.memory_base.is_some() { DataBase::Instance } else { DataBase::Fixed(0) };
    let target = Target {
        wasm: &outline,
        word: outline.word,
        terms: Terms::Wasm,
        code_base: 0,
        globals_offset: Layout::globals_offset(module.id),
        // There they are in the tables.
        globals_base: 0,
        data,
    };
    let rewritten = dwarf::rewrite(target, &mut problems);

    let mut wasm = b"\0asm\x01\0\0\0".to_vec();
    section(&mut wasm, TYPE, &[1, 0x60, 0, 0]);
    section(&mut wasm, IMPORT, &imports(&outline));
    section(&mut wasm, FUNCTION, &functions(&outline));
    let code = outline.code;
    wasm.u8(CODE);
    wasm.uleb(code.len() as u64);
    let code_start = wasm.len() as u64;
    wasm.extend_from_slice(code);
    custom(&mut wasm, "name", &names(&outline, &rewritten.described.iter().copied().collect()));
    for (name, bytes) in &rewritten.sections {
        custom(&mut wasm, name, bytes);
    }
    if wasm.len() > u32::MAX as usize {
        return Err(CompanionError::TooLarge);
    }
    Ok((WasmObject { wasm, code_start }, problems))
}

fn section(wasm: &mut Vec<u8>, id: u8, contents: &[u8]) {
    wasm.u8(id);
    wasm.uleb(contents.len() as u64);
    wasm.extend_from_slice(contents);
}

fn custom(wasm: &mut Vec<u8>, name: &str, contents: &[u8]) {
    let mut whole = Vec::with_capacity(name.len() + 5 + contents.len());
    text(&mut whole, name);
    whole.extend_from_slice(contents);
    section(wasm, CUSTOM, &whole);
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.uleb(text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// As many functions as are imported, so that the ones defined have their indices.
fn imports(outline: &Wasm<'_>) -> Vec<u8> {
    let count = outline.functions.first().map_or(0, |first| first.index);
    let mut out = Vec::new();
    out.uleb(u64::from(count));
    for _ in 0..count {
        // Module, name, a function, its type.
        out.extend_from_slice(&[0, 0, 0, 0]);
    }
    out
}

/// The functions that are defined. Nobody asks for their types: they all have the same.
fn functions(outline: &Wasm<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    out.uleb(outline.functions.len() as u64);
    out.resize(out.len() + outline.functions.len(), 0);
    out
}

/// Names of the functions that the debug information does not know.
fn names(outline: &Wasm<'_>, described: &HashSet<u32>) -> Vec<u8> {
    let others: Vec<_> = outline.functions.iter().filter(|function| !described.contains(&function.start)).collect();
    let mut map = Vec::new();
    map.uleb(others.len() as u64);
    for function in others {
        map.uleb(u64::from(function.index));
        text(&mut map, &outline.function_name(function.index));
    }
    let mut out = Vec::new();
    section(&mut out, FUNCTION_NAMES, &map);
    out
}

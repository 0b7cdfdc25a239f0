//! What lets a stock gdb or lldb debug a Wasm guest: the address space that it is shown, and ELF files that describe
//! what is in there in terms of an architecture that every debugger knows.
//!
//! ```text
//! Wasm module ─▶ wasm: functions, names, data ─▶ symbols ──────────┐
//!            └─▶ dwarf: rewritten for the architecture that is shown ├─▶ elf
//!    layout ─▶ frames: call-frame information ─────────────────────┘
//! ```
//!
//! lldb knows Wasm, but little of what debug information says of it: it is given a Wasm module ([`object`]) with
//! rewritten debug information as well, whose expressions find frames by [`table`].
//!
//! The same module, place in the layout and [`COMPANION_VERSION`] give the same bytes: what is built can be kept under a
//! hash of these. The kernel has the same place in every layout.

mod bytes;
mod dwarf;
mod elf;
mod frames;
pub mod layout;
mod object;
mod symbols;
pub mod table;
#[cfg(test)]
mod tests;
mod wasm;

use thiserror::Error;
use wkdb_tracer::ModuleId;

use dwarf::{DataBase, Target, Terms};
use elf::Elf;
use layout::{Layout, WordSize};
pub use object::{WasmObject, build_object};
use wasm::Wasm;

/// Changes whenever the same module may give another file.
pub const COMPANION_VERSION: u32 = 7;

/// A module that a debugger is to be told of.
#[derive(Debug, Clone, Copy)]
pub struct CompanionModule<'m> {
    /// Its id, by which the layout knows its place.
    pub id: ModuleId,
    /// The module, as the guest loaded it.
    pub wasm: &'m [u8],
}

/// Where an instance of a position-independent module has its data and its table entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InstancePlace {
    /// The guest address that its data addresses are relative to: `__memory_base`.
    pub memory_base: u64,
    /// The table index that its function pointers are relative to: `__table_base`.
    pub table_base: u64,
}

/// A file for a debugger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// The ELF file.
    pub elf: Vec<u8>,
    /// What of the module could not be read and is missing there, in words.
    pub problems: Vec<String>,
}

/// A module of which no file can be made.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CompanionError {
    /// It is not a core module, or not a whole one.
    #[error("nothing for a debugger: the module is malformed at offset {offset:#x}: {message}")]
    Malformed {
        /// The place in the file.
        offset: usize,
        /// What is wrong there.
        message: String,
    },
    /// It is a component.
    #[error("nothing for a debugger: this is a component, not a core module; give the core module")]
    Component,
    /// The layout has no place for it.
    #[error("nothing for a debugger: module {} has no place in the address space that it is shown", .0.0)]
    NoPlace(ModuleId),
    /// Its addresses are not as long as those that the debugger is shown.
    #[error("nothing for a debugger: a module with {module}-byte addresses in an address space of {layout}-byte ones")]
    WordSize {
        /// Bytes of an address of the module.
        module: u64,
        /// Bytes of an address of the layout.
        layout: u64,
    },
    /// The file would not be one that the debugger can read.
    #[error("nothing for a debugger: the file would be larger than 4 GiB; build with less debug information")]
    TooLarge,
}

/// Makes the executable that a debugger is given for the kernel: its symbols, debug information and call frames, and
/// the host's symbol, outside of which there are no frames.
///
/// # Errors
///
/// [`CompanionError`]. Debug information that cannot be read is left out and told in [`Companion::problems`].
pub fn build_kernel(module: &CompanionModule<'_>, layout: &Layout) -> Result<Companion, CompanionError> {
    build(module, layout, None, true)
}

/// Makes the shared object that a debugger is given for a user module. All its addresses are absolute: it is loaded
/// where it says (gdb: `add-symbol-file FILE`).
///
/// Data of a position-independent module is where `instance` has it. Without one, it is found through `__memory_base`
/// among the globals of the task that is asked about, so that one file serves all instances; but then it has no symbols,
/// and it needs a task with frames.
///
/// # Errors
///
/// As [`build_kernel`].
pub fn build_user(
    module: &CompanionModule<'_>,
    layout: &Layout,
    instance: Option<InstancePlace>,
) -> Result<Companion, CompanionError> {
    build(module, layout, instance, false)
}

fn build(
    module: &CompanionModule<'_>,
    layout: &Layout,
    instance: Option<InstancePlace>,
    kernel: bool,
) -> Result<Companion, CompanionError> {
    let mut problems = Vec::new();
    let wasm = Wasm::read(module.wasm, &mut problems)?;
    if wasm.word != layout.word() && !wasm.functions.is_empty() {
        let (module, layout) = (wasm.word.bytes(), layout.word().bytes());
        return Err(CompanionError::WordSize { module, layout });
    }
    let code_base = layout.code_base(module.id).ok_or(CompanionError::NoPlace(module.id))?;
    let target = Target {
        wasm: &wasm,
        word: layout.word(),
        terms: Terms::Processor,
        code_base,
        globals_offset: Layout::globals_offset(module.id),
        globals_base: layout.globals_base(),
        data: match instance {
            Some(place) => DataBase::Fixed(place.memory_base),
            None if wasm.memory_base.is_some() => DataBase::Instance,
            None => DataBase::Fixed(0),
        },
    };
    let rewritten = dwarf::rewrite(target, &mut problems);
    let (spaces, symbols) = symbols::collect(&target, layout, rewritten.variables, instance, kernel);
    let mut contents = vec![(".debug_frame", frames::debug_frame(layout, code_base, u64::from(wasm.code_len), kernel))];
    contents.extend(rewritten.sections);
    let elf = Elf {
        word: layout.word(),
        entry: layout.host(),
        shared: !kernel,
        spaces: &spaces,
        contents: &contents,
        symbols: &symbols,
    };
    Ok(Companion { elf: elf.write()?, problems })
}

/// A companion as a shared object, with the addresses that it has: lldb takes those of programs away again where it learns
/// of one only once it has attached.
pub fn as_shared(companion: &[u8]) -> Vec<u8> {
    elf::as_shared(companion)
}

/// The word size of a module: which architecture a debugger is to be shown.
///
/// # Errors
///
/// It is not a whole core module.
pub fn word_size(wasm: &[u8]) -> Result<WordSize, CompanionError> {
    Ok(Wasm::read(wasm, &mut Vec::new())?.word)
}

/// Bytes of the contents of a module's code section: what [`Layout::add_module`] wants to know.
///
/// # Errors
///
/// It is not a whole core module.
pub fn code_len(wasm: &[u8]) -> Result<u64, CompanionError> {
    Ok(u64::from(Wasm::read(wasm, &mut Vec::new())?.code_len))
}

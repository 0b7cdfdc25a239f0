//! Why a module cannot be run, with the place in the file and what to do about it.

use thiserror::Error;

/// A module that cannot be used.
#[derive(Debug, Error)]
pub enum ContractError {
    /// The file is something else.
    #[error("not a WebAssembly module: it {looks_like}; give the linked .wasm file of the guest")]
    NotWasm {
        /// What the first bytes say.
        looks_like: String,
    },
    /// A component of the component model.
    #[error("this is a WebAssembly component, not a core module; give the core module that the guest was linked to")]
    Component,
    /// A core module of an unknown version.
    #[error("WebAssembly binary version {0} is not known (only version 1 is)")]
    Version(u16),
    /// The file ends too early.
    #[error(
        "the file is truncated: {section} at offset {offset:#x} needs {needed} bytes, {available} are left; \
         copy or build the file again"
    )]
    Truncated {
        /// The section that is cut, or the header.
        section: String,
        /// Where its contents begin in the file.
        offset: usize,
        /// How many bytes its contents have.
        needed: usize,
        /// How many are there.
        available: usize,
    },
    /// A section's contents are not what the format asks for.
    #[error("{section} is malformed at offset {offset:#x}: {message}; build the file again")]
    Malformed {
        /// The section.
        section: String,
        /// The place in the file.
        offset: usize,
        /// What is wrong there.
        message: String,
    },
    /// A good module that does not fit the host: every reason at once.
    #[error("the host cannot run this module:{}", list(.0))]
    Refused(Vec<Refusal>),
}

fn list(refusals: &[Refusal]) -> String {
    refusals.iter().map(|refusal| format!("\n  - {refusal}")).collect()
}

/// One reason why the host will not run a well-formed module.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// An import that the contract does not name.
    #[error(
        "unknown import {}.{}: {ty}; the host has nothing to link it to",
        .module.escape_debug(), .name.escape_debug()
    )]
    UnknownImport {
        /// The module it is imported from.
        module: String,
        /// Its name there.
        name: String,
        /// Its type.
        ty: String,
    },
    /// A known import of another type.
    #[error("import env.{} has the wrong type: expected {expected}, found {found}", .name.escape_debug())]
    ImportType {
        /// The import.
        name: String,
        /// What the host offers.
        expected: String,
        /// What the module asks for.
        found: String,
    },
    /// The same function is imported twice, with types that say different things.
    #[error("import env.{name} appears twice with different types: {first} and {second}")]
    ConflictingImports {
        /// The import.
        name: String,
        /// Its type at its first appearance.
        first: String,
        /// Its type at a later one.
        second: String,
    },
    /// No memory is imported.
    #[error("no memory is imported: link with --import-memory --shared-memory, so that it is env.memory")]
    NoMemory,
    /// The memory is the module's own.
    #[error("the memory is defined by the module, so it cannot be shared between runners: link with --import-memory")]
    MemoryDefined,
    /// More than one memory.
    #[error("{0} memories are imported; the guest has one")]
    SeveralMemories(usize),
    /// The memory has no atomics.
    #[error("the imported memory is not shared: compile with -matomics -mbulk-memory and link with --shared-memory")]
    MemoryNotShared,
    /// A shared memory needs a limit.
    #[error("the imported memory has no maximum size: link with --max-memory=4294967296")]
    MemoryWithoutMaximum,
    /// The limits contradict each other or the width of an address.
    #[error("the imported memory's limits are impossible: {min} to {max} pages of at most {limit}")]
    MemoryLimits {
        /// Pages to begin with.
        min: u64,
        /// Pages at most.
        max: u64,
        /// What the addresses can reach.
        limit: u64,
    },
    /// Pages that are not 64 KiB.
    #[error("the imported memory has pages of 2^{0} bytes; the guest's pages must be 64 KiB")]
    PageSize(u32),
    /// An export that the host cannot do without.
    #[error("missing export {name} ({expected}): {needed_for}")]
    MissingExport {
        /// The export.
        name: String,
        /// What it should be.
        expected: String,
        /// What the host does with it.
        needed_for: &'static str,
    },
    /// An export of another type than the host calls.
    #[error("export {name} has the wrong type: expected {expected}, found {found}")]
    ExportType {
        /// The export.
        name: String,
        /// What the host calls.
        expected: String,
        /// What the module has.
        found: String,
    },
    /// A user module that is not position independent.
    #[error(
        "no dylink.0 section: it is not a position-independent image; compile with -fPIC and link with -shared or -pie"
    )]
    NotPositionIndependent,
}

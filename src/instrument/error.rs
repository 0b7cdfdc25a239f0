//! Why a module cannot be rewritten.

use thiserror::Error;
use wasmparser::WasmFeatures;

/// A module that [`rewrite`](super::rewrite) refuses. Offsets are byte offsets from the start of the file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InstrumentError {
    /// The file does not start with Wasm's magic number.
    #[error(
        "this is not a WebAssembly binary: it does not start with \"\\0asm\" (a text file? convert it with wat2wasm)"
    )]
    NotWasm,
    /// A Wasm file, of a version that nobody knows.
    #[error("WebAssembly version {version} is unknown; core modules are version 1")]
    UnknownVersion {
        /// The version in the file's header.
        version: u32,
    },
    /// A component instead of a core module.
    #[error(
        "this is a WebAssembly component; a core module is wanted (extract it with `wasm-tools component unbundle`)"
    )]
    Component,
    /// The file ends too early: an incomplete download or copy.
    #[error("the file ends at offset {end:#x}, inside {part}: it is incomplete, fetch or build it again")]
    Truncated {
        /// The file's length in bytes.
        end: usize,
        /// What the file's end cuts through.
        part: &'static str,
    },
    /// The module needs a Wasm proposal that the workbench does not run.
    #[error("the {proposal} proposal is not supported: {message} (at offset {offset:#x})")]
    Unsupported {
        /// The proposal's name.
        proposal: String,
        /// What needed it.
        message: String,
        /// Where it is needed.
        offset: usize,
    },
    /// The module is not valid.
    #[error(
        "the module is not valid: {message} (at offset {offset:#x}); rebuild it, or check it with `wasm-tools validate`"
    )]
    Invalid {
        /// What is wrong with it.
        message: String,
        /// Where.
        offset: usize,
    },
    /// An operator that has to be rewritten works on a memory other than the first.
    #[error("{operator} at offset {offset:#x} works on memory {memory}, but only memory 0 can be observed")]
    OtherMemory {
        /// The operator, as the text format writes it.
        operator: &'static str,
        /// The index of its memory.
        memory: u32,
        /// Where it is.
        offset: usize,
    },
    /// Memory 0 is to be the machine's, and is not.
    #[error(
        "the module defines its memory instead of importing it, so the machine cannot provide it (link with --import-memory)"
    )]
    OwnMemory,
    /// More than the memory that the machine provides.
    #[error("the module has {count} memories, and the machine provides one: link it without the others")]
    ManyMemories {
        /// How many.
        count: u32,
    },
    /// The module already uses a name that belongs to the workbench: it may have been rewritten before.
    #[error("the module already has the {what} {name:?}, which belongs to the workbench: was it rewritten before?")]
    Reserved {
        /// `import` or `export`.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The rewritten module would be larger than engines accept.
    #[error("rewritten, {what} would exceed the limit of {limit}")]
    TooLarge {
        /// What grew too large.
        what: String,
        /// The limit that engines have agreed on.
        limit: usize,
    },
}

impl From<wasmparser::Error> for InstrumentError {
    fn from(error: wasmparser::Error) -> Self {
        let (message, offset) = (error.message().to_owned(), error.offset());
        match error.missing_wasm_feature() {
            Some(features) => InstrumentError::Unsupported { proposal: proposal_names(features), message, offset },
            None => InstrumentError::Invalid { message, offset },
        }
    }
}

/// The names of proposals, as the proposals' repositories write them: `shared-everything-threads`.
fn proposal_names(features: WasmFeatures) -> String {
    let names: Vec<_> = features.iter_names().map(|(name, _)| name.to_lowercase().replace('_', "-")).collect();
    names.join(", ")
}

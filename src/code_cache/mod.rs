//! Compiled code, kept between runs.
//!
//! Compiling a kernel takes seconds, loading its compiled code from a file a fraction of a millisecond. [`store`] is
//! the directory of such files; [`compile`] makes them, and loads them.

pub mod compile;
mod resident;
pub mod store;

use std::fmt;

pub use compile::{CALL_STACK, Code, CodeError, Loaded, Role, Variant};
pub use store::{CodeStore, StoreError};

/// Names a compiled module: the same key means the same code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodeKey([u8; 32]);

impl CodeKey {
    /// The key of everything that the code depends on: the module's bytes, the variant, the versions of the engine and
    /// of the rewriter, the compiler's settings. Each part counts by itself: moving bytes between parts gives another
    /// key.
    pub fn of(parts: &[&[u8]]) -> CodeKey {
        let mut hash = blake3::Hasher::new();
        for part in parts {
            hash.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        CodeKey(*hash.finalize().as_bytes())
    }
}

impl fmt::Display for CodeKey {
    /// 64 hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a file of the store holds; one key may have one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Artifact {
    /// The engine's compiled code.
    Code,
    /// The map between original and rewritten code offsets.
    OffsetMap,
    /// A bundled guest's module, unpacked.
    Module,
    /// The ELF file that a stock debugger reads a kernel's symbols from.
    Companion,
    /// A file of a guest's, packed for recordings.
    Packed,
    /// What a kernel's debug information says of where its structures have what detectors need.
    Facts,
    /// Where detectors look in a kernel's memory while it runs.
    Landmarks,
    /// What ownership rules found out of a kernel.
    Guards,
}

impl Artifact {
    const ALL: [Artifact; 8] = [
        Artifact::Code,
        Artifact::OffsetMap,
        Artifact::Module,
        Artifact::Companion,
        Artifact::Packed,
        Artifact::Facts,
        Artifact::Landmarks,
        Artifact::Guards,
    ];

    /// The file name's ending.
    fn extension(self) -> &'static str {
        match self {
            Artifact::Code => "cwasm",
            Artifact::OffsetMap => "map",
            Artifact::Module => "wasm",
            Artifact::Companion => "elf",
            Artifact::Packed => "packed",
            Artifact::Facts => "facts",
            Artifact::Landmarks => "marks",
            Artifact::Guards => "guards",
        }
    }
}

#[cfg(test)]
mod tests;

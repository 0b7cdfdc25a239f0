//! From a module's bytes to code that runs: rewritten, compiled, kept.
//!
//! ```text
//! bytes ─▶ instrument::rewrite ─▶ Engine::precompile ─▶ NAME.cwasm ─┐
//!                     └─▶ OffsetMap ───────────────────▶ NAME.map ──┴─▶ Loaded
//! ```
//!
//! The name is a hash of everything that decides the two files: the bytes, the variant, the rewriter's version, and
//! what Wasmtime says of its own compatibility.
//!
//! # Unsafe
//!
//! Wasmtime trusts the compiled code that it loads. [`Code::load`] gives it only files of a directory that the user
//! alone can write (the store refuses any other), or bytes that this process compiled.
#![allow(unsafe_code)]

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use wasmtime::{Engine, Module};

use super::{Artifact, CodeKey, CodeStore, StoreError, resident};
use crate::contract;
use crate::instrument::{self, DebugSections, Exports, HostMemory, OffsetMap, RuntimeGlobals, TickCounter};

/// What a module is to the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// vmlinux: defines the globals that its runner shares with a user image.
    Kernel,
    /// A user image.
    User,
}

/// What is compiled into the code besides the program itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Checks after stores.
    pub stores: bool,
    /// Checks after loads as well as stores.
    pub loads: bool,
    /// For a debugger, with an engine that is for one: the host may stop the guest at any instruction.
    pub debug: bool,
    /// Functions that tell when they are entered and when they return.
    pub probes: instrument::Probes,
    /// Checks of the stack pointer.
    pub stack_pointer: bool,
    /// Each process has a map of watched memory of its own, and the stores of its programs are checked.
    pub own_maps: bool,
    /// Calls through tables note their index.
    pub callees: bool,
    /// Stores that are looked at closer note which they are.
    pub sites: bool,
    /// Accesses note their addresses.
    pub faults: bool,
}

impl Variant {
    /// Whether the host can find out what was written and run: of code that people go back in time with. The maps of
    /// single processes have no room for it.
    pub fn footprint(&self) -> bool {
        self.debug && (self.stores || self.loads) && !self.own_maps
    }
}

/// Why a module could not be made to run.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The rewriter refused it.
    #[error(transparent)]
    Instrument(#[from] instrument::InstrumentError),
    /// Wasmtime refused it.
    #[error("Wasmtime cannot compile the module: {0}")]
    Compile(String),
    /// A file of the cache does not fit.
    #[error("the cached code {} cannot be used: {reason}", path.display())]
    Cached {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// Compiled code and its map, not loaded yet.
pub struct Code {
    /// What it is called in a store.
    key: CodeKey,
    source: Source,
    /// How long it took to compile; none if it was cached.
    pub compiled_in: Option<Duration>,
}

enum Source {
    Files { cwasm: PathBuf, map: PathBuf },
    Bytes { cwasm: Vec<u8>, map: Vec<u8> },
}

/// Code that an engine can instantiate.
pub struct Loaded {
    /// The module as Wasmtime knows it: rewritten.
    pub module: Module,
    /// What it is called in a store: what else is known of the module can be kept beside it.
    pub key: CodeKey,
    map: MapSource,
}

enum MapSource {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Loaded {
    /// The map between the module's original code and what Wasmtime runs. Reads it.
    ///
    /// # Errors
    ///
    /// Where the file is gone or damaged.
    pub fn map(&self) -> Result<OffsetMap, CodeError> {
        let (bytes, path) = match &self.map {
            MapSource::File(path) => (std::fs::read(path).map_err(|e| cached(path, e))?, path.as_path()),
            MapSource::Bytes(bytes) => (bytes.clone(), Path::new("(memory)")),
        };
        OffsetMap::from_bytes(&bytes).map_err(|e| cached(path, e))
    }
}

fn cached(path: &Path, reason: impl std::fmt::Display) -> CodeError {
    CodeError::Cached { path: path.to_owned(), reason: reason.to_string() }
}

fn key(engine: &Engine, bytes: &[u8], role: Role, variant: Variant) -> CodeKey {
    // The standard hasher with its fixed keys: the same in every process of one build of the program.
    let mut rest = std::hash::DefaultHasher::new();
    (role, variant, instrument::REWRITER_VERSION).hash(&mut rest);
    engine.precompile_compatibility_hash().hash(&mut rest);
    CodeKey::of(&[bytes, &rest.finish().to_le_bytes()])
}

/// Finds the code of `bytes` in the cache, if there is one.
pub fn find(engine: &Engine, bytes: &[u8], role: Role, variant: Variant, store: Option<&CodeStore>) -> Option<Code> {
    let store = store?;
    let key = key(engine, bytes, role, variant);
    let source = Source::Files { map: store.get(&key, Artifact::OffsetMap)?, cwasm: store.get(&key, Artifact::Code)? };
    Some(Code { key, source, compiled_in: None })
}

/// Finds the code of `bytes` in the cache, or compiles it and puts it there. A cache that cannot be written to is
/// done without.
///
/// # Errors
///
/// Where the module is refused by the rewriter or by Wasmtime.
pub fn find_or_compile(
    engine: &Engine,
    bytes: &[u8],
    role: Role,
    variant: Variant,
    store: Option<&CodeStore>,
) -> Result<Code, CodeError> {
    match find(engine, bytes, role, variant, store) {
        Some(code) => Ok(code),
        None => compile(engine, bytes, role, variant, store),
    }
}

fn compile(
    engine: &Engine,
    bytes: &[u8],
    role: Role,
    variant: Variant,
    store: Option<&CodeStore>,
) -> Result<Code, CodeError> {
    let started = std::time::Instant::now();
    let rewritten = instrument::rewrite(bytes, &options(role, variant))?;
    let cwasm = engine.precompile_module(&rewritten.wasm).map_err(|e| CodeError::Compile(format!("{e:#}")))?;
    let map = rewritten.map.to_bytes();
    let key = key(engine, bytes, role, variant);
    let mut code = Code { key, source: Source::Bytes { cwasm, map }, compiled_in: Some(started.elapsed()) };
    if let Some(store) = store {
        // A store that cannot be written to is done without.
        let _ = code.keep_in(store);
    }
    Ok(code)
}

/// What the calls of a runner may take of its stack, in bytes by the rewriter's estimate: about what browsers give a
/// worker, and as much again, as functions that count do so for others, too. The engine's stacks have room for what the
/// compiler makes of that at its worst.
pub const CALL_STACK: u32 = 2 << 20;

/// What the machine needs of a module's rewriting.
pub fn options(role: Role, variant: Variant) -> instrument::Options {
    instrument::Options {
        ticks: true,
        tick_counter: if variant.debug { TickCounter::Global } else { TickCounter::Local },
        call_stack: Some(CALL_STACK),
        host_waits: true,
        host_memory: match role {
            Role::Kernel => HostMemory::Define,
            Role::User => HostMemory::Import,
        },
        host_start: true,
        stores: variant.stores || (role == Role::User && variant.own_maps),
        loads: variant.loads,
        footprint: variant.footprint(),
        runtime_globals: match role {
            Role::Kernel => RuntimeGlobals::Define,
            Role::User => RuntimeGlobals::Import,
        },
        exports: Exports::Only(match role {
            Role::Kernel => contract::KERNEL_EXPORTS,
            Role::User => contract::USER_EXPORTS,
        }),
        debug_sections: DebugSections::Drop,
        probes: match role {
            Role::Kernel => variant.probes,
            Role::User => variant.probes.of_functions(),
        },
        stack_pointer: variant.stack_pointer,
        callees: variant.callees,
        sites: variant.sites,
        faults: variant.faults,
    }
}

impl Code {
    /// Whether it is in a store: another process can find it there.
    pub fn is_kept(&self) -> bool {
        matches!(self.source, Source::Files { .. })
    }

    /// Puts it into a store, unless it is in one.
    ///
    /// # Errors
    ///
    /// Where the store cannot be written to; the code can be used all the same.
    pub fn keep_in(&mut self, store: &CodeStore) -> Result<(), StoreError> {
        if let Source::Bytes { cwasm, map } = &self.source {
            let map = store.put(&self.key, Artifact::OffsetMap, map)?;
            let cwasm = store.put(&self.key, Artifact::Code, cwasm)?;
            self.source = Source::Files { cwasm, map };
        }
        Ok(())
    }

    /// Makes it ready to be instantiated. From a file this maps it: processes share the pages.
    ///
    /// # Errors
    ///
    /// Where a cached file is damaged or was compiled for another engine.
    pub fn load(self, engine: &Engine) -> Result<Loaded, CodeError> {
        let key = self.key;
        match self.source {
            Source::Files { cwasm, map } => {
                // It is only quicker with that.
                let _ = resident::bring_in(&cwasm);
                // SAFETY: the store's directory is the user's alone, and its files are put there whole.
                let module = unsafe { Module::deserialize_file(engine, &cwasm) }
                    .map_err(|e| cached(&cwasm, format!("{e:#}")))?;
                Ok(Loaded { module, key, map: MapSource::File(map) })
            }
            Source::Bytes { cwasm, map, .. } => {
                // SAFETY: this process compiled them.
                let module =
                    unsafe { Module::deserialize(engine, &cwasm) }.map_err(|e| CodeError::Compile(format!("{e:#}")))?;
                Ok(Loaded { module, key, map: MapSource::Bytes(map) })
            }
        }
    }
}

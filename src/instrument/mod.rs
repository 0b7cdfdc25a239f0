//! Rewrites a guest module so that the machine counts its ticks, owns its waits and its memory, and sees its stores.

mod body;
mod checks;
mod code;
mod emit;
mod error;
mod hints;
mod host;
mod map;
mod module;
mod names;
mod sections;
mod splice;
mod store;
mod survey;
mod ticks;

pub use error::InstrumentError;
pub use host::{EXPORT_PREFIX, IMPORT_MODULE, STACK_POINTER_EXPORT, START_EXPORT};
pub use map::{BadOffsetMap, OffsetMap};

/// The version of what [`rewrite`] makes of a module. Part of the key of everything cached that depends on it:
/// raised with every change of the output.
pub const REWRITER_VERSION: u32 = 1;

/// What to insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Options {
    /// Count a tick at each function's entry and each loop's header.
    pub ticks: bool,
    /// How ticks are counted. All ways count the same ticks at the same places.
    pub tick_counter: TickCounter,
    /// Make `memory.atomic.wait32`, `wait64` and `notify` calls of the host.
    pub host_waits: bool,
    /// Take memory 0 as a plain, unshared memory of the host's and make `memory.grow` a call of the host.
    pub host_memory: bool,
    /// Leave it to the host to call the start function: it becomes the export `wkdb:start`, so that what the inserted
    /// code refers to is set up before anything runs.
    pub host_start: bool,
    /// Check each write of memory against the watched hull.
    pub stores: bool,
    /// Where the globals shared with the host come from.
    pub runtime_globals: RuntimeGlobals,
    /// What becomes of the debug information.
    pub debug_sections: DebugSections,
}

impl Options {
    /// Inserts nothing: the rewritten module is the original one, byte for byte.
    pub fn identity() -> Self {
        Options {
            ticks: false,
            tick_counter: TickCounter::Local,
            host_waits: false,
            host_memory: false,
            host_start: false,
            stores: false,
            runtime_globals: RuntimeGlobals::Define,
            debug_sections: DebugSections::Keep,
        }
    }
}

/// How the remaining ticks are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TickCounter {
    /// In the global, with a copy in a local of functions that have loops: fastest. The host may change the global
    /// only while the guest is in a call of an import.
    Local,
    /// In the global alone: the host may change it wherever it stops the guest.
    Global,
}

/// Where the globals shared with the host come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuntimeGlobals {
    /// The module defines and exports them: `wkdb:ticks`, `wkdb:watch_lo`, `wkdb:watch_len`. For the kernel, whose
    /// `__stack_pointer` is exported as well, as `wkdb:stack_pointer`, if the name section knows it.
    Define,
    /// The module imports them: `wkdb.ticks`, `wkdb.watch_lo`, `wkdb.watch_len`. For user modules, which share those
    /// of their kernel instance.
    Import,
}

/// What becomes of the custom sections with debug information, whose offsets are the original module's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DebugSections {
    /// They are kept as they are.
    Keep,
    /// They are left out: the original file stays the source of symbols.
    Drop,
}

/// A rewritten module.
#[derive(Debug, Clone)]
pub struct Rewritten {
    /// The module.
    pub wasm: Vec<u8>,
    /// Where its code comes from.
    pub map: OffsetMap,
}

/// Rewrites a core module.
///
/// # Errors
/// The module is not valid, or uses something that cannot be rewritten: see [`InstrumentError`].
pub fn rewrite(module: &[u8], options: &Options) -> Result<Rewritten, InstrumentError> {
    module::rewrite_module(module, options)
}

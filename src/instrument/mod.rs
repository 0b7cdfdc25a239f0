//! Rewrites a guest module so that the machine counts its ticks, owns its waits and its memory, and sees its accesses to
//! what is watched.
//!
//! ```text
//! original .wasm ─▶ survey ─▶ host ─────▶ body ─▶ emit ─▶ code ─▶ module ─▶ rewritten .wasm
//!                   valid?    imports,    what    one     all     all           + OffsetMap
//!                   counts    new indices to do?  body    bodies  sections
//! ```
//!
//! Everything that is not changed is copied byte for byte, operators included; with nothing to insert
//! ([`Options::identity`]) the output is the input. Code is only added: the original operators all stay, in their
//! order, and [`OffsetMap`] relates each of them to its new place. Offsets outside of this module are always the
//! original ones.
//!
//! # Ticks
//!
//! One tick for each function entered and each pass of a loop's header. The global `ticks` counts *down* from the
//! budget of a time slice; when it reaches exactly 0 the host function `tick` is called, which writes a new budget (at
//! least 1) before it returns. The global is exact whenever the host can look: in host calls and after traps. In
//! functions that have loops a local holds a copy, so that a loop does not wait for memory; it is renewed after calls.
//! A function that catches exceptions uses the global alone: there is no one place to renew the copy behind a throw.
//!
//! ```wat
//! (func $f (param $n i32)                 (func $f (param $n i32) (local $t i32)
//!                                           global.get $ticks
//!                                           i32.const 1
//!                                           i32.sub
//!                                           local.tee $t
//!                                           global.set $ticks
//!                                           local.get $t
//!                                           if                 ;; hinted: nearly always
//!                                           else
//!                                             call $tick
//!                                             global.get $ticks
//!                                             local.set $t
//!                                           end
//!   loop                                    loop
//!                                             local.get $t
//!                                             …the same from i32.const 1 on
//!     call $g                                 call $g
//!                                             global.get $ticks
//!                                             local.set $t
//!     local.get $n                            local.get $n
//!     br_if 0                                 br_if 0
//!   end)                                    end)
//! ```
//!
//! # The stack of calls
//!
//! After how many calls a guest that recurses without end overflows the engine's stack depends on what the compiler made
//! of its functions. So the code counts for itself: the global `stack` holds what is left of a fixed size, and functions
//! take an estimate of their frames from it and give it back where they return; not all of them, but some on each cycle
//! of calls, and those for the others, too. Below 0 the host function `overflow` is called, which traps. The host puts
//! the global back where it unwinds the guest. A function that catches exceptions keeps what is left in a local, and
//! puts the global back before each call.
//!
//! ```wat
//! (func $f (result i32)                   (func $f (result i32)
//!                                           global.get $stack
//!                                           i32.const 88         ;; the estimate
//!                                           i32.sub
//!                                           global.set $stack
//!                                           global.get $stack
//!                                           i32.const 0
//!                                           i32.lt_s
//!                                           if                   ;; hinted: hardly ever
//!                                             call $overflow
//!                                           end
//!                                           …a tick…
//!                                           block (result i32)   ;; if something branches to the function's end
//!   …                                         …
//!                                             global.get $stack
//!                                             i32.const 88
//!                                             i32.add
//!                                             global.set $stack
//!   return                                    return
//!   …                                         …
//!                                           end
//!                                           …as in front of return…
//!   end)                                    end)
//! ```
//!
//! # Waits and memory
//!
//! `memory.atomic.wait32`, `wait64` and `notify` become calls with the operator's offset as one more argument; the
//! host keeps their traps (unaligned, out of bounds). The imported memory becomes an unshared one of the same limits,
//! imported or defined, which the host shares among instances in its own way, and `memory.grow` becomes a call.
//!
//! ```wat
//! memory.atomic.wait32 offset=8           i32.const 8
//!                                         call $wait32
//! memory.grow                             call $memory_grow
//! ```
//!
//! # Stores and loads
//!
//! What is watched is on a map, a second memory that the host writes: a bit for each 8 bytes of the guest's, so a byte
//! for each 64. After each write the code looks at the four bytes of the map from that of the first address on, which
//! cover every write; if one of their bits is set, a function at the module's end looks at the very bits, and calls the
//! host for those. So the cost is the same for any number of ranges, and the host is called only for accesses that touch
//! the same 8 bytes. It looks up hits in its own table.
//!
//! ```wat
//!                                         local.set $value
//!                                         local.tee $address
//!                                         local.get $value
//! i32.store offset=4                      i32.store offset=4
//!                                         local.get $address   ;; a 64-bit one is wrapped to 32 bits here
//!                                         i32.const 6
//!                                         i32.shr_u
//!                                         i32.load $map        ;; the upper part of a small offset is added here
//!                                         if                   ;; hinted: hardly ever
//!                                           local.get $address
//!                                           i32.const 4        ;; the offset
//!                                           i32.add
//!                                           i32.const 4        ;; the number of bytes
//!                                           call $lookup       ;; calls stored, with the same arguments, or not
//!                                         end
//! ```
//!
//! Accesses that follow each other in straight code and whose addresses differ by constants share a look at the map, of
//! eight bytes: the first keeps what it saw in a local, a flag, from the lowest address of all on, and the others test
//! that before they do their own lookup. Each is still reported by itself, after it happened. If the host is called
//! where the flags of others are in use, these are set: it may have changed what is watched. With [`TickCounter::Global`],
//! where the host may stop the guest anywhere, nothing is shared.
//!
//! ```wat
//! (i32.store offset=8                     (i32.store offset=8 …)
//!    (local.get $o) …)                    local.get $address
//!                                         i32.const 4          ;; to the lowest address of the group
//!                                         i32.add
//!                                         i32.const 6
//!                                         i32.shr_u
//!                                         i64.load $map
//!                                         local.tee $flag
//!                                         i64.const 0
//!                                         i64.ne
//!                                         if …the same… end
//! (i32.store offset=4                     (i32.store offset=4 …)
//!    (local.get $o) …)                    local.get $flag
//!                                         i64.const 0
//!                                         i64.ne
//!                                         if …the same… end
//! ```
//!
//! A compare-exchange reports only if it wrote. `memory.fill`, `memory.copy` and `memory.init` of at least one byte call a
//! function that goes through the map of what they wrote, and calls `bulk_stored` if something near is watched. Active
//! data segments are written when a module is instantiated, which no code sees: the host has to report those itself.
//!
//! With [`Options::loads`] reads are checked in the same way, after they happened, and reported by `loaded`; an atomic
//! operator that reads and writes is reported once, by `exchanged`, and `memory.copy` by `bulk_copied`.
//!
//! The host keeps the map: bit `n % 8` of byte `n / 8` is set if one of the bytes from `8 * n` on is watched, for the first
//! 4 GiB; and the first [`WATCH_MAP_REACH`] bytes come again at the beginning of the last page. A memory that can be
//! larger cannot be observed.
//!
//! # Footprints
//!
//! With [`Options::footprint`] the host can find out what was written and run in a part of a run, without being called for
//! each write. It marks all memory in the map: a byte of 255 for each line of 64 bytes. The first write into a line puts
//! there what is watched in it, from another map ([`WATCHED_MAP`]): lines whose byte is another than 255 were written, and
//! a line that is watched as a whole may have been. For that a check of a write looks at the byte of the line that the
//! write begins in, and at no other; who watches something marks as well the last slots of the line before, from which a
//! write can reach into it. What goes through the map for `memory.fill` and its like calls the host, which does the same.
//! Reads have a map of their own ([`READS_MAP`]), of what is watched for reads; the other one has
//! that as well, for operators that read and write. Each function sets a byte ([`FUNCTION_MARKS`]) when it is entered.
//!
//! ```wat
//!                                         i32.const 201524363  ;; FUNCTION_MARKS and the function's index
//!                                         i32.const 1
//!                                         i32.store8 $map
//! ```
//!
//! # Probes
//!
//! Chosen functions tell the host when they are entered and when they return: `probes.rs` says how. The index that they
//! give is the original one; of a user image ([`RuntimeGlobals::Import`]) with the bit [`PROBE_USER`].
//!
//! # The stack pointer
//!
//! With [`Options::stack_pointer`] the guest's stack pointer is compared with bounds that the host sets:
//! `stack_pointer.rs` says how.
//!
//! # Exports
//!
//! With [`Exports::Only`] the module keeps the exports that its host uses and loses the globals that nothing needs
//! then. A function that is not exported is compiled without an entry for the host.
//!
//! # The interface to the host
//!
//! `A` is the index type of memory 0: `i32`, or `i64` with a 64-bit memory. All in the import module
//! [`IMPORT_MODULE`]; only what the options need is imported.
//!
//! | import | type | option |
//! | --- | --- | --- |
//! | `tick` | `[] → []` | `ticks` |
//! | `overflow` | `[] → []`, has to trap | `call_stack` |
//! | `wait32` | `[address A, expected i32, timeout i64, offset A] → [i32]` | `host_waits` |
//! | `wait64` | `[address A, expected i64, timeout i64, offset A] → [i32]` | `host_waits` |
//! | `notify` | `[address A, count i32, offset A] → [i32]` | `host_waits` |
//! | `memory_grow` | `[delta A] → [A]` | `host_memory` |
//! | `stored` | `[address A, size i32] → []` | `stores` |
//! | `bulk_stored` | `[address A, length A] → []` | `stores` |
//! | `loaded`, `exchanged` | `[address A, size i32] → []` | `loads` |
//! | `bulk_copied` | `[to A, from A, length A] → []` | `loads` |
//! | `probe_enter` | `[function i32, arguments i32, i64 × 9] → []` | `probes` |
//! | `probe_exit` | `[function i32, results i32, result i64] → []` | `probes` |
//! | `probe_at` | `[offset i32] → []` | `probes` |
//! | `stack_left` | `[stack pointer A, of a user image i32] → []` | `stack_pointer` |
//! | global `ticks` | `mut i32` | `ticks`, see [`RuntimeGlobals`] |
//! | global `stack` | `mut i32` | `call_stack`, see [`RuntimeGlobals`] |
//! | globals `stack_low`, `stack_room` | `mut`, as the stack pointer | `stack_pointer`, see [`RuntimeGlobals`] |
//! | global `callee` | `mut i32` | `callees`, see [`RuntimeGlobals`] |
//! | global `site` | `mut i32` | `sites`, see [`RuntimeGlobals`] |
//! | global `fault` | `mut A` | `faults`, see [`RuntimeGlobals`] |
//! | memory `watch_map` | [`WATCH_MAP_PAGES`], or [`FOOTPRINT_PAGES`], 32-bit | `stores`, see [`RuntimeGlobals`] |
//!
//! A global `ticks` that a module defines is 0 at first: its start function counts ticks into the negative, without a
//! call of the host. A global `stack` begins with all there is. Only memory 0 can be observed; a module that waits on, or with `stores` writes to, or with `loads` reads,
//! another one is refused.
//!
//! # What it knows
//!
//! Every proposal of WebAssembly 3.0 (threads, SIMD, exceptions, memory64, GC, tail calls, …), legacy exceptions,
//! custom page sizes and wide arithmetic. Modules that need another are refused with its name. Debug information is
//! copied, and still speaks of the original code; so do `linking` and `reloc.*` sections, which nothing reads once a
//! module is linked.

mod body;
mod checks;
mod code;
mod emit;
mod error;
mod exports;
mod feedback;
mod hints;
mod host;
mod lookup;
mod map;
mod module;
mod names;
mod probes;
mod recursion;
mod sections;
mod share;
mod splice;
mod stack;
mod stack_pointer;
mod store;
mod survey;
mod ticks;
mod values;

pub use checks::USER_SITE;
pub use error::InstrumentError;
pub use host::{EXPORT_PREFIX, IMPORT_MODULE, MEMORY_EXPORT, STACK_POINTER_EXPORT, START_EXPORT, WATCH_MAP_EXPORT};
pub use lookup::{
    FOOTPRINT_PAGES, FUNCTION_MARKS, MARKS, READS_MAP, WATCH_LINE, WATCH_MAP_PAGES, WATCH_MAP_REACH, WATCH_SLOT,
    WATCHED_MAP, function_mark,
};
pub use map::{BadOffsetMap, OffsetMap};
pub use probes::{PROBE_ARGUMENTS, PROBE_USER, Probes, probed};
pub use recursion::UNCOUNTED_STACK;
pub use store::{MemoryAccess, access_of};

/// The version of what [`rewrite`] makes of a module. Part of the key of everything cached that depends on it:
/// raised with every change of the output.
pub const REWRITER_VERSION: u32 = 9;

/// What to insert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Options {
    /// Count a tick at each function's entry and each loop's header.
    pub ticks: bool,
    /// How ticks are counted. All ways count the same ticks at the same places.
    pub tick_counter: TickCounter,
    /// Count the stack that calls take, and trap where they take more than this many bytes, by an estimate that does not
    /// depend on how the code is compiled.
    pub call_stack: Option<u32>,
    /// Make `memory.atomic.wait32`, `wait64` and `notify` calls of the host.
    pub host_waits: bool,
    /// Who provides memory 0.
    pub host_memory: HostMemory,
    /// Leave it to the host to call the start function: it becomes the export `wkdb:start`, so that what the inserted
    /// code refers to is set up before anything runs.
    pub host_start: bool,
    /// Check each write of memory against what is watched.
    pub stores: bool,
    /// Check each read of memory as well; with it writes are checked in any case.
    pub loads: bool,
    /// With checks of writes: let the host know of all that was written and run, at little cost. See the module.
    pub footprint: bool,
    /// Where the globals shared with the host come from.
    pub runtime_globals: RuntimeGlobals,
    /// Which exports stay.
    pub exports: Exports,
    /// What becomes of the debug information.
    pub debug_sections: DebugSections,
    /// Functions that tell the host when they are entered and when they return.
    pub probes: Probes,
    /// Compare the stack pointer with its bounds wherever it is moved down.
    pub stack_pointer: bool,
    /// Note the index of each call through a table of 32 bits in the global `callee`, before it is made.
    pub callees: bool,
    /// Note which access it is that is looked at closer in the global `site`, before the host is called: its offset in the
    /// original code, plus [`USER_SITE`] in a user image.
    pub sites: bool,
    /// Note the address operand of each access of a fixed number of bytes in the global `fault`, before it is made.
    pub faults: bool,
}

impl Options {
    /// Inserts nothing: the rewritten module is the original one, byte for byte.
    pub fn identity() -> Self {
        Options {
            ticks: false,
            tick_counter: TickCounter::Local,
            call_stack: None,
            host_waits: false,
            host_memory: HostMemory::Keep,
            host_start: false,
            stores: false,
            loads: false,
            footprint: false,
            runtime_globals: RuntimeGlobals::Define,
            exports: Exports::All,
            debug_sections: DebugSections::Keep,
            probes: Probes::NONE,
            stack_pointer: false,
            callees: false,
            sites: false,
            faults: false,
        }
    }
}

impl Options {
    /// Whether writes are checked.
    fn checks_stores(&self) -> bool {
        self.stores || self.loads
    }

    /// Whether an access is checked.
    fn checks(&self, store: &store::Store) -> bool {
        self.checks_stores() && (store.access.writes() || self.loads)
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

/// What becomes of memory 0. In both of the machine's forms it is a plain memory, not a shared one, and `memory.grow`
/// is a call of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostMemory {
    /// It stays as it is.
    Keep,
    /// It is imported, as it was. For user modules, which share the memory of their kernel instance.
    Import,
    /// The module defines it instead of importing it, and exports it as `wkdb:memory`. For the kernel: the engine asks
    /// the host for defined memories too, and code reaches them with one load less.
    Define,
}

/// Where the globals shared with the host, and the map of what is watched, come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuntimeGlobals {
    /// The module defines and exports them: `wkdb:ticks`, `wkdb:stack`, and `wkdb:watch_map`. For the kernel, whose
    /// `__stack_pointer` is exported as well, as `wkdb:stack_pointer`, if the name section knows it.
    Define,
    /// The module imports them: `wkdb.ticks`, `wkdb.stack`, and `wkdb.watch_map`. For user modules, which share those of their kernel
    /// instance.
    Import,
}

/// Which exports a module keeps, besides those that the rewriting adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exports {
    /// All.
    All,
    /// Those with these names, and those without which code may not take a reference to a function. Globals behind the
    /// last one that anything refers to go too: a kernel that exports every symbol has a global for each datum, all of
    /// them part of each of its instances. The indices of the others stay.
    Only(&'static [&'static str]),
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

//! The map of what is watched, and the functions that look closer at what a check lets through.
//!
//! The map is a memory of its own with a bit for each [`WATCH_SLOT`] bytes of the first 4 GiB of memory 0, so a byte for
//! each 64. A check at an access looks at the few bytes of the map from that of the access' first byte on: one load,
//! whatever is watched. A lookup sees which bits they are, and calls the host only for those. The host sets them: see the
//! module's documentation.
//!
//! ```wat
//! (func $lookup (param $address A) (param $size i32)
//!   map[address / 64 ..][..4] >> (address / 8 % 8) & (1 << slots that the access touches) - 1
//!   if
//!     local.get $address
//!     local.get $size
//!     call $stored
//!   end)
//! ```

use wasm_encoder::{BlockType, Function, InstructionSink, MemArg, ValType};

use super::host::{Host, HostFunction};

/// The size of the map in pages of 64 KiB: a bit for each slot of 4 GiB, and a page behind, of which
/// [`WATCH_MAP_REACH`] bytes are used.
pub const WATCH_MAP_PAGES: u64 = (1 << (32 - GRANULE_SHIFT)) / 65536 + 1;

/// With footprints, where in the memory the map of what is watched for reads begins.
pub const READS_MAP: u64 = WATCH_MAP_PAGES * 65536;

/// With footprints, where in the memory the map of what is watched for writes begins, which a line's byte in the map becomes
/// at its first write.
pub const WATCHED_MAP: u64 = 2 * READS_MAP;

/// With footprints, where in the memory the marks of functions begin: a byte for each, first the kernel's.
pub const FUNCTION_MARKS: u64 = 3 * READS_MAP;

/// How many marks there are for the kernel's functions, and as many for those of all user images.
pub const MARKS: u32 = 1 << 20;

/// With footprints, the size of the memory in pages of 64 KiB.
pub const FOOTPRINT_PAGES: u64 = 3 * WATCH_MAP_PAGES + 2 * MARKS as u64 / 65536;

/// Bytes of memory that a byte of the map stands for.
pub const WATCH_LINE: u64 = 1 << GRANULE_SHIFT;

/// The number of a function's mark. Functions may share one.
pub fn function_mark(user: bool, function: u32) -> u32 {
    u32::from(user) * MARKS + function % MARKS
}

/// How many of its first bytes the map repeats behind its last: some checks of accesses below the last address look that
/// far, and addresses wrap around.
pub const WATCH_MAP_REACH: u64 = 8;

/// The bytes of memory that a bit of the map stands for.
pub const WATCH_SLOT: u64 = 1 << SLOT_SHIFT;

/// How an address becomes an index of the map.
pub(super) const GRANULE_SHIFT: u32 = 6;
const SLOT_SHIFT: u32 = 3;

/// How many bytes from an address on a load of 8 bytes of the map covers, wherever in its granule the address is.
pub(super) const REACH: u32 = ((WATCH_MAP_REACH as u32 - 1) << GRANULE_SHIFT) + 1;

/// The body of a function that looks closer, and calls `function` with its own arguments if it has to.
pub(super) fn lookup(host: &Host, function: HostFunction) -> Function {
    let (address, locals) = (host.address, [(if host.footprint { 3 } else { 2 }, ValType::I32)]);
    let mut body = Function::new(locals);
    let mut lookup = Lookup { sink: body.instructions(), host, wide: address == ValType::I64 };
    match function {
        HostFunction::BulkStored => {
            lookup.scan(false, 0, 1, [2, 3]);
            lookup.report(function, 2);
        }
        HostFunction::BulkCopied => {
            lookup.scan(false, 0, 2, [3, 4]);
            lookup.report(function, 3);
            lookup.scan(true, 1, 2, [3, 4]);
            lookup.report(function, 3);
        }
        _ => {
            if host.footprint && function != HostFunction::Loaded {
                lookup.note_write([2, 3, 4]);
            }
            lookup.slots(function == HostFunction::Loaded);
            lookup.report(function, 2);
        }
    }
    lookup.sink.end();
    body
}

struct Lookup<'a> {
    sink: InstructionSink<'a>,
    host: &'a Host,
    wide: bool,
}

impl Lookup<'_> {
    /// The map of what is watched for writes, or for reads.
    fn map(&self, reads: bool) -> MemArg {
        let offset = if reads && self.host.footprint { READS_MAP } else { 0 };
        MemArg { offset, align: 0, memory_index: self.host.watch_map.unwrap_or(0) }
    }

    /// `[] → [the address or length in a local, as an i32]`.
    fn narrow(&mut self, local: u32) {
        self.sink.local_get(local);
        if self.wide {
            self.sink.i32_wrap_i64();
        }
    }

    /// `[] → [bits of the slots that local 1 bytes at local 0 touch]`; at most 16 bytes, so at most 3 slots.
    fn slots(&mut self, reads: bool) {
        let (map, at) = (self.map(reads), 2);
        self.narrow(0);
        let sink = &mut self.sink;
        sink.local_tee(at).i32_const(GRANULE_SHIFT.cast_signed()).i32_shr_u().i32_load(map);
        sink.local_get(at).i32_const(SLOT_SHIFT.cast_signed()).i32_shr_u().i32_const(7).i32_and().i32_shr_u();
        sink.i32_const(1);
        sink.local_get(at).i32_const(7).i32_and().local_get(1).i32_add().i32_const(7).i32_add();
        sink.i32_const(SLOT_SHIFT.cast_signed()).i32_shr_u().i32_shl().i32_const(1).i32_sub().i32_and();
    }

    /// `[] → []`: takes the marks off the lines that local 1 bytes, at most 16, at local 0 touch. Three more are for the
    /// address and the lines.
    fn note_write(&mut self, [at, first, last]: [u32; 3]) {
        let map = self.map(false);
        let watched = MemArg { offset: WATCHED_MAP, ..map };
        let shift = GRANULE_SHIFT.cast_signed();
        self.narrow(0);
        self.sink.local_tee(at).i32_const(shift).i32_shr_u().local_set(first);
        self.sink.local_get(at).local_get(1).i32_add().i32_const(1).i32_sub().i32_const(shift).i32_shr_u();
        self.sink.local_set(last);
        let note = |sink: &mut InstructionSink<'_>, line: u32| {
            sink.local_get(line).i32_load8_u(map).i32_const(0xff).i32_eq().if_(BlockType::Empty);
            sink.local_get(line).local_get(line).i32_load8_u(watched).i32_store8(map).end();
        };
        note(&mut self.sink, first);
        self.sink.local_get(first).local_get(last).i32_ne().if_(BlockType::Empty);
        note(&mut self.sink, last);
        self.sink.end();
    }

    /// `[] → [whether something near is watched]`: near the bytes, at least one, from the address in one local on, whose
    /// number is in another. Two more hold the place in the map and the last one.
    fn scan(&mut self, reads: bool, start: u32, length: u32, [at, last]: [u32; 2]) {
        let map = self.map(reads);
        self.narrow(start);
        self.sink.local_tee(at).i32_const(1).i32_sub();
        self.narrow(length);
        let sink = &mut self.sink;
        sink.i32_add().i32_const(GRANULE_SHIFT.cast_signed()).i32_shr_u().local_set(last);
        sink.local_get(at).i32_const(GRANULE_SHIFT.cast_signed()).i32_shr_u().local_set(at);
        sink.block(BlockType::Result(ValType::I32)).loop_(BlockType::Empty);
        // With footprints what is beside it is marked, as a rule.
        let step = match self.host.footprint {
            true => {
                sink.i32_const(1).local_get(at).i32_load8_u(map).br_if(1).drop();
                1
            }
            false => {
                sink.i32_const(1).local_get(at).i64_load(map).i64_const(0).i64_ne().br_if(1).drop();
                WATCH_MAP_REACH as i32
            }
        };
        sink.local_get(at).i32_const(step).i32_add().local_tee(at);
        sink.local_get(last).i32_le_u().br_if(0);
        sink.end().i32_const(0).end();
    }

    /// `[condition] → []`: calls the host function with the first locals and returns, if the condition holds.
    fn report(&mut self, function: HostFunction, arguments: u32) {
        self.sink.if_(BlockType::Empty);
        for argument in 0..arguments {
            self.sink.local_get(argument);
        }
        self.sink.call(self.host.function(function)).return_().end();
    }
}

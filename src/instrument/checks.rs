//! The code around accesses to memory. The module's documentation shows its shape.

use wasm_encoder::{BlockType, MemArg, ValType};

use super::body::{Bulk, Scratch, Site};
use super::emit::Code;
use super::host::{HostFunction, HostGlobal};
use super::lookup::{FUNCTION_MARKS, GRANULE_SHIFT, READS_MAP, function_mark};
use super::share::{FLAGS, Share};
use super::store::{Access, Operand, Store};

/// What is added to an access' place in a user image: see [`super::Options::sites`].
pub const USER_SITE: u32 = 1 << 31;

/// Offsets below this are added to the index of the map instead of the address: engines need no bounds check then.
const SMALL_OFFSET: u64 = 1 << 22;

impl Code<'_, '_> {
    pub(super) fn wide(&self) -> bool {
        self.emitter.host.address == ValType::I64
    }

    pub(super) fn address_const(&mut self, value: u64) {
        match self.wide() {
            true => self.sink().i64_const(value.cast_signed()),
            // Valid modules have 32-bit offsets with 32-bit memories.
            false => self.sink().i32_const((value as u32).cast_signed()),
        };
    }

    /// Notes in front of a call which access is looked at closer.
    fn note_site(&mut self, site: &Site) {
        if self.emitter.sites {
            let offset = (site.start - self.emitter.code_section) as u32;
            let noted = if self.emitter.host.user { offset | USER_SITE } else { offset };
            let global = self.emitter.host.global(HostGlobal::Site);
            self.sink().i32_const(noted.cast_signed()).global_set(global);
        }
    }

    pub(super) fn store(&mut self, site: &Site, store: &Store) {
        let address = self.local(Scratch::Address);
        let value = self.local(Scratch::Value(store.operand));
        let expected = match store.access {
            Access::CompareExchange => self.local(Scratch::Expected(store.operand)),
            _ => 0,
        };
        self.insert(site.start, |code| {
            let mut sink = code.sink();
            match store.access.operands() {
                0 => sink.local_tee(address),
                1 => sink.local_set(value).local_tee(address).local_get(value),
                _ => sink.local_set(value).local_set(expected).local_tee(address).local_get(expected).local_get(value),
            };
            if code.emitter.faults {
                let fault = code.emitter.host.global(HostGlobal::Fault);
                code.sink().local_get(address).global_set(fault);
            }
        });
        self.verbatim(site.start..site.end);
        if !(self.emitter.stores && (store.access.writes() || self.emitter.loads)) {
            return;
        }
        self.insert(site.start, |code| {
            let exchange = store.access == Access::CompareExchange;
            if exchange {
                // The value local is free again: it takes the old value now.
                code.sink().local_tee(value);
            }
            code.watched(site, store, address);
            if exchange && !code.emitter.loads {
                code.sink().local_get(value);
                code.exchanged(store, expected);
                code.sink().i32_and();
            }
            code.if_cold();
            code.note_site(site);
            match store.access {
                Access::Load | Access::LoadLane => code.report(store, address, HostFunction::Loaded),
                Access::Store => code.report(store, address, HostFunction::Stored),
                _ if !code.emitter.loads => code.report(store, address, HostFunction::Stored),
                Access::ReadModifyWrite => code.report(store, address, HostFunction::Exchanged),
                Access::CompareExchange => {
                    code.sink().local_get(value);
                    code.exchanged(store, expected);
                    code.sink().if_(BlockType::Empty);
                    code.report(store, address, HostFunction::Exchanged);
                    code.sink().else_();
                    code.report(store, address, HostFunction::Loaded);
                    code.sink().end();
                }
            }
            for flag in (0..FLAGS).filter(|flag| site.shared.others & 1 << flag != 0) {
                let flag = code.local(Scratch::Flag(flag));
                code.sink().i64_const(1).local_set(flag);
            }
            code.reload_ticks(site);
            code.sink().end();
        });
    }

    /// `[] → [something is watched near the access]`; a number other than 0 for yes, 1 of a compare-exchange.
    fn watched(&mut self, site: &Site, store: &Store, address: u32) {
        let map = |offset| MemArg { offset, align: 0, memory_index: self.emitter.host.watch_map.unwrap_or(0) };
        let (near, offset) = (map(0), store.memarg.offset);
        let folded = map(offset >> GRANULE_SHIFT);
        let shift = GRANULE_SHIFT.cast_signed();
        match site.shared.share {
            _ if self.emitter.host.footprint => {
                // The byte of the first address' line alone.
                let part = if store.access.writes() { 0 } else { READS_MAP };
                self.narrow(address, (offset as u32).cast_signed());
                self.sink().i32_const(shift).i32_shr_u().i32_load8_u(map(part));
            }
            Share::Other { flag } => {
                let flag = self.local(Scratch::Flag(flag));
                self.sink().local_get(flag).i64_const(0).i64_ne();
                return;
            }
            Share::First { flag, delta } => {
                let flag = self.local(Scratch::Flag(flag));
                self.narrow(address, delta);
                let mut sink = self.sink();
                sink.i32_const(shift).i32_shr_u().i64_load(near).local_tee(flag).i64_const(0).i64_ne();
                return;
            }
            Share::Alone if offset < SMALL_OFFSET => {
                self.narrow(address, 0);
                self.sink().i32_const(shift).i32_shr_u().i32_load(folded);
            }
            Share::Alone => {
                // The access has succeeded: the sum is below 4 GiB.
                self.narrow(address, (offset as u32).cast_signed());
                self.sink().i32_const(shift).i32_shr_u().i32_load(near);
            }
        }
        if store.access == Access::CompareExchange && !self.emitter.loads {
            self.sink().i32_const(0).i32_ne();
        }
    }

    /// `[] → []`: says that this function was entered.
    pub(super) fn mark_function(&mut self) {
        if let Some(memory_index) = self.emitter.host.watch_map.filter(|_| self.emitter.host.footprint) {
            let mark = FUNCTION_MARKS as u32 + function_mark(self.emitter.host.user, self.emitter.function);
            let byte = MemArg { offset: 0, align: 0, memory_index };
            self.sink().i32_const(mark.cast_signed()).i32_const(1).i32_store8(byte);
        }
    }

    /// `[] → [the lower half of an address, plus a constant]`.
    fn narrow(&mut self, address: u32, plus: i32) {
        let wide = self.wide();
        let mut sink = self.sink();
        sink.local_get(address);
        if wide {
            sink.i32_wrap_i64();
        }
        if plus != 0 {
            sink.i32_const(plus).i32_add();
        }
    }

    /// Looks closer at an access and reports it if it touches something watched.
    fn report(&mut self, store: &Store, address: u32, function: HostFunction) {
        self.sink().local_get(address);
        if store.memarg.offset != 0 {
            self.address_const(store.memarg.offset);
            match self.wide() {
                true => self.sink().i64_add(),
                false => self.sink().i32_add(),
            };
        }
        self.sink().i32_const(i32::from(store.size));
        self.look_up(function);
    }

    /// `[old] → [the compare-exchange wrote]`.
    ///
    /// It writes if the old value, zero-extended, is the expected one, of which narrow ones use the lower bits only.
    fn exchanged(&mut self, store: &Store, expected: u32) {
        let mut sink = self.sink();
        sink.local_get(expected);
        match (store.operand, store.size) {
            (Operand::I64, 8) => sink.i64_eq(),
            (Operand::I64, size) => sink.i64_const((1 << (8 * size)) - 1).i64_and().i64_eq(),
            (_, 4) => sink.i32_eq(),
            (_, size) => sink.i32_const((1 << (8 * size)) - 1).i32_and().i32_eq(),
        };
    }

    pub(super) fn bulk(&mut self, site: &Site, bulk: Bulk) {
        let to = self.local(Scratch::Address);
        let source = self.local(Scratch::Value(bulk.source));
        let length = self.local(Scratch::Expected(bulk.length));
        self.insert(site.start, |code| {
            let mut sink = code.sink();
            sink.local_set(length).local_set(source).local_tee(to).local_get(source).local_get(length);
        });
        self.verbatim(site.start..site.end);
        self.insert(site.start, |code| {
            code.sink().local_get(length);
            code.if_not_zero(bulk.length == Operand::I64);
            code.note_site(site);
            code.sink().local_get(to);
            if bulk.copies {
                code.sink().local_get(source);
            }
            code.sink().local_get(length);
            if code.wide() && bulk.length == Operand::I32 {
                code.sink().i64_extend_i32_u();
            }
            code.look_up(if bulk.copies { HostFunction::BulkCopied } else { HostFunction::BulkStored });
            code.reload_ticks(site);
            code.sink().end();
        });
    }

    /// `[number] → []`: opens an `if` for a number other than 0.
    fn if_not_zero(&mut self, wide: bool) {
        if wide {
            self.sink().i64_const(0).i64_ne();
        }
        self.sink().if_(BlockType::Empty);
    }
}

//! The code around writes of memory. The module's documentation shows its shape.

use wasm_encoder::ValType;

use super::body::{Bulk, Scratch, Site};
use super::emit::Code;
use super::host::{HostFunction, HostGlobal};
use super::store::{Access, Operand, Store};

impl Code<'_, '_> {
    fn wide(&self) -> bool {
        self.emitter.host.address == ValType::I64
    }

    pub(super) fn address_const(&mut self, value: u64) {
        match self.wide() {
            true => self.sink().i64_const(value.cast_signed()),
            // Valid modules have 32-bit offsets with 32-bit memories.
            false => self.sink().i32_const((value as u32).cast_signed()),
        };
    }

    fn address_add(&mut self) {
        let wide = self.wide();
        let mut sink = self.sink();
        if wide {
            sink.i64_add()
        } else {
            sink.i32_add()
        };
    }

    fn address_sub(&mut self) {
        let wide = self.wide();
        let mut sink = self.sink();
        if wide {
            sink.i64_sub()
        } else {
            sink.i32_sub()
        };
    }

    fn address_lt_u(&mut self) {
        let wide = self.wide();
        let mut sink = self.sink();
        if wide {
            sink.i64_lt_u()
        } else {
            sink.i32_lt_u()
        };
    }

    pub(super) fn store(&mut self, site: &Site, store: &Store) {
        let address = self.local(Scratch::Address);
        let value = self.local(Scratch::Value(store.operand));
        let exchange = store.access == Access::CompareExchange;
        let expected = if exchange { self.local(Scratch::Expected(store.operand)) } else { 0 };
        self.insert(site.start, |code| {
            let mut sink = code.sink();
            sink.local_set(value);
            if exchange {
                sink.local_set(expected).local_tee(address).local_get(expected).local_get(value);
            } else {
                sink.local_tee(address).local_get(value);
            }
        });
        self.verbatim(site.start..site.end);
        self.insert(site.start, |code| {
            if exchange {
                // The value local is free again: it takes the old value now.
                code.sink().local_tee(value).local_get(value);
                code.exchanged(store, expected);
            }
            code.watched(address, store.memarg.offset);
            if exchange {
                code.sink().i32_and();
            }
            code.if_cold();
            code.sink().local_get(address);
            code.address_const(store.memarg.offset);
            code.sink().i32_const(i32::from(store.size));
            code.call(HostFunction::Stored);
            code.reload_ticks(site);
            code.sink().end();
        });
    }

    /// `[address plus offset is in the watched hull]`.
    fn watched(&mut self, address: u32, offset: u64) {
        let host = self.emitter.host;
        let (lo, len) = (host.global(HostGlobal::WatchLo), host.global(HostGlobal::WatchLen));
        self.sink().local_get(address);
        if offset != 0 {
            self.address_const(offset);
            self.address_add();
        }
        self.sink().global_get(lo);
        self.address_sub();
        self.sink().global_get(len);
        self.address_lt_u();
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
            let host = code.emitter.host;
            let (lo, len) = (host.global(HostGlobal::WatchLo), host.global(HostGlobal::WatchLen));
            // The hull starts in what was written …
            code.sink().global_get(lo).local_get(to);
            code.address_sub();
            code.length(length, bulk);
            code.address_lt_u();
            code.sink().global_get(len);
            let wide = code.wide();
            code.is_not_zero(wide);
            code.sink().i32_and();
            // … or what was written starts in the hull.
            code.sink().local_get(to).global_get(lo);
            code.address_sub();
            code.sink().global_get(len);
            code.address_lt_u();
            code.sink().local_get(length);
            code.is_not_zero(bulk.length == Operand::I64);
            code.sink().i32_and().i32_or();
            code.if_cold();
            code.sink().local_get(to);
            code.length(length, bulk);
            code.call(HostFunction::BulkStored);
            code.reload_ticks(site);
            code.sink().end();
        });
    }

    /// `[length]`, as an address.
    fn length(&mut self, length: u32, bulk: Bulk) {
        self.sink().local_get(length);
        if self.wide() && bulk.length == Operand::I32 {
            self.sink().i64_extend_i32_u();
        }
    }

    /// `[number] → [0 or 1]`.
    fn is_not_zero(&mut self, wide: bool) {
        let mut sink = self.sink();
        if wide {
            sink.i64_const(0).i64_ne()
        } else {
            sink.i32_const(0).i32_ne()
        };
    }
}

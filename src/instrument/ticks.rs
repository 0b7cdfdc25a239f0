//! The code that counts ticks. The module's documentation shows its shape.

use super::body::{Scratch, Site};
use super::emit::Code;
use super::host::{HostFunction, HostGlobal};

impl Code<'_, '_> {
    fn caches_ticks(&self) -> bool {
        self.emitter.scan.scratch[Scratch::Ticks.slot()]
    }

    pub(super) fn entry_tick(&mut self) {
        let ticks = self.emitter.host.global(HostGlobal::Ticks);
        self.sink().global_get(ticks);
        self.count_down();
    }

    pub(super) fn loop_tick(&mut self) {
        let (ticks, copy) = (self.emitter.host.global(HostGlobal::Ticks), self.local(Scratch::Ticks));
        match self.caches_ticks() {
            true => self.sink().local_get(copy),
            false => self.sink().global_get(ticks),
        };
        self.count_down();
    }

    /// `[ticks] → []`: counts one tick and calls the host if it was the last.
    fn count_down(&mut self) {
        let (ticks, copy) = (self.emitter.host.global(HostGlobal::Ticks), self.local(Scratch::Ticks));
        let cached = self.caches_ticks();
        let mut sink = self.sink();
        sink.i32_const(1).i32_sub();
        match cached {
            true => sink.local_tee(copy).global_set(ticks).local_get(copy),
            false => sink.global_set(ticks).global_get(ticks),
        };
        // Asked this way, and not by `i32.eqz`: code for a debugger stores what each operator computes.
        self.else_cold();
        self.call(HostFunction::Tick);
        if cached {
            self.sink().global_get(ticks).local_set(copy);
        }
        self.sink().end();
    }

    /// Copies the global anew after something that may have changed it, if a tick can come that uses the copy.
    pub(super) fn reload_ticks(&mut self, site: &Site) {
        let used = site.in_loop || self.emitter.scan.last_loop.is_some_and(|last| last > site.start);
        if used && self.caches_ticks() {
            let (ticks, copy) = (self.emitter.host.global(HostGlobal::Ticks), self.local(Scratch::Ticks));
            self.sink().global_get(ticks).local_set(copy);
        }
    }
}

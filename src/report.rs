//! TEMPORARY
#![allow(missing_docs)]
use wkdb_tracer::*;
use crate::machine::WatchRange;
use crate::watch_arg::*;
pub(crate) struct Reporter { kernel: Vec<u8>, symbols: wkdb_debugger::symbols::Symbols }
impl Reporter {
    pub(crate) fn new(kernel: Vec<u8>) -> Self { Reporter { symbols: wkdb_debugger::symbols::Symbols::load(&kernel), kernel } }
    pub(crate) fn kernel_bytes(&self) -> &[u8] { &self.kernel }
    pub(crate) fn resolve_watch(&mut self, w: &WatchArg) -> anyhow::Result<WatchRange> {
        match &w.place { Place::Address(a) => Ok(WatchRange { address: *a, len: w.len.unwrap_or(4) }), Place::Symbol(s) => anyhow::bail!("no {s}") }
    }
    pub(crate) fn event(&mut self, e: &Event) -> Option<String> {
        let names: Vec<_> = e.stack().iter().map(|f| self.symbols.function_name(f.function)).collect();
        Some(format!("{e:?}\n {names:?}"))
    }
    pub(crate) fn add_module(&mut self, _m: ModuleId, _b: Vec<u8>) {}
    pub(crate) fn outcome(&self, o: &Outcome, t: &Totals) -> String { format!("{o:?} {t:?}") }
}

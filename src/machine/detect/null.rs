//! Null pointers: the contract leaves the first 64 KiB unused, so that whoever writes there has a pointer near null.

use wkdb_tracer::{Change, Detector, Finding};

use super::super::memory::WASM_PAGE;
use super::super::watch::Touched;

/// What is unused, in bytes.
pub(in crate::machine) const UNUSED: u64 = WASM_PAGE;

/// The finding that there was written.
pub(in crate::machine) fn finding(touched: &Touched) -> Finding {
    let Touched { address, old, new, access, .. } = touched;
    let len = access.end - access.start;
    let unit = if len == 1 { "byte" } else { "bytes" };
    let headline = format!("{len} {unit} written at {:#x}, near null", access.start);
    let mut finding = Finding::new(Detector::Null, headline).on(*address, new.len() as u64);
    finding.change = Some(Change { old: Some(old.clone()), new: new.clone() });
    finding
}

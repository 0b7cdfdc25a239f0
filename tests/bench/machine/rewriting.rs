//! How long rewriting takes, of a kernel with the debug information of a real one.

use std::time::Instant;

use wkdb::code_cache::Role;
use wkdb::code_cache::compile::{Variant, options};
use wkdb::instrument::rewrite;

use super::guest::{Failure, median};
use super::kernel::{Era, kernel};
use super::{line, ms};

/// DWARF of a kernel of 3.5 MB of code.
pub(crate) const DWARF: usize = 26 << 20;

/// Measures it with all that the machine can ask for.
pub(crate) fn measure() -> Result<(), Failure> {
    let module = kernel(Era::V6_4, DWARF);
    let options = options(Role::Kernel, Variant { stores: true, ..Variant::default() });
    let mut times = Vec::new();
    let mut map = 0;
    for _ in 0..5 {
        let start = Instant::now();
        let rewritten = rewrite(&module, &options)?;
        times.push(start.elapsed());
        map = rewritten.map.to_bytes().len();
    }
    let what =
        format!("rewriting a kernel of {:.0} MB (offset map: {:.1} MB)", module.len() as f64 / 1e6, map as f64 / 1e6);
    line(&what, "< 2 s", &ms(median(times)));
    Ok(())
}

//! Traces in the formats of other programs.
//!
//! Each format is an [`Export`]: it is given events in their order and writes as it goes, but for `trace.dat`, which is
//! ordered by CPU and is written at the end. Times are nanoseconds of guest time.

mod ctf;
mod flamegraph;
mod perfetto;
mod trace_dat;

use std::io;

pub use ctf::Ctf;
pub use flamegraph::write_flamegraph;
pub use perfetto::Perfetto;
pub use trace_dat::TraceDat;

use super::{Field, Phase, TraceEvent};

/// A trace in the making.
pub trait Export {
    /// Adds an event; they come in the order of their time.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    fn event(&mut self, event: &TraceEvent) -> io::Result<()>;

    /// Completes what was written.
    ///
    /// # Errors
    ///
    /// Where it cannot be written.
    fn finish(&mut self) -> io::Result<()>;
}

/// What formats without types for them are given of an event's particulars.
fn details(event: &TraceEvent) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(event.other.as_ref().map(|other| format!("task={other}")));
    for (name, value) in &event.fields {
        match (*name, event.phase, value) {
            ("args", _, value) => parts.push(format!("({value})")),
            ("result", Phase::End, value) => parts.push(format!("= {value}")),
            (name, _, Field::Text(text)) => parts.push(format!("{name}={text:?}")),
            (name, _, value) => parts.push(format!("{name}={value}")),
        }
    }
    parts.join(" ")
}

//! Frames as text.

use std::fmt;

use super::{Location, SourceFrame, SourcePosition};

impl fmt::Display for SourcePosition {
    /// `kernel/workqueue.c:312`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.line {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

/// Writes a call stack, the innermost instruction first, a line for every function of the source:
///
/// ```text
/// #0 0x39 touch_pool (kernel/workqueue.c:20) [inlined]
/// #1 0x39 process_one_work (kernel/workqueue.c:29)
/// #2 0x1f worker_thread+0x1d
/// ```
///
/// Without a line, the offset in the function's body is shown. Callers' instructions should be those of the calls; see
/// [`Symbols::locate`](super::Symbols::locate).
pub fn backtrace<'a>(locations: impl IntoIterator<Item = &'a Location>) -> String {
    let frames = locations.into_iter().flat_map(|location| location.frames.iter().map(move |frame| (location, frame)));
    let mut text = String::new();
    for (number, (location, frame)) in frames.enumerate() {
        text.push_str(&format!("#{number} {} {}\n", location.offset, Line { location, frame }));
    }
    text
}

struct Line<'a> {
    location: &'a Location,
    frame: &'a SourceFrame,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.frame.function)?;
        match (&self.frame.source, &self.location.function) {
            (Some(source), _) => write!(f, " ({source})")?,
            (None, Some(function)) if !self.frame.inlined => {
                write!(f, "+{:#x}", self.location.offset.0 - function.start.0)?;
            }
            (None, _) => {}
        }
        if self.frame.inlined { f.write_str(" [inlined]") } else { Ok(()) }
    }
}

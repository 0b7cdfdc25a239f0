//! The past of the run: what was found in it.

use wkdb_tracer::{WatchHit, Writer};

use super::Debugger;
use super::events::{bytes, who};
use super::output::{Output, Style};
use crate::inferior::{Found, Inferior, SearchEnd};

impl Debugger {
    /// Tells of what a search has found.
    pub(super) fn found(&mut self, inferior: &mut dyn Inferior, found: &Found) -> Output {
        let mut out = Output::new();
        for hit in &found.writes {
            out.append(&self.write_line(inferior, hit));
        }
        match &found.ending {
            SearchEnd::Complete => {}
            SearchEnd::Interrupted => {
                out.mark(Style::Problem, "Interrupted.").push("\n");
            }
            SearchEnd::Failed(reason) => {
                out.mark(Style::Problem, reason).push("\n");
            }
        }
        out
    }

    /// A write in a line.
    fn write_line(&mut self, inferior: &mut dyn Inferior, hit: &WatchHit) -> Output {
        let mut out = Output::new();
        match &hit.context {
            Some(context) => out.mark(Style::Task, who(context)),
            None => out.push("before the first task runs"),
        };
        let by = match &hit.writer {
            Writer::Host { action } => format!("the host: {action}"),
            Writer::Guest { stack } => match stack.first() {
                Some(frame) => self.place_of(inferior, frame),
                None => "unknown code".to_owned(),
            },
        };
        out.line(format!(": {:#x}: {} -> {} by {by}", hit.address, bytes(&hit.old), bytes(&hit.new)));
        out
    }
}

//! The last events of a run, a line each.

use std::collections::VecDeque;

use wkdb_tracer::{Context, Event, Frame, WatchHit, Writer};

/// So many are kept.
const KEPT: usize = 10_000;

/// The last events.
#[derive(Debug, Default)]
pub(super) struct EventLog(VecDeque<String>);

impl EventLog {
    pub(super) fn add(&mut self, text: String) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(text);
    }

    /// The last so many, the oldest first.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = &String> {
        self.0.iter().skip(self.0.len().saturating_sub(count))
    }
}

/// `tick 759840 time 0.140008 cpu3 sh (0x383f30)`.
pub(super) fn who(context: &Context) -> String {
    let Context { tick, time, cpu, comm, task, .. } = context;
    format!("tick {tick} time {time} {cpu} {comm} ({task})")
}

/// An event in a line; `place` tells where a frame is.
pub(super) fn line(event: &Event, mut place: impl FnMut(&Frame) -> String) -> String {
    let mut at = |stack: &[Frame]| match stack.first() {
        Some(frame) => format!(" in {}", place(frame)),
        None => String::new(),
    };
    match event {
        Event::Trap { context, reason, stack } => format!("{}: trap: {reason}{}", who(context), at(stack)),
        Event::Panic { context, message, stack } => {
            let message = message.lines().next().unwrap_or_default();
            format!("{}: panic: {message}{}", who(context), at(stack))
        }
        Event::Watch(hit) => {
            let context = hit.context.as_ref().map_or_else(|| "before the first task".to_owned(), who);
            format!("{context}: {}", hit_text(hit, &mut place))
        }
        Event::TaskBorn { context } => format!("{}: task begins", who(context)),
        Event::TaskGone { context } => format!("{}: task is gone", who(context)),
        Event::CpuStarted { context } => format!("{}: CPU starts", who(context)),
        Event::CpuStopped { context } => format!("{}: CPU stops", who(context)),
        Event::Hog { context, for_ns, others, stack } => {
            let seconds = *for_ns as f64 / 1e9;
            format!("{}: holds its CPU for {seconds:.1} s, {others} others wait{}", who(context), at(stack))
        }
        Event::Complaint { context: Some(context), text } => format!("{}: {text}", who(context)),
        Event::Complaint { context: None, text } => text.clone(),
        Event::Finding(finding) => match &finding.context {
            Some(context) => format!("{}: {finding}{}", who(context), at(&finding.stack)),
            None => finding.to_string(),
        },
    }
}

/// What was written, in bytes, and by whom.
fn hit_text(hit: &WatchHit, place: &mut impl FnMut(&Frame) -> String) -> String {
    let by = match &hit.writer {
        Writer::Host { action } => format!("the host: {action}"),
        Writer::Guest { stack } => stack.first().map_or_else(|| "unknown code".to_owned(), place),
    };
    format!("{:#x}: {} -> {} by {by}", hit.address, bytes(&hit.old), bytes(&hit.new))
}

/// Bytes as they lie in memory.
pub(super) fn bytes(bytes: &[u8]) -> String {
    /// More than this is cut.
    const MOST: usize = 32;
    let shown: Vec<_> = bytes.iter().take(MOST).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > MOST { format!(" … ({} bytes)", bytes.len()) } else { String::new() };
    shown.join(" ") + &more
}

//! What a client is told when the machine stops, or the run ends.

use std::fmt::Write as _;

use gdbstub::common::{Signal, Tid};
use wkdb_tracer::{Outcome, RunnerId, Writer};

use super::points::Points;
use super::threads::tid;
use super::view::View;
use super::wire::hex;
use crate::inferior::{Inferior, Stop, StopReason};

/// The thread that a stop is about.
pub(super) fn thread(stop: &Stop, view: &mut View, inferior: &mut dyn Inferior) -> Tid {
    let first = || view.threads(inferior).ok().and_then(|threads| threads.first().copied());
    let context = stop.context.as_ref();
    context.map(|context| tid(context.runner)).or_else(first).unwrap_or(tid(RunnerId(0)))
}

/// The beginning of a `T` packet's body: signal, thread, and what was hit.
pub(super) fn head(stop: &Stop, tid: Tid, points: &Points) -> String {
    let mut reply = format!("T{:02x}thread:{:x};", signal(&stop.reason).0, tid.get());
    match &stop.reason {
        StopReason::HistoryStart => reply.push_str("replaylog:begin;"),
        StopReason::HistoryEnd => reply.push_str("replaylog:end;"),
        reason => reply.push_str(&points.field(reason).unwrap_or_default()),
    }
    reply
}

/// A `T` packet's body.
pub(super) fn reply(stop: &Stop, points: &Points, view: &mut View, inferior: &mut dyn Inferior) -> String {
    let tid = thread(stop, view, inferior);
    head(stop, tid, points) + &vital(tid, view, inferior)
}

/// The fields with the registers of a thread that every client asks for.
pub(super) fn vital(tid: Tid, view: &mut View, inferior: &mut dyn Inferior) -> String {
    let mut fields = String::new();
    if let Ok(values) = view.values(inferior, tid) {
        for number in view.registers.vital() {
            let bytes = view.registers.bytes(number, &values).unwrap_or_default();
            // Writing to a string does not fail.
            let _ = write!(fields, "{number:02x}:{};", hex(&bytes));
        }
    }
    fields
}

/// The signal that comes closest to a stop's reason.
pub(super) fn signal(reason: &StopReason) -> Signal {
    match reason {
        StopReason::Interrupt => Signal::SIGINT,
        StopReason::Trap { reason } => trap_signal(reason),
        StopReason::Panic { .. } => Signal::SIGABRT,
        // It would be the end.
        StopReason::End(_) => Signal::SIGQUIT,
        StopReason::Start
        | StopReason::Breakpoint(_)
        | StopReason::Step
        | StopReason::Watch(_)
        | StopReason::Tick
        | StopReason::HistoryStart
        | StopReason::HistoryEnd
        | StopReason::ModuleLoaded(_)
        | StopReason::Finding { .. } => Signal::SIGTRAP,
    }
}

fn trap_signal(reason: &str) -> Signal {
    let contains = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if contains(&["divide", "overflow", "conversion"]) {
        Signal::SIGFPE
    } else if contains(&["unaligned", "misaligned"]) {
        Signal::SIGBUS
    } else if contains(&["memory", "stack", "table", "null", "indirect"]) {
        Signal::SIGSEGV
    } else {
        Signal::SIGILL
    }
}

/// Why the machine stopped, for a person; nothing where a client says it by itself.
pub(super) fn explanation(reason: &StopReason) -> Option<String> {
    match reason {
        StopReason::Trap { reason } => Some(format!("trap: {reason}; the kernel deals with it when you go on")),
        StopReason::Panic { message } => Some(format!("the guest panicked: {message}")),
        StopReason::End(outcome) => {
            Some(format!("the run would end here ({}); it does if you go on", outcome.keyword()))
        }
        StopReason::Watch(hits) => hits.iter().find_map(|(_, hit)| match &hit.writer {
            Writer::Host { action } => Some(format!("written by the host: {action}")),
            Writer::Guest { .. } => None,
        }),
        StopReason::Finding { findings, .. } => {
            Some(findings.iter().map(|finding| finding.to_string()).collect::<Vec<_>>().join("\n"))
        }
        _ => None,
    }
}

/// How the run ended: as an exit code, the one that `wkdb` has for it, or killed by a signal.
pub(super) fn exit_reply(outcome: &Outcome) -> String {
    let code = match outcome {
        Outcome::Until(_) | Outcome::Quit | Outcome::RecordingEnds => 0,
        Outcome::Panic => return format!("X{:02x}", Signal::SIGABRT.0),
        Outcome::Deadlock(_) => 4,
        Outcome::Spin(_) => 5,
        Outcome::Script { .. } => 6,
        Outcome::MaxTime => 7,
        Outcome::Broken(_) => 8,
    };
    format!("W{code:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps_have_the_signals_that_a_processor_would_give() {
        let signal = |reason: &str| signal(&StopReason::Trap { reason: reason.into() });
        assert_eq!(signal("integer divide by zero"), Signal::SIGFPE);
        assert_eq!(signal("out of bounds memory access"), Signal::SIGSEGV);
        assert_eq!(signal("uninitialized element: table"), Signal::SIGSEGV);
        assert_eq!(signal("unaligned atomic"), Signal::SIGBUS);
        assert_eq!(signal("unreachable executed"), Signal::SIGILL);
    }

    #[test]
    fn an_end_has_its_exit_code() {
        assert_eq!(exit_reply(&Outcome::Quit), "W00");
        assert_eq!(exit_reply(&Outcome::Broken("so".into())), "W08");
        assert_eq!(exit_reply(&Outcome::Panic), "X06");
    }
}

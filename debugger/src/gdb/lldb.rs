//! What lldb asks beyond gdb's protocol, and where it needs to be told more.
//!
//! It is shown the same processor as gdb. Everything about hosts, processes and Wasm is left unanswered: lldb then
//! believes the target description.

use std::fmt::Write as _;

use gdbstub::common::{Signal, Tid};
use wkdb_tracer::ModuleId;

use super::front::{Client, MAX_READ, Session};
use super::target::Face;
use super::threads::attribute;
use super::wire::{hex, number};
use super::{stop, wasm};
use crate::companion::layout::Region;
use crate::inferior::{Status, Stop, StopReason};

/// What lldb has shown of itself while it attached.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Attaching {
    /// It has attached: from then on it takes modules that it is told of for what they are.
    done: bool,
    /// It has a file of the kernel.
    has_kernel: bool,
}

/// Packets that only lldb sends, and that are not for us.
const UNKNOWN: [&[u8]; 8] = [
    b"qHostInfo",
    b"qProcessInfo",
    b"QThreadSuffixSupported",
    b"jThreadsInfo",
    b"jThreadExtendedInfo",
    b"qWasm",
    b"qVAttachOrWaitSupported",
    b"qStructuredDataPlugins",
];

/// Answers a packet that only lldb sends; none if it is not one.
pub(super) fn answer(session: &mut Session, body: &[u8], face: &mut Face<'_>) -> Option<Vec<u8>> {
    if UNKNOWN.iter().any(|prefix| body.starts_with(prefix)) {
        session.is_lldb();
        // The last of what it asks while it attaches.
        session.attaching.done |= body.starts_with(b"qStructuredDataPlugins");
        return Some(Vec::new());
    }
    match body {
        b"QListThreadsInStopReply" => {
            session.is_lldb();
            Some(b"OK".to_vec())
        }
        b"QEnableErrorStrings" => {
            session.is_lldb();
            session.error_texts = true;
            Some(b"OK".to_vec())
        }
        b"qOffsets" => {
            // It does where there is a file of a program: to move that.
            session.attaching.has_kernel |= session.client == Client::Lldb;
            None
        }
        [b'm', range @ ..] if session.client == Client::Lldb => code(range, session, face),
        _ => {
            let thread = body.strip_prefix(b"qThreadStopInfo")?;
            session.is_lldb();
            let tid = number(thread).and_then(|tid| Tid::new(usize::try_from(tid).ok()?));
            Some(tid.map_or_else(|| b"E16".to_vec(), |tid| thread_stop(session, tid, face)))
        }
    }
}

/// What lldb reads where code is; none where there is none. To make a step over a line, it runs to the next branch that it
/// finds among the instructions of x86, and they are none: had it found one in the midst of an instruction, it would not know
/// where it stops; had it missed one of Wasm's, it would never stop. Where each byte is a return, it steps by instructions.
fn code(range: &[u8], session: &mut Session, face: &mut Face<'_>) -> Option<Vec<u8>> {
    const RETURN: u8 = 0xc3;
    let comma = range.iter().position(|&byte| byte == b',')?;
    let (address, len) = (number(&range[..comma])?, number(&range[comma + 1..])?.min(MAX_READ));
    if len == 0 || !matches!(face.view.modules.layout().region(address), Region::Code(_)) {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    let tid = session.selected(face);
    let len = face.view.read(face.inferior, tid, address, &mut bytes).ok()?;
    Some(hex(&vec![RETURN; len]).into_bytes())
}

/// lldb names all threads that are to go on while one makes a step, in place of saying that all others are; that is to lock
/// the schedule only if one is not named. The same `vCont` in other words; none where that is what it says.
pub(super) fn all_named(body: &[u8], face: &mut Face<'_>) -> Option<Vec<u8>> {
    let actions = std::str::from_utf8(body.strip_prefix(b"vCont;")?).ok()?;
    let mut step = None;
    let mut named = 0;
    for action in actions.split(';') {
        match action.split_once(':')? {
            // Signals are nothing to the guest.
            (go, _) if go == "c" || go.starts_with('C') => {}
            ("s", thread) if step.is_none() => step = Some(thread),
            _ => return None,
        }
        named += 1;
    }
    let threads = face.view.threads(face.inferior).ok()?.len();
    (named == threads && named > 1)
        .then(|| step.map_or_else(|| "vCont;c".to_owned(), |step| format!("vCont;s:{step};c")).into_bytes())
}

/// Why one thread is stopped: most are because all are.
fn thread_stop(session: &mut Session, tid: Tid, face: &mut Face<'_>) -> Vec<u8> {
    let Status::Stopped(stop) = face.inferior.status().clone() else { return b"E10".to_vec() };
    if stop::thread(&stop, face.view, face.inferior) == tid {
        return session.stopped(&stop, face).into_bytes();
    }
    let (title, _) = face.view.title(face.inferior, tid).unwrap_or_default();
    let registers = match session.client {
        Client::Wasm => wasm::pc_field(session, tid, face),
        _ => stop::vital(tid, face.view, face.inferior),
    };
    format!("T00thread:{:x};{registers}hexname:{};reason:none;", tid.get(), hex(title.as_bytes())).into_bytes()
}

/// The modules that have symbols, as files on this computer: the kernel among them where lldb has no file of it. None while
/// it attaches: it has not said yet whether it has one, and forgets where modules are that it is told of so early.
pub(super) fn libraries(attaching: Attaching, face: &mut Face<'_>) -> Option<String> {
    if !attaching.done {
        return None;
    }
    let mut xml = "<library-list>\n".to_owned();
    for module in (u32::from(attaching.has_kernel)..face.view.modules.count()).map(ModuleId) {
        let layout = face.view.modules.layout();
        let Some(elf) = face.files.companion(face.inferior, layout, module) else { continue };
        if let (Some(path), Some(base)) = (face.files.path(module, &elf), lowest_address(&elf)) {
            let name = attribute(&path.to_string_lossy());
            // Writing to a string does not fail.
            let _ = writeln!(xml, "<library name=\"{name}\"><section address=\"{base:#x}\"/></library>");
        }
    }
    xml.push_str("</library-list>\n");
    Some(xml)
}

/// What lldb takes for a file's address: that of its first segment.
fn lowest_address(elf: &[u8]) -> Option<u64> {
    let number = |at: usize, len: usize| {
        let bytes = elf.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    };
    // Of the header: where the segments' headers are; of the first of these: the virtual address.
    match number(4, 1)? {
        1 => number(usize::try_from(number(0x1c, 4)?).ok()? + 8, 4),
        _ => number(usize::try_from(number(0x20, 8)?).ok()?.checked_add(16)?, 8),
    }
}

/// A stop reply as that of a signal at which lldb goes on by itself: having read which modules there are, and set
/// breakpoints in them that it could not set before.
pub(super) fn passing(reply: &str) -> String {
    format!("T{:02x}{}", Signal::SIGWINCH.0, reply.get(3..).unwrap_or_default())
}

/// A stop reply with what lldb would otherwise ask for. `more_modules` than it was told of are there.
pub(super) fn stop_reply(mut reply: String, stop: &Stop, more_modules: bool, face: &mut Face<'_>) -> String {
    if more_modules {
        reply.push_str("library:;");
    }
    let tid = stop::thread(stop, face.view, face.inferior);
    if let Ok((title, _)) = face.view.title(face.inferior, tid) {
        // Writing to a string does not fail.
        let _ = write!(reply, "hexname:{};", hex(title.as_bytes()));
    }
    if let Ok(threads) = face.view.threads(face.inferior) {
        let threads: Vec<String> = threads.iter().map(|tid| format!("{:x}", tid.get())).collect();
        let _ = write!(reply, "threads:{};", threads.join(","));
    }
    let reason = match stop.reason {
        StopReason::Step => "trace",
        StopReason::Breakpoint(_) => "breakpoint",
        // The address says it.
        StopReason::Watch(_) => return reply,
        // No signal that lldb would deliver when it goes on: backwards it delivers none, and refuses to go.
        StopReason::Trap { .. } | StopReason::Panic { .. } | StopReason::End(_) => "exception",
        StopReason::HistoryStart | StopReason::HistoryEnd => "history boundary",
        // The signal says what becomes of it.
        StopReason::ModuleLoaded(_) => return reply,
        _ => "signal",
    };
    let _ = write!(reply, "reason:{reason};");
    if let Some(text) = stop::explanation(&stop.reason) {
        let _ = write!(reply, "description:{};", hex(text.as_bytes()));
    }
    reply
}

//! What a connection remembers, and the packets that are answered in front of gdbstub: those that it does not know or
//! answers too simply. The rest goes on to it.

use gdbstub::common::Tid;

use super::points::Points;
use super::stop;
use super::stub::Stub;
use super::target::Face;
use super::threads::{attribute, threads_xml};
use super::view::{Fault, View};
use super::wasm::{self, Handled};
use super::wire::{MAX_PACKET, hex, number, transfer};
use super::{files, lldb};
use crate::inferior::{InferiorError, Resume, Status, Stop, Who};

/// Bytes of memory that a reply can hold.
pub(super) const MAX_READ: u64 = (MAX_PACKET as u64 - 8) / 2;

/// Who the client is, as far as it has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    /// It speaks as gdb does.
    Gdb,
    /// It has sent what only lldb sends.
    Lldb,
    /// lldb's own Wasm, by the port that it came to.
    Wasm,
}

/// What lasts from packet to packet of one connection.
pub(super) struct Session {
    pub(super) client: Client,
    /// Nothing is acknowledged any more.
    pub(super) no_ack: bool,
    /// Errors may be texts, whatever the packet.
    pub(super) error_texts: bool,
    /// The thread that reads and steps are about; the client chooses it.
    selected: Option<Tid>,
    /// The thread that packets older than `vCont` are about; none where they are about all.
    legacy: Option<Tid>,
    /// How many modules the client has been told of, if it ever asked.
    modules: Option<u32>,
    /// The client waits for the machine to stop.
    pub(super) waiting: bool,
    pub(super) points: Points,
    /// Why memory was not changed. gdb says only that there is none at its address, whatever the reply: it is told when it
    /// next waits.
    pub(super) refusal: Option<String>,
    stub: Stub,
    /// Of a client that is lldb.
    pub(super) attaching: lldb::Attaching,
    /// Of a client that is lldb's own Wasm.
    pub(super) native: wasm::Native,
}

/// What comes of a packet besides its reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Stay,
    /// The machine goes on; there is no reply before it stops.
    Run(Resume),
    /// The client leaves.
    Detach,
    /// The client wants the run to end.
    Kill,
}

/// The reply to a packet, and what comes of it.
pub(super) struct Answer {
    /// Bodies of the packets to send.
    pub(super) replies: Vec<Vec<u8>>,
    pub(super) next: Next,
}

impl Answer {
    fn text(reply: impl Into<Vec<u8>>) -> Answer {
        Answer { replies: vec![reply.into()], next: Next::Stay }
    }
}

impl Session {
    pub(super) fn new(client: Client) -> Session {
        Session {
            client,
            no_ack: false,
            error_texts: false,
            selected: None,
            legacy: None,
            modules: None,
            waiting: false,
            points: Points::default(),
            refusal: None,
            stub: Stub::new(),
            attaching: lldb::Attaching::default(),
            native: wasm::Native::default(),
        }
    }

    /// The client has sent what only lldb sends.
    pub(super) fn is_lldb(&mut self) {
        if self.client == Client::Gdb {
            self.client = Client::Lldb;
        }
    }

    /// Answers one packet. `face` has this session's points.
    pub(super) fn packet(&mut self, body: &[u8], face: &mut Face<'_>) -> Answer {
        if let Err(error) = face.view.refresh(face.inferior) {
            return Answer::text(self.error(body, &error.into()));
        }
        let mut translated = None;
        if self.client == Client::Wasm {
            match wasm::handle(self, body, face) {
                Handled::Reply(reply) => return Answer::text(reply),
                Handled::Refused(fault) => return Answer::text(self.error(body, &fault)),
                Handled::Usual => {}
                Handled::As(other) => translated = Some(other),
            }
        }
        let body = translated.as_deref().unwrap_or(body);
        if let Some(answer) = self.in_front(body, face) {
            return answer;
        }
        let selected = self.selected(face);
        face.selected = Some(selected);
        let all_named = if self.client == Client::Gdb { None } else { lldb::all_named(body, face) };
        let others_run = all_named.is_some();
        let rewritten = clamped(body).or_else(|| self.modern(body, selected)).or(all_named);
        let body = rewritten.as_deref().unwrap_or(body);
        let Some(mut replies) = self.stub.answer(face, selected, body) else {
            return Answer::text(self.refusal(body, 22, "a packet that makes no sense"));
        };
        if let Some(mut resume) = face.resume.take() {
            if self.client == Client::Wasm && others_run {
                wasm::run_through_call(&mut resume, face);
            }
            // lldb lets nobody else run during a step, which would make another run of it.
            if self.client != Client::Gdb && resume.step.is_some() {
                resume.who = Who::All;
            }
            if *face.inferior.status() == Status::Running {
                return Answer::text(self.error(body, &InferiorError::Running.into()));
            }
            return Answer { replies: Vec::new(), next: Next::Run(resume) };
        }
        if let Some(fault) = face.fault.take()
            && let Some(reply) = replies.last_mut()
            && reply.first() == Some(&b'E')
        {
            *reply = self.error(body, &fault);
            let writes = matches!(body.first(), Some(b'M' | b'X'));
            if let (Fault::Inferior(InferiorError::Refused(text)), Client::Gdb, true) = (&fault, self.client, writes) {
                self.refusal = Some(text.clone());
            }
        }
        // Every packet has a reply; an empty one says that it is not known.
        if replies.is_empty() {
            replies.push(Vec::new());
        }
        Answer { replies, next: Next::Stay }
    }

    /// The thread that a packet is about: the one chosen, else the one that stopped.
    pub(super) fn selected(&mut self, face: &mut Face<'_>) -> Tid {
        if let Some(selected) = self.selected {
            return selected;
        }
        let selected = match face.inferior.status().clone() {
            Status::Stopped(stop) => Some(stop::thread(&stop, face.view, face.inferior)),
            _ => face.view.threads(face.inferior).ok().and_then(|threads| threads.first().copied()),
        };
        self.selected = selected;
        selected.unwrap_or(Tid::MIN)
    }

    fn in_front(&mut self, body: &[u8], face: &mut Face<'_>) -> Option<Answer> {
        if let Some(answer) = lldb::answer(self, body, face) {
            return Some(Answer::text(answer));
        }
        match body {
            b"?" => return Some(Answer::text(self.why(face))),
            b"QStartNoAckMode" => {
                self.no_ack = true;
                return Some(Answer::text("OK"));
            }
            b"qC" => {
                let selected = self.selected(face);
                return Some(Answer::text(format!("QC{:x}", selected.get())));
            }
            b"k" => {
                // To gdb there is nothing more to say.
                let replies = if self.client == Client::Gdb { Vec::new() } else { vec![b"X09".to_vec()] };
                return Some(Answer { replies, next: Next::Kill });
            }
            _ => {}
        }
        if let Some(features) = body.strip_prefix(b"qSupported") {
            return Some(Answer::text(self.supported(features, face)));
        }
        if let Some(thread) = body.strip_prefix(b"H") {
            return Some(Answer::text(self.select(thread, face)));
        }
        if body == b"D" || body.starts_with(b"D;") {
            return Some(Answer { replies: vec![b"OK".to_vec()], next: Next::Detach });
        }
        if body.starts_with(b"vKill;") {
            return Some(Answer { replies: vec![b"OK".to_vec()], next: Next::Kill });
        }
        if let Some(thread) = body.strip_prefix(b"qThreadExtraInfo,") {
            let title = number(thread)
                .and_then(|tid| Tid::new(tid as usize))
                .map(|tid| face.view.title(face.inferior, tid).map(|(title, _)| title).unwrap_or_default());
            return Some(Answer::text(title.map_or_else(|| "E16".to_owned(), |title| hex(title.as_bytes()))));
        }
        if let Some(range) = body.strip_prefix(b"qXfer:threads:read::") {
            let reply = self.threads(range, face);
            return Some(Answer::text(reply.unwrap_or_else(|| b"E16".to_vec())));
        }
        if let Some(range) = body.strip_prefix(b"qXfer:libraries:read::") {
            let list = match self.client {
                Client::Gdb => Some(self.libraries(face)),
                Client::Lldb => lldb::libraries(self.attaching, face),
                Client::Wasm => Some(wasm::libraries(face)),
            };
            if list.is_some() {
                self.modules = Some(face.view.modules.count());
            }
            let list = list.as_deref().unwrap_or("<library-list>\n</library-list>\n");
            let reply = transfer(list.as_bytes(), range);
            return Some(Answer::text(reply.unwrap_or_else(|| b"E16".to_vec())));
        }
        None
    }

    fn supported(&mut self, features: &[u8], face: &mut Face<'_>) -> String {
        let features = features.split(|&byte| byte == b':' || byte == b';');
        self.error_texts |= features.into_iter().any(|feature| feature == b"error-message+");
        let files = if self.client == Client::Wasm { "" } else { "qXfer:features:read+;qXfer:exec-file:read+;" };
        let reverse = if face.inferior.has_history() { ";ReverseContinue+;ReverseStep+" } else { "" };
        // To gdb nobody offers that packets go unacknowledged: with Ctrl-C at `monitor` it leaves an answer behind that is still
        // to come, and says so to nobody. Where it waits for an acknowledgement, it throws that away, and is not one behind.
        let no_ack = if self.client == Client::Gdb { "" } else { "QStartNoAckMode+;" };
        format!(
            "PacketSize={MAX_PACKET:x};{no_ack}vContSupported+;swbreak+;hwbreak+;{files}\
             qXfer:threads:read+;qXfer:libraries:read+{reverse}"
        )
    }

    /// Whether there are modules that the client has not been told of. gdb and lldb's own Wasm ask by themselves for those
    /// that are there when they attach.
    pub(super) fn lacks_modules(&self, view: &View) -> bool {
        self.modules.map_or(self.client == Client::Lldb, |told| told < view.modules.count())
    }

    /// The same; now it is told.
    pub(super) fn has_new_modules(&mut self, view: &View) -> bool {
        let lacks = self.lacks_modules(view);
        self.modules = self.modules.map(|_| view.modules.count());
        lacks
    }

    /// `H`: which thread what follows is about.
    fn select(&mut self, thread: &[u8], face: &mut Face<'_>) -> String {
        let Some((&kind @ (b'g' | b'c'), thread)) = thread.split_first() else { return "E16".into() };
        if kind == b'c' {
            self.legacy = number(thread).and_then(|tid| Tid::new(usize::try_from(tid).ok()?));
            return "OK".into();
        }
        match thread {
            // Any, and all: the one that is selected will do.
            b"0" | b"-1" => {
                self.selected(face);
                "OK".into()
            }
            _ => match number(thread).and_then(|tid| Tid::new(usize::try_from(tid).ok()?)) {
                Some(tid) => {
                    self.selected = Some(tid);
                    "OK".into()
                }
                None => "E16".into(),
            },
        }
    }

    /// `?`: why the machine is stopped.
    fn why(&mut self, face: &mut Face<'_>) -> Vec<u8> {
        match face.inferior.status().clone() {
            Status::Stopped(stop) => self.stopped(&stop, face).into_bytes(),
            Status::Ended(outcome, _) => stop::exit_reply(&outcome).into_bytes(),
            Status::Running => self.error(b"?", &InferiorError::Running.into()),
        }
    }

    /// A packet older than `vCont` as one; none where it is none. Where the client wants to go on from, and with which
    /// signal, is dropped.
    fn modern(&self, body: &[u8], selected: Tid) -> Option<Vec<u8>> {
        let action = body.first().filter(|action| b"cCsS".contains(action))?.to_ascii_lowercase() as char;
        let operand = &body[1..];
        if !operand.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b';') {
            return None;
        }
        Some(
            match self.legacy {
                None if action == 'c' => "vCont;c".to_owned(),
                thread => format!("vCont;{action}:{:x}", thread.unwrap_or(selected).get()),
            }
            .into_bytes(),
        )
    }

    /// The stop reply; the thread that it names is selected.
    pub(super) fn stopped(&mut self, stop: &Stop, face: &mut Face<'_>) -> String {
        self.selected = Some(stop::thread(stop, face.view, face.inferior));
        if self.client == Client::Gdb {
            return stop::reply(stop, face.points, face.view, face.inferior);
        }
        let more = self.has_new_modules(face.view);
        if self.client == Client::Wasm {
            return wasm::stop_reply(self, stop, more, face);
        }
        lldb::stop_reply(stop::reply(stop, face.points, face.view, face.inferior), stop, more, face)
    }

    fn threads(&mut self, range: &[u8], face: &mut Face<'_>) -> Option<Vec<u8>> {
        let threads = face.view.threads(face.inferior).ok()?;
        let titles: Vec<(Tid, String, u32)> = threads
            .into_iter()
            .map(|tid| {
                let (title, cpu) = face.view.title(face.inferior, tid).unwrap_or_default();
                (tid, title, cpu)
            })
            .collect();
        let xml = threads_xml(titles.iter().map(|(tid, title, cpu)| (*tid, title.as_str(), *cpu)));
        transfer(xml.as_bytes(), range)
    }

    /// The user images that have symbols, as shared libraries where their code is.
    fn libraries(&mut self, face: &mut Face<'_>) -> String {
        let mut xml = "<library-list>\n".to_owned();
        for id in 1..face.view.modules.count() {
            let module = wkdb_tracer::ModuleId(id);
            let layout = face.view.modules.layout();
            let Some(base) = layout.code_base(module) else { continue };
            if face.files.companion(face.inferior, layout, module).is_some() {
                let name = files::name(module);
                xml.push_str(&format!(
                    "<library name=\"{}\"><segment address=\"{base:#x}\"/></library>\n",
                    attribute(&name)
                ));
            }
        }
        xml.push_str("</library-list>\n");
        xml
    }

    /// An error as this client understands it in reply to this packet. To reads of memory, gdb takes texts only if it
    /// says so.
    fn error(&self, packet: &[u8], fault: &Fault) -> Vec<u8> {
        self.refusal(packet, fault.errno(), &fault.to_string())
    }

    fn refusal(&self, packet: &[u8], errno: u8, text: &str) -> Vec<u8> {
        let plain = packet.first().is_some_and(|byte| matches!(byte, b'm' | b'x' | b'g' | b'v' | b'?'));
        // Nothing in it may look like the end of a packet.
        let text: String = text.chars().filter(|c| !matches!(c, '$' | '#' | '}' | '*') && !c.is_control()).collect();
        match self.client {
            Client::Lldb | Client::Wasm if self.error_texts => format!("E{errno:02x};{}", hex(text.as_bytes())),
            Client::Gdb if self.error_texts || !plain => format!("E.{text}"),
            _ => format!("E{errno:02x}"),
        }
        .into_bytes()
    }
}

/// A read of memory of at most what fits into a reply; none where it is, or where it is something else.
fn clamped(body: &[u8]) -> Option<Vec<u8>> {
    let range = body.strip_prefix(b"m")?;
    let comma = range.iter().position(|&byte| byte == b',')?;
    let len = number(&range[comma + 1..])?;
    (len > MAX_READ).then(|| [b"m", &range[..comma], format!(",{MAX_READ:x}").as_bytes()].concat())
}

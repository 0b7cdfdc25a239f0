//! A client's end of the conversation, without its socket: bytes in, bytes out.
//!
//! ```text
//! attaching ──machine stops──▶ stopped ◀──stop reply──┐
//!                                 └──vCont, bc, …──▶ waiting ──run ends──▶ stopped (no threads)
//! ```
//!
//! A client is answered nothing while it attaches: for that, the machine has to stop.

use std::collections::VecDeque;

use super::attention::Attention;
use super::files::Files;
use super::front::{Client, Next, Session};
use super::lldb;
use super::monitor::MonitorCommands;
use super::points::Points;
use super::stop;
use super::target::Face;
use super::threads::tid;
use super::view::View;
use super::wire::{Framer, Inbound, hex, packet};
use crate::inferior::{Direction, Inferior, InferiorError, Resume, Status, Step, StepKind, Stop, StopReason, Who};

/// What a server has for its clients, whoever they are.
pub(super) struct Shared {
    pub(super) view: View,
    pub(super) files: Files,
    pub(super) monitor: Box<dyn MonitorCommands>,
    pub(super) attention: Attention,
}

impl Shared {
    fn face<'a>(&'a mut self, inferior: &'a mut dyn Inferior, points: &'a mut Points) -> Face<'a> {
        Face::new(inferior, &mut self.view, points, &mut self.files, self.monitor.as_mut())
    }
}

/// The stop that a client is told of where the machine did not go on. It is that of the thread that was to run: told of
/// another, one that it did not let run, gdb gives up with an internal error.
fn refused(resume: &Resume, mut stop: Stop, shared: &mut Shared, inferior: &mut dyn Inferior) -> Stop {
    let runner = match (resume.who, &resume.step) {
        (Who::Only(runner), _) => Some(runner),
        (Who::All, step) => step.as_ref().map(|step| step.runner),
    };
    let tasks = shared.view.tasks(inferior).ok();
    let task = tasks.as_ref().and_then(|tasks| tasks.iter().find(|task| Some(task.context.runner) == runner));
    if let Some(task) = task {
        stop = Stop { reason: StopReason::Interrupt, context: Some(task.context.clone()), frame: None, ..stop };
    }
    stop
}

/// Bytes that a client may leave unread before it gets no more messages.
const MAX_UNREAD: usize = 1 << 20;

/// Bytes of text in one message.
pub(super) const MAX_MESSAGE: usize = 1 << 12;

/// How a conversation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The client has what it wanted.
    Detach,
    /// The client wants the run to end.
    Kill,
}

/// See the module.
pub(super) struct Link {
    framer: Framer,
    session: Session,
    /// What came while the machine had not stopped for us yet.
    queue: VecDeque<Vec<u8>>,
    attaching: bool,
    /// What has to be sent.
    pub(super) out: Vec<u8>,
    /// The machine has stopped, but the client was told only of new modules: the stop is its next reply.
    withheld: bool,
    /// The last reply, for a client that did not get it.
    last: Vec<u8>,
    /// How the machine was made to go on.
    resume: Resume,
    /// Going back, a store was come to that is watched: the machine is about to undo it.
    undoing: Option<StopReason>,
    /// Why something that the client wanted to change was not changed: for whoever serves it. Once, until the next stop.
    refused: Option<String>,
    /// Messages that were not sent, for the client does not read them as fast as they come.
    unsaid: u64,
    /// The client wants the machine to stop, and was told of no stop since that it does not go on from by itself.
    interrupt_due: bool,
    /// The client goes on by itself from the stop that it was told of last.
    passing: bool,
}

impl Link {
    /// A client has come: the machine has to stop.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    pub(super) fn new(client: Client, inferior: &mut dyn Inferior) -> Result<Link, InferiorError> {
        let attaching = *inferior.status() == Status::Running;
        if attaching {
            inferior.interrupt()?;
        }
        Ok(Link {
            framer: Framer::default(),
            session: Session::new(client),
            queue: VecDeque::new(),
            attaching,
            out: Vec::new(),
            withheld: false,
            last: Vec::new(),
            resume: Resume::go(),
            undoing: None,
            refused: None,
            unsaid: 0,
            interrupt_due: false,
            passing: false,
        })
    }

    /// Takes what the client sent.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        shared: &mut Shared,
        inferior: &mut dyn Inferior,
    ) -> Option<Farewell> {
        let mut inbound = self.framer.push(bytes).into_iter();
        let mut before = None;
        while let Some(next) = inbound.next() {
            shared.attention.behind(&next, inbound.as_slice());
            match next {
                Inbound::Interrupt if self.session.waiting => {
                    self.interrupt_due = true;
                    if let Err(error) = inferior.interrupt() {
                        log::warn!("gdb's interrupt: {error}");
                    }
                }
                // It comes too late: the machine has stopped, and the client hears of it. Unless it then goes on by itself.
                Inbound::Interrupt => self.interrupt_due = self.passing,
                Inbound::Nack if !self.session.no_ack => self.out.extend_from_slice(&self.last),
                Inbound::Nack => {}
                Inbound::Damaged if !self.session.no_ack => self.out.push(b'-'),
                Inbound::Damaged => self.send(b"E16"),
                // It was not acknowledged in time, and sent again: a client has one packet on its way at a time.
                Inbound::Packet(body) if !self.session.no_ack && before.as_ref() == Some(&body) => {}
                Inbound::Packet(body) => {
                    if !self.session.no_ack {
                        // Before it is answered, which may take long: after two seconds it would be sent again.
                        if !(self.out.is_empty() && shared.attention.acknowledge()) {
                            self.out.push(b'+');
                        }
                        before = Some(body.clone());
                    }
                    if self.attaching {
                        self.queue.push_back(body);
                    } else if let Some(farewell) = self.packet(&body, shared, inferior) {
                        return Some(farewell);
                    }
                }
            }
        }
        None
    }

    fn packet(&mut self, body: &[u8], shared: &mut Shared, inferior: &mut dyn Inferior) -> Option<Farewell> {
        let mut points = std::mem::take(&mut self.session.points);
        let known = self.session.refusal.clone();
        let answer = self.session.packet(body, &mut shared.face(inferior, &mut points));
        self.session.points = points;
        if self.session.refusal != known {
            self.refused.clone_from(&self.session.refusal);
        }
        // One that does not wait for it would take it for the answer to what it asks next.
        if !shared.attention.has_moved_on() {
            for reply in &answer.replies {
                self.send(reply);
            }
        }
        match answer.next {
            Next::Stay => None,
            Next::Detach => Some(Farewell::Detach),
            Next::Kill => Some(Farewell::Kill),
            Next::Run(resume) => {
                if let Err(error) = self.run(&resume, shared, inferior) {
                    self.say(&error.to_string());
                    // It is where it was: a stop, since gdb ends the session at an error here.
                    self.session.waiting = true;
                    match inferior.status().clone() {
                        Status::Stopped(stop) => {
                            let stop = refused(&resume, *stop, shared, inferior);
                            self.stopped(&stop, shared, inferior);
                        }
                        Status::Ended(outcome, _) => self.ended(&stop::exit_reply(&outcome)),
                        Status::Running => {}
                    }
                }
                None
            }
        }
    }

    fn run(&mut self, resume: &Resume, shared: &mut Shared, inferior: &mut dyn Inferior) -> Result<(), InferiorError> {
        if std::mem::take(&mut self.withheld)
            && let Status::Stopped(stop) = inferior.status().clone()
        {
            self.session.waiting = true;
            self.stopped(&stop, shared, inferior);
            return Ok(());
        }
        if self.interrupt_due
            && let Status::Stopped(stop) = inferior.status().clone()
        {
            self.session.waiting = true;
            self.stopped(&Stop { reason: StopReason::Interrupt, ..*stop }, shared, inferior);
            return Ok(());
        }
        let mut resume = resume.clone();
        if self.steps_off_breakpoint(&resume, shared, inferior) {
            resume.who = Who::All;
        } else {
            self.session.points.settle(inferior)?;
        }
        shared.view.forget();
        inferior.resume(&resume)?;
        self.resume = resume;
        self.session.waiting = true;
        Ok(())
    }

    /// How the machine goes on where it has stopped for nobody; none where the stop is the client's all the same, or has
    /// become the one that it wants.
    pub(super) fn further(&self, stop: &mut Stop) -> Option<&Resume> {
        if self.interrupt_due {
            stop.reason = StopReason::Interrupt;
            return None;
        }
        let stopped = stop.context.as_ref().map(|context| context.runner);
        // The instruction that touched what is watched was the step.
        let stepped = self
            .resume
            .step
            .as_ref()
            .is_some_and(|step| step.kind == StepKind::Instruction && stopped == Some(step.runner));
        (self.session.waiting && !self.attaching && !stepped).then_some(&self.resume)
    }

    /// Prints what a command of `monitor` has to tell, while the client waits for a stop.
    pub(super) fn tell(&mut self, text: &str) {
        if !self.session.waiting || text.is_empty() {
            return;
        }
        if self.out.len() > MAX_UNREAD {
            self.unsaid += 1;
            return;
        }
        let unsaid = std::mem::take(&mut self.unsaid);
        if unsaid > 0 {
            self.say(&format!("{unsaid} messages were not shown: they came too fast (monitor log has the last ones)"));
        }
        for part in text.as_bytes().chunks(MAX_MESSAGE) {
            self.send(format!("O{}", hex(part)).as_bytes());
        }
    }

    /// To go on from a breakpoint, clients take it away and step the thread alone, for all others would run past it.
    /// Here nobody does: the machine steps off breakpoints by itself. And the run stays what it is without a debugger
    /// only if nobody has to stand still.
    fn steps_off_breakpoint(&self, resume: &Resume, shared: &mut Shared, inferior: &mut dyn Inferior) -> bool {
        // lldb's steps have become those of a thread among others.
        let alone = matches!(resume.who, Who::Only(_)) || self.session.client != Client::Gdb;
        let (true, Some(Step { runner, kind: StepKind::Instruction })) = (alone, &resume.step) else {
            return false;
        };
        let values = shared.view.values(inferior, tid(*runner));
        values.is_ok_and(|values| self.session.points.is_stale(values.pc))
    }

    /// Going back, the machine stops behind a store that is watched, and a client wants to be before it: there the value
    /// is another one, else it goes on. Lets the machine go back over the store; whether it does.
    fn undoes(&mut self, stop: &Stop, inferior: &mut dyn Inferior) -> bool {
        let (true, StopReason::Watch(_), Some(context)) =
            (self.session.waiting && self.resume.direction == Direction::Backward, &stop.reason, &stop.context)
        else {
            return false;
        };
        let over = Resume { direction: Direction::Backward, ..Resume::step(context.runner, StepKind::Instruction) };
        self.session.points.field(&stop.reason).is_some() && inferior.resume(&over).is_ok()
    }

    /// The machine has stopped.
    pub(super) fn stopped(&mut self, stop: &Stop, shared: &mut Shared, inferior: &mut dyn Inferior) {
        let stop = &match self.undoing.take() {
            Some(reason) => Stop { reason, ..stop.clone() },
            None if self.undoes(stop, inferior) => {
                self.undoing = Some(stop.reason.clone());
                shared.view.forget();
                return;
            }
            None => stop.clone(),
        };
        if self.session.waiting {
            self.session.waiting = false;
            if let Err(error) = shared.view.refresh(inferior) {
                log::warn!("gdb is told less: {error}");
            }
            let loaded = matches!(stop.reason, StopReason::ModuleLoaded(_));
            if self.session.client == Client::Gdb && self.session.has_new_modules(&shared.view) {
                // It reads the list, sets breakpoints in there that it could not set before, and goes on.
                self.withheld = !loaded;
                self.passing = true;
                let thread = stop::thread(stop, &mut shared.view, inferior);
                return self.send(format!("T05thread:{thread:x};library:;").as_bytes());
            }
            // Back to where a program was not loaded yet, lldb would not go on with a signal.
            let passing = loaded
                && self.session.client != Client::Gdb
                && self.resume.direction == Direction::Forward
                && self.session.lacks_modules(&shared.view);
            let mut stop = stop.clone();
            if loaded && !passing && !self.attaching {
                // It is only for what the client has been told of before, or does not ask for.
                if self.interrupt_due {
                    stop.reason = StopReason::Interrupt;
                } else if inferior.resume(&self.resume).is_ok() {
                    self.session.waiting = true;
                    return;
                }
            }
            let stop = &stop;
            self.passing = passing;
            self.interrupt_due &= passing;
            if self.session.client == Client::Gdb {
                for problem in shared.files.take_problems() {
                    self.say(&format!("no symbols: {problem}"));
                }
                if let Some(text) = self.session.refusal.take() {
                    self.say(&format!("memory was not changed: {text}"));
                }
                if let Some(text) = stop::explanation(&stop.reason) {
                    self.say(&text);
                }
            }
            let mut points = std::mem::take(&mut self.session.points);
            let reply = self.session.stopped(stop, &mut shared.face(inferior, &mut points));
            self.session.points = points;
            self.send(if passing { lldb::passing(&reply) } else { reply }.as_bytes());
        }
    }

    /// The machine takes long to stop: has a client that attaches wait on. gdb throws away what stands before a packet,
    /// and begins to wait anew; others might take it for an answer.
    pub(super) fn reassure(&mut self) {
        let gdb = self.queue.front().is_some_and(|first| first.starts_with(b"qSupported"));
        if self.attaching && gdb {
            self.out.push(b'+');
        }
    }

    /// Answers what came while the client was attaching, if the machine runs no more.
    pub(super) fn attached(&mut self, shared: &mut Shared, inferior: &mut dyn Inferior) -> Option<Farewell> {
        if !self.attaching || *inferior.status() == Status::Running {
            return None;
        }
        self.attaching = false;
        while let Some(body) = self.queue.pop_front() {
            if let Some(farewell) = self.packet(&body, shared, inferior) {
                return Some(farewell);
            }
        }
        None
    }

    /// The run is over, as this stop reply says.
    pub(super) fn ended(&mut self, reply: &str) {
        if std::mem::take(&mut self.session.waiting) {
            self.send(reply.as_bytes());
        }
    }

    /// Why something was not changed that the client wanted to change, if nobody was told yet.
    pub(super) fn take_refusal(&mut self) -> Option<String> {
        self.refused.take()
    }

    /// What the client has set: somebody has to take it away.
    pub(super) fn into_points(self) -> Points {
        self.session.points
    }

    /// Prints a line at the client's; it takes that only while it waits for a stop.
    fn say(&mut self, text: &str) {
        self.send(format!("O{}", hex(format!("wkdb: {text}\n").as_bytes())).as_bytes());
    }

    fn send(&mut self, body: &[u8]) {
        self.last = packet(body);
        self.out.extend_from_slice(&self.last);
    }
}

//! A machine that runs, as a debugger sees it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wkdb_debugger::inferior::{
    BreakpointId, BreakpointSpec, FrameState, Inferior, InferiorError, Loads, Notice, Result, Resume, Status, TaskInfo,
    WatchId, WatchSpec,
};
use wkdb_tracer::recording::{Check, Entry, Intervention, Position};
use wkdb_tracer::{Frame, ModuleId, RunnerId, WasmValue};

use crate::machine::{Answer, Answered, MachineConfig, Pace, Place, Request};
use crate::process::MachineProcess;
use crate::process::protocol::{FromMachine, ToMachine};

use super::foresight::{Foresight, Recalled};

/// Bytes of memory that are written with one message: neither side waits for the other to take it.
const MAX_WRITE: usize = 1 << 15;

/// Bytes of memory that are read with one message.
const MAX_READ: u64 = 1 << 24;

/// A way to a machine and back.
pub trait Link {
    /// Says something to the machine. Where it is gone this may do nothing: [`Link::receive`] tells.
    ///
    /// # Errors
    /// The way is broken.
    fn send(&mut self, message: &ToMachine) -> io::Result<()>;

    /// Says several things, if it can all at once.
    ///
    /// # Errors
    /// As [`Link::send`].
    fn send_all(&mut self, messages: &[ToMachine]) -> io::Result<()> {
        messages.iter().try_for_each(|message| self.send(message))
    }

    /// What the machine says next; none if it says nothing for `wait`. Without one, waits for as long as it takes.
    ///
    /// # Errors
    /// The machine is gone: with its last words.
    fn receive(&mut self, wait: Option<Duration>) -> io::Result<Option<FromMachine>>;
}

impl Link for MachineProcess {
    fn send(&mut self, message: &ToMachine) -> io::Result<()> {
        MachineProcess::send(self, message)
    }

    fn send_all(&mut self, messages: &[ToMachine]) -> io::Result<()> {
        MachineProcess::send_all(self, messages)
    }

    fn receive(&mut self, wait: Option<Duration>) -> io::Result<Option<FromMachine>> {
        match wait {
            Some(wait) if !self.has_message(wait)? => Ok(None),
            _ => MachineProcess::receive(self).map(Some),
        }
    }
}

/// What came from outside to a run, in order: its copies are given it.
type Log = Arc<Mutex<Vec<(Position, Entry)>>>;

/// Where a machine's part of the [`Log`] comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It is the machine that runs: what it takes goes into the log.
    Leads,
    /// It follows: it was given so many entries of the log.
    Follows {
        /// How many.
        given: usize,
    },
    /// It reads all from a recording.
    Replays,
}

/// A live machine. Every request waits for its answer, which a running machine gives within milliseconds; what else the
/// machine tells meanwhile is kept for [`Inferior::notices`].
pub struct Live<L = MachineProcess> {
    link: L,
    status: Status,
    notices: VecDeque<Notice>,
    requests: u64,
    modules: BTreeMap<ModuleId, Arc<[u8]>>,
    /// What was asked along with a step, and not needed yet.
    foresight: Option<Foresight>,
    /// The machine's last words.
    gone: Option<String>,
    log: Log,
    part: Part,
    /// How many entries of the log the machine has taken.
    taken: usize,
    /// Where the machine was when it last told.
    at: Position,
}

/// What came from the machine.
pub(super) enum Heard {
    /// Nothing yet.
    Nothing,
    /// A notice, which was queued; or something that is for others.
    Notice,
    /// An answer.
    Answer(u64, Answered),
    /// There is a copy.
    Forked(u32),
}

impl Live {
    /// Starts a machine process. With [`MachineConfig::attach`] it comes to its first stop before it runs.
    ///
    /// # Errors
    /// The process cannot be started.
    pub fn start(config: MachineConfig) -> io::Result<Live> {
        Ok(Live::over(MachineProcess::start(config)?))
    }
}

impl<L: Link + AsFd> AsFd for Live<L> {
    /// Readable when [`Inferior::notices`] has something to say, if the last call of it found nothing more and no
    /// request was made since: see [`Live::has_notices`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.link.as_fd()
    }
}

impl<L: Link> Live<L> {
    /// A debugger of the machine at the other end of `link`.
    pub fn over(link: L) -> Live<L> {
        Live {
            link,
            status: Status::Running,
            notices: VecDeque::new(),
            requests: 0,
            modules: BTreeMap::new(),
            foresight: None,
            gone: None,
            log: Log::default(),
            part: Part::Leads,
            taken: 0,
            at: Position::default(),
        }
    }

    /// The same, of a machine that replays a recording.
    pub fn of_recording(link: L) -> Live<L> {
        Live { part: Part::Replays, ..Live::over(link) }
    }

    /// The same, of a machine that follows `leader` from its own start on. It has to be told so, by [`Live::catch_up`].
    pub fn follower<M: Link>(link: L, leader: &Live<M>) -> Live<L> {
        Live { part: Part::Follows { given: 0 }, log: leader.log.clone(), ..Live::over(link) }
    }

    /// Whether notices came while something else was waited for: a poll loop must not sleep then.
    pub fn has_notices(&self) -> bool {
        !self.notices.is_empty()
    }

    /// Says whether somebody wants to be told of traps, panics and the run's end, by a stop. Without, the machine goes on
    /// to the end, and its process with it.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    pub fn set_attached(&mut self, attached: bool) -> Result<()> {
        self.order(Request::Attach(attached))
    }

    /// Ends the run, whatever the machine is doing; its last notice is [`Notice::Ended`], and its process goes away.
    ///
    /// # Errors
    /// [`InferiorError::Gone`].
    pub fn quit(&mut self) -> Result<()> {
        self.send(&ToMachine::Quit)
    }

    /// The way to the machine.
    pub fn link(&self) -> &L {
        &self.link
    }

    fn lost(&mut self, error: &io::Error) -> InferiorError {
        let text = self.gone.get_or_insert_with(|| error.to_string());
        InferiorError::Gone(text.clone())
    }

    fn send(&mut self, message: &ToMachine) -> Result<()> {
        self.send_all(std::slice::from_ref(message))
    }

    fn send_all(&mut self, messages: &[ToMachine]) -> Result<()> {
        if let Some(gone) = &self.gone {
            return Err(InferiorError::Gone(gone.clone()));
        }
        self.link.send_all(messages).map_err(|error| self.lost(&error))
    }

    /// Takes the next message, if one comes within `wait`, and notes what it says of the machine.
    pub(super) fn hear(&mut self, wait: Option<Duration>) -> Result<Heard> {
        if let Some(gone) = &self.gone {
            return Err(InferiorError::Gone(gone.clone()));
        }
        let message = self.link.receive(wait).map_err(|error| self.lost(&error))?;
        let notice = match message {
            None => return Ok(Heard::Nothing),
            Some(FromMachine::Answer(id, answer)) => {
                let stopped = self.status != Status::Running;
                let rest = match &mut self.foresight {
                    Some(foresight) => foresight.take_in(id, answer, stopped),
                    None => Some(answer),
                };
                return Ok(rest.map_or(Heard::Notice, |answer| Heard::Answer(id, answer)));
            }
            Some(FromMachine::Forked { pid }) => return Ok(Heard::Forked(pid)),
            Some(FromMachine::Failed(error)) => {
                self.gone = Some(error.clone());
                return Err(InferiorError::Gone(error));
            }
            // What else there is to it is for who taps the link.
            Some(FromMachine::Trace(_)) => return Ok(Heard::Notice),
            Some(FromMachine::At(position)) => {
                self.at = position;
                return Ok(Heard::Notice);
            }
            Some(FromMachine::Took(entry)) => {
                if entry.is_from_outside() {
                    self.taken += 1;
                    if self.part == Part::Leads {
                        self.log().push((self.at, entry));
                    }
                }
                return Ok(Heard::Notice);
            }
            Some(FromMachine::Console(bytes)) => Notice::Console(bytes),
            Some(FromMachine::Event(event)) => Notice::Event(event),
            Some(FromMachine::Module(module, bytes)) => {
                self.modules.insert(module, bytes.into());
                Notice::Module(module)
            }
            Some(FromMachine::Stopped(stop)) => {
                self.status = Status::Stopped(stop.clone());
                Notice::Stopped(stop)
            }
            Some(FromMachine::Ended(outcome, totals)) => {
                self.status = Status::Ended(outcome.clone(), totals.clone());
                Notice::Ended(outcome, totals)
            }
        };
        self.notices.push_back(notice);
        Ok(Heard::Notice)
    }

    /// Asks without waiting for the answer, whose number this is.
    pub(super) fn begin(&mut self, request: Request) -> Result<u64> {
        let message = self.ask_with(request);
        self.send(&message)?;
        Ok(self.requests)
    }

    /// A question with its number.
    fn ask_with(&mut self, request: Request) -> ToMachine {
        self.requests += 1;
        ToMachine::Ask(self.requests, request)
    }

    /// The way to the machine, to be changed.
    pub(super) fn link_mut(&mut self) -> &mut L {
        &mut self.link
    }

    /// What is known of a copy of this machine, at the other end of `link`.
    pub(super) fn copied(&self, link: L) -> Live<L> {
        let part = match self.part {
            Part::Replays => Part::Replays,
            Part::Leads | Part::Follows { .. } => Part::Follows { given: self.taken },
        };
        Live {
            status: self.status.clone(),
            requests: self.requests,
            modules: self.modules.clone(),
            log: self.log.clone(),
            part,
            taken: self.taken,
            at: self.at,
            ..Live::over(link)
        }
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Vec<(Position, Entry)>> {
        // Each change of it is one entry.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a machine that follows what it has not been given yet. It stops at `pause`, once it is let go on.
    ///
    /// # Errors
    /// The machine is gone, or follows nobody.
    pub fn catch_up(&mut self, pause: Option<Place>) -> Result<()> {
        let Part::Follows { given } = self.part else { return Ok(()) };
        let entries = self.log().get(given..).unwrap_or_default().to_vec();
        if entries.is_empty() && pause.is_none() {
            return Ok(());
        }
        self.part = Part::Follows { given: given + entries.len() };
        self.order(Request::Follow { entries, pause })
    }

    /// Whether something came from outside to the run at an instruction that only code for debugging can be stopped at.
    pub fn is_changed_between_ticks(&self) -> bool {
        let there = |entry: &Entry| matches!(entry, Entry::Intervention(Intervention::InSlice { at: Some(_), .. }));
        self.log().iter().any(|(_, entry)| there(entry))
    }

    /// The machine, which has to be stopped, leads from now on: what comes from outside comes from here. Guest time
    /// passes in this pace.
    ///
    /// # Errors
    /// The machine is gone, or runs.
    pub fn lead(&mut self, pace: Pace) -> Result<()> {
        self.order(Request::Lead(pace))?;
        // What it did not come to did not happen.
        let taken = self.taken;
        self.log().truncate(taken);
        self.part = Part::Leads;
        Ok(())
    }

    /// The machine is led from now on. It has to be stopped.
    ///
    /// # Errors
    /// The machine is gone.
    pub fn be_led(&mut self) -> Result<()> {
        self.part = Part::Follows { given: self.taken };
        self.order(Request::Follow { entries: Vec::new(), pause: None })
    }

    /// What the machine is now, as hashes.
    ///
    /// # Errors
    /// The machine is gone.
    pub fn check(&mut self) -> Result<Check> {
        match self.ask(Request::Check)? {
            Answer::Check(check) => Ok(check),
            other => Err(confused(&other)),
        }
    }

    /// Where the machine was when it last told something.
    pub fn last_told(&self) -> Position {
        self.at
    }

    /// Where the machine is, and what came from outside that it has not taken yet.
    ///
    /// # Errors
    /// The machine is gone.
    pub fn place(&mut self) -> Result<(Place, Vec<Entry>)> {
        match self.ask(Request::Place)? {
            Answer::Place { place, coming } => Ok((place, coming)),
            other => Err(confused(&other)),
        }
    }

    /// These come from outside: the machine takes them at its next place between two slices.
    ///
    /// # Errors
    /// The machine is gone.
    pub fn take(&mut self, entries: Vec<Entry>) -> Result<()> {
        self.order(Request::Take(entries))
    }

    /// Has the machine take what came from outside to a run that was recorded, to be that run again up to where
    /// [`Live::lead`] ends that.
    ///
    /// # Errors
    /// The machine is gone, or keeps no journal.
    pub fn run_again(&mut self, entries: Vec<(Position, Entry)>) -> Result<()> {
        self.order(Request::Follow { entries, pause: None })
    }

    /// Asks, and waits for the answer.
    pub(super) fn ask(&mut self, request: Request) -> Result<Answer> {
        let id = self.begin(request)?;
        self.answer(id)
    }

    /// Waits for the answer with this number.
    fn answer(&mut self, id: u64) -> Result<Answer> {
        loop {
            if let Heard::Answer(answered, answer) = self.hear(None)?
                && answered == id
            {
                return answer;
            }
        }
    }

    fn order(&mut self, request: Request) -> Result<()> {
        self.ask(request).map(|_| ())
    }

    /// Asks, unless that was done along with the last step.
    fn ask_or_recall(&mut self, request: Request) -> Result<Answer> {
        while let Some(foresight) = &mut self.foresight
            && self.status != Status::Running
        {
            match foresight.recall(&request) {
                Recalled::Answer(answer) => return answer,
                Recalled::Coming => drop(self.hear(None)?),
                Recalled::Nothing => break,
            }
        }
        self.ask(request)
    }

    /// Lets the machine go on; of a task that makes a step, asks what every debugger asks then: it comes with the stop.
    fn go_on(&mut self, resume: &Resume) -> Result<()> {
        let mut messages = vec![self.ask_with(Request::Resume(resume.clone()))];
        let asked = self.requests;
        if let Some(step) = &resume.step {
            let mut foresight = Foresight::default();
            for request in [Request::FrameStates(step.runner), Request::StackPointer(step.runner)] {
                messages.push(self.ask_with(request.clone()));
                foresight.expect(self.requests, request);
            }
            self.foresight = Some(foresight);
        }
        self.send_all(&messages)?;
        self.answer(asked).map(|_| ())
    }
}

/// The machine answered something else than was asked: a mistake of this program's.
pub(super) fn confused(answer: &Answer) -> InferiorError {
    InferiorError::Gone(format!("it gave an answer to another question: {answer:?}"))
}

impl<L: Link> Inferior for Live<L> {
    fn status(&self) -> &Status {
        &self.status
    }

    fn notices(&mut self, wait: Duration) -> Result<Vec<Notice>> {
        let deadline = Instant::now() + wait;
        // What was told is told, also where the machine is gone after it.
        while self.notices.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if matches!(self.hear(Some(left))?, Heard::Nothing) && left.is_zero() {
                break;
            }
        }
        while self.gone.is_none() && matches!(self.hear(Some(Duration::ZERO)), Ok(Heard::Notice | Heard::Answer(..))) {}
        Ok(self.notices.drain(..).collect())
    }

    fn module(&mut self, module: ModuleId) -> Result<Arc<[u8]>> {
        if let Some(bytes) = self.modules.get(&module) {
            return Ok(bytes.clone());
        }
        match self.ask(Request::Module(module))? {
            Answer::Bytes(bytes) => {
                let bytes: Arc<[u8]> = bytes.into();
                self.modules.insert(module, bytes.clone());
                Ok(bytes)
            }
            other => Err(confused(&other)),
        }
    }

    fn module_count(&mut self) -> Result<u32> {
        match self.ask(Request::ModuleCount)? {
            Answer::Number(count) => Ok(count as u32),
            other => Err(confused(&other)),
        }
    }

    fn tasks(&mut self) -> Result<Vec<TaskInfo>> {
        match self.ask(Request::Tasks)? {
            Answer::Tasks(tasks) => Ok(tasks),
            other => Err(confused(&other)),
        }
    }

    fn loads(&mut self) -> Result<Loads> {
        match self.ask(Request::Loads)? {
            Answer::Loads(loads) => Ok(loads),
            other => Err(confused(&other)),
        }
    }

    fn frames(&mut self, runner: RunnerId) -> Result<Vec<Frame>> {
        match self.ask(Request::Frames(runner))? {
            Answer::Frames(frames) => Ok(frames),
            other => Err(confused(&other)),
        }
    }

    fn frame_states(&mut self, runner: RunnerId) -> Result<Vec<FrameState>> {
        match self.ask_or_recall(Request::FrameStates(runner))? {
            Answer::FrameStates(states) => Ok(states),
            other => Err(confused(&other)),
        }
    }

    fn globals(&mut self, runner: RunnerId, module: ModuleId) -> Result<Vec<Option<WasmValue>>> {
        match self.ask(Request::Globals(runner, module))? {
            Answer::Globals(globals) => Ok(globals),
            other => Err(confused(&other)),
        }
    }

    fn stack_pointer(&mut self, runner: RunnerId) -> Result<u64> {
        match self.ask_or_recall(Request::StackPointer(runner))? {
            Answer::Number(address) => Ok(address),
            other => Err(confused(&other)),
        }
    }

    fn read_memory(&mut self, address: u64, len: u64) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let (at, left) = (address.saturating_add(all.len() as u64), len - all.len() as u64);
            let bytes = match self.ask(Request::ReadMemory { address: at, len: left.min(MAX_READ) }) {
                Ok(Answer::Bytes(bytes)) => bytes,
                Ok(other) => return Err(confused(&other)),
                Err(InferiorError::NoMemory { .. }) if !all.is_empty() => return Ok(all),
                Err(InferiorError::NoMemory { .. }) => return Err(InferiorError::NoMemory { address, len }),
                Err(error) => return Err(error),
            };
            let done = bytes.len() as u64 == left || bytes.is_empty();
            all.extend(bytes);
            if done {
                return Ok(all);
            }
        }
    }

    fn write_memory(&mut self, address: u64, bytes: &[u8]) -> Result<()> {
        // All of it or nothing.
        if let Some(last) = bytes.len().checked_sub(1) {
            let end = address.checked_add(last as u64);
            let there = end.is_some_and(|end| self.read_memory(end, 1).is_ok());
            if !there {
                return Err(InferiorError::NoMemory { address, len: bytes.len() as u64 });
            }
        }
        for (n, part) in bytes.chunks(MAX_WRITE).enumerate() {
            let address = address + (n * MAX_WRITE) as u64;
            self.order(Request::WriteMemory { address, bytes: part.to_vec() })?;
        }
        Ok(())
    }

    fn set_global(&mut self, runner: RunnerId, module: ModuleId, global: u32, value: WasmValue) -> Result<()> {
        self.foresight = None;
        self.order(Request::SetGlobal { runner, module, global, value })
    }

    fn set_local(&mut self, _: RunnerId, _: u32, local: u32, _: WasmValue) -> Result<()> {
        let text = format!(
            "local {local} cannot be changed: the engine keeps Wasm locals where only it can write; change memory or a \
             global instead (at -O0 variables live in memory)"
        );
        Err(InferiorError::Refused(text))
    }

    fn insert_breakpoint(&mut self, spec: &BreakpointSpec) -> Result<BreakpointId> {
        match self.ask(Request::InsertBreakpoint(spec.clone()))? {
            Answer::Breakpoint(id) => Ok(id),
            other => Err(confused(&other)),
        }
    }

    fn remove_breakpoint(&mut self, id: BreakpointId) -> Result<()> {
        self.order(Request::RemoveBreakpoint(id))
    }

    fn insert_watch(&mut self, spec: &WatchSpec) -> Result<WatchId> {
        match self.ask(Request::InsertWatch(spec.clone()))? {
            Answer::Watch(id) => Ok(id),
            other => Err(confused(&other)),
        }
    }

    fn remove_watch(&mut self, id: WatchId) -> Result<()> {
        self.order(Request::RemoveWatch(id))
    }

    fn stop_at_loads(&mut self, stop: bool) -> Result<()> {
        self.order(Request::StopAtLoads(stop))
    }

    fn resume(&mut self, resume: &Resume) -> Result<()> {
        // Not after the answer: the next stop may come with it.
        let before = std::mem::replace(&mut self.status, Status::Running);
        self.foresight = None;
        self.go_on(resume).inspect_err(|_| self.status = before)
    }

    fn interrupt(&mut self) -> Result<()> {
        self.order(Request::Interrupt)
    }

    fn type_in(&mut self, bytes: &[u8]) -> Result<()> {
        self.send(&ToMachine::Input(bytes.to_vec()))
    }

    fn has_history(&self) -> bool {
        false
    }
}

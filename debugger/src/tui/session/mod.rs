//! The session: a thread that has the machine and the debugger, does what the screen asks for, and tells how the machine
//! is.
//!
//! A machine that runs is sampled: seldom enough that it does not notice, and only when the screen has dealt with the
//! sample before; otherwise the sample is dropped, and counted. What the guest prints and what happens is told in full,
//! as far as the screen keeps up; beyond that the oldest is dropped, and counted.

mod asks;
mod sampling;
mod tasks;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use wkdb_tracer::{Event as RunEvent, Outcome, Tick, Totals};

use self::asks::Asks;
use self::sampling::Sampler;
use super::event::{Effect, FromSession};
use super::sample::{Code, EventKind, EventRow, HistoryView, Mark, Sample, Text};
use crate::commands::{CommandError, Config, Debugger, Leave, Now, Reply, WhileRunning};
use crate::inferior::{Inferior, InferiorError, Notice, Status, StopReason};

/// The shortest time between two samples of a machine that runs.
const PERIOD: Duration = Duration::from_millis(33);

/// Of the time of a machine that runs, sampling takes no more than one part in so many.
const SHARE: u32 = 4;

/// How long a machine that runs is listened to before effects are looked at.
const LISTEN: Duration = Duration::from_millis(5);

/// How long a machine that is stopped is not looked at while nobody asks for anything.
const REST: Duration = Duration::from_millis(250);

/// Bytes of console that wait for the screen.
const MOST_CONSOLE: usize = 256 << 10;

/// Events that wait for the screen.
const MOST_EVENTS: usize = 1000;

/// A command of the screen's that takes an expression, and one of the debugger's that does.
const MEMORY: &str = "memory ";
const PRINT: &str = "print ";

/// What a session is about, besides [`Inferior`].
pub trait Machine: Inferior {
    /// Ends the run, whatever it is doing.
    ///
    /// # Errors
    /// The machine is gone.
    fn quit(&mut self) -> Result<(), InferiorError>;

    /// What code the guest runs in.
    fn code(&mut self) -> Code {
        Code::Only
    }

    /// Whether it has a past as soon as it is stopped, where it has none while it runs.
    fn will_have_past(&self) -> bool {
        false
    }
}

/// How many samples the screen has not dealt with.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<AtomicUsize>);

impl Gate {
    /// The screen has dealt with a sample.
    pub fn passed(&self) {
        // It is the session's turn to count them up; nothing is below none.
        let _ = self.0.try_update(Ordering::AcqRel, Ordering::Acquire, |waiting| waiting.checked_sub(1));
    }

    fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    fn enter(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// Keeps the user's settings, given as text; gives what to say of it, or what went wrong, in words.
pub type Save = Box<dyn Fn(&str) -> Result<String, String> + Send>;

/// What a session needs besides its machine.
pub struct Setting<F> {
    /// What the debugger starts with.
    pub config: Config,
    /// What the screen asks for.
    pub effects: Receiver<Effect>,
    /// Tells the screen something; false if it is gone.
    pub tell: F,
    /// Lets one sample through at a time.
    pub gate: Gate,
    /// Keeps the user's settings; the error is told.
    pub save: Save,
    /// Commands to run before the first of the screen's.
    pub first: Vec<String>,
}

/// How a session ended.
#[derive(Debug)]
pub struct Ended {
    /// How the run ended, if it did.
    pub outcome: Option<(Outcome, Totals)>,
    /// The machine's process went away by itself, with these last words.
    pub gone: Option<String>,
}

/// Serves the screen until it asks to end, or is gone.
pub fn serve<M: Machine, F: Fn(FromSession) -> bool>(machine: M, setting: Setting<F>) -> Ended {
    let Setting { config, effects, tell, gate, save, first } = setting;
    let asks = Rc::new(Asks::new(effects));
    let mut debugger = Debugger::new(config);
    let meanwhile = Rc::clone(&asks);
    debugger.give_up_when(Box::new(move || meanwhile.give_up()));
    let mut session = Session {
        machine,
        debugger,
        asks,
        sampler: Sampler::default(),
        tell,
        gate,
        save,
        queued: first.into_iter().map(|line| Queued { line, typed: true, always: false }).collect(),
        pausing: false,
        typed: Vec::new(),
        console: Outbox::default(),
        events: Outbox::default(),
        due: true,
        next: Instant::now(),
        dropped: 0,
        foretold: false,
        going: false,
        over: false,
        gone: None,
    };
    session.start();
    while !session.over {
        session.turn();
    }
    session.end()
}

/// A command that waits for the machine to stop.
#[derive(Debug)]
struct Queued {
    line: String,
    /// Somebody has typed it, and sees it among the commands.
    typed: bool,
    /// It is run whatever becomes of the ones before.
    always: bool,
}

/// What waits for the screen, and how much of it was dropped.
#[derive(Debug)]
struct Outbox<T> {
    waiting: VecDeque<T>,
    dropped: u64,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Outbox { waiting: VecDeque::new(), dropped: 0 }
    }
}

impl<T> Outbox<T> {
    fn add(&mut self, items: impl IntoIterator<Item = T>, most: usize) {
        self.waiting.extend(items);
        let excess = self.waiting.len().saturating_sub(most);
        self.waiting.drain(..excess);
        self.dropped += excess as u64;
    }

    fn take(&mut self) -> (Vec<T>, u64) {
        (self.waiting.drain(..).collect(), std::mem::take(&mut self.dropped))
    }
}

struct Session<M, F> {
    machine: M,
    debugger: Debugger,
    asks: Rc<Asks>,
    sampler: Sampler,
    tell: F,
    gate: Gate,
    save: Save,
    /// Commands that wait for the machine to stop.
    queued: VecDeque<Queued>,
    /// The machine is stopped for a command, and goes on after it: nobody is told.
    pausing: bool,
    /// What was typed for the guest and could not be given to it yet.
    typed: Vec<u8>,
    console: Outbox<u8>,
    events: Outbox<EventRow>,
    /// A sample is wanted as soon as it can be sent: something has changed.
    due: bool,
    /// When a machine that runs is sampled next.
    next: Instant,
    /// Samples that were not taken.
    dropped: u64,
    /// All events were told at the start.
    foretold: bool,
    /// It was let go on, and its stop has not been dealt with: it may have happened already.
    going: bool,
    over: bool,
    gone: Option<String>,
}

impl<M: Machine, F: Fn(FromSession) -> bool> Session<M, F> {
    fn tell(&mut self, what: FromSession) {
        if !(self.tell)(what) {
            self.over = true;
        }
    }

    /// The machine may have come to its first stop before anybody listened.
    fn start(&mut self) {
        // What happened in a recording is known from the start.
        let milestones: Vec<RunEvent> = match self.machine.history() {
            Some(history) if history.extent().recording.is_some() => {
                history.milestones().iter().map(|milestone| milestone.event.clone()).collect()
            }
            _ => Vec::new(),
        };
        self.foretold = !milestones.is_empty();
        let rows: Vec<EventRow> = milestones.iter().map(|event| self.event_row(event)).collect();
        if !rows.is_empty() {
            self.tell(FromSession::Events { rows, dropped: 0 });
        }
        if let Status::Stopped(stop) = self.machine.status() {
            let stop = stop.clone();
            self.notice(&Notice::Stopped(stop));
        }
    }

    /// Does what is asked, hears what the machine says, and tells of it.
    fn turn(&mut self) {
        loop {
            match self.asks.next() {
                Ok(effect) => self.effect(effect),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.over = true,
            }
            if self.over {
                return;
            }
        }
        let running = self.gone.is_none() && self.is_going();
        if !running {
            self.run_queued();
        }
        self.type_in();
        self.flush();
        let wait = match (running, self.due) {
            (true, _) | (_, true) => LISTEN,
            (false, false) => REST,
        };
        if running {
            self.listen(wait);
        } else if !self.due || !self.gate.is_open() {
            match self.asks.wait(wait) {
                Ok(effect) => self.effect(effect),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.over = true,
            }
            // Its process may be gone while it stands still.
            if self.gone.is_none() {
                self.listen(Duration::ZERO);
            }
        }
        self.sample();
    }

    /// It runs, or a stop of it waits to be dealt with.
    fn is_going(&self) -> bool {
        self.going || matches!(self.machine.status(), Status::Running)
    }

    fn listen(&mut self, wait: Duration) {
        match self.machine.notices(wait) {
            Ok(notices) => notices.iter().for_each(|notice| self.notice(notice)),
            Err(error) => self.lost(&error),
        }
    }

    fn lost(&mut self, error: &InferiorError) {
        let words = match error {
            InferiorError::Gone(words) => words.clone(),
            // Nothing to be done: a job has the machine.
            InferiorError::Running => return,
            other => other.to_string(),
        };
        if self.gone.is_none() {
            self.gone = Some(words.clone());
            self.flush();
            self.tell(FromSession::Gone(words));
        }
    }

    fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Console(bytes) => {
                self.console.add(bytes.iter().copied(), MOST_CONSOLE);
                return;
            }
            Notice::Event(event) if !self.foretold || matches!(**event, RunEvent::Watch(_)) => {
                let row = self.event_row(event);
                self.events.add([row], MOST_EVENTS);
            }
            _ => {}
        }
        let paused = std::mem::take(&mut self.pausing);
        let quiet = match notice {
            Notice::Stopped(stop) if paused && stop.reason == StopReason::Interrupt => true,
            Notice::Stopped(_) | Notice::Ended(..) => {
                // It was stopped by something else meanwhile: that is looked at first.
                self.queued.retain(|queued| !queued.always);
                false
            }
            _ => {
                self.pausing = paused;
                false
            }
        };
        let reaction = match self.debugger.on_notice(&mut self.machine, notice) {
            Ok(reaction) => reaction,
            Err(error) => {
                self.going = false;
                return self.failed(error);
            }
        };
        let text = Text::from(&reaction.output);
        match reaction.now {
            Now::Stopped if quiet => self.going = false,
            Now::Stopped => {
                self.going = false;
                self.flush();
                self.due = true;
                self.tell(FromSession::Stopped(text));
            }
            Now::Ended => {
                self.going = false;
                self.flush();
                self.due = true;
                self.tell(FromSession::Ended(text));
            }
            Now::Same | Now::GoesOn if !text.0.is_empty() => self.tell(FromSession::Said(text)),
            Now::Same | Now::GoesOn => {}
        }
    }

    fn event_row(&mut self, event: &RunEvent) -> EventRow {
        let (tick, kind) = kind_of(event);
        let text = self.debugger.event_text(&mut self.machine, event);
        // The tick has a column of its own.
        let text = match tick.and_then(|tick| text.strip_prefix(&format!("tick {tick} "))) {
            Some(rest) => rest.to_owned(),
            None => text,
        };
        EventRow { tick, kind, text }
    }

    fn failed(&mut self, error: CommandError) {
        self.queued.retain(|queued| queued.always);
        match error {
            CommandError::Inferior(error @ InferiorError::Gone(_)) => self.lost(&error),
            error => self.tell(FromSession::Failed(error.to_string())),
        }
    }

    fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Quit => self.over = true,
            Effect::Command { line, typed } => {
                let past = self.machine.has_history() || self.machine.will_have_past();
                match self.is_going().then(|| self.debugger.while_running(&line)) {
                    Some(WhileRunning::Pause) => self.stop_for(line, typed, true),
                    Some(WhileRunning::Stop) if past => self.stop_for(line, typed, false),
                    _ => {
                        self.queued.clear();
                        self.command(&line, typed);
                    }
                }
            }
            Effect::Complete(line) => {
                // The screen's own command takes what `print` does.
                let printed = line.strip_prefix(MEMORY).map(|rest| format!("{PRINT}{rest}"));
                let asked = printed.as_deref().unwrap_or(&line);
                let completion = self.debugger.complete(&mut self.machine, asked, asked.len());
                let candidates = completion.candidates.into_iter().map(|candidate| (candidate.text, candidate.whole));
                let start = (completion.start + line.len()).saturating_sub(asked.len());
                let candidates = candidates.collect();
                self.tell(FromSession::Completion { line, start, candidates });
            }
            Effect::TypeIn(bytes) => {
                self.typed.extend(bytes);
                self.type_in();
            }
            Effect::Interrupt => {
                self.queued.clear();
                self.pausing = false;
                if let Err(error) = self.machine.interrupt() {
                    self.failed(error.into());
                }
            }
            Effect::Explain => self.explain(),
            Effect::LookAt(runner, frame) => {
                self.debugger.look_at(runner, frame);
                self.due = true;
            }
            Effect::Watch(wants) => {
                self.sampler.set_wants(wants);
                self.due = true;
            }
            Effect::SaveSettings(text) => {
                let told = match (self.save)(&text) {
                    Ok(text) => FromSession::Said(Text::line(Mark::Plain, text)),
                    Err(error) => FromSession::Failed(error),
                };
                self.tell(told);
            }
        }
    }

    /// Finds out what went wrong: nothing else is done meanwhile.
    fn explain(&mut self) {
        self.look_back();
        match self.debugger.explain(&mut self.machine) {
            Ok(explanation) if explanation.interrupted => {
                let text = "given up: what went wrong was not found out";
                self.tell(FromSession::Said(Text::line(Mark::Problem, text)));
            }
            Ok(explanation) => {
                let at = explanation.culprits.first().map(|culprit| culprit.tick);
                self.tell(FromSession::Explained { text: Text::from(&explanation.text()), at });
            }
            Err(error) => self.failed(error),
        }
        self.due = true;
    }

    /// The past is about to be looked through by a command that is waited for: the screen can have it given up.
    fn look_back(&mut self) {
        let sample = self.sampler.travelling();
        self.gate.enter();
        self.tell(FromSession::Sample(Box::new(sample)));
    }

    /// Gives the guest what was typed for it, if it can be given now.
    fn type_in(&mut self) {
        if self.typed.is_empty() {
            return;
        }
        match self.machine.type_in(&self.typed) {
            // The run stands between two machines: one of them will take it.
            Err(InferiorError::Running) => return,
            Err(error) => self.failed(error.into()),
            Ok(()) => {}
        }
        self.typed.clear();
    }

    /// Stops the machine for a command; with `pause`, it goes on behind it.
    fn stop_for(&mut self, line: String, typed: bool, pause: bool) {
        // One that came a moment ago waits too.
        self.queued.retain(|queued| !queued.always);
        self.queued.push_back(Queued { line, typed, always: false });
        if pause {
            self.queued.push_back(Queued { line: "continue".into(), typed: false, always: true });
        }
        self.pausing = pause;
        if let Err(error) = self.machine.interrupt() {
            self.queued.clear();
            self.failed(error.into());
        }
    }

    fn command(&mut self, line: &str, typed: bool) {
        if typed {
            self.tell(FromSession::Said(Text::line(Mark::Typed, format!("(wkdb) {line}"))));
        }
        if self.gone.is_some() {
            return self.tell(FromSession::Failed("the machine is gone".into()));
        }
        self.due = true;
        if self.debugger.explains(line) {
            self.look_back();
        }
        match self.debugger.run(&mut self.machine, line) {
            Ok(Reply { output, resumed, queued, leave }) => {
                self.going |= resumed;
                let text = Text::from(&output);
                if !text.0.is_empty() {
                    self.tell(FromSession::Said(text));
                }
                for line in queued.into_iter().rev() {
                    self.queued.push_front(Queued { line, typed: true, always: false });
                }
                match leave {
                    Some(Leave::Quit | Leave::Kill) => self.tell(FromSession::Leave),
                    Some(Leave::Detach) => {
                        let text = "the screen has nobody to hand the machine to: `:quit` ends it, F5 lets it go on";
                        self.tell(FromSession::Failed(text.into()));
                    }
                    None => {}
                }
            }
            Err(error) => self.failed(error),
        }
    }

    /// Commands that a file or option brought, as long as the machine stands still.
    fn run_queued(&mut self) {
        while !self.is_going()
            && let Some(Queued { line, typed, .. }) = self.queued.pop_front()
        {
            self.command(&line, typed);
        }
    }

    /// Tells what was printed and what happened, if the screen keeps up.
    fn flush(&mut self) {
        let waits = matches!(self.machine.status(), Status::Running) && !self.gate.is_open();
        if waits {
            return;
        }
        if !self.console.waiting.is_empty() {
            let (bytes, dropped) = self.console.take();
            self.tell(FromSession::Console { bytes, dropped });
        }
        if !self.events.waiting.is_empty() {
            let (rows, dropped) = self.events.take();
            self.tell(FromSession::Events { rows, dropped });
        }
    }

    /// Takes a sample and sends it, if it is time and the screen has dealt with the last one.
    fn sample(&mut self) {
        if self.gone.is_some() {
            return;
        }
        let running = matches!(self.machine.status(), Status::Running);
        if self.going && !running {
            // What the debugger looks at is settled with the stop.
            return;
        }
        let now = Instant::now();
        let wanted = if running { now >= self.next || self.due } else { self.due };
        if !wanted {
            return;
        }
        if !self.gate.is_open() {
            if running && now >= self.next {
                self.dropped += 1;
                self.next = now + PERIOD;
            }
            return;
        }
        match self.sampler.sample(&mut self.machine, &mut self.debugger) {
            Ok(mut sample) => {
                sample.dropped = self.dropped;
                self.note_code(&mut sample);
                self.due = false;
                self.gate.enter();
                self.tell(FromSession::Sample(Box::new(sample)));
            }
            Err(error) => self.lost(&error),
        }
        self.next = now + PERIOD.max(now.elapsed() * SHARE);
    }

    /// What code the machine runs in, and the past that it will have.
    fn note_code(&mut self, sample: &mut Sample) {
        sample.code = self.machine.code();
        if sample.history.is_none() && self.machine.will_have_past() {
            let (present, present_time) = (sample.tick, sample.time);
            sample.history = Some(HistoryView { present, present_time, ..HistoryView::default() });
        }
    }

    fn end(mut self) -> Ended {
        let outcome = |machine: &M| match machine.status() {
            Status::Ended(outcome, totals) => Some((outcome.as_ref().clone(), totals.as_ref().clone())),
            _ => None,
        };
        /// How long a machine may take to come to its end.
        const PATIENCE: Duration = Duration::from_secs(10);
        let until = Instant::now() + PATIENCE;
        let mut asked = false;
        while self.gone.is_none() && outcome(&self.machine).is_none() && Instant::now() < until {
            if !asked {
                // While a way back is being looked for, the machine cannot be asked.
                asked = match self.machine.quit() {
                    Ok(()) => true,
                    Err(InferiorError::Running) => self.machine.interrupt().is_err(),
                    Err(_) => break,
                };
            }
            if self.machine.notices(LISTEN).is_err() {
                break;
            }
        }
        Ended { outcome: outcome(&self.machine), gone: self.gone }
    }
}

/// When an event was, and what kind it is.
fn kind_of(event: &RunEvent) -> (Option<Tick>, EventKind) {
    match event {
        RunEvent::Trap { context, .. } | RunEvent::Panic { context, .. } => (Some(context.tick), EventKind::Crash),
        RunEvent::Watch(hit) => (hit.context.as_ref().map(|context| context.tick), EventKind::Watch),
        RunEvent::TaskBorn { context } | RunEvent::TaskGone { context } | RunEvent::CpuStarted { context } => {
            (Some(context.tick), EventKind::Life)
        }
        RunEvent::CpuStopped { context } | RunEvent::Hog { context, .. } => (Some(context.tick), EventKind::Problem),
        RunEvent::Complaint { .. } | RunEvent::Finding(_) => {
            (event.context().map(|context| context.tick), EventKind::Problem)
        }
    }
}

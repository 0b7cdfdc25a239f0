//! A machine that runs, the person who looks on, and a debugger that may attach.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wkdb_debugger::gdb::{Server, ServerEvent};
use wkdb_debugger::inferior::{Inferior, InferiorError, Notice, Resume, Status, StopReason};
use wkdb_tracer::{Outcome, Totals};

use super::console::Terminal;
use super::print;
use super::record::SharedRecording;
use crate::report::Reporter;
use crate::session::Relay;

/// See the module.
pub(super) struct Session {
    pub(super) machine: Relay,
    pub(super) terminal: Terminal,
    pub(super) reporter: Reporter,
    recording: SharedRecording,
    /// Waits for gdb or lldb.
    pub(super) gdb: Option<Server>,
    /// Standard input is the guest's.
    pub(super) interactive: bool,
    /// What was typed and not sent yet: the machine takes it when it comes to it. More is not read meanwhile; two
    /// processes that both wait for the other to read would wait for ever.
    typed: Vec<u8>,
    /// The console's last line is not ended.
    open_line: bool,
    /// What detectors have found so far.
    pub(super) findings: u64,
    /// How the run ended.
    end: Option<(Outcome, Totals)>,
    /// Since when a debugger waits for the machine, and when somebody was last told of it.
    waited_for: Option<(Instant, Instant)>,
}

/// How often somebody is told that a debugger has to wait; and the debugger.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the supervisor waits for.
#[derive(Default)]
struct Ready {
    machine: bool,
    /// The machine takes what was typed without making us wait.
    room: bool,
    typed: bool,
    signal: bool,
    gdb: bool,
}

impl Session {
    pub(super) fn new(
        machine: Relay,
        terminal: Terminal,
        reporter: Reporter,
        recording: SharedRecording,
        interactive: bool,
    ) -> Session {
        Session {
            machine,
            terminal,
            reporter,
            recording,
            gdb: None,
            interactive,
            typed: Vec::new(),
            open_line: false,
            findings: 0,
            end: None,
            waited_for: None,
        }
    }

    /// Stays with the machine to its end.
    pub(super) fn run(&mut self) -> anyhow::Result<(Outcome, Totals)> {
        let (signals, on_signal) = UnixStream::pair()?;
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP, signal_hook::consts::SIGINT] {
            signal_hook::low_level::pipe::register(signal, on_signal.try_clone()?)?;
        }
        let mut input_open = self.interactive;
        loop {
            let ready = self.wait(input_open, &signals)?;
            if ready.signal {
                self.machine.quit().map_err(failed)?;
                let mut byte = [0];
                let _ = (&signals).read(&mut byte);
            }
            if ready.typed {
                input_open = self.read_input()?;
            }
            if ready.room {
                let typed = std::mem::take(&mut self.typed);
                self.machine.type_in(&typed).map_err(failed)?;
            }
            if ready.machine {
                self.hear()?;
            }
            if ready.gdb {
                self.serve()?;
            }
            self.have_patience()?;
            // A debugger may still look at the last state.
            let looked_at = self.gdb.as_ref().is_some_and(Server::is_attached);
            if let Some(end) = self.end.take_if(|_| !looked_at) {
                return Ok(end);
            }
        }
    }

    fn wait(&self, input: bool, signals: &UnixStream) -> anyhow::Result<Ready> {
        let stdin = io::stdin();
        let mut fds = vec![PollFd::new(&self.machine, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        let mut add = |fd, flags| {
            fds.push(PollFd::from_borrowed_fd(fd, flags));
            fds.len() - 1
        };
        let typed = (input && self.typed.is_empty()).then(|| add(stdin.as_fd(), PollFlags::IN));
        // Who looks at the past, or waits for another machine, is not typed to.
        let room = self.machine.input_fd().filter(|_| !self.typed.is_empty());
        let room = room.map(|fd| add(fd, PollFlags::OUT));
        let gdb = fds.len();
        for (fd, writes) in self.gdb.iter().flat_map(Server::fds) {
            let flags = if writes { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            fds.push(PollFd::from_borrowed_fd(fd, flags));
        }
        let wait = match self.machine.has_notices() {
            true => Some(Duration::ZERO),
            false => self.waited_for.map(|_| PATIENCE / 4),
        };
        let wait = wait.map(|wait| Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() });
        match poll(&mut fds, wait.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the machine process"),
        }
        let events = |n: usize| fds.get(n).map_or(PollFlags::empty(), PollFd::revents);
        Ok(Ready {
            machine: self.machine.has_notices() || !events(0).is_empty(),
            room: room.is_some_and(|n| events(n).contains(PollFlags::OUT)),
            signal: !events(1).is_empty(),
            typed: typed.is_some_and(|n| !events(n).is_empty()),
            gdb: (gdb..fds.len()).any(|n| !events(n).is_empty()),
        })
    }

    /// A debugger has come, and the machine that it debugs is on its way: tells both who is at the terminal and the
    /// debugger that it takes a while.
    fn have_patience(&mut self) -> anyhow::Result<()> {
        let Some(progress) = self.machine.progress() else {
            self.waited_for = None;
            return Ok(());
        };
        let now = Instant::now();
        let (since, told) = *self.waited_for.get_or_insert((now, now));
        if now - told < PATIENCE {
            return Ok(());
        }
        self.waited_for = Some((since, now));
        let percent = progress.done.saturating_mul(100) / progress.of.max(1);
        let text = format!("wkdb: the debugger waits: the guest runs again, in code for debugging: {percent} %");
        self.terminal.say(&text);
        let events = self.gdb.as_mut().map(|gdb| gdb.reassure(&mut self.machine)).unwrap_or_default();
        self.tell(events)
    }

    /// Reads what was typed; false at the end of input.
    fn read_input(&mut self) -> anyhow::Result<bool> {
        let mut buf = [0; 1024];
        let n = rustix::io::read(io::stdin(), &mut buf).context("cannot read standard input")?;
        let (input, leave) = self.terminal.typed(&buf[..n]);
        self.typed.extend(input);
        if leave {
            self.machine.quit().map_err(failed)?;
        }
        Ok(n > 0)
    }

    /// Deals with what the machine says.
    fn hear(&mut self) -> anyhow::Result<()> {
        let notices = match self.machine.notices(Duration::ZERO) {
            // After the run's end there is nothing more to hear, nor to look at.
            Err(_) if self.end.is_some() => {
                self.gdb = None;
                return Ok(());
            }
            Err(error) => {
                self.recording.machine_is_gone();
                return Err(failed(error));
            }
            Ok(notices) => notices,
        };
        if let Some(problem) = self.recording.problem() {
            self.terminal.say(&problem);
        }
        for notice in notices {
            let mut stopped = None;
            match &notice {
                Notice::Console(bytes) => {
                    print(bytes)?;
                    self.open_line = bytes.last().is_some_and(|&byte| byte != b'\n');
                }
                Notice::Event(event) => {
                    self.findings += u64::from(event.is_mistake());
                    if let Some(text) = self.reporter.event(event) {
                        self.terminal.say(&text);
                    }
                }
                Notice::Module(module) => {
                    let bytes = self.machine.module(*module).map_err(failed)?;
                    self.reporter.add_module(*module, bytes.to_vec());
                }
                Notice::Stopped(stop) => stopped = Some(stop.reason == StopReason::Start),
                // The server asks for nothing that is looked for.
                Notice::Found(_) => {}
                Notice::Ended(outcome, totals) => self.end = Some(((**outcome).clone(), (**totals).clone())),
            }
            if let Some(gdb) = &mut self.gdb {
                let events = gdb.on_notice(&notice, &mut self.machine);
                self.tell(events)?;
            }
            // At its start, it waits for a debugger.
            if stopped == Some(false) {
                self.go_on_alone()?;
            }
        }
        Ok(())
    }

    /// Lets the machine go on where it is stopped and nobody is there who could.
    fn go_on_alone(&mut self) -> anyhow::Result<()> {
        let attached = self.gdb.as_ref().is_some_and(Server::is_attached);
        if !attached && matches!(self.machine.status(), Status::Stopped(_)) {
            self.machine.resume(&Resume::go()).map_err(failed)?;
        }
        Ok(())
    }

    /// Deals with what debuggers say.
    fn serve(&mut self) -> anyhow::Result<()> {
        let Some(gdb) = &mut self.gdb else { return Ok(()) };
        let events = gdb.on_ready(&mut self.machine);
        self.tell(events)
    }

    fn tell(&mut self, events: Vec<ServerEvent>) -> anyhow::Result<()> {
        for event in events {
            match event {
                ServerEvent::Attached(peer) => {
                    self.terminal.say(&format!("wkdb: a debugger attached ({peer})"));
                    self.attach(true)?;
                }
                ServerEvent::Detached(peer) => {
                    self.terminal.say(&format!("wkdb: the debugger left ({peer})"));
                    self.attach(false)?;
                    self.go_on_alone()?;
                }
                ServerEvent::Refused(peer) => {
                    self.terminal.say(&format!("wkdb: another debugger was sent away ({peer})"));
                }
                ServerEvent::Unchanged(reason) => {
                    self.terminal.say(&format!("wkdb: the debugger changed nothing: {reason}"));
                }
                ServerEvent::Kill(peer) => {
                    self.terminal.say(&format!("wkdb: the debugger killed the guest ({peer})"));
                    self.machine.quit().map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    /// Says whether somebody wants to know of traps and of the end before it comes.
    fn attach(&mut self, attached: bool) -> anyhow::Result<()> {
        match self.machine.set_attached(attached) {
            // The run is over: there is nothing more to be told.
            Ok(()) | Err(InferiorError::Refused(_)) => Ok(()),
            Err(_) if self.end.is_some() => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Gives the terminal back and says how it ended.
    pub(super) fn close(self, outcome: &Outcome, totals: &Totals) -> anyhow::Result<()> {
        let Session { terminal, mut reporter, open_line, recording, .. } = self;
        let ended = if open_line { print(if terminal.is_raw() { "\r\n" } else { "\n" }) } else { Ok(()) };
        terminal.say(&reporter.outcome(outcome, totals));
        if let Some(text) = recording.finish(Some((outcome, totals))) {
            terminal.say(&text);
        }
        ended
    }

    /// The run failed: what was recorded of it may still say why.
    pub(super) fn abandon(self) {
        let Session { terminal, recording, .. } = self;
        if let Some(text) = recording.finish(None) {
            terminal.say(&text);
        }
    }
}

/// A machine that is gone has said why.
pub(super) fn failed(error: InferiorError) -> anyhow::Error {
    match error {
        InferiorError::Gone(words) => anyhow::anyhow!(words),
        error => error.into(),
    }
}

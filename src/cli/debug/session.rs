//! A machine, its debugger and the screen: commands are run one after another, and after each that lets the machine run,
//! its next stop is waited for.

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wkdb_debugger::commands::{CommandError, Completion, Debugger, Leave, Now, Output, Reply, Style};
use wkdb_debugger::inferior::{InferiorError, Notice, Resume, Status};
use wkdb_tracer::{Outcome, Totals};

use super::machine::Machine;
use super::paint::Screen;

/// See the module.
pub(super) struct Session {
    machine: Machine,
    debugger: Debugger,
    screen: Screen,
    /// Where Ctrl-C is heard.
    interrupts: UnixStream,
    /// A command has failed.
    failed: bool,
}

/// How often is said how far it is with what takes long.
const PROGRESS: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Whether a session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// With another command.
    Command,
    /// It does not.
    Leave(Leave),
}

impl Session {
    /// A session with a machine that has just been started; waits for its first stop. `about` is said first.
    ///
    /// # Errors
    ///
    /// The machine cannot be made.
    pub(super) fn new(machine: Machine, debugger: Debugger, about: &Output) -> anyhow::Result<Self> {
        let (interrupts, on_interrupt) = UnixStream::pair()?;
        interrupts.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGINT, on_interrupt)?;
        let mut session = Session { machine, debugger, screen: Screen::new(), interrupts, failed: false };
        let mut asked = session.interrupts.try_clone()?;
        session.debugger.give_up_when(Box::new(move || any_in(&mut asked)));
        session.screen.say(about)?;
        match session.machine.shown().status().clone() {
            Status::Stopped(stop) => session.take(&Notice::Stopped(stop)).map(|_| ())?,
            Status::Running | Status::Ended(..) => session.wait()?,
        }
        Ok(session)
    }

    /// Whether a command has failed so far.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// How the run ended, if it has.
    pub(super) fn ended(&self) -> Option<(&Outcome, &Totals)> {
        match self.machine.shown().status() {
            Status::Ended(outcome, totals) => Some((outcome, totals)),
            _ => None,
        }
    }

    /// What a line could go on with.
    pub(super) fn complete(&mut self, line: &str, position: usize) -> Completion {
        self.debugger.complete(self.machine.inferior(), line, position)
    }

    /// Shows a line as if it had been typed.
    ///
    /// # Errors
    ///
    /// Standard output cannot be written to.
    pub(super) fn echo(&mut self, line: &str) -> anyhow::Result<()> {
        self.screen.say(&Output::from(format!("{}{line}\n", super::prompt::PROMPT)))
    }

    /// Runs a command, those that it brings with it, and waits for the machine to stop where they let it run. A command
    /// that fails is told; those that it was brought with are given up.
    ///
    /// # Errors
    ///
    /// The machine is gone.
    pub(super) fn run(&mut self, line: &str) -> anyhow::Result<Next> {
        let mut lines = VecDeque::from([line.to_owned()]);
        let mut brought = false;
        while let Some(line) = lines.pop_front() {
            if brought {
                self.echo(&line)?;
            }
            // Ctrl-C is for what is under way, not for what comes next.
            self.forget_interrupts();
            match self.debugger.run(self.machine.inferior(), &line) {
                Ok(Reply { output, resumed, queued, leave }) => {
                    self.screen.say(&output)?;
                    if resumed {
                        self.wait()?;
                    }
                    if let Some(leave) = leave {
                        return Ok(Next::Leave(leave));
                    }
                    brought |= !queued.is_empty();
                    for line in queued.into_iter().rev() {
                        lines.push_front(line);
                    }
                }
                Err(CommandError::Inferior(InferiorError::Gone(words))) => {
                    anyhow::bail!("the machine is gone: {words}");
                }
                Err(error) => {
                    self.failed = true;
                    let mut output = Output::new();
                    output.mark(Style::Problem, "error: ").line(error.to_string());
                    self.screen.say(&output)?;
                    lines.clear();
                }
            }
        }
        Ok(Next::Command)
    }

    /// Shows what the machine tells, until it stops or ends. Ctrl-C stops it, and what is looked for in its past.
    fn wait(&mut self) -> anyhow::Result<()> {
        self.forget_interrupts();
        loop {
            if !self.machine.has_notices() {
                self.sleep()?;
            }
            if self.forget_interrupts() {
                self.machine.inferior().interrupt()?;
            }
            for notice in self.machine.inferior().notices(Duration::ZERO)? {
                if self.take(&notice)? {
                    return Ok(());
                }
            }
        }
    }

    /// Shows what the machine tells; whether it is stopped now.
    fn take(&mut self, notice: &Notice) -> anyhow::Result<bool> {
        if let Notice::Console(bytes) = notice {
            self.screen.console(bytes)?;
            return Ok(false);
        }
        let reaction = self.debugger.on_notice(self.machine.inferior(), notice)?;
        self.screen.say(&reaction.output)?;
        Ok(matches!(reaction.now, Now::Stopped | Now::Ended))
    }

    /// Waits until the machine says something, or Ctrl-C is typed. Says how far it is with what takes long.
    fn sleep(&mut self) -> anyhow::Result<()> {
        let mut shown = false;
        let slept = loop {
            let mut fds = [PollFd::new(&self.machine, PollFlags::IN), PollFd::new(&self.interrupts, PollFlags::IN)];
            match poll(&mut fds, Some(&PROGRESS)) {
                Ok(0) => {}
                Ok(_) | Err(rustix::io::Errno::INTR) => break Ok(()),
                Err(error) => break Err(error).context("cannot wait for the machine process"),
            }
            if let Some(progress) = self.machine.inferior().history().and_then(|history| history.progress()) {
                shown |= self.screen.progress(progress);
            }
        };
        if shown {
            self.screen.no_progress();
        }
        slept
    }

    /// Whether Ctrl-C was typed since the last call.
    fn forget_interrupts(&mut self) -> bool {
        any_in(&mut self.interrupts)
    }

    /// Lets the guest run on to its end without a debugger; Ctrl-C ends it.
    ///
    /// # Errors
    ///
    /// The machine is gone.
    pub(super) fn run_to_its_end(&mut self) -> anyhow::Result<()> {
        if self.ended().is_some() {
            return Ok(());
        }
        // There is nothing in a recording that could go on.
        if self.machine.is_recording() {
            return Ok(());
        }
        // Without breakpoints and watches: they would stop it with nobody there.
        self.debugger.run(self.machine.inferior(), "delete")?;
        self.machine.set_attached(false)?;
        self.machine.inferior().resume(&Resume::go())?;
        while self.ended().is_none() {
            if !self.machine.has_notices() {
                self.sleep()?;
            }
            if self.forget_interrupts() {
                self.machine.quit()?;
            }
            for notice in self.machine.inferior().notices(Duration::ZERO)? {
                self.take(&notice)?;
            }
        }
        self.screen.end_line()
    }
}

/// Whether anything has come; it is taken.
fn any_in(interrupts: &mut UnixStream) -> bool {
    let mut buffer = [0; 64];
    let mut any = false;
    while matches!(interrupts.read(&mut buffer), Ok(read) if read > 0) {
        any = true;
    }
    any
}

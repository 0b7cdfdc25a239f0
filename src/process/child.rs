//! The machine process: single-threaded, so that it can be forked; talks with the supervisor on its standard input.

use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use wkdb_debugger::inferior::InferiorError;

use super::fork;
use super::protocol::{FromMachine, ToMachine, VERSION, receive, send};
use crate::machine::{self, Command, Machine, Output, Port};

/// Runs the machine process to its end.
///
/// # Errors
///
/// Where standard input is not a supervisor's socket, or the supervisor is gone.
pub fn run() -> anyhow::Result<()> {
    let socket = rustix::stdio::stdin().try_clone_to_owned().context("no standard input")?;
    let mut reader = UnixStream::from(socket);
    let mut writer = BufWriter::new(reader.try_clone()?);
    let start = receive(&mut reader).context("this subcommand is for wkdb itself: use wkdb run")?;
    let Some(ToMachine::Start { version: VERSION, config }) = start else {
        anyhow::bail!("the supervisor is another version of wkdb: start again");
    };
    fork::never_wait().context("cannot leave copies to themselves")?;
    let mut machine = match Machine::new(*config) {
        Ok(machine) => machine,
        Err(error) => {
            send(&mut writer, &FromMachine::Failed(error.to_string()))?;
            return Ok(writer.flush()?);
        }
    };
    let mut port = SocketPort { reader, writer, attended: Instant::now(), broken: None, ended: false };
    let outcome = machine.run(&mut port);
    let totals = machine.totals();
    if let Some(error) = port.broken {
        return Err(error).context("the supervisor is gone");
    }
    if !port.ended {
        send(&mut port.writer, &FromMachine::Ended(Box::new(outcome), Box::new(totals)))?;
    }
    port.writer.flush()?;
    Ok(())
}

/// How long a running machine may leave its socket alone, in either direction: well below what a person notices, and
/// many time slices.
const ATTENTION: Duration = Duration::from_millis(1);

struct SocketPort {
    reader: UnixStream,
    writer: BufWriter<UnixStream>,
    /// When the socket was last looked at.
    attended: Instant,
    /// Why the supervisor cannot be reached any more: the machine is told to quit.
    broken: Option<io::Error>,
    /// The supervisor was told how the run ended.
    ended: bool,
}

impl SocketPort {
    fn attempt<T>(&mut self, result: io::Result<T>) -> Option<T> {
        result.map_err(|error| self.broken = Some(error)).ok()
    }

    fn readable(&mut self, wait: Option<Duration>) -> io::Result<bool> {
        let wait = wait.unwrap_or_default();
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut fds = [PollFd::new(&self.reader, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl SocketPort {
    /// Forks. The copy has a new socket in place of the old one, whose other end the supervisor gets through this one.
    fn copy(&mut self) -> io::Result<machine::Side> {
        // What has been said is said once.
        self.writer.flush()?;
        let (theirs, ours) = UnixStream::pair()?;
        let writer = BufWriter::new(ours.try_clone()?);
        match fork::fork()? {
            fork::Side::Child => {
                // Standard input is the old socket as well: none may stay open, or nobody sees the original end.
                self.reader = ours;
                self.writer = writer;
                let replaced = rustix::stdio::dup2_stdin(&self.reader).map_err(io::Error::from);
                self.attempt(replaced);
                Ok(machine::Side::Copy)
            }
            fork::Side::Parent { child } => {
                let told = send(&mut self.writer, &FromMachine::Forked { pid: child })
                    .and_then(|()| self.writer.flush())
                    .and_then(|()| fork::send_fd(&self.reader, theirs.as_fd()));
                self.attempt(told);
                Ok(machine::Side::Original)
            }
        }
    }
}

impl Port for SocketPort {
    fn fork(&mut self) -> Result<machine::Side, InferiorError> {
        self.copy().map_err(|error| InferiorError::Refused(format!("the machine process cannot be copied: {error}")))
    }

    fn output(&mut self, output: Output) {
        let message = match output {
            Output::Console(bytes) => FromMachine::Console(bytes),
            Output::Event(event) => FromMachine::Event(Box::new(event)),
            Output::Module { module, bytes } => FromMachine::Module(module, bytes),
            Output::At(position) => FromMachine::At(position),
            Output::Took(entry) => FromMachine::Took(entry),
            Output::Trace(record) => FromMachine::Trace(Box::new(record)),
            Output::Stopped(stop) => FromMachine::Stopped(Box::new(stop)),
            Output::Answer { id, answer } => FromMachine::Answer(id, answer),
            Output::Ended(outcome, totals) => {
                self.ended = true;
                FromMachine::Ended(Box::new(outcome), Box::new(totals))
            }
        };
        let sent = send(&mut self.writer, &message);
        self.attempt(sent);
    }

    fn commands(&mut self, wait: Option<Duration>) -> Vec<Command> {
        // Looking takes as long as a short time slice.
        if wait.is_none() && self.broken.is_none() && self.attended.elapsed() < ATTENTION {
            return Vec::new();
        }
        self.attended = Instant::now();
        if !self.writer.buffer().is_empty() {
            let flushed = self.writer.flush();
            self.attempt(flushed);
        }
        let mut commands = Vec::new();
        let mut wait = wait;
        while self.broken.is_none() {
            let readable = self.readable(wait.take());
            if self.attempt(readable) != Some(true) {
                break;
            }
            let received = receive(&mut self.reader);
            match self.attempt(received) {
                Some(Some(ToMachine::Input(bytes))) => commands.push(Command::Input(bytes)),
                Some(Some(ToMachine::Quit)) => commands.push(Command::Quit),
                Some(Some(ToMachine::Ask(id, request))) => commands.push(Command::Ask { id, request }),
                Some(Some(ToMachine::Start { .. })) => {
                    self.broken = Some(io::Error::new(io::ErrorKind::InvalidData, "a second start"));
                }
                Some(None) => self.broken = Some(io::ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        }
        if self.broken.is_some() {
            commands.push(Command::Quit);
        }
        commands
    }
}

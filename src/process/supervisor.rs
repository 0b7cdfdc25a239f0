//! The supervisor's end: starts a machine process and talks with it.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::protocol::{FromMachine, ToMachine, VERSION, receive, send_all};
use crate::machine::MachineConfig;

/// The hidden subcommand of the machine process.
pub const MACHINE_SUBCOMMAND: &str = "__machine";

/// An environment variable for machine processes and its value: the C library takes every allocation from 64 KiB on
/// from the system, and gives it back. A runner has two such, its function table and the references to a kernel's
/// functions, of which it uses little: like this it has only what it uses. Others than glibc ignore it.
pub const ALLOCATOR: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=65536");

/// How a machine process came to be.
enum Process {
    /// It was started.
    Started(Child),
    /// It is a copy of another machine process, whose child it is, or was.
    Copy { id: u32, handle: OwnedFd },
}

/// A machine process. It is killed when this is dropped.
pub struct MachineProcess {
    process: Process,
    socket: UnixStream,
}

impl MachineProcess {
    /// Starts a machine process that makes a machine from `config` and runs it.
    ///
    /// # Errors
    ///
    /// Where the process cannot be started.
    pub fn start(config: MachineConfig) -> io::Result<Self> {
        Self::start_program(&std::env::current_exe()?, config)
    }

    /// The same of the program `wkdb` at this place, for programs that are not wkdb themselves. It must be of the same
    /// version.
    ///
    /// # Errors
    ///
    /// Where the process cannot be started.
    pub fn start_program(wkdb: &Path, config: MachineConfig) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut command = Command::new(wkdb);
        let (variable, value) = ALLOCATOR;
        // Who sets it knows better.
        if std::env::var_os(variable).is_none() {
            command.env(variable, value);
        }
        // Ctrl-C at the terminal is for the supervisor, which decides what it means and hears how the machine ended.
        command.process_group(0);
        let child =
            command.arg(MACHINE_SUBCOMMAND).stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).spawn()?;
        let mut process = MachineProcess { process: Process::Started(child), socket };
        process.send(&ToMachine::Start { version: VERSION, config: Box::new(config) })?;
        Ok(process)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        match &self.process {
            Process::Started(child) => child.id(),
            Process::Copy { id, .. } => *id,
        }
    }

    /// Takes over the copy of this process that it has just told of, with [`FromMachine::Forked`].
    ///
    /// # Errors
    ///
    /// Where its socket does not come, or it is gone already.
    pub fn adopt(&mut self, pid: u32) -> io::Result<MachineProcess> {
        let socket = UnixStream::from(super::fork::receive_fd(&self.socket)?);
        let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let process = process.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "a copy without a process"))?;
        // The handle is the process's for ever, where its number is given to another one when it is gone.
        let handle = pidfd_open(process, PidfdFlags::empty())?;
        Ok(MachineProcess { process: Process::Copy { id: pid, handle }, socket })
    }

    /// Bytes of memory that the process does not share with another one, as the system counts them; 0 if it is gone.
    pub fn private_memory(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id())).unwrap_or_default();
        let kib = |line: &str| line.strip_prefix("Private_")?.split_whitespace().nth(1)?.parse::<u64>().ok();
        text.lines().filter_map(kib).sum::<u64>() * 1024
    }

    /// Says something to the machine. Where the process is gone this does nothing: what [`MachineProcess::receive`]
    /// gives next is its last word, or how it ended.
    ///
    /// # Errors
    ///
    /// Where the socket fails in another way.
    pub fn send(&mut self, message: &ToMachine) -> io::Result<()> {
        self.send_all(std::slice::from_ref(message))
    }

    /// Says several things at once.
    ///
    /// # Errors
    ///
    /// As [`MachineProcess::send`].
    pub fn send_all(&mut self, messages: &[ToMachine]) -> io::Result<()> {
        match send_all(&mut self.socket, messages) {
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
            sent => sent,
        }
    }

    /// What the machine says next; waits for it.
    ///
    /// # Errors
    ///
    /// Where the process is gone: with how it ended.
    pub fn receive(&mut self) -> io::Result<FromMachine> {
        match receive(&mut self.socket) {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(self.gone()),
            Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                Err(self.gone())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the machine says something, or is gone, within `wait`.
    ///
    /// # Errors
    ///
    /// Where the socket fails.
    pub fn has_message(&self, wait: Duration) -> io::Result<bool> {
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn gone(&mut self) -> io::Error {
        let Process::Started(child) = &mut self.process else {
            return io::Error::other("the process of a copy of the machine has ended");
        };
        match child.wait() {
            Ok(status) => io::Error::other(format!("the machine process ended unexpectedly ({status})")),
            Err(error) => error,
        }
    }
}

impl AsFd for MachineProcess {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for MachineProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        match &mut self.process {
            Process::Started(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            Process::Copy { handle, .. } => {
                let _ = pidfd_send_signal(&*handle, Signal::KILL);
            }
        }
    }
}

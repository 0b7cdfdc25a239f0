//! Forking a machine process, and handing a file descriptor from one process to another.
//!
//! # Unsafe
//!
//! `fork` copies one thread of a process: what other threads hold locked stays locked in the child for ever. [`fork`]
//! looks how many threads there are and refuses unless there is one.
#![allow(unsafe_code)]

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::unistd::ForkResult;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

/// Which of the two processes this is after a [`fork`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that called.
    Parent {
        /// The copy's process.
        child: u32,
    },
    /// The copy.
    Child,
}

/// How many threads this process has.
fn threads() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Makes a copy of this process, which must have one thread. Nobody has to wait for the child: see [`never_wait`].
///
/// # Errors
///
/// Where there are several threads, or no room for another process.
pub(super) fn fork() -> io::Result<Side> {
    let threads = threads()?;
    if threads != 1 {
        return Err(io::Error::other(format!("a process of {threads} threads cannot be forked")));
    }
    // SAFETY: there is one thread, so the child's copy of the process is whole.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Side::Parent { child: child.as_raw().unsigned_abs() }),
        ForkResult::Child => Ok(Side::Child),
    }
}

/// From now on children of this process are gone when they end, without anybody waiting for them.
///
/// # Errors
///
/// As the system's.
pub(super) fn never_wait() -> io::Result<()> {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler of ours is installed; the system is told to reap children itself.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    Ok(())
}

/// Sends a file descriptor, beside one byte of data.
///
/// # Errors
///
/// As the socket's.
pub(super) fn send_fd(socket: &UnixStream, fd: BorrowedFd<'_>) -> io::Result<()> {
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("no room for a file descriptor"));
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&[0])], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Receives what [`send_fd`] sent.
///
/// # Errors
///
/// As the socket's; or there is no file descriptor.
pub(super) fn receive_fd(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(socket.as_fd(), &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fd.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no file descriptor came"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn file_descriptors_are_handed_over() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut mine, theirs) = UnixStream::pair().unwrap();
        send_fd(&here, theirs.as_fd()).unwrap();
        drop(theirs);
        let mut got = UnixStream::from(receive_fd(&there).unwrap());
        got.write_all(b"hello").unwrap();
        drop(got);
        let mut text = String::new();
        mine.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        drop(here);
        assert!(receive_fd(&there).is_err(), "the end of the stream is no file descriptor");
    }

    #[test]
    fn a_process_of_several_threads_is_not_forked() {
        // The test runner's threads are enough, and there is at least one more.
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || stopped.recv());
        let refused = fork().unwrap_err();
        assert!(refused.to_string().contains("threads"), "{refused}");
        drop(stop);
        let _ = other.join();
    }
}

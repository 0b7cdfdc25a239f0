//! One file descriptor for a poll loop that waits for several things.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

/// Readable when a bell was rung, or when one of some file descriptors is readable.
pub(super) struct Alarm {
    epoll: OwnedFd,
    bell: Arc<OwnedFd>,
}

/// Wakes who waits for an [`Alarm`]; from any thread.
#[derive(Clone)]
pub(super) struct Bell(Arc<OwnedFd>);

impl Bell {
    /// Wakes the one who waits, until [`Alarm::quiet`].
    pub(super) fn ring(&self) {
        // It fails only where it has been rung 2^64 times.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

impl Alarm {
    /// # Errors
    /// There are no file descriptors left.
    pub(super) fn new() -> io::Result<Alarm> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &bell, EventData::new_u64(0), EventFlags::IN)?;
        Ok(Alarm { epoll, bell: Arc::new(bell) })
    }

    /// What rings it.
    pub(super) fn bell(&self) -> Bell {
        Bell(self.bell.clone())
    }

    /// Forgets that the bell was rung.
    pub(super) fn quiet(&self) {
        // Nothing to be read is as well.
        let _ = rustix::io::read(&*self.bell, &mut [0; 8]);
    }

    /// Wakes also when `fd` is readable. One that was closed is forgotten by itself.
    pub(super) fn watch(&self, fd: BorrowedFd<'_>) {
        // The number may be that of one which was watched and closed since.
        let data = EventData::new_u64(fd.as_raw_fd() as u64);
        if let Err(Errno::EXIST) = epoll::add(&self.epoll, fd, data, EventFlags::IN) {
            let _ = epoll::modify(&self.epoll, fd, data, EventFlags::IN);
        }
    }

    /// Does not wake for `fd` any more.
    pub(super) fn ignore(&self, fd: BorrowedFd<'_>) {
        // It may never have been watched.
        let _ = epoll::delete(&self.epoll, fd);
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn wakes(alarm: &Alarm) -> bool {
        poll(&mut [PollFd::new(alarm, PollFlags::IN)], Some(&Timespec::default())).unwrap() > 0
    }

    #[test]
    fn a_bell_wakes_until_it_is_quieted_and_a_watched_socket_while_it_has_something() {
        let alarm = Alarm::new().unwrap();
        let (mut here, there) = UnixStream::pair().unwrap();
        assert!(!wakes(&alarm));
        let bell = alarm.bell();
        std::thread::spawn(move || bell.ring()).join().unwrap();
        assert!(wakes(&alarm));
        alarm.quiet();
        assert!(!wakes(&alarm));
        here.write_all(b"x").unwrap();
        assert!(!wakes(&alarm), "nobody asked for it");
        alarm.watch(there.as_fd());
        alarm.watch(there.as_fd());
        assert!(wakes(&alarm));
        alarm.ignore(there.as_fd());
        alarm.ignore(there.as_fd());
        assert!(!wakes(&alarm));
        alarm.watch(there.as_fd());
        drop(there);
        drop(here);
        assert!(!wakes(&alarm), "what was closed is forgotten");
    }
}

//! Recording while a run goes on: a thread that packs and writes, so that the run does not wait for the disk.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::entry::{Entry, Position};
use super::writer::{Sink, Writer};

/// What may be lost when the program is killed, at most.
const LOSS: Duration = Duration::from_secs(1);
/// What may be lost in a power cut, at most.
const POWER_LOSS: Duration = Duration::from_secs(10);
/// Entries under way to the thread; a run that is faster than the disk waits.
const UNDER_WAY: usize = 4096;

/// Why a recording ended before its run.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It cannot be written.
    #[error("the recording cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The thread that writes came to a bad end.
    #[error("the thread that writes the recording has panicked")]
    Panicked,
}

type Problem = Arc<Mutex<Option<io::Error>>>;

/// A recording that is being written by its own thread. Dropping it writes what is pending and leaves the recording
/// without an end.
pub struct Recorder<S: Sink + 'static> {
    /// Gone once no more is to come.
    entries: Option<SyncSender<(Position, Entry)>>,
    thread: Option<JoinHandle<Option<Writer<S>>>>,
    problem: Problem,
}

impl<S: Sink + 'static> Recorder<S> {
    /// Takes entries from now on. `begin` is what the thread does first: putting files into the recording may take a
    /// while.
    ///
    /// # Errors
    ///
    /// Where there can be no thread.
    pub fn start(begin: impl FnOnce() -> io::Result<Writer<S>> + Send + 'static) -> io::Result<Self> {
        let (entries, receiver) = sync_channel(UNDER_WAY);
        let problem = Problem::default();
        let theirs = problem.clone();
        let write = move || match begin().and_then(|writer| work(writer, &receiver)) {
            Ok(writer) => Some(writer),
            Err(error) => {
                *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                None
            }
        };
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(write)?;
        Ok(Recorder { entries: Some(entries), thread: Some(thread), problem })
    }

    /// Records what happened. After a failure it is dropped: see [`Recorder::problem`].
    pub fn entry(&mut self, position: Position, entry: Entry) {
        if let Some(entries) = &self.entries
            && entries.send((position, entry)).is_err()
        {
            self.entries = None;
        }
    }

    /// What went wrong, told once. Nothing is recorded any more then.
    pub fn problem(&mut self) -> Option<RecordError> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).take().map(RecordError::Write)
    }

    /// Writes what is pending and gives the writer back, to end the recording.
    ///
    /// # Errors
    ///
    /// Where the recording could not be written, unless that has been told.
    pub fn finish(mut self) -> Result<Option<Writer<S>>, RecordError> {
        let writer = self.join()?;
        match self.problem() {
            Some(problem) => Err(problem),
            None => Ok(writer),
        }
    }

    fn join(&mut self) -> Result<Option<Writer<S>>, RecordError> {
        self.entries = None;
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| RecordError::Panicked),
            None => Ok(None),
        }
    }
}

impl<S: Sink + 'static> Drop for Recorder<S> {
    fn drop(&mut self) {
        // What could be said of it, nobody asked for.
        let _ = self.join();
    }
}

/// Writes what comes, until no more is to come.
fn work<S: Sink>(mut writer: Writer<S>, entries: &Receiver<(Position, Entry)>) -> io::Result<Writer<S>> {
    let mut due: Option<Instant> = None;
    let mut synced = Instant::now();
    loop {
        let received = match due {
            Some(due) => entries.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => entries.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match received {
            Ok((position, entry)) => writer.entry(position, &entry)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                writer.flush()?;
                return Ok(writer);
            }
        }
        let now = Instant::now();
        if due.is_some_and(|due| due <= now) {
            writer.flush()?;
        }
        if now.duration_since(synced) >= POWER_LOSS {
            writer.sync()?;
            synced = now;
        }
        due = match writer.has_pending() {
            true => due.filter(|&due| due > now).or(Some(now + LOSS)),
            false => None,
        };
    }
}

//! A run is written down while it goes on.
//!
//! With `--record` into a file, from the beginning. Without, into memory (from 4 MiB on, a temporary file), without the
//! guest's own files; only if the run ends badly is all of that made a file that can be kept.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use tempfile::{NamedTempFile, SpooledTempFile};
use wkdb_tracer::recording::{
    End, Entry, FileRole, GuestFile, Header, Packed, Position, RecordError, Recorder, Sink, Writer, pack,
};
use wkdb_tracer::{Event, Outcome, Totals};

use super::{MachineRecord, file_hash, role_name, stamp::stamp};
use crate::code_cache::{Artifact, CodeKey, CodeStore};
use crate::machine::{MachineConfig, SEMANTICS};
use crate::process::protocol::FromMachine;

/// What a recording takes of the memory until it is known whether it will be kept, in bytes.
const IN_MEMORY: usize = 4 << 20;

/// Where a recording goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To this file, as the run goes on.
    File(PathBuf),
    /// To a new file in this directory, if the run ends badly; named after the guest.
    IfBad(PathBuf),
}

/// A file that a run is made from.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// What it is used as.
    pub role: FileRole,
    /// What it is called.
    pub name: String,
    /// Its contents.
    pub bytes: Arc<[u8]>,
}

/// A guest, to be recorded.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its files.
    pub files: Vec<SourceFile>,
    /// Whether they are put into the recording, or named by their hashes.
    pub embed: bool,
    /// Where packed files are kept, as packing takes its time.
    pub store: Option<CodeStore>,
}

/// The same, with the hashes of the files once somebody has asked for them: they take a while.
struct Hashed {
    source: Source,
    hashes: OnceLock<Vec<String>>,
}

impl Hashed {
    fn files(&self) -> impl Iterator<Item = (&SourceFile, &String)> {
        let files = &self.source.files;
        let hashes = self.hashes.get_or_init(|| files.iter().map(|file| file_hash(&file.bytes)).collect());
        files.iter().zip(hashes)
    }
}

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The file cannot be made.
    #[error("cannot record to {}: {error}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The run ended badly and its recording cannot be kept.
    #[error("the recording of this run cannot be left in {}: {error}; name another directory with --record-dir", path.display())]
    Leave {
        /// The directory.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It could not be written.
    #[error("{}: {error}; it can be replayed as far as it goes", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: RecordError,
    },
    /// It could not be kept in memory or a temporary file.
    #[error("this run is not recorded any more: {0}")]
    Keep(RecordError),
}

/// A recording that is kept until it is known whether anybody wants it.
struct Spool(SpooledTempFile);

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sink for Spool {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)?;
        self.0.seek(io::SeekFrom::Start(len)).map(|_| ())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Kept {
    File { path: PathBuf, recorder: Recorder<File> },
    Spool { directory: PathBuf, recorder: Recorder<Spool> },
}

/// Records one run.
pub struct RunRecorder {
    kept: Kept,
    source: Arc<Hashed>,
    at: Position,
    /// A detector has found something.
    findings: bool,
}

impl RunRecorder {
    /// Begins to record the run of a machine with this configuration.
    ///
    /// # Errors
    ///
    /// Where the file cannot be made.
    pub fn start(target: Target, source: Source, config: &MachineConfig) -> Result<Self, SaveError> {
        let source = Arc::new(Hashed { source, hashes: OnceLock::new() });
        let machine = MachineRecord::of(config);
        let theirs = source.clone();
        let kept = match target {
            Target::File(path) => {
                let create = |error| SaveError::Create { path: path.clone(), error };
                let file = File::create(&path).map_err(create)?;
                // At once, so that whenever this program is killed there is something to open.
                let mut writer = header(&theirs, &machine).and_then(|h| Writer::new(file, &h)).map_err(create)?;
                let begin = move || {
                    put_files(&mut writer, &theirs)?;
                    Ok(writer)
                };
                let recorder = Recorder::start(begin).map_err(create)?;
                Kept::File { path, recorder }
            }
            Target::IfBad(directory) => {
                let create = |error| SaveError::Keep(RecordError::Write(error));
                let spool = Spool(SpooledTempFile::new(IN_MEMORY));
                let begin = move || Writer::new(spool, &header(&theirs, &machine)?);
                let recorder = Recorder::start(begin).map_err(create)?;
                Kept::Spool { directory, recorder }
            }
        };
        Ok(RunRecorder { kept, source, at: Position::default(), findings: false })
    }

    /// What follows happened here.
    pub fn at(&mut self, position: Position) {
        self.at = position;
    }

    /// This happened, at the position last told.
    pub fn entry(&mut self, entry: Entry) {
        match &mut self.kept {
            Kept::File { recorder, .. } => recorder.entry(self.at, entry),
            Kept::Spool { recorder, .. } => recorder.entry(self.at, entry),
        }
    }

    /// The same for an event. Stores into watched memory are no part of the run.
    pub fn event(&mut self, event: &Event) {
        self.findings |= event.is_mistake();
        if !matches!(event, Event::Watch(_)) {
            self.entry(Entry::Event(Box::new(event.clone())));
        }
    }

    /// The machine said this. What is no part of a run is passed over.
    pub fn hear(&mut self, message: &FromMachine) {
        match message {
            FromMachine::At(position) => self.at(*position),
            FromMachine::Took(entry) => self.entry(entry.clone()),
            FromMachine::Console(bytes) => self.entry(Entry::Console(bytes.clone())),
            FromMachine::Event(event) => self.event(event),
            FromMachine::Failed(_)
            | FromMachine::Module(..)
            | FromMachine::Ended(..)
            | FromMachine::Stopped(_)
            | FromMachine::Answer(..)
            | FromMachine::Forked { .. }
            | FromMachine::Trace(_) => {}
        }
    }

    /// Whether a detector has found something: that is a bad run, however it ends.
    pub fn has_findings(&self) -> bool {
        self.findings
    }

    /// Why nothing is recorded any more; told once.
    pub fn problem(&mut self) -> Option<SaveError> {
        match &mut self.kept {
            Kept::File { path, recorder } => {
                recorder.problem().map(|error| SaveError::Write { path: path.clone(), error })
            }
            Kept::Spool { recorder, .. } => recorder.problem().map(SaveError::Keep),
        }
    }

    /// The run has ended; none: nobody knows how, for its process is gone. Gives the file in which it can be replayed,
    /// if there is one.
    ///
    /// # Errors
    ///
    /// Where the recording could not be written to its end, or not be left where it should.
    pub fn finish(self, ended: Option<(&Outcome, &Totals)>) -> Result<Option<PathBuf>, SaveError> {
        let end = ended.map(|(outcome, totals)| End { outcome: outcome.clone(), totals: totals.clone() });
        match self.kept {
            Kept::File { path, recorder } => {
                let close = |writer: Writer<File>| match &end {
                    Some(end) => writer.end(end),
                    None => writer.into_sink(),
                };
                let finished = recorder.finish().and_then(|writer| Ok(writer.map(close).transpose()?));
                match finished {
                    Ok(_) => Ok(Some(path)),
                    Err(error) => Err(SaveError::Write { path, error }),
                }
            }
            Kept::Spool { .. } if !self.findings && end.as_ref().is_some_and(|end| !is_bad(&end.outcome)) => Ok(None),
            Kept::Spool { directory, recorder } => {
                let Some(writer) = recorder.finish().map_err(SaveError::Keep)? else { return Ok(None) };
                let saved = save(writer, &self.source, end.as_ref(), &directory);
                saved.map(Some).map_err(|error| SaveError::Leave { path: directory, error })
            }
        }
    }
}

/// Whether a run that ended so leaves a recording.
pub fn is_bad(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Panic | Outcome::Deadlock(_) | Outcome::Spin(_) | Outcome::Broken(_) | Outcome::Script { .. } => true,
        // Somebody waited for the worst.
        Outcome::Until(condition) => ["panic", "trap", "finding"].contains(&condition.as_str()),
        Outcome::MaxTime | Outcome::Quit | Outcome::RecordingEnds => false,
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn header(hashed: &Hashed, machine: &MachineRecord) -> io::Result<Header> {
    let files = hashed.files().map(|(file, hash)| GuestFile {
        role: file.role,
        name: file.name.clone(),
        len: file.bytes.len() as u64,
        hash: hash.clone(),
        embedded: hashed.source.embed,
    });
    Ok(Header {
        wkdb: env!("CARGO_PKG_VERSION").into(),
        semantics: SEMANTICS,
        recorded_at: now(),
        files: files.collect(),
        machine: serde_json::to_value(machine)?,
    })
}

fn put_files<S: Sink>(writer: &mut Writer<S>, hashed: &Hashed) -> io::Result<()> {
    let Source { embed, store, .. } = &hashed.source;
    for (number, (file, hash)) in hashed.files().enumerate().filter(|_| *embed) {
        writer.file(number as u32, &packed(&file.bytes, hash, store.as_ref())?)?;
    }
    Ok(())
}

/// A file, packed: from the store if that has it.
fn packed(bytes: &[u8], hash: &str, store: Option<&CodeStore>) -> io::Result<Packed> {
    let key = CodeKey::of(&[b"packed for recordings, 1", hash.as_bytes()]);
    let kept = store.and_then(|store| store.get(&key, Artifact::Packed));
    if let Some(packed) = kept.and_then(|path| std::fs::read(path).ok()).and_then(Packed::from_bytes) {
        return Ok(packed);
    }
    let packed = pack(bytes)?;
    if let Some(store) = store {
        // Packing it again next time does no harm.
        let _ = store.put(&key, Artifact::Packed, packed.as_bytes());
    }
    Ok(packed)
}

/// Makes what was kept a file of the directory's.
fn save(mut writer: Writer<Spool>, hashed: &Hashed, end: Option<&End>, directory: &Path) -> io::Result<PathBuf> {
    put_files(&mut writer, hashed)?;
    let Spool(mut spool) = match end {
        Some(end) => writer.end(end)?,
        None => writer.into_sink()?,
    };
    spool.rewind()?;
    let mut file = NamedTempFile::with_prefix_in(".wkdb-", directory)?;
    io::copy(&mut spool, &mut file)?;
    file.as_file().sync_data()?;
    let kernel = hashed.source.files.iter().find(|file| file.role == FileRole::Kernel);
    let name = kernel.map_or(role_name(FileRole::Kernel), |file| {
        file.name.split('.').find(|part| !part.is_empty()).unwrap_or("run")
    });
    let stamp = stamp(now());
    for number in 1.. {
        let again = if number == 1 { String::new() } else { format!("-{number}") };
        let path = directory.join(format!("{name}-{stamp}{again}.wkr"));
        match file.persist_noclobber(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => file = error.file,
            Err(error) => return Err(error.error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

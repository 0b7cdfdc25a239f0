//! A recording that is opened to be replayed: with its guest's files at hand.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use wkdb_debugger::inferior::{Milestone, Moment, RecordedRun};
use wkdb_tracer::recording::{
    Ending, Entry, FileRole, GuestFile, Header, Intervention, OpenError, Position, ReadError, Recording,
};

use super::recorder::SourceFile;
use super::{MachineRecord, role_name};
use crate::demo::{self, linux::LinuxFiles};
use crate::machine::{JournalConfig, MachineConfig, SEMANTICS};

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something in it cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It was made by a machine that behaves otherwise.
    #[error(
        "it was recorded by wkdb {wkdb}, whose machine has version {theirs}; this one has version {SEMANTICS} and would \
         make another run of it: replay it with wkdb {wkdb}"
    )]
    Semantics {
        /// The version of the program.
        wkdb: String,
        /// The version of its machine.
        theirs: u32,
    },
    /// Its configuration makes no sense.
    #[error("its configuration makes no sense: {0}")]
    Config(String),
    /// No kernel.
    #[error("it names no kernel")]
    NoKernel,
    /// A file of the guest's is neither in it nor found.
    #[error(
        "the {what} is not in the recording, and {}; name it with --{what} FILE: it was called {name} and its BLAKE3 is \
         {hash}", tried.as_ref().map_or("no file of that name is here".to_owned(), |path| format!("{} is another", path.display()))
    )]
    NotFound {
        /// What it is.
        what: &'static str,
        /// A file that was looked at.
        tried: Option<PathBuf>,
        /// What it was called.
        name: String,
        /// Its hash.
        hash: String,
    },
    /// A file in it is not what it should be.
    #[error("the {what} in the recording is not the one that was recorded: its BLAKE3 is {is} and should be {hash}")]
    Hash {
        /// What it is.
        what: &'static str,
        /// What it is.
        is: String,
        /// What it should be.
        hash: String,
    },
    /// No room for the guest's files.
    #[error("cannot unpack the guest's files: {0}")]
    Unpack(io::Error),
}

/// A recording and its guest.
pub struct Replayable {
    path: PathBuf,
    header: Header,
    ending: Ending,
    machine: MachineRecord,
    kernel: PathBuf,
    initrd: Option<PathBuf>,
    /// A debugger changed it in the middle of slices: only code for debugging can be stopped there.
    changed_in_slices: bool,
    /// Files that were in the recording.
    _unpacked: TempDir,
    _bundled: Option<LinuxFiles>,
}

/// Files that the person names in place of what is not in the recording.
#[derive(Debug, Clone, Default)]
pub struct Named {
    /// The kernel.
    pub kernel: Option<PathBuf>,
    /// The initramfs.
    pub initramfs: Option<PathBuf>,
}

/// Looks for files of the guest's.
struct Finder<'a> {
    recording: Recording<BufReader<File>>,
    path: &'a Path,
    named: &'a Named,
    unpacked: TempDir,
    bundled: Option<LinuxFiles>,
}

impl Replayable {
    /// Opens a recording and finds the files of its guest: in it, or by their hashes among those named, in the present
    /// directory, in the recording's, and bundled with the program.
    ///
    /// # Errors
    ///
    /// Where it cannot be replayed here.
    pub fn open(path: &Path, named: &Named) -> Result<Self, ReplayError> {
        let mut recording = Recording::open(BufReader::new(File::open(path).map_err(OpenError::Io)?))?;
        let at_instruction =
            |entry: &Entry| matches!(entry, Entry::Intervention(Intervention::InSlice { at: Some(_), .. }));
        let changed_in_slices = recording.entries().map_while(Result::ok).any(|(_, entry)| at_instruction(&entry));
        let (header, ending) = (recording.header().clone(), recording.ending().clone());
        if header.semantics != SEMANTICS {
            return Err(ReplayError::Semantics { wkdb: header.wkdb, theirs: header.semantics });
        }
        let machine: MachineRecord =
            serde_json::from_value(header.machine.clone()).map_err(|error| ReplayError::Config(error.to_string()))?;
        let unpacked = tempfile::Builder::new().prefix("wkdb-replay-").tempdir().map_err(ReplayError::Unpack)?;
        let mut finder = Finder { recording, path, named, unpacked, bundled: None };
        let kernel = finder.find(&header, FileRole::Kernel)?.ok_or(ReplayError::NoKernel)?;
        let initrd = finder.find(&header, FileRole::Initramfs)?;
        let path = path.to_owned();
        let Finder { unpacked, bundled, .. } = finder;
        Ok(Replayable {
            path,
            header,
            ending,
            machine,
            kernel,
            initrd,
            changed_in_slices,
            _unpacked: unpacked,
            _bundled: bundled,
        })
    }

    /// What was run.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the recording ends.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// The kernel's file.
    pub fn kernel(&self) -> &Path {
        &self.kernel
    }

    /// The configuration of a machine that makes the same run. Its files are there for as long as this lives.
    ///
    /// # Errors
    ///
    /// Where a condition cannot be read.
    pub fn config(&self) -> Result<MachineConfig, ReplayError> {
        let config = self.machine.config(self.kernel.clone(), self.initrd.clone());
        let mut config = config.map_err(ReplayError::Config)?;
        config.journal = Some(JournalConfig::replay(&self.path));
        config.engine.debug |= self.changed_in_slices;
        Ok(config)
    }

    /// The guest's files, for another recording of it.
    ///
    /// # Errors
    ///
    /// Where one cannot be read any more.
    pub fn source_files(&self) -> io::Result<Vec<SourceFile>> {
        let file = |file: &GuestFile| {
            let path = match file.role {
                FileRole::Kernel => Some(&self.kernel),
                FileRole::Initramfs => self.initrd.as_ref(),
            };
            let read = |path| {
                let bytes = std::fs::read(path)?.into();
                Ok(SourceFile { role: file.role, name: file.name.clone(), bytes })
            };
            path.map(read)
        };
        self.header.files.iter().filter_map(file).collect()
    }

    /// What a debugger is told of it beforehand. Reads all of it.
    ///
    /// # Errors
    ///
    /// Where the file cannot be opened any more. What is damaged in it is left out.
    pub fn recorded_run(&self) -> Result<RecordedRun, OpenError> {
        let mut recording = self.recording()?;
        let mut events = Vec::new();
        let mut last = Position::default();
        for (position, entry) in recording.entries().map_while(Result::ok) {
            last = position;
            if let Entry::Event(event) = entry {
                let context = event.context();
                let at = context.map_or(Moment { tick: position.tick, time: position.time }, |context| Moment {
                    tick: context.tick,
                    time: context.time,
                });
                events.push(Milestone { at, event: *event });
            }
        }
        let (end, outcome) = match &self.ending {
            Ending::Complete(end) => {
                (Moment { tick: end.totals.ticks, time: end.totals.time }, Some(end.outcome.clone()))
            }
            Ending::Cut { .. } | Ending::Damaged { .. } => (Moment { tick: last.tick, time: last.time }, None),
        };
        Ok(RecordedRun { name: self.path.display().to_string(), end, outcome, events })
    }

    /// All entries, from the beginning, by a reader of their own.
    ///
    /// # Errors
    ///
    /// Where the file cannot be opened any more.
    pub fn recording(&self) -> Result<Recording<BufReader<File>>, OpenError> {
        Recording::open(BufReader::new(File::open(&self.path)?))
    }
}

impl Finder<'_> {
    fn find(&mut self, header: &Header, role: FileRole) -> Result<Option<PathBuf>, ReplayError> {
        let Some((number, file)) = header.files.iter().enumerate().find(|(_, file)| file.role == role) else {
            return Ok(None);
        };
        let named = match role {
            FileRole::Kernel => &self.named.kernel,
            FileRole::Initramfs => &self.named.initramfs,
        };
        match named {
            Some(path) => self.look_at(path, file).map(Some),
            None if file.embedded => self.unpack(number, file).map(Some),
            None => self.look_around(file).map(Some),
        }
    }

    fn unpack(&mut self, number: usize, file: &GuestFile) -> Result<PathBuf, ReplayError> {
        let what = role_name(file.role);
        let path = self.unpacked.path().join(what);
        let out = File::create(&path).map_err(ReplayError::Unpack)?;
        let mut out = Hashing { out: BufWriter::new(out), hash: blake3::Hasher::new() };
        self.recording.file(number, &mut out)?;
        out.flush().map_err(ReplayError::Unpack)?;
        let is = out.hash.finalize().to_hex().to_string();
        match is == file.hash {
            true => Ok(path),
            false => Err(ReplayError::Hash { what, is, hash: file.hash.clone() }),
        }
    }

    fn not_found(file: &GuestFile, tried: Option<PathBuf>) -> ReplayError {
        let (name, hash) = (file.name.clone(), file.hash.clone());
        ReplayError::NotFound { what: role_name(file.role), tried, name, hash }
    }

    fn look_at(&self, path: &Path, file: &GuestFile) -> Result<PathBuf, ReplayError> {
        match std::fs::read(path).is_ok_and(|bytes| super::file_hash(&bytes) == file.hash) {
            true => Ok(path.to_owned()),
            false => Err(Self::not_found(file, Some(path.to_owned()))),
        }
    }

    fn look_around(&mut self, file: &GuestFile) -> Result<PathBuf, ReplayError> {
        // The name is a file's, whatever the recording says.
        let name = Path::new(&file.name).file_name().unwrap_or_default();
        let beside = self.path.parent().unwrap_or(Path::new(""));
        let mut tried = None;
        for path in [PathBuf::from(name), beside.join(name)] {
            if path.is_file() {
                match self.look_at(&path, file) {
                    Ok(path) => return Ok(path),
                    Err(_) => tried = Some(path),
                }
            }
        }
        for bytes in [demo::KERNEL_7_0, demo::KERNEL_6_4, demo::INITRAMFS] {
            if bytes.len() as u64 == file.len && super::file_hash(bytes) == file.hash {
                let path = self.unpacked.path().join(role_name(file.role));
                std::fs::write(&path, bytes).map_err(ReplayError::Unpack)?;
                return Ok(path);
            }
        }
        let linux = match self.bundled.take() {
            Some(linux) => linux,
            None => LinuxFiles::write(None).map_err(ReplayError::Unpack)?,
        };
        let linux = self.bundled.insert(linux);
        let path = if file.role == FileRole::Kernel { linux.kernel() } else { linux.initramfs() };
        self.look_at(&path, file).map_err(|_| Self::not_found(file, tried))
    }
}

struct Hashing<W> {
    out: W,
    hash: blake3::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

//! Recording a run that the command line asks for: `--record`, or what a run that ends badly leaves.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wkdb_tracer::recording::FileRole;
use wkdb_tracer::{Outcome, Totals};

use super::run::Guest;
use crate::code_cache::CodeStore;
use crate::machine::{JournalConfig, MachineConfig};
use crate::process::MachineProcess;
use crate::process::protocol::FromMachine;
use crate::recording::recorder::{SaveError, Source, SourceFile, is_bad};
use crate::recording::{RunRecorder, Target};
use crate::session::Tapped;

/// The environment variable that names the directory in which runs that end badly leave their recordings.
pub(super) const DIR_VARIABLE: &str = "WKDB_RECORD_DIR";

/// Options of a run about its recording.
#[derive(Clone, clap::Args)]
pub(super) struct RecordOptions {
    /// Record the run in this file, for `wkdb replay`.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Leave the guest's files out of the recording: it has their hashes, and a replay needs the files.
    #[arg(long)]
    no_embed: bool,
    /// Where a run that ends badly leaves its recording. Default: $WKDB_RECORD_DIR, or the present directory; nowhere
    /// if that variable is empty.
    #[arg(long, value_name = "DIR", conflicts_with = "record")]
    record_dir: Option<PathBuf>,
    /// Do not leave a recording when the run ends badly.
    #[arg(long, conflicts_with_all = ["record", "record_dir"])]
    no_record: bool,
}

impl RecordOptions {
    /// The files that a run is made from.
    pub(super) fn files(&self, guest: &Guest, kernel: &Arc<[u8]>, initrd: Option<Vec<u8>>) -> Vec<SourceFile> {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files = vec![SourceFile { role: FileRole::Kernel, name: name(&guest.kernel), bytes: kernel.clone() }];
        if let Some((path, bytes)) = guest.initrd.as_deref().zip(initrd) {
            files.push(SourceFile { role: FileRole::Initramfs, name: name(path), bytes: bytes.into() });
        }
        files
    }

    /// Where a run that ends badly leaves its recording, if anywhere.
    fn directory(&self) -> Option<PathBuf> {
        let set = || std::env::var_os(DIR_VARIABLE).map(PathBuf::from);
        let directory = self.record_dir.clone().or_else(set).unwrap_or_else(|| ".".into());
        (!self.no_record && !directory.as_os_str().is_empty()).then_some(directory)
    }

    /// The file that was asked for.
    pub(super) fn file(&self) -> Option<&Path> {
        self.record.as_deref()
    }

    /// Begins to record, and has the machine tell what a recording needs.
    pub(super) fn start(
        &self,
        files: Vec<SourceFile>,
        config: &mut MachineConfig,
        store: &CodeStore,
    ) -> Result<Recording, SaveError> {
        let target = match &self.record {
            Some(path) => Target::File(path.clone()),
            None => match self.directory() {
                Some(directory) => Target::IfBad(directory),
                None => return Ok(Recording::none()),
            },
        };
        config.journal = Some(JournalConfig::record());
        let source = Source { files, embed: !self.no_embed, store: Some(store.clone()) };
        let recorder = RunRecorder::start(target, source, config)?;
        Ok(Recording { recorder: Some(recorder), asked_for: self.record.is_some(), gone: false, never_ran: false })
    }
}

/// The recording of a run, if it is recorded.
pub(super) struct Recording {
    recorder: Option<RunRecorder>,
    /// It goes to a file that was named.
    asked_for: bool,
    /// The machine process came to a bad end.
    gone: bool,
    /// There was never a machine.
    never_ran: bool,
}

impl Recording {
    /// Nothing is recorded.
    pub(super) fn none() -> Self {
        Recording { recorder: None, asked_for: false, gone: false, never_ran: false }
    }

    /// The machine said this.
    fn hear(&mut self, message: &FromMachine) {
        self.never_ran |= matches!(message, FromMachine::Failed(_));
        if let Some(recorder) = &mut self.recorder {
            recorder.hear(message);
        }
    }

    /// The machine process is gone, and nobody knows why.
    fn machine_is_gone(&mut self) {
        self.gone = !self.never_ran;
    }

    /// What went wrong with the recording, in words; once. The run goes on.
    fn problem(&mut self) -> Option<String> {
        Some(format!("wkdb: {}. The run goes on.", self.recorder.as_mut()?.problem()?))
    }

    /// The run has ended. Gives what to say of its recording.
    fn finish(&mut self, ended: Option<(&Outcome, &Totals)>) -> Option<String> {
        let recorder = self.recorder.take()?;
        if ended.is_none() && !self.gone && !self.asked_for {
            // It failed for a reason of ours that a replay would not show.
            return None;
        }
        let bad = ended.is_none_or(|(outcome, _)| is_bad(outcome)) || recorder.has_findings();
        match recorder.finish(ended) {
            Ok(Some(path)) if bad => {
                Some(format!("wkdb: the run is recorded; to see it again: wkdb replay {}", quoted(&path)))
            }
            Ok(_) => None,
            Err(error) => Some(format!("wkdb: {error}")),
        }
    }
}

/// A recording that hears what the machine says, while others look after it.
#[derive(Clone)]
pub(super) struct SharedRecording(Arc<Mutex<Recording>>);

impl SharedRecording {
    pub(super) fn new(recording: Recording) -> Self {
        SharedRecording(Arc::new(Mutex::new(recording)))
    }

    fn lock(&self) -> MutexGuard<'_, Recording> {
        // Who panicked while it held the lock has not left a recording half changed: each call is one entry.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A way to a machine whose every word is recorded.
    pub(super) fn listen(&self, process: MachineProcess) -> Tapped {
        let tap = self.clone();
        Tapped::new(process, move |message| tap.lock().hear(message))
    }

    /// See [`Recording::machine_is_gone`].
    pub(super) fn machine_is_gone(&self) {
        self.lock().machine_is_gone();
    }

    /// See [`Recording::problem`].
    pub(super) fn problem(&self) -> Option<String> {
        self.lock().problem()
    }

    /// See [`Recording::finish`].
    pub(super) fn finish(&self, ended: Option<(&Outcome, &Totals)>) -> Option<String> {
        self.lock().finish(ended)
    }
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let path = path.strip_prefix(".").unwrap_or(path).to_string_lossy();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if path.chars().all(plain) && !path.starts_with('-') {
        path.into_owned()
    } else {
        format!("'{}'", path.replace('\'', "'\\''"))
    }
}

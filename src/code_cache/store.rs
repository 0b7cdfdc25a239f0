//! A directory of compiled code, of limited size, shared by all processes of one user.
//!
//! The files hold native code that will be run, so the directory must be the user's own and closed to others. There is
//! no index and no daemon: a file is complete because it was renamed into place, recently used because its modification
//! time is recent, and left over from a killed process because nobody holds its lock.
//!
//! A store that cannot be used must not prevent a run: every error is returned for the caller to go on without it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy;
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use super::{Artifact, CodeKey};
use crate::units::{self, UnitError};

/// The environment variable that names another directory.
pub const DIR_VARIABLE: &str = "WKDB_CACHE_DIR";
/// The environment variable that sets another limit, as a size: `500MiB`.
pub const LIMIT_VARIABLE: &str = "WKDB_CACHE_LIMIT";
/// How large the store may grow, in bytes, if nobody says otherwise: 2 GiB.
pub const DEFAULT_LIMIT: u64 = 2 << 30;

/// What was used more recently than this stays whatever the limit: somebody may be about to open it.
const IN_USE: Duration = Duration::from_secs(60);
/// How the names of files that are being written begin.
const TEMPORARY: &str = ".new-";
/// Hexadecimal digits of a key.
const KEY_DIGITS: usize = 64;

/// Why the store cannot be used.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Nobody says where caches are.
    #[error("there is no cache directory, because the home directory is unknown; set {DIR_VARIABLE} to a directory")]
    NoHome,
    /// Others could put their code in there.
    #[error("the cache directory {} is not used: {reason}; {advice}", path.display())]
    Untrusted {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do about it.
        advice: String,
    },
    /// The limit cannot be read.
    #[error("{LIMIT_VARIABLE}: {0}")]
    Limit(#[from] UnitError),
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

/// A directory of compiled code.
#[derive(Debug, Clone)]
pub struct CodeStore {
    directory: PathBuf,
    limit: u64,
}

impl CodeStore {
    /// The user's store: in `WKDB_CACHE_DIR`, or in `wkdb/code` in the user's cache directory by the XDG rules; with
    /// the limit in `WKDB_CACHE_LIMIT`, or 2 GiB.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if there is no such directory and it cannot be made, if it is not to be trusted, or if the limit
    /// cannot be read.
    pub fn open() -> Result<CodeStore, StoreError> {
        let (directory, limit) = settings(|name| std::env::var_os(name))?;
        CodeStore::open_at(directory, limit)
    }

    /// The store in a directory, which is made if it is not there, with a limit in bytes.
    ///
    /// # Errors
    ///
    /// As [`CodeStore::open`].
    pub fn open_at(directory: impl Into<PathBuf>, limit: u64) -> Result<CodeStore, StoreError> {
        let directory = directory.into();
        if let Err(error) = fs::metadata(&directory) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(io_error("use the cache directory", &directory)(error));
            }
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .map_err(io_error("make the cache directory", &directory))?;
        }
        check_trust(&directory)?;
        Ok(CodeStore { directory, limit })
    }

    /// How large it may grow, in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file for a key, if there is one; it then counts as just used. Another process may still remove it before it
    /// is opened: take that as if it had not been there.
    pub fn get(&self, key: &CodeKey, artifact: Artifact) -> Option<PathBuf> {
        let path = self.path(key, artifact);
        let is_ours = |metadata: &fs::Metadata| metadata.is_file() && metadata.uid() == user();
        fs::symlink_metadata(&path).ok().filter(is_ours)?;
        if let Ok(file) = File::open(&path) {
            // A read-only store stays in the order in which it was filled.
            let _ = file.set_modified(SystemTime::now());
        }
        Some(path)
    }

    /// Keeps these bytes for a key, in place of what it had, and removes what was not used for longest until the store
    /// is within its limit again. The file just written and files in use stay even if they alone are beyond it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if it cannot be written. Nothing of the key's is changed then.
    pub fn put(&self, key: &CodeKey, artifact: Artifact, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let path = self.path(key, artifact);
        self.write(&path, bytes).map_err(io_error("write to the code cache", &path))?;
        self.tidy(SystemTime::now());
        Ok(path)
    }

    /// Removes a file that turned out to be of no use. One that is not there is no error.
    ///
    /// # Errors
    ///
    /// [`StoreError::Io`] if it is there and stays.
    pub fn remove(&self, key: &CodeKey, artifact: Artifact) -> Result<(), StoreError> {
        let path = self.path(key, artifact);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove from the code cache", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn path(&self, key: &CodeKey, artifact: Artifact) -> PathBuf {
        self.directory.join(format!("{key}.{}", artifact.extension()))
    }

    /// Writes a file so that it is there as a whole or not at all, also after a crash of the machine.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&self.directory)?;
        // Says that its writer lives; without locks it is taken for abandoned after a minute, and the rename fails.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        // The rename itself is durable only once the directory is; a cache can do without.
        let _ = File::open(&self.directory).and_then(|directory| directory.sync_all());
        Ok(())
    }

    /// Removes what killed processes left and, if the store is beyond its limit, what was not used for longest. What
    /// cannot be read or removed is left alone: other processes are doing the same.
    pub(super) fn tidy(&self, now: SystemTime) {
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let Ok(metadata) = file.metadata() else { continue };
            let Ok(used) = metadata.modified() else { continue };
            let name = file.file_name();
            if is_entry(&name) && metadata.is_file() {
                entries.push((used, metadata.len(), file.path()));
            } else if name.to_string_lossy().starts_with(TEMPORARY)
                && !is_recent(used, now)
                && is_abandoned(&file.path())
            {
                let _ = fs::remove_file(file.path());
            }
        }
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        entries.sort();
        for (_, size, path) in entries {
            if total <= self.limit {
                return;
            }
            // Looked at again: another process may have used it since.
            let used = fs::metadata(&path).and_then(|metadata| metadata.modified());
            if used.is_ok_and(|used| !is_recent(used, now)) && fs::remove_file(&path).is_ok() {
                total = total.saturating_sub(size);
            }
        }
    }
}

/// Where the store is and how large it may grow, by the environment.
pub(super) fn settings(variable: impl Fn(&str) -> Option<OsString>) -> Result<(PathBuf, u64), StoreError> {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let directory = match set(DIR_VARIABLE) {
        Some(directory) => PathBuf::from(directory),
        None => etcetera::choose_base_strategy().map_err(|_| StoreError::NoHome)?.cache_dir().join("wkdb").join("code"),
    };
    let limit = match set(LIMIT_VARIABLE) {
        Some(limit) => units::parse_size(&limit.to_string_lossy())?,
        None => DEFAULT_LIMIT,
    };
    Ok((directory, limit))
}

fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Refuses a directory into which others could put code for us to run.
fn check_trust(directory: &Path) -> Result<(), StoreError> {
    let metadata = fs::metadata(directory).map_err(io_error("use the cache directory", directory))?;
    let refuse = |reason: &str, advice: String| {
        Err(StoreError::Untrusted { path: directory.to_owned(), reason: reason.into(), advice })
    };
    let elsewhere = || format!("set {DIR_VARIABLE} to another directory");
    if !metadata.is_dir() {
        return refuse("it is not a directory", elsewhere());
    }
    if metadata.uid() != user() {
        return refuse("it belongs to another user", elsewhere());
    }
    if metadata.mode() & 0o022 != 0 {
        return refuse("other users can write to it", format!("run: chmod go-w {}", directory.display()));
    }
    Ok(())
}

fn is_entry(name: &std::ffi::OsStr) -> bool {
    let Some((key, extension)) = name.to_str().and_then(|name| name.split_once('.')) else { return false };
    key.len() == KEY_DIGITS
        && key.bytes().all(|byte| byte.is_ascii_hexdigit())
        && Artifact::ALL.iter().any(|artifact| artifact.extension() == extension)
}

/// A time in the future is as good as one in the past: clocks are set.
fn is_recent(used: SystemTime, now: SystemTime) -> bool {
    let apart = now.duration_since(used).unwrap_or_else(|error| error.duration());
    apart < IN_USE
}

/// Whether nobody is writing this file any more.
fn is_abandoned(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

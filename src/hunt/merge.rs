//! Joins the results of several hunts into one: of parts on several machines, say.

use std::fs;
use std::path::{Path, PathBuf};

use super::results::{FILE, Results, ResultsError};

/// Reads the results in these files, or directories of hunts. A seed that is in several of them counts once.
///
/// # Errors
///
/// Where one cannot be read, or they are not results of the same runs.
pub fn merge(paths: &[PathBuf]) -> Result<Results, ResultsError> {
    let mut results = None;
    for path in paths {
        let path = file_of(path);
        let error = |error| ResultsError::Io { action: "read", path: path.clone(), error };
        let bytes = fs::read(&path).map_err(error)?;
        let (joined, whole) = Results::read(results, &bytes, &path)?;
        if whole == 0 {
            return Err(ResultsError::Empty { path });
        }
        results = joined;
    }
    let nothing = || ResultsError::Empty { path: paths.first().cloned().unwrap_or_default() };
    results.ok_or_else(nothing)
}

/// The directory in which the recordings of these results lie.
pub fn directory_of(path: &Path) -> PathBuf {
    let file = file_of(path);
    file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn file_of(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(FILE) } else { path.to_owned() }
}

//! The debug information of stripped modules: found in a directory by content.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;
use wasmparser::{Parser, Payload};

use super::Symbols;

/// How deep directories are searched.
const MAX_DEPTH: usize = 8;
/// The most files of a directory that are looked at.
const MAX_FILES: usize = 20_000;
/// Files larger than this are no modules of a guest.
const MAX_SIZE: u64 = 1 << 30;

/// Why a directory has no symbols to offer.
#[derive(Debug, Error)]
pub enum SymbolFilesError {
    /// It cannot be read.
    #[error("--symbols {path}: {source}", path = path.display())]
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Modules with debug information, by the contents of their code sections.
#[derive(Debug, Default)]
pub struct SymbolFiles {
    files: Vec<(PathBuf, Code)>,
}

/// What is compared of a code section before its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Code {
    len: usize,
    hash: u64,
}

impl SymbolFiles {
    /// Looks for modules in a directory and those below it, or takes a single file. What is no module is passed over.
    ///
    /// # Errors
    /// `path` cannot be read.
    pub fn open(path: &Path) -> Result<SymbolFiles, SymbolFilesError> {
        let unreadable = |source| SymbolFilesError::Unreadable { path: path.to_owned(), source };
        let mut found = SymbolFiles::default();
        if fs::metadata(path).map_err(unreadable)?.is_dir() {
            fs::read_dir(path).map_err(unreadable)?;
            let mut files = Vec::new();
            collect(path, 0, &mut files);
            // The same file for the same directory, whatever order the system lists it in.
            files.sort();
            files.into_iter().for_each(|file| found.add(file));
        } else {
            found.add(path.to_owned());
        }
        Ok(found)
    }

    fn add(&mut self, path: PathBuf) {
        let small = fs::metadata(&path).is_ok_and(|file| file.len() <= MAX_SIZE);
        if let Some(code) = small.then(|| fs::read(&path).ok()).flatten().and_then(|bytes| code_of(&bytes).map(hashed))
        {
            self.files.push((path, code));
        }
    }

    /// How many modules there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The symbols for a module that the guest loaded: those of the first file with the same code and debug information.
    /// `None` if there is none better than the module itself.
    pub fn symbols_for(&self, module: &[u8]) -> Option<(PathBuf, Symbols)> {
        self.candidates(module).map(|(path, _, symbols)| (path, symbols)).next()
    }

    /// The module itself that [`SymbolFiles::symbols_for`] takes the symbols from.
    pub fn module_for(&self, module: &[u8]) -> Option<(PathBuf, Arc<[u8]>)> {
        self.candidates(module).map(|(path, bytes, _)| (path, bytes)).next()
    }

    /// Modules with the same code and debug information.
    fn candidates<'s>(&'s self, module: &'s [u8]) -> impl Iterator<Item = (PathBuf, Arc<[u8]>, Symbols)> + 's {
        let code = code_of(module);
        let wanted = code.map(hashed);
        let candidates = self.files.iter().filter(move |(_, known)| Some(*known) == wanted);
        let loaded = candidates.filter_map(move |(path, _)| {
            let bytes: Arc<[u8]> = fs::read(path).ok()?.into();
            // The file may have changed since; and a hash may be that of another.
            (code_of(&bytes)? == code?).then_some(())?;
            let symbols = Symbols::load(Arc::clone(&bytes)).ok()?;
            Some((path.clone(), bytes, symbols))
        });
        loaded.filter(|(_, _, symbols)| symbols.has_dwarf())
    }
}

fn collect(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if files.len() >= MAX_FILES {
            return;
        }
        let Ok(kind) = entry.file_type() else { continue };
        // Links to directories may lead round in circles.
        if kind.is_dir() && depth < MAX_DEPTH {
            collect(&entry.path(), depth + 1, files);
        } else if !kind.is_dir() && entry.path().is_file() {
            files.push(entry.path());
        }
    }
}

/// The contents of a module's code section.
fn code_of(module: &[u8]) -> Option<&[u8]> {
    if !module.starts_with(b"\0asm") {
        return None;
    }
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::CodeSectionStart { range, .. } = payload.ok()? {
            return module.get(range);
        }
    }
    None
}

/// FNV-1a: only to pass over what is not equal.
fn hashed(code: &[u8]) -> Code {
    let hash = code
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    Code { len: code.len(), hash }
}

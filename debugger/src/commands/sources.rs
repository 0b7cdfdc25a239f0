//! Source files: where they are looked for, and their lines.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use crate::symbols::SourcePosition;

/// A file of sources that come with the program.
pub type BundledFile = (&'static str, &'static str);

/// A file by the directory that the compiler ran in, and its name.
type Name = (Option<String>, String);

/// Where source files are looked for.
#[derive(Debug, Default)]
pub(super) struct Sources {
    directories: Vec<PathBuf>,
    bundled: &'static [BundledFile],
    /// What was found, and what was not.
    read: HashMap<Name, Option<Rc<Vec<String>>>>,
}

/// Longer than any source file.
const MOST: u64 = 16 << 20;

impl Sources {
    pub(super) fn new(directories: Vec<PathBuf>, bundled: &'static [BundledFile]) -> Self {
        Sources { directories, bundled, read: HashMap::new() }
    }

    pub(super) fn add_directory(&mut self, directory: PathBuf) {
        self.read.clear();
        self.directories.insert(0, directory);
    }

    /// The places, in the order in which they are looked in.
    pub(super) fn places(&self) -> Vec<String> {
        let mut places: Vec<String> = self.directories.iter().map(|path| path.display().to_string()).collect();
        if !self.bundled.is_empty() {
            places.push(format!("{} files that come with wkdb", self.bundled.len()));
        }
        places.push("where the compiler ran".to_owned());
        places
    }

    /// The lines of a file; none where it is nowhere.
    pub(super) fn lines(&mut self, position: &SourcePosition) -> Option<Rc<Vec<String>>> {
        let key = (position.directory.clone(), position.file.clone());
        if let Some(known) = self.read.get(&key) {
            return known.clone();
        }
        let text = self.find(position.directory.as_deref(), &position.file);
        let lines = text.map(|text| Rc::new(text.lines().map(str::to_owned).collect::<Vec<_>>()));
        self.read.insert(key, lines.clone());
        lines
    }

    /// One line.
    pub(super) fn line(&mut self, position: &SourcePosition) -> Option<String> {
        let line = usize::try_from(position.line?).ok()?;
        self.lines(position)?.get(line.checked_sub(1)?).cloned()
    }

    fn find(&self, compiled_in: Option<&str>, file: &str) -> Option<String> {
        let path = Path::new(file);
        // As it is named below a directory given; then by its last parts, the longest first.
        let parts: Vec<_> = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        for directory in &self.directories {
            for from in 0..parts.len() {
                let below: PathBuf = parts[from..].iter().collect();
                if let Some(text) = read(&directory.join(below)) {
                    return Some(text);
                }
            }
        }
        let is_it = |(name, _): &&BundledFile| path.ends_with(name) || Path::new(name).ends_with(path);
        if let Some((_, text)) = self.bundled.iter().find(is_it) {
            return Some((*text).to_owned());
        }
        let compiled_in = compiled_in.map(Path::new).filter(|directory| directory.is_absolute());
        compiled_in
            .map(|directory| directory.join(path))
            .or_else(|| path.is_absolute().then(|| path.to_owned()))
            .and_then(|path| read(&path))
    }
}

fn read(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.is_file() || metadata.len() > MOST {
        return None;
    }
    Some(String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned())
}

//! The guest's modules and their symbols, read when they are first asked for.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use wkdb_tracer::{CodeAddress, ModuleId};

use crate::explain::SymbolSource;
use crate::inferior::Inferior;
use crate::symbols::{Location, SymbolFiles, Symbols};

/// The symbols of the guest's modules.
pub(super) struct Modules {
    loaded: BTreeMap<ModuleId, Entry>,
    /// Where modules with symbols are looked for, by their code.
    directories: Vec<PathBuf>,
    /// What they hold, once it was needed.
    files: Vec<SymbolFiles>,
    /// Why some could not be read.
    file_problems: Vec<String>,
}

/// What is known of a module.
enum Entry {
    Symbols(Rc<Symbols>),
    /// Why there are none.
    Unreadable(String),
}

impl SymbolSource for Modules {
    fn symbols(&mut self, inferior: &mut dyn Inferior, module: ModuleId) -> Option<Rc<Symbols>> {
        Modules::symbols(self, inferior, module)
    }
}

impl Modules {
    pub(super) fn new(directories: Vec<PathBuf>) -> Self {
        Modules { loaded: BTreeMap::new(), directories, files: Vec::new(), file_problems: Vec::new() }
    }

    /// A module's symbols; none where it has none that can be read, or is not there.
    pub(super) fn symbols(&mut self, inferior: &mut dyn Inferior, module: ModuleId) -> Option<Rc<Symbols>> {
        if !self.loaded.contains_key(&module) {
            let bytes = inferior.module(module).ok()?;
            let entry = match Symbols::load(Arc::clone(&bytes)) {
                Ok(symbols) if symbols.has_dwarf() => Entry::Symbols(Rc::new(symbols)),
                Ok(symbols) => Entry::Symbols(Rc::new(self.found_in_files(&bytes).unwrap_or(symbols))),
                Err(error) => Entry::Unreadable(error.to_string()),
            };
            self.loaded.insert(module, entry);
        }
        match self.loaded.get(&module)? {
            Entry::Symbols(symbols) => Some(symbols.clone()),
            Entry::Unreadable(_) => None,
        }
    }

    /// The symbols of a file with the same code.
    fn found_in_files(&mut self, module: &[u8]) -> Option<Symbols> {
        for directory in std::mem::take(&mut self.directories) {
            match SymbolFiles::open(&directory) {
                Ok(files) => self.files.push(files),
                Err(error) => self.file_problems.push(error.to_string()),
            }
        }
        self.files.iter().find_map(|files| files.symbols_for(module)).map(|(_, symbols)| symbols)
    }

    /// All modules with their symbols.
    pub(super) fn all(&mut self, inferior: &mut dyn Inferior) -> Vec<(ModuleId, Rc<Symbols>)> {
        let count = inferior.module_count().unwrap_or(0);
        (0..count).map(ModuleId).filter_map(|id| Some((id, self.symbols(inferior, id)?))).collect()
    }

    /// What could not be read of a module's symbols.
    pub(super) fn problems(&self, module: ModuleId) -> Vec<String> {
        let mut problems = match self.loaded.get(&module) {
            Some(Entry::Symbols(symbols)) => symbols.problems(),
            Some(Entry::Unreadable(error)) => vec![error.clone()],
            None => Vec::new(),
        };
        problems.extend(self.file_problems.iter().cloned());
        problems
    }

    /// What is at an instruction.
    pub(super) fn locate(&mut self, inferior: &mut dyn Inferior, address: CodeAddress) -> Option<Location> {
        Some(self.symbols(inferior, address.module)?.locate(address.offset))
    }
}

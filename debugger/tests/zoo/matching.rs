use std::fs;

use wkdb_debugger::symbols::{SymbolFiles, SymbolFilesError};

use super::{O0, O2, STRIPPED};

/// A directory that is gone after the test.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("wkdb-symbols-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("deeper/still")).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn symbols_of_a_stripped_module_are_found_by_its_code() {
    let directory = Directory::new("match");
    // The stripped fixture was linked from the objects of the one with DWARF 4.
    fs::write(directory.0.join("a-stripped.wasm"), STRIPPED).unwrap();
    fs::write(directory.0.join("deeper/other.wasm"), O0).unwrap();
    fs::write(directory.0.join("deeper/still/whatever.debug"), super::DWARF_4).unwrap();
    fs::write(directory.0.join("notes.txt"), "no module").unwrap();
    fs::write(directory.0.join("cut.wasm"), &O2[..O2.len() / 4]).unwrap();
    let files = SymbolFiles::open(&directory.0).unwrap();
    let (path, symbols) = files.symbols_for(STRIPPED).unwrap();
    assert!(path.ends_with("deeper/still/whatever.debug"), "{path:?}");
    assert!(symbols.has_dwarf() && !symbols.line_places("zoo.c", 1).unwrap().is_empty());
    assert!(files.symbols_for(O2).is_some_and(|(path, _)| path.ends_with("whatever.debug")), "the same code");
    assert!(files.symbols_for(include_bytes!("../fixtures/symbols/workqueue-dwarf5.wasm")).is_none());
    assert!(files.symbols_for(b"garbage").is_none());
    let one = SymbolFiles::open(&directory.0.join("deeper/other.wasm")).unwrap();
    assert_eq!((one.len(), one.symbols_for(STRIPPED).is_none()), (1, true));
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    let error = SymbolFiles::open("/nowhere/at/all".as_ref()).unwrap_err();
    assert!(matches!(error, SymbolFilesError::Unreadable { .. }));
    assert!(error.to_string().starts_with("--symbols /nowhere/at/all: "), "{error}");
}

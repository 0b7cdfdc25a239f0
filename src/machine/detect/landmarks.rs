//! The landmarks of a kernel, kept beside its compiled code: working them out takes as long as reading all of its debug
//! information does.

use std::rc::Rc;

use wkdb_debugger::kernel::detect::{LANDMARKS_VERSION, Landmarks};
use wkdb_debugger::symbols::Symbols;

use crate::code_cache::{Artifact, CodeKey, CodeStore};

fn key(kernel: &[u8]) -> CodeKey {
    // The module is hashed in full, and quickly: nobody gains by two that have the same landmarks.
    let hash = xxhash_rust::xxh3::xxh3_128(kernel);
    let version = env!("CARGO_PKG_VERSION");
    CodeKey::of(&[b"landmarks", &hash.to_le_bytes(), &LANDMARKS_VERSION.to_le_bytes(), version.as_bytes()])
}

/// The landmarks of a kernel: those that are kept, or new ones, which are kept if that is possible. `None` where the module
/// says nothing of its structures.
pub(in crate::machine) fn find_or_make(kernel: &[u8], store: Option<&CodeStore>) -> Option<Landmarks> {
    let key = key(kernel);
    let kept = store.and_then(|store| store.get(&key, Artifact::Landmarks)).and_then(|path| std::fs::read(path).ok());
    // A file that is damaged is made anew.
    if let Some(marks) = kept.and_then(|bytes| postcard::from_bytes::<Option<Landmarks>>(&bytes).ok()) {
        return marks;
    }
    let symbols = Rc::new(Symbols::load(kernel.to_vec()).ok()?);
    let marks = symbols.has_dwarf().then(|| Landmarks::of(&symbols));
    if let (Some(store), Ok(bytes)) = (store, postcard::to_stdvec(&marks)) {
        // A store that cannot be written to is done without.
        let _ = store.put(&key, Artifact::Landmarks, &bytes);
    }
    marks
}

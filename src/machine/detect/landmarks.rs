//! The landmarks of a kernel, kept beside its compiled code: working them out takes as long as reading all of its debug
//! information does.

use wkdb_debugger::kernel::detect::{LANDMARKS_VERSION, Landmarks};
use wkdb_debugger::symbols::Symbols;

use crate::code_cache::{Artifact, CodeKey, CodeStore};

/// The landmarks of the kernel whose code has this key: those that are kept, or new ones, which are kept if that is possible.
/// Empty ones where the module says nothing of its structures.
pub(in crate::machine) fn find_or_make(key: &CodeKey, kernel: &[u8], store: Option<&CodeStore>) -> Landmarks {
    let kept = store.and_then(|store| store.get(key, Artifact::Landmarks)).and_then(|path| std::fs::read(path).ok());
    // A file that is damaged, or of another version, is made anew.
    if let Some((LANDMARKS_VERSION, marks)) =
        kept.and_then(|bytes| postcard::from_bytes::<(u32, Landmarks)>(&bytes).ok())
    {
        return marks;
    }
    let symbols = Symbols::load(kernel.to_vec()).ok().filter(Symbols::has_dwarf);
    let marks = symbols.map_or_else(Landmarks::default, |symbols| Landmarks::of(&symbols));
    if let (Some(store), Ok(bytes)) = (store, postcard::to_stdvec(&(LANDMARKS_VERSION, &marks))) {
        // A store that cannot be written to is done without.
        let _ = store.put(key, Artifact::Landmarks, &bytes);
    }
    marks
}

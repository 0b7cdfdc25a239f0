//! What guards have found out of a kernel that is the same in each of its runs, kept beside its compiled code: what its names
//! stand for, and which instructions are those of owners. Finding that out takes as long as reading all of its debug
//! information does.

use serde::{Deserialize, Serialize};
use wkdb_debugger::symbols::{NAME_ANSWERS_VERSION, NameAnswers};
use wkdb_tracer::ModuleId;

use super::super::executor::Machine;
use super::guard::Owners;
use crate::code_cache::Artifact;

/// Raised with every change of what is kept, or of who is an owner.
const VERSION: u32 = 2;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Remembered {
    names: NameAnswers,
    owners: Owners,
}

/// What was written of this version; none of anything else.
fn read(bytes: &[u8]) -> Option<Remembered> {
    let (versions, remembered) = postcard::from_bytes::<((u32, u32), Remembered)>(bytes).ok()?;
    (versions == (VERSION, NAME_ANSWERS_VERSION)).then_some(remembered)
}

impl Machine {
    /// Takes over what other runs found out, once.
    pub(super) fn remember_guarded(&mut self) {
        let images = self.shared.images.borrow();
        let mut core = self.shared.core.borrow_mut();
        let guards = &mut core.detection.guards;
        if std::mem::replace(&mut guards.remembers, true) {
            return;
        }
        let Some(remembered) = images.kept(Artifact::Guards).and_then(|bytes| read(&bytes)) else { return };
        if let Some(symbols) = images.get(ModuleId::KERNEL).and_then(|kernel| kernel.symbols()) {
            symbols.know(remembered.names);
        }
        guards.know_owners(&remembered.owners);
    }

    /// Keeps what was found out, if anything is new.
    pub(super) fn keep_guarded(&mut self) {
        let images = self.shared.images.borrow();
        let mut core = self.shared.core.borrow_mut();
        let Some(symbols) = images.get(ModuleId::KERNEL).and_then(|kernel| kernel.symbols()) else { return };
        let names = symbols.new_answers();
        let has_new_owners = std::mem::take(&mut core.detection.guards.has_new_owners);
        if names.is_none() && !has_new_owners {
            return;
        }
        let names = names.unwrap_or_else(|| symbols.answers());
        let remembered = Remembered { names, owners: core.detection.guards.owners() };
        if let Ok(bytes) = postcard::to_stdvec(&((VERSION, NAME_ANSWERS_VERSION), remembered)) {
            images.keep(Artifact::Guards, &bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_version_wrote_is_found_out_anew() {
        let owners = Owners::from([("struct a.b only c.c".to_owned(), [vec![7, 9]].into())]);
        let remembered = |versions: (u32, u32)| {
            let names = NameAnswers::default();
            postcard::to_stdvec(&(versions, Remembered { names, owners: owners.clone() })).unwrap()
        };
        let known = read(&remembered((VERSION, NAME_ANSWERS_VERSION))).unwrap();
        assert_eq!(known.owners, owners);
        assert!(read(&remembered((VERSION + 1, NAME_ANSWERS_VERSION))).is_none());
        assert!(read(&remembered((VERSION, NAME_ANSWERS_VERSION + 1))).is_none());
        assert!(read(&remembered((VERSION, NAME_ANSWERS_VERSION))[..5]).is_none());
    }
}

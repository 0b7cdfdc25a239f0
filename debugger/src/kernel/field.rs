//! Members of structures by the names that the source gives them.

use super::Kernel;
use crate::symbols::{BitRange, Composite, Symbols, TypeId, TypeKind};

/// How deep anonymous structures are nested in each other at most.
const MAX_NESTING: usize = 16;

/// A member, as seen from the structure that it is in, directly or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// Bytes from the structure's start.
    pub(super) offset: u64,
    pub(super) ty: TypeId,
    pub(super) bits: Option<BitRange>,
}

/// The member that a path names: `thread.user_sp`, `sched_timer.node.expires`. `None` if this kernel has none.
pub(super) fn find(symbols: &Symbols, ty: TypeId, path: &str) -> Option<Field> {
    let mut field = Field { offset: 0, ty, bits: None };
    for name in path.split('.') {
        let inner = member(symbols, field.ty, name, 0)?;
        field = Field { offset: field.offset + inner.offset, ..inner };
    }
    Some(field)
}

/// A member by its name, also one of an anonymous structure inside.
fn member(symbols: &Symbols, ty: TypeId, name: &str, depth: usize) -> Option<Field> {
    let (_, ty) = symbols.resolve(ty);
    let TypeKind::Composite(Composite { members, .. }) = &ty.kind else { return None };
    if depth > MAX_NESTING {
        return None;
    }
    members.iter().find_map(|outer| match &outer.name {
        Some(known) => (known == name).then_some(Field { offset: outer.offset, ty: outer.ty, bits: outer.bits }),
        None => {
            let inner = member(symbols, outer.ty, name, depth + 1)?;
            Some(Field { offset: outer.offset + inner.offset, ..inner })
        }
    })
}

impl Kernel<'_> {
    /// The member that a path names, found once. `None` if this kernel has none.
    pub(super) fn field(&self, ty: TypeId, path: &'static str) -> Option<Field> {
        let mut known = self.known.fields.borrow_mut();
        *known.entry((ty, path)).or_insert_with(|| find(&self.symbols, ty, path))
    }
}

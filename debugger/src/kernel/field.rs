//! Members of structures by the names that the source gives them.

use super::Kernel;
use crate::symbols::{BitRange, Composite, TypeId, TypeKind};

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

impl Kernel<'_> {
    /// The member that a path names: `thread.user_sp`, `sched_timer.node.expires`. `None` if this kernel has none.
    pub(super) fn field(&self, ty: TypeId, path: &'static str) -> Option<Field> {
        if let Some(known) = self.fields.borrow().get(&(ty, path)) {
            return *known;
        }
        let mut field = Some(Field { offset: 0, ty, bits: None });
        for name in path.split('.') {
            field = field.and_then(|outer| {
                let inner = self.member(outer.ty, name, 0)?;
                Some(Field { offset: outer.offset + inner.offset, ..inner })
            });
        }
        self.fields.borrow_mut().insert((ty, path), field);
        field
    }

    /// A member by its name, also one of an anonymous structure inside.
    fn member(&self, ty: TypeId, name: &str, depth: usize) -> Option<Field> {
        let (_, ty) = self.symbols.resolve(ty);
        let TypeKind::Composite(Composite { members, .. }) = &ty.kind else { return None };
        if depth > MAX_NESTING {
            return None;
        }
        members.iter().find_map(|member| match &member.name {
            Some(known) => (known == name).then_some(Field { offset: member.offset, ty: member.ty, bits: member.bits }),
            None => {
                let inner = self.member(member.ty, name, depth + 1)?;
                Some(Field { offset: member.offset + inner.offset, ..inner })
            }
        })
    }
}

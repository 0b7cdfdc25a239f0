//! A thing of some type at an address of the kernel's memory.

use super::Kernel;
use crate::symbols::{BitRange, Encoding, Type, TypeId, TypeKind};

/// How deep counters are wrapped: `refcount_t` is an `atomic_t` is an `int`.
const MAX_WRAPPING: usize = 4;

/// A structure, a member, an element, or a number of the kernel's. Nothing is read before it is asked for.
///
/// What a kernel does not have is `None`; so is what cannot be read, and that is a problem of the view as well.
#[derive(Clone, Copy)]
pub struct Object<'k, 'i> {
    kernel: &'k Kernel<'i>,
    address: u64,
    ty: TypeId,
    bits: Option<BitRange>,
}

impl<'k, 'i> Object<'k, 'i> {
    pub(super) fn new(kernel: &'k Kernel<'i>, address: u64, ty: TypeId) -> Self {
        Object { kernel, address, ty, bits: None }
    }

    /// What it is.
    pub(super) fn type_id(&self) -> TypeId {
        self.ty
    }

    /// Where it begins.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Whether it is of this very type.
    pub(super) fn is_of(&self, ty: &Type) -> bool {
        *self.kernel.symbols.resolve(self.ty).1 == *ty
    }

    /// Its size in bytes.
    pub fn size(&self) -> Option<u64> {
        self.kernel.symbols.size_of(self.ty)
    }

    /// The same thing some bytes further on, as addresses wrap.
    pub(super) fn moved(self, bytes: u64) -> Self {
        Object { address: self.address.wrapping_add(bytes) & self.kernel.address_mask(), ..self }
    }

    /// A member; `None` if this kernel has none of that name. Dots lead into members of members.
    pub fn member(&self, path: &'static str) -> Option<Object<'k, 'i>> {
        let field = self.kernel.field(self.ty, path)?;
        let address = self.address.wrapping_add(field.offset) & self.kernel.address_mask();
        Some(Object { kernel: self.kernel, address, ty: field.ty, bits: field.bits })
    }

    /// The first of several members that this kernel has: the names that a member has had over time.
    pub fn member_of(&self, paths: &[&'static str]) -> Option<Object<'k, 'i>> {
        paths.iter().find_map(|path| self.member(path))
    }

    /// How many elements an array has.
    pub fn count(&self) -> Option<u64> {
        match self.kernel.symbols.resolve(self.ty).1.kind {
            TypeKind::Array { count, .. } => count,
            _ => None,
        }
    }

    /// An element of an array. What is not an array is its own only element.
    pub fn index(&self, index: u64) -> Option<Object<'k, 'i>> {
        match self.kernel.symbols.resolve(self.ty).1.kind {
            TypeKind::Array { element, count } => {
                if count.is_some_and(|count| index >= count) {
                    return None;
                }
                let offset = index.checked_mul(self.kernel.symbols.size_of(element)?)?;
                let address = self.address.wrapping_add(offset) & self.kernel.address_mask();
                Some(Object { address, ty: element, bits: None, ..*self })
            }
            _ => Some(*self).filter(|_| index == 0),
        }
    }

    /// All elements of an array, `max` at most; of what is not an array, itself.
    pub fn elements(&self, max: u64) -> impl Iterator<Item = Object<'k, 'i>> + use<'k, 'i> {
        let this = *self;
        (0..self.count().unwrap_or(1).min(max)).filter_map(move |index| this.index(index))
    }

    /// The number that it is, as its bits are; a counter's, if it is one of those structures that wrap one.
    pub fn unsigned(&self) -> Option<u64> {
        let size = self.scalar()?;
        self.load(size)
    }

    /// The number that it is, with its sign.
    pub fn signed(&self) -> Option<i64> {
        let size = self.scalar()?;
        let width = self.bits.map_or(size * 8, |bits| u64::from(bits.len)).clamp(1, 64);
        let unused = 64 - width;
        Some((self.load(size)? << unused).cast_signed() >> unused)
    }

    /// The size in bytes of the number that it is.
    fn scalar(&self) -> Option<u64> {
        let symbols = &self.kernel.symbols;
        let (mut id, mut ty) = symbols.resolve(self.ty);
        for _ in 0..MAX_WRAPPING {
            let TypeKind::Composite(composite) = &ty.kind else { break };
            let first = composite.members.first().filter(|first| first.offset == 0)?;
            (id, ty) = symbols.resolve(first.ty);
        }
        match &ty.kind {
            TypeKind::Base(encoding) if *encoding != Encoding::Float => {}
            TypeKind::Enum { .. } | TypeKind::Pointer { .. } => {}
            _ => return None,
        }
        symbols.size_of(id).filter(|size| (1..=8).contains(size))
    }

    fn load(&self, size: u64) -> Option<u64> {
        let size = match self.bits {
            Some(bits) => (u64::from(bits.first) + u64::from(bits.len)).div_ceil(8),
            None => size,
        };
        let Some(number) = self.kernel.memory.unsigned(self.address, size) else {
            self.kernel.unreadable(self.address);
            return None;
        };
        Some(match self.bits {
            Some(bits) if bits.len < 64 => number >> bits.first & ((1 << bits.len) - 1),
            Some(bits) => number >> bits.first,
            None => number,
        })
    }

    /// A member's number.
    pub fn u(&self, path: &'static str) -> Option<u64> {
        self.member(path)?.unsigned()
    }

    /// A member's number, with its sign.
    pub fn i(&self, path: &'static str) -> Option<i64> {
        self.member(path)?.signed()
    }

    /// A member that is a truth value, or a number that stands for one.
    pub fn flag(&self, path: &'static str) -> Option<bool> {
        self.u(path).map(|value| value != 0)
    }

    /// What a pointer points to. `None` for null; with a problem, where it points to what cannot be there.
    pub fn target(&self) -> Option<Object<'k, 'i>> {
        let TypeKind::Pointer { to, .. } = self.kernel.symbols.resolve(self.ty).1.kind else { return None };
        let address = self.unsigned().filter(|&address| address != 0)?;
        let (id, ty) = self.kernel.symbols.resolve(to);
        let name = ty.name.as_deref().unwrap_or("pointer");
        let is_there = match ty.kind {
            TypeKind::Composite(_) => self.kernel.is_pointer(address, name),
            _ => self.kernel.memory.unsigned(address, 1).is_some(),
        };
        is_there.then(|| Object::new(self.kernel, address, id))
    }

    /// What a member that is a pointer points to.
    pub fn follow(&self, path: &'static str) -> Option<Object<'k, 'i>> {
        self.member(path)?.target()
    }

    /// The text in an array of characters, or where a pointer to some points; what is not text is escaped.
    pub fn text(&self, max: u64) -> Option<String> {
        let (address, max) = match self.kernel.symbols.resolve(self.ty).1.kind {
            TypeKind::Array { count, .. } => (self.address, count.unwrap_or(max).min(max)),
            TypeKind::Pointer { .. } => (self.unsigned().filter(|&at| at >= super::LOWEST)?, max),
            _ => return None,
        };
        let bytes = self.kernel.memory.text(address, max as usize);
        if bytes.is_none() {
            self.kernel.unreadable(address);
        }
        Some(super::text::printable(&bytes?))
    }

    /// A member's text.
    pub fn name(&self, path: &'static str) -> Option<String> {
        /// Longer names are no names.
        const LONGEST: u64 = 256;
        self.member(path)?.text(LONGEST)
    }
}

impl Kernel<'_> {
    /// Notes that there is no memory where some should be; or that a view has read too much.
    pub(super) fn unreadable(&self, address: u64) {
        if self.memory.is_full() {
            self.problem(
                "gave up: this view wanted to read too much: more than 128 MiB of memory, or more than a million words",
            );
        } else {
            self.problem(format!("there is no memory at {address:#x}"));
        }
    }
}

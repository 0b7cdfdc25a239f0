//! What the words of memory are: an object taken apart into what has no parts itself.

use std::ops::Range;

use super::eval::Evaluator;
use super::format::Format;
use super::value::{Content, Value};
use crate::symbols::{BitRange, Encoding, TypeId, TypeKind, Variable};

/// How deep structures are taken apart.
const MAX_DEPTH: usize = 24;

/// Steps in which an object is taken apart: a damaged type may hold itself, several times.
const MAX_STEPS: usize = 50_000;

/// Elements of arrays and characters of texts in the value of a field.
const MAX_ELEMENTS: usize = 64;

/// A part of an object that has no parts itself: a number, a pointer, a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Where it is.
    pub address: u64,
    /// Its bytes; of a bit-field, those that it is in.
    pub size: u64,
    /// What leads to it from the object, as C writes it: `.entry.next`, `[3].pid`; nothing if it is the object.
    pub path: String,
    /// Its type.
    pub ty: TypeId,
    /// Of a bit-field, which bits.
    bits: Option<BitRange>,
}

/// What is taken apart, and how far it has come.
struct Walk<'w> {
    within: &'w Range<u64>,
    steps: usize,
    fields: Vec<Field>,
}

impl Walk<'_> {
    fn touches(&self, address: u64, size: u64) -> bool {
        address < self.within.end && address.saturating_add(size) > self.within.start
    }
}

impl Evaluator<'_> {
    /// The fields of an object of a type that lie in a range of addresses, at least in part, in their order. The members of
    /// a union are all there.
    pub fn fields(&self, ty: TypeId, address: u64, within: &Range<u64>) -> Vec<Field> {
        let mut walk = Walk { within, steps: 0, fields: Vec::new() };
        self.take_apart(&mut walk, Field { address, size: 0, path: String::new(), ty, bits: None }, 0);
        walk.fields.sort_by_key(|field| field.address);
        walk.fields
    }

    fn take_apart(&self, walk: &mut Walk<'_>, part: Field, depth: usize) {
        walk.steps += 1;
        let size = match part.bits {
            Some(bits) => Some((u64::from(bits.first) + u64::from(bits.len)).div_ceil(8)),
            None => self.symbols.size_of(part.ty),
        };
        let Some(size) = size.filter(|&size| size > 0 && walk.steps < MAX_STEPS) else { return };
        if !walk.touches(part.address, size) {
            return;
        }
        match &self.symbols.resolve(part.ty).1.kind {
            TypeKind::Composite(composite) if depth < MAX_DEPTH && !composite.members.is_empty() => {
                for member in &composite.members {
                    let path = match &member.name {
                        Some(name) => format!("{}.{name}", part.path),
                        None => part.path.clone(),
                    };
                    let address = part.address.wrapping_add(member.offset);
                    let member = Field { address, size: 0, path, ty: member.ty, bits: member.bits };
                    self.take_apart(walk, member, depth + 1);
                }
            }
            TypeKind::Array { element, count: Some(count) } if depth < MAX_DEPTH && !self.is_char(*element) => {
                let Some(len) = self.symbols.size_of(*element).filter(|&len| len > 0) else { return };
                // Of a large array, those that can be in the range.
                let first = walk.within.start.saturating_sub(part.address) / len;
                let last = walk.within.end.saturating_sub(part.address).div_ceil(len).min(*count);
                for index in first..last {
                    let address = part.address.wrapping_add(index * len);
                    let path = format!("{}[{index}]", part.path);
                    self.take_apart(walk, Field { address, size: 0, path, ty: *element, bits: None }, depth + 1);
                }
            }
            _ => walk.fields.push(Field { size, ..part }),
        }
    }

    /// The global or static variable with a name that lies at an address.
    pub fn variable_placed(&mut self, name: &str, address: u64) -> Option<Variable> {
        let variables = self.symbols.variables_named(name).into_iter();
        let mut placed =
            variables.filter(|variable| self.variable(variable).is_ok_and(|v| v.address() == Some(address)));
        placed.next()
    }

    fn is_char(&self, ty: TypeId) -> bool {
        let ty = self.symbols.resolve(ty).1;
        ty.size == Some(1) && matches!(ty.kind, TypeKind::Base(Encoding::SignedChar | Encoding::UnsignedChar))
    }

    /// The value of a field in a line, pointers with what they point to; without its type. `bytes` are those of memory from
    /// `start` on: what is not among them is read.
    pub fn field_text(&mut self, field: &Field, start: u64, bytes: &[u8]) -> String {
        let known = field.address.checked_sub(start).and_then(|at| {
            let at = usize::try_from(at).ok()?;
            bytes.get(at..at.checked_add(usize::try_from(field.size).ok()?)?)
        });
        let content = match known {
            Some(bytes) => Content::Bytes(bytes.iter().copied().map(Some).collect()),
            None => Content::Memory(field.address),
        };
        let value = Value { ty: field.ty, content, bits: field.bits };
        let format = Format { max_elements: MAX_ELEMENTS, max_depth: 1, ..Format::default() };
        let text = self.format(&value, &format);
        // Pointers are printed with their type before them.
        match text.strip_prefix(&format!("({}) ", self.type_text(field.ty))) {
            Some(text) => text.to_owned(),
            None => text,
        }
    }
}

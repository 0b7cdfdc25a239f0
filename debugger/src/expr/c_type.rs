//! Types as C writes them.

use std::cell::Cell;

use super::eval::Evaluator;
use crate::symbols::{Composite, Member, Symbols, TypeId, TypeKind};

/// How deep types are written out.
const MAX_DEPTH: usize = 24;

impl Evaluator<'_> {
    /// A type as C names it: `struct list_head *`, `int (*)(void *)`, `char [16]`.
    pub fn type_text(&self, ty: TypeId) -> String {
        type_text(self.symbols, ty)
    }
}

/// How many parts of a type are written out: a damaged type may hold itself, several times.
const MAX_PARTS: usize = 20_000;

/// A type as C names it.
pub(super) fn type_text(symbols: &Symbols, ty: TypeId) -> String {
    Writer::new(symbols).declared(ty, String::new(), MAX_DEPTH)
}

/// A type written out, as gdb's `ptype` does: a structure with its members.
pub(super) fn written_out(symbols: &Symbols, ty: TypeId) -> String {
    let (mut base, mut suffix) = (ty, String::new());
    // What is behind typedefs and pointers is written out.
    for _ in 0..MAX_DEPTH {
        let (id, resolved) = symbols.resolve(base);
        match &resolved.kind {
            TypeKind::Pointer { to, reference } if !is_function(symbols, *to) => {
                suffix.insert(0, if *reference { '&' } else { '*' });
                base = *to;
            }
            TypeKind::Array { element, count } if suffix.is_empty() || suffix.starts_with('[') => {
                suffix.push_str(&dimension(*count));
                base = *element;
            }
            _ => {
                base = id;
                break;
            }
        }
    }
    let text = match &symbols.ty(base).kind {
        TypeKind::Composite(composite) => Writer::new(symbols).body(base, composite, 0),
        TypeKind::Enum { enumerators, .. } => {
            let mut next = 0;
            let names = enumerators.iter().map(|(name, value)| {
                let text = if *value == next { name.clone() } else { format!("{name} = {value}") };
                next = value + 1;
                text
            });
            format!("{} {{{}}}", tag_text(symbols, base), names.collect::<Vec<_>>().join(", "))
        }
        _ => type_text(symbols, base),
    };
    if suffix.is_empty() { text } else { format!("{text} {suffix}") }
}

fn is_function(symbols: &Symbols, ty: TypeId) -> bool {
    matches!(symbols.resolve(ty).1.kind, TypeKind::Function { .. })
}

fn dimension(count: Option<u64>) -> String {
    count.map_or_else(|| "[]".to_owned(), |count| format!("[{count}]"))
}

fn tag_text(symbols: &Symbols, ty: TypeId) -> String {
    let ty = symbols.ty(ty);
    let keyword = match &ty.kind {
        TypeKind::Composite(composite) => composite.keyword,
        TypeKind::Enum { .. } => "enum",
        _ => "",
    };
    match &ty.name {
        Some(name) => format!("{keyword} {name}"),
        None => keyword.to_owned(),
    }
}

/// Writes one type.
struct Writer<'s> {
    symbols: &'s Symbols,
    left: Cell<usize>,
}

impl<'s> Writer<'s> {
    fn new(symbols: &'s Symbols) -> Self {
        Writer { symbols, left: Cell::new(MAX_PARTS) }
    }

    /// `None` if the type has become too long.
    fn spend(&self) -> Option<()> {
        self.left.set(self.left.get().checked_sub(1)?);
        Some(())
    }

    fn body(&self, ty: TypeId, composite: &Composite, depth: usize) -> String {
        let mut text = tag_text(self.symbols, ty);
        if composite.incomplete {
            return format!("{text} {{\n    <incomplete type>\n}}");
        }
        text.push_str(" {\n");
        let indent = "    ".repeat(depth + 1);
        let variants =
            composite.variants.iter().flat_map(|variants| variants.variants.iter().flat_map(|(_, members)| members));
        for member in composite.members.iter().chain(variants) {
            let line = self.member_text(member, depth + 1);
            text.push_str(&format!("{indent}{line};\n"));
        }
        text.push_str(&"    ".repeat(depth));
        text.push('}');
        text
    }

    fn member_text(&self, member: &Member, depth: usize) -> String {
        let name = member.name.clone().unwrap_or_default();
        let bits = member.bits.map(|bits| format!(" : {}", bits.len)).unwrap_or_default();
        // A structure without a tag is written out where it stands.
        let ty = self.symbols.ty(member.ty);
        match &ty.kind {
            TypeKind::Composite(composite) if ty.name.is_none() && depth < MAX_DEPTH && self.spend().is_some() => {
                let body = self.body(member.ty, composite, depth);
                if name.is_empty() { body } else { format!("{body} {name}") }
            }
            _ => self.declared(member.ty, name, MAX_DEPTH) + &bits,
        }
    }

    /// A declaration of `name` with a type; the name may be empty.
    fn declared(&self, id: TypeId, name: String, depth: usize) -> String {
        let depth = depth.checked_sub(1).zip(self.spend()).map(|(depth, ())| depth);
        let Some(depth) = depth else { return format!("... {name}") };
        let ty = self.symbols.ty(id);
        let with = |base: &str| match name.chars().next() {
            None => base.to_owned(),
            Some(_) => format!("{base} {name}"),
        };
        match &ty.kind {
            TypeKind::Pointer { to, reference } => {
                let sign = if *reference { '&' } else { '*' };
                let target = self.symbols.ty(*to);
                let inner = match target.kind {
                    TypeKind::Array { .. } | TypeKind::Function { .. } => format!("({sign}{name})"),
                    _ => format!("{sign}{name}"),
                };
                self.declared(*to, inner, depth)
            }
            TypeKind::Array { element, count } => self.declared(*element, name + &dimension(*count), depth),
            TypeKind::Function { returns, parameters, variadic } => {
                let mut list: Vec<String> =
                    parameters.iter().map(|&parameter| self.declared(parameter, String::new(), depth)).collect();
                if *variadic {
                    list.push("...".into());
                }
                if list.is_empty() {
                    list.push("void".into());
                }
                self.declared(*returns, format!("{name}({})", list.join(", ")), depth)
            }
            TypeKind::Qualified(qualifier, inner) => match self.symbols.ty(*inner).kind {
                TypeKind::Pointer { .. } => {
                    let name = if name.is_empty() { format!(" {qualifier}") } else { format!(" {qualifier} {name}") };
                    self.declared(*inner, name, depth)
                }
                _ => format!("{qualifier} {}", self.declared(*inner, name, depth)),
            },
            TypeKind::Composite(_) | TypeKind::Enum { .. } => {
                let tag = tag_text(self.symbols, id);
                with(&if ty.name.is_none() { format!("{tag} {{...}}") } else { tag })
            }
            TypeKind::Void => with("void"),
            TypeKind::Unknown(what) => with(ty.name.as_deref().unwrap_or(&format!("<{what}>"))),
            TypeKind::Base(_) | TypeKind::Typedef(_) => with(ty.name.as_deref().unwrap_or("<type without a name>")),
        }
    }
}

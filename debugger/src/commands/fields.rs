//! What a window into memory holds, field by field: of the object that was asked for, and of the variables around it.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use wkdb_tracer::ModuleId;

use super::Debugger;
use super::error::Result;
use super::values::Kept;
use crate::expr::{Field, Format};
use crate::inferior::Inferior;
use crate::symbols::{DataSource, Symbols, TypeId};

/// Words of a window, at most, of which it is looked up what they point to.
const MAX_WORDS: u64 = 4096;

/// The memory that an expression means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meant {
    /// Where it is.
    pub address: u64,
    /// How many bytes it has; 0 if that is not known.
    pub size: u64,
    /// Its value, in lines.
    pub value: String,
    /// What is there: the expression that names it, its module and its type.
    pub(super) object: Option<(String, ModuleId, TypeId)>,
}

impl Meant {
    /// Whether the same is meant as by another expression, or the same one at another time, whatever its value.
    pub fn is_same_object(&self, other: &Meant) -> bool {
        (self.address, self.size, &self.object) == (other.address, other.size, &other.object)
    }
}

/// A field of a window into memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldView {
    /// Where it begins.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
    /// Its name in its object, or that of the variable that it is in: `entry.next`, `jiffies_64`. Empty for a word that is
    /// not known to be anything, but points somewhere.
    pub name: String,
    /// An expression for it; empty where there is none.
    pub expression: String,
    /// Its type.
    pub ty: String,
    /// Its value in a line.
    pub value: String,
}

/// What lies in a window, whatever its bytes are.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    within: Range<u64>,
    objects: Vec<Object>,
    /// Words between the objects.
    words: Vec<u64>,
    word: u64,
}

/// An object in a window: its module, and its fields with their names and expressions.
#[derive(Debug, Clone)]
struct Object {
    module: ModuleId,
    fields: Vec<(Field, String, String, String)>,
}

/// How C names a part of what an expression means.
fn part_of(expression: &str, path: &str) -> String {
    let plain = expression.chars().all(|c| c.is_alphanumeric() || c == '_');
    match plain {
        _ if path.is_empty() => expression.to_owned(),
        true => format!("{expression}{path}"),
        false => format!("({expression}){path}"),
    }
}

impl Debugger {
    /// The memory that an expression means, as `x` has it: what a pointer or number points to, else what is named.
    ///
    /// # Errors
    /// It means nothing here.
    pub fn memory_of(&mut self, inferior: &mut dyn Inferior, text: &str) -> Result<Meant> {
        let whole = |debugger: &mut Self, inferior: &mut dyn Inferior, text: &str| -> Result<Meant> {
            let (module, (address, size, ty)) = debugger.in_selected(inferior, |evaluator| {
                let value = evaluator.evaluate(text)?;
                let (address, size) = evaluator.lvalue(&value)?;
                Ok((address, size, value.ty))
            })?;
            let Kept { value, .. } = debugger.evaluate(inferior, text)?;
            let format = Format { pretty: true, ..Format::default() };
            let value = debugger.in_frame(inferior, None, module, |evaluator| Ok(evaluator.format(&value, &format)))?;
            Ok(Meant { address, size, value, object: Some((text.to_owned(), module, ty)) })
        };
        let address = self.address_of(inferior, text)?;
        for candidate in [text.to_owned(), format!("*({text})")] {
            match whole(self, inferior, &candidate) {
                Ok(found) if found.address == address => return Ok(found),
                _ => {}
            }
        }
        Ok(Meant { address, ..Meant::default() })
    }

    /// What lies in a range of addresses: what was asked for, the kernel's variables around it, and words between them.
    pub fn layout(&mut self, inferior: &mut dyn Inferior, meant: &Meant, within: Range<u64>) -> Layout {
        let mut layout = Layout { within: within.clone(), word: 4, ..Layout::default() };
        let mut covered: Vec<Range<u64>> = Vec::new();
        if let Some((expression, module, ty)) = &meant.object {
            covered.push(meant.address..meant.address.saturating_add(meant.size));
            // Of the object that was asked for, its members are named alone.
            let short = |path: &str| path.strip_prefix('.').unwrap_or(path).to_owned();
            let object = self.object(inferior, expression, (*module, *ty, meant.address), &within, short);
            layout.objects.extend(object);
        }
        let Some(symbols) = self.modules.symbols(inferior, ModuleId::KERNEL) else { return layout };
        layout.word = symbols.address_size();
        let mut at = within.start - within.start % layout.word.max(1);
        while at < within.end {
            if let Some(known) = covered.iter().find(|known| known.contains(&at)) {
                at = known.end.checked_next_multiple_of(layout.word).unwrap_or(u64::MAX);
                continue;
            }
            // Small ones may begin in the midst of a word.
            match (at..at.saturating_add(layout.word)).find_map(|at| self.variable_at(inferior, &symbols, at)) {
                Some((name, ty, address, size)) => {
                    let named = |path: &str| part_of(&name, path);
                    let asked = (ModuleId::KERNEL, ty, address);
                    let mut object = self.object(inferior, &name, asked, &within, named);
                    // What was asked for may be a part of it, and is there already.
                    if let Some(object) = &mut object {
                        object.fields.retain(|(field, ..)| covered.iter().all(|known| !known.contains(&field.address)));
                    }
                    layout.objects.extend(object);
                    covered.push(address.min(at)..address.saturating_add(size));
                }
                None => {
                    if (layout.words.len() as u64) < MAX_WORDS {
                        layout.words.push(at);
                    }
                    at = at.saturating_add(layout.word);
                }
            }
        }
        layout
    }

    /// An object, taken apart.
    fn object(
        &mut self,
        inferior: &mut dyn Inferior,
        expression: &str,
        (module, ty, address): (ModuleId, TypeId, u64),
        within: &Range<u64>,
        name: impl Fn(&str) -> String,
    ) -> Option<Object> {
        let fields = self.in_frame(inferior, None, module, |evaluator| {
            let fields = evaluator.fields(ty, address, within).into_iter().map(|field| {
                let called = match name(&field.path) {
                    empty if empty.is_empty() => expression.to_owned(),
                    called => called,
                };
                let whole = part_of(expression, &field.path);
                let ty = evaluator.type_text(field.ty);
                (field, called, whole, ty)
            });
            Ok(fields.collect())
        });
        Some(Object { module, fields: fields.ok()? })
    }

    /// The kernel's variable that an address is in: its name, type, address and size.
    fn variable_at(
        &mut self,
        inferior: &mut dyn Inferior,
        symbols: &Symbols,
        address: u64,
    ) -> Option<(String, TypeId, u64, u64)> {
        let (symbol, _) = symbols.symbol_at(address)?;
        let (name, start) = (symbol.name.clone(), symbol.address);
        let size = symbol.size.filter(|&size| size > 0 && symbol.source == DataSource::Dwarf)?;
        // Several may have the name.
        let ty = self.in_frame(inferior, None, ModuleId::KERNEL, |evaluator| {
            Ok(evaluator.variable_placed(&name, start).map(|variable| variable.ty))
        });
        Some((name, ty.ok()??, start, size))
    }

    /// The fields of a window with these bytes, in the order of their addresses.
    pub fn fields(&mut self, inferior: &mut dyn Inferior, layout: &Layout, bytes: &[u8]) -> Vec<FieldView> {
        let start = layout.within.start;
        let mut views = Vec::new();
        for object in &layout.objects {
            let values = self.in_frame(inferior, None, object.module, |evaluator| {
                let text = |(field, ..): &(Field, _, _, _)| evaluator.field_text(field, start, bytes);
                Ok(object.fields.iter().map(text).collect::<Vec<_>>())
            });
            let Ok(values) = values else { continue };
            views.extend(object.fields.iter().zip(values).map(|((field, name, expression, ty), value)| FieldView {
                address: field.address,
                size: field.size,
                name: name.clone(),
                expression: expression.clone(),
                ty: ty.clone(),
                value,
            }));
        }
        for &address in &layout.words {
            let word = address.checked_sub(start).and_then(|at| {
                let at = usize::try_from(at).ok()?;
                bytes.get(at..at.checked_add(usize::try_from(layout.word).ok()?)?)
            });
            let number = word.map(|word| word.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)));
            let name = number.and_then(|number| Some((number, self.data_name(inferior, number)?)));
            if let Some((number, name)) = name {
                let value = format!("{number:#x} <{name}>");
                views.push(FieldView { address, size: layout.word, value, ..FieldView::default() });
            }
        }
        views.sort_by_key(|view| view.address);
        views
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_named_as_c_has_them() {
        assert_eq!(part_of("init_task", ".pid"), "init_task.pid");
        assert_eq!(part_of("*(worker)", ".pool"), "(*(worker)).pool");
        assert_eq!(part_of("jiffies_64", ""), "jiffies_64");
    }
}

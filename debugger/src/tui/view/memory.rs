//! The window into memory: its bytes, its fields, or its value.

use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::rows::{Rows, fitted, span};
use crate::commands::FieldView;
use crate::tui::data::Data;
use crate::tui::pane::Pane;
use crate::tui::sample::{Mark, Memory};
use crate::tui::state::{MemoryShape, State};
use crate::tui::theme::Theme;

/// Bytes of a row of memory.
pub const ROW: u64 = 16;

/// Bytes of a field that are shown: those of a number; of texts and the like, their first.
const FIELD: u64 = 8;

/// The window into memory.
pub(super) fn memory(state: &State, width: u16) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Memory), &state.theme);
    let memory = &data.sample.memory;
    let note = match (memory.expression.as_str(), memory.size) {
        ("", _) => String::new(),
        (expression, 0) => format!("{expression} at {:#x}", memory.origin),
        (expression, size) => format!("{expression}: {size} bytes at {:#x}", memory.origin),
    };
    if let Some(problem) = &memory.problem {
        return Rows { note, ..Rows::new(1, move |_| Line::styled(problem.as_str(), theme.problem)) };
    }
    let shown = Shown { data, memory, theme, width: usize::from(width) };
    let rows = match state.memory.shape_for(memory) {
        MemoryShape::Bytes => {
            let len = memory.bytes.len().div_ceil(ROW as usize);
            Rows::new(len, move |index| shown.row(index))
        }
        MemoryShape::Fields => Rows::new(memory.fields.len(), move |index| shown.field(index)),
        MemoryShape::Value => {
            let lines: Vec<&str> = memory.value.lines().collect();
            Rows::new(lines.len(), move |index| Line::raw(lines[index]))
        }
    };
    Rows { note, empty: "`:memory EXPR` shows memory; `v` its fields, and its value", ..rows }
}

/// What is shown, and how.
struct Shown<'a> {
    data: &'a Data,
    memory: &'a Memory,
    theme: &'a Theme,
    width: usize,
}

impl<'a> Shown<'a> {
    /// Digits of an address.
    fn digits(&self) -> usize {
        let end = self.memory.address.saturating_add(self.memory.bytes.len() as u64);
        if end > u64::from(u32::MAX) { 16 } else { 8 }
    }

    fn style_of(&self, address: u64, byte: u8) -> Style {
        let (data, theme, memory) = (self.data, self.theme, self.memory);
        let mut style = match () {
            () if data.is_changed(address, byte) => theme.changed,
            () if byte == 0 => theme.dim,
            () => theme.mark(Mark::Plain),
        };
        if data.is_watched(address) {
            style = style.patch(theme.watched);
        }
        let named = address.checked_sub(memory.origin).is_some_and(|at| at < memory.size);
        if named { style.add_modifier(Modifier::UNDERLINED) } else { style }
    }

    /// The byte of the window at an address.
    fn byte(&self, address: u64) -> Option<u8> {
        let at = usize::try_from(address.checked_sub(self.memory.address)?).ok()?;
        self.memory.bytes.get(at).copied()
    }

    /// A row of bytes, and what they are.
    fn row(&self, index: usize) -> Line<'a> {
        let (memory, theme, digits) = (self.memory, self.theme, self.digits());
        let start = memory.address.saturating_add(index as u64 * ROW);
        let bytes = memory.bytes.chunks(ROW as usize).nth(index).unwrap_or_default();
        let mut spans = vec![span(format!("{start:0digits$x}  "), theme.address)];
        for n in 0..ROW as usize {
            if n == 8 {
                spans.push(span(" ", theme.dim));
            }
            match bytes.get(n) {
                Some(&byte) => {
                    spans.push(span(format!("{byte:02x}"), self.style_of(start.saturating_add(n as u64), byte)));
                    spans.push(span(" ", theme.dim));
                }
                None => spans.push(span("   ", theme.dim)),
            }
        }
        spans.push(span(" ", theme.dim));
        for (n, &byte) in bytes.iter().enumerate() {
            let sign = if (0x20..0x7f).contains(&byte) { char::from(byte) } else { '·' };
            spans.push(span(sign.to_string(), self.style_of(start.saturating_add(n as u64), byte)));
        }
        // There is room for it on wide screens alone: `v` shows it on all.
        if self.width > digits + 90 {
            spans.push(span(" ".repeat(ROW as usize - bytes.len()), theme.dim));
            spans.extend(self.told(index, start..start.saturating_add(ROW)));
        }
        Line::from(spans)
    }

    /// What begins in a row; where that is not known, what the row is in.
    fn told(&self, index: usize, row: std::ops::Range<u64>) -> Vec<Span<'a>> {
        let theme = self.theme;
        let mut spans = Vec::new();
        for field in self.memory.fields.iter().filter(|field| row.contains(&field.address)) {
            spans.push(span("  ", theme.dim));
            match field.name.as_str() {
                "" => spans.push(span("→", theme.dim)),
                name => spans.extend([span(name.to_owned(), theme.function), span("=", theme.dim)]),
            }
            spans.push(span(field.value.clone(), self.value_style(field)));
        }
        if let (true, Some(Some(name))) = (spans.is_empty(), self.memory.names.get(index)) {
            spans.push(span(format!("  {name}"), theme.function));
        }
        spans
    }

    /// A value's style: of one whose bytes have changed, theirs.
    fn value_style(&self, field: &FieldView) -> Style {
        let changed = (0..field.size).any(|n| {
            let address = field.address.saturating_add(n);
            self.byte(address).is_some_and(|byte| self.data.is_changed(address, byte))
        });
        if changed { self.theme.changed } else { self.theme.mark(Mark::Plain) }
    }

    /// A field: where it is, its bytes, its name, value and type.
    fn field(&self, index: usize) -> Line<'a> {
        let (memory, theme, digits) = (self.memory, self.theme, self.digits());
        let field = &memory.fields[index];
        let wide = self.width > digits + 90;
        let mut spans = vec![span(format!("{:0digits$x}  ", field.address), theme.address)];
        let numbers = memory.fields.iter().map(|field| field.size).filter(|size| *size <= FIELD);
        let longest = numbers.max().unwrap_or(FIELD) as usize;
        let gap = usize::from(wide);
        for n in 0..longest {
            let address = field.address.saturating_add(n as u64);
            match self.byte(address).filter(|_| (n as u64) < field.size) {
                Some(byte) => spans.push(span(format!("{byte:02x}"), self.style_of(address, byte))),
                None => spans.push(span("  ", theme.dim)),
            }
            spans.push(span(" ".repeat(gap), theme.dim));
        }
        spans.push(span(if field.size > longest as u64 { "… " } else { "  " }, theme.dim));
        let name_width = |name: fn(&FieldView) -> &str, most: usize| {
            memory.fields.iter().map(|field| name(field).chars().count()).max().unwrap_or(0).min(most)
        };
        let room = name_width(|field| &field.name, if wide { 40 } else { 18 });
        spans.push(span(ending(&field.name, room), theme.function));
        spans.push(span("  ", theme.dim));
        let sign = if field.name.is_empty() { "→ " } else { "" };
        let value = format!("{sign}{}", field.value);
        let room = name_width(|field| &field.value, if wide { 60 } else { 24 });
        // A value that is too long is seen in full: its type goes further to the right.
        let value = if value.chars().count() > room { value } else { fitted(&value, room) };
        spans.push(span(value, self.value_style(field)));
        spans.push(span(format!("  {}", field.ty), theme.dim));
        Line::from(spans)
    }
}

/// A name that is so wide: of one that is too long, its end, which tells members apart.
fn ending(name: &str, width: usize) -> String {
    let len = name.chars().count();
    if len <= width {
        return fitted(name, width);
    }
    let rest: String = name.chars().skip(len + 1 - width.max(1)).collect();
    format!("…{rest}")
}

#[cfg(test)]
mod tests {
    use super::ending;

    #[test]
    fn names_that_are_too_long_keep_their_ends() {
        assert_eq!(ending("pool", 6), "pool  ");
        assert_eq!(ending("vmstat_work.work.entry.next", 11), "…entry.next");
        assert_eq!(ending("entry", 1), "…");
    }
}

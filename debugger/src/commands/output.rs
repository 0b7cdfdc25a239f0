//! What a command has to say: plain text, with marks that a terminal may turn into colours.

use std::fmt::{self, Write};
use std::ops::Range;

use wkdb_tracer::Outcome;

/// What a piece of text is; a terminal decides what that looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The name of a function.
    Function,
    /// A source file and line.
    Place,
    /// An address of code or data.
    Address,
    /// A task and where it runs.
    Task,
    /// The headline of a report.
    Headline,
    /// What stands out in a listing: the line or instruction that comes next.
    Here,
    /// Something that went wrong.
    Problem,
}

/// Text with marks. Lines end with `\n`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    text: String,
    marks: Vec<(Range<usize>, Style)>,
}

impl Output {
    /// Nothing yet.
    pub fn new() -> Self {
        Output::default()
    }

    /// How a run ended, in a line.
    pub fn of_outcome(outcome: &Outcome) -> Self {
        format!("{}\n", super::notice::outcome_text(outcome)).into()
    }

    /// The text without its marks.
    pub fn plain(&self) -> &str {
        &self.text
    }

    /// The marks, in the order of their places in [`Output::plain`]; they do not overlap.
    pub fn marks(&self) -> &[(Range<usize>, Style)] {
        &self.marks
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds text.
    pub fn push(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.text.push_str(text.as_ref());
        self
    }

    /// Adds text with a mark.
    pub fn mark(&mut self, style: Style, text: impl AsRef<str>) -> &mut Self {
        let start = self.text.len();
        self.text.push_str(text.as_ref());
        if self.text.len() > start {
            self.marks.push((start..self.text.len(), style));
        }
        self
    }

    /// Adds text and ends the line.
    pub fn line(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.push(text).push("\n")
    }

    /// Adds all of another output.
    pub fn append(&mut self, other: &Output) -> &mut Self {
        let start = self.text.len();
        self.text.push_str(&other.text);
        let shifted = other.marks.iter().map(|(range, style)| (range.start + start..range.end + start, *style));
        self.marks.extend(shifted);
        self
    }
}

impl Write for Output {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        Ok(())
    }
}

impl From<String> for Output {
    fn from(text: String) -> Self {
        Output { text, marks: Vec::new() }
    }
}

impl From<&str> for Output {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Columns that are as wide as their widest cell; the last cell of a row is not padded, and may be any length.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<(String, Option<Style>)>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        let mut table = Table::default();
        table.row(headings.map(|heading| (heading.to_owned(), None)));
        table
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = (String, Option<Style>)>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn into_output(self) -> Output {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter(|row| column + 1 < row.len()).map(|row| &row[column]);
            cells.map(|(text, _)| text.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = Output::new();
        for row in &self.rows {
            for (column, (text, style)) in row.iter().enumerate() {
                match style {
                    Some(style) => out.mark(*style, text),
                    None => out.push(text),
                };
                let rest_is_empty = row[column + 1..].iter().all(|(text, _)| text.is_empty());
                if !rest_is_empty {
                    out.push(" ".repeat((widths[column] + 2).saturating_sub(text.chars().count())));
                }
            }
            out.push("\n");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_stay_with_their_text() {
        let mut inner = Output::new();
        inner.push("in ").mark(Style::Function, "main");
        let mut out = Output::from("#0 ");
        out.append(&inner).line("");
        assert_eq!(out.plain(), "#0 in main\n");
        let marked: Vec<_> = out.marks().iter().map(|(range, style)| (&out.plain()[range.clone()], *style)).collect();
        assert_eq!(marked, [("main", Style::Function)]);
    }

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(["Num", "What", ""]);
        table.row([("1".into(), None), ("a longer one".into(), None), ("x".into(), None)]);
        table.row([("20".into(), None), ("b".into(), None), (String::new(), None)]);
        assert_eq!(table.into_output().plain(), "Num  What\n1    a longer one  x\n20   b\n");
    }
}

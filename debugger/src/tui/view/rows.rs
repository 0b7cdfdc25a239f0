//! Panes that are lists: what is in each of their rows. Only the rows that are seen are made.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{listings, machine, memory, reports};
use crate::tui::pane::Pane;
use crate::tui::sample::TextLine;
use crate::tui::state::State;
use crate::tui::theme::Theme;

/// The rows of a pane.
pub struct Rows<'a> {
    /// What stands above them.
    pub heading: Option<Line<'a>>,
    /// How many there are.
    pub len: usize,
    /// Makes one.
    pub line: Box<dyn Fn(usize) -> Line<'a> + 'a>,
    /// The row that comes next, or is selected: the cursor goes there when it becomes another one.
    pub here: Option<usize>,
    /// What is shown where there are none.
    pub empty: &'static str,
    /// What stands beside the title.
    pub note: String,
}

impl<'a> Rows<'a> {
    /// Rows of a list.
    pub(super) fn new(len: usize, line: impl Fn(usize) -> Line<'a> + 'a) -> Rows<'a> {
        Rows { heading: None, len, line: Box::new(line), here: None, empty: "", note: String::new() }
    }

    /// The text of a row.
    pub fn text(&self, index: usize) -> String {
        (self.line)(index).spans.iter().map(|span| span.content.as_ref()).collect()
    }

    /// The next row with a text, from a row on, forwards or backwards, and around; large and small letters are the same
    /// unless there is a large one in the text.
    pub fn find(&self, text: &str, from: usize, forwards: bool) -> Option<usize> {
        let exact = text.chars().any(char::is_uppercase);
        let has = |index: usize| {
            let row = self.text(index);
            if exact { row.contains(text) } else { row.to_lowercase().contains(text) }
        };
        let len = self.len;
        (0..len).map(|n| if forwards { (from + n) % len } else { (from + len - n % len) % len }).find(|&n| has(n))
    }
}

/// The rows of a pane that is a list; none of the console and the timeline.
pub fn rows(state: &State, pane: Pane, width: u16) -> Option<Rows<'_>> {
    Some(match pane {
        Pane::Cpus => machine::cpus(state, width),
        Pane::Tasks => machine::tasks(state, width),
        Pane::Stack => listings::stack(state),
        Pane::Source => listings::source(state),
        Pane::Disassembly => listings::disassembly(state),
        Pane::Variables => reports::variables(state),
        Pane::Memory => memory::memory(state, width),
        Pane::Points => reports::points(state),
        Pane::Timers => reports::timers(state),
        Pane::Findings => reports::findings(state),
        Pane::Events => reports::events(state),
        Pane::Commands => reports::commands(state),
        Pane::Stop => reports::stop(state),
        Pane::Console | Pane::Timeline => return None,
    })
}

/// A piece of a row.
pub(super) fn span(text: impl Into<String>, style: Style) -> Span<'static> {
    Span::styled(text.into(), style)
}

/// A piece of a row that is so wide: filled up, or cut with a sign that it was.
pub(super) fn cell(text: &str, width: usize, style: Style) -> Span<'static> {
    Span::styled(fitted(text, width), style)
}

/// Text that is so wide, counted in characters.
pub(super) fn fitted(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:width$}");
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        cut.push('…');
    }
    cut
}

/// A line with marks, in a theme's styles.
pub(super) fn marked(line: &TextLine, theme: &Theme) -> Line<'static> {
    Line::from_iter(line.iter().map(|(mark, text)| span(text.clone(), theme.mark(*mark))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_goes_on_from_the_cursor_and_around() {
        let texts = ["alpha", "Beta", "gamma beta", "delta"];
        let rows = Rows::new(texts.len(), |n| Line::raw(texts[n]));
        assert_eq!(rows.find("beta", 0, true), Some(1));
        assert_eq!(rows.find("beta", 2, true), Some(2));
        assert_eq!(rows.find("beta", 3, true), Some(1));
        assert_eq!(rows.find("Beta", 2, true), Some(1), "a large letter is meant");
        assert_eq!(rows.find("beta", 1, false), Some(1));
        assert_eq!(rows.find("beta", 0, false), Some(2));
        assert_eq!(rows.find("omega", 0, true), None);
        assert_eq!(Rows::new(0, |_| Line::raw("")).find("x", 0, true), None);
    }

    #[test]
    fn text_is_cut_with_a_sign() {
        assert_eq!(fitted("kworker", 9), "kworker  ");
        assert_eq!(fitted("kworker", 4), "kwo…");
        assert_eq!(fitted("é", 0), "");
    }
}

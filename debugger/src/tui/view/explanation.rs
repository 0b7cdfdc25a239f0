//! What went wrong in the run, over the rest.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Widget};

use super::rows::marked;
use crate::tui::sample::{Mark, TextLine};
use crate::tui::state::State;

/// Columns of prose that are read well.
const WIDE: u16 = 116;

/// Where it is: as wide as prose is read, and as high as there is room.
fn area(state: &State) -> Rect {
    let room = state.room();
    let width = WIDE.min(room.width);
    Rect { x: room.x + (room.width - width) / 2, width, ..room }
}

/// A line in lines of so many columns at most, broken between words; what goes on stands further in.
fn wrapped(line: &TextLine, width: usize) -> Vec<TextLine> {
    let indent = line.first().map_or(0, |(_, text)| text.len() - text.trim_start().len());
    let hang = (indent + 2).min(width / 2);
    let mut lines: Vec<TextLine> = Vec::new();
    let (mut now, mut used): (TextLine, usize) = (Vec::new(), 0);
    for (mark, text) in line {
        for word in text.split_inclusive(' ') {
            let len = word.trim_end().chars().count();
            if used > hang && used + len > width {
                lines.push(std::mem::replace(&mut now, vec![(Mark::Plain, " ".repeat(hang))]));
                used = hang;
            }
            used += word.chars().count();
            now.push((*mark, word.to_owned()));
        }
    }
    lines.push(now);
    lines
}

/// The lines of the page.
pub fn lines(state: &State) -> Vec<Line<'static>> {
    let Some((text, _)) = &state.explanation else { return Vec::new() };
    let width = usize::from(State::inner(area(state)).width.saturating_sub(2)).max(8);
    text.0.iter().flat_map(|line| wrapped(line, width)).map(|line| marked(&line, &state.theme)).collect()
}

/// Draws the page over the rest.
pub(super) fn draw(buffer: &mut Buffer, state: &State, top: usize) {
    let lines = lines(state);
    let room = area(state);
    let height = (lines.len() as u16).saturating_add(2).min(room.height);
    let area = Rect { y: room.y + (room.height - height) / 2, height, ..room };
    Clear.render(area, buffer);
    let block = Block::bordered().border_style(state.theme.focus);
    let title = Line::styled(" What went wrong ", state.theme.title);
    let inner = State::inner(area);
    block.title(title).render(area, buffer);
    let top = top.min(lines.len().saturating_sub(usize::from(inner.height)));
    for (row, line) in lines.iter().skip(top).take(usize::from(inner.height)).enumerate() {
        buffer.set_line(inner.x + 1, inner.y + row as u16, line, inner.width.saturating_sub(1));
    }
    super::scroll_mark_at(buffer, inner, top, lines.len(), state);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(lines: &[TextLine]) -> Vec<String> {
        lines.iter().map(|line| line.iter().map(|(_, text)| text.as_str()).collect()).collect()
    }

    #[test]
    fn prose_is_broken_between_words_and_goes_on_further_in() {
        let line = vec![(Mark::Plain, "  written by ".to_owned()), (Mark::Function, "evdev_stop ".to_owned())];
        assert_eq!(plain(&wrapped(&line, 80)), ["  written by evdev_stop "]);
        assert_eq!(plain(&wrapped(&line, 16)), ["  written by ", "    evdev_stop "]);
        assert_eq!(plain(&wrapped(&Vec::new(), 16)), [""]);
    }

    proptest! {
        #[test]
        fn no_word_is_lost(words in proptest::collection::vec("\\PC{0,12}", 0..20), width in 8usize..40) {
            let line: TextLine = words.iter().map(|word| (Mark::Plain, format!("{word} "))).collect();
            let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            let shown = plain(&wrapped(&line, width)).join(" ");
            prop_assert_eq!(words(shown), words(line.iter().map(|(_, text)| text.as_str()).collect()));
        }
    }
}

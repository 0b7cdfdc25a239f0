//! The page of keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Widget};

use super::rows::{cell, span};
use crate::tui::pane::Pane;
use crate::tui::state::State;

/// A key, or none under a headline; and what it does.
const KEYS: [(&str, &str); 52] = [
    ("", "The machine"),
    ("space", "stop, or continue"),
    ("F5 c", "continue"),
    ("F8 F10 x", "next: a line, calls run through"),
    ("F7 F11 s", "step: a line, into calls"),
    ("F12 u", "finish: until the function returns"),
    ("Shift + these", "the same backwards (letters: C X S U)"),
    (", .", "one instruction back, forward"),
    ("b F9", "set or delete a breakpoint in the line, instruction or frame"),
    ("Ctrl-C", "stop the machine; never leaves"),
    ("e E", "explain what went wrong, and who did it (E where e means something else)"),
    ("", "Looking"),
    ("Tab, Shift-Tab", "next pane, previous pane"),
    ("g + key", "a pane by its key, see below"),
    ("[ ]", "the other panes of the same place"),
    ("h j k l, arrows", "move; Ctrl-D Ctrl-U, PgDn PgUp: by half a page, by a page"),
    ("g g, G", "top, bottom"),
    ("/ n N", "search (tasks: filter), next, previous"),
    ("Enter", "look at a task, frame, CPU; go to an event; memory of a variable or pointer"),
    ("z", "zoom the pane, and back"),
    ("f", "freeze the pane at what it shows, and back"),
    ("v", "CPUs as a grid; memory as bytes, by its fields, as a value"),
    ("o", "order of the tasks"),
    ("r", "back to where the machine is: source, stack, timeline"),
    ("m + letter", "set a bookmark here"),
    ("' + letter", "go to a bookmark"),
    ("", "Memory, breaks and watches"),
    ("e", "memory: another expression; points: on or off"),
    ("w", "watch what the memory pane shows, the field or the variable"),
    ("Backspace", "the memory that was shown before"),
    ("d", "delete the breakpoint or watch"),
    ("", "The console"),
    ("i, Enter", "keys go to the guest; Ctrl-] ends that"),
    ("", "Commands"),
    (":", "a command of the debugger, with Tab and history; `:help` lists them"),
    (":memory EXPR", "show memory"),
    (":goto WHEN", "tick, 12.5s, start, end (where the run has a past)"),
    (":layout NAME", "choose a layout; 1 to 9 do too"),
    (":theme NAME", "dark, light, ansi, mono"),
    (":pane NAME", "go to a pane"),
    (":save", "keep layouts and theme for the next time"),
    ("", "The screen"),
    ("< >, - +", "the pane narrower, wider; lower, higher"),
    ("mouse", "click, wheel; click in the timeline goes there, on a line number breaks"),
    ("Ctrl-L", "draw anew"),
    ("?", "this page"),
    ("q", "leave"),
    ("", "Timeline"),
    ("h l, H L", "move the cursor by a column, by ten"),
    ("Enter", "go there"),
    ("0 $", "start, end"),
    ("", "Panes, behind g"),
];

/// The lines of the page.
pub fn lines(state: &State) -> Vec<Line<'static>> {
    let theme = &state.theme;
    let row = |key: &str, what: &str| match key {
        "" => Line::styled(format!(" {what}"), theme.headline),
        key => Line::from(vec![
            span("   ", theme.dim),
            cell(key, 18, theme.typed),
            span(what.to_owned(), theme.mark(Default::default())),
        ]),
    };
    let keys = KEYS.iter().map(|(key, what)| row(key, what));
    let panes = Pane::ALL.into_iter().map(|pane| row(&pane.key().to_string(), pane.title()));
    keys.chain(panes).collect()
}

/// Draws the page over the rest.
pub(super) fn draw(buffer: &mut Buffer, state: &State, top: usize) {
    let screen = state.room();
    let lines = lines(state);
    // Two columns where there is room for them.
    let columns = if screen.width >= 170 { 2 } else { 1 };
    let rows = lines.len().div_ceil(columns);
    let width = (88 * columns as u16).min(screen.width);
    let height = (rows as u16 + 2).min(screen.height);
    let area =
        Rect { x: screen.x + (screen.width - width) / 2, y: screen.y + (screen.height - height) / 2, width, height };
    Clear.render(area, buffer);
    let block = Block::bordered().border_style(state.theme.focus).title(Line::styled(" Keys ", state.theme.title));
    let inner = State::inner(area);
    block.render(area, buffer);
    let seen = usize::from(inner.height);
    let top = top.min(rows.saturating_sub(seen));
    let column_width = inner.width / columns as u16;
    for (n, line) in lines.iter().enumerate() {
        let (column, row) = (n / rows, n % rows);
        if row < top || row - top >= seen {
            continue;
        }
        buffer.set_line(inner.x + column as u16 * column_width, inner.y + (row - top) as u16, line, column_width);
    }
}

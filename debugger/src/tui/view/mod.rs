//! From the state to the screen: nothing else is read, and nothing is changed.

mod bars;
mod c_source;
mod explanation;
mod help;
mod listings;
mod machine;
mod memory;
mod reports;
mod rows;
mod terminal;
mod timeline;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph, Widget};

use super::layout::Group;
use super::pane::Pane;
use super::state::{MemoryShape, Mode, State};

pub use explanation::lines as explanation_lines;
pub use help::lines as help_lines;
pub use listings::code_text;
pub use machine::ordered_tasks;
pub use memory::ROW as MEMORY_ROW;
pub use rows::{Rows, rows};
pub use timeline::{column_of, tick_at};

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, state: &State) {
    // The terminal may have another size already than was told: what is drawn has to fit the buffer.
    let area = frame.area();
    let whole = state.screen();
    if area.width < whole.width || area.height < whole.height {
        return;
    }
    for (group, pane) in state.groups() {
        pane_in(frame, state, &group, pane);
    }
    bars::top(frame.buffer_mut(), state, Rect { height: whole.height.min(1), ..whole });
    let bottom = Rect { y: whole.height.saturating_sub(1), height: whole.height.min(1), ..whole };
    if let Some(cursor) = bars::bottom(frame.buffer_mut(), state, bottom) {
        frame.set_cursor_position(cursor);
    }
    match state.mode {
        Mode::Help(top) => help::draw(frame.buffer_mut(), state, top),
        Mode::Explanation(top) => explanation::draw(frame.buffer_mut(), state, top),
        _ => {}
    }
}

/// A group of panes: its frame, with the names of all, and the one that is seen.
fn pane_in(frame: &mut Frame<'_>, state: &State, group: &Group, pane: Pane) {
    let area = group.area;
    if area.height < 2 || area.width < 4 {
        return;
    }
    let theme = &state.theme;
    let inner = State::inner(area);
    let list = rows(state, pane, inner.width);
    let focused = state.focus == pane;
    let border = if focused { theme.focus } else { theme.frame };
    let kind = if focused { BorderType::Thick } else { BorderType::Plain };
    let block = Block::bordered().border_type(kind).border_style(border);
    block.render(area, frame.buffer_mut());
    let note = match (&list, pane) {
        (Some(list), _) => list.note.clone(),
        (None, Pane::Timeline) => timeline::note(state),
        (None, _) => terminal::note(state),
    };
    title(frame.buffer_mut(), state, group, pane, &note);
    if inner.is_empty() {
        return;
    }
    match (list, pane) {
        (Some(list), _) => list_in(frame.buffer_mut(), state, pane, &list, inner),
        (None, Pane::Timeline) => timeline::draw(frame.buffer_mut(), state, inner),
        (None, _) => {
            if let Some(cursor) = terminal::draw(frame.buffer_mut(), state, inner) {
                frame.set_cursor_position(cursor);
            }
        }
    }
}

/// The names of a group's panes as there is room for them.
fn tab_names(group: &Group) -> Vec<(Pane, &'static str)> {
    let room = usize::from(group.area.width.saturating_sub(4));
    let full: usize = group.panes.iter().map(|pane| pane.title().len() + 3).sum();
    let name = |pane: Pane| if full + 14 > room { pane.short() } else { pane.title() };
    group.panes.iter().map(|&pane| (pane, name(pane))).collect()
}

/// The pane whose name is at a column of the top of a group's frame.
pub fn tab_at(group: &Group, column: u16) -> Option<Pane> {
    let mut end = group.area.x + 1;
    tab_names(group).into_iter().find_map(|(pane, name)| {
        let start = end;
        end = end.saturating_add(name.chars().count() as u16 + 3);
        (start..end).contains(&column).then_some(pane)
    })
}

/// The names of the panes of a group, on the left of its frame, and a note on its right.
fn title(buffer: &mut Buffer, state: &State, group: &Group, pane: Pane, note: &str) {
    let theme = &state.theme;
    let area = group.area;
    let room = usize::from(area.width.saturating_sub(4));
    let mut spans: Vec<Span<'static>> = Vec::new();
    for (n, (other, name)) in tab_names(group).into_iter().enumerate() {
        if n > 0 {
            spans.push(rows::span("│", theme.frame));
        }
        let style = if other == pane { theme.title } else { theme.dim };
        spans.push(rows::span(format!(" {name} "), style));
    }
    let names = Line::from(spans);
    let used = names.width().min(room) as u16;
    buffer.set_line(area.x + 1, area.y, &names, area.width.saturating_sub(2));
    let frozen = state.pane(pane).frozen.is_some();
    let note = match (frozen, note) {
        (true, note) => format!(" {note} [frozen] "),
        (false, "") => return,
        (false, note) => format!(" {note} "),
    };
    let left = room.saturating_sub(usize::from(used));
    if left < 5 {
        return;
    }
    let note = if note.chars().count() > left {
        let skipped = note.chars().count() - left + 2;
        format!(" …{}", note.chars().skip(skipped).collect::<String>())
    } else {
        note
    };
    let width = note.chars().count() as u16;
    let style = if frozen { theme.changed } else { theme.dim };
    let at = area.right().saturating_sub(1 + width);
    buffer.set_line(at, area.y, &Line::styled(note, style), width);
}

/// A list, from its first visible row on, with the cursor's row marked if the pane has the keys.
fn list_in(buffer: &mut Buffer, state: &State, pane: Pane, list: &Rows<'_>, area: Rect) {
    let theme = &state.theme;
    let pane_state = state.pane(pane);
    let mut body = area;
    if let Some(heading) = &list.heading
        && area.height > 2
    {
        buffer.set_line(area.x, area.y, heading, area.width);
        body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    }
    if list.len == 0 {
        buffer.set_line(body.x + 1, body.y, &Line::styled(list.empty, theme.dim), body.width.saturating_sub(1));
        return;
    }
    // Where the window itself moves.
    let no_cursor =
        pane == Pane::Memory && state.memory.shape_for(&state.data_of(pane).sample.memory) == MemoryShape::Bytes;
    let search = pane_state.search.as_deref().filter(|search| !search.is_empty());
    for (row, index) in (pane_state.top..list.len).take(usize::from(body.height)).enumerate() {
        let line_area = Rect { y: body.y + row as u16, height: 1, ..body };
        let line = (list.line)(index);
        Paragraph::new(line).scroll((0, pane_state.left)).render(line_area, buffer);
        if let Some(search) = search {
            mark_found(buffer, line_area, search, theme.found);
        }
        if index == pane_state.cursor && state.focus == pane && !no_cursor {
            // What has a colour of its own keeps it.
            for x in line_area.left()..line_area.right() {
                if let Some(cell) = buffer.cell_mut((x, line_area.y)) {
                    let style = if cell.bg == ratatui::style::Color::Reset {
                        theme.cursor
                    } else {
                        theme.cursor.fg(cell.fg).bg(cell.bg)
                    };
                    cell.set_style(style);
                }
            }
        }
    }
    if list.len > usize::from(body.height) {
        scroll_mark(buffer, area, pane_state.top, list.len, usize::from(body.height), state);
    }
}

/// Marks what a search looks for in a line that is drawn.
fn mark_found(buffer: &mut Buffer, area: Rect, search: &str, style: ratatui::style::Style) {
    let exact = search.chars().any(char::is_uppercase);
    let signs: Vec<String> = (area.left()..area.right())
        .map(|x| {
            let symbol = buffer.cell((x, area.y)).map_or("", |cell| cell.symbol());
            if exact { symbol.to_owned() } else { symbol.to_lowercase() }
        })
        .collect();
    let wanted: Vec<String> = search.chars().map(|c| c.to_string()).collect();
    let mut at = 0;
    while !wanted.is_empty() && at + wanted.len() <= signs.len() {
        if signs[at..at + wanted.len()] == wanted[..] {
            let found = Rect { x: area.x + at as u16, width: wanted.len() as u16, ..area };
            buffer.set_style(found, style.remove_modifier(Modifier::DIM));
            at += wanted.len();
        } else {
            at += 1;
        }
    }
}

/// The same for a page that is not a pane, if it has more lines than are seen.
fn scroll_mark_at(buffer: &mut Buffer, area: Rect, top: usize, len: usize, state: &State) {
    let seen = usize::from(area.height);
    if len > seen && seen > 0 {
        scroll_mark(buffer, area, top, len, seen, state);
    }
}

/// Where in a list one is, on the right side of the frame.
fn scroll_mark(buffer: &mut Buffer, area: Rect, top: usize, len: usize, seen: usize, state: &State) {
    let height = usize::from(area.height);
    let size = (height * seen / len).clamp(1, height);
    let at = ((height - size) * top).div_ceil((len - seen).max(1)).min(height - size);
    for row in at..at + size {
        if let Some(cell) = buffer.cell_mut((area.right(), area.y + row as u16)) {
            cell.set_symbol("█").set_style(state.theme.frame);
        }
    }
}

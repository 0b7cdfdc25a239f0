//! The guest's console.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::{Color, Modifier, Style};

use crate::tui::pane::Pane;
use crate::tui::state::{Mode, State};
use crate::tui::theme::ThemeName;

/// What stands beside the title.
pub(super) fn note(state: &State) -> String {
    let screen = state.console_screen();
    let mut notes = Vec::new();
    if state.data.sample.history.as_ref().is_some_and(|history| history.in_the_past) {
        notes.push("as at present".to_owned());
    }
    if screen.scrollback() > 0 {
        notes.push(format!("{} lines back", screen.scrollback()));
    }
    if state.console.dropped > 0 {
        notes.push(format!("{} bytes dropped", state.console.dropped));
    }
    if state.mode == Mode::Typing {
        notes.push("keys go to the guest: Ctrl-] leaves".to_owned());
    }
    notes.join(", ")
}

/// Draws it; gives where the cursor is, if keys go to the guest.
pub(super) fn draw(buffer: &mut Buffer, state: &State, area: Rect) -> Option<Position> {
    let screen = state.console_screen();
    let colour: fn(vt100::Color) -> Color = if state.theme_name == ThemeName::Ansi { of_sixteen } else { colour };
    let colours = state.theme_name != ThemeName::Mono;
    for row in 0..area.height {
        for column in 0..area.width {
            let Some(cell) = screen.cell(row, column) else { continue };
            let Some(target) = buffer.cell_mut((area.x + column, area.y + row)) else { continue };
            // The second half of a wide one has nothing of its own. One that would leave the pane is not drawn.
            if cell.is_wide_continuation() || (cell.is_wide() && column + 1 >= area.width) {
                continue;
            }
            let contents = cell.contents();
            // Control characters have no place in a cell; vt100 keeps them out.
            target.set_symbol(if contents.is_empty() { " " } else { contents });
            let mut style = Style::new();
            if colours {
                style = style.fg(colour(cell.fgcolor())).bg(colour(cell.bgcolor()));
            }
            for (is, modifier) in [
                (cell.bold(), Modifier::BOLD),
                (cell.dim(), Modifier::DIM),
                (cell.italic(), Modifier::ITALIC),
                (cell.underline(), Modifier::UNDERLINED),
                (cell.inverse(), Modifier::REVERSED),
            ] {
                if is {
                    style = style.add_modifier(modifier);
                }
            }
            target.set_style(style);
        }
    }
    let (row, column) = screen.cursor_position();
    let seen = screen.scrollback() == 0 && !screen.hide_cursor() && row < area.height && column < area.width;
    if !seen {
        return None;
    }
    let at = Position::new(area.x + column, area.y + row);
    if state.mode == Mode::Typing && state.focus == Pane::Console {
        return Some(at);
    }
    if let Some(cell) = buffer.cell_mut(at) {
        cell.set_style(Style::new().add_modifier(Modifier::REVERSED));
    }
    None
}

fn colour(colour: vt100::Color) -> Color {
    match colour {
        vt100::Color::Default => Color::Reset,
        vt100::Color::Idx(index) => Color::Indexed(index),
        vt100::Color::Rgb(red, green, blue) => Color::Rgb(red, green, blue),
    }
}

/// The nearest of the sixteen colours that every terminal has.
fn of_sixteen(wanted: vt100::Color) -> Color {
    let (red, green, blue) = match wanted {
        vt100::Color::Default | vt100::Color::Idx(0..16) => return colour(wanted),
        // A cube of six steps each, and then greys.
        vt100::Color::Idx(index @ 16..232) => {
            let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let index = index - 16;
            (step(index / 36), step(index / 6 % 6), step(index % 6))
        }
        vt100::Color::Idx(index) => {
            let grey = 8 + 10 * (index - 232);
            (grey, grey, grey)
        }
        vt100::Color::Rgb(red, green, blue) => (red, green, blue),
    };
    let most = red.max(green).max(blue);
    let bit = |part: u8| u8::from(part > 64 && u16::from(part) * 2 > u16::from(most));
    let bits = bit(red) | bit(green) << 1 | bit(blue) << 2;
    let index = match (bits, most) {
        (7, ..192) => 8,
        (7, 192..240) => 7,
        (bits, 192..) => 8 + bits,
        (bits, _) => bits,
    };
    Color::Indexed(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_colours_stand_for_all() {
        use vt100::Color::{Default, Idx, Rgb};
        for (wanted, index) in [
            (Idx(3), 3),
            (Rgb(255, 0, 0), 9),
            (Rgb(130, 0, 0), 1),
            (Rgb(255, 255, 255), 15),
            (Rgb(200, 200, 200), 7),
            (Rgb(100, 100, 100), 8),
            (Rgb(0, 0, 0), 0),
            (Idx(196), 9),
            (Idx(46), 10),
            (Idx(21), 12),
            (Idx(232), 0),
            (Idx(244), 8),
            (Idx(255), 7),
        ] {
            assert_eq!(of_sixteen(wanted), Color::Indexed(index), "{wanted:?}");
        }
        assert_eq!(of_sixteen(Default), Color::Reset);
        for index in 0..=255 {
            assert!(matches!(of_sixteen(Idx(index)), Color::Indexed(0..16)), "{index}");
        }
    }
}

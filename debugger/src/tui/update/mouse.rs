//! The mouse.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;

use super::actions::{enter, goto, move_in, show_pane, toggle_breakpoint};
use super::body_height;
use crate::tui::event::Effect;
use crate::tui::pane::Pane;
use crate::tui::state::{Mode, State};
use crate::tui::view::{explanation_lines, rows, tab_at, tick_at};

/// Rows that a turn of the wheel moves by.
const WHEEL: i64 = 3;

/// Columns of a line of source in which a click is meant for a breakpoint.
const GUTTER: u16 = 6;

/// Deals with the mouse.
pub(super) fn mouse(state: &mut State, mouse: MouseEvent, effects: &mut Vec<Effect>) {
    let at = Position::new(mouse.column, mouse.row);
    if let Mode::Help(top) = state.mode {
        state.mode = match mouse.kind {
            MouseEventKind::ScrollDown => Mode::Help(top + 1),
            MouseEventKind::ScrollUp => Mode::Help(top.saturating_sub(1)),
            MouseEventKind::Down(_) => Mode::Normal,
            _ => Mode::Help(top),
        };
        return;
    }
    if let Mode::Explanation(top) = state.mode {
        let last = explanation_lines(state).len().saturating_sub(1);
        state.mode = match mouse.kind {
            MouseEventKind::ScrollDown => Mode::Explanation((top + 1).min(last)),
            MouseEventKind::ScrollUp => Mode::Explanation(top.saturating_sub(1)),
            MouseEventKind::Down(_) => Mode::Normal,
            _ => Mode::Explanation(top),
        };
        return;
    }
    let Some((group, pane)) = state.groups().into_iter().find(|(group, _)| group.area.contains(at)) else { return };
    let inner = State::inner(group.area);
    match mouse.kind {
        MouseEventKind::ScrollDown => move_in(state, pane, WHEEL),
        MouseEventKind::ScrollUp => move_in(state, pane, -WHEEL),
        MouseEventKind::Down(MouseButton::Left) if at.y == group.area.y => {
            let pane = if state.zoomed { pane } else { tab_at(&group, at.x).unwrap_or(pane) };
            leave_typing(state, pane);
            show_pane(state, pane);
        }
        MouseEventKind::Down(MouseButton::Left) => {
            let had_keys = state.focus == pane;
            leave_typing(state, pane);
            state.focus = pane;
            if !inner.contains(at) {
                return;
            }
            if pane == Pane::Timeline {
                state.scrub = Some(tick_at(&state.data, at.x - inner.x, inner.width));
                return;
            }
            let heading =
                usize::from(inner.height) - body_height(state, pane, group.area).min(usize::from(inner.height));
            let Some(len) = rows(state, pane, inner.width).map(|rows| rows.len) else { return };
            let Some(row) = usize::from(at.y - inner.y).checked_sub(heading) else { return };
            let row = state.pane(pane).top + row;
            if row >= len {
                return;
            }
            let again = had_keys && state.pane(pane).cursor == row;
            let pane_state = state.pane_mut(pane);
            pane_state.cursor = row;
            pane_state.follows = false;
            match pane {
                Pane::Source | Pane::Disassembly if at.x < inner.x + GUTTER => toggle_breakpoint(state, effects),
                _ if again => enter(state, effects),
                _ => {}
            }
        }
        MouseEventKind::Drag(MouseButton::Left) if pane == Pane::Timeline && state.focus == pane => {
            let column = at.x.saturating_sub(inner.x);
            state.scrub = Some(tick_at(&state.data, column, inner.width));
        }
        MouseEventKind::Up(MouseButton::Left) if pane == Pane::Timeline && state.focus == pane => {
            if let Some(tick) = state.scrub {
                goto(state, tick, effects);
            }
        }
        _ => {}
    }
}

/// Keys go to the guest only as long as its console is looked at.
fn leave_typing(state: &mut State, pane: Pane) {
    if state.mode == Mode::Typing && pane != Pane::Console {
        state.mode = Mode::Normal;
    }
}

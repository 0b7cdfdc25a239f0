//! Keys that look around and drive the machine.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Direction;

use super::actions::{
    Way, bookmark, delete_point, drive, enter, freeze, goto, jump, memory_before, message, move_by, next_memory_shape,
    page, scrub_by, show_pane, step_instruction, switch_tab, toggle_breakpoint, toggle_point, watch_shown,
};
use super::{body_height, jump_to_here, leave, pages, prompt, typing};
use crate::tui::event::Effect;
use crate::tui::pane::Pane;
use crate::tui::sample::{Doing, Mark};
use crate::tui::state::{Mode, Prefix, Prompt, PromptKind, State};
use crate::tui::view::{rows, tick_at};

/// Deals with a key.
pub(super) fn key(state: &mut State, key: KeyEvent, effects: &mut Vec<Effect>) {
    if key.kind == KeyEventKind::Release {
        return;
    }
    let key = unshifted(key);
    // Some work in every mode: what drives the machine is at hand also where one types.
    if !matches!(state.mode, Mode::Prompt(_)) && function_key(state, key, effects) {
        return;
    }
    match std::mem::take(&mut state.mode) {
        Mode::Typing => typing::key(state, key, effects),
        Mode::Prompt(prompt) => prompt::key(state, prompt, key, effects),
        Mode::Help(top) => pages::help(state, top, key),
        Mode::Explanation(top) => pages::explanation(state, top, key, effects),
        Mode::Prefix(prefix) => prefixed(state, prefix, key, effects),
        Mode::Leaving => match key.code {
            KeyCode::Char('y' | 'Y' | 'q') => leave(state, effects),
            _ => state.message = None,
        },
        Mode::Normal => {
            state.message = None;
            normal(state, key, effects);
        }
    }
}

/// F13 to F24 are what some terminals make of Shift and F1 to F12.
fn unshifted(key: KeyEvent) -> KeyEvent {
    match key.code {
        KeyCode::F(n @ 13..=24) => {
            KeyEvent { code: KeyCode::F(n - 12), modifiers: key.modifiers | KeyModifiers::SHIFT, ..key }
        }
        _ => key,
    }
}

/// The keys of debuggers. Says whether it is one.
fn function_key(state: &mut State, key: KeyEvent, effects: &mut Vec<Effect>) -> bool {
    let back = key.modifiers.contains(KeyModifiers::SHIFT);
    let way = match key.code {
        KeyCode::F(5) => Way::Continue,
        KeyCode::F(8 | 10) => Way::Next,
        KeyCode::F(7 | 11) => Way::Step,
        KeyCode::F(12) => Way::Finish,
        KeyCode::F(9) => {
            toggle_breakpoint(state, effects);
            return true;
        }
        KeyCode::F(1) => {
            state.mode = Mode::Help(0);
            return true;
        }
        _ => return false,
    };
    state.message = None;
    drive(state, way, back, effects);
    true
}

fn prefixed(state: &mut State, prefix: Prefix, key: KeyEvent, effects: &mut Vec<Effect>) {
    let KeyCode::Char(c) = key.code else { return };
    match prefix {
        Prefix::Go if c == 'g' => to_row(state, 0),
        Prefix::Go => match Pane::of_key(c) {
            Some(pane) => show_pane(state, pane),
            None => message(state, Mark::Plain, format!("no pane has the key {c}: `?` lists them")),
        },
        Prefix::Mark => bookmark(state, c),
        Prefix::Jump => jump(state, c, effects),
    }
}

fn normal(state: &mut State, key: KeyEvent, effects: &mut Vec<Effect>) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    let focus = state.focus;
    let half = i64::try_from(page(state) / 2).unwrap_or(1).max(1);
    let whole = i64::try_from(page(state)).unwrap_or(1).max(1);
    match key.code {
        KeyCode::Char('c') if control => stop(state, effects),
        KeyCode::Char('l') if control => state.anew = true,
        KeyCode::Char('d') if control => move_by(state, half),
        KeyCode::Char('u') if control => move_by(state, -half),
        KeyCode::Char('f') if control => move_by(state, whole),
        KeyCode::Char('b') if control => move_by(state, -whole),
        KeyCode::Char(_) if control || alt => {}
        KeyCode::Char('q') => match state.data.sample.doing {
            Doing::Ended(_) | Doing::Gone(_) => leave(state, effects),
            _ => state.mode = Mode::Leaving,
        },
        KeyCode::Char('?') => state.mode = Mode::Help(0),
        KeyCode::Char(':') => state.mode = Mode::Prompt(Prompt::new(PromptKind::Command, "")),
        KeyCode::Char('/') => state.mode = Mode::Prompt(Prompt::new(PromptKind::Search, "")),
        KeyCode::Char('n') => search_on(state, true),
        KeyCode::Char('N') => search_on(state, false),
        KeyCode::Char(' ') => match state.data.sample.doing {
            Doing::Stopped => drive(state, Way::Continue, false, effects),
            _ => stop(state, effects),
        },
        KeyCode::Char(c @ ('c' | 'C')) => drive(state, Way::Continue, c == 'C', effects),
        KeyCode::Char(c @ ('x' | 'X')) => drive(state, Way::Next, c == 'X', effects),
        KeyCode::Char(c @ ('s' | 'S')) => drive(state, Way::Step, c == 'S', effects),
        KeyCode::Char(c @ ('u' | 'U')) => drive(state, Way::Finish, c == 'U', effects),
        KeyCode::Char(c @ (',' | '.')) => step_instruction(state, c == ',', effects),
        KeyCode::Char('b') => toggle_breakpoint(state, effects),
        KeyCode::Char('z') => state.zoomed = !state.zoomed,
        KeyCode::Char('f') => freeze(state),
        KeyCode::Char('g') => state.mode = Mode::Prefix(Prefix::Go),
        KeyCode::Char('m') => state.mode = Mode::Prefix(Prefix::Mark),
        KeyCode::Char('\'') => state.mode = Mode::Prefix(Prefix::Jump),
        KeyCode::Char('G') | KeyCode::End if focus != Pane::Timeline => to_row(state, usize::MAX),
        KeyCode::Home if focus != Pane::Timeline => to_row(state, 0),
        KeyCode::Char('[') => switch_tab(state, false),
        KeyCode::Char(']') => switch_tab(state, true),
        KeyCode::Char(c @ '1'..='9') => choose_layout(state, c as usize - '1' as usize),
        KeyCode::Char(c @ ('<' | '>')) => resize(state, Direction::Horizontal, c == '>'),
        KeyCode::Char(c @ ('-' | '+' | '=')) => resize(state, Direction::Vertical, c != '-'),
        KeyCode::Char('r') => back_to_here(state),
        KeyCode::Char('o') => {
            state.task_order = state.task_order.next();
            message(state, Mark::Plain, format!("tasks by {}", state.task_order.word()));
        }
        KeyCode::Char('v') if focus == Pane::Cpus => {
            let pane = state.pane_mut(focus);
            pane.other_view = !pane.other_view;
        }
        KeyCode::Char('v') if focus == Pane::Memory => next_memory_shape(state),
        KeyCode::Backspace if focus == Pane::Memory => memory_before(state),
        KeyCode::Char('i') if focus == Pane::Console => typing::begin(state),
        KeyCode::Char('i') => {
            show_pane(state, Pane::Console);
            typing::begin(state);
        }
        KeyCode::Char('e') if focus == Pane::Memory => {
            state.mode = Mode::Prompt(Prompt::new(PromptKind::Command, "memory "));
        }
        KeyCode::Char('e') if focus == Pane::Points => toggle_point(state, effects),
        KeyCode::Char('e' | 'E') => pages::explain(state, effects),
        KeyCode::Char('d') | KeyCode::Delete if focus == Pane::Points => delete_point(state, effects),
        KeyCode::Char('w') => watch_shown(state),
        KeyCode::Char(c @ ('H' | 'L')) if focus == Pane::Timeline => scrub_by(state, if c == 'H' { -10 } else { 10 }),
        KeyCode::Char('h') | KeyCode::Left if focus == Pane::Timeline => scrub_by(state, -1),
        KeyCode::Char('l') | KeyCode::Right if focus == Pane::Timeline => scrub_by(state, 1),
        KeyCode::Char('0') | KeyCode::Home if focus == Pane::Timeline => {
            state.scrub = Some(tick_at(&state.data, 0, 2));
        }
        KeyCode::Char('$') | KeyCode::End if focus == Pane::Timeline => {
            state.scrub = Some(tick_at(&state.data, 1, 2));
        }
        KeyCode::Char('h') | KeyCode::Left => {
            let pane = state.pane_mut(focus);
            pane.left = pane.left.saturating_sub(8);
        }
        KeyCode::Char('l') | KeyCode::Right => {
            let pane = state.pane_mut(focus);
            pane.left = pane.left.saturating_add(8).min(1000);
        }
        KeyCode::Char('j') | KeyCode::Down => move_by(state, 1),
        KeyCode::Char('k') | KeyCode::Up => move_by(state, -1),
        KeyCode::PageDown => move_by(state, whole),
        KeyCode::PageUp => move_by(state, -whole),
        KeyCode::Tab => next_pane(state, true),
        KeyCode::BackTab => next_pane(state, false),
        KeyCode::Enter => enter(state, effects),
        KeyCode::Esc => escape(state, effects),
        _ => {}
    }
}

/// Asks the machine to stop.
fn stop(state: &mut State, effects: &mut Vec<Effect>) {
    match state.data.sample.doing {
        Doing::Running | Doing::Travelling => effects.push(Effect::Interrupt),
        Doing::Stopped => message(state, Mark::Plain, "it is stopped: F5 continues, q leaves"),
        _ => {}
    }
}

/// Gives up what is half done: a look back, a search, a scroll, a zoom.
fn escape(state: &mut State, effects: &mut Vec<Effect>) {
    if state.data.sample.doing == Doing::Travelling {
        return stop(state, effects);
    }
    let focus = state.focus;
    if state.scrub.take().is_some() {
        return;
    }
    state.console.to_the_end();
    let pane = state.pane_mut(focus);
    if pane.search.take().is_none() && pane.left == 0 {
        state.zoomed = false;
    } else {
        pane.left = 0;
    }
}

/// Goes on with the search.
fn search_on(state: &mut State, forwards: bool) {
    let Some(search) = state.pane(state.focus).search.clone().filter(|search| !search.is_empty()) else {
        message(state, Mark::Plain, "nothing was searched for: / searches (F10 or x is next)");
        return;
    };
    let cursor = state.pane(state.focus).cursor;
    let found = rows(state, state.focus, 200).and_then(|rows| {
        let from = if forwards { cursor + 1 } else { (cursor + rows.len).saturating_sub(1) };
        rows.find(&search, from % rows.len.max(1), forwards)
    });
    match found {
        Some(row) => to_row(state, row),
        None => message(state, Mark::Problem, format!("{search} is not in this pane")),
    }
}

/// Puts the cursor on a row, or on the last one.
pub(super) fn to_row(state: &mut State, row: usize) {
    let focus = state.focus;
    if focus == Pane::Memory && row == 0 {
        state.memory.rows = 0;
    }
    if focus == Pane::Console {
        match row {
            0 => state.console.scroll(i64::MAX),
            _ => state.console.to_the_end(),
        }
    }
    let len = rows(state, focus, 80).map_or(0, |rows| rows.len);
    let pane = state.pane_mut(focus);
    pane.cursor = row.min(len.saturating_sub(1));
    pane.follows = focus.grows() && pane.cursor + 1 >= len;
}

fn next_pane(state: &mut State, forwards: bool) {
    let visible: Vec<Pane> = match state.zoomed {
        // Zoomed, all panes of the layout are gone through.
        true => state.current_layout().groups(state.room()).into_iter().flat_map(|group| group.panes).collect(),
        false => state.visible().into_iter().map(|(pane, _)| pane).collect(),
    };
    let len = visible.len();
    let Some(at) = visible.iter().position(|pane| *pane == state.focus) else { return };
    state.focus = visible[if forwards { (at + 1) % len } else { (at + len - 1) % len }];
    if state.zoomed {
        show_pane(state, state.focus);
    }
}

/// Chooses a layout by its place.
pub(super) fn choose_layout(state: &mut State, number: usize) {
    match state.settings.layouts.get(number) {
        Some(layout) => {
            let name = layout.name.clone();
            state.layout = number;
            state.zoomed = false;
            state.settings.layout = name.clone();
            message(state, Mark::Plain, format!("layout {name}; `:save` keeps it for the next time"));
        }
        None => {
            let names = state.settings.layouts.iter().enumerate();
            let names: Vec<_> = names.map(|(n, layout)| format!("{} {}", n + 1, layout.name)).collect();
            message(state, Mark::Plain, format!("layouts: {}", names.join(", ")));
        }
    }
}

fn resize(state: &mut State, direction: Direction, more: bool) {
    if state.zoomed {
        return;
    }
    let room = state.room();
    let group = state.groups().into_iter().find(|(_, pane)| *pane == state.focus).map(|(group, _)| group.number);
    let layout = state.layout;
    if let (Some(group), Some(layout)) = (group, state.settings.layouts.get_mut(layout)) {
        layout.tree_mut(room).resize(group, direction, more);
    }
}

/// Cursors go to where the machine is.
fn back_to_here(state: &mut State) {
    state.scrub = None;
    for pane in [Pane::Source, Pane::Disassembly, Pane::Stack, Pane::Tasks] {
        jump_to_here(state, pane);
    }
}

/// Rows of a page of the focused pane.
pub(super) fn page_of(state: &State, pane: Pane) -> usize {
    let area = state.visible().into_iter().find(|(other, _)| *other == pane).map(|(_, area)| area);
    area.map_or(1, |area| body_height(state, pane, area))
}

/// Goes to the timeline's cursor.
pub(super) fn goto_scrub(state: &mut State, effects: &mut Vec<Effect>) {
    match state.scrub {
        Some(tick) => goto(state, tick, effects),
        None => message(state, Mark::Plain, "h and l move the timeline's cursor; Enter goes there"),
    }
}

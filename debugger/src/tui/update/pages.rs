//! Pages over the panes: the keys, and what went wrong.

use crossterm::event::{KeyCode, KeyEvent};

use super::actions::{goto, message};
use crate::tui::event::Effect;
use crate::tui::sample::{Doing, Mark};
use crate::tui::state::{Mode, State};
use crate::tui::view::{explanation_lines, help_lines};

/// Where a page of so many lines begins after a key; none if that closes it.
fn moved(state: &State, top: usize, lines: usize, key: KeyCode) -> Option<usize> {
    let seen = usize::from(state.room().height.saturating_sub(2));
    let top = match key {
        KeyCode::Char('j') | KeyCode::Down => top + 1,
        KeyCode::Char('k') | KeyCode::Up => top.saturating_sub(1),
        KeyCode::PageDown | KeyCode::Char(' ') => top + 10,
        KeyCode::PageUp => top.saturating_sub(10),
        KeyCode::Char('G') | KeyCode::End => lines,
        KeyCode::Char('g') | KeyCode::Home => 0,
        _ => return None,
    };
    Some(top.min(lines.saturating_sub(seen)))
}

/// A key on the page of keys.
pub(super) fn help(state: &mut State, top: usize, key: KeyEvent) {
    if let Some(top) = moved(state, top, help_lines(state).len(), key.code) {
        state.mode = Mode::Help(top);
    }
}

/// A key on the page that says what went wrong.
pub(super) fn explanation(state: &mut State, top: usize, key: KeyEvent, effects: &mut Vec<Effect>) {
    if let Some(top) = moved(state, top, explanation_lines(state).len(), key.code) {
        state.mode = Mode::Explanation(top);
    } else if let (KeyCode::Enter, Some((_, Some(tick)))) = (key.code, &state.explanation) {
        goto(state, *tick, effects);
    }
}

/// Asks what went wrong; of a recording, once.
pub(super) fn explain(state: &mut State, effects: &mut Vec<Effect>) {
    let sample = &state.data.sample;
    let recorded = sample.history.as_ref().is_some_and(|history| history.end.is_some());
    let text = match (&sample.history, &sample.doing) {
        (_, Doing::Running | Doing::Travelling | Doing::Starting) => "it runs: space stops it",
        (_, Doing::Gone(_)) => "the machine is gone",
        (None, _) => "this run keeps no past: what went wrong is found by going back",
        (Some(_), Doing::Stopped | Doing::Ended(_)) if recorded && state.explanation.is_some() => {
            state.mode = Mode::Explanation(0);
            return;
        }
        (Some(_), Doing::Stopped | Doing::Ended(_)) => {
            effects.push(Effect::Explain);
            message(
                state,
                Mark::Plain,
                "the run is looked through, from what went wrong back to who did it; Esc gives it up",
            );
            return;
        }
    };
    message(state, Mark::Problem, text);
}

//! The one function that changes the state.

mod actions;
mod keys;
mod mouse;
mod pages;
mod prompt;
mod typing;

use super::data::Data;
use super::event::{Effect, Event, FromSession, Wants};
use super::pane::Pane;
use super::sample::{Doing, Mark};
use super::state::{Mode, State};
use super::view::{MEMORY_ROW, rows};

/// Changes the state by an event; gives what is asked of the session.
pub fn update(state: &mut State, event: Event) -> Vec<Effect> {
    let mut effects = Vec::new();
    match event {
        Event::Key(key) => keys::key(state, key, &mut effects),
        Event::Mouse(mouse) => mouse::mouse(state, mouse, &mut effects),
        Event::Paste(text) => prompt::paste(state, &text, &mut effects),
        Event::Resize(columns, rows) => state.size = (columns, rows),
        Event::Session(told) => session(state, told),
        Event::Leave => leave(state, &mut effects),
    }
    settle(state, &mut effects);
    effects
}

/// Ends the screen and the run.
fn leave(state: &mut State, effects: &mut Vec<Effect>) {
    state.over = true;
    effects.push(Effect::Quit);
}

fn session(state: &mut State, told: FromSession) {
    match &told {
        FromSession::Console { bytes, dropped } => state.console.print(bytes, *dropped),
        FromSession::Failed(error) => state.message = Some((Mark::Problem, error.clone())),
        FromSession::Completion { line, start, candidates } => prompt::completed(state, line, *start, candidates),
        FromSession::Leave => state.over = true,
        FromSession::Gone(words) => {
            state.data.sample.doing = Doing::Gone(words.clone());
            state.message = Some((Mark::Problem, format!("the machine is gone: {words}")));
        }
        FromSession::Stopped(_) => {
            state.scrub = None;
            if state.mode == Mode::Typing {
                // What is typed at a machine that stands still is not heard.
                state.mode = Mode::Normal;
            }
        }
        FromSession::Ended(text) => {
            state.mode = if state.mode == Mode::Typing { Mode::Normal } else { std::mem::take(&mut state.mode) };
            state.message = text.headline().map(|headline| (Mark::Headline, headline));
        }
        // What was typed is known to who typed it.
        FromSession::Said(text)
            if text.0.first().and_then(|line| line.first()).is_some_and(|(mark, _)| *mark == Mark::Typed) => {}
        FromSession::Said(text) if !seen(state, Pane::Commands) => {
            state.message = text.headline().map(|headline| (Mark::Plain, headline));
        }
        FromSession::Explained { text, at } => {
            state.explanation = Some((text.clone(), *at));
            state.message = None;
            // Who does something else by now is not disturbed.
            if state.mode == Mode::Normal {
                state.mode = Mode::Explanation(0);
            }
        }
        FromSession::Said(_) | FromSession::Sample(_) | FromSession::Events { .. } => {}
    }
    let before = places(&state.data);
    state.data.take(told);
    let after = places(&state.data);
    for (pane, (before, after)) in PLACED.into_iter().zip(before.into_iter().zip(after)) {
        if before != after && state.pane(pane).frozen.is_none() {
            jump_to_here(state, pane);
        }
    }
}

/// Panes with a row that comes next.
const PLACED: [Pane; 3] = [Pane::Source, Pane::Disassembly, Pane::Stack];

/// What the places of [`PLACED`] depend on: where these change, the cursors go there.
fn places(data: &Data) -> [Option<String>; 3] {
    let sample = &data.sample;
    let frame = sample.stack.frames.get(sample.stack.selected);
    let source =
        sample.source.as_ref().map(|source| format!("{} {:?} {}", source.file, source.line, source.lines.is_some()));
    let function =
        sample.function.as_ref().map(|function| format!("{} {:?}", function.name, frame.map(|frame| frame.address)));
    let stack = sample.stack.task.as_ref().map(|task| format!("{} {}", task.runner.0, sample.stack.selected));
    [source, function, stack]
}

/// Puts a pane's cursor on the row that comes next.
fn jump_to_here(state: &mut State, pane: Pane) {
    let here = rows(state, pane, 80).and_then(|rows| rows.here);
    if let Some(here) = here {
        let pane_state = state.pane_mut(pane);
        pane_state.cursor = here;
        pane_state.left = 0;
    }
}

/// Whether a pane is on the screen.
fn seen(state: &State, pane: Pane) -> bool {
    state.visible().iter().any(|(other, _)| *other == pane)
}

/// Rows of a pane's list that fit, in an area with frame.
fn body_height(state: &State, pane: Pane, area: ratatui::layout::Rect) -> usize {
    let inner = State::inner(area);
    let heading = rows(state, pane, inner.width).is_some_and(|rows| rows.heading.is_some());
    usize::from(inner.height - u16::from(heading && inner.height > 2))
}

/// After every event: cursors are where there are rows, what has to be seen is seen, and the session knows what that is.
fn settle(state: &mut State, effects: &mut Vec<Effect>) {
    let visible = state.visible();
    if visible.iter().all(|(pane, _)| *pane != state.focus)
        && let Some((first, _)) = visible.first()
    {
        state.focus = *first;
    }
    let mut memory_rows = 0;
    for &(pane, area) in &visible {
        let inner = State::inner(area);
        if pane == Pane::Console {
            state.console.resize(inner.height, inner.width);
        }
        if pane == Pane::Memory {
            memory_rows = u64::from(inner.height);
        }
        let Some(len) = rows(state, pane, inner.width).map(|rows| rows.len) else { continue };
        let height = body_height(state, pane, area);
        let pane_state = state.pane_mut(pane);
        if pane_state.follows {
            pane_state.cursor = len;
        }
        pane_state.cursor = pane_state.cursor.min(len.saturating_sub(1));
        pane_state.top = top_for(pane_state.top, pane_state.cursor, height, len);
    }
    let wants = Wants {
        panes: visible.iter().map(|(pane, _)| *pane).collect(),
        memory: state.memory.expression.clone(),
        offset: state.memory.rows.saturating_mul(MEMORY_ROW as i64),
        len: memory_rows * MEMORY_ROW,
    };
    if wants != state.wants && !state.over {
        state.wants = wants.clone();
        effects.push(Effect::Watch(wants));
    }
}

/// The first row that is seen, so that the cursor's is: moved as little as possible, unless it is far away.
fn top_for(top: usize, cursor: usize, height: usize, len: usize) -> usize {
    /// Rows that a list is moved by without losing one's place.
    const NEAR: usize = 3;
    let height = height.max(1);
    let last = len.saturating_sub(height);
    let middle = cursor.saturating_sub(height / 3);
    let top = match () {
        () if cursor < top && top - cursor <= NEAR => cursor,
        () if cursor < top => middle,
        () if cursor >= top + height && cursor - (top + height) < NEAR => cursor + 1 - height,
        () if cursor >= top + height => middle,
        () => top,
    };
    top.min(last)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_moves_by_a_row_at_its_edge_and_leaps_to_what_is_far() {
        assert_eq!(top_for(0, 10, 10, 100), 1);
        assert_eq!(top_for(5, 4, 10, 100), 4);
        assert_eq!(top_for(5, 9, 10, 100), 5);
        assert_eq!(top_for(0, 60, 12, 100), 56);
        assert_eq!(top_for(80, 10, 12, 100), 6);
        assert_eq!(top_for(0, 99, 12, 100), 88, "no empty rows at the end");
        assert_eq!(top_for(50, 0, 10, 0), 0);
    }

    proptest! {
        #[test]
        fn the_cursor_is_always_seen(top in 0usize..200, cursor in 0usize..200, height in 1usize..80, len in 1usize..200) {
            let cursor = cursor.min(len - 1);
            let top = top_for(top, cursor, height, len);
            prop_assert!(top <= cursor && cursor < top + height);
        }
    }
}

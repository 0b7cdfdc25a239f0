//! What keys and the mouse do.

use wkdb_tracer::{CodeAddress, Tick};

use super::keys::{goto_scrub, page_of};
use super::typing;
use crate::commands::FieldView;
use crate::tui::event::Effect;
use crate::tui::pane::Pane;
use crate::tui::sample::{Doing, Mark};
use crate::tui::state::{Bookmark, Frozen, MemoryShape, Mode, Prompt, PromptKind, State};
use crate::tui::view::{code_text, column_of, ordered_tasks, rows, tick_at};

/// Places in memory that were shown and can be come back to.
const KEPT_PLACES: usize = 100;

/// How the machine goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Continue,
    Next,
    Step,
    Finish,
}

/// Tells the person something, until the next key.
pub(super) fn message(state: &mut State, mark: Mark, text: impl Into<String>) {
    state.message = Some((mark, text.into()));
}

fn command(line: impl Into<String>) -> Effect {
    Effect::Command { line: line.into(), typed: false }
}

/// Lets the machine go on, or back.
pub(super) fn drive(state: &mut State, way: Way, back: bool, effects: &mut Vec<Effect>) {
    let name = match way {
        Way::Continue => "continue",
        Way::Next => "next",
        Way::Step => "step",
        Way::Finish => "finish",
    };
    go(state, if back { format!("reverse-{name}") } else { name.to_owned() }, back, effects);
}

/// One instruction on, or back.
pub(super) fn step_instruction(state: &mut State, back: bool, effects: &mut Vec<Effect>) {
    go(state, if back { "reverse-stepi" } else { "stepi" }.to_owned(), back, effects);
}

fn go(state: &mut State, line: String, back: bool, effects: &mut Vec<Effect>) {
    let problem = match &state.data.sample.doing {
        Doing::Stopped | Doing::Ended(_) if back && state.data.sample.history.is_none() => {
            "this run keeps no past: it can only go forwards"
        }
        Doing::Stopped => {
            effects.push(command(line));
            return;
        }
        Doing::Ended(_) if back => {
            effects.push(command(line));
            return;
        }
        // It is stopped for that.
        Doing::Running if back && state.data.sample.history.is_some() => {
            effects.push(command(line));
            return;
        }
        Doing::Running | Doing::Travelling => "it runs: space stops it",
        Doing::Starting => "it has not started yet",
        Doing::Ended(_) => "the run is over",
        Doing::Gone(_) => "the machine is gone",
    };
    message(state, Mark::Problem, problem);
}

/// Goes to a moment.
pub(super) fn goto(state: &mut State, tick: Tick, effects: &mut Vec<Effect>) {
    match (&state.data.sample.history, &state.data.sample.doing) {
        (None, _) => message(state, Mark::Problem, "this run keeps no past: one can only look at the present"),
        (Some(_), Doing::Travelling) => message(state, Mark::Problem, "it runs: space stops it"),
        (Some(_), _) => {
            effects.push(command(format!("goto {tick}")));
            message(state, Mark::Plain, format!("going to tick {tick}"));
        }
    }
}

/// Sets a bookmark.
pub(super) fn bookmark(state: &mut State, name: char) {
    if !name.is_ascii_alphanumeric() {
        message(state, Mark::Problem, "a bookmark's name is a letter or digit");
        return;
    }
    let sample = &state.data.sample;
    let (tick, time) = (sample.tick, sample.time);
    state.bookmarks.insert(name, Bookmark { tick, time });
    message(state, Mark::Plain, format!("bookmark {name}: tick {tick}; '{name} comes back"));
}

/// Goes to a bookmark.
pub(super) fn jump(state: &mut State, name: char, effects: &mut Vec<Effect>) {
    match state.bookmarks.get(&name).copied() {
        Some(bookmark) => goto(state, bookmark.tick, effects),
        None => message(state, Mark::Problem, format!("there is no bookmark {name}: m{name} sets it")),
    }
}

/// Gives a pane the keys, and shows it.
pub(super) fn show_pane(state: &mut State, pane: Pane) {
    state.go_to(pane);
}

/// The next or previous pane of the same place.
pub(super) fn switch_tab(state: &mut State, forwards: bool) {
    let focus = state.focus;
    let groups = state.current_layout().groups(state.room());
    let Some(group) = groups.into_iter().find(|group| group.panes.contains(&focus)) else { return };
    let len = group.panes.len();
    let at = group.panes.iter().position(|pane| *pane == focus).unwrap_or(0);
    show_pane(state, group.panes[if forwards { (at + 1) % len } else { (at + len - 1) % len }]);
}

/// Rows of a page of the focused pane.
pub(super) fn page(state: &State) -> usize {
    page_of(state, state.focus)
}

/// Moves the cursor; by more than a few rows, what is seen with it.
pub(super) fn move_by(state: &mut State, rows_down: i64) {
    move_in(state, state.focus, rows_down);
}

/// Moves a pane's cursor.
pub(super) fn move_in(state: &mut State, pane: Pane, rows_down: i64) {
    match pane {
        Pane::Console => state.console.scroll(-rows_down),
        Pane::Memory if slides(state, rows_down) => {
            state.memory.rows = state.memory.rows.saturating_add(rows_down);
        }
        Pane::Timeline => {}
        pane => {
            let len = rows(state, pane, 80).map_or(0, |rows| rows.len);
            let pane_state = state.pane_mut(pane);
            let moved = |at: usize| {
                let at = i64::try_from(at).unwrap_or(i64::MAX).saturating_add(rows_down).max(0);
                usize::try_from(at).unwrap_or(0).min(len.saturating_sub(1))
            };
            pane_state.cursor = moved(pane_state.cursor);
            if rows_down.abs() > 1 {
                pane_state.top = moved(pane_state.top);
            }
            pane_state.follows = pane.grows() && pane_state.cursor + 1 >= len;
        }
    }
}

/// Keeps a pane as it is, or lets it go on.
pub(super) fn freeze(state: &mut State) {
    let focus = state.focus;
    let frozen = match (state.pane(focus).frozen.is_some(), focus) {
        (true, _) => None,
        (false, Pane::Console) => Some(Frozen::Screen(Box::new(state.console.screen().clone()))),
        (false, _) => Some(Frozen::Data(Box::new(state.data.clone()))),
    };
    let text = match frozen {
        Some(_) => format!("{} stays as it is: f lets it go on", focus.title()),
        None => format!("{} goes on", focus.title()),
    };
    state.pane_mut(focus).frozen = frozen;
    message(state, Mark::Plain, text);
}

/// Moves the timeline's cursor by columns.
pub(super) fn scrub_by(state: &mut State, columns: i32) {
    let area = state.visible().into_iter().find(|(pane, _)| *pane == Pane::Timeline).map(|(_, area)| area);
    let width = area.map_or(2, |area| State::inner(area).width).max(2);
    let from = state.scrub.unwrap_or(state.data.sample.tick);
    let column = column_of(&state.data, from, width).unwrap_or(0);
    let mut next = i32::from(column).saturating_add(columns).clamp(0, i32::from(width) - 1) as u16;
    // Columns stand for many positions, or several for one: a key moves in any case.
    if tick_at(&state.data, next, width) == from && next > 0 && next + 1 < width {
        next = if columns > 0 { next + 1 } else { next - 1 };
    }
    state.scrub = Some(tick_at(&state.data, next, width));
}

/// What Enter does in the focused pane.
pub(super) fn enter(state: &mut State, effects: &mut Vec<Effect>) {
    let cursor = state.pane(state.focus).cursor;
    match state.focus {
        Pane::Console => typing::begin(state),
        Pane::Timeline => goto_scrub(state, effects),
        Pane::Tasks => {
            if let Some(task) = ordered_tasks(state).get(cursor) {
                effects.push(Effect::LookAt(task.runner, 0));
            }
        }
        Pane::Cpus => {
            let cpus = &state.data_of(Pane::Cpus).sample.cpus;
            let task = cpus.get(cursor).and_then(|cpu| cpu.task.as_ref());
            if let (Some(task), false) = (task, state.pane(Pane::Cpus).other_view) {
                effects.push(Effect::LookAt(task.runner, 0));
            }
        }
        Pane::Stack => {
            let stack = &state.data_of(Pane::Stack).sample.stack;
            if let (Some(task), true) = (&stack.task, cursor < stack.frames.len()) {
                effects.push(Effect::LookAt(task.runner, cursor));
            }
        }
        Pane::Events | Pane::Findings => {
            let data = state.data_of(state.focus);
            let list = if state.focus == Pane::Events { &data.events } else { &data.findings };
            if let Some(tick) = list.get(cursor).and_then(|row| row.tick) {
                goto(state, tick, effects);
            }
        }
        Pane::Variables => {
            if let Some(expression) = variable_memory(state) {
                show_memory(state, expression);
            }
        }
        Pane::Memory => {
            if let Some(expression) = field(state).and_then(pointed_to) {
                show_memory(state, expression);
            }
        }
        Pane::Points => {
            let point = state.data_of(Pane::Points).sample.points.get(cursor);
            if let Some((address, _)) = point.and_then(|point| point.watched) {
                show_memory(state, format!("{address:#x}"));
            }
        }
        _ => {}
    }
}

/// The memory of the variable under the cursor: where it points to, or where it is.
fn variable_memory(state: &State) -> Option<String> {
    let variable = state.data_of(Pane::Variables).sample.variables.get(state.pane(Pane::Variables).cursor)?;
    // As pointers are printed: with their type before the number.
    let pointer = variable.value.starts_with('(') && variable.value.contains("*) 0x");
    let whole = variable.value.starts_with('{');
    Some(if pointer || whole { variable.name.clone() } else { format!("&{}", variable.name) })
}

/// Whether the window into memory moves, and not the cursor in it: among bytes there is none, and at an edge of the fields
/// there are more behind it.
fn slides(state: &State, rows_down: i64) -> bool {
    let memory = &state.data_of(Pane::Memory).sample.memory;
    let cursor = state.pane(Pane::Memory).cursor;
    match state.memory.shape_for(memory) {
        MemoryShape::Bytes => true,
        MemoryShape::Fields => {
            if rows_down < 0 {
                cursor == 0
            } else {
                cursor + 1 >= memory.fields.len()
            }
        }
        MemoryShape::Value => false,
    }
}

/// Shows memory in the next way.
pub(super) fn next_memory_shape(state: &mut State) {
    let memory = state.data_of(Pane::Memory).sample.memory.clone();
    state.memory.next_shape(&memory);
    // The window begins before what was asked for, at a whole row.
    let first = match state.memory.shape {
        MemoryShape::Fields => memory.fields.iter().position(|field| field.address >= memory.origin),
        MemoryShape::Bytes | MemoryShape::Value => None,
    };
    let pane = state.pane_mut(Pane::Memory);
    (pane.cursor, pane.left) = (first.unwrap_or(0), 0);
}

/// The field of memory under the cursor, where fields are shown.
fn field(state: &State) -> Option<&FieldView> {
    let memory = &state.data_of(Pane::Memory).sample.memory;
    let fields = state.memory.shape_for(memory) == MemoryShape::Fields;
    memory.fields.get(state.pane(Pane::Memory).cursor).filter(|_| fields)
}

/// What a field points to, as an expression.
fn pointed_to(field: &FieldView) -> Option<String> {
    let number = field.value.split_whitespace().next().filter(|number| number.starts_with("0x") && *number != "0x0")?;
    match field.ty.as_str() {
        "" => Some(number.to_owned()),
        // A pointer to a function points to no memory.
        ty if ty.ends_with('*') => Some(format!("({ty}) {number}")),
        _ => None,
    }
}

/// Shows memory.
pub(super) fn show_memory(state: &mut State, expression: String) {
    let before = std::mem::replace(&mut state.memory.expression, expression);
    if !before.is_empty() && before != state.memory.expression {
        state.memory.before.push(before);
        let excess = state.memory.before.len().saturating_sub(KEPT_PLACES);
        state.memory.before.drain(..excess);
    }
    state.memory.rows = 0;
    state.go_to(Pane::Memory);
}

/// Shows the memory that was shown before.
pub(super) fn memory_before(state: &mut State) {
    match state.memory.before.pop() {
        Some(expression) => {
            state.memory.expression = expression;
            state.memory.rows = 0;
        }
        None => message(state, Mark::Plain, "no other memory was shown before: Enter on a pointer follows it"),
    }
}

/// A watch of what the memory pane shows, or of the variable under the cursor, to be looked over before it is set.
pub(super) fn watch_shown(state: &mut State) {
    let line = match state.focus {
        Pane::Variables => {
            let variables = &state.data_of(Pane::Variables).sample.variables;
            variables.get(state.pane(Pane::Variables).cursor).map(|variable| format!("watch {}", variable.name))
        }
        Pane::Memory if field(state).is_some_and(|field| !field.expression.is_empty()) => {
            field(state).map(|field| format!("watch {}", field.expression))
        }
        Pane::Memory if !state.memory.expression.is_empty() => {
            let memory = &state.data_of(Pane::Memory).sample.memory;
            match memory.size {
                // A number that points somewhere: its word.
                0 => Some(format!("watch *(int *)({})", memory.expression)),
                _ => Some(format!("watch {}", memory.expression)),
            }
        }
        _ => None,
    };
    state.mode = Mode::Prompt(Prompt::new(PromptKind::Command, &line.unwrap_or_else(|| "watch ".to_owned())));
}

/// The number of a breakpoint at a place, and otherwise how to set one there.
fn breakpoint_at(state: &State) -> Option<(Option<u32>, String)> {
    let focus = state.focus;
    let (data, cursor) = (state.data_of(focus), state.pane(focus).cursor);
    let points = &state.data.sample.points;
    let at_address = |address: CodeAddress| {
        let point = points.iter().find(|point| point.places.iter().any(|place| place.address == address));
        (point.map(|point| point.number), format!("break *{}", code_text(address)))
    };
    match focus {
        Pane::Disassembly => Some(at_address(data.sample.function.as_ref()?.lines.get(cursor)?.address)),
        Pane::Stack => Some(at_address(data.sample.stack.frames.get(cursor)?.address)),
        _ => {
            let data = state.data_of(Pane::Source);
            let source = data.sample.source.as_ref()?;
            source.lines.as_ref()?;
            let line = u32::try_from(state.pane(Pane::Source).cursor + 1).ok()?;
            let here = Some((source.file.clone(), line));
            let point = points.iter().find(|point| point.places.iter().any(|place| place.line == here));
            Some((point.map(|point| point.number), format!("break {}:{line}", source.file)))
        }
    }
}

/// Sets a breakpoint where the cursor is, or deletes the one that is there.
pub(super) fn toggle_breakpoint(state: &mut State, effects: &mut Vec<Effect>) {
    match breakpoint_at(state) {
        Some((Some(number), _)) => effects.push(command(format!("delete {number}"))),
        Some((None, line)) => effects.push(command(line)),
        None => message(state, Mark::Problem, "no line here: `:break PLACE` sets a breakpoint"),
    }
}

/// The breakpoint or watch under the cursor.
fn point(state: &State) -> Option<(u32, bool)> {
    let point = state.data_of(Pane::Points).sample.points.get(state.pane(Pane::Points).cursor)?;
    Some((point.number, point.enabled))
}

/// Turns a breakpoint or watch off, or on.
pub(super) fn toggle_point(state: &mut State, effects: &mut Vec<Effect>) {
    if let Some((number, enabled)) = point(state) {
        effects.push(command(format!("{} {number}", if enabled { "disable" } else { "enable" })));
    }
}

/// Deletes a breakpoint or watch.
pub(super) fn delete_point(state: &mut State, effects: &mut Vec<Effect>) {
    if let Some((number, _)) = point(state) {
        effects.push(command(format!("delete {number}")));
    }
}

//! Variables, breakpoints, and what was said.

use ratatui::text::Line;
use wkdb_tracer::Tick;

use super::rows::{Rows, cell, marked, span};
use crate::tui::pane::Pane;
use crate::tui::sample::{EventKind, EventRow, Mark};
use crate::tui::state::State;

/// The variables of the selected frame.
pub(super) fn variables(state: &State) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Variables), &state.theme);
    let variables = &data.sample.variables;
    let frame = data.sample.stack.frames.get(data.sample.stack.selected);
    let note = frame.map(|frame| frame.function.clone()).unwrap_or_default();
    if let (Some(problem), true) = (&data.sample.variables_problem, variables.is_empty()) {
        return Rows { note, ..Rows::new(1, move |_| Line::styled(problem.as_str(), theme.dim)) };
    }
    let width = variables.iter().map(|variable| variable.name.chars().count()).max().unwrap_or(0).clamp(6, 20);
    let line = move |index: usize| {
        let variable = &variables[index];
        let changed = data.changes.variables.contains(&variable.name);
        let value = match () {
            () if changed => theme.changed,
            () if variable.value.starts_with('<') => theme.dim,
            () => theme.mark(Mark::Plain),
        };
        Line::from(vec![
            span(if changed { "≠" } else { " " }, theme.changed),
            cell(&variable.name, width, if variable.argument { theme.task } else { theme.address }),
            span(" ", value),
            span(variable.value.clone(), value),
        ])
    };
    Rows { note, empty: "no variables here", ..Rows::new(variables.len(), line) }
}

/// Breakpoints and watches.
pub(super) fn points(state: &State) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Points), &state.theme);
    let points = &data.sample.points;
    let line = move |index: usize| {
        let point = &points[index];
        let sign = if point.enabled { "●" } else { "○" };
        let times = if point.hits == 1 { "hit" } else { "hits" };
        let mut spans = vec![
            span(format!("{sign} "), theme.problem),
            span(format!("{:<3} ", point.number), theme.dim),
            cell(if point.temporary { "tbreak" } else { &point.kind }, 7, theme.task),
            span(point.what.clone(), theme.function),
        ];
        if let Some((address, len)) = point.watched {
            spans.push(span(format!("  {len} bytes at {address:#x}"), theme.address));
        }
        if let Some(condition) = &point.condition {
            spans.push(span(format!("  if {condition}"), theme.typed));
        }
        let remarks = point.remarks.iter().map(|remark| format!(", {remark}")).collect::<String>();
        spans.push(span(format!("  {} {times}{remarks}", point.hits), theme.dim));
        Line::from(spans)
    };
    let empty = "none: `b` in the source, `:break PLACE`, `:watch EXPR`";
    let note = if points.is_empty() { String::new() } else { points.len().to_string() };
    Rows { note, empty, ..Rows::new(points.len(), line) }
}

/// The kernel's timers and workqueues.
pub(super) fn timers(state: &State) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Timers), &state.theme);
    let Some(text) = &data.sample.timers else {
        let empty = "unknown: the kernel has no debug information, or has not run yet";
        return Rows { empty, ..Rows::new(0, |_| Line::default()) };
    };
    Rows::new(text.0.len(), move |index| marked(&text.0[index], theme))
}

/// Events, a line each.
fn event_rows<'a>(state: &'a State, list: &'a std::collections::VecDeque<EventRow>) -> Rows<'a> {
    let theme = &state.theme;
    let line = move |index: usize| {
        let row = &list[index];
        let style = match row.kind {
            EventKind::Crash | EventKind::Problem => theme.problem,
            EventKind::Watch => theme.changed,
            EventKind::Life => theme.dim,
        };
        let tick = row.tick.map(|Tick(tick)| tick.to_string()).unwrap_or_default();
        Line::from(vec![
            span(format!("{tick:>10} "), theme.address),
            span(format!("{} ", row.kind.sign()), style),
            span(row.text.clone(), style),
        ])
    };
    Rows::new(list.len(), line)
}

/// What is wrong.
pub(super) fn findings(state: &State) -> Rows<'_> {
    let data = state.data_of(Pane::Findings);
    let note = if data.findings.is_empty() { String::new() } else { data.findings.len().to_string() };
    Rows { note, empty: "nothing was noticed", ..event_rows(state, &data.findings) }
}

/// What happened.
pub(super) fn events(state: &State) -> Rows<'_> {
    let data = state.data_of(Pane::Events);
    let note = match data.events_dropped {
        0 => data.events.len().to_string(),
        dropped => format!("{}, {dropped} dropped", data.events.len()),
    };
    Rows { note, empty: "nothing has happened", ..event_rows(state, &data.events) }
}

/// Commands and answers.
pub(super) fn commands(state: &State) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Commands), &state.theme);
    let line = |index: usize| marked(&data.said[index], theme);
    Rows { empty: "`:` runs a command; `:help` lists them", ..Rows::new(data.said.len(), line) }
}

/// Why the machine stopped, and what changed.
pub(super) fn stop(state: &State) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Stop), &state.theme);
    let Some(stop) = &data.stop else {
        return Rows { empty: "the machine runs: space stops it", ..Rows::new(0, |_| Line::default()) };
    };
    let mut lines: Vec<Line<'_>> = stop.0.iter().map(|line| marked(line, theme)).collect();
    if !data.changes.lines.is_empty() {
        lines.push(Line::default());
        lines.push(Line::styled("Since the last stop", theme.headline));
        lines.extend(data.changes.lines.iter().map(|line| Line::raw(format!("  {line}"))));
    }
    Rows::new(lines.len(), move |index| lines[index].clone())
}

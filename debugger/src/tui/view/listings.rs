//! The stack, and what is at a frame: source and instructions.

use ratatui::text::{Line, Span};
use wkdb_tracer::CodeAddress;

use super::c_source::coloured;
use super::rows::{Rows, span};
use crate::commands::PointView;
use crate::tui::pane::Pane;
use crate::tui::sample::Sample;
use crate::tui::state::State;
use crate::tui::theme::Theme;

/// A place in code as commands take it behind `*`: `0x1234`, or `2:0x1234` in module 2.
pub fn code_text(address: CodeAddress) -> String {
    match address.module.0 {
        0 => address.offset.to_string(),
        module => format!("{module}:{}", address.offset),
    }
}

/// The sign of a breakpoint, if one of them is meant.
fn breakpoint<'a>(points: impl Iterator<Item = &'a PointView>, theme: &Theme) -> Span<'static> {
    let mut enabled = None;
    for point in points {
        enabled = Some(enabled.unwrap_or(false) | point.enabled);
    }
    match enabled {
        Some(true) => span("●", theme.problem),
        Some(false) => span("○", theme.problem),
        None => span(" ", theme.dim),
    }
}

/// The call stack.
pub(super) fn stack(state: &State) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Stack), &state.theme);
    let stack = &data.sample.stack;
    let note = stack.task.as_ref().map(|task| format!("task {} {}", task.runner.0 + 1, task.comm)).unwrap_or_default();
    if let (Some(problem), true) = (&stack.problem, stack.frames.is_empty()) {
        return Rows { note, ..Rows::new(1, move |_| Line::styled(problem.as_str(), theme.dim)) };
    }
    let line = move |index: usize| {
        let frame = &stack.frames[index];
        let here = index == stack.selected;
        let mut spans = vec![
            span(if here { "▶" } else { " " }, theme.busy),
            span(format!("#{index:<3}"), theme.dim),
            span(frame.function.clone(), theme.function),
        ];
        match &frame.place {
            Some(place) => spans.push(span(format!(" {place}"), theme.place)),
            None => spans.push(span(format!(" {}", code_text(frame.address)), theme.address)),
        }
        if frame.inlined {
            spans.push(span(" [inlined]", theme.dim));
        }
        if let Some(text) = &frame.text {
            spans.push(span(format!("  {}", text.trim()), theme.dim));
        }
        Line::from(spans)
    };
    Rows { here: Some(stack.selected), note, empty: "no task has run yet", ..Rows::new(stack.frames.len(), line) }
}

/// The source around the selected frame.
pub(super) fn source(state: &State) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Source), &state.theme);
    let Some(source) = &data.sample.source else {
        let empty = "no source: the code that comes next has no line";
        return Rows { empty, ..Rows::new(0, |_| Line::default()) };
    };
    let note = match source.line {
        Some(line) => format!("{}:{line}", source.file),
        None => source.file.clone(),
    };
    let Some(lines) = &source.lines else {
        let text = format!("{} was not found; `:directory DIR` names a directory to look in", source.file);
        return Rows { note, ..Rows::new(1, move |_| Line::styled(text.clone(), theme.dim)) };
    };
    let here = source.line.and_then(|line| usize::try_from(line).ok()?.checked_sub(1)).filter(|&at| at < lines.len());
    let points = &data.sample.points;
    let width = lines.len().to_string().len().max(3);
    let line = move |index: usize| {
        let at_line = |point: &&PointView| {
            point.places.iter().any(|place| {
                place.line.as_ref().is_some_and(|(file, line)| *file == source.file && *line as usize == index + 1)
            })
        };
        let is_here = here == Some(index);
        let mut spans = vec![
            breakpoint(points.iter().filter(at_line), theme),
            span(if is_here { "▶" } else { " " }, theme.busy),
            span(format!("{:>width$} ", index + 1), theme.dim),
        ];
        let text = lines[index].replace('\t', "    ");
        match is_here {
            true => spans.push(span(text, theme.here)),
            false => spans.extend(coloured(&text, theme)),
        }
        Line::from(spans)
    };
    Rows { here, note, ..Rows::new(lines.len(), line) }
}

/// The instruction of the selected frame.
fn selected(sample: &Sample) -> Option<CodeAddress> {
    Some(sample.stack.frames.get(sample.stack.selected)?.address)
}

/// The instructions around the selected frame.
pub(super) fn disassembly(state: &State) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Disassembly), &state.theme);
    let Some(function) = &data.sample.function else {
        return Rows { empty: "no function", ..Rows::new(0, |_| Line::default()) };
    };
    let at = selected(&data.sample);
    let here = function.lines.iter().rposition(|line| at.is_some_and(|at| line.address <= at));
    let here =
        here.filter(|_| at.is_some_and(|at| function.lines.first().is_some_and(|l| l.address.module == at.module)));
    let points = &data.sample.points;
    let line = move |index: usize| {
        let line = &function.lines[index];
        let at_it = |point: &&PointView| point.places.iter().any(|place| place.address == line.address);
        let is_here = here == Some(index);
        let mut spans = vec![
            breakpoint(points.iter().filter(at_it), theme),
            span(if is_here { "▶" } else { " " }, theme.busy),
            span(format!("{:>8} ", code_text(line.address)), theme.address),
            span(line.text.clone(), if is_here { theme.here } else { theme.mark(Default::default()) }),
        ];
        if let Some(place) = &line.place {
            spans.push(span(format!("   ; {place}"), theme.dim));
        }
        Line::from(spans)
    };
    Rows { here, note: function.name.clone(), empty: "no instructions", ..Rows::new(function.lines.len(), line) }
}

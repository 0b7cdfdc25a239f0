//! The bar at the top, and the line at the bottom.

use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::rows::span;
use crate::tui::pane::Pane;
use crate::tui::sample::{Code, Doing, Mark, Text};
use crate::tui::state::{MemoryShape, Mode, Prefix, Prompt, PromptKind, State};

/// What the machine does, when and where.
pub(super) fn top(buffer: &mut Buffer, state: &State, area: Rect) {
    let (theme, sample) = (&state.theme, &state.data.sample);
    buffer.set_style(area, theme.bar);
    let past = sample.history.as_ref().is_some_and(|history| history.in_the_past);
    let (sign, doing, style) = match &sample.doing {
        Doing::Starting => ("…", "starting".to_owned(), theme.dim),
        Doing::Running => match sample.code {
            Code::Changing(percent) => ("▷", format!("stops: run again for debugging, {percent} %"), theme.changed),
            Code::Debug => ("▶", "runs in debug code".to_owned(), theme.busy),
            Code::Fast | Code::Only => ("▶", "runs".to_owned(), theme.busy),
        },
        Doing::Travelling => ("◀", "looks back".to_owned(), theme.changed),
        Doing::Stopped => ("■", if past { "in the past" } else { "stopped" }.to_owned(), theme.changed),
        Doing::Ended(how) => ("●", how.clone(), theme.problem),
        Doing::Gone(words) => ("✖", format!("gone: {words}"), theme.problem),
    };
    let on_bar =
        |style: ratatui::style::Style| style.patch(ratatui::style::Style::new().bg(theme.bar.bg.unwrap_or_default()));
    let style = if theme.bar.bg.is_some() { on_bar(style) } else { theme.bar.patch(style) };
    let mut spans = vec![
        span(format!(" {} ", state.target), theme.bar.add_modifier(ratatui::style::Modifier::BOLD)),
        span(format!("{sign} {doing} "), style),
    ];
    let headline = state.data.stop.as_ref().filter(|_| sample.doing == Doing::Stopped).and_then(|stop| stop.headline());
    if let Some(headline) = headline {
        spans.push(span(format!("{headline} "), theme.bar));
    }
    let line = Line::from(spans);
    let used = line.width() as u16;
    buffer.set_line(area.x, area.y, &line, area.width);
    let busy = sample.cpus.iter().filter(|cpu| cpu.busy).count();
    let mut right = format!(
        " {}/{} CPUs  {} tasks  tick {}  {} s ",
        busy,
        sample.cpus.len(),
        sample.tasks.len(),
        sample.tick,
        sample.time
    );
    if sample.dropped > 0 {
        right.insert_str(0, &format!(" {} samples dropped ", sample.dropped));
    }
    let len = right.chars().count() as u16;
    // Why it stopped goes before what is seen elsewhere.
    if len.saturating_add(used) <= area.width {
        buffer.set_line(area.right() - len, area.y, &Line::styled(right, theme.bar), len);
    } else {
        let dropped = if sample.dropped > 0 { format!(" {} dropped ", sample.dropped) } else { String::new() };
        let short = format!("{dropped} {}  {} s ", sample.tick, sample.time);
        let len = (short.chars().count() as u16).min(area.width);
        buffer.set_line(area.right() - len, area.y, &Line::styled(short, theme.bar), len);
    }
}

/// What is typed, or told, or which keys there are; where the cursor is, if a line is edited.
pub(super) fn bottom(buffer: &mut Buffer, state: &State, area: Rect) -> Option<Position> {
    let theme = &state.theme;
    if let Mode::Prompt(prompt) = &state.mode {
        return Some(prompt_line(buffer, state, prompt, area));
    }
    buffer.set_style(area, theme.bar);
    if let Some((mark, text)) = &state.message {
        let style = match mark {
            Mark::Plain => theme.bar,
            mark => theme.bar.patch(ratatui::style::Style { bg: theme.bar.bg, ..theme.mark(*mark) }),
        };
        let text = text.lines().next().unwrap_or_default();
        buffer.set_line(area.x, area.y, &Line::styled(format!(" {text}"), style), area.width);
        return None;
    }
    let mut spans: Vec<Span<'_>> = Vec::new();
    let mut room = usize::from(area.width);
    for (key, what) in hints(state) {
        let needed = key.chars().count() + what.chars().count() + 3;
        if needed > room {
            break;
        }
        room -= needed;
        spans.push(span(format!(" {key}"), theme.key));
        spans.push(span(format!(" {what} "), theme.bar));
    }
    buffer.set_line(area.x, area.y, &Line::from(spans), area.width);
    None
}

fn prompt_line(buffer: &mut Buffer, state: &State, prompt: &Prompt, area: Rect) -> Position {
    let theme = &state.theme;
    let sign = match prompt.kind {
        PromptKind::Command => ":",
        PromptKind::Search => "/",
    };
    // A line that is too long is shown around its cursor.
    let before = prompt.line[..prompt.cursor].chars().count();
    let room = usize::from(area.width).saturating_sub(2).max(1);
    let skipped = before.saturating_sub(room);
    let shown: String = prompt.line.chars().skip(skipped).collect();
    buffer.set_line(area.x, area.y, &Line::from(vec![span(sign, theme.key), Span::raw(shown)]), area.width);
    let at = Position::new(area.x + 1 + (before - skipped) as u16, area.y);
    if !prompt.candidates.is_empty() && area.y > 0 {
        let above = Rect { y: area.y - 1, ..area };
        buffer.set_style(above, theme.bar);
        let mut text = String::new();
        for (n, candidate) in prompt.candidates.iter().enumerate() {
            if text.chars().count() + candidate.chars().count() + 8 > usize::from(area.width) {
                text.push_str(&format!(" … {} more", prompt.candidates.len() - n));
                break;
            }
            text.push_str(&format!(" {candidate} "));
        }
        let blank = " ".repeat(usize::from(area.width));
        buffer.set_line(above.x, above.y, &Line::styled(blank, theme.bar), area.width);
        buffer.set_line(above.x, above.y, &Line::styled(text, theme.bar), area.width);
    }
    at
}

/// The keys that matter now, the most important first.
fn hints(state: &State) -> Vec<(String, String)> {
    let owned = |hints: &[(&str, &str)]| -> Vec<(String, String)> {
        hints.iter().map(|(key, what)| ((*key).to_owned(), (*what).to_owned())).collect()
    };
    match &state.mode {
        Mode::Typing => return owned(&[("Ctrl-]", "back to wkdb"), ("", "all other keys go to the guest")]),
        Mode::Help(_) => return owned(&[("j k", "scroll"), ("q", "close")]),
        Mode::Explanation(_) => {
            let there = state.explanation.as_ref().is_some_and(|(_, at)| at.is_some());
            let mut hints = owned(&[("j k", "scroll"), ("q", "close")]);
            hints.extend(owned(&[("Enter", "go to where it was done")]).into_iter().filter(|_| there));
            return hints;
        }
        Mode::Leaving => return owned(&[("y", "end the guest and leave"), ("n", "stay")]),
        Mode::Prefix(Prefix::Go) => {
            let panes = Pane::ALL.into_iter().map(|pane| (pane.key().to_string(), pane.short().to_lowercase()));
            return [("g".to_owned(), "top".to_owned())].into_iter().chain(panes).collect();
        }
        Mode::Prefix(Prefix::Mark) => return owned(&[("a-z", "the bookmark's name")]),
        Mode::Prefix(Prefix::Jump) => {
            let marks = state.bookmarks.iter().map(|(name, mark)| (name.to_string(), format!("{} s", mark.time)));
            return marks.chain(owned(&[("Esc", "stay")])).collect();
        }
        Mode::Normal | Mode::Prompt(_) => {}
    }
    let sample = &state.data.sample;
    let past = sample.history.is_some();
    let mut hints = match sample.doing {
        Doing::Travelling => owned(&[("Esc", "give up")]),
        Doing::Running | Doing::Starting => owned(&[("space", "stop")]),
        Doing::Stopped if past => {
            owned(&[("F5", "continue"), ("F10", "next"), ("F11", "step"), ("Shift", "backwards")])
        }
        Doing::Stopped => owned(&[("F5", "continue"), ("F10", "next"), ("F11", "step")]),
        Doing::Ended(_) | Doing::Gone(_) => owned(&[("q", "leave")]),
    };
    let wrong = !state.data.findings.is_empty() || stopped_badly(state);
    if past && wrong && matches!(sample.doing, Doing::Stopped | Doing::Ended(_)) {
        // The key has another meaning in some panes; the large letter has it in all.
        let key = if matches!(state.focus, Pane::Memory | Pane::Points) { "E" } else { "e" };
        hints.insert(hints.len().min(1), (key.to_owned(), "explain".to_owned()));
    }
    let grid = state.pane(Pane::Cpus).other_view;
    hints.extend(match state.focus {
        Pane::Console => owned(&[("i", "type")]),
        Pane::Tasks => owned(&[("Enter", "look at"), ("o", "order"), ("/", "filter")]),
        Pane::Stack => owned(&[("Enter", "look at")]),
        Pane::Source | Pane::Disassembly => owned(&[("b", "break"), ("/", "search")]),
        Pane::Points => owned(&[("d", "delete"), ("e", "on/off")]),
        Pane::Memory => owned(&[("e", "where"), ("v", memory_next(state)), ("w", "watch")]),
        Pane::Cpus if grid => owned(&[("v", "list")]),
        Pane::Cpus => owned(&[("Enter", "look at"), ("v", "grid")]),
        Pane::Timeline if past => owned(&[("h l", "scrub"), ("Enter", "go there")]),
        Pane::Events | Pane::Findings if past => owned(&[("Enter", "go there")]),
        Pane::Variables => owned(&[("Enter", "memory"), ("w", "watch")]),
        _ => Vec::new(),
    });
    hints.extend(owned(&[
        (":", "command"),
        ("?", "help"),
        ("Tab", "pane"),
        ("g", "go to"),
        ("z", "zoom"),
        ("1-9", "layout"),
        ("f", "freeze"),
        ("q", "leave"),
    ]));
    let mut seen = Vec::new();
    hints.retain(|(key, _)| {
        let new = !seen.contains(key);
        seen.push(key.clone());
        new
    });
    hints
}

/// What the key that shows memory in another way leads to.
fn memory_next(state: &State) -> &'static str {
    let memory = &state.data_of(Pane::Memory).sample.memory;
    let mut view = state.memory.clone();
    view.next_shape(memory);
    match view.shape {
        MemoryShape::Bytes => "bytes",
        MemoryShape::Fields => "fields",
        MemoryShape::Value => "value",
    }
}

/// Whether the machine was stopped by something that went wrong; of a trap, events tell only when it goes on.
fn stopped_badly(state: &State) -> bool {
    let headline = state.data.stop.as_ref().and_then(Text::headline).unwrap_or_default();
    ["Trap: ", "Deadlock: ", "The guest kernel panicked", "The machine only spins"]
        .iter()
        .any(|bad| headline.starts_with(bad))
}

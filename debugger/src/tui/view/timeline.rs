//! The run as a bar, from its start to the present.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use wkdb_tracer::{GuestTime, Tick};

use super::rows::span;
use crate::tui::data::Data;
use crate::tui::pane::Pane;
use crate::tui::state::State;

/// The first and the last position of the bar.
fn ends(data: &Data) -> (u64, u64) {
    match &data.sample.history {
        Some(history) => {
            let end = history.end.map_or(history.present, |(end, _)| end.max(history.present));
            (history.start.0, end.0.max(data.sample.tick.0))
        }
        None => (0, data.sample.tick.0),
    }
}

/// The column of a position, in a bar that is so wide.
pub fn column_of(data: &Data, tick: Tick, width: u16) -> Option<u16> {
    let (start, end) = ends(data);
    let last = u128::from(width.checked_sub(1)?);
    let at = u128::from(tick.0.checked_sub(start)?);
    let len = u128::from(end - start.min(end));
    match (tick.0 <= end, len) {
        (false, _) => None,
        (true, 0) => Some(0),
        (true, len) => u16::try_from((at * last).div_ceil(len)).ok(),
    }
}

/// The position of a column, in a bar that is so wide.
pub fn tick_at(data: &Data, column: u16, width: u16) -> Tick {
    let (start, end) = ends(data);
    let last = u128::from(width.saturating_sub(1).max(1));
    let len = u128::from(end.saturating_sub(start));
    let at = len * u128::from(column.min(width.saturating_sub(1))) / last;
    Tick(start + u64::try_from(at).unwrap_or(0))
}

/// What stands beside the title.
pub(super) fn note(state: &State) -> String {
    let data = state.data_of(Pane::Timeline);
    let sample = &data.sample;
    let place = match state.scrub {
        Some(tick) => format!("cursor {tick}: Enter goes there"),
        None => format!("tick {} of {}", sample.tick, ends(data).1),
    };
    match &sample.history {
        Some(history) => {
            let mib = history.cost as f64 / f64::from(1 << 20);
            let number = history.checkpoints.len();
            let checkpoints = if number == 1 { "checkpoint" } else { "checkpoints" };
            format!("{place}, {number} {checkpoints}, {mib:.0} MiB")
        }
        None => format!("{place}, no way back"),
    }
}

/// Draws it.
pub(super) fn draw(buffer: &mut Buffer, state: &State, area: Rect) {
    let data = state.data_of(Pane::Timeline);
    let (theme, sample) = (&state.theme, &data.sample);
    let width = area.width;
    let here = column_of(data, sample.tick, width).unwrap_or(0);
    let present = sample.history.as_ref().and_then(|history| column_of(data, history.present, width)).unwrap_or(here);
    let mut bar: Vec<(char, ratatui::style::Style)> = (0..width)
        .map(|column| match column {
            column if column <= here => ('━', theme.busy),
            column if column <= present => ('─', theme.frame),
            _ => ('╌', theme.dim),
        })
        .collect();
    let mut put = |tick: Tick, sign: char, style| {
        if let Some(column) = column_of(data, tick, width)
            && let Some(cell) = bar.get_mut(usize::from(column))
        {
            *cell = (sign, style);
        }
    };
    for &tick in sample.history.iter().flat_map(|history| &history.checkpoints) {
        put(tick, '┴', theme.dim);
    }
    // What matters most is drawn last.
    let mut events: Vec<_> = data.events.iter().filter_map(|row| Some((row.kind, row.tick?))).collect();
    events.sort_unstable();
    for (kind, tick) in events {
        use crate::tui::sample::EventKind::{Crash, Life, Problem, Watch};
        match kind {
            Life => continue,
            Watch => put(tick, kind.sign(), theme.changed),
            Problem | Crash => put(tick, kind.sign(), theme.problem),
        }
    }
    for (&name, bookmark) in &state.bookmarks {
        put(bookmark.tick, name, theme.typed);
    }
    put(sample.tick, '◆', theme.headline);
    if let Some(tick) = state.scrub {
        put(tick, '▲', theme.found);
    }
    let line = Line::from_iter(bar.iter().map(|(sign, style)| span(sign.to_string(), *style)));
    buffer.set_line(area.x, area.y, &line, width);
    if area.height < 2 {
        return;
    }
    let (start, _) = ends(data);
    let below = area.y + 1;
    buffer.set_line(area.x, below, &Line::styled(start.to_string(), theme.dim), width);
    let end = match &sample.history {
        Some(history) => match history.end {
            Some((end, time)) => format!("recording ends {}", moment(end, time)),
            None => moment(history.present.max(sample.tick), history.present_time.max(sample.time)),
        },
        None => moment(sample.tick, sample.time),
    };
    let len = (end.chars().count() as u16).min(width);
    buffer.set_line(area.right() - len, below, &Line::styled(end, theme.dim), len);
    let (at, text) = match (state.scrub, sample.history.as_ref().is_some_and(|history| history.in_the_past)) {
        (Some(tick), _) => (column_of(data, tick, width), format!("▲ {tick}")),
        (None, true) => (Some(here), format!("◆ {}", moment(sample.tick, sample.time))),
        (None, false) => return,
    };
    let len = text.chars().count() as u16;
    let from = at.unwrap_or(0).clamp(12.min(width), width.saturating_sub(len + 30).max(12.min(width)));
    buffer.set_line(area.x + from, below, &Line::styled(text, theme.headline), width.saturating_sub(from));
}

/// A moment in words.
fn moment(tick: Tick, time: GuestTime) -> String {
    format!("{tick} · {time} s")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::event::FromSession;
    use crate::tui::sample::{HistoryView, Sample};

    fn data(start: u64, present: u64) -> Data {
        let history = HistoryView { start: Tick(start), present: Tick(present), ..HistoryView::default() };
        let sample = Sample { tick: Tick(present), history: Some(history), ..Sample::default() };
        let mut data = Data::default();
        data.take(FromSession::Sample(Box::new(sample)));
        data
    }

    #[test]
    fn the_ends_of_the_bar_are_the_ends_of_the_run() {
        let data = data(100, 1100);
        assert_eq!(column_of(&data, Tick(100), 11), Some(0));
        assert_eq!(column_of(&data, Tick(1100), 11), Some(10));
        assert_eq!(column_of(&data, Tick(1101), 11), None);
        assert_eq!(column_of(&data, Tick(99), 11), None);
        assert_eq!(tick_at(&data, 0, 11), Tick(100));
        assert_eq!(tick_at(&data, 10, 11), Tick(1100));
        assert_eq!(tick_at(&data, 99, 11), Tick(1100));
    }

    proptest! {
        #[test]
        fn a_column_that_is_chosen_is_where_the_cursor_is_shown(
            start in any::<u64>(), len in any::<u64>(), width in 1u16..300, column in 0u16..300,
        ) {
            let start = start / 2;
            let data = data(start, start.saturating_add(len / 2));
            let tick = tick_at(&data, column, width);
            let shown = column_of(&data, tick, width);
            prop_assert!(shown.is_some_and(|shown| shown <= column.min(width - 1)));
            // Where there are more positions than columns, it is that column.
            if len / 2 > 1000 {
                prop_assert_eq!(shown, Some(column.min(width - 1)));
            }
        }
    }
}

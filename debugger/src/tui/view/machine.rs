//! CPUs and tasks.

use std::collections::VecDeque;

use ratatui::text::Line;
use wkdb_tracer::GuestTime;

use super::rows::{Rows, cell, fitted, span};
use crate::tui::pane::Pane;
use crate::tui::sample::{CpuRow, TaskRow, TaskState};
use crate::tui::state::{State, TaskOrder};

/// Characters of a CPU's activity.
const BARS: usize = 12;

/// Columns of a CPU in the grid.
const GRID: usize = 14;

/// In how many of the samples it was busy, as bars from the oldest to the newest.
fn bars(activity: Option<&VecDeque<bool>>) -> String {
    const SIGNS: [char; 5] = [' ', '▂', '▄', '▆', '█'];
    let Some(activity) = activity else { return " ".repeat(BARS) };
    let samples: Vec<bool> = activity.iter().copied().collect();
    let groups: Vec<&[bool]> = samples.rchunks(4).take(BARS).collect();
    let mut text: String = groups
        .iter()
        .rev()
        .map(|group| {
            let busy = group.iter().filter(|busy| **busy).count();
            SIGNS[(busy * 4).div_ceil(group.len())]
        })
        .collect();
    let missing = BARS - groups.len();
    text.insert_str(0, &" ".repeat(missing));
    text
}

/// The share of samples in which it was busy, in percent.
fn share(activity: Option<&VecDeque<bool>>) -> Option<usize> {
    let activity = activity.filter(|activity| !activity.is_empty())?;
    Some(activity.iter().filter(|busy| **busy).count() * 100 / activity.len())
}

/// CPUs, a line each; or several a line, in a grid.
pub(super) fn cpus(state: &State, width: u16) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Cpus), &state.theme);
    let cpus = &data.sample.cpus;
    let busy = cpus.iter().filter(|cpu| cpu.busy).count();
    let note = format!("{busy} of {} busy", cpus.len());
    let name = |cpu: &CpuRow| cpu.task.as_ref().map_or("", |task| task.comm.as_str()).to_owned();
    let sign = |cpu: &CpuRow| match (cpu.busy, &cpu.task) {
        (true, _) => ('▶', theme.busy),
        (false, Some(_)) => ('·', theme.dim),
        (false, None) => (' ', theme.dim),
    };
    if state.pane(Pane::Cpus).other_view {
        let columns = (usize::from(width) / GRID).max(1);
        let line = move |row: usize| {
            let in_row = cpus.iter().skip(row * columns).take(columns);
            Line::from_iter(in_row.flat_map(|cpu| {
                let (sign, style) = sign(cpu);
                let text = fitted(&format!("{:>3}{sign}{}", cpu.cpu.0, name(cpu)), GRID - 1);
                [span(text, style), span(" ", style)]
            }))
        };
        return Rows { note, empty: "no CPU runs yet", ..Rows::new(cpus.len().div_ceil(columns), line) };
    }
    let kernel = cpus.iter().any(|cpu| cpu.kernel.is_some());
    let function = usize::from(width).saturating_sub(43 + if kernel { 36 } else { 0 }).clamp(8, 36);
    let heading = {
        let known = if kernel { " irq     ipi     timer     lag  rq" } else { "" };
        let text = format!("cpu    task               {} {:BARS$}    %{known}", fitted("function", function), "busy");
        Line::styled(text, theme.dim)
    };
    let line = move |index: usize| {
        let cpu = &cpus[index];
        let activity = data.activity.get(&cpu.cpu.0);
        let (sign, style) = sign(cpu);
        let number = cpu.task.as_ref().map(|task| (task.runner.0 + 1).to_string()).unwrap_or_default();
        let share = share(activity).map(|share| format!("{share:>4}")).unwrap_or_else(|| " ".repeat(4));
        let mut spans = vec![
            span(format!("{:>3} {sign} ", cpu.cpu.0), style),
            cell(&number, 4, theme.dim),
            cell(&name(cpu), 16, theme.task),
            span(" ", style),
            cell(cpu.function.as_deref().unwrap_or("?"), function, theme.function),
            span(" ", style),
            span(bars(activity), theme.busy),
            span(format!(" {share}"), theme.dim),
        ];
        if let Some(known) = &cpu.kernel {
            let word = |word: &Option<String>, width| format!(" {}", fitted(word.as_deref().unwrap_or("?"), width));
            let queue = known.run_queue.map_or_else(|| "?".to_owned(), |queue| queue.to_string());
            let text = [word(&known.irq, 7), word(&known.ipi, 7), word(&known.timer, 9), word(&known.lag, 4)].concat();
            spans.push(span(format!("{text} {queue}"), theme.dim));
        }
        Line::from(spans)
    };
    Rows { heading: Some(heading), note, empty: "no CPU runs yet", ..Rows::new(cpus.len(), line) }
}

/// The tasks in the order and with the filter that are asked for.
pub fn ordered_tasks(state: &State) -> Vec<&TaskRow> {
    let data = state.data_of(Pane::Tasks);
    let filter = state.pane(Pane::Tasks).search.as_deref().unwrap_or_default().to_lowercase();
    let fits = |task: &&TaskRow| {
        let function = task.function.as_deref().unwrap_or_default();
        let words = [task.comm.as_str(), function, task.state.word()];
        filter.is_empty()
            || words.iter().any(|word| word.to_lowercase().contains(&filter))
            || filter == format!("cpu{}", task.cpu.0)
            || filter == (task.runner.0 + 1).to_string()
    };
    let mut tasks: Vec<&TaskRow> = data.sample.tasks.iter().filter(fits).collect();
    match state.task_order {
        TaskOrder::Number => {}
        TaskOrder::Name => tasks.sort_by(|a, b| a.comm.cmp(&b.comm)),
        TaskOrder::Cpu => tasks.sort_by_key(|task| task.cpu),
        TaskOrder::State => tasks.sort_by_key(|task| task.state),
    }
    tasks
}

/// Tasks.
pub(super) fn tasks(state: &State, width: u16) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Tasks), &state.theme);
    let tasks = ordered_tasks(state);
    let selected = data.sample.stack.task.as_ref().map(|task| task.runner);
    let here = tasks.iter().position(|task| Some(task.runner) == selected);
    let filter = match state.pane(Pane::Tasks).search.as_deref() {
        Some(filter) if !filter.is_empty() => format!("{} of {}, /{filter}", tasks.len(), data.sample.tasks.len()),
        _ => tasks.len().to_string(),
    };
    let note = format!("{filter}, by {}", state.task_order.word());
    let function = usize::from(width).saturating_sub(46).clamp(8, 40);
    let heading = format!("   num task              cpu state {} address", fitted("function", function));
    let len = tasks.len();
    let line = move |index: usize| {
        let task = tasks[index];
        let here = selected == Some(task.runner);
        let style = match task.state {
            TaskState::Runs => theme.busy,
            TaskState::Ready => theme.changed,
            TaskState::Dead => theme.problem,
            TaskState::Waits(_) | TaskState::Out | TaskState::New => theme.dim,
        };
        let mut spans = vec![
            span(if here { "▶ " } else { "  " }, theme.busy),
            span(format!("{:>4} ", task.runner.0 + 1), theme.dim),
            cell(&task.comm, 16, theme.task),
            span(format!("{:>5} ", task.cpu.0), theme.dim),
            cell(task.state.word(), 5, style),
            span(" ", style),
            cell(task.function.as_deref().unwrap_or(""), function, theme.function),
            span(format!(" {:#x}", task.address), theme.address),
        ];
        match task.state {
            TaskState::Waits(deadline) if deadline != GuestTime::NEVER => {
                spans.push(span(format!(" until {deadline}"), theme.dim));
            }
            _ => {}
        }
        Line::from(spans)
    };
    Rows { heading: Some(Line::styled(heading, theme.dim)), here, note, empty: "no tasks", ..Rows::new(len, line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activity_is_shown_by_fours_the_newest_at_the_right() {
        let activity: VecDeque<bool> = [[false; 4], [true; 4]].concat().into();
        assert_eq!(bars(Some(&activity)), format!("{}{}█", " ".repeat(BARS - 2), " "));
        assert_eq!(share(Some(&activity)), Some(50));
        let one: VecDeque<bool> = vec![true, false, false, false].into();
        assert!(bars(Some(&one)).ends_with('▂'));
        assert_eq!(bars(None).len(), BARS);
        assert_eq!(share(Some(&VecDeque::new())), None);
        let many: VecDeque<bool> = vec![true; 64].into();
        assert_eq!(bars(Some(&many)), "█".repeat(BARS));
    }
}

//! CPUs and tasks.

use std::collections::{BTreeMap, VecDeque};

use ratatui::style::Style;
use ratatui::text::Line;
use wkdb_tracer::GuestTime;

use super::rows::{Rows, cell, fitted, span};
use crate::tui::data::{Data, WHOLE};
use crate::tui::pane::Pane;
use crate::tui::sample::{CpuRow, TaskRow, TaskState};
use crate::tui::state::{State, TaskOrder};
use crate::tui::theme::Theme;

/// Samples that a sign of a CPU's activity stands for.
const GROUP: usize = 4;

/// What is drawn as full activity at the least: a fiftieth of the time, so that what does next to nothing looks like it.
const LEAST_FULL: u16 = WHOLE / 50;

/// Columns of a CPU in the grid, from the most that is told of each to the least.
const GRID: [usize; 3] = [14, 9, 6];

/// The mean of some samples.
fn mean(samples: &[u16]) -> u16 {
    let sum: u32 = samples.iter().copied().map(u32::from).sum();
    u16::try_from(sum.div_ceil(samples.len().max(1) as u32)).unwrap_or(WHOLE)
}

/// The activity of a CPU by groups, the oldest first; so many at most.
fn groups(activity: Option<&VecDeque<u16>>, most: usize) -> Vec<u16> {
    let samples: Vec<u16> = activity.into_iter().flatten().copied().collect();
    let mut groups: Vec<u16> = samples.rchunks(GROUP).take(most).map(mean).collect();
    groups.reverse();
    groups
}

/// What is drawn as full activity: the most that any CPU had. Where many share the time, each has little of it.
fn full(activity: &BTreeMap<u32, VecDeque<u16>>) -> u16 {
    let most = activity.values().flat_map(|activity| groups(Some(activity), usize::MAX)).max();
    most.unwrap_or(0).max(LEAST_FULL)
}

/// An activity as a sign, where so much is full.
fn sign_of(share: u16, full: u16) -> char {
    const SIGNS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let eighths = (u32::from(share) * 8).div_ceil(u32::from(full.max(1)));
    SIGNS[(eighths as usize).min(8)]
}

/// The activity of a CPU as bars from the oldest to the newest, in so many columns.
fn bars(activity: Option<&VecDeque<u16>>, full: u16, width: usize) -> String {
    let text: String = groups(activity, width).into_iter().map(|share| sign_of(share, full)).collect();
    format!("{text:>width$}")
}

/// The share of the time that a CPU ran, in percent: with a decimal where it is small.
fn percent(activity: Option<&VecDeque<u16>>) -> Option<String> {
    let samples: Vec<u16> = activity?.iter().copied().collect();
    if samples.is_empty() {
        return None;
    }
    let share = mean(&samples);
    Some(match share {
        0 => "0".to_owned(),
        1..100 => format!("{}.{}", share / 10, share % 10),
        _ => (share / 10).to_string(),
    })
}

/// What a CPU does, in a word of five letters at most.
fn doing(cpu: &CpuRow) -> &'static str {
    match &cpu.task {
        _ if cpu.busy => "runs",
        None => "-",
        // As kernels call their idle tasks.
        Some(task) if task.pid == Some(0) || task.comm.starts_with("swapper") => "idle",
        Some(_) => "waits",
    }
}

fn style_of(cpu: &CpuRow, theme: &Theme) -> Style {
    if cpu.busy { theme.busy } else { theme.dim }
}

fn comm(cpu: &CpuRow) -> &str {
    cpu.task.as_ref().map_or("", |task| task.comm.as_str())
}

/// CPUs, a line each; or several a line, in a grid.
pub(super) fn cpus(state: &State, width: u16) -> Rows<'_> {
    let (data, theme) = (state.data_of(Pane::Cpus), &state.theme);
    let cpus = &data.sample.cpus;
    let busy = cpus.iter().filter(|cpu| cpu.busy).count();
    let note = format!("{busy} of {} busy", cpus.len());
    let full = full(&data.activity);
    if state.pane(Pane::Cpus).other_view {
        return Rows { note, ..grid(state, data, width, full) };
    }
    let kernel = cpus.iter().any(|cpu| cpu.kernel.is_some());
    let width = usize::from(width);
    let wide = width >= 110;
    // Of the name, the activity, interrupts, the timer, the lag.
    let (name, spark, bits, timer, lag) = if wide { (16, 12, 7, 8, 7) } else { (11, 6, 4, 7, 5) };
    let known = if kernel { 2 * (bits + 1) + timer + 1 + lag + 1 + 3 } else { 0 };
    let function = width.saturating_sub(23 + name + spark + known).clamp(8, 36);
    let heading = {
        let known = match kernel {
            true => format!(" {:bits$} {:bits$} {:>timer$} {:>lag$} rq", "irq", "ipi", "timer", "lag"),
            false => String::new(),
        };
        let (task, function) = (fitted("task", name), fitted("function", function));
        let text = format!("cpu state   pid {task} {function} {} {:>4}{known}", fitted("ticks", spark), "%");
        Line::styled(text, theme.dim)
    };
    let line = move |index: usize| {
        let cpu = &cpus[index];
        let activity = data.activity.get(&cpu.cpu.0);
        let style = style_of(cpu, theme);
        let pid = cpu.task.as_ref().and_then(|task| task.pid).map(|pid| pid.to_string()).unwrap_or_default();
        let mut spans = vec![
            span(format!("{:>3} ", cpu.cpu.0), theme.dim),
            cell(doing(cpu), 5, style),
            span(format!(" {pid:>5} "), theme.dim),
            cell(comm(cpu), name, theme.task),
            span(" ", style),
            cell(cpu.function.as_deref().unwrap_or("?"), function, theme.function),
            span(format!(" {}", bars(activity, full, spark)), theme.busy),
            span(format!(" {:>4}", percent(activity).unwrap_or_default()), theme.dim),
        ];
        if let Some(known) = &cpu.kernel {
            let word = |word: &Option<String>, width| fitted(word.as_deref().unwrap_or("?"), width);
            let right = |word: &Option<String>, width| {
                format!("{:>width$}", fitted(word.as_deref().unwrap_or("?"), width).trim_end())
            };
            let queue = known.run_queue.map_or_else(|| "?".to_owned(), |queue| queue.to_string());
            let (irq, ipi) = (word(&known.irq, bits), word(&known.ipi, bits));
            let late = known.timer.as_ref().is_some_and(|timer| timer.starts_with('-'));
            spans.push(span(format!(" {irq} {ipi} "), theme.dim));
            spans.push(span(right(&known.timer, timer), if late { theme.changed } else { theme.dim }));
            spans.push(span(format!(" {} {queue:>2}", right(&known.lag, lag)), theme.dim));
        }
        Line::from(spans)
    };
    Rows { heading: Some(heading), note, empty: "no CPU runs yet", ..Rows::new(cpus.len(), line) }
}

/// Several CPUs in a line: as much of each as there is room for, so that all of them are seen if possible.
fn grid<'a>(state: &'a State, data: &'a Data, width: u16, full: u16) -> Rows<'a> {
    let (theme, cpus) = (&state.theme, &data.sample.cpus);
    let seen = state.visible().into_iter().find(|(pane, _)| *pane == Pane::Cpus);
    let height = seen.map_or(1, |(_, area)| usize::from(State::inner(area).height).max(1));
    let columns = |size: usize| (usize::from(width) / size).max(1);
    let fits = |size: &usize| cpus.len().div_ceil(columns(*size)) <= height;
    let size = GRID.into_iter().find(fits).unwrap_or(GRID[0]);
    let columns = columns(size);
    let line = move |row: usize| {
        let in_row = cpus.iter().skip(row * columns).take(columns);
        Line::from_iter(in_row.flat_map(|cpu| {
            let style = style_of(cpu, theme);
            let sign = if cpu.busy { '▶' } else { '·' };
            let latest = groups(data.activity.get(&cpu.cpu.0), 1).first().map_or(' ', |&share| sign_of(share, full));
            [span(format!("{:>3}{sign}{latest}", cpu.cpu.0), style), cell(comm(cpu), size - 6, style), span(" ", style)]
        }))
    };
    Rows { empty: "no CPU runs yet", ..Rows::new(cpus.len().div_ceil(columns), line) }
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
            || task.pid.is_some_and(|pid| filter == format!("pid{pid}"))
    };
    let mut tasks: Vec<&TaskRow> = data.sample.tasks.iter().filter(fits).collect();
    match state.task_order {
        TaskOrder::Number => {}
        TaskOrder::Pid => tasks.sort_by_key(|task| (task.pid.is_none(), task.pid)),
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
    let function = usize::from(width).saturating_sub(52).clamp(8, 40);
    let heading = format!("   num   pid task              cpu state {} address", fitted("function", function));
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
            span(format!("{:>5} ", task.pid.map(|pid| pid.to_string()).unwrap_or_default()), theme.dim),
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
        let activity: VecDeque<u16> = [[0; 4], [500; 4], [1000; 4]].concat().into();
        assert_eq!(bars(Some(&activity), 1000, 6), "    ▄█");
        assert_eq!(bars(Some(&activity), 1000, 2), "▄█");
        assert_eq!(percent(Some(&activity)).as_deref(), Some("50"));
        let one: VecDeque<u16> = vec![900, 0, 0, 0, 1].into();
        assert_eq!(bars(Some(&one), 1000, 2), "█▁", "the newest four are a group, and little is not nothing");
        assert_eq!(bars(None, 1000, 12), " ".repeat(12));
        assert_eq!(percent(Some(&VecDeque::new())), None);
        for (share, text) in [(0, "0"), (7, "0.7"), (16, "1.6"), (99, "9.9"), (100, "10"), (1000, "100")] {
            assert_eq!(percent(Some(&vec![share; 64].into())).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_full_is_what_the_busiest_had() {
        // 64 that share the time: each is full, as none has more.
        let all: BTreeMap<u32, VecDeque<u16>> = (0..64).map(|cpu| (cpu, vec![15; 64].into())).collect();
        assert_eq!(full(&all), LEAST_FULL);
        assert_eq!(bars(all.get(&3), full(&all), 3), "▆▆▆");
        let mut one = all.clone();
        one.insert(5, vec![600; 64].into());
        assert_eq!(full(&one), 600);
        assert_eq!(bars(one.get(&3), full(&one), 3), "▁▁▁");
        assert_eq!(full(&BTreeMap::new()), LEAST_FULL);
    }
}

//! What is known of the machine and its run: what panes are made of, and what a frozen pane keeps.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use wkdb_tracer::{GuestTime, RunnerId, Tick};

use super::event::FromSession;
use super::sample::{Doing, EventKind, EventRow, Mark, Sample, Text, TextLine};

/// Events, findings and lines of answers that are kept, of each.
const KEPT: usize = 5_000;

/// Samples that a CPU's activity is shown of.
const ACTIVITY: usize = 64;

/// All of the time: what a CPU's activity is counted in parts of.
pub(super) const WHOLE: u16 = 1000;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// The latest sample.
    pub sample: Sample,
    /// For each CPU, which share of the guest's time it ran, in parts of [`WHOLE`], from one sample of a machine that ran
    /// to the next, the oldest first. All CPUs take turns in one time: together they make the whole at most.
    pub activity: BTreeMap<u32, VecDeque<u16>>,
    /// What happened, the oldest first.
    pub events: VecDeque<EventRow>,
    /// Events that were dropped on their way.
    pub events_dropped: u64,
    /// Those of the events that tell of something wrong, and how the run ended.
    pub findings: VecDeque<EventRow>,
    /// Commands and answers.
    pub said: VecDeque<TextLine>,
    /// Why the machine stopped last; none while it runs.
    pub stop: Option<Text>,
    /// What has changed since it stopped before.
    pub changes: Changes,
    /// The window into memory as it was before: address and bytes.
    pub memory_before: Option<(u64, Arc<Vec<u8>>)>,
    /// The last stop.
    pub(super) last: Option<Stopped>,
    /// A stop was told, and the sample of it has not come.
    pub(super) awaited: bool,
    /// Bytes of the console, events: since the last stop.
    pub(super) events_since: u64,
    /// Console bytes since the last stop.
    pub(super) printed_since: u64,
}

/// What is kept of a stop, to be compared with the next one.
#[derive(Debug, Clone)]
pub(super) struct Stopped {
    tick: Tick,
    time: GuestTime,
    tasks: Vec<RunnerId>,
    task: Option<String>,
    variables: BTreeMap<(String, String), String>,
    memory: (u64, Arc<Vec<u8>>),
}

/// What changed from one stop to the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// In words, a line each.
    pub lines: Vec<String>,
    /// Variables of the selected frame that are others now.
    pub variables: Vec<String>,
}

impl Stopped {
    fn of(sample: &Sample) -> Stopped {
        let function = frame_function(sample);
        let variables = sample.variables.iter();
        Stopped {
            tick: sample.tick,
            time: sample.time,
            tasks: sample.tasks.iter().map(|task| task.runner).collect(),
            task: sample.stack.task.as_ref().map(|task| format!("{} {}", task.runner.0 + 1, task.comm)),
            variables: variables
                .map(|variable| ((function.clone(), variable.name.clone()), variable.value.clone()))
                .collect(),
            memory: (sample.memory.address, Arc::new(sample.memory.bytes.clone())),
        }
    }
}

/// The function of the selected frame.
fn frame_function(sample: &Sample) -> String {
    sample.stack.frames.get(sample.stack.selected).map(|frame| frame.function.clone()).unwrap_or_default()
}

impl Data {
    /// Takes in what the session told.
    pub fn take(&mut self, told: FromSession) {
        match told {
            FromSession::Sample(sample) => self.take_sample(*sample),
            FromSession::Console { bytes, .. } => self.printed_since += bytes.len() as u64,
            FromSession::Events { rows, dropped } => {
                self.events_dropped += dropped;
                self.events_since += rows.len() as u64 + dropped;
                for row in rows {
                    if matches!(row.kind, EventKind::Crash | EventKind::Problem) {
                        push(&mut self.findings, row.clone());
                    }
                    push(&mut self.events, row);
                }
            }
            FromSession::Said(text) => text.0.into_iter().for_each(|line| push(&mut self.said, line)),
            FromSession::Failed(error) => push(&mut self.said, vec![(Mark::Problem, format!("error: {error}"))]),
            FromSession::Stopped(text) => {
                text.0.iter().for_each(|line| push(&mut self.said, line.clone()));
                self.stop = Some(text);
                self.awaited = true;
            }
            FromSession::Ended(text) => {
                let headline = text.headline().unwrap_or_default();
                push(&mut self.findings, EventRow { tick: None, kind: EventKind::Problem, text: headline });
                text.0.iter().for_each(|line| push(&mut self.said, line.clone()));
                self.stop = Some(text);
                self.awaited = true;
            }
            FromSession::Completion { .. }
            | FromSession::Explained { .. }
            | FromSession::Leave
            | FromSession::Gone(_) => {}
        }
    }

    fn take_sample(&mut self, sample: Sample) {
        match sample.doing {
            Doing::Running => {
                self.note_activity(&sample);
                self.stop = None;
                let before = std::mem::take(&mut self.sample.memory);
                self.memory_before = Some((before.address, Arc::new(before.bytes)));
            }
            Doing::Stopped | Doing::Ended(_) if self.awaited => {
                self.awaited = false;
                self.changes = self.changes_to(&sample);
                self.memory_before = self.last.as_ref().map(|last| last.memory.clone());
                self.last = Some(Stopped::of(&sample));
                (self.events_since, self.printed_since) = (0, 0);
            }
            _ => {}
        }
        self.sample = sample;
    }

    /// What the CPUs have run since the last sample.
    fn note_activity(&mut self, sample: &Sample) {
        let before = &self.sample;
        let passed = sample.time.0.saturating_sub(before.time.0);
        for row in &sample.cpus {
            let was = before.cpus.iter().find(|was| was.cpu == row.cpu).map_or(0, |was| was.ticks);
            let share = match (row.ticks.checked_sub(was), sample.ns_per_tick) {
                // Nobody counts: all that is known is whether it runs at this moment.
                (_, 0) => u16::from(row.busy) * WHOLE,
                // It has gone back in time.
                (None, _) => continue,
                (Some(ticks), ns) if passed > 0 => {
                    let share = u128::from(ticks) * u128::from(ns) * u128::from(WHOLE) / u128::from(passed);
                    u16::try_from(share).unwrap_or(WHOLE).min(WHOLE)
                }
                _ => continue,
            };
            let activity = self.activity.entry(row.cpu.0).or_default();
            if activity.len() == ACTIVITY {
                activity.pop_front();
            }
            activity.push_back(share);
        }
    }

    fn changes_to(&self, sample: &Sample) -> Changes {
        let mut changes = Changes::default();
        let Some(last) = &self.last else { return changes };
        let lines = &mut changes.lines;
        let (from, to) = (last.tick.0, sample.tick.0);
        let way = if to >= from { '+' } else { '-' };
        let time = GuestTime(last.time.0.abs_diff(sample.time.0));
        lines.push(format!("{way}{} ticks, {way}{time} s", from.abs_diff(to)));
        let task = sample.stack.task.as_ref().map(|task| format!("{} {}", task.runner.0 + 1, task.comm));
        if task != last.task {
            let name = |task: &Option<String>| task.clone().unwrap_or_else(|| "none".to_owned());
            lines.push(format!("task {} → {}", name(&last.task), name(&task)));
        }
        let born = sample.tasks.iter().filter(|task| !last.tasks.contains(&task.runner)).count();
        let gone = last.tasks.iter().filter(|runner| sample.tasks.iter().all(|task| task.runner != **runner)).count();
        if born + gone > 0 {
            lines.push(format!("{born} tasks began, {gone} are gone"));
        }
        let function = frame_function(sample);
        for variable in sample.variables.iter() {
            let key = (function.clone(), variable.name.clone());
            if let Some(before) = last.variables.get(&key)
                && *before != variable.value
            {
                lines.push(format!("{}: {before} → {}", variable.name, variable.value));
                changes.variables.push(variable.name.clone());
            }
        }
        let changed = changed_bytes(&last.memory, sample.memory.address, &sample.memory.bytes).count();
        if changed > 0 {
            lines.push(format!("{changed} bytes of the memory window"));
        }
        if self.events_since + self.printed_since > 0 {
            lines.push(format!("{} events, {} bytes on the console", self.events_since, self.printed_since));
        }
        changes
    }

    /// Whether a byte of the memory window is another one than before.
    pub fn is_changed(&self, address: u64, byte: u8) -> bool {
        let Some((start, before)) = &self.memory_before else { return false };
        let at = address.checked_sub(*start).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| before.get(at)).is_some_and(|&before| before != byte)
    }

    /// Whether an address is watched.
    pub fn is_watched(&self, address: u64) -> bool {
        let watched = self.sample.points.iter().filter(|point| point.enabled).filter_map(|point| point.watched);
        watched.into_iter().any(|(start, len)| address.checked_sub(start).is_some_and(|at| at < len))
    }
}

/// The places of bytes that are in both windows and differ.
fn changed_bytes<'a>(before: &'a (u64, Arc<Vec<u8>>), address: u64, now: &'a [u8]) -> impl Iterator<Item = u64> + 'a {
    let at = move |n: usize| address.wrapping_add(n as u64);
    now.iter().enumerate().filter_map(move |(n, byte)| {
        let place = usize::try_from(at(n).checked_sub(before.0)?).ok()?;
        (before.1.get(place)? != byte).then(|| at(n))
    })
}

fn push<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::VariableView;
    use crate::tui::sample::Memory;

    fn stopped(tick: u64, value: &str, bytes: &[u8]) -> FromSession {
        let variable = VariableView { name: "n".into(), value: value.into(), argument: false };
        FromSession::Sample(Box::new(Sample {
            doing: Doing::Stopped,
            tick: Tick(tick),
            variables: Arc::new(vec![variable]),
            memory: Memory { address: 0x10, bytes: bytes.to_vec(), ..Memory::default() },
            ..Sample::default()
        }))
    }

    #[test]
    fn a_stop_shows_what_changed_since_the_one_before() {
        let mut data = Data::default();
        let stop = || FromSession::Stopped(Text::line(Mark::Headline, "Breakpoint 1"));
        data.take(stop());
        data.take(stopped(100, "1", &[0, 1]));
        assert!(data.changes.lines.is_empty(), "there is none before the first");
        data.take(stop());
        data.take(FromSession::Console { bytes: vec![b'x'; 3], dropped: 0 });
        data.take(stopped(150, "2", &[0, 2]));
        let lines = data.changes.lines.join("\n");
        assert_eq!(
            lines,
            "+50 ticks, +0.000000 s\nn: 1 → 2\n1 bytes of the memory window\n0 events, 3 bytes on the console"
        );
        assert_eq!(data.changes.variables, ["n"]);
        assert!(data.is_changed(0x11, 2) && !data.is_changed(0x10, 0) && !data.is_changed(0x12, 9));
        // Looking elsewhere at the same stop is no new stop.
        data.take(stopped(150, "3", &[0, 2]));
        assert_eq!(data.changes.variables, ["n"]);
        data.take(stop());
        data.take(stopped(120, "2", &[0, 2]));
        assert_eq!(data.changes.lines, ["-30 ticks, -0.000000 s"]);
    }

    #[test]
    fn what_is_wrong_is_among_the_findings_and_lists_do_not_grow_without_end() {
        let mut data = Data::default();
        let row = |kind| EventRow { tick: Some(Tick(1)), kind, text: String::new() };
        for _ in 0..KEPT {
            let rows = vec![row(EventKind::Life), row(EventKind::Problem)];
            data.take(FromSession::Events { rows, dropped: 1 });
        }
        assert_eq!((data.events.len(), data.findings.len(), data.events_dropped), (KEPT, KEPT, KEPT as u64));
        assert!(data.findings.iter().all(|row| row.kind == EventKind::Problem));
    }
}

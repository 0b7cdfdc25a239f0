//! The report of a stop.

use wkdb_tracer::{WatchHit, Writer};

use super::Debugger;
use super::events::{bytes, who};
use super::notice::outcome_text;
use super::output::{Output, Style};
use super::points::Details;
use crate::inferior::{Inferior, Stop, StopReason};

impl Debugger {
    /// Tells of a stop: why, who and when, and where. The task that stopped is looked at from now on.
    pub(super) fn report(&mut self, inferior: &mut dyn Inferior, stop: &Stop, points: &[Option<u32>]) -> Output {
        let mut out = Output::new();
        match &stop.context {
            Some(context) => self.select_task(context.runner),
            None => self.selection = Default::default(),
        }
        match &stop.reason {
            StopReason::Watch(hits) => {
                for (id, hit) in hits {
                    let number = self.points.of_watch(*id);
                    if number.is_none() || points.contains(&number) {
                        out.append(&self.watch_report(inferior, number, hit));
                    }
                }
            }
            StopReason::Finding { findings, .. } => {
                for finding in findings {
                    out.mark(Style::Problem, finding.to_string()).push("\n");
                    finding.details.iter().for_each(|line| _ = out.line(format!("  {line}")));
                }
            }
            reason => {
                let headline = self.headline(reason, points);
                if !headline.is_empty() {
                    out.mark(Style::Headline, headline).push("\n");
                }
            }
        }
        match &stop.context {
            Some(context) => {
                out.mark(Style::Task, format!("task {} {}", context.runner.0 + 1, who(context))).push("\n")
            }
            None => out.line(format!("tick {} time {}, before the first task runs", stop.tick, stop.time)),
        };
        if stop.context.is_some()
            && let Ok(text) = self.describe_selected(inferior)
        {
            out.append(&text);
        }
        out
    }

    fn headline(&mut self, reason: &StopReason, points: &[Option<u32>]) -> String {
        match reason {
            StopReason::Start => "The machine is about to start.".to_owned(),
            StopReason::Interrupt => "Interrupted.".to_owned(),
            StopReason::Breakpoint(_) => {
                let numbers: Vec<_> = points.iter().flatten().copied().collect();
                let mut names = Vec::new();
                for number in numbers {
                    if let Ok(point) = self.points.get_mut(number) {
                        names.push(format!("{} {number}", point.kind_name()));
                    }
                }
                names.join(", ")
            }
            StopReason::Step => String::new(),
            // Each of them has a headline of its own.
            StopReason::Watch(_) | StopReason::Finding { .. } => String::new(),
            StopReason::Tick => "Came to the moment that was asked for.".to_owned(),
            StopReason::Trap { reason } => format!("Trap: {reason}. The kernel will handle it."),
            StopReason::Panic { message } => format!("The guest kernel panicked: {}", message.trim_end()),
            StopReason::End(outcome) => outcome_text(outcome),
            StopReason::HistoryStart => "The beginning of the recorded history.".to_owned(),
            StopReason::HistoryEnd => "The end of the recorded history.".to_owned(),
            StopReason::ModuleLoaded(_) => "A program that has not run before is about to start.".to_owned(),
        }
    }

    /// A hit of a watch that stopped the machine.
    fn watch_report(&mut self, inferior: &mut dyn Inferior, number: Option<u32>, hit: &WatchHit) -> Output {
        let mut out = Output::new();
        // A write that was looked for, and gone to.
        let asked = self.asked.take().filter(|_| number.is_none());
        let name = match number.and_then(|number| self.points.get_mut(number).ok()) {
            Some(point) => match &point.details {
                Details::Watch(watch) => format!("{} {}: {}", point.kind_name(), point.number, watch.expression),
                Details::Break(_) => String::new(),
            },
            None => match &asked {
                Some(asked) => format!("Last write to {}", asked.title()),
                None => format!("Watch of {:#x}", hit.address),
            },
        };
        out.mark(Style::Headline, name).push("\n");
        let (old, new) = match &asked {
            Some(asked) => self.written_values(inferior, asked, hit),
            None => self.watched_values(inferior, number, hit),
        };
        if hit.old == hit.new {
            out.line(format!("  value = {new} (unchanged)"));
        } else {
            out.line(format!("  old = {old}")).line(format!("  new = {new}"));
        }
        out.line(format!("  {}", self.who_did_it(inferior, hit)));
        out
    }

    /// A hit of a watch that only logs, in a line.
    pub(super) fn watch_line(&mut self, inferior: &mut dyn Inferior, number: u32, hit: &WatchHit) -> Output {
        let expression = match self.points.get_mut(number).map(|point| &point.details) {
            Ok(Details::Watch(watch)) => watch.expression.clone(),
            _ => format!("{:#x}", hit.address),
        };
        let (old, new) = self.watched_values(inferior, Some(number), hit);
        let mut out = Output::new();
        out.mark(Style::Headline, format!("watch {number} {expression}")).push(format!(": {old} -> {new}, "));
        out.push(self.who_did_it(inferior, hit));
        if let Some(context) = &hit.context {
            out.push(", ").mark(Style::Task, who(context));
        }
        out.push("\n");
        out
    }

    /// `4 bytes at 0x1f20 by evdev_stop_autorepeat (drivers/evdev.c:41)`.
    pub(super) fn who_did_it(&mut self, inferior: &mut dyn Inferior, hit: &WatchHit) -> String {
        let unit = if hit.store_len == 1 { "byte" } else { "bytes" };
        let what = format!("{} {unit} at {:#x}", hit.store_len, hit.store_address);
        let partly = if hit.new.len() as u64 == hit.store_len {
            String::new()
        } else {
            format!(" ({} of them watched: {} -> {})", hit.new.len(), bytes(&hit.old), bytes(&hit.new))
        };
        let by = self.writer_text(inferior, &hit.writer);
        format!("{what}{partly} by {by}")
    }

    /// Who wrote, in a few words.
    pub(super) fn writer_text(&mut self, inferior: &mut dyn Inferior, writer: &Writer) -> String {
        match writer {
            Writer::Host { action } => format!("the host: {action}"),
            Writer::Guest { stack } => match stack.first() {
                Some(frame) => self.place_of(inferior, frame),
                None => "unknown code".to_owned(),
            },
        }
    }
}

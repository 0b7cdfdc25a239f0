//! What is done about what the machine tells by itself.

use wkdb_tracer::{Context, Event, Frame, Outcome, Totals};

use super::Debugger;
use super::error::Result;
use super::events;
use super::output::{Output, Style};
use super::plan::{Plan, Progress};
use crate::inferior::{Inferior, Notice, Stop, StopReason, WatchId};

/// What a notice has led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reaction {
    /// What to tell.
    pub output: Output,
    /// What the machine does now.
    pub now: Now,
}

/// What the machine does after a notice was dealt with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Now {
    /// What it did before.
    #[default]
    Same,
    /// It runs on: the stop was none to tell of.
    GoesOn,
    /// It is stopped, and a command is awaited.
    Stopped,
    /// The run is over.
    Ended,
}

impl Debugger {
    /// Deals with a notice: tells of it, or lets the machine go on.
    ///
    /// # Errors
    /// The machine is gone, or cannot go on.
    pub fn on_notice(&mut self, inferior: &mut dyn Inferior, notice: &Notice) -> Result<Reaction> {
        match notice {
            Notice::Console(_) => Ok(Reaction::default()),
            Notice::Event(event) => Ok(Reaction { output: self.on_event(inferior, event), now: Now::Same }),
            // If a breakpoint may be in there, the machine stops before the module runs.
            Notice::Module(_) => Ok(Reaction::default()),
            Notice::Stopped(stop) => self.on_stop(inferior, stop),
            Notice::Found(found) => Ok(Reaction { output: self.found(inferior, found), now: Now::Stopped }),
            Notice::Ended(outcome, totals) => {
                self.plan = Plan::None;
                Ok(Reaction { output: ended(outcome, totals), now: Now::Ended })
            }
        }
    }

    fn on_event(&mut self, inferior: &mut dyn Inferior, event: &Event) -> Output {
        let text = events::line(event, |frame| self.place_of(inferior, frame));
        self.events.add(text.clone());
        match event {
            Event::Watch(hit) => match self.points.of_watch(WatchId(hit.watch)) {
                // Those that stop tell of it then.
                Some(number) => match self.logging_watch(number) {
                    true => {
                        if let Ok(point) = self.points.get_mut(number) {
                            point.hits += 1;
                        }
                        self.watch_line(inferior, number, hit)
                    }
                    false => Output::new(),
                },
                None => Output::new(),
            },
            Event::Hog { .. } | Event::Complaint { .. } | Event::CpuStopped { .. } => {
                let mut out = Output::new();
                out.mark(Style::Problem, text).push("\n");
                out
            }
            // A trap, a panic, and what detectors find stop the machine, which is told then.
            Event::Trap { .. } | Event::Panic { .. } | Event::Finding(_) => Output::new(),
            Event::TaskBorn { .. } | Event::TaskGone { .. } | Event::CpuStarted { .. } => Output::new(),
        }
    }

    /// Where a frame is, in a few words.
    pub(super) fn place_of(&mut self, inferior: &mut dyn Inferior, frame: &Frame) -> String {
        match self.modules.locate(inferior, frame.address) {
            Some(location) => {
                let places = location.frames.iter().map(|frame| match &frame.source {
                    Some(source) => format!("{} ({source})", frame.function),
                    None => frame.function.clone(),
                });
                places.collect::<Vec<_>>().join(" < ")
            }
            None => format!("func[{}]", frame.function),
        }
    }

    fn on_stop(&mut self, inferior: &mut dyn Inferior, stop: &Stop) -> Result<Reaction> {
        let mut output = Output::new();
        if self.has_pending() {
            output.append(&self.resolve_again(inferior)?);
        }
        let context = stop.context.as_ref();
        let mut hit = Hit::default();
        match &stop.reason {
            StopReason::Breakpoint(ids) => {
                for id in ids {
                    if let Some(number) = self.points.of_breakpoint(*id) {
                        hit.ask(self, inferior, number, context, &mut output);
                    } else if self.plan.owns(*id) {
                        hit.plan = true;
                    }
                }
            }
            StopReason::Watch(hits) => {
                for (id, watch_hit) in hits {
                    // A watch of somebody else's: the stop is told.
                    let Some(number) = self.points.of_watch(*id) else {
                        hit.stops.push(None);
                        continue;
                    };
                    if !self.point_stops(inferior, number, context, &mut output) {
                        hit.passed = true;
                    } else if self.logging_watch(number) {
                        output.append(&self.watch_line(inferior, number, watch_hit));
                        hit.passed = true;
                    } else {
                        hit.stops.push(Some(number));
                    }
                }
            }
            StopReason::ModuleLoaded(_) if self.plan.is_running() => hit.passed = true,
            StopReason::Step => hit.plan = true,
            StopReason::Tick if self.plan.is_running() => hit.plan = true,
            _ => hit.stops.push(None),
        }
        if hit.stops.is_empty() && (hit.passed || hit.plan) {
            match self.progress(inferior, stop, hit.plan)? {
                Progress::GoOn => {
                    self.go_on(inferior)?;
                    return Ok(Reaction { output, now: Now::GoesOn });
                }
                Progress::Done(text) => {
                    output.append(&self.report(inferior, stop, &[]));
                    output.append(&text);
                }
            }
        } else {
            output.append(&self.report(inferior, stop, &hit.stops));
        }
        self.settle(inferior, &hit.stops)?;
        output.append(&self.all_displays(inferior));
        Ok(Reaction { output, now: Now::Stopped })
    }

    /// After a stop that is told: nothing is under way any more, and what was to stop once is gone.
    fn settle(&mut self, inferior: &mut dyn Inferior, stops: &[Option<u32>]) -> Result<()> {
        self.stopped_at = stops.iter().flatten().next().copied();
        let plan = std::mem::replace(&mut self.plan, Plan::None);
        plan.clean_up(inferior)?;
        for number in stops.iter().flatten() {
            if self.points.get_mut(*number).is_ok_and(|point| point.temporary) {
                self.delete_point(inferior, *number)?;
            }
        }
        Ok(())
    }
}

/// Whom a stop concerns.
#[derive(Debug, Default)]
struct Hit {
    /// Breakpoints and watches that stop; none stands for other reasons.
    stops: Vec<Option<u32>>,
    /// Some were passed: a false condition, or one that is ignored for now.
    passed: bool,
    /// What is under way may have come to its end.
    plan: bool,
}

impl Hit {
    fn ask(
        &mut self,
        debugger: &mut Debugger,
        inferior: &mut dyn Inferior,
        number: u32,
        context: Option<&Context>,
        output: &mut Output,
    ) {
        if debugger.point_stops(inferior, number, context, output) {
            self.stops.push(Some(number));
        } else {
            self.passed = true;
        }
    }
}

/// How a run ended, in words.
pub(super) fn ended(outcome: &Outcome, totals: &Totals) -> Output {
    let mut out = Output::new();
    out.mark(Style::Headline, outcome_text(outcome)).push("\n");
    out.line(format!("tick {}, time {}, {} tasks, {} CPUs", totals.ticks, totals.time, totals.tasks, totals.cpus));
    out
}

/// An outcome in a line.
pub(super) fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Until(condition) => format!("The run has ended: {condition}."),
        Outcome::MaxTime => "The run has ended: its time limit passed.".to_owned(),
        Outcome::Panic => "The run has ended: the guest panicked.".to_owned(),
        Outcome::Deadlock(_) => "Deadlock: every task waits, and nothing can wake one.".to_owned(),
        Outcome::Spin(_) => "The machine only spins: tasks run, but none waits, switches or prints.".to_owned(),
        Outcome::Script { reason, .. } => format!("The input script failed: {reason}"),
        Outcome::Quit => "The run has ended.".to_owned(),
        Outcome::Broken(reason) => format!("The run cannot go on: {reason}"),
        Outcome::RecordingEnds => "The recording ends here: it was cut off.".to_owned(),
    }
}

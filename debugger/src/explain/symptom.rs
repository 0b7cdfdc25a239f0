//! What went wrong in a run: the first of what its events, its end, and the kernel's own log tell.

use serde::Serialize;
use wkdb_tracer::{Detector, Event, GuestTime, ModuleId, Outcome, Tick};

use super::explorer::Explorer;
use super::place::Stack;
use crate::inferior::{Goal, Milestone, Moment, Result, Status, StopReason};

/// How a kernel says that something waits too long, and what has to follow in the line.
const STALLS: &[(&str, &str)] = &[
    ("INFO: task ", "blocked for more than"),
    ("INFO: rcu", "stall"),
    ("rcu: INFO: ", "stall"),
    ("watchdog: BUG: soft lockup", ""),
    ("watchdog: CPU", "hard LOCKUP"),
    ("BUG: workqueue lockup", ""),
];

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SymptomKind {
    /// A detector found something.
    Finding,
    /// Kernel code trapped.
    KernelTrap,
    /// A program trapped.
    UserTrap,
    /// The kernel gave up by itself.
    Panic,
    /// Every task waits.
    Deadlock,
    /// Tasks run, and nothing gets done.
    Spin,
    /// A task held its CPU from others.
    Hog,
    /// The kernel's log complains of something that waits too long.
    Stall,
    /// The run did not come to where it should have.
    Script,
}

/// What went wrong first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Symptom {
    /// What kind of thing.
    pub kind: SymptomKind,
    /// In a sentence.
    pub text: String,
    /// When.
    pub tick: Tick,
    /// When, by the guest's clock.
    pub time: GuestTime,
    /// Who was running.
    pub task: Option<String>,
    /// The call stack, innermost first.
    pub stack: Stack,
}

/// What is to be looked into.
pub(super) enum What {
    Finding(Box<Milestone>),
    Trap(Box<Milestone>),
    Panic(Box<Milestone>),
    Stall,
}

impl Explorer<'_> {
    fn symptom_of(&mut self, kind: SymptomKind, text: String, milestone: &Milestone) -> Result<Symptom> {
        // Before a program was loaded its functions have no names.
        if milestone.event.stack().first().is_some_and(|frame| frame.address.module != ModuleId::KERNEL) {
            self.go_to(Goal::Tick(milestone.at.tick))?;
        }
        let context = milestone.event.context();
        let task = context.map(|context| format!("{} on {}", context.comm, context.cpu));
        let stack = self.stack(milestone.event.stack());
        let text = match stack.who() {
            Some(place) if !matches!(kind, SymptomKind::Panic | SymptomKind::Finding) => format!("{text} in {place}"),
            _ => text,
        };
        Ok(Symptom { kind, text, tick: milestone.at.tick, time: milestone.at.time, task, stack })
    }

    /// What went wrong in the course of the run, in its order: findings, a trap of the kernel's, a panic.
    pub(super) fn symptoms(&mut self) -> Result<Vec<(Symptom, What)>> {
        let mut milestones = self.history()?.milestones().to_vec();
        milestones.extend(self.trap_at_present()?);
        let in_kernel = |milestone: &Milestone| {
            milestone.event.stack().first().is_none_or(|frame| frame.address.module == ModuleId::KERNEL)
        };
        let mut user_trap = None;
        let mut symptoms = Vec::new();
        for milestone in milestones {
            match &milestone.event {
                // What a trap's pointer was is found out here as well.
                Event::Finding(finding) if finding.detector != Detector::Trap => {
                    let symptom = self.symptom_of(SymptomKind::Finding, finding.to_string(), &milestone)?;
                    symptoms.push((symptom, What::Finding(Box::new(milestone))));
                }
                Event::Trap { reason, .. } if in_kernel(&milestone) => {
                    let symptom = self.symptom_of(SymptomKind::KernelTrap, format!("trap: {reason}"), &milestone)?;
                    symptoms.push((symptom, What::Trap(Box::new(milestone))));
                    // What comes behind comes of it.
                    break;
                }
                Event::Trap { .. } => _ = user_trap.get_or_insert(milestone),
                Event::Panic { message, .. } => {
                    let message = message.lines().next().unwrap_or_default();
                    let symptom = self.symptom_of(SymptomKind::Panic, format!("panic: {message}"), &milestone)?;
                    // What it panics about may be that a program trapped: init, as a rule.
                    let what = match user_trap.filter(|trap| is_followed_by(trap, &milestone)) {
                        Some(trap) => What::Trap(Box::new(trap)),
                        None => What::Panic(Box::new(milestone)),
                    };
                    symptoms.push((symptom, what));
                    break;
                }
                _ => {}
            }
        }
        Ok(symptoms)
    }

    /// The trap that a live run stands at: it is told of only when the machine goes on.
    fn trap_at_present(&mut self) -> Result<Option<Milestone>> {
        let extent = self.history()?.extent();
        if extent.recording.is_some() {
            return Ok(None);
        }
        let stop = match self.inferior.status() {
            Status::Stopped(stop) if !extent.in_the_past => (**stop).clone(),
            _ => self.go_to(Goal::Present)?,
        };
        let (StopReason::Trap { reason }, Some(context)) = (stop.reason, stop.context) else { return Ok(None) };
        self.standing = Some(stop.tick);
        let stack = self.inferior.frames(context.runner)?;
        let event = Event::Trap { context, reason, stack };
        Ok(Some(Milestone { at: Moment { tick: stop.tick, time: stop.time }, event }))
    }

    /// What is wrong at the end of the run; none where nothing is. Goes there, if that has to be looked at.
    pub(super) fn symptom_at_end(&mut self) -> Result<Option<(Symptom, What)>> {
        let milestones = self.history()?.milestones();
        let first = |wanted: fn(&Event) -> bool| milestones.iter().find(|milestone| wanted(&milestone.event)).cloned();
        let hog = first(|event| matches!(event, Event::Hog { .. }));
        let user_trap = first(|event| matches!(event, Event::Trap { .. }));
        let (outcome, at) = self.outcome()?;
        let end = |kind, text: String| {
            let symptom = Symptom { kind, text, tick: at.0, time: at.1, task: None, stack: Stack::default() };
            Ok(Some((symptom, What::Stall)))
        };
        match outcome {
            Some(Outcome::Deadlock(_)) => {
                return end(SymptomKind::Deadlock, "deadlock: every task waits, and nothing can wake one".to_owned());
            }
            Some(Outcome::Spin(_)) => {
                return end(SymptomKind::Spin, "spin: tasks run, and for a long time nothing gets done".to_owned());
            }
            _ => {}
        }
        self.go_to_end()?;
        let log = self.kernel(|kernel| kernel.dmesg().lines).unwrap_or_default();
        let complains = |text: &str| STALLS.iter().any(|(begin, then)| text.starts_with(begin) && text.contains(then));
        if let Some(line) = log.iter().find(|line| complains(&line.text)) {
            let time = GuestTime(line.time_ns.unwrap_or(at.1.0));
            let text = format!("the kernel says: {}", line.text.trim_end());
            let symptom =
                Symptom { kind: SymptomKind::Stall, text, tick: at.0, time, task: None, stack: Stack::default() };
            return Ok(Some((symptom, What::Stall)));
        }
        if let Some(Outcome::Script { reason, .. }) = &outcome {
            return end(SymptomKind::Script, format!("the script failed: {reason}"));
        }
        if let Some(milestone) = hog {
            let symptom =
                self.symptom_of(SymptomKind::Hog, "a task keeps its CPU from others".to_owned(), &milestone)?;
            return Ok(Some((symptom, What::Stall)));
        }
        if let Some(milestone) = user_trap {
            let reason = match &milestone.event {
                Event::Trap { reason, .. } => reason.clone(),
                _ => String::new(),
            };
            let symptom = self.symptom_of(SymptomKind::UserTrap, format!("trap in a program: {reason}"), &milestone)?;
            return Ok(Some((symptom, What::Trap(Box::new(milestone)))));
        }
        if let Some(Outcome::MaxTime) = outcome {
            return end(
                SymptomKind::Script,
                "the run came to its time limit before what should have ended it".to_owned(),
            );
        }
        Ok(None)
    }

    /// How the run ended, if it has, and when; otherwise, how far it has come.
    fn outcome(&mut self) -> Result<(Option<Outcome>, (Tick, GuestTime))> {
        let extent = self.history()?.extent();
        if let Some(recording) = extent.recording {
            return Ok((recording.outcome, (recording.end.tick, recording.end.time)));
        }
        let outcome = match self.inferior.status() {
            Status::Stopped(stop) => match &stop.reason {
                StopReason::End(outcome) => Some((**outcome).clone()),
                _ => None,
            },
            _ => None,
        };
        Ok((outcome, (extent.present.tick, extent.present.time)))
    }

    /// Goes to the moment at which what stands still is looked at: where a detector saw it, or the end of the run.
    pub(super) fn go_to_end(&mut self) -> Result<()> {
        let moment = self.moment.unwrap_or(Goal::End);
        self.go_to(moment).map(|_| ())
    }
}

/// Whether a panic comes right after a trap, in the same task.
fn is_followed_by(trap: &Milestone, panic: &Milestone) -> bool {
    let runner = |milestone: &Milestone| milestone.event.context().map(|context| context.runner);
    /// What a kernel prints when it panics takes some time.
    const SOON_NS: u64 = 10_000_000;
    runner(trap) == runner(panic) && panic.at.time.0.saturating_sub(trap.at.time.0) < SOON_NS
}

//! An explanation as a person reads it, and the commands that show what it says.

use wkdb_tracer::Event;

use super::explorer::Explorer;
use super::place::{Actor, Stack};
use super::{Act, Culprit, Explanation};
use crate::commands::{Output, Style};
use crate::inferior::Result;

/// Frames of a call stack that are told.
const MOST_FRAMES: usize = 6;

/// Frames that gdb is told to show where a stack is what went wrong.
const MOST_SHOWN: usize = 16;

/// Times that gdb is told to go back.
const MOST_BACK: usize = 12;

fn stack_text(out: &mut Output, stack: &Stack) {
    // What is in headers says little, but for where it is.
    let innermost = stack.0.iter().take(1);
    let others = stack.0.iter().skip(1).filter(|place| !place.file.as_ref().is_some_and(|file| file.ends_with(".h")));
    let places: Vec<_> = innermost.chain(others).collect();
    let mut at = 0;
    let mut told = 0;
    while at < places.len() && told < MOST_FRAMES {
        let same = places[at..].iter().take_while(|place| ***place == *places[at]).count();
        out.push("       ").push(if told == 0 { "in " } else { " < " }).mark(Style::Place, places[at].to_string());
        if same > 1 {
            out.push(format!(" ×{same}"));
        }
        out.push("\n");
        at += same;
        told += 1;
    }
    if at < places.len() {
        out.line(format!("        < {} more", places.len() - at));
    }
}

fn actor_text(out: &mut Output, actor: &Actor) {
    out.push("     ").mark(Style::Task, actor.to_string()).push("\n");
}

impl Culprit {
    /// In a line, without what it did.
    pub fn line(&self) -> String {
        let mut line = self.place.to_string();
        if let Some(caller) = &self.called_by {
            line.push_str(&format!(", called by {caller}"));
        }
        if let Some(kept) = &self.pointer_from {
            line.push_str(&format!(", through a pointer that {kept} kept"));
        }
        line
    }
}

impl Explanation {
    /// As a person reads it.
    pub fn text(&self) -> Output {
        let mut out = Output::new();
        let Some(symptom) = &self.symptom else {
            if self.interrupted {
                out.mark(Style::Problem, "Interrupted before it was known what went wrong.").push("\n");
                return out;
            }
            out.line("Nothing went wrong in this run that is known of: there is nothing to explain.");
            return out;
        };
        out.mark(Style::Headline, format!("Symptom: {}", symptom.text)).push("\n");
        out.push(format!("     tick {}, {} s", symptom.tick, symptom.time));
        if let Some(task) = &symptom.task {
            out.push(", ").mark(Style::Task, task);
        }
        out.push("\n");
        stack_text(&mut out, &symptom.stack);
        for (number, step) in self.steps.iter().enumerate() {
            out.line(format!("{:>3}. {}", number + 1, step.text));
            for detail in &step.details {
                out.line(format!("     {detail}"));
            }
            if let Some(actor) = &step.actor {
                actor_text(&mut out, actor);
            }
            stack_text(&mut out, &step.stack);
        }
        for unknown in &self.unknown {
            out.push("not known: ").line(unknown);
        }
        if self.interrupted {
            out.mark(Style::Problem, "Interrupted: this is what was found until then.").push("\n");
        }
        for culprit in &self.culprits {
            out.mark(Style::Headline, format!("culprit: {}", culprit.line())).push("\n");
            out.line(format!("     {}, at tick {}, {} s", culprit.did, culprit.tick, culprit.time));
        }
        if !self.commands.is_empty() {
            out.line("To see it:");
            for command in &self.commands {
                out.line(format!("     {command}"));
            }
        }
        out
    }
}

impl Explorer<'_> {
    /// The commands that show what was found.
    pub(super) fn commands(&mut self, explanation: &mut Explanation) -> Result<()> {
        let extent = self.history()?.extent();
        let Some(recording) = extent.recording else { return Ok(()) };
        // A debugger is stopped there first.
        let before = self.history()?.milestones().iter().filter(|milestone| {
            matches!(milestone.event, Event::Trap { .. } | Event::Panic { .. })
                && explanation.symptom.as_ref().is_some_and(|symptom| milestone.at.tick < symptom.tick)
        });
        let mut gdb = vec!["gdb -ex 'target remote :1234'".to_owned()];
        gdb.extend(std::iter::repeat_n("-ex 'continue'".to_owned(), before.count() + 1));
        let watch = |(address, len): (u64, u64)| {
            let ty = match len {
                1 => "char",
                2 => "short",
                8 => "long long",
                _ => "int",
            };
            format!("-ex 'watch *({ty} *){address:#x}'")
        };
        let stopped_there = explanation.symptom.as_ref().is_some_and(|symptom| !symptom.stack.0.is_empty());
        match explanation.word {
            Some(word) => gdb.push(format!("{} -ex 'reverse-continue' -ex 'backtrace'", watch(word))),
            None if stopped_there => gdb.push(format!("-ex 'backtrace {MOST_SHOWN}'")),
            None => gdb.push("-ex 'info threads'".to_owned()),
        }
        if let (Some(act), Some(_)) = (&explanation.act, explanation.word) {
            let (stop, times) = match act {
                Act::Store { address, len, changes } => (watch((*address, *len)), *changes),
                Act::Call { function, parameter, start, size, calls } => {
                    let its = format!("(unsigned long){parameter} - {start:#x} < {size}");
                    (format!("-ex 'break {function} if {its}'"), *calls)
                }
            };
            if times < MOST_BACK {
                gdb.push(format!("-ex 'delete 1' {stop}"));
                gdb.extend(std::iter::repeat_n("-ex 'reverse-continue'".to_owned(), times + 1));
                gdb.push("-ex 'backtrace'".to_owned());
            }
        }
        explanation.commands.push(format!("wkdb replay {} --gdb 1234", recording.name));
        explanation.commands.push(gdb.join(" "));
        Ok(())
    }
}

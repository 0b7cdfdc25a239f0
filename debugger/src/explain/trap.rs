//! Traps: which operand was bad, and which word of memory it came out of.

use wkdb_tracer::{Event, ModuleId};

use super::body::{Body, Kind, Source};
use super::explorer::Explorer;
use super::slice::{Cursor, Origin, Word};
use super::symptom::SymptomKind;
use super::{Culprit, Explanation, Step};
use crate::inferior::{Goal, Milestone, Result, Resume, StopReason};
use crate::kernel::Finding;

/// Words that are followed from the one that trapped: pointers to pointers.
const MOST_WORDS: usize = 12;

/// Stops before a trap that are gone past.
const MOST_STOPS: usize = 1000;

/// What a bad value was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// A pointer.
    Pointer,
    /// A function pointer: a place in the table. The type of function that was expected, by its index.
    Function { ty: u32 },
    /// A divisor.
    Divisor,
    /// Another number: what is wrong with it was found already.
    Number,
}

impl Explorer<'_> {
    /// Goes to a trap: the machine stands before the kernel's handling of it, with all the stack.
    pub(super) fn go_to_trap(&mut self, trap: &Milestone) -> Result<bool> {
        let runner = trap.event.context().map(|context| context.runner);
        let mut stop = self.go_to(Goal::Tick(trap.at.tick))?;
        for _ in 0..MOST_STOPS {
            let is_it = stop.context.as_ref().map(|context| context.runner) == runner && stop.tick == trap.at.tick;
            match stop.reason {
                StopReason::Trap { .. } if is_it => return Ok(true),
                // The present stands there.
                StopReason::HistoryEnd if is_it && self.standing == Some(trap.at.tick) => return Ok(true),
                StopReason::End(_) | StopReason::HistoryEnd => return Ok(false),
                _ if stop.tick > trap.at.tick => return Ok(false),
                _ => stop = self.resume(&Resume::go())?,
            }
        }
        Ok(false)
    }

    /// The operand that an instruction trapped for.
    fn trapped_operand(&mut self, body: &Body, at: usize, cursor: &Cursor) -> Result<Option<(Source, Use)>> {
        let instruction = &body.instructions[at];
        let first = instruction.takes.first().cloned();
        Ok(match instruction.kind {
            Kind::Load { .. } | Kind::Store { .. } | Kind::Update { .. } | Kind::Fill => {
                first.map(|source| (source, Use::Pointer))
            }
            Kind::Copy => {
                // Which of the two it is, is seen by what they are.
                let second = instruction.takes.get(1).cloned();
                let frame = self.frame(cursor.runner, cursor.level)?;
                let value = match (&frame, &first) {
                    (Some(frame), Some(first)) => self.eval(body, frame, first, 0),
                    _ => None,
                };
                let bad = match value {
                    Some(value) => self.nonsense(value).is_some(),
                    None => true,
                };
                if bad { first } else { second }.map(|source| (source, Use::Pointer))
            }
            Kind::CallIndirect(ty) => instruction.takes.last().cloned().map(|source| (source, Use::Function { ty })),
            Kind::Divide => instruction.takes.get(1).cloned().map(|source| (source, Use::Divisor)),
            _ => None,
        })
    }

    /// Why a value is not what it was taken for; none if it can be.
    pub(super) fn what_is_wrong(&mut self, value: u64, taken_for: Use) -> Option<String> {
        match taken_for {
            Use::Pointer => self.nonsense(value),
            Use::Divisor => (value == 0).then(|| "zero".to_owned()),
            Use::Number => None,
            Use::Function { ty } => {
                let symbols = self.symbols(ModuleId::KERNEL)?;
                let code = self.code(ModuleId::KERNEL)?;
                match symbols.table_function(value) {
                    None if value == 0 => Some("null".to_owned()),
                    None => Some(match self.nonsense(value) {
                        Some(why) => format!("no function's place in the table: {why}"),
                        None => "no function's place in the table".to_owned(),
                    }),
                    Some(function) => {
                        let (is, wanted) = (code.type_of(function)?, code.type_text(ty)?);
                        let name = symbols.function_name(function);
                        (is != wanted).then(|| format!("a function of another type: {name} is {is}, not {wanted}"))
                    }
                }
            }
        }
    }

    /// A bad value, in words.
    fn value_text(&mut self, value: u64, taken_for: Use) -> String {
        match (taken_for, self.function_text(value)) {
            (Use::Function { .. }, Some(name)) => format!("{value:#x} ({name})"),
            (Use::Pointer, _) => self.pointer_text(value),
            _ => format!("{value:#x}"),
        }
    }

    /// Explains a trap.
    pub(super) fn explain_trap(&mut self, trap: &Milestone, explanation: &mut Explanation) -> Result<()> {
        if !self.go_to_trap(trap)? {
            explanation.unknown.push("the trap was not found again in the past".to_owned());
            return Ok(());
        }
        let (Some(context), Event::Trap { reason, .. }) = (trap.event.context().cloned(), &trap.event) else {
            return Ok(());
        };
        let frames = self.inferior.frames(context.runner)?;
        let Some(top) = frames.first().copied() else {
            explanation.unknown.push("the trap has no call stack".to_owned());
            return Ok(());
        };
        if self.explain_overflow(context.runner, reason, explanation)? {
            return Ok(());
        }
        let module = top.address.module;
        let body = self.body(module, top.function);
        let Some((body, at)) = body.and_then(|body| body.at(top.address.offset).map(|at| (body, at))) else {
            explanation.unknown.push("the code that trapped cannot be read".to_owned());
            return Ok(());
        };
        let mut cursor = Cursor {
            runner: context.runner,
            level: frames.len() - 1,
            module,
            function: top.function,
            at,
            source: Source::Unknown,
            value: None,
        };
        if body.instructions[at].kind == Kind::Unreachable {
            let place = self.places(top.address).into_iter().next();
            let who = place.map_or_else(|| "the code".to_owned(), |place| place.to_string());
            let text = format!("{who} gave up by itself: it is at an instruction that should never be reached");
            explanation.steps.push(Step::new(text));
            explanation.unknown.push("what it had found wrong: its condition is not followed".to_owned());
            return Ok(());
        }
        let Some((source, taken_for)) = self.trapped_operand(&body, at, &cursor)? else {
            explanation.unknown.push(format!("why it trapped ({reason}): its operands are not followed"));
            return Ok(());
        };
        cursor.source = source;
        if let Some(frame) = self.frame(cursor.runner, cursor.level)? {
            cursor.value = self.eval(&body, &frame, &cursor.source, 0);
        }
        let Some((word, certain)) = self.bad_word(cursor, taken_for, explanation)? else { return Ok(()) };
        self.blame(word, taken_for, certain, explanation)
    }

    /// Follows a bad value to the word of memory that it came out of, and tells the way; and whether the value is bad by
    /// itself. What is nothing by itself, as a word near null, was read through a bad pointer: that is followed then.
    fn bad_word(
        &mut self,
        mut cursor: Cursor,
        taken_for: Use,
        explanation: &mut Explanation,
    ) -> Result<Option<(Word, bool)>> {
        let mut taken_for = taken_for;
        for _ in 0..MOST_WORDS {
            match self.follow(cursor)? {
                Origin::Memory { word, by, address } => {
                    let what = match taken_for {
                        Use::Pointer => "pointer",
                        Use::Function { .. } => "function pointer",
                        Use::Divisor => "divisor",
                        Use::Number => "number",
                    };
                    let value = self.value_text(word.value, taken_for);
                    let name = self.word_name(&address, word.address)?;
                    let wrong = self.what_is_wrong(word.value, taken_for);
                    let why = wrong.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                    let step = Step::new(format!("The {what} is {value}{why}. {by} read it from {name}"));
                    let bad_place = self.nonsense_address(word.address);
                    match (bad_place, wrong) {
                        (Some(bad), _) => {
                            explanation.steps.push(step.detail(format!("nothing is kept there: the address is {bad}")));
                            (cursor, taken_for) = (address, Use::Pointer);
                        }
                        (None, Some(_)) => {
                            let step = self.about_word(step, word.address);
                            explanation.steps.push(step);
                            return Ok(Some((word, true)));
                        }
                        (None, None) => {
                            // The value can be right: what it was computed from is not.
                            let step = self.about_word(step, word.address);
                            explanation.steps.push(step.detail("by itself it could be one".to_owned()));
                            return Ok(Some((word, false)));
                        }
                    }
                }
                Origin::Constant { value, by } => {
                    explanation.steps.push(Step::new(format!("The value is the constant {value:#x} in {by}")));
                    match self.what_is_wrong(value, taken_for) {
                        Some(_) => {
                            let did = format!("uses the constant {value:#x} there");
                            let symptom = explanation.symptom.as_ref();
                            let (tick, time) = symptom.map(|symptom| (symptom.tick, symptom.time)).unwrap_or_default();
                            let (called_by, pointer_from) = (None, None);
                            explanation.culprits.push(Culprit { place: by, called_by, pointer_from, did, tick, time });
                        }
                        None => explanation.unknown.push("how the code came to use this constant".to_owned()),
                    }
                    return Ok(None);
                }
                Origin::Host(text) => {
                    explanation.steps.push(Step::new(format!("The value came from outside the guest: {text}")));
                    return Ok(None);
                }
                Origin::Unknown(why) => {
                    explanation.unknown.push(format!("where the bad value came from: {why}"));
                    return Ok(None);
                }
            }
        }
        explanation.unknown.push(format!("where the bad value came from: it was followed through {MOST_WORDS} words"));
        Ok(None)
    }

    /// Why nothing of the guest's can lie at an address.
    fn nonsense_address(&mut self, address: u64) -> Option<String> {
        if address < 1 << 16 {
            return Some("in the first page".to_owned());
        }
        if !self.is_memory(address) {
            return Some("beyond the memory".to_owned());
        }
        let findings = self.kernel(|kernel| kernel.address(address).findings).unwrap_or_default();
        findings.into_iter().find_map(|finding| match finding {
            Finding::Stack { task, in_use: Some(false), .. } => Some(format!("below the stack pointer of {task}")),
            _ => None,
        })
    }

    /// A word as the source has it, and where it lies.
    pub(super) fn word_name(&mut self, cursor: &Cursor, address: u64) -> Result<String> {
        let expression = self.expression(cursor.runner, cursor.level, address);
        Ok(match (expression, self.data_name(address)) {
            (Some(expression), Some(name)) => format!("{expression} ({name}, at {address:#x})"),
            (Some(expression), None) => format!("{expression} (at {address:#x})"),
            (None, Some(name)) => format!("{name} (at {address:#x})"),
            (None, None) => format!("{address:#x}"),
        })
    }

    /// What a word is part of, and what is before it.
    pub(super) fn about_word(&mut self, mut step: Step, address: u64) -> Step {
        let name = self.data_name(address);
        let is_told = |text: &String| Some(text) == name.as_ref();
        let all = self.what_is_at(address);
        step.details.extend(all.into_iter().filter(|text| !is_told(text)).map(|text| format!("there: {text}")));
        let before = address.checked_sub(1).and_then(|before| self.data_name(before));
        if let (Some(before), Some(_)) = (before, name) {
            let member = before.split('+').next().unwrap_or(&before);
            step.details.push(format!("right behind {member}"));
        }
        step.details.extend(self.neighbours(address));
        step
    }

    /// Whether a symptom is about a program.
    pub(super) fn is_users(explanation: &Explanation) -> bool {
        explanation.symptom.as_ref().is_some_and(|symptom| symptom.kind == SymptomKind::UserTrap)
    }
}

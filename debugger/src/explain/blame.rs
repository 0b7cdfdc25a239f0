//! Who wrote a word, and whether it was theirs.
//!
//! ```text
//! word ─▶ last write ─▶ was the value copied from another word? follow that one
//!             ├▶ by the host, a program, a task that has left its stack: told as such
//!             ├▶ into an object of the allocators: freed before? by whom, and who was given it since?
//!             └▶ who else writes there, and how did the writer come by the address
//! ```

use std::collections::BTreeMap;

use wkdb_tracer::{WatchHit, Writer};

use super::body::Kind;
use super::explorer::Explorer;
use super::object::{Life, What};
use super::place::{Actor, Place, Stack};
use super::slice::{Origin, Word};
use super::trap::Use;
use super::{Culprit, Explanation, Step};
use crate::inferior::{Goal, Result};

/// Copies that a value is followed through.
const MOST_COPIES: usize = 8;

/// Pointers that the address of a write is followed through.
const MOST_POINTERS: usize = 3;

/// An object behind a pointer is not larger.
const NEAR: u64 = 1 << 16;

/// Writes of a word that are looked at, the last ones.
const MOST_WRITES: usize = 4096;

/// The last write into a word.
pub(super) struct Written {
    pub(super) word: Word,
    pub(super) hit: WatchHit,
    pub(super) actor: Actor,
    pub(super) stack: Stack,
    /// Who is to be named: a place of the stack.
    pub(super) who: usize,
}

impl Written {
    pub(super) fn place(&self) -> &Place {
        &self.stack.0[self.who]
    }

    /// What the word was before, if all of it was written.
    pub(super) fn overwritten(&self) -> Option<u64> {
        let from = usize::try_from(self.word.address.checked_sub(self.hit.address)?).ok()?;
        let bytes = self.hit.old.get(from..from.checked_add(usize::try_from(self.word.len).ok()?)?)?;
        Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }
}

impl Explorer<'_> {
    /// Explains how a word came to hold what it holds now. Where it is not `certain` that this is wrong, who wrote it is
    /// named only if it was not theirs.
    pub(super) fn blame(
        &mut self,
        word: Word,
        taken_for: Use,
        certain: bool,
        explanation: &mut Explanation,
    ) -> Result<()> {
        let Some(written) = self.written(word, taken_for, explanation)? else { return Ok(()) };
        explanation.word = Some((written.word.address, written.word.len));
        let life = self.life(written.word.address)?;
        self.go_to(Goal::LastWrite { address: written.word.address, len: written.word.len })?;
        if self.left_its_stack(&written, explanation)? || self.wrote_from_outside(&written, explanation)? {
            return Ok(());
        }
        if let Some(life) = &life
            && self.freed_too_early(&written, life, explanation)?
        {
            return Ok(());
        }
        let did = format!("wrote {} there", self.new_text(&written, taken_for));
        let mut culprit = Culprit::of(&written.stack, written.who, &written.actor, did);
        let theirs = self.ownership(&written, life.as_ref(), explanation)?;
        if !certain && theirs {
            explanation.unknown.push("whether this value, or what was computed from it, is wrong".to_owned());
            return Ok(());
        }
        culprit.pointer_from = self.where_from(&written, life.as_ref(), explanation)?;
        explanation.culprits.push(culprit);
        Ok(())
    }

    fn new_text(&mut self, written: &Written, taken_for: Use) -> String {
        match taken_for {
            Use::Function { .. } => format!("{:#x}", written.word.value),
            Use::Number | Use::Divisor => written.word.value.to_string(),
            _ => self.pointer_text(written.word.value),
        }
    }

    /// The write that the value comes from: the last one, or, where that copied it, the one before the copy.
    fn written(&mut self, word: Word, taken_for: Use, explanation: &mut Explanation) -> Result<Option<Written>> {
        let mut word = word;
        let mut last = None;
        for _ in 0..MOST_COPIES {
            let Some(hit) = self.last_write(word.address, word.len)? else { break };
            let Some((actor, stack)) = self.who_did(&hit) else {
                if let Writer::Host { action } = &hit.writer {
                    let text = format!("The host wrote that, on the guest's behalf: {action}");
                    explanation.steps.push(Step::new(text));
                    explanation.unknown.push("who of the guest asked the host to".to_owned());
                }
                return Ok(None);
            };
            let who = stack.responsible().unwrap_or(0);
            let written = Written { word, hit, actor, stack, who };
            let step = self.written_step(&written, taken_for);
            explanation.steps.push(step);
            let copied = self.copied_from(&written)?;
            last = Some(written);
            match copied {
                Some(from) => {
                    let text = format!("It was copied there from {}", self.place_text(from.address));
                    explanation.steps.push(self.about_word(Step::new(text), from.address));
                    word = from;
                }
                None => break,
            }
        }
        if last.is_none() {
            explanation.unknown.push("who wrote the word: nobody has since the start of history".to_owned());
        }
        Ok(last)
    }

    fn place_text(&mut self, address: u64) -> String {
        match self.data_name(address) {
            Some(name) => format!("{name} (at {address:#x})"),
            None => format!("{address:#x}"),
        }
    }

    fn written_step(&mut self, written: &Written, taken_for: Use) -> Step {
        let Written { word, hit, actor, stack, .. } = written;
        let how = match stack.0[..written.who].iter().map(|place| place.function.as_str()).collect::<Vec<_>>()[..] {
            [] => String::new(),
            ref helpers => format!(", through {}", helpers.join(" < ")),
        };
        let step = Step::new(format!("Written last by {}{how}", written.place())).by(actor, stack);
        let Some(old) = written.overwritten() else {
            return step.detail(format!("{} of its {} bytes, at {:#x}", hit.new.len(), word.len, hit.address));
        };
        let old = match (taken_for, self.function_text(old)) {
            (Use::Function { .. }, Some(name)) => format!("{old:#x}, the function {name}"),
            (Use::Number | Use::Divisor, _) => old.to_string(),
            _ => match self.pointer_text(old) {
                text if old == 0 => text,
                text => match self.nonsense(old) {
                    None if self.data_name(old).is_none() => match self.what_is_at(old).into_iter().next() {
                        Some(what) => format!("{text}, {what}"),
                        None => text,
                    },
                    _ => text,
                },
            },
        };
        step.detail(format!("before that it was {old}"))
    }

    /// The word that a write copied its value from.
    fn copied_from(&mut self, written: &Written) -> Result<Option<Word>> {
        let Written { word, hit, .. } = written;
        if hit.new.len() as u64 != word.len {
            return Ok(None);
        }
        let Some((cursor, whole)) = self.stored_by(hit, word.value) else { return self.moved_from(written) };
        if !whole {
            return Ok(None);
        }
        // What a constant is, is known without going there.
        let here = self.position()?;
        self.go_to(Goal::LastWrite { address: word.address, len: word.len })?;
        if let Origin::Memory { word: from, .. } = self.follow(cursor)?
            && (from.value, from.len) == (word.value, word.len)
            && from.address != word.address
            && self.last_write(from.address, from.len)?.is_some()
        {
            // It stands where that was read.
            return Ok(Some(from));
        }
        self.go_to(Goal::Position(here))?;
        Ok(None)
    }

    /// The same for a copy of many bytes.
    fn moved_from(&mut self, written: &Written) -> Result<Option<Word>> {
        let Written { word, hit, actor, .. } = written;
        let Writer::Guest { stack } = &hit.writer else { return Ok(None) };
        let Some(frame) = stack.first() else { return Ok(None) };
        let Some(body) = self.body(frame.address.module, frame.function) else { return Ok(None) };
        let Some(at) = body.at(frame.address.offset) else { return Ok(None) };
        if body.instructions[at].kind != Kind::Copy {
            return Ok(None);
        }
        let here = self.position()?;
        self.go_to(Goal::LastWrite { address: word.address, len: word.len })?;
        let state = self.frame(actor.runner, stack.len() - 1)?;
        let source = body.instructions[at].takes.get(1).cloned();
        let from = match (state, source) {
            (Some(state), Some(source)) => self.eval(&body, &state, &source, 0),
            _ => None,
        };
        let from = from.map(|from| from.wrapping_add(word.address.wrapping_sub(hit.store_address)));
        if let Some(address) = from
            && self.number(address, word.len) == Some(word.value)
            && self.last_write(address, word.len)?.is_some()
        {
            return Ok(Some(Word { address, ..*word }));
        }
        self.go_to(Goal::Position(here))?;
        Ok(None)
    }

    /// A program wrote into what is not its own.
    fn wrote_from_outside(&mut self, written: &Written, explanation: &mut Explanation) -> Result<bool> {
        if written.place().is_kernel() || Self::is_users(explanation) {
            return Ok(false);
        }
        let comm = self.comm(written.actor.runner).unwrap_or_else(|| written.actor.comm.clone());
        let text = format!(
            "That is the program {comm}, running its own code: without an MMU, a store of a program's can hit any byte \
             of the kernel's"
        );
        explanation.steps.push(Step::new(text));
        let did = format!("a function of the program {comm}, wrote over the kernel's memory");
        explanation.culprits.push(Culprit::of(&written.stack, written.who, &written.actor, did));
        Ok(true)
    }

    /// Who else writes there: since the memory was handed out, if it was. Whether the word is the writer's own, as far as
    /// that can be told.
    fn ownership(&mut self, written: &Written, life: Option<&Life>, explanation: &mut Explanation) -> Result<bool> {
        let (hits, _) = self.writes(written.word.address, written.word.len, MOST_WRITES)?;
        let last = life.and_then(|life| life.last(What::Allocated, written.actor.tick));
        let since = last.map_or(0, |change| change.actor.tick.0);
        let mut others: BTreeMap<String, (Place, u64)> = BTreeMap::new();
        for hit in hits.iter().filter(|hit| **hit != written.hit) {
            let Some((actor, stack)) = self.who_did(hit) else { continue };
            let allocator = stack.has(super::names::frees) || stack.has(super::names::allocates);
            if actor.tick.0 < since
                || allocator
                || stack.0.first().is_some_and(|place| place.function.starts_with("__wasm_"))
            {
                continue;
            }
            if let Some(place) = stack.who() {
                others.entry(place.function.clone()).or_insert_with(|| (place.clone(), 0)).1 += 1;
            }
        }
        if others.is_empty() {
            return Ok(true);
        }
        let mut most: Vec<(Place, u64)> = others.into_values().collect();
        most.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let theirs =
            most.iter().any(|(place, _)| place.same_file(written.place()) || place.same_function(written.place()));
        let text = if theirs {
            "The same part of the program has written there before"
        } else {
            "It is not the writer's: nothing else of its file ever wrote there"
        };
        let mut step = Step::new(text);
        for (place, count) in most.iter().take(4) {
            let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
            step = step.detail(format!("written by {place} {times}"));
        }
        if most.len() > 4 {
            step = step.detail(format!("and by {} others", most.len() - 4));
        }
        explanation.steps.push(step);
        Ok(theirs)
    }

    /// How the writer came by the address that it wrote to: from which words that somebody put it into before. Gives who
    /// did, where the memory has been freed since: that pointer was stale.
    fn where_from(
        &mut self,
        written: &Written,
        life: Option<&Life>,
        explanation: &mut Explanation,
    ) -> Result<Option<Place>> {
        let Some(mut cursor) = self.stored_at(&written.hit) else { return Ok(None) };
        let within = |address: u64| {
            let object = life.map(|life| &life.object);
            object.is_some_and(|object| (object.start..object.start + object.size).contains(&address))
        };
        for _ in 0..MOST_POINTERS {
            // It stands behind the write, or where the last pointer was read.
            let Origin::Memory { word, by, address } = self.follow(cursor)? else { break };
            // What a part of an object says of where the rest is, or an allocator of what it hands out, is right.
            if by.is_allocator() {
                break;
            }
            // A pointer leads near to what was written; an index, or the place of a CPU's data, does not.
            if !(word.value..word.value.saturating_add(NEAR)).contains(&written.hit.store_address)
                && !within(word.address)
            {
                break;
            }
            if within(word.address) {
                cursor = address;
                continue;
            }
            let name = self.word_name(&address, word.address)?;
            let Some(hit) = self.last_write(word.address, word.len)? else { break };
            let Some((actor, stack)) = self.who_did(&hit) else { break };
            let Some(place) = stack.who().cloned() else { break };
            // Where per-CPU data lie, and what was there before the first function ran, is nobody's doing.
            if place.is_allocator() || place.function.starts_with("__wasm_") {
                break;
            }
            let freed = life.and_then(|life| {
                life.changes.iter().find(|change| {
                    change.what == What::Freed
                        && change.actor.tick > actor.tick
                        && change.actor.tick < written.actor.tick
                })
            });
            let text = format!("{by} took the address that was written to from {name}");
            let step = Step::new(text).detail(format!("put there by {place}, {actor}"));
            match freed {
                Some(freed) => {
                    let text = format!("the memory has been freed since, by {}, {}", freed.place(), freed.actor);
                    explanation.steps.push(step.detail(text));
                    return Ok(Some(place));
                }
                None => {
                    explanation.steps.push(step);
                    // Further back is looked for a pointer that was kept for too long, where there may be one.
                    if !life.is_some_and(|life| life.changes.iter().any(|change| change.what == What::Freed)) {
                        break;
                    }
                    cursor = address;
                }
            }
        }
        Ok(None)
    }
}

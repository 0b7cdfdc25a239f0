//! Memory that was freed while somebody still used it, or twice: by whom.
//!
//! ```text
//! handed out ─ freed ─ handed out ─ written        the writer is right, who freed it was too early
//! handed out ─ freed ─ freed                       the second time is one too many
//! handed out ─ freed ─ handed out ─ freed by a callback of the first life ─ …     it was queued once too often
//! handed out ─ handed out                          another object of the slab was freed twice before
//! ```

use wkdb_tracer::{ModuleId, Tick};

use super::blame::Written;
use super::explorer::Explorer;
use super::object::{Change, Life, Queued, What};
use super::place::{Actor, Place, Stack};
use super::{Act, Culprit, Explanation, Step, names};
use crate::inferior::Result;
use crate::kernel::SlabObject;
use crate::symbols::{TypeKind, Variable};

/// Who queued a callback that freed an object.
struct Callback {
    /// Its function.
    function: String,
    /// Each time that it was queued, the earliest first.
    times: Vec<(Actor, Stack)>,
    /// What it is called by.
    places: Vec<u64>,
    /// It was for what was in the memory before that was handed out for the last time.
    stale: bool,
}

fn described(object: &SlabObject) -> String {
    format!("an object of {} ({} bytes at {:#x})", object.cache, object.size, object.start)
}

/// Whether a write took away a callback that was put there since the object was handed out.
fn overwrote_callback(written: &Written, life: &Life, allocated: &Change) -> bool {
    let old = written.overwritten();
    let since = allocated.actor.tick..=written.actor.tick;
    life.queued.iter().any(|queued| since.contains(&queued.actor.tick) && Some(queued.value) == old)
}

impl Explorer<'_> {
    /// Whether the memory that was written to had been freed too early, or twice; tells by whom.
    pub(super) fn freed_too_early(
        &mut self,
        written: &Written,
        life: &Life,
        explanation: &mut Explanation,
    ) -> Result<bool> {
        let now = written.actor.tick;
        if self.freed_by_stale_callback(life, written, explanation) {
            return Ok(true);
        }
        let twice = life.freed_twice(now);
        if let Some((first, second)) = life.handed_out_twice(now)
            && twice.is_none_or(|(_, freed)| second.actor.tick < freed.actor.tick)
            && self.handed_out_twice(life, (first, second), written, explanation)?
        {
            return Ok(true);
        }
        if let Some(twice) = twice {
            let text = format!("That memory, {}, had been freed twice before", described(&life.object));
            self.tell_freed_twice(&text, (life, twice), written, explanation);
            return Ok(true);
        }
        let (allocated, freed) = (life.last(What::Allocated, now), life.last(What::Freed, now));
        // What is called by a pointer that was put there since, uses the object that is there now.
        let freed = freed.filter(|_| !allocated.is_some_and(|allocated| overwrote_callback(written, life, allocated)));
        let Some(freed) = freed else {
            if let Some(allocated) = allocated {
                let text = format!("That memory is {}, handed out to {}", described(&life.object), allocated.place());
                explanation.steps.push(Step::new(text).by(&allocated.actor, &allocated.stack));
            }
            return Ok(false);
        };
        let is_owner = match allocated.filter(|allocated| allocated.actor.tick > freed.actor.tick) {
            Some(allocated) => {
                let text =
                    format!("That memory, {}, had been handed out to {}", described(&life.object), allocated.place());
                explanation.steps.push(Step::new(text).by(&allocated.actor, &allocated.stack));
                let theirs = |place: &Place| place.same_function(allocated.place());
                written.stack.0.iter().any(theirs) || written.place().same_file(allocated.place())
            }
            None => written.stack.has(names::frees),
        };
        let text = format!("Before that it had been freed by {}", freed.place());
        explanation.steps.push(Step::new(text).by(&freed.actor, &freed.stack));
        if !is_owner {
            return Ok(false);
        }
        let text = "So the writer wrote into its own memory, and what trapped used the object that was there before: it \
                    was freed too early";
        explanation.steps.push(Step::new(text));
        let text = "freed what was still in use";
        self.tell_who_freed((life, freed), text, written, explanation);
        Ok(true)
    }

    /// A callback freed the memory when that had been handed out anew since it was queued: it had been queued once more
    /// than the memory was freed. Whether that is what happened.
    fn freed_by_stale_callback(&mut self, life: &Life, written: &Written, explanation: &mut Explanation) -> bool {
        let now = written.actor.tick;
        let frees = life.changes.iter().filter(|change| change.what == What::Freed && change.actor.tick <= now);
        for freed in frees {
            let Some(callback) = self.callback(life, freed).filter(|callback| callback.stale) else { continue };
            let owner = life.last(What::Allocated, freed.actor.tick);
            let owner =
                owner.map(|owner| format!(", which {} had been given since", owner.place())).unwrap_or_default();
            let text = format!("That memory, {}{owner}, had been freed by {}", described(&life.object), freed.place());
            explanation.steps.push(Step::new(text).by(&freed.actor, &freed.stack));
            self.tell_callback(&callback, life, written, explanation);
            return true;
        }
        false
    }

    /// The list of free objects led to the memory twice. That comes of another object of its slab that was freed twice:
    /// whether there is one.
    fn handed_out_twice(
        &mut self,
        life: &Life,
        (first, second): (&Change, &Change),
        written: &Written,
        explanation: &mut Explanation,
    ) -> Result<bool> {
        let Some(start) = self.first_freed_twice(life, second.actor.tick)? else { return Ok(false) };
        let Some(other) = self.life(start)? else { return Ok(false) };
        let Some(twice) = other.freed_twice(second.actor.tick) else { return Ok(false) };
        let text =
            format!("That memory, {}, had been handed out twice, and not freed in between", described(&life.object));
        let step = Step::new(text);
        let step = step.detail(format!("to {}, {}", first.place(), first.actor));
        explanation.steps.push(step.detail(format!("to {}, {}", second.place(), second.actor)));
        let text = format!("Its slab had been corrupt since {} was freed twice", described(&other.object));
        self.tell_freed_twice(&text, (&other, twice), written, explanation);
        Ok(true)
    }

    fn tell_freed_twice(
        &mut self,
        text: &str,
        (life, (first, second)): (&Life, (&Change, &Change)),
        written: &Written,
        explanation: &mut Explanation,
    ) {
        explanation.steps.push(Step::new(format!("{text}, and not handed out in between")));
        explanation.steps.push(Step::new(format!("first by {}", first.place())).by(&first.actor, &first.stack));
        explanation.steps.push(Step::new(format!("then by {}", second.place())).by(&second.actor, &second.stack));
        self.tell_who_freed((life, second), "freed it a second time", written, explanation);
    }

    /// Names who freed an object, or who queued the callback that did.
    fn tell_who_freed(
        &mut self,
        (life, freed): (&Life, &Change),
        did: &str,
        written: &Written,
        explanation: &mut Explanation,
    ) {
        match self.callback(life, freed) {
            Some(callback) => self.tell_callback(&callback, life, written, explanation),
            None => {
                explanation.culprits.push(Culprit::of(&freed.stack, freed.by, &freed.actor, did));
                explanation.act = life.act(&freed.actor, &written.hit);
            }
        }
    }

    /// Where an object was freed by a callback: who queued that.
    fn callback(&mut self, life: &Life, freed: &Change) -> Option<Callback> {
        let symbols = self.symbols(ModuleId::KERNEL)?;
        let function = freed.place().function.clone();
        let places = symbols.functions_named(&function);
        let places: Vec<u64> = places.iter().filter_map(|function| symbols.table_place(function.index)).collect();
        let is_it = |queued: &&Queued| places.contains(&queued.value) && queued.actor.tick <= freed.actor.tick;
        let is_freed_by_it = |change: &&Change| change.what == What::Freed && change.place().function == function;
        // When it was handed out, before it was freed: the last time first.
        let lives = life.changes.iter().rev();
        let lives = lives.filter(|change| change.what == What::Allocated && change.actor.tick < freed.actor.tick);
        let mut lives = lives.map(|change| change.actor.tick).chain([Tick(0)]);
        let since = lives.next()?;
        let between = |from: Tick, to: Tick| {
            let queued = life.queued.iter().filter(is_it);
            queued.filter(|queued| (from..=to).contains(&queued.actor.tick)).collect::<Vec<_>>()
        };
        let mut times = between(since, freed.actor.tick);
        let stale = times.is_empty();
        if stale {
            // Of the life before, if it was queued then more often than it has been called since.
            let before = lives.next()?;
            times = between(before, since);
            let earlier = life.changes.iter().filter(is_freed_by_it);
            let called = earlier.filter(|change| (before..freed.actor.tick).contains(&change.actor.tick)).count();
            if times.len() <= called {
                return None;
            }
        }
        let times: Vec<_> = times.into_iter().map(|queued| (queued.actor.clone(), queued.stack.clone())).collect();
        (!times.is_empty()).then_some(Callback { function, times, places, stale })
    }

    /// Tells who queued a callback; the last one is named: more than once is a mistake by itself.
    fn tell_callback(&mut self, callback: &Callback, life: &Life, written: &Written, explanation: &mut Explanation) {
        let Callback { function, times, stale, .. } = callback;
        let Some((actor, stack)) = times.last() else { return };
        let count = times.len();
        let often = if count > 1 { format!("{count} times") } else { "once".to_owned() };
        let of = if *stale { "the object that was there before" } else { "this object" };
        let text = format!("{function} is a callback: it was queued {often} for {of}");
        let mut step = Step::new(text).by(actor, stack);
        for (actor, stack) in times {
            if let Some(by) = stack.beyond(names::defers) {
                step = step.detail(format!("by {}, {actor}", stack.0[by]));
            }
        }
        explanation.steps.push(step);
        let did = match (count, stale) {
            (1, false) => "had it freed while it was still in use",
            (1, true) => "queued it, and it was freed before it was called",
            _ => "queued it again",
        };
        let by = stack.beyond(names::defers).or_else(|| stack.responsible());
        explanation.culprits.extend(by.map(|by| Culprit::of(stack, by, actor, did)));
        explanation.act = life.act(actor, &written.hit).or_else(|| {
            // It wrote what was there already: it is known by its call.
            let call = &stack.0.get(by?.checked_sub(1)?)?.function;
            let later = |queued: &&Queued| {
                callback.places.contains(&queued.value)
                    && queued.actor.tick > actor.tick
                    && queued.actor.tick <= written.actor.tick
            };
            let calls = life.queued.iter().filter(later).count();
            let (start, size) = (life.object.start, life.object.size);
            Some(Act::Call { function: call.clone(), parameter: self.pointer_parameter(call)?, start, size, calls })
        });
    }

    /// The first parameter of a function that is a pointer.
    fn pointer_parameter(&mut self, function: &str) -> Option<String> {
        let symbols = self.symbols(ModuleId::KERNEL)?;
        let start = symbols.functions_named(function).first()?.start;
        let scope = symbols.scopes(start).pop()?;
        let is_pointer = |variable: &&Variable| {
            variable.parameter && matches!(symbols.resolve(variable.ty).1.kind, TypeKind::Pointer { .. })
        };
        scope.variables.iter().find(is_pointer).map(|variable| variable.name.clone())
    }
}

//! The life of an object of the kernel's allocators: who was given its memory, and who gave it back, and when. Seen from
//! what allocators do to the memory itself: they link free objects by a word in each, write that when an object is freed,
//! and read it when it is handed out.

use std::collections::BTreeMap;

use wkdb_tracer::{RunnerId, Tick, WatchHit, Writer};

use super::explorer::Explorer;
use super::place::{Actor, Place, Stack};
use super::{Act, names};
use crate::inferior::Result;
use crate::kernel::SlabObject;

/// Accesses of an object that are looked at, the last ones.
const MOST_ACCESSES: usize = 20_000;

/// Accesses of the links of a slab's objects that are looked at, the first ones.
const MOST_OF_SLAB: usize = 60_000;

/// A part of one call of an allocator: nothing else happens to an object within so few ticks.
const SAME_CALL: u64 = 12;

/// Something that befell an object's memory.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) what: What,
    pub(super) actor: Actor,
    pub(super) stack: Stack,
    /// Who called the allocator: a place of the stack.
    pub(super) by: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Allocated,
    Freed,
}

impl Change {
    pub(super) fn place(&self) -> &Place {
        &self.stack.0[self.by]
    }
}

/// What is known of an object.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) object: SlabObject,
    /// The earliest first.
    pub(super) changes: Vec<Change>,
    /// Writes that put a callback's function into it: who queued it.
    pub(super) queued: Vec<Queued>,
    /// The word of it that links it to the next free object: its address and its bytes.
    link: Option<(u64, u64)>,
    /// All that was written there, the earliest first.
    writes: Vec<WatchHit>,
}

/// Somebody put a callback into an object, to be called later.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    pub(super) actor: Actor,
    pub(super) stack: Stack,
    /// The function, as it is called by.
    pub(super) value: u64,
}

impl Life {
    /// The last change of a kind before a tick.
    pub(super) fn last(&self, what: What, before: Tick) -> Option<&Change> {
        self.changes.iter().rev().find(|change| change.what == what && change.actor.tick <= before)
    }

    /// The first two changes before a tick by which the object was freed twice without having been handed out in between:
    /// once that has happened, it is handed out to two at a time, and freed by both.
    pub(super) fn freed_twice(&self, before: Tick) -> Option<(&Change, &Change)> {
        pair(&self.changes, What::Freed, before)
    }

    /// The first two changes before a tick by which it was handed out twice without having been freed in between.
    pub(super) fn handed_out_twice(&self, before: Tick) -> Option<(&Change, &Change)> {
        pair(&self.changes, What::Allocated, before)
    }

    /// The store by which somebody changed the object at a tick, seen from a write into it, or into another, that came later.
    pub(super) fn act(&self, by: &Actor, from: &WatchHit) -> Option<Act> {
        let at = |hit: &WatchHit| hit.context.as_ref().map(|context| (context.tick, context.runner));
        // What it wrote may have been there already; within its call there is something that changed.
        let far = |hit: &WatchHit| at(hit).map(|(tick, _)| tick.0.abs_diff(by.tick.0));
        let is_its = |hit: &WatchHit| {
            let its =
                at(hit).is_some_and(|(_, runner)| runner == by.runner) && far(hit).is_some_and(|far| far <= SAME_CALL);
            its && hit.old != hit.new && hit.new.len() <= 8
        };
        let its = (0..self.writes.len()).filter(|&at| is_its(&self.writes[at]));
        let place = its.min_by_key(|&at| far(&self.writes[at]))?;
        let hit = &self.writes[place];
        let (address, len) = (hit.address, hit.new.len() as u64);
        let from_here =
            self.writes.iter().rposition(|hit| at(hit) == at(from) && hit.store_address == from.store_address);
        let end = from_here.unwrap_or_else(|| {
            let later = |hit: &WatchHit| at(hit).is_some_and(|(tick, _)| Some(tick) > at(from).map(|(tick, _)| tick));
            self.writes.iter().position(later).unwrap_or(self.writes.len())
        });
        let changes = |hit: &&WatchHit| {
            let bytes = (hit.address..).zip(hit.old.iter().zip(&hit.new));
            bytes.into_iter().any(|(byte, (old, new))| old != new && (address..address + len).contains(&byte))
        };
        let changes = self.writes.get(place + 1..end)?.iter().filter(changes).count();
        Some(Act::Store { address, len, changes })
    }
}

/// The first two changes of a kind that follow each other, before a tick.
fn pair(changes: &[Change], what: What, before: Tick) -> Option<(&Change, &Change)> {
    let mut pairs = changes.windows(2).take_while(|pair| pair[1].actor.tick <= before);
    let twice = pairs.find(|pair| pair.iter().all(|change| change.what == what));
    twice.map(|pair| (&pair[0], &pair[1]))
}

/// Accesses of an object by its allocator, as the calls that they are parts of, in their order.
fn calls(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_by_key(|change| change.actor.tick);
    let key = |change: &Change| (change.what, change.actor.runner, change.place().clone());
    let mut kept: Vec<Change> = Vec::new();
    for change in changes {
        let again = kept
            .last()
            .is_some_and(|last| key(last) == key(&change) && change.actor.tick.0 - last.actor.tick.0 <= SAME_CALL);
        if !again {
            kept.push(change);
        }
    }
    kept
}

impl Explorer<'_> {
    /// The object that an address is in.
    pub(super) fn object_at(&mut self, address: u64) -> Option<SlabObject> {
        self.kernel(|kernel| kernel.page_info(address)).flatten()?.object
    }

    /// The objects of a slab that are next to the one that an address is in, in words.
    pub(super) fn neighbours(&mut self, address: u64) -> Option<String> {
        let own = self.object_at(address)?.start;
        let starts = self.kernel(|kernel| kernel.slab_objects(address))?;
        let place = starts.iter().position(|&start| start == own)?;
        let mut texts = Vec::new();
        let sides = [(place.checked_sub(1), "before"), (Some(place + 1), "behind")];
        for (start, side) in sides.into_iter().filter_map(|(place, side)| Some((*starts.get(place?)?, side))) {
            let state = match self.object_at(start).and_then(|object| object.free) {
                Some(true) => "free",
                Some(false) => "in use",
                None => "in use or free",
            };
            texts.push(format!("{side} it the one at {start:#x}, {state}"));
        }
        (!texts.is_empty()).then(|| format!("of the same slab there lie {}", texts.join("; ")))
    }

    /// The life of the object that an address is in, up to now.
    pub(super) fn life(&mut self, address: u64) -> Result<Option<Life>> {
        let Some(object) = self.object_at(address) else { return Ok(None) };
        let mut changes: Vec<Change> = Vec::new();
        let mut queued = Vec::new();
        let (writes, _) = self.writes(object.start, object.size, MOST_ACCESSES)?;
        let mut link = None;
        for hit in &writes {
            let Some((actor, stack)) = self.who_did(hit) else { continue };
            if let Some(change) = change(actor.clone(), stack.clone()) {
                if change.what == What::Freed {
                    link = Some((hit.address, hit.new.len() as u64));
                }
                changes.push(change);
            } else if stack.has(names::defers) {
                let value = hit.new.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
                queued.push(Queued { actor, stack, value });
            }
        }
        // What was never freed may have its link anywhere.
        for hit in self.accesses(&[link.unwrap_or((object.start, object.size))], MOST_ACCESSES)? {
            let Some((actor, stack)) = self.who_did(&hit) else { continue };
            changes.extend(change(actor, stack));
        }
        Ok(Some(Life { object, changes: calls(changes), queued, link, writes }))
    }

    /// Where the first object of a life's slab begins that was freed twice before a tick, and not handed out in between:
    /// from then on the list of free objects leads to others twice, too.
    pub(super) fn first_freed_twice(&mut self, life: &Life, before: Tick) -> Result<Option<u64>> {
        let Some((link, len)) = life.link else { return Ok(None) };
        let Some(into) = link.checked_sub(life.object.start) else { return Ok(None) };
        let starts = self.kernel(|kernel| kernel.slab_objects(link)).unwrap_or_default();
        let links: Vec<(u64, u64)> = starts.iter().map(|start| (start + into, len)).collect();
        let mut changes: BTreeMap<u64, Vec<Change>> = BTreeMap::new();
        for hit in self.accesses(&links, MOST_OF_SLAB)? {
            let Some((actor, stack)) = self.who_did(&hit) else { continue };
            let Some((link, _)) = links.iter().find(|(link, len)| (*link..link + len).contains(&hit.address)) else {
                continue;
            };
            if let Some(change) = change(actor, stack) {
                changes.entry(link - into).or_default().push(change);
            }
        }
        let twice = changes.into_iter().filter_map(|(start, changes)| {
            let changes = calls(changes);
            let (_, second) = pair(&changes, What::Freed, before)?;
            Some((second.actor.tick, start))
        });
        Ok(twice.min().map(|(_, start)| start))
    }

    /// Who accessed memory, unless it was the host.
    pub(super) fn who_did(&mut self, hit: &WatchHit) -> Option<(Actor, Stack)> {
        let Writer::Guest { stack } = &hit.writer else { return None };
        let actor = Actor::from(hit.context.as_ref()?);
        Some((actor, self.stack(stack)))
    }

    /// The name of a task as the kernel has it now: the host knows the one that it had when it began.
    pub(super) fn comm(&mut self, runner: RunnerId) -> Option<String> {
        self.kernel(|kernel| kernel.task_of(runner)).flatten().and_then(|task| task.comm)
    }
}

/// What an access by an allocator means for the object that it is in.
fn change(actor: Actor, stack: Stack) -> Option<Change> {
    let what = if stack.has(names::flushes) {
        return None;
    } else if stack.has(names::frees) {
        What::Freed
    } else if stack.has(names::allocates) && !stack.has(names::shuffles) {
        What::Allocated
    } else {
        return None;
    };
    let kind = if what == What::Freed { names::frees } else { names::allocates };
    let by = stack.beyond(kind)?;
    Some(Change { what, actor, stack, by })
}

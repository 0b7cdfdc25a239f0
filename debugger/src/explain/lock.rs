//! Locks: who waits for which, who holds it and since when, and whether they wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use wkdb_tracer::{RunnerId, RunnerState, WatchHit};

use super::body::Kind;
use super::explorer::Explorer;
use super::place::{Actor, Place, Stack};
use super::{Culprit, Explanation, Step, names};
use crate::inferior::{Result, TaskInfo};
use crate::symbols::{Symbols, TypeId, TypeKind};

/// Writes of a lock that are looked at, the last ones.
const MOST_WRITES: usize = 4096;

/// Bits of a mutex's owner that are flags: a task's address is aligned to more.
const OWNER_FLAGS: u64 = 7;

/// How deep members are looked through for an owner.
const MOST_NESTED: usize = 4;

/// So many times more often than the other order: the rare one is the mistake.
const RARE: u64 = 4;

/// A task that waits for a lock.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub(super) task: TaskInfo,
    pub(super) stack: Stack,
    /// Who wants the lock: a place of the stack.
    pub(super) by: usize,
    pub(super) lock: Lock,
}

/// A lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) address: u64,
    /// The word that says who holds it: a task where it has an owner.
    word: u64,
    len: u64,
    has_owner: bool,
}

/// Who took a lock.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) actor: Actor,
    pub(super) stack: Stack,
    pub(super) by: usize,
}

/// Whether a place is part of a lock, or of how who waits for one sleeps.
fn of_lock(place: &Place) -> bool {
    names::locks(&place.function)
        || names::schedules(&place.function)
        || names::is_of_locks(place.file.as_deref())
        || place.is_helper()
}

/// The member of a type that is called `owner`: where it is, and how long.
fn owner_in(symbols: &Symbols, ty: TypeId, depth: usize) -> Option<(u64, u64)> {
    let (_, resolved) = symbols.resolve(ty);
    let TypeKind::Composite(composite) = &resolved.kind else { return None };
    if depth > MOST_NESTED {
        return None;
    }
    let own = composite.members.iter().find(|member| member.name.as_deref() == Some("owner"));
    if let Some(own) = own {
        return Some((own.offset, symbols.size_of(own.ty)?));
    }
    composite.members.iter().find_map(|member| {
        let (offset, len) = owner_in(symbols, member.ty, depth + 1)?;
        Some((member.offset + offset, len))
    })
}

impl Explorer<'_> {
    /// The tasks that wait for a lock now.
    pub(super) fn waiters(&mut self) -> Result<Vec<Waiter>> {
        let mut waiters = Vec::new();
        for task in self.inferior.tasks()? {
            if task.started && task.state != RunnerState::Stopped {
                waiters.extend(self.waiter(task)?);
            }
        }
        Ok(waiters)
    }

    fn waiter(&mut self, task: TaskInfo) -> Result<Option<Waiter>> {
        let runner = task.context.runner;
        let frames = self.inferior.frames(runner)?;
        // The frames of the lock itself, as Wasm has them: what is inlined into who wants it is not told apart.
        let mut inner = 0;
        let mut takes = false;
        for frame in &frames {
            let places = self.places(frame.address);
            if !places.iter().all(of_lock) {
                break;
            }
            takes |= places.iter().any(|place| names::locks(&place.function));
            inner += 1;
        }
        if !takes || inner == 0 || inner >= frames.len() {
            return Ok(None);
        }
        let stack = self.stack(&frames);
        let Some(by) = stack.0.iter().position(|place| !of_lock(place)) else { return Ok(None) };
        let Some(address) = self.argument(runner, frames.len(), inner)? else { return Ok(None) };
        let lock_frame = frames[inner - 1];
        let owner = self.symbols(lock_frame.address.module).and_then(|symbols| {
            let scopes = symbols.scopes(lock_frame.address.offset);
            let variables =
                scopes.iter().rev().flat_map(|scope| scope.variables.iter().filter(|variable| variable.parameter));
            let pointed = variables.filter_map(|variable| match symbols.resolve(variable.ty).1.kind {
                TypeKind::Pointer { to, .. } => Some(to),
                _ => None,
            });
            pointed.into_iter().find_map(|ty| owner_in(&symbols, ty, 0))
        });
        let lock = match owner {
            Some((offset, len)) => Lock { address, word: address + offset, len, has_owner: true },
            None => Lock { address, word: address, len: 4, has_owner: false },
        };
        Ok(Some(Waiter { task, stack, by, lock }))
    }

    /// The first argument of the call that led into a frame, by its depth: from the caller, or as the callee still has it.
    fn argument(&mut self, runner: RunnerId, frames: usize, caller: usize) -> Result<Option<u64>> {
        let Some(state) = self.frame(runner, frames - 1 - caller)? else { return Ok(None) };
        let (module, function) = (state.frame.address.module, state.frame.function);
        if let Some(body) = self.body(module, function)
            && let Some(at) = body.at(state.frame.address.offset)
            && matches!(body.instructions[at].kind, Kind::Call(_) | Kind::CallIndirect(_))
            && let Some(source) = body.instructions[at].takes.first().cloned()
            && let Some(value) = self.eval(&body, &state, &source, 0)
        {
            return Ok(Some(value));
        }
        let Some(state) = self.frame(runner, frames - caller)? else { return Ok(None) };
        let body = self.body(state.frame.address.module, state.frame.function);
        let unchanged = body.is_some_and(|body| {
            let now = body.at(state.frame.address.offset);
            now.is_some_and(|now| body.definitions(0, now).iter().all(|found| *found == super::body::Definition::Entry))
        });
        Ok(state.locals.first().filter(|_| unchanged).and_then(|value| super::explorer::word(*value)))
    }

    /// Who holds a lock, and took it where.
    pub(super) fn holder(&mut self, lock: &Lock) -> Result<Option<Taken>> {
        let value = self.number(lock.word, lock.len).unwrap_or(0);
        if value & !OWNER_FLAGS == 0 && lock.has_owner {
            return Ok(None);
        }
        let (hits, _) = self.writes(lock.word, lock.len, MOST_WRITES)?;
        // The write by which it passed from nobody, or from another, to who has it.
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        let takes = |hit: &&WatchHit| {
            let (old, new) = (number(&hit.old), number(&hit.new));
            match lock.has_owner {
                true => new & !OWNER_FLAGS == value & !OWNER_FLAGS && old & !OWNER_FLAGS != new & !OWNER_FLAGS,
                false => old == 0 && new != 0,
            }
        };
        let Some(hit) = hits.iter().rev().find(takes) else { return Ok(None) };
        Ok(self.taken(hit))
    }

    fn taken(&mut self, hit: &WatchHit) -> Option<Taken> {
        let (actor, stack) = self.who_did(hit)?;
        let by = stack.0.iter().position(|place| !of_lock(place))?;
        Some(Taken { actor, stack, by })
    }

    fn lock_name(&mut self, lock: &Lock) -> String {
        // Its owner is a member of it, if it has one.
        let by_owner = self.data_name(lock.word).filter(|_| lock.has_owner);
        let by_owner = by_owner.and_then(|name| name.rsplit_once(".owner").map(|(name, _)| name.to_owned()));
        match by_owner.or_else(|| self.variable_at(lock.address)) {
            Some(name) => name,
            None => match self.what_is_at(lock.address).into_iter().next() {
                Some(what) => format!("the lock at {:#x} ({what})", lock.address),
                None => format!("the lock at {:#x}", lock.address),
            },
        }
    }

    /// How often locks were taken in each order, by functions: (first, second) and who took the second with the first in
    /// hand.
    fn orders(&mut self, one: &Lock, other: &Lock) -> Result<(u64, u64)> {
        let mut events: Vec<(u64, bool, RunnerId, bool)> = Vec::new();
        for (lock, is_one) in [(one, true), (other, false)] {
            let (hits, _) = self.writes(lock.word, lock.len, MOST_WRITES)?;
            for hit in &hits {
                let Some(context) = &hit.context else { continue };
                let held = |bytes: &[u8]| {
                    bytes.iter().any(|&byte| byte & !(OWNER_FLAGS as u8) != 0 || (!lock.has_owner && byte != 0))
                };
                if held(&hit.old) != held(&hit.new) {
                    events.push((context.tick.0, is_one, context.runner, held(&hit.new)));
                }
            }
        }
        events.sort_by_key(|event| event.0);
        let mut holders: BTreeMap<bool, RunnerId> = BTreeMap::new();
        let mut counts = (0, 0);
        for (_, is_one, runner, takes) in events {
            if !takes {
                holders.remove(&is_one);
                continue;
            }
            holders.insert(is_one, runner);
            if holders.get(&!is_one) == Some(&runner) {
                // This one was the second.
                *(if is_one { &mut counts.1 } else { &mut counts.0 }) += 1;
            }
        }
        Ok(counts)
    }

    /// Explains tasks that wait for each other's locks; whether there are such. Otherwise, who holds a lock that others
    /// wait for: what that task waits for is to be looked into.
    pub(super) fn explain_locks(&mut self, explanation: &mut Explanation) -> Result<Option<RunnerId>> {
        let waiters = self.waiters()?;
        let mut held = Vec::new();
        for waiter in &waiters {
            held.push(self.holder(&waiter.lock)?);
        }
        let next = |at: usize| -> Option<usize> {
            let holder = held[at].as_ref()?.actor.runner;
            waiters.iter().position(|waiter| waiter.task.context.runner == holder)
        };
        for start in 0..waiters.len() {
            let mut way = vec![start];
            let mut seen = BTreeSet::from([start]);
            while let Some(at) = next(way[way.len() - 1]) {
                if at == start {
                    self.tell_cycle(
                        &way.iter().map(|&at| (&waiters[at], held[at].as_ref())).collect::<Vec<_>>(),
                        explanation,
                    )?;
                    return Ok(None);
                }
                if !seen.insert(at) {
                    break;
                }
                way.push(at);
            }
        }
        // No circle: the one at the end of the longest chain.
        for (waiter, taken) in waiters.iter().zip(&held) {
            let Some(taken) = taken else { continue };
            self.tell_waiter(waiter, Some(taken), explanation);
            return Ok(Some(taken.actor.runner));
        }
        Ok(None)
    }

    fn tell_waiter(&mut self, waiter: &Waiter, taken: Option<&Taken>, explanation: &mut Explanation) {
        let name = self.lock_name(&waiter.lock);
        let context = &waiter.task.context;
        let who = self.comm(context.runner).unwrap_or_else(|| context.comm.clone());
        let text = format!("{who} on {} waits in {} for {name}", context.cpu, waiter.stack.0[waiter.by]);
        explanation.steps.push(Step::new(text));
        if let Some(taken) = taken {
            let text = format!("{name} is held by {}, taken in {}", taken.actor.comm, taken.stack.0[taken.by]);
            explanation.steps.push(Step::new(text).by(&taken.actor, &taken.stack));
        }
    }

    fn tell_cycle(&mut self, cycle: &[(&Waiter, Option<&Taken>)], explanation: &mut Explanation) -> Result<()> {
        for (waiter, taken) in cycle {
            self.tell_waiter(waiter, *taken, explanation);
        }
        let text = match cycle {
            [_] => "It waits for a lock that it holds itself",
            [_, _] => "The two wait for each other: each holds what the other one wants",
            _ => "They wait for each other in a circle",
        };
        explanation.steps.push(Step::new(text));
        let mut parties = Vec::new();
        for (number, (waiter, _)) in cycle.iter().enumerate() {
            // It holds what the one before it waits for.
            let (before, taken) = &cycle[(number + cycle.len() - 1) % cycle.len()];
            let Some(taken) = taken else { continue };
            let times = match cycle.len() {
                2 => self.orders(&before.lock, &waiter.lock)?,
                _ => (0, 0),
            };
            parties.push((*waiter, before.lock, *taken, times));
        }
        parties.sort_by_key(|(_, _, taken, (times, _))| (*times, std::cmp::Reverse(taken.actor.tick)));
        let rare = parties.first().is_some_and(|(_, _, _, (times, other))| *other >= RARE * (times + 1));
        for (waiter, first, taken, (times, _)) in parties {
            let (first, second) = (self.lock_name(&first), self.lock_name(&waiter.lock));
            let often = match times {
                0 => "never before in this order".to_owned(),
                1 => "once before in this order".to_owned(),
                times => format!("{times} times before in this order"),
            };
            let did = format!("takes {first}, then {second}: {often}");
            explanation.culprits.push(Culprit::of(&taken.stack, taken.by, &taken.actor, did));
            explanation.word.get_or_insert((waiter.lock.word, waiter.lock.len));
        }
        if rare && explanation.culprits.len() == 2 {
            let usual = explanation.culprits.pop();
            if let Some(usual) = usual {
                explanation.steps.push(Step::new(format!("{}, as a rule, {}", usual.place, usual.did)));
            }
        }
        Ok(())
    }
}

//! Steps backwards.

use std::ops::Range;

use wkdb_tracer::{CodeAddress, CodeOffset, Frame, RunnerId};

use super::backward::{Past, There};
use super::job::{Limit, Wanted};
use super::trail::Entry;
use super::{Branch, Position};
use crate::inferior::{BreakpointId, BreakpointSpec, StepKind, StopReason};

/// A name that a debugger's own never have.
const OWN_BREAKPOINT: BreakpointId = BreakpointId(u32::MAX - 1);

impl<B: Branch> Past<'_, B> {
    /// One step of a task backwards, whose call stack at `from` is `stack`.
    pub(super) fn step_back(
        &mut self,
        from: &Position,
        runner: RunnerId,
        stack: &[Frame],
        kind: &StepKind,
    ) -> There<B> {
        match kind {
            StepKind::Instruction => match self.step_before(from, runner)? {
                Some(number) => self.come_to_entry(number, StopReason::Step),
                None => self.origin(),
            },
            StepKind::Into(range) => self.range_back(from, runner, stack, range, false),
            StepKind::Over(range) => self.range_back(from, runner, stack, range, true),
            StepKind::Out => self.out_back(from, runner, stack),
        }
    }

    /// What stops a way back at an entry, apart from its goal.
    fn wanted_at(&self, runner: RunnerId, entry: &Entry) -> Option<StopReason> {
        if !entry.hits.is_empty() {
            return Some(StopReason::Watch(entry.hits.clone()));
        }
        let here = |spec: &BreakpointSpec| {
            Some(spec.address) == entry.at.address && spec.only.is_none_or(|only| only == runner)
        };
        let ids: Vec<_> = self.wanted.breakpoints.iter().filter(|(_, spec)| here(spec)).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then_some(StopReason::Breakpoint(ids))
    }

    /// Back until `runner` is outside of `range`, in its frame or a caller; functions called run through, or not.
    fn range_back(
        &mut self,
        from: &Position,
        runner: RunnerId,
        stack: &[Frame],
        range: &Range<CodeOffset>,
        over: bool,
    ) -> There<B> {
        let depth = stack.len();
        let mut at = *from;
        loop {
            let Some(mut number) = self.step_before(&at, runner)? else { return self.origin() };
            let trail = self.trail()?;
            let Some(mut entry) = trail.entry(number) else { return self.origin() };
            if let Some(reason) = self.wanted_at(runner, entry) {
                return self.come_to_entry(number, reason);
            }
            if over && entry.stack.len() > depth {
                // A function has returned here: to where it was called from.
                let met = trail.back_from(number).find_map(|(earlier, candidate)| {
                    match (self.wanted_at(runner, candidate), candidate.stack.len() <= depth) {
                        (Some(reason), _) => Some((earlier, Some(reason))),
                        (None, true) => Some((earlier, None)),
                        (None, false) => None,
                    }
                });
                match met {
                    Some((earlier, Some(reason))) => return self.come_to_entry(earlier, reason),
                    Some((earlier, None)) => {
                        number = earlier;
                        let Some(call) = trail.entry(number) else { return self.origin() };
                        entry = call;
                    }
                    None => {
                        let Some(call) = entry.stack.iter().rev().nth(depth.saturating_sub(1)) else {
                            return self.come_to_entry(number, StopReason::Step);
                        };
                        let (call, point) = (call.address, entry.at);
                        let arrived = self.called_at(&point, runner, call, depth)?;
                        let inside = range.contains(&call.offset);
                        if !inside || arrived.stop.reason != StopReason::Step {
                            return Ok(arrived);
                        }
                        at = Position::of(&arrived.stop);
                        continue;
                    }
                }
            }
            let inside = entry.at.address.is_some_and(|address| range.contains(&address.offset));
            if entry.stack.len() != depth || !inside {
                return self.come_to_entry(number, StopReason::Step);
            }
            at = entry.at;
        }
    }

    /// The last time before `from` that `runner` stood at `call` with a stack of `depth` frames; or the last stop at
    /// something else that is wanted.
    fn called_at(&mut self, from: &Position, runner: RunnerId, call: CodeAddress, depth: usize) -> There<B> {
        let spec = BreakpointSpec { address: call, only: Some(runner), temporary: false };
        let mut wanted = Wanted { breakpoints: vec![(OWN_BREAKPOINT, spec)], watches: self.wanted.watches.clone() };
        wanted.breakpoints.extend(self.wanted.breakpoints.iter().cloned());
        let mut from = *from;
        loop {
            let mut arrived = self.continue_back(&Limit::before(&from), &wanted)?;
            let StopReason::Breakpoint(ids) = &mut arrived.stop.reason else { return Ok(arrived) };
            ids.retain(|id| *id != OWN_BREAKPOINT);
            if !ids.is_empty() {
                return Ok(arrived);
            }
            arrived.stop.reason = StopReason::Step;
            if arrived.car.branch.frames(runner)?.len() <= depth {
                return Ok(arrived);
            }
            from = Position::of(&arrived.stop);
        }
    }

    /// To the call that led into the present function.
    fn out_back(&mut self, from: &Position, runner: RunnerId, stack: &[Frame]) -> There<B> {
        let Some(caller) = stack.get(1) else { return self.origin() };
        if let Some(number) = self.step_before(from, runner)? {
            let met = self.trail()?.back_from(number + 1).find_map(|(earlier, entry)| {
                let called = (entry.stack.len() < stack.len()).then_some(StopReason::Step);
                Some((earlier, called.or_else(|| self.wanted_at(runner, entry))?))
            });
            if let Some((earlier, reason)) = met {
                return self.come_to_entry(earlier, reason);
            }
        }
        self.called_at(from, runner, caller.address, stack.len() - 1)
    }
}

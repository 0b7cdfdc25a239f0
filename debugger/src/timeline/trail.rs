//! The last steps of a task before a point: each instruction that it came to, so that steps backwards need not be looked
//! for one by one.
//!
//! ```text
//!   start of a tick    step 1   step 2       …        step n    the point
//!         ◆───────────────●────────●──────────●──────────●─────────◆
//!         car                               car                         (kept, to go on from)
//! ```

use wkdb_tracer::{Frame, RunnerId, Tick, WatchHit};

use super::backward::{Arrived, Past, There};
use super::job::{Car, Halt, Wanted};
use super::{Branch, Position};
use crate::inferior::{InferiorError, Resume, StepKind, Stop, StopReason, WatchId, WatchSpec};

/// Steps between two copies that are kept.
const COPIES: usize = 256;

/// A trail that is this long is long enough.
const ENOUGH: usize = 100;

/// No trail gets longer, unless a single tick is.
const MOST: usize = 3000;

/// So many instructions can one tick have: straight code is not longer.
const MOST_IN_A_TICK: usize = 300_000;

/// A stop on a trail.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) at: Position,
    /// The task's call stack there, innermost first.
    pub(super) stack: Vec<Frame>,
    /// What was written on the way here, by a debugger's names of watches.
    pub(super) hits: Vec<(WatchId, WatchHit)>,
    /// It is a step of the task's, not something else that stopped the machine.
    own: bool,
    /// Where the machine was told to stop at the latest, on the way here.
    until: Option<Tick>,
}

/// See the module.
pub(super) struct Trail<B> {
    runner: RunnerId,
    end: Position,
    watches: Vec<WatchSpec>,
    entries: Vec<Entry>,
    /// Copies, with the number of entries that they have behind them.
    cars: Vec<(usize, Car<B>)>,
    /// What these cost, in bytes, once that was looked at.
    cost: Option<u64>,
}

/// How the recording of a trail ended.
enum Recorded<B> {
    Trail(Trail<B>),
    TooLong,
}

impl<B: Branch> Trail<B> {
    /// What its copies cost, in bytes: they are so near to each other that the first and the last tell of all.
    pub(super) fn cost(&mut self) -> u64 {
        let cars = &self.cars;
        let ends = || cars.first().into_iter().chain(cars.iter().skip(1).last());
        *self.cost.get_or_insert_with(|| ends().map(|(_, car)| car.branch.cost()).sum())
    }

    /// The entry before a point of the trail: its number.
    fn before(&self, point: &Position) -> Option<usize> {
        let place = match point.same_place(&self.end) {
            true => self.entries.len(),
            false => self.entries.iter().rposition(|entry| entry.own && entry.at.same_place(point))?,
        };
        self.entries[..place].iter().rposition(|entry| entry.own)
    }

    pub(super) fn entry(&self, number: usize) -> Option<&Entry> {
        self.entries.get(number)
    }

    /// The entries before one, the last first, with their numbers.
    pub(super) fn back_from(&self, number: usize) -> impl Iterator<Item = (usize, &Entry)> {
        let before = self.entries.iter().enumerate().take(number).rev();
        before.filter(|(_, entry)| entry.own)
    }
}

fn specs(wanted: &Wanted) -> Vec<WatchSpec> {
    wanted.watches.iter().filter(|(_, spec)| spec.stop).map(|(_, spec)| spec.clone()).collect()
}

impl<B: Branch> Past<'_, B> {
    /// What `runner` did last before `point`: the number of its entry on the trail. None if it has done nothing since
    /// history began.
    pub(super) fn step_before(&mut self, point: &Position, runner: RunnerId) -> Result<Option<usize>, Halt> {
        let watches = specs(self.wanted);
        if let Some(trail) = self.trail.as_ref().filter(|trail| trail.runner == runner && trail.watches == watches)
            && let Some(number) = trail.before(point)
        {
            return Ok(Some(number));
        }
        // Its copies are of no use any more.
        *self.trail = None;
        *self.trail = self.lay_trail(point, runner)?;
        Ok(self.trail.as_ref().and_then(|trail| trail.before(point)))
    }

    /// The trail that was last walked on.
    pub(super) fn trail(&self) -> Result<&Trail<B>, Halt> {
        self.trail.as_ref().ok_or_else(|| InferiorError::Refused("there is no way back from here".into()).into())
    }

    /// Goes to an entry of the trail.
    pub(super) fn come_to_entry(&mut self, number: usize, reason: StopReason) -> There<B> {
        let lost = || InferiorError::Refused("a copy of the run did not step as another one did".into());
        let trail = self.trail.as_mut().ok_or_else(lost)?;
        let target = trail.entries.get(number).ok_or_else(lost)?.at;
        let place = trail.cars.iter().rposition(|(behind, _)| *behind <= number + 1).ok_or_else(lost)?;
        let (behind, kept) = &mut trail.cars[place];
        let (behind, mut car) = (*behind, kept.fork()?);
        if let Some(present) = self.present.as_deref_mut() {
            car.branch.follow(present)?;
        }
        for entry in trail.entries.iter().take(number + 1).skip(behind) {
            let step = Resume { until_tick: entry.until, ..Resume::step(trail.runner, StepKind::Instruction) };
            car.go(&step, self.signals)?;
        }
        let stop = car.stop()?.clone();
        if !Position::of(&stop).same_place(&target) {
            return Err(lost().into());
        }
        car.sync(self.wanted)?;
        Ok(Arrived { car, stop: Stop { reason, ..stop } })
    }

    fn lay_trail(&mut self, point: &Position, runner: RunnerId) -> Result<Option<Trail<B>>, Halt> {
        let first = self.first();
        let (mut back, mut none_from) = (4, point.tick);
        let mut short = None;
        // A tick from which on it makes steps before it comes to the point.
        let mut low = loop {
            let tick = Tick(point.tick.0.saturating_sub(back).max(first.0));
            if back <= 256 {
                match self.record(tick, point, runner, MOST)? {
                    Recorded::Trail(trail) if trail.entries.len() >= ENOUGH => return Ok(Some(trail)),
                    Recorded::Trail(trail) if !trail.entries.is_empty() => short = Some(trail),
                    Recorded::Trail(_) => {}
                    Recorded::TooLong if short.is_none() => break tick,
                    Recorded::TooLong => return Ok(short),
                }
            } else if self.makes_a_step(tick, point, runner)? {
                break tick;
            }
            if tick == first || (back >= 256 && short.is_some()) {
                return Ok(short);
            }
            (none_from, back) = (tick, back.saturating_mul(if back < 256 { 4 } else { 8 }));
        };
        // The last such tick, or one that is not much before.
        loop {
            let narrow = none_from.0.saturating_sub(low.0) <= 1;
            let most = if narrow { MOST_IN_A_TICK } else { MOST };
            if narrow || none_from.0 - low.0 <= 16 {
                match self.record(low, point, runner, most)? {
                    Recorded::Trail(trail) => return Ok(Some(trail)),
                    Recorded::TooLong if narrow => {
                        let text = format!("more than {MOST_IN_A_TICK} instructions in one tick: cannot step back");
                        return Err(InferiorError::Refused(text).into());
                    }
                    Recorded::TooLong => {}
                }
            }
            let middle = Tick(low.0 + (none_from.0 - low.0) / 2);
            if self.makes_a_step(middle, point, runner)? {
                low = middle;
            } else {
                none_from = middle;
            }
        }
    }

    /// Whether it makes a step from a tick on, before it comes to a point.
    fn makes_a_step(&mut self, tick: Tick, point: &Position, runner: RunnerId) -> Result<bool, Halt> {
        match self.record(tick, point, runner, 1)? {
            Recorded::Trail(trail) => Ok(!trail.entries.is_empty()),
            Recorded::TooLong => Ok(true),
        }
    }

    /// Steps `runner` from a tick to a point.
    fn record(&mut self, tick: Tick, point: &Position, runner: RunnerId, most: usize) -> Result<Recorded<B>, Halt> {
        let mut car = self.at_tick(tick)?;
        // By other names: what only logs here stops elsewhere.
        let stopping = self.wanted.watches.iter().filter(|(_, spec)| spec.stop);
        let own_names = || (0..u32::MAX - 1).rev().map(WatchId);
        let named: Vec<_> = own_names().zip(stopping).map(|(own, (id, spec))| (own, *id, spec)).collect();
        let logged = named.iter().map(|(own, _, spec)| (*own, WatchSpec { stop: false, ..(*spec).clone() })).collect();
        let user = |own| named.iter().find(|(known, ..)| *known == own).map(|(_, id, _)| *id);
        car.sync(&Wanted { breakpoints: Vec::new(), watches: logged })?;
        let mut trail = Trail {
            runner,
            end: *point,
            watches: specs(self.wanted),
            entries: Vec::new(),
            cars: Vec::new(),
            cost: None,
        };
        if car.position()?.same_place(point) {
            return Ok(Recorded::Trail(trail));
        }
        if most > 1 {
            trail.cars.push((0, car.fork()?));
        }
        let (mut halted, mut made) = (false, 0);
        loop {
            // Another task's point cannot be told from what comes after it by ticks alone.
            let foreign = point.runner != Some(runner);
            if !halted && foreign && point.at_instruction && car.stop()?.tick >= point.tick {
                car.stop_at(point)?;
                halted = true;
            }
            let mut hits = Vec::new();
            let until_tick = (foreign && car.stop()?.tick < point.tick).then_some(point.tick);
            let step = Resume { until_tick, ..Resume::step(runner, StepKind::Instruction) };
            let stop = match car.go_hearing(&step, self.signals, &mut |hit| hits.push(hit)) {
                Ok(stop) => stop,
                // It is not born yet.
                Err(Halt::Failed(InferiorError::NoRunner(_))) if car.stop()?.tick < point.tick => {
                    let next = Tick(car.stop()?.tick.0 + 1);
                    car.run_to_tick(next, self.signals)?;
                    (made, trail.entries) = (0, Vec::new());
                    trail.cars.clear();
                    if most > 1 {
                        trail.cars.push((0, car.fork()?));
                    }
                    continue;
                }
                Err(Halt::Failed(InferiorError::NoRunner(_))) => break,
                Err(halt) => return Err(halt),
            };
            let at = Position::of(&stop);
            if at.same_place(point) || at.is_past(point) || matches!(stop.reason, StopReason::End(_)) {
                break;
            }
            // A trap stops in front of the instruction that it had stepped to.
            let own = at.runner == Some(runner)
                && matches!(stop.reason, StopReason::Step | StopReason::Trap { .. })
                && trail.entries.last().is_none_or(|last| !last.at.same_place(&at));
            made += usize::from(own);
            if made >= most {
                return Ok(Recorded::TooLong);
            }
            let stack = if own { car.branch.frames(runner)? } else { Vec::new() };
            let hits = hits.into_iter().filter_map(|hit| Some((user(car.watch_named(hit.watch)?)?, hit))).collect();
            trail.entries.push(Entry { at, stack, hits, own, until: until_tick });
            if trail.entries.len().is_multiple_of(COPIES) {
                trail.cars.push((trail.entries.len(), car.fork()?));
            }
        }
        // What else stopped the machine before its first step is nothing to go to.
        if !trail.entries.iter().any(|entry| entry.own) {
            trail.entries.clear();
        }
        Ok(Recorded::Trail(trail))
    }
}

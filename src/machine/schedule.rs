//! Who runs next, and for how long: drawn from a seed, so that a run can be repeated and another seed is another run.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use wkdb_tracer::{RunnerId, Tick};
use xxhash_rust::xxh3::Xxh3;

/// How the next runner is chosen among those that can run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
pub enum Policy {
    /// In rounds: each runs once a round, in a drawn order, for one to two time slices.
    #[default]
    Fair,
    /// Any of them, for anything from a few ticks to two slices.
    Random,
    /// Drawn priorities that change at drawn moments (probabilistic concurrency testing): finds orderings that need
    /// one task to be starved. A runner that spins is put last, as guests spin on each other.
    Pct,
    /// In rounds, but at drawn moments one runner is left out for up to a thousand slices, as if its CPU had been taken
    /// away: finds what goes wrong if one task is late. It runs where nobody else can.
    Starve,
}

/// Slices in a row after which a runner under [`Policy::Pct`] goes to the end of the line.
const PCT_STREAK: u32 = 8;

/// Under [`Policy::Starve`], one in so many slices begins an interval in which a runner is left out.
const STARVE_ONE_IN: u64 = 16;
/// The longest such interval is two to this power of slices: with the default slice about half a second.
const STARVE_POWERS: u64 = 10;

/// Draws the schedule and keeps its hash.
pub(super) struct Scheduler {
    policy: Policy,
    base: u32,
    rng: ChaCha8Rng,
    /// Fair: the round that is being run, from 1 on.
    round: u64,
    /// Fair: the last round that each runner ran in, by its number.
    ran_in: Vec<u64>,
    /// Fair: who has not run in this round; kept for its allocation.
    waiting: Vec<RunnerId>,
    /// Pct: the highest runs.
    priority: BTreeMap<RunnerId, u64>,
    /// Pct: the next priority lower than all others.
    lowest: u64,
    last: Option<(RunnerId, u32)>,
    /// Starve: who is left out, and up to which slice.
    starved: Option<(RunnerId, u64)>,
    hash: Xxh3,
    slices: u64,
}

impl Scheduler {
    /// `base`: the time slice in ticks, at least 1.
    pub(super) fn new(policy: Policy, seed: u64, base: u32) -> Self {
        Scheduler {
            policy,
            base: base.clamp(1, i32::MAX as u32 / 2),
            rng: ChaCha8Rng::seed_from_u64(seed),
            round: 1,
            ran_in: Vec::new(),
            waiting: Vec::new(),
            priority: BTreeMap::new(),
            lowest: u64::MAX / 2,
            last: None,
            starved: None,
            hash: Xxh3::new(),
            slices: 0,
        }
    }

    /// A number below `n`.
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.rng.next_u64()) * u128::from(n)) >> 64) as u64
    }

    fn draw(&mut self, from: &BTreeSet<RunnerId>) -> RunnerId {
        let n = self.below(from.len() as u64) as usize;
        *from.iter().nth(n).expect("drawn below the length")
    }

    /// The next runner and its slice in ticks. `runnable` is not empty.
    pub(super) fn pick(&mut self, runnable: &BTreeSet<RunnerId>, now: Tick) -> (RunnerId, u32) {
        let runner = match self.policy {
            Policy::Fair => self.pick_fair(runnable, None),
            Policy::Random => self.draw(runnable),
            Policy::Pct => self.pick_pct(runnable),
            Policy::Starve => self.pick_starve(runnable),
        };
        let base = u64::from(self.base);
        // Now and then a slice so short that it ends in the middle of what usually runs through.
        let short = matches!(self.policy, Policy::Random | Policy::Starve) && self.below(4) == 0;
        let slice = if short { 1 + self.below(base.min(64)) } else { base + self.below(base) } as u32;
        self.hash.update(&now.0.to_le_bytes());
        self.hash.update(&runner.0.to_le_bytes());
        self.hash.update(&slice.to_le_bytes());
        self.slices += 1;
        (runner, slice)
    }

    /// In rounds, without `left_out`, who is not the only one.
    fn pick_fair(&mut self, runnable: &BTreeSet<RunnerId>, left_out: Option<RunnerId>) -> RunnerId {
        self.waiting.clear();
        let others = runnable.iter().filter(|&&r| Some(r) != left_out);
        let has_yet_to = |r: &&RunnerId| self.ran_in.get(r.0 as usize) != Some(&self.round);
        self.waiting.extend(others.clone().filter(has_yet_to));
        if self.waiting.is_empty() {
            self.round += 1;
            self.waiting.extend(others);
        }
        let drawn = self.below(self.waiting.len() as u64) as usize;
        let runner = self.waiting[drawn];
        let number = runner.0 as usize;
        if self.ran_in.len() <= number {
            self.ran_in.resize(number + 1, 0);
        }
        self.ran_in[number] = self.round;
        runner
    }

    fn pick_pct(&mut self, runnable: &BTreeSet<RunnerId>) -> RunnerId {
        for &runner in runnable {
            if !self.priority.contains_key(&runner) {
                let priority = u64::MAX / 2 + self.below(u64::MAX / 2);
                self.priority.insert(runner, priority);
            }
        }
        let runner = *runnable.iter().max_by_key(|r| self.priority[r]).expect("not empty");
        let streak = match self.last {
            Some((last, streak)) if last == runner => streak + 1,
            _ => 1,
        };
        self.last = Some((runner, streak));
        if streak >= PCT_STREAK || self.below(16) == 0 {
            self.lowest -= 1;
            self.priority.insert(runner, self.lowest);
        }
        runner
    }

    fn pick_starve(&mut self, runnable: &BTreeSet<RunnerId>) -> RunnerId {
        self.starved = self.starved.filter(|&(_, until)| self.slices < until);
        if self.starved.is_none() && self.below(STARVE_ONE_IN) == 0 {
            let victim = self.draw(runnable);
            // As many short intervals as long ones.
            let power = self.below(STARVE_POWERS);
            let length = (1 << power) + self.below(1 << power);
            self.starved = Some((victim, self.slices + length));
        }
        let left_out = self.starved.map(|(victim, _)| victim).filter(|_| runnable.len() > 1);
        self.pick_fair(runnable, left_out)
    }

    /// Forgets a runner that is gone.
    pub(super) fn forget(&mut self, runner: RunnerId) {
        self.priority.remove(&runner);
        self.starved = self.starved.filter(|&(victim, _)| victim != runner);
    }

    /// Hash of all slices so far.
    pub(super) fn hash(&self) -> u64 {
        self.hash.digest()
    }

    /// How many slices were given.
    pub(super) fn slices(&self) -> u64 {
        self.slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(policy: Policy, seed: u64) -> (Vec<(RunnerId, u32)>, u64) {
        let runnable: BTreeSet<_> = (0..5).map(RunnerId).collect();
        let mut scheduler = Scheduler::new(policy, seed, 100);
        let picks = (0..200).map(|i| scheduler.pick(&runnable, Tick(i))).collect();
        (picks, scheduler.hash())
    }

    #[test]
    fn the_seed_decides() {
        for policy in [Policy::Fair, Policy::Random, Policy::Pct, Policy::Starve] {
            assert_eq!(picks(policy, 1), picks(policy, 1));
            assert_ne!(picks(policy, 1).1, picks(policy, 2).1);
        }
    }

    #[test]
    fn nobody_starves() {
        for policy in [Policy::Fair, Policy::Random, Policy::Pct] {
            for seed in 0..20 {
                let (picks, _) = picks(policy, seed);
                for runner in (0..5).map(RunnerId) {
                    let ran = picks.iter().filter(|p| p.0 == runner).count();
                    assert!(ran >= 3, "{policy:?} with seed {seed} ran {runner} {ran} times of 200");
                    if policy == Policy::Fair {
                        assert_eq!(ran, 40);
                    }
                }
                assert!(picks.iter().all(|p| (1..200).contains(&p.1)));
            }
        }
    }

    /// How many slices each of five runners waited for its longest turn, of 20 000.
    fn longest_waits(policy: Policy, seed: u64) -> [usize; 5] {
        let runnable: BTreeSet<_> = (0..5).map(RunnerId).collect();
        let mut scheduler = Scheduler::new(policy, seed, 100);
        let (mut last, mut longest) = ([0; 5], [0; 5]);
        for slice in 1..=20_000 {
            let runner = scheduler.pick(&runnable, Tick(slice as u64)).0.0 as usize;
            longest[runner] = longest[runner].max(slice - last[runner]);
            last[runner] = slice;
        }
        std::array::from_fn(|runner| longest[runner].max(20_000 - last[runner]))
    }

    #[test]
    fn each_runner_is_starved_for_long_and_comes_back() {
        for seed in 0..10 {
            let starved = longest_waits(Policy::Starve, seed);
            // An interval of 2^9 slices at least, two in a row of at most 2^10 each, and the rounds around them.
            assert!(starved.iter().all(|&wait| (256..4096).contains(&wait)), "seed {seed}: {starved:?}");
            let fair = longest_waits(Policy::Fair, seed);
            assert!(fair.iter().all(|&wait| wait < 10), "seed {seed}: {fair:?}");
        }
    }

    #[test]
    fn a_starved_runner_runs_where_nobody_else_can() {
        let only: BTreeSet<_> = [RunnerId(3)].into();
        let mut scheduler = Scheduler::new(Policy::Starve, 1, 100);
        assert!((0..1000).all(|tick| scheduler.pick(&only, Tick(tick)).0 == RunnerId(3)));
    }
}

//! Which copies of a run are kept.

use wkdb_tracer::{GuestTime, Tick};

use super::Branch;
use super::job::Car;
use crate::inferior::{CheckpointInfo, Limits, Stop};

/// A copy of a run that waits.
pub(super) struct Checkpoint<B> {
    pub(super) tick: Tick,
    pub(super) time: GuestTime,
    pub(super) car: Car<B>,
    /// Bytes that it takes, when that was last looked at.
    cost: u64,
}

impl<B> Checkpoint<B> {
    /// A copy of a run that has stopped.
    pub(super) fn new(stop: &Stop, car: Car<B>) -> Self {
        Checkpoint { tick: stop.tick, time: stop.time, car, cost: 0 }
    }
}

/// The copies of a run, the earliest first. The first one is the origin: it is never given up.
pub(super) struct Checkpoints<B> {
    all: Vec<Checkpoint<B>>,
    limits: Limits,
}

impl<B: Branch> Checkpoints<B> {
    pub(super) fn new(origin: Checkpoint<B>, limits: Limits) -> Self {
        Checkpoints { all: vec![origin], limits }
    }

    /// Adds one where it belongs, then gives up those that are least missed until the limits are kept.
    ///
    /// What one costs is what was written until the next one was made. So it is settled then, and grows only when that
    /// next one goes: nobody has to be asked but those two.
    pub(super) fn add(&mut self, checkpoint: Checkpoint<B>) {
        let place = self.all.partition_point(|c| c.tick <= checkpoint.tick);
        self.all.insert(place, checkpoint);
        self.look_at(place.saturating_sub(1));
        self.look_at(place);
        while self.all.len() > 2 && (self.all.len() > self.limits.count + 1 || self.cost() > self.limits.memory) {
            let Some(place) = self.least_missed() else { break };
            self.remove(place);
        }
    }

    fn look_at(&mut self, place: usize) {
        if let Some(checkpoint) = self.all.get_mut(place) {
            checkpoint.cost = checkpoint.car.branch.cost();
        }
    }

    /// The checkpoint whose absence makes the smallest gap in relation to its age: so they get sparser with age.
    fn least_missed(&self) -> Option<usize> {
        let end = self.all.last()?.tick.0;
        // Neither the origin nor the newest one.
        (1..self.all.len() - 1).min_by_key(|&place| {
            let gap = self.all[place + 1].tick.0 - self.all[place - 1].tick.0;
            let age = end - self.all[place].tick.0;
            // Gap per age, in millionths.
            u128::from(gap) * 1_000_000 / u128::from(age.max(1))
        })
    }

    fn cost(&self) -> u64 {
        self.all.iter().map(|c| c.cost).sum()
    }

    /// Gives up one to make room: false if there is none to spare.
    pub(super) fn spare(&mut self) -> bool {
        match self.least_missed() {
            Some(place) => {
                self.remove(place);
                true
            }
            None => false,
        }
    }

    /// Gives up all: history begins anew at `origin`.
    pub(super) fn restart(&mut self, origin: Checkpoint<B>) {
        self.all = vec![origin];
    }

    /// Gives up one: it is not missed, or does not answer any more. The one before it has then to keep more.
    pub(super) fn remove(&mut self, place: usize) {
        if place > 0 && place < self.all.len() {
            self.all.remove(place);
            self.look_at(place - 1);
        }
    }

    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Checkpoint<B>> {
        self.all.get_mut(place)
    }

    /// The tick of the newest one.
    pub(super) fn newest(&self) -> Tick {
        self.all.last().map_or(Tick(0), |c| c.tick)
    }

    /// The last one that lies at or before `tick`; the origin, if none does.
    pub(super) fn before(&self, tick: Tick) -> usize {
        self.all.partition_point(|c| c.tick <= tick).saturating_sub(1)
    }

    /// The last one that does not lie after `time`.
    pub(super) fn before_time(&self, time: GuestTime) -> usize {
        self.all.partition_point(|c| c.time <= time).saturating_sub(1)
    }

    pub(super) fn spacing(&self) -> u64 {
        self.limits.spacing
    }

    pub(super) fn list(&self) -> Vec<CheckpointInfo> {
        let info = |c: &Checkpoint<B>| CheckpointInfo { tick: c.tick, time: c.time, cost: c.car.branch.cost() };
        self.all.iter().map(info).collect()
    }
}

//! Which copies of a run are kept.

use wkdb_tracer::{GuestTime, Tick};

use super::job::Car;
use super::{Branch, Footprint};
use crate::inferior::{CheckpointInfo, Limits, Stop};

/// A copy of a run that waits.
pub(super) struct Checkpoint<B> {
    pub(super) tick: Tick,
    pub(super) time: GuestTime,
    pub(super) car: Car<B>,
    /// Bytes that it takes, when that was last looked at.
    cost: u64,
    /// What was done between it and the next one; of the newest one, as far as it has been told. None if that is not known.
    footprint: Option<Footprint>,
}

impl<B> Checkpoint<B> {
    /// A copy of a run that has stopped.
    pub(super) fn new(stop: &Stop, car: Car<B>) -> Self {
        Checkpoint { tick: stop.tick, time: stop.time, car, cost: 0, footprint: Some(Footprint::default()) }
    }
}

/// What is known of two parts that follow each other.
fn join(known: &mut Option<Footprint>, more: Option<Footprint>) {
    match (known.as_mut(), more) {
        (Some(known), Some(more)) => known.join(&more),
        _ => *known = None,
    }
}

/// The copies of a run, the earliest first. The first one is the origin: it is never given up.
pub(super) struct Checkpoints<B> {
    all: Vec<Checkpoint<B>>,
    limits: Limits,
    /// Where some were added since it was last looked what they cost.
    added: Vec<usize>,
    /// What copies cost that are kept for other reasons, in bytes.
    beside: u64,
}

impl<B: Branch> Checkpoints<B> {
    pub(super) fn new(origin: Checkpoint<B>, limits: Limits) -> Self {
        Checkpoints { all: vec![origin], limits, added: Vec::new(), beside: 0 }
    }

    /// More was done behind the newest one.
    pub(super) fn done(&mut self, footprint: Option<Footprint>) {
        if let Some(newest) = self.all.last_mut() {
            join(&mut newest.footprint, footprint);
        }
    }

    /// What was done between a checkpoint and the next one, or, of the newest, as far as it has been told.
    pub(super) fn footprint(&self, place: usize) -> Option<&Footprint> {
        self.all.get(place)?.footprint.as_ref()
    }

    /// Whether there is no later one.
    pub(super) fn is_newest(&self, place: usize) -> bool {
        place + 1 >= self.all.len()
    }

    /// The first one that does not lie before `tick`.
    pub(super) fn at_or_after(&self, tick: Tick) -> usize {
        self.all.partition_point(|c| c.tick < tick)
    }

    /// Adds one where it belongs. [`Checkpoints::settle`] has to follow.
    pub(super) fn add(&mut self, checkpoint: Checkpoint<B>) {
        let place = self.all.partition_point(|c| c.tick <= checkpoint.tick);
        self.all.insert(place, checkpoint);
        self.added.push(place);
    }

    /// Looks at what those that were added cost, then gives up those that are least missed until the limits are kept: that
    /// takes a while, in which the run may go on.
    ///
    /// What one costs is what was written until the next one was made. So it is settled then, and grows only when that
    /// next one goes: nobody has to be asked but those two.
    pub(super) fn settle(&mut self) {
        for place in std::mem::take(&mut self.added) {
            self.look_at(place.saturating_sub(1));
            self.look_at(place);
        }
        while self.all.len() > 2 && (self.all.len() > self.limits.count + 1 || self.is_dear()) {
            let Some(place) = self.least_missed() else { break };
            self.remove(place);
        }
    }

    /// Says what other copies cost, which have to do with the same memory.
    pub(super) fn beside(&mut self, bytes: u64) {
        self.beside = bytes;
    }

    /// Whether all of them take more memory than they may.
    pub(super) fn is_dear(&self) -> bool {
        self.all.iter().map(|c| c.cost).sum::<u64>() + self.beside > self.limits.memory
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
        self.added.clear();
    }

    /// Gives up one: it is not missed, or does not answer any more. The one before it has then to keep more.
    pub(super) fn remove(&mut self, place: usize) {
        if place > 0 && place < self.all.len() {
            let gone = self.all.remove(place);
            join(&mut self.all[place - 1].footprint, gone.footprint);
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

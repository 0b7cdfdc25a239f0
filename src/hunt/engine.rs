//! Runs the seeds of a plan, several at a time, and keeps what comes of them.
//!
//! All decisions are made on one thread, which hands out work: a seed to run, or a run to record. The others run machine
//! processes and know nothing of each other. So what a hunt finds does not depend on which of them was faster.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use super::judge::Judge;
use super::kept::{self, KeepError};
use super::plan::{Plan, Seeds};
use super::results::{ResultsError, ResultsFile, SeedResult};
use super::run::{Observed, RunError, run};
use super::summary::shortest_of_each;
use super::symptom::Symptom;
use crate::machine::MachineConfig;
use crate::recording::recorder::Source;

/// After so many runs in a row that came to no end, something is wrong that the next one will meet too.
const FAILURES: u32 = 8;

/// How often [`Progress::Pulse`] is told, at least.
const PULSE: Duration = Duration::from_millis(100);

/// A person's wish to end a hunt early.
#[derive(Debug, Default)]
pub struct Stop(AtomicU8);

impl Stop {
    /// Asked once: runs under way are given up, and recordings under way are finished. Asked again: these too.
    pub fn ask(&self) {
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |asked| asked.checked_add(1));
    }

    /// No more seeds are run.
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn at_once(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

/// What happens in a hunt.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Nothing new, for a short time.
    Pulse,
    /// A seed was run.
    Done {
        /// Its result.
        result: &'a SeedResult,
        /// Nothing like it was known before.
        first: bool,
    },
    /// A seed could not be run.
    Failed {
        /// The seed.
        seed: u64,
        /// Why not.
        error: &'a RunError,
    },
    /// A recording could not be kept.
    NotKept {
        /// What the run shows.
        symptom: &'a Symptom,
        /// Its seed.
        seed: u64,
        /// Why not.
        error: &'a KeepError,
    },
}

/// How a hunt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every seed was run, or has failed.
    All,
    /// At this seed, the first that went wrong.
    AtBad(u64),
    /// It was asked to stop.
    Stopped,
}

/// Why a hunt cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum HuntError {
    /// Results cannot be kept.
    #[error("{0}; what was written is kept: the same hunt goes on where it ended")]
    Results(#[from] ResultsError),
    /// Nothing can be run.
    #[error("{FAILURES} runs in a row came to no end, the last one because: {0}")]
    Failing(RunError),
    /// A thread is gone.
    #[error("a thread of the hunt has ended unexpectedly: this is a mistake in wkdb")]
    Thread,
}

/// A hunt.
pub struct Hunt {
    /// The machine, with any seed.
    pub config: MachineConfig,
    /// The guest, for recordings.
    pub source: Source,
    /// Where results and recordings are.
    pub directory: PathBuf,
    /// The seeds.
    pub plan: Plan,
    /// Texts on the console that count as wrong.
    pub listen_for: Vec<String>,
    /// Who says what went wrong.
    pub judge: Judge,
    /// What is known.
    pub file: ResultsFile,
}

enum Job {
    Run(u64),
    Record(Box<(SeedResult, Symptom)>),
}

enum Done {
    Run(u64, Result<Box<Observed>, RunError>),
    Record(Box<(SeedResult, Symptom)>, Result<PathBuf, KeepError>),
}

/// What those who run machines know.
struct Shared<'a> {
    config: MachineConfig,
    source: Source,
    directory: PathBuf,
    listen_for: Vec<String>,
    stop: &'a Stop,
    /// Seeds above it are not wanted any more.
    limit: AtomicU64,
    /// The hunt cannot go on.
    over: AtomicBool,
}

impl Shared<'_> {
    fn work(&self, worker: usize, jobs: &Receiver<Job>, done: &Sender<(usize, Done)>) {
        for job in jobs {
            let done_with = match job {
                Job::Run(seed) => Done::Run(seed, self.run(seed)),
                Job::Record(what) => {
                    let recorded = self.record(&what.0, &what.1);
                    Done::Record(what, recorded)
                }
            };
            if done.send((worker, done_with)).is_err() {
                return;
            }
        }
    }

    fn run(&self, seed: u64) -> Result<Box<Observed>, RunError> {
        let give_up = || {
            let unwanted = seed > self.limit.load(Ordering::Relaxed);
            unwanted || self.stop.is_asked() || self.over.load(Ordering::Relaxed)
        };
        let config = MachineConfig { seed, ..self.config.clone() };
        run(config, &self.listen_for, &give_up, &mut |_| {}).map(Box::new)
    }

    fn record(&self, result: &SeedResult, symptom: &Symptom) -> Result<PathBuf, KeepError> {
        let give_up = || self.stop.at_once() || self.over.load(Ordering::Relaxed);
        kept::record(self.config.clone(), self.source.clone(), &self.directory, result, symptom, &give_up)
    }
}

impl Hunt {
    /// Runs what is left of the plan, and records what is to be kept.
    ///
    /// # Errors
    ///
    /// Where it cannot go on. What was found up to there is in the file.
    pub fn run(&mut self, stop: &Stop, tell: &mut dyn FnMut(Progress<'_>)) -> Result<Ended, HuntError> {
        kept::clear_unfinished(&self.directory);
        let shared = Shared {
            config: self.config.clone(),
            source: self.source.clone(),
            directory: self.directory.clone(),
            listen_for: self.listen_for.clone(),
            stop,
            limit: AtomicU64::new(self.first_bad().unwrap_or(u64::MAX)),
            over: AtomicBool::new(false),
        };
        let ended = thread::scope(|scope| {
            let (done, finished) = mpsc::channel();
            let mut workers = Vec::new();
            for worker in 0..self.plan.jobs.max(1) {
                let (give, jobs) = mpsc::channel();
                let (done, shared) = (done.clone(), &shared);
                scope.spawn(move || shared.work(worker, &jobs, &done));
                workers.push(give);
            }
            drop(done);
            let ended = self.direct(&shared, &workers, &finished, tell);
            shared.over.store(true, Ordering::Relaxed);
            ended
        });
        for result in shortest_of_each(&self.file.results) {
            if let Some(symptom) = &result.symptom {
                kept::clear_others(&self.directory, symptom, result.seed);
            }
        }
        ended
    }

    /// Of a hunt that ends at the first seed that goes wrong: that seed, as far as is known.
    fn first_bad(&self) -> Option<u64> {
        let bad = |result: &&SeedResult| self.plan.has(result.seed) && result.symptom.is_some();
        self.file.results.seeds.values().find(bad).map(|result| result.seed).filter(|_| self.plan.until_bad)
    }

    fn direct(
        &mut self,
        shared: &Shared<'_>,
        workers: &[Sender<Job>],
        finished: &Receiver<(usize, Done)>,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Ended, HuntError> {
        let mut idle: Vec<usize> = (0..workers.len()).collect();
        let mut to_record = VecDeque::new();
        let mut asked_to_record = BTreeSet::new();
        let mut looked_for_missing = false;
        let mut failures = 0;
        let done = self.file.results.seeds.keys().copied().filter(|&seed| self.plan.has(seed)).collect();
        let mut seeds = Seeds::new(&self.plan, done);
        loop {
            while let Some(&worker) = idle.last() {
                let record = if shared.stop.at_once() { None } else { to_record.pop_front().map(Job::Record) };
                let limit = if shared.stop.is_asked() { 0 } else { shared.limit.load(Ordering::Relaxed) };
                let Some(job) = record.or_else(|| seeds.next_below(limit).map(Job::Run)) else { break };
                workers[worker].send(job).map_err(|_| HuntError::Thread)?;
                idle.pop();
            }
            if idle.len() == workers.len() {
                if looked_for_missing || shared.stop.is_asked() {
                    break;
                }
                looked_for_missing = true;
                to_record.extend(self.missing());
                continue;
            }
            let (worker, done) = match finished.recv_timeout(PULSE) {
                Ok(done) => done,
                Err(RecvTimeoutError::Timeout) => {
                    tell(Progress::Pulse);
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Err(HuntError::Thread),
            };
            idle.push(worker);
            match done {
                Done::Run(_, Err(RunError::Stopped))
                | Done::Record(_, Ok(_) | Err(KeepError::Run(RunError::Stopped))) => {}
                Done::Run(seed, Err(error)) => {
                    self.file.fail(seed, error.to_string())?;
                    tell(Progress::Failed { seed, error: &error });
                    failures += 1;
                    if failures == FAILURES {
                        return Err(HuntError::Failing(error));
                    }
                }
                Done::Run(seed, Ok(seen)) => {
                    failures = 0;
                    let bad = self.take(&seen, tell)?;
                    if self.plan.until_bad && bad.is_some() {
                        shared.limit.fetch_min(seed, Ordering::Relaxed);
                    }
                    // One recording at once, in case the hunt ends early; which run is the shortest is seen in the end.
                    if let Some(bad) = bad
                        && asked_to_record.insert(bad.1.clone())
                        && !kept::has_any(&self.directory, &bad.1)
                    {
                        to_record.push_back(bad);
                    }
                }
                Done::Record(what, Err(error)) => {
                    tell(Progress::NotKept { symptom: &what.1, seed: what.0.seed, error: &error });
                }
            }
            tell(Progress::Pulse);
        }
        Ok(match self.first_bad() {
            _ if shared.stop.is_asked() => Ended::Stopped,
            Some(seed) => Ended::AtBad(seed),
            None => Ended::All,
        })
    }

    /// A run has ended. Gives what is to be recorded, if it went wrong.
    fn take(
        &mut self,
        seen: &Observed,
        tell: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Option<Box<(SeedResult, Symptom)>>, HuntError> {
        let symptom = self.judge.symptom(seen);
        let results = &self.file.results;
        let known = symptom.is_none() || results.seeds.values().any(|result| result.symptom == symptom);
        let result = SeedResult::new(&results.config, &seen.outcome, &seen.totals, symptom.clone());
        self.file.add(result.clone())?;
        tell(Progress::Done { result: &result, first: !known });
        Ok(symptom.map(|symptom| Box::new((result, symptom))))
    }

    /// The shortest runs of all symptoms that are not recorded.
    fn missing(&self) -> impl Iterator<Item = Box<(SeedResult, Symptom)>> {
        let runs = shortest_of_each(&self.file.results).into_iter();
        runs.filter_map(|result| {
            let symptom = result.symptom.as_ref()?;
            let recorded = kept::find(&self.directory, symptom, result.seed).is_some();
            (!recorded).then(|| Box::new((result.clone(), symptom.clone())))
        })
    }
}

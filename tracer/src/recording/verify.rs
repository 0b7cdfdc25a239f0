//! Whether a replay is the run that was recorded.

use std::fmt;

use super::entry::{Check, Entry, Position};
use super::error::ReadError;
use crate::{Context, Event, Outcome, Totals};

/// How a replay differs from the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// A hash is another.
    Hash {
        /// Of what.
        of: &'static str,
        /// As recorded.
        recorded: u64,
        /// As computed.
        replayed: u64,
    },
    /// The same thing happened elsewhere.
    Position {
        /// What.
        of: &'static str,
        /// Where, in the recording.
        recorded: Position,
    },
    /// The console shows something else from this byte of its output on.
    Console {
        /// Bytes of output that are equal.
        offset: u64,
        /// What follows in the recording.
        recorded: Vec<u8>,
        /// What follows in the replay.
        replayed: Vec<u8>,
    },
    /// Another event, or the same with other particulars.
    Event {
        /// As recorded.
        recorded: Box<Event>,
        /// As replayed.
        replayed: Box<Event>,
    },
    /// Something else happened; none: nothing any more.
    Kind {
        /// In the recording.
        recorded: Option<&'static str>,
        /// In the replay.
        replayed: Option<&'static str>,
    },
    /// The run ended in another way.
    Outcome {
        /// As recorded.
        recorded: Box<Outcome>,
        /// As replayed.
        replayed: Box<Outcome>,
    },
    /// Something is another at the end.
    Total {
        /// What.
        of: &'static str,
        /// As recorded.
        recorded: u64,
        /// As replayed.
        replayed: u64,
    },
}

/// The first difference between a replay and its recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Where the replay was.
    pub at: Position,
    /// The last place where a check found it right, memory and all; the beginning if none did.
    pub good: Position,
    /// What differs.
    pub difference: Difference,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Hash { of, recorded, replayed } => {
                write!(f, "the hash of the {of} was {recorded:016x} when it was recorded and is {replayed:016x}")
            }
            Difference::Position { of, recorded } => write!(f, "{of} came at {recorded} when it was recorded"),
            Difference::Console { offset, recorded, replayed } => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let (recorded, replayed) = (text(recorded), text(replayed));
                write!(f, "byte {offset} of the console's output: {recorded:?} was recorded, now it is {replayed:?}")
            }
            Difference::Event { recorded, replayed } => {
                let (was, is) = (summary(recorded), summary(replayed));
                write!(f, "{was} was recorded, now there is {is}")?;
                match was == is {
                    true => write!(f, " with other particulars: {recorded:?}, now {replayed:?}"),
                    false => Ok(()),
                }
            }
            Difference::Kind { recorded, replayed } => {
                let (recorded, replayed) = (recorded.unwrap_or("nothing"), replayed.unwrap_or("nothing"));
                write!(f, "{recorded} was recorded, now there is {replayed}")
            }
            Difference::Outcome { recorded, replayed } => {
                write!(f, "the recorded run ended as {recorded:?}, this one as {replayed:?}")
            }
            Difference::Total { of, recorded, replayed } => {
                write!(f, "at the end, {of}: {recorded} recorded, now {replayed}")
            }
        }
    }
}

/// What an event is, whose, and when.
fn summary(event: &Event) -> String {
    let (what, context) = match event {
        Event::Trap { context, .. } => ("a trap", Some(context)),
        Event::Panic { context, .. } => ("a panic", Some(context)),
        Event::Watch(hit) => ("a store into watched memory", hit.context.as_ref()),
        Event::TaskBorn { context } => ("the birth", Some(context)),
        Event::TaskGone { context } => ("the end", Some(context)),
        Event::CpuStarted { context } => ("the start of the CPU", Some(context)),
        Event::CpuStopped { context } => ("the stop of the CPU", Some(context)),
        Event::Hog { context, .. } => ("a CPU held for long", Some(context)),
        Event::Complaint { context, .. } => ("a complaint", context.as_ref()),
        Event::Finding(finding) => ("a finding", finding.context.as_ref()),
    };
    match context {
        Some(Context { runner, comm, tick, time, .. }) => {
            format!("{what} of {comm} ({runner}) at tick {tick}, guest time {time}")
        }
        None => what.to_owned(),
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}: {}", self.at, self.difference)
    }
}

/// What was found equal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Checks, and how many of them of memory too.
    pub checks: u64,
    /// Checks of memory.
    pub memory_checks: u64,
    /// Bytes of console output.
    pub console: u64,
    /// Events.
    pub events: u64,
    /// Whether the end was compared: outcome and totals.
    pub end: bool,
}

/// Compares what a replay tells with what was recorded, entry by entry.
pub struct Verifier<I> {
    recorded: I,
    /// Whether the recording is whole: then it has an entry for all that the replay tells.
    complete: bool,
    /// Output of the recording that the replay has not shown yet.
    console: Option<(Position, Vec<u8>)>,
    at: Position,
    good: Position,
    verified: Verified,
    damage: Option<ReadError>,
    /// Findings are not compared: other detectors look.
    without_findings: bool,
}

/// Bytes of console output that a difference shows.
const SHOWN: usize = 40;

impl<I: Iterator<Item = Result<(Position, Entry), ReadError>>> Verifier<I> {
    /// Compares with these entries, which are all there are if the recording is `complete`.
    pub fn new(recorded: I, complete: bool) -> Self {
        let at = Position::default();
        Verifier {
            recorded,
            complete,
            console: None,
            at,
            good: at,
            verified: Verified::default(),
            damage: None,
            without_findings: false,
        }
    }

    /// What detectors find is not compared: the replay has others than the recorded run.
    pub fn ignore_findings(&mut self) {
        self.without_findings = true;
    }

    /// What was found equal so far.
    pub fn verified(&self) -> Verified {
        self.verified
    }

    /// The damage at which comparing ended, told once.
    pub fn damage(&mut self) -> Option<ReadError> {
        self.damage.take()
    }

    fn differ(&self, difference: Difference) -> Divergence {
        Divergence { at: self.at, good: self.good, difference }
    }

    fn next(&mut self) -> Option<(Position, Entry)> {
        loop {
            match self.recorded.next()? {
                Ok((_, Entry::Event(event))) if self.without_findings && matches!(*event, Event::Finding(_)) => {}
                Ok(next) => return Some(next),
                Err(damage) => {
                    self.damage = Some(damage);
                    self.complete = false;
                    return None;
                }
            }
        }
    }

    fn at_recorded(&self, of: &'static str, recorded: Position) -> Result<(), Divergence> {
        self.position(of, recorded, recorded == self.at)
    }

    /// What happens in a slice is told when it ends, or while a debugger looks on before it does.
    fn in_recorded_slice(&self, of: &'static str, recorded: Position) -> Result<(), Divergence> {
        self.position(of, recorded, recorded.slices == self.at.slices)
    }

    fn position(&self, of: &'static str, recorded: Position, equal: bool) -> Result<(), Divergence> {
        match equal {
            true => Ok(()),
            false => Err(self.differ(Difference::Position { of, recorded })),
        }
    }

    /// The replay tells this.
    ///
    /// # Errors
    ///
    /// The first difference, after which comparing makes no sense any more.
    pub fn entry(&mut self, at: Position, replayed: &Entry) -> Result<(), Divergence> {
        self.at = at;
        if self.without_findings && matches!(replayed, Entry::Event(event) if matches!(**event, Event::Finding(_))) {
            return Ok(());
        }
        if let Entry::Console(bytes) = replayed {
            return self.console(bytes);
        }
        if self.console.is_some() {
            return Err(self.kind(Some("console output"), replayed));
        }
        let Some((position, recorded)) = self.next() else { return self.nothing_recorded(replayed) };
        match (&recorded, replayed) {
            (Entry::Check(recorded), Entry::Check(replayed)) => self.check(position, recorded, replayed),
            (Entry::Event(recorded), Entry::Event(replayed)) if recorded != replayed => {
                Err(self.differ(Difference::Event { recorded: recorded.clone(), replayed: replayed.clone() }))
            }
            (recorded, replayed) if recorded == replayed => match matches!(replayed, Entry::Event(_)) {
                true => {
                    self.verified.events += 1;
                    self.in_recorded_slice("this event", position)
                }
                false => self.at_recorded("what came from outside", position),
            },
            (recorded, replayed) => Err(self.kind(Some(recorded.kind()), replayed)),
        }
    }

    fn kind(&self, recorded: Option<&'static str>, replayed: &Entry) -> Divergence {
        self.differ(Difference::Kind { recorded, replayed: Some(replayed.kind()) })
    }

    fn nothing_recorded(&self, replayed: &Entry) -> Result<(), Divergence> {
        match self.complete {
            true => Err(self.kind(None, replayed)),
            // Of the last slice of a recording that was cut off, some may be missing.
            false => Ok(()),
        }
    }

    fn check(&mut self, position: Position, recorded: &Check, replayed: &Check) -> Result<(), Divergence> {
        self.at_recorded("a check", position)?;
        let memory = recorded.memory.zip(replayed.memory);
        let hashes = [
            ("schedule", Some((recorded.schedule, replayed.schedule))),
            ("console's output", Some((recorded.console, replayed.console))),
            ("memory", memory),
        ];
        for (of, both) in hashes {
            if let Some((recorded, replayed)) = both
                && recorded != replayed
            {
                return Err(self.differ(Difference::Hash { of, recorded, replayed }));
            }
        }
        self.verified.checks += 1;
        self.verified.memory_checks += u64::from(memory.is_some());
        if memory.is_some() {
            self.good = self.at;
        }
        Ok(())
    }

    fn console(&mut self, mut bytes: &[u8]) -> Result<(), Divergence> {
        while !bytes.is_empty() {
            let (position, recorded) = match self.console.take() {
                Some(recorded) => recorded,
                None => match self.next() {
                    Some((position, Entry::Console(recorded))) => (position, recorded),
                    Some((_, recorded)) => return Err(self.kind(Some(recorded.kind()), &Entry::Console(Vec::new()))),
                    None => return self.nothing_recorded(&Entry::Console(Vec::new())),
                },
            };
            let common = recorded.len().min(bytes.len());
            if let Some(equal) = (0..common).find(|&n| recorded[n] != bytes[n]) {
                let shown = |bytes: &[u8]| bytes[equal..].iter().take(SHOWN).copied().collect();
                return Err(self.differ(Difference::Console {
                    offset: self.verified.console + equal as u64,
                    recorded: shown(&recorded),
                    replayed: shown(bytes),
                }));
            }
            self.in_recorded_slice("this console output", position)?;
            self.verified.console += common as u64;
            bytes = &bytes[common..];
            if common < recorded.len() {
                self.console = Some((position, recorded[common..].to_vec()));
            }
        }
        Ok(())
    }

    /// The replay has ended, where the recorded run did.
    ///
    /// # Errors
    ///
    /// Where the recording goes on.
    pub fn at_end(&mut self) -> Result<(), Divergence> {
        if self.console.is_none()
            && let Some((position, recorded)) = self.next()
        {
            let difference = Difference::Kind { recorded: Some(recorded.kind()), replayed: None };
            return Err(Divergence { at: position, good: self.good, difference });
        }
        match self.console {
            Some(_) => Err(self.differ(Difference::Kind { recorded: Some("console output"), replayed: None })),
            None => Ok(()),
        }
    }

    /// The replay has ended like this, and the recorded run like that.
    ///
    /// # Errors
    ///
    /// The first difference.
    pub fn end(
        &mut self,
        recorded: (&Outcome, &Totals),
        replayed: (&Outcome, &Totals),
    ) -> Result<Verified, Divergence> {
        let (was, is) = (recorded.1, replayed.1);
        self.at = Position { slices: is.slices, tick: is.ticks, time: is.time };
        self.at_end()?;
        if recorded.0 != replayed.0 {
            let (recorded, replayed) = (Box::new(recorded.0.clone()), Box::new(replayed.0.clone()));
            return Err(self.differ(Difference::Outcome { recorded, replayed }));
        }
        let totals = [
            ("slices", was.slices, is.slices),
            ("ticks", was.ticks.0, is.ticks.0),
            ("nanoseconds of guest time", was.time.0, is.time.0),
            ("seed", was.seed, is.seed),
            ("tasks", was.tasks.into(), is.tasks.into()),
            ("live tasks", was.tasks_alive.into(), is.tasks_alive.into()),
            ("CPUs", was.cpus.into(), is.cpus.into()),
        ];
        for (of, recorded, replayed) in totals {
            if recorded != replayed {
                return Err(self.differ(Difference::Total { of, recorded, replayed }));
            }
        }
        let check = |totals: &Totals| Check {
            memory: Some(totals.memory_hash),
            schedule: totals.schedule_hash,
            console: totals.console_hash,
        };
        self.check(self.at, &check(was), &check(is))?;
        self.verified.end = true;
        Ok(self.verified)
    }
}

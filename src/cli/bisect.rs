//! `wkdb replay --bisect`: where a replay goes another way than the recording, and whether that is because of how the
//! code was compiled.

use std::collections::BTreeSet;

use wkdb_tracer::Totals;
use wkdb_tracer::recording::{Check, Divergence, Entry, Position};

use super::replay::compile;
use crate::machine::MachineConfig;
use crate::machine::engine::OptLevelChoice;
use crate::process::MachineProcess;
use crate::process::protocol::FromMachine;
use crate::recording::narrow::{Parting, narrow};

/// What came of it.
pub(super) enum Narrowed {
    /// Two variants of the same code make two runs.
    Variants { names: [String; 2], parting: Box<Parting> },
    /// The same code makes two runs.
    Unsteady { name: String, parting: Box<Parting> },
    /// All variants make the same run, which is not the one that was recorded.
    Recorded { good: Position, bad: Position },
}

impl Narrowed {
    pub(super) fn to_json(&self) -> serde_json::Value {
        let at = |at: &Position| serde_json::json!({ "slice": at.slices, "tick": at.tick, "guest_ns": at.time });
        let parting =
            |parting: &Parting| serde_json::json!({ "same": at(&parting.same), "differ": at(&parting.differ[0]) });
        match self {
            Narrowed::Variants { names, parting: found } => {
                serde_json::json!({ "cause": "variants", "variants": names, "where": parting(found) })
            }
            Narrowed::Unsteady { name, parting: found } => {
                serde_json::json!({ "cause": "unsteady", "variants": [name], "where": parting(found) })
            }
            Narrowed::Recorded { good, bad } => {
                serde_json::json!({ "cause": "recording", "where": { "same": at(good), "differ": at(bad) } })
            }
        }
    }
}

fn name(config: &MachineConfig) -> String {
    let stores = if config.variant().stores { "with" } else { "without" };
    let level = match config.engine.opt_level {
        OptLevelChoice::None => "not optimised",
        OptLevelChoice::Speed => "optimised",
    };
    format!("{level}, {stores} store checks")
}

/// Looks for the slice in which the replay of `config` goes another way, and says what was found.
pub(super) fn run(config: &MachineConfig, divergence: &Divergence, kernel: &[u8]) -> anyhow::Result<Narrowed> {
    let mut other_stores = config.clone();
    other_stores.store_checks = !config.variant().stores;
    other_stores.watch.clear();
    other_stores.watch_specs.clear();
    let mut other_level = config.clone();
    other_level.engine.opt_level = match config.engine.opt_level {
        OptLevelChoice::None => OptLevelChoice::Speed,
        OptLevelChoice::Speed => OptLevelChoice::None,
    };
    let end = divergence.at.slices + 1;
    let ours = name(config);
    for mut other in [config.clone(), other_stores, other_level] {
        let theirs = name(&other);
        let again = theirs == ours;
        let what = if again { "once more, the same way".to_owned() } else { theirs.clone() };
        eprintln!("wkdb: running it {what}, with checks between slice {} and {end}", divergence.good.slices);
        let _code = compile(&mut other, kernel)?;
        let parting =
            narrow(divergence.good, end, &mut |places| probe(config, places), &mut |places| probe(&other, places))?;
        let Some(parting) = parting.map(Box::new) else { continue };
        let state = |n: usize| {
            let (at, check) = (parting.differ[n], parting.checks[n]);
            format!("{at}: memory {:016x}, schedule {:016x}", check.memory.unwrap_or(0), check.schedule)
        };
        let [one, two] = [state(0), state(1)];
        let (same, tick) = (parting.same, parting.same.tick);
        eprintln!(
            "wkdb: the runs are one up to {same}, and two behind it\n  {ours}: {one}\n  {what}: {two}\n  to see the place: \
             wkdb replay FILE --until tick={tick}"
        );
        return Ok(match again {
            true => Narrowed::Unsteady { name: ours, parting },
            false => Narrowed::Variants { names: [ours, theirs], parting },
        });
    }
    let (good, bad) = (divergence.good, divergence.at);
    eprintln!(
        "wkdb: however its code is compiled, this wkdb makes one and the same run, which is not the one in the \
         recording\n  they are one at {good}\n  and two at {bad}: the recording was made by another wkdb, or was changed"
    );
    Ok(Narrowed::Recorded { good, bad })
}

fn end(totals: &Totals) -> (Position, Check) {
    let position = Position { slices: totals.slices, tick: totals.ticks, time: totals.time };
    let (memory, schedule, console) = (Some(totals.memory_hash), totals.schedule_hash, totals.console_hash);
    (position, Check { memory, schedule, console })
}

/// Runs the recording and gives what the machine is after these numbers of slices.
fn probe(config: &MachineConfig, places: &[u64]) -> anyhow::Result<Vec<(Position, Check)>> {
    let mut config = config.clone();
    if let Some(journal) = &mut config.journal {
        journal.checks_at = places.to_vec();
    }
    let mut wanted: BTreeSet<u64> = places.iter().copied().collect();
    let mut found = Vec::new();
    let mut at = Position::default();
    let mut machine = MachineProcess::start(config)?;
    while !wanted.is_empty() {
        match machine.receive()? {
            FromMachine::Failed(error) => anyhow::bail!(error),
            FromMachine::At(position) => at = position,
            FromMachine::Took(Entry::Check(check)) if check.memory.is_some() && wanted.remove(&at.slices) => {
                found.push((at, check));
            }
            FromMachine::Ended(_, totals) => {
                found.push(end(&totals));
                break;
            }
            _ => {}
        }
    }
    Ok(found)
}

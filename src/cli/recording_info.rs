//! `wkdb info` of a recording: what was run, how it ended, and what of it is where.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context;
use serde_json::json;
use wkdb_tracer::recording::{BlockKind, Ending, Entry, Position, ReadError, Recording};

use wkdb_tracer::Event;

use super::{Exit, print};
use crate::units::format_size;

/// What its entries are.
#[derive(Default)]
struct Counts {
    console: u64,
    input: u64,
    interventions: u64,
    events: u64,
    checks: u64,
    memory_checks: u64,
    /// What detectors found, with the ticks.
    findings: Vec<(u64, String)>,
    last: Position,
    damage: Option<ReadError>,
}

fn count(recording: &mut Recording<BufReader<File>>) -> Counts {
    let mut counts = Counts::default();
    for entry in recording.entries() {
        match entry {
            Err(damage) => counts.damage = Some(damage),
            Ok((at, entry)) => {
                counts.last = at;
                match entry {
                    Entry::Console(bytes) => counts.console += bytes.len() as u64,
                    Entry::Input(bytes) => counts.input += bytes.len() as u64,
                    Entry::Intervention(_) => counts.interventions += 1,
                    Entry::Event(event) => {
                        counts.events += 1;
                        if let Event::Finding(finding) = *event {
                            let tick = finding.context.as_ref().map_or(at.tick, |context| context.tick);
                            counts.findings.push((tick.0, finding.to_string()));
                        }
                    }
                    Entry::Check(check) => {
                        counts.checks += 1;
                        counts.memory_checks += u64::from(check.memory.is_some());
                    }
                }
            }
        }
    }
    counts
}

/// Says what is in a recording.
pub(super) fn run(path: &Path, as_json: bool) -> anyhow::Result<Exit> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let mut recording = Recording::open(BufReader::new(file)).with_context(|| format!("{}", path.display()))?;
    let counts = count(&mut recording);
    match as_json {
        true => print(serde_json::to_string_pretty(&to_json(&recording, &counts, size))? + "\n")?,
        false => print(to_text(&recording, &counts, size)?)?,
    }
    Ok(Exit::Ok)
}

fn end_of(recording: &Recording<BufReader<File>>, counts: &Counts) -> Position {
    match recording.ending() {
        Ending::Complete(end) => Position { slices: end.totals.slices, tick: end.totals.ticks, time: end.totals.time },
        _ => counts.last,
    }
}

fn to_json(recording: &Recording<BufReader<File>>, counts: &Counts, size: u64) -> serde_json::Value {
    let header = recording.header();
    let at = end_of(recording, counts);
    let ending = match (recording.ending(), &counts.damage) {
        (_, Some(damage)) => json!({ "state": "damaged", "why": damage.to_string() }),
        (Ending::Complete(end), None) => json!({ "state": "complete", "outcome": end.outcome.keyword() }),
        (Ending::Cut { at, lost }, None) => json!({ "state": "cut", "whole_bytes": at, "lost_bytes": lost }),
        (Ending::Damaged { at, damage }, None) => {
            json!({ "state": "damaged", "why": damage.to_string(), "whole_bytes": at })
        }
    };
    json!({
        "wkdb": header.wkdb,
        "semantics": header.semantics,
        "recorded_at": header.recorded_at,
        "files": header.files,
        "machine": header.machine,
        "ending": ending,
        "ticks": at.tick,
        "guest_ns": at.time,
        "slices": at.slices,
        "bytes": size,
        "guest_bytes": recording.share(BlockKind::Piece).stored,
        "entry_bytes": recording.share(BlockKind::Entries).stored,
        "entry_blocks": recording.share(BlockKind::Entries).blocks,
        "console_bytes": counts.console,
        "input_bytes": counts.input,
        "interventions": counts.interventions,
        "events": counts.events,
        "findings": counts.findings.iter().map(|(tick, text)| json!({ "tick": tick, "text": text })).collect::<Vec<_>>(),
        "checks": counts.checks,
        "memory_checks": counts.memory_checks,
    })
}

fn to_text(recording: &Recording<BufReader<File>>, counts: &Counts, size: u64) -> anyhow::Result<String> {
    let header = recording.header();
    let mut text = format!("a recording of wkdb {} (machine version {})\n", header.wkdb, header.semantics);
    for file in &header.files {
        let place = if file.embedded { "in the recording" } else { "named by its hash" };
        let what = crate::recording::role_name(file.role);
        text += &format!(
            "  {what:10} {}, {}, {place}\n             BLAKE3 {}\n",
            file.name,
            format_size(file.len),
            file.hash
        );
    }
    if let Some(settings) = header.machine.as_object() {
        for (name, value) in settings {
            text += &format!("  {:18} {value}\n", name.replace('_', " "));
        }
    }
    let at = end_of(recording, counts);
    text += &match (recording.ending(), &counts.damage) {
        (_, Some(damage)) => format!("{damage}\n  whole up to {at}\n"),
        (Ending::Complete(end), None) => format!("complete: it ended with {} at {at}\n", end.outcome.keyword()),
        (Ending::Cut { at: bytes, lost }, None) => {
            format!("cut off after {bytes} bytes ({lost} more are of a block that is not whole)\n  whole up to {at}\n")
        }
        (Ending::Damaged { at: bytes, damage }, None) => {
            format!("damaged at byte {bytes}: {damage}\n  whole up to {at}\n")
        }
    };
    for (tick, finding) in &counts.findings {
        text += &format!("finding at tick {tick}: {finding}\n");
    }
    let Counts { console, input, interventions, events, checks, memory_checks, .. } = counts;
    text += &format!(
        "{} in all: the guest {}, what happened {} in {} blocks\n  {console} bytes printed, {input} typed, {events} events, \
         {interventions} interventions, {checks} checks ({memory_checks} of memory)\n",
        format_size(size),
        format_size(recording.share(BlockKind::Piece).stored),
        format_size(recording.share(BlockKind::Entries).stored),
        recording.share(BlockKind::Entries).blocks,
    );
    Ok(text)
}

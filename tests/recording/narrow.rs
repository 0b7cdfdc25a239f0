//! Narrowing finds the slice in which two runs of a guest part.

use wkdb::machine::{Command, JournalConfig, Machine, MachineConfig, Output, Port};
use wkdb::recording::narrow::narrow;
use wkdb_tracer::recording::{Check, Entry, Intervention, Position, Recording, Writer};

use crate::run::{Guest, Typist, config, record};

#[derive(Default)]
struct Checks {
    at: Position,
    found: Vec<(Position, Check)>,
}

impl Port for Checks {
    fn output(&mut self, output: Output) {
        match output {
            Output::At(position) => self.at = position,
            Output::Took(Entry::Check(check)) if check.memory.is_some() => self.found.push((self.at, check)),
            _ => {}
        }
    }

    fn commands(&mut self, _: Option<std::time::Duration>) -> Vec<Command> {
        Vec::new()
    }
}

fn probe(config: &MachineConfig, places: &[u64]) -> Result<Vec<(Position, Check)>, std::convert::Infallible> {
    let mut config = config.clone();
    config.journal.as_mut().unwrap().checks_at = places.to_vec();
    let mut port = Checks::default();
    Machine::new(config).unwrap().run(&mut port);
    port.found.retain(|(at, _)| places.contains(&at.slices));
    Ok(port.found)
}

#[test]
fn one_word_changed_by_somebody_else_is_found_to_the_slice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.wkr");
    let script = "expect \"minik# \"\nsend \"stress 2\\n\"\nexpect \"ok\"\nwait 2s\n";
    let mut run = config(Guest::Minik, "nr_cpus=8", Some(script));
    // No checks of memory but those that are asked for.
    run.journal = Some(JournalConfig { check_ticks: u64::MAX, ..JournalConfig::default() });
    let (_, totals) = record(run.clone(), Typist::default(), &path);

    // The same with a debugger that writes a word that nobody reads.
    let written_at = totals.slices * 2 / 3;
    let mut recording = Recording::open(std::fs::File::open(&path).unwrap()).unwrap();
    let header = recording.header().clone();
    let entries: Vec<_> = recording.entries().map(Result::unwrap).collect();
    let next = entries.iter().position(|(at, _)| at.slices >= written_at).unwrap();
    let position = Position { slices: written_at, ..entries[next - 1].0 };
    let write = Entry::Intervention(Intervention::WriteMemory { address: 0x200, bytes: vec![7] });
    let changed = folder.path().join("changed.wkr");
    let mut writer = Writer::new(Vec::new(), &header).unwrap();
    for (number, (at, entry)) in entries.iter().enumerate() {
        if number == next {
            writer.entry(position, &write).unwrap();
        }
        writer.entry(*at, entry).unwrap();
    }
    std::fs::write(&changed, writer.into_sink().unwrap()).unwrap();

    let replay = |path: &std::path::Path| MachineConfig { journal: Some(JournalConfig::replay(path)), ..run.clone() };
    let (one, other) = (replay(&path), replay(&changed));
    let parting = narrow(Position::default(), totals.slices, &mut |places| probe(&one, places), &mut |places| {
        probe(&other, places)
    })
    .unwrap()
    .unwrap();
    assert_eq!((parting.same.slices, parting.differ[0].slices), (written_at - 1, written_at));
    assert_eq!(parting.checks[0].schedule, parting.checks[1].schedule);
    assert_ne!(parting.checks[0].memory, parting.checks[1].memory);
    let again = narrow(Position::default(), totals.slices, &mut |places| probe(&one, places), &mut |places| {
        probe(&one, places)
    });
    assert_eq!(again, Ok(None));
}

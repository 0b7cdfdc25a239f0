//! A recording under gdb or lldb.

use wkdb_tracer::recording::{Divergence, Ending, Entry, Intervention, Position, Verifier};

use super::{Args, FromFile, compile};
use crate::cli::Exit;
use crate::cli::gdb;
use crate::cli::record::Recording;
use crate::cli::run::{bundled_sources, stay};
use crate::code_cache::CodeStore;
use crate::machine::{MachineConfig, Pace};
use crate::process::protocol::FromMachine;
use crate::recording::Replayable;
use crate::report::Reporter;
use crate::session::{Relay, Rewindable, Tapped, Variants};

/// Waits at the recording's beginning for debuggers, and stays with them to its end.
pub(super) fn run(
    args: &Args,
    recording: &Replayable,
    mut config: MachineConfig,
    reporter: Reporter,
) -> anyhow::Result<Exit> {
    let code = compile(&mut config, reporter.kernel_bytes())?;
    if let Some(path) = &args.gdb_symbols {
        gdb::write_symbols(reporter.kernel_bytes(), path)?;
    }
    let (kernel, store, symbols) = (reporter.kernel_bytes(), CodeStore::open().ok(), args.symbols.clone());
    let server = gdb::serve(args.ports, kernel, store, bundled_sources(kernel), symbols)?;
    let known = recording.recorded_run()?;
    let end = match &known.outcome {
        Some(outcome) => format!("how it ended: {}", outcome.keyword()),
        None => "it was cut off".into(),
    };
    eprintln!("wkdb: a recording up to tick {}, guest time {}; {end}", known.end.tick, known.end.time);
    let mut check = Check::new(recording)?;
    let variants = Variants { limits: args.history.limits(), ..Variants::default() };
    let begin = |_: &_| {
        let tap = move |message: &FromMachine| check.hear(message);
        let listen = |process| Tapped::new(process, tap);
        let machine = Rewindable::open(config, known, variants.limits, listen)?;
        Relay::stopped(machine, variants, Pace::Warp)
    };
    let exit = stay(begin, Recording::none(), reporter, server, false, false);
    drop(code);
    // However the recorded run ended, it was looked at.
    exit.map(|_| Exit::Ok)
}

/// Compares what the replay does with what was recorded, and says at once where it is another run.
struct Check {
    verifier: Option<Verifier<FromFile>>,
    at: Position,
}

impl Check {
    fn new(recording: &Replayable) -> anyhow::Result<Self> {
        let whole = matches!(recording.ending(), Ending::Complete(_));
        let verifier = Verifier::new(recording.recording()?.into_entries(), whole);
        Ok(Check { verifier: Some(verifier), at: Position::default() })
    }

    fn hear(&mut self, message: &FromMachine) {
        let entry = match message {
            FromMachine::At(position) => {
                self.at = *position;
                return;
            }
            // Somebody leaves, here or in the recorded run.
            FromMachine::Took(Entry::Intervention(Intervention::Quit | Intervention::QuitInSlice)) => {
                self.verifier = None;
                return;
            }
            FromMachine::Took(entry) => entry.clone(),
            FromMachine::Console(bytes) => Entry::Console(bytes.clone()),
            FromMachine::Event(event) if !matches!(**event, wkdb_tracer::Event::Watch(_)) => {
                Entry::Event(event.clone())
            }
            _ => return,
        };
        let compared = self.verifier.as_mut().map_or(Ok(()), |verifier| verifier.entry(self.at, &entry));
        if let Err(divergence) = compared {
            self.verifier = None;
            tell(&divergence);
        }
    }
}

fn tell(divergence: &Divergence) {
    eprintln!("wkdb: from here on the replay is not the run that was recorded\n  {divergence}");
}

//! Records and replays runs in this process.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use wkdb::code_cache::store::DEFAULT_LIMIT;
use wkdb::condition::Condition;
use wkdb::demo::linux::LinuxFiles;
use wkdb::demo::{Files, KERNEL_7_0};
use wkdb::machine::{Cache, Command, JournalConfig, Machine, MachineConfig, Output, Port};
use wkdb::recording::recorder::{Source, SourceFile};
use wkdb::recording::replayable::Named;
use wkdb::recording::{Replayable, RunRecorder, Target};
use wkdb_tracer::recording::{Divergence, Ending, Entry, FileRole, Position, Verified, Verifier};
use wkdb_tracer::{Event, GuestTime, Outcome, Totals};

/// A guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guest {
    Minik,
    Linux,
}

/// The tests' own store of compiled code.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("code")
}

/// A machine of the guest's, with `line` on its command line, and the end of its script as the end of the run.
pub(crate) fn config(guest: Guest, line: &str, script: Option<&str>) -> MachineConfig {
    static MINIK: OnceLock<Files> = OnceLock::new();
    static LINUX: OnceLock<LinuxFiles> = OnceLock::new();
    let (kernel, initrd) = match guest {
        Guest::Minik => {
            let files = MINIK.get_or_init(|| Files::write(KERNEL_7_0).unwrap());
            (files.kernel(), files.initramfs())
        }
        Guest::Linux => {
            let files = LINUX.get_or_init(|| LinuxFiles::write(None).unwrap());
            (files.kernel(), files.initramfs())
        }
    };
    let mut config = MachineConfig::new(kernel);
    config.initrd = Some(initrd);
    config.command_line = format!("console=hvc {line}");
    config.cache = Some(Cache { directory: cache(), limit: DEFAULT_LIMIT });
    config.max_time = Some(GuestTime(3_000_000_000_000));
    if let Some(script) = script {
        config.script = Some(script.to_owned());
        config.until.push(Condition::Script);
    }
    config
}

/// Somebody at the console who types at moments that only the host knows of.
#[derive(Default)]
pub(crate) struct Typist {
    /// What is typed, and after how many looks at the port.
    pub(crate) lines: Vec<(u64, Vec<u8>)>,
    /// After how many looks the person leaves.
    pub(crate) leaves: Option<u64>,
}

impl Typist {
    fn commands(&mut self, looks: u64, wait: Option<Duration>) -> Vec<Command> {
        let typed = self.lines.first().is_some_and(|line| line.0 <= looks);
        // What is typed comes in the middle of the wait.
        std::thread::sleep(wait.unwrap_or_default() / if typed { 2 } else { 1 });
        let lines = self.lines.extract_if(.., |line| line.0 <= looks);
        let mut commands: Vec<_> = lines.map(|line| Command::Input(line.1)).collect();
        if self.leaves.is_some_and(|leaves| leaves <= looks) {
            commands.push(Command::Quit);
        }
        commands
    }
}

/// A typist, and how often they have looked at the port.
struct Looking(Typist, u64);

impl Port for Looking {
    fn output(&mut self, _: Output) {}

    fn commands(&mut self, wait: Option<Duration>) -> Vec<Command> {
        self.1 += 1;
        self.0.commands(self.1, wait)
    }
}

/// Records what somebody does with a machine.
struct Recording<P> {
    recorder: RunRecorder,
    person: P,
}

impl<P: Port> Port for Recording<P> {
    fn output(&mut self, output: Output) {
        match output.clone() {
            Output::At(position) => self.recorder.at(position),
            Output::Took(entry) => self.recorder.entry(entry),
            Output::Console(bytes) => self.recorder.entry(Entry::Console(bytes)),
            Output::Event(event) => self.recorder.event(&event),
            _ => {}
        }
        self.person.output(output);
    }

    fn commands(&mut self, wait: Option<Duration>) -> Vec<Command> {
        self.person.commands(wait)
    }
}

/// Runs and records, the guest's files by their hashes.
pub(crate) fn record(config: MachineConfig, typist: Typist, path: &Path) -> (Outcome, Totals) {
    let (outcome, totals, _) = recording(config, Looking(typist, 0), path);
    (outcome, totals)
}

/// The same with somebody else at the machine, who is given back.
pub(crate) fn record_with<P: Port>(config: MachineConfig, person: P, path: &Path) -> P {
    recording(config, person, path).2
}

fn recording<P: Port>(mut config: MachineConfig, person: P, path: &Path) -> (Outcome, Totals, P) {
    let file = |role, path: &Path| SourceFile {
        role,
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        bytes: std::fs::read(path).unwrap().into(),
    };
    let files =
        vec![file(FileRole::Kernel, &config.kernel), file(FileRole::Initramfs, config.initrd.as_deref().unwrap())];
    let journal = config.journal.get_or_insert_with(JournalConfig::record);
    journal.replay = None;
    let source = Source { files, embed: false, store: None };
    let recorder = RunRecorder::start(Target::File(path.to_owned()), source, &config).unwrap();
    let mut machine = Machine::new(config).unwrap();
    let mut port = Recording { recorder, person };
    let outcome = machine.run(&mut port);
    let totals = machine.totals();
    port.recorder.finish(Some((&outcome, &totals))).unwrap();
    (outcome, totals, port.person)
}

struct Comparing {
    verifier: Verifier<wkdb_tracer::recording::Entries<std::io::BufReader<std::fs::File>>>,
    at: Position,
    found: Option<Divergence>,
}

impl Port for Comparing {
    fn output(&mut self, output: Output) {
        let entry = match output {
            Output::At(position) => return self.at = position,
            Output::Took(entry) => entry,
            Output::Console(bytes) => Entry::Console(bytes),
            Output::Event(event) if !matches!(event, Event::Watch(_)) => Entry::Event(Box::new(event)),
            _ => return,
        };
        if self.found.is_none() {
            self.found = self.verifier.entry(self.at, &entry).err();
        }
    }

    fn commands(&mut self, _: Option<Duration>) -> Vec<Command> {
        match self.found {
            Some(_) => vec![Command::Quit],
            None => Vec::new(),
        }
    }
}

/// Replays and compares everything. `change` may choose another variant.
pub(crate) fn verify(
    path: &Path,
    guest: Guest,
    change: impl FnOnce(&mut MachineConfig),
) -> Result<Verified, Box<Divergence>> {
    // The guest's files are there already.
    let files = config(guest, "", None);
    let named = Named { kernel: Some(files.kernel), initramfs: files.initrd };
    let replayable = Replayable::open(path, &named).unwrap_or_else(|error| panic!("{error}"));
    let mut config = replayable.config().unwrap();
    config.cache = files.cache;
    change(&mut config);
    let Ending::Complete(end) = replayable.ending().clone() else { panic!("{:?}", replayable.ending()) };
    let verifier = Verifier::new(replayable.recording().unwrap().into_entries(), true);
    let mut port = Comparing { verifier, at: Position::default(), found: None };
    let mut machine = Machine::new(config).unwrap();
    let outcome = machine.run(&mut port);
    match port.found {
        Some(divergence) => Err(Box::new(divergence)),
        None => port.verifier.end((&end.outcome, &end.totals), (&outcome, &machine.totals())).map_err(Box::new),
    }
}

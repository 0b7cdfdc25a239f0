//! The results of a hunt: a file with a line of JSON for each seed, after one that says of what.
//!
//! ```text
//! {"hunt":1,"config":"3f…","of":{"guest":"minik","kernel":"…","machine":{…},…}}
//! {"seed":0,"config":"3f…","outcome":"until","ticks":…,…}
//! {"seed":1,"config":"3f…","outcome":"panic",…,"symptom":{"kind":"panic","text":"trap: …","functions":["dup_fd",…]}}
//! {"seed":2,"config":"3f…","failed":"the machine process ended unexpectedly (signal: 9 (SIGKILL))"}
//! ```
//!
//! A line is written when a seed is done; a last line without its end was cut off and counts as not written. A seed that
//! failed says nothing about the guest: it is run again by the next hunt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use wkdb_tracer::{Outcome, Tick, Totals};

use super::judge::RULES;
use super::symptom::Symptom;
use crate::machine::{MachineConfig, SEMANTICS};
use crate::recording::MachineRecord;

/// What the file is called in a hunt's directory.
pub const FILE: &str = "hunt.jsonl";
/// The version of the format.
const VERSION: u32 = 1;

/// What all runs of a hunt have in common: two hunts with equal ones can be joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// What the guest is called. Means nothing for the runs.
    pub guest: String,
    /// BLAKE3 of the kernel.
    pub kernel: String,
    /// BLAKE3 of the initramfs.
    pub initramfs: Option<String>,
    /// The machine: a [`MachineRecord`] without its seed and its pace.
    pub machine: serde_json::Value,
    /// The version of the machine's behaviour.
    pub semantics: u32,
    /// Texts on the console that count as wrong.
    pub listen_for: Vec<String>,
    /// Texts of symptoms that do not.
    pub ignore: Vec<String>,
    /// The version of the rules by which runs are judged.
    pub rules: u32,
}

impl Configuration {
    /// Of the runs of a machine like this one.
    pub fn new(guest: String, kernel: String, initramfs: Option<String>, machine: &MachineConfig) -> Self {
        // A struct of numbers and texts can be written in any case.
        let mut machine = serde_json::to_value(MachineRecord::of(machine)).unwrap_or_default();
        if let Some(fields) = machine.as_object_mut() {
            fields.remove("seed");
            fields.remove("pace");
        }
        let (listen_for, ignore) = (Vec::new(), Vec::new());
        Configuration { guest, kernel, initramfs, machine, semantics: SEMANTICS, listen_for, ignore, rules: RULES }
    }

    /// Sixteen digits that tell it from others.
    pub fn hash(&self) -> String {
        let named = Configuration { guest: String::new(), ..self.clone() };
        let json = serde_json::to_vec(&named).unwrap_or_default();
        blake3::hash(&json).to_hex().as_str()[..16].to_owned()
    }

    /// What is another in `other`, in words.
    pub fn differences(&self, other: &Configuration) -> String {
        let fields = |configuration: &Configuration| {
            let mut fields = serde_json::to_value(configuration).unwrap_or_default();
            let machine = fields.as_object_mut().and_then(|fields| fields.remove("machine"));
            let mut all: BTreeMap<String, serde_json::Value> = serde_json::from_value(fields).unwrap_or_default();
            all.remove("guest");
            all.extend(serde_json::from_value::<BTreeMap<_, _>>(machine.unwrap_or_default()).unwrap_or_default());
            all
        };
        let (ours, theirs) = (fields(self), fields(other));
        let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).collect();
        let show = |value: Option<&serde_json::Value>| value.map_or("nothing".to_owned(), ToString::to_string);
        let differ = names.into_iter().filter(|&name| ours.get(name) != theirs.get(name));
        let words = differ.map(|name| format!("{name}: {} and {}", show(ours.get(name)), show(theirs.get(name))));
        words.collect::<Vec<_>>().join("; ")
    }
}

/// What became of a seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedResult {
    /// The seed.
    pub seed: u64,
    /// The hash of the hunt's configuration.
    pub config: String,
    /// How the run ended, in the word of `--json`.
    pub outcome: String,
    /// Ticks run.
    pub ticks: Tick,
    /// Guest time passed, in nanoseconds.
    pub guest_ns: u64,
    /// Hash of the memory at the end, in hexadecimal digits.
    pub memory: String,
    /// Hash of the schedule.
    pub schedule: String,
    /// Hash of what was printed.
    pub console: String,
    /// What went wrong; nothing did if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom: Option<Symptom>,
}

impl SeedResult {
    /// Of a run that ended so.
    pub fn new(config: &str, outcome: &Outcome, totals: &Totals, symptom: Option<Symptom>) -> Self {
        let hash = |hash: u64| format!("{hash:016x}");
        SeedResult {
            seed: totals.seed,
            config: config.to_owned(),
            outcome: outcome.keyword().to_owned(),
            ticks: totals.ticks,
            guest_ns: totals.time.0,
            memory: hash(totals.memory_hash),
            schedule: hash(totals.schedule_hash),
            console: hash(totals.console_hash),
            symptom,
        }
    }

    /// Whether a run that ended so is the same run.
    pub fn is_of(&self, outcome: &Outcome, totals: &Totals) -> bool {
        SeedResult { symptom: self.symptom.clone(), ..SeedResult::new(&self.config, outcome, totals, None) } == *self
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    hunt: u32,
    config: String,
    of: Configuration,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Failure {
    seed: u64,
    config: String,
    failed: String,
}

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file system refused.
    #[error("cannot {action} {}: {error}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Another hunt writes there.
    #[error("another hunt is under way in {}: wait for it, or name another directory with --out", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// A line that is none of ours.
    #[error("{}, line {line}: {reason}; take that line out, or use another file", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1 on.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Results of other runs.
    #[error(
        "{} has the results of another hunt, which cannot be joined with this one's ({differences}): give the same options, \
         or another directory with --out", path.display()
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// What is another, there and here.
        differences: String,
    },
    /// One seed, two results.
    #[error(
        "{}: seed {seed} ended otherwise than another result of the same run says ({outcomes}): these are not results of \
         one program; run that seed again with both", path.display()
    )]
    Conflict {
        /// The file.
        path: PathBuf,
        /// The seed.
        seed: u64,
        /// Both ends.
        outcomes: String,
    },
    /// Nothing in it.
    #[error("{} has no results of a hunt", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ResultsError {
    let path = path.to_owned();
    move |error| ResultsError::Io { action, path, error }
}

/// What is known of a hunt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Results {
    /// Of which runs.
    pub configuration: Configuration,
    /// Its hash.
    pub config: String,
    /// By seed.
    pub seeds: BTreeMap<u64, SeedResult>,
    /// Seeds that could not be run, and why.
    pub failed: BTreeMap<u64, String>,
}

impl Results {
    /// None yet.
    pub fn new(configuration: Configuration) -> Self {
        let config = configuration.hash();
        Results { configuration, config, seeds: BTreeMap::new(), failed: BTreeMap::new() }
    }

    /// Whether a result is what is known of its seed, if anything is.
    fn check(&self, result: &SeedResult, path: &Path) -> Result<(), ResultsError> {
        match self.seeds.get(&result.seed) {
            Some(known) if known != result => {
                let words = |result: &SeedResult| format!("{} at tick {}", result.outcome, result.ticks);
                let outcomes = format!("{}, {}", words(known), words(result));
                Err(ResultsError::Conflict { path: path.to_owned(), seed: result.seed, outcomes })
            }
            _ => Ok(()),
        }
    }

    /// One more; a seed counts once.
    ///
    /// # Errors
    ///
    /// Where it says something else than is known.
    pub fn add(&mut self, result: SeedResult, path: &Path) -> Result<(), ResultsError> {
        self.check(&result, path)?;
        self.insert(result);
        Ok(())
    }

    fn insert(&mut self, result: SeedResult) {
        self.failed.remove(&result.seed);
        self.seeds.insert(result.seed, result);
    }

    fn fail(&mut self, seed: u64, failed: String) {
        if !self.seeds.contains_key(&seed) {
            self.failed.insert(seed, failed);
        }
    }

    /// Reads the lines of a file, into these results or new ones. Gives how many bytes of it are whole lines.
    pub(super) fn read(
        known: Option<Results>,
        bytes: &[u8],
        path: &Path,
    ) -> Result<(Option<Results>, u64), ResultsError> {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let mut results = known;
        for (number, line) in bytes[..whole].split_inclusive(|&byte| byte == b'\n').enumerate() {
            let wrong = |reason: String| ResultsError::Line { path: path.to_owned(), line: number + 1, reason };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let value: serde_json::Value = serde_json::from_slice(line)
                .map_err(|error| wrong(format!("this is no line of a hunt's ({error})")))?;
            let known = |error: serde_json::Error| wrong(error.to_string());
            if value.get("hunt").is_some() {
                let Header { hunt, config, of } = serde_json::from_value(value).map_err(known)?;
                if hunt != VERSION || config != of.hash() {
                    return Err(wrong("it was written by another version of wkdb".to_owned()));
                }
                match &results {
                    None => results = Some(Results::new(of)),
                    Some(results) if results.config != config => {
                        let differences = of.differences(&results.configuration);
                        return Err(ResultsError::Other { path: path.to_owned(), differences });
                    }
                    Some(_) => {}
                }
                continue;
            }
            let Some(results) = &mut results else {
                return Err(wrong("the line that says of what these are the results is missing".to_owned()));
            };
            let ours = &results.config;
            let config = value.get("config").and_then(|config| config.as_str()).unwrap_or_default();
            if config != *ours {
                return Err(wrong(format!("a result of another hunt ({config:?}, where this is {ours:?})")));
            }
            if value.get("failed").is_some() {
                let failure: Failure = serde_json::from_value(value).map_err(known)?;
                results.fail(failure.seed, failure.failed);
            } else {
                results.add(serde_json::from_value(value).map_err(known)?, path)?;
            }
        }
        Ok((results, whole as u64))
    }

    /// As lines.
    ///
    /// # Errors
    ///
    /// As of the writer.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        line(to, &header(&self.configuration))?;
        for result in self.seeds.values() {
            line(to, result)?;
        }
        for (&seed, failed) in &self.failed {
            line(to, &Failure { seed, config: self.config.clone(), failed: failed.clone() })?;
        }
        Ok(())
    }
}

fn header(configuration: &Configuration) -> Header {
    Header { hunt: VERSION, config: configuration.hash(), of: configuration.clone() }
}

/// Writes one line, at once.
fn line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    to.write_all(&text)
}

/// The file of a hunt under way, which nobody else writes to meanwhile.
pub struct ResultsFile {
    path: PathBuf,
    file: File,
    len: u64,
    /// What is in it.
    pub results: Results,
}

impl ResultsFile {
    /// Opens the results in a directory, which is made if need be, to go on with them.
    ///
    /// # Errors
    ///
    /// Where there are results of another hunt, or one is under way there, or the file is damaged or cannot be written.
    pub fn open(directory: &Path, configuration: &Configuration) -> Result<Self, ResultsError> {
        fs::create_dir_all(directory).map_err(io_error("make the directory", directory))?;
        let path = directory.join(FILE);
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(io_error("write", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(ResultsError::Busy { path: directory.to_owned() }),
            Err(error) => return Err(io_error("lock", &path)(error.into())),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error("read", &path))?;
        let new = || Results::new(configuration.clone());
        let (results, len) = Results::read(None, &bytes, &path)?;
        if let Some(results) = &results
            && results.config != configuration.hash()
        {
            let differences = results.configuration.differences(configuration);
            return Err(ResultsError::Other { path, differences });
        }
        let is_new = results.is_none();
        let mut opened = ResultsFile { path, file, len, results: results.unwrap_or_else(new) };
        // What was cut off by a full disk or a kill is run again.
        opened.cut().map_err(io_error("write", &opened.path))?;
        if is_new {
            opened.append(&header(configuration))?;
        }
        Ok(opened)
    }

    /// A seed is done.
    ///
    /// # Errors
    ///
    /// Where the line cannot be written: then it is not in the file, and not in the results.
    pub fn add(&mut self, result: SeedResult) -> Result<(), ResultsError> {
        self.results.check(&result, &self.path)?;
        self.append(&result)?;
        self.results.insert(result);
        Ok(())
    }

    /// A seed could not be run.
    ///
    /// # Errors
    ///
    /// As of [`ResultsFile::add`].
    pub fn fail(&mut self, seed: u64, failed: String) -> Result<(), ResultsError> {
        self.append(&Failure { seed, config: self.results.config.clone(), failed: failed.clone() })?;
        self.results.fail(seed, failed);
        Ok(())
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&mut self, value: &impl Serialize) -> Result<(), ResultsError> {
        let written = line(&mut self.file, value).and_then(|()| self.file.stream_position());
        match written {
            Ok(len) => {
                self.len = len;
                Ok(())
            }
            Err(error) => {
                // Half a line helps nobody; where it cannot be cut off now, the next hunt does.
                let _ = self.cut();
                Err(io_error("write", &self.path)(error))
            }
        }
    }

    /// Takes away what is behind the last whole line.
    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.file.seek(SeekFrom::Start(self.len)).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::super::symptom::Kind;
    use super::*;

    fn configuration() -> Configuration {
        Configuration::new("minik".into(), "k".into(), None, &MachineConfig::new("minik.wasm"))
    }

    fn result(seed: u64, ticks: u64) -> SeedResult {
        let symptom = seed.is_multiple_of(2).then(|| Symptom::new(Kind::Panic, "trap", vec!["dup_fd".into()]));
        SeedResult {
            seed,
            config: configuration().hash(),
            outcome: "panic".into(),
            ticks: Tick(ticks),
            guest_ns: 5,
            memory: "1".into(),
            schedule: "2".into(),
            console: "3".into(),
            symptom,
        }
    }

    #[test]
    fn what_was_written_is_there_when_the_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("a/b");
        let mut file = ResultsFile::open(&directory, &configuration()).unwrap();
        for seed in 0..10 {
            file.add(result(seed, 7)).unwrap();
        }
        file.fail(20, "killed".into()).unwrap();
        file.fail(21, "killed".into()).unwrap();
        file.add(result(21, 3)).unwrap();
        let busy = ResultsFile::open(&directory, &configuration()).err().unwrap();
        assert!(matches!(busy, ResultsError::Busy { .. }), "{busy}");
        let (known, path) = (file.results.clone(), file.path().to_owned());
        drop(file);
        assert_eq!(known.failed.keys().copied().collect::<Vec<_>>(), [20]);
        let file = ResultsFile::open(&directory, &configuration()).unwrap();
        assert_eq!(file.results, known);
        let mut written = Vec::new();
        known.write(&mut written).unwrap();
        assert_eq!(Results::read(None, &written, &path).unwrap().0, Some(known));
    }

    /// As a kill or a full disk leaves it: whatever of the last line is there, the seeds before it count.
    #[test]
    fn a_file_cut_off_anywhere_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = ResultsFile::open(folder.path(), &configuration()).unwrap();
        let path = file.path().to_owned();
        file.add(result(0, 1)).unwrap();
        let before = fs::metadata(&path).unwrap().len() as usize;
        file.add(result(1, 1)).unwrap();
        drop(file);
        let bytes = fs::read(&path).unwrap();
        for len in 0..bytes.len() {
            fs::write(&path, &bytes[..len]).unwrap();
            let mut file = ResultsFile::open(folder.path(), &configuration()).unwrap();
            let known = usize::from(len >= before);
            assert_eq!(file.results.seeds.len(), known, "{len} bytes");
            for seed in known as u64..2 {
                file.add(result(seed, 1)).unwrap();
            }
            drop(file);
            assert_eq!(fs::read(&path).unwrap(), bytes, "{len} bytes");
        }
    }

    #[test]
    fn results_of_other_runs_and_lines_of_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        drop(ResultsFile::open(folder.path(), &configuration()).unwrap());
        let mut other = MachineConfig::new("minik.wasm");
        (other.seed, other.policy) = (99, crate::machine::Policy::Pct);
        let other = Configuration::new("minik".into(), "k".into(), None, &other);
        let refused = ResultsFile::open(folder.path(), &other).err().unwrap().to_string();
        assert!(refused.contains("(policy: \"Fair\" and \"Pct\")") && refused.contains("--out"), "{refused}");

        let path = folder.path().join(FILE);
        let good = fs::read(&path).unwrap();
        for (line, words) in [
            ("no json\n", "this is no line of a hunt's"),
            ("{\"seed\":1,\"config\":\"x\"}\n", "a result of another hunt"),
            ("{\"hunt\":9}\n", "missing field"),
        ] {
            fs::write(&path, [&good[..], line.as_bytes()].concat()).unwrap();
            let refused = ResultsFile::open(folder.path(), &configuration()).err().unwrap().to_string();
            assert!(refused.contains("line 2") && refused.contains(words), "{refused}");
            assert_eq!(fs::read(&path).unwrap().len(), good.len() + line.len(), "nothing is lost");
        }
    }

    #[test]
    fn a_seed_that_ended_in_two_ways_is_told() {
        let mut results = Results::new(configuration());
        let path = Path::new("a.jsonl");
        results.add(result(1, 5), path).unwrap();
        results.add(result(1, 5), path).unwrap();
        let conflict = results.add(result(1, 6), path).unwrap_err().to_string();
        assert!(conflict.starts_with("a.jsonl: seed 1 ended otherwise"), "{conflict}");
        assert_eq!(results.seeds.len(), 1);
    }
}

//! Recordings of guests, and what is said of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::bugs::Bug;

/// The program, with code kept among the tests' files, and no recordings but those asked for.
pub(crate) fn wkdb() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wkdb"));
    command.env("WKDB_CACHE_DIR", PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("code"));
    command.env("WKDB_RECORD_DIR", "").stdin(Stdio::null());
    command
}

/// A recording of a guest with a planted bug.
pub(crate) struct Recorded {
    folder: tempfile::TempDir,
    /// What the run itself printed.
    pub(crate) said: String,
}

impl Recorded {
    /// Runs a guest with a bug on a seed, with nobody who looks for it meanwhile.
    pub(crate) fn run(bug: &Bug, seed: u64) -> Recorded {
        Recorded::detected(bug, seed, "none")
    }

    /// The same with some detectors.
    pub(crate) fn detected(bug: &Bug, seed: u64, detectors: &str) -> Recorded {
        Recorded::with(bug, seed, &["--detect", detectors])
    }

    /// The same with other options.
    pub(crate) fn with(bug: &Bug, seed: u64, options: &[&str]) -> Recorded {
        let folder = tempfile::tempdir().unwrap();
        let mut command = wkdb();
        match bug.linux {
            None => command.args(["demo", bug.name]),
            Some(script) => {
                let input = folder.path().join("input");
                std::fs::write(&input, script).unwrap();
                command.args(["run", "linux", "--expect-timeout", "60s", "--input"]).arg(input);
                command.args(["--append", &format!("wkdbbug={}", bug.name)])
            }
        };
        command
            .args(["--seed", &seed.to_string(), "--record", "x.wkr"])
            .args(bug.options)
            .args(options)
            .current_dir(folder.path());
        let output = command.output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        Recorded::of(folder, said)
    }

    /// One that was made in a folder.
    pub(crate) fn of(folder: tempfile::TempDir, said: String) -> Recorded {
        assert!(folder.path().join("x.wkr").is_file(), "nothing was recorded: {said}");
        Recorded { folder, said }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The detectors that found something while it ran.
    pub(crate) fn found(&self) -> BTreeSet<&str> {
        let findings = self.said.lines().filter_map(|line| line.strip_prefix("wkdb: finding: "));
        findings.filter_map(|line| line.split(':').next()).collect()
    }

    fn output(&self, options: &[&str]) -> Output {
        wkdb().args(["explain", "x.wkr"]).args(options).current_dir(self.folder()).output().unwrap()
    }

    /// What is said of it.
    pub(crate) fn explained(&self) -> String {
        let output = self.output(&[]);
        assert_eq!(output.status.code(), Some(0), "{}\n{}", self.said, text(&output.stderr));
        text(&output.stdout)
    }

    /// The same, for machines to read.
    pub(crate) fn json(&self) -> Value {
        let output = self.output(&["--json"]);
        assert_eq!(output.status.code(), Some(0), "{}\n{}", self.said, text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace("\r\n", "\n")
}

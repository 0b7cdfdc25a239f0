//! What is said of each planted bug, word by word.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::bugs::{Bug, LINUX, MINIK};
use crate::recorded::Recorded;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/explain/expected")
}

fn check(bug: &Bug) {
    let recorded = Recorded::run(bug, bug.seed);
    assert!(recorded.said.contains(bug.shows), "{} does not show: {}", bug.name, recorded.said);
    let said = recorded.explained();
    assert!(bug.is_named(&said), "{}: none of {:?} is named:\n{said}", bug.name, bug.planted_in);
    let path = directory().join(bug.file());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, said).unwrap();
        return;
    }
    let written = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = written.lines().zip(said.lines()).position(|(written, said)| written != said);
    let line = lines.unwrap_or(written.lines().count().min(said.lines().count()));
    assert!(
        written == said,
        "{}, line {}: not what was written (BLESS=1 renews it)\n  written: {:?}\n  said:    {:?}",
        path.display(),
        line + 1,
        written.lines().nth(line),
        said.lines().nth(line),
    );
}

#[test]
fn the_planted_bugs_of_minik_are_explained() {
    MINIK.iter().for_each(check);
}

#[test]
fn the_planted_bugs_of_linux_are_explained() {
    LINUX.iter().for_each(check);
}

/// With all detectors a run goes wrong earlier, for other symptoms; who planted the bug is named all the same.
#[test]
fn what_detectors_find_is_explained() {
    for bug in MINIK {
        let recorded = Recorded::detected(bug, bug.seed, "all");
        let said = recorded.explained();
        assert!(bug.is_named(&said), "{}: none of {:?} is named:\n{said}", bug.name, bug.planted_in);
    }
}

#[test]
fn all_planted_bugs_are_looked_at_and_nothing_else() {
    let scenes: BTreeSet<&str> = wkdb::demo::SCENES.iter().map(|scene| scene.name).collect();
    assert_eq!(MINIK.iter().map(|bug| bug.name).collect::<BTreeSet<_>>(), scenes);
    let files = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let bugs = MINIK.iter().chain(LINUX).map(Bug::file);
    assert_eq!(files.collect::<BTreeSet<_>>(), bugs.collect::<BTreeSet<_>>());
}

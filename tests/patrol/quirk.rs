//! `--quirk eager-release`: the console that freezes after five minutes, and what is said of it.

use wkdb::machine::Quirk;
use wkdb_tracer::{Detector, Outcome};

use crate::run::{Run, linux, minik, seconds, text, typed};

/// An idle guest that is asked for something after 400 s.
fn frozen(run: &Run, cpu: &str) {
    // Whoever waits for the console waits for ever; without a tick all do.
    assert!(matches!(run.outcome, Outcome::Script { .. } | Outcome::Deadlock(_)), "{:?}: {}", run.outcome, run.console);
    let finding = run.only(Detector::Baton);
    let said = text(finding);
    assert!(said.contains(&format!("nobody runs on {cpu} any more: kworker/")), "{said}");
    assert!(said.contains("took its baton along when it was destroyed"), "{said}");
    assert!(said.contains("by its own wasm_release_task"), "{said}");
    assert!((300.0..310.0).contains(&seconds(finding)), "{}: {said}", seconds(finding));
    assert!(finding.context.as_ref().unwrap().comm.starts_with("kworker/"), "{finding:?}");
}

const ASKED_LATER: &str = "wait 400s\nsend \"echo alive\\n\"\nexpect \"\\nalive\"\n";

#[test]
fn minik_freezes_where_a_kworker_takes_the_baton_along() {
    let script = format!("expect \"minik# \"\n{ASKED_LATER}");
    let eager = minik("", &script, |config| {
        config.expect_timeout_ns = 20_000_000_000;
        config.quirks = [Quirk::EagerRelease].into();
    });
    frozen(&eager, "cpu0");
    // As the contract has it nothing happens.
    let patient = minik("", &script, |_| {});
    assert_eq!((patient.outcome, patient.findings), (Outcome::Until("script".into()), vec![]), "{}", patient.console);
}

#[test]
fn linux_loses_cpus_where_kworkers_take_their_batons_along() {
    // Work that sleeps makes pools grow; five minutes later they have too many workers.
    let script = format!("{}wait 400s\n", typed("\\n# ", &["stress all 60 & stress all 60; wait"]));
    let eager = linux("nr_cpus=4", &script, |config| config.quirks = [Quirk::EagerRelease].into());
    let lost = eager.by(Detector::Baton);
    assert!(!lost.is_empty() && lost.len() == eager.findings.len(), "{:#?} {}", eager.findings, eager.console);
    for finding in lost {
        let said = text(finding);
        assert!(said.contains("any more: kworker/") && said.contains("took its baton along"), "{said}");
        assert!((300.0..320.0).contains(&seconds(finding)), "{}: {said}", seconds(finding));
    }
    let patient = linux("nr_cpus=4", &script, |_| {});
    assert_eq!((patient.outcome, patient.findings), (Outcome::Until("script".into()), vec![]), "{}", patient.console);
}

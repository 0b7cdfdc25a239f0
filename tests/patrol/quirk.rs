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

/// Its pools have no worker too many after five minutes; but threads release themselves, too.
#[test]
fn linux_loses_a_cpu_where_a_thread_takes_its_baton_along() {
    let script = typed("\\n# ", &["stress thread 20"]) + "wait 20s\n";
    let eager = linux("nr_cpus=4", &script, |config| {
        config.expect_timeout_ns = 20_000_000_000;
        config.quirks = [Quirk::EagerRelease].into();
    });
    let lost = eager.by(Detector::Baton);
    assert!(!lost.is_empty() && lost.len() == eager.findings.len(), "{:#?} {}", eager.findings, eager.console);
    for finding in lost {
        let said = text(finding);
        assert!(said.contains(" any more: stress (0x") && said.contains("took its baton along"), "{said}");
        assert_eq!(finding.context.as_ref().unwrap().comm, "stress");
    }
    let patient = linux("nr_cpus=4", &script, |_| {});
    assert_eq!((patient.outcome, patient.findings), (Outcome::Until("script".into()), vec![]), "{}", patient.console);
}

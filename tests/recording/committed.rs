//! A recording that was made elsewhere, and committed, is still the same run here.

use std::path::Path;

use wkdb::demo::{INITRAMFS, KERNEL_7_0};
use wkdb::machine::{JournalConfig, Policy, SEMANTICS};
use wkdb::recording::file_hash;
use wkdb_tracer::recording::{FileRole, Recording};

use crate::run::{Guest, Typist, config, record, verify};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/minik.wkr");
const RENEW: &str = "renew it with: BLESS=1 cargo test --test recording committed";

fn renew() {
    let mut run = config(Guest::Minik, "nr_cpus=8", None);
    (run.seed, run.policy) = (2026, Policy::Random);
    run.journal = Some(JournalConfig { check_ticks: 1_000_000, ..JournalConfig::default() });
    let lines = ["stress 2\n", "ps\n", "crash div0\n", "random\n"];
    let lines = lines.iter().enumerate().map(|(n, line)| (600 + n as u64 * 500, line.as_bytes().to_vec())).collect();
    record(run, Typist { lines, leaves: Some(4000) }, Path::new(PATH));
}

#[test]
fn a_committed_recording_is_the_same_run_here() {
    if std::env::var_os("BLESS").is_some() {
        renew();
    }
    let recording = Recording::open(std::fs::File::open(PATH).unwrap()).unwrap();
    let header = recording.header();
    assert_eq!(header.semantics, SEMANTICS, "the machine has changed: {RENEW}");
    for file in &header.files {
        let bytes = if file.role == FileRole::Kernel { KERNEL_7_0 } else { INITRAMFS };
        assert_eq!(file.hash, file_hash(bytes), "the demo guest has changed: {RENEW}");
    }
    let verified = verify(Path::new(PATH), Guest::Minik, |_| {}).unwrap_or_else(|divergence| {
        panic!(
            "{divergence}\nIf the machine was meant to behave otherwise, raise machine::SEMANTICS and {RENEW}; \
             otherwise this is a bug"
        )
    });
    assert!(verified.end && verified.memory_checks >= 2 && verified.events >= 30, "{verified:?}");
    assert!(std::fs::metadata(PATH).unwrap().len() < 20_000);

    // The program finds the bundled guest by its hash.
    let ended = crate::program::call(&["replay", PATH, "--verify", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!((&ended.json()["same"], &ended.json()["to_the_end"]), (&true.into(), &true.into()));
}

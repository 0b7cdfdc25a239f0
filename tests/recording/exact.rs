//! A replay is the run that was recorded: the same console, events and hashes, whatever the code was compiled to.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use wkdb::machine::engine::OptLevelChoice;
use wkdb::machine::{JournalConfig, MachineConfig, Policy, WatchRange};
use wkdb_tracer::Outcome;
use wkdb_tracer::recording::{Entry, Intervention, Recording};

use crate::program::call;
use crate::run::{Guest, Typist, config, record, verify};

/// Numbers that depend on their seed alone (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

const LINES: [&str; 6] = ["ps\n", "stress 2\n", "crash div0\n", "uptime\n", "random\n", "ps | wc\n"];

/// Somebody who types lines at random moments while a guest runs, and leaves.
fn typist(random: &mut Random) -> Typist {
    let mut looks = 0;
    let mut lines = Vec::new();
    for _ in 0..random.below(8) {
        looks += random.below(700);
        lines.push((looks, LINES[random.below(6) as usize].into()));
    }
    Typist { lines, leaves: Some(looks + 400 + random.below(1500)) }
}

fn variant(config: &mut MachineConfig, number: u64) {
    config.store_checks = number & 1 != 0;
    config.engine.opt_level = [OptLevelChoice::Speed, OptLevelChoice::None][(number >> 1 & 1) as usize];
    if number % 5 == 4 {
        config.watch = vec![WatchRange { address: 0x11000, len: 0x400 }];
    }
}

/// Replays in another process, as `wkdb replay --verify`, in a variant.
fn verify_in_another_process(path: &Path, guest: Guest, number: u64) {
    let files = config(guest, "", None);
    let (kernel, initramfs) = (files.kernel.display().to_string(), files.initrd.unwrap().display().to_string());
    let mut arguments = vec!["replay", path.to_str().unwrap(), "--verify", "--json", "--kernel", &kernel];
    arguments.extend(["--initramfs", &initramfs, "--store-checks", if number & 1 != 0 { "true" } else { "false" }]);
    if guest == Guest::Minik {
        arguments.extend(["--opt-level", if number & 2 != 0 { "none" } else { "speed" }]);
    }
    let replayed = call(&arguments);
    assert_eq!(replayed.code, Some(0), "{}", replayed.stderr);
    let json = replayed.json();
    assert_eq!((&json["same"], &json["to_the_end"]), (&true.into(), &true.into()), "{json}");
}

/// Does this for every number, on two threads.
fn on_two_threads(count: u64, test: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    test(number);
                }
            });
        }
    });
}

#[test]
fn a_hundred_runs_of_minik_replay_in_every_variant_and_in_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let (typed, checks) = (AtomicU64::new(0), AtomicU64::new(0));
    on_two_threads(100, |seed| {
        let path = folder.path().join(format!("{seed}.wkr"));
        let mut random = Random(seed);
        let mut config = config(Guest::Minik, "nr_cpus=8", None);
        config.seed = seed;
        config.policy = [Policy::Fair, Policy::Random, Policy::Pct][(seed % 3) as usize];
        // Often enough that these short runs have some.
        config.journal = Some(JournalConfig { check_ticks: 100_000, ..JournalConfig::default() });
        variant(&mut config, random.below(16));
        let (outcome, totals) = record(config, typist(&mut random), &path);
        let verified = verify(&path, Guest::Minik, |config| variant(config, random.below(16)))
            .unwrap_or_else(|divergence| panic!("seed {seed}: {divergence}"));
        assert!(verified.end, "seed {seed}");
        assert!(verified.memory_checks >= totals.ticks.0 / 200_000, "seed {seed}: {verified:?} in {totals:?}");
        verify_in_another_process(&path, Guest::Minik, random.below(16));
        typed.fetch_add(u64::from(outcome == Outcome::Quit && verified.console > 500), Ordering::Relaxed);
        checks.fetch_add(verified.memory_checks, Ordering::Relaxed);
    });
    assert!(typed.into_inner() > 30, "most runs end before anything is typed");
    assert!(checks.into_inner() > 500);
}

#[test]
fn twenty_runs_of_linux_replay_in_other_variants_and_in_another_process() {
    const SCRIPT: &str =
        "expect \"\\n# \"\nsend \"ps\\n\"\nexpect \"\\n# \"\nwait 3s\nsend \"uptime\\n\"\nexpect \"\\n# \"\n";
    let folder = tempfile::tempdir().unwrap();
    on_two_threads(20, |seed| {
        let path = folder.path().join(format!("{seed}.wkr"));
        let mut config = config(Guest::Linux, "nr_cpus=4", Some(SCRIPT));
        config.seed = seed;
        config.journal = Some(JournalConfig { check_ticks: 1_000_000, ..JournalConfig::default() });
        let (outcome, _) = record(config, Typist::default(), &path);
        assert_eq!(outcome, Outcome::Until("script".into()));
        let verified = verify(&path, Guest::Linux, |config| config.store_checks = seed % 2 == 0)
            .unwrap_or_else(|divergence| panic!("seed {seed}: {divergence}"));
        assert!(verified.end && verified.memory_checks >= 2, "{verified:?}");
        verify_in_another_process(&path, Guest::Linux, seed / 2 % 2);
    });
}

#[test]
fn leaving_in_the_middle_of_a_slice_is_replayed_to_the_tick() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.wkr");
    let mut in_slice = 0;
    for leaves in (0..12).map(|n| 300 + 150 * n) {
        // Two CPUs spin for ever; each slice has fifty looks at the port.
        let mut spins = config(Guest::Minik, "bug=deadlock", None);
        (spins.seed, spins.slice) = (1, 5_000_000);
        record(spins, Typist { leaves: Some(leaves), ..Typist::default() }, &path);
        let mut recording = Recording::open(std::fs::File::open(&path).unwrap()).unwrap();
        let last = recording.entries().map(|entry| entry.unwrap().1).last();
        in_slice += u32::from(last == Some(Entry::Intervention(Intervention::QuitInSlice)));
        let verified = verify(&path, Guest::Minik, |config| config.store_checks = true);
        assert!(verified.unwrap_or_else(|divergence| panic!("{leaves}: {divergence}")).end);
    }
    assert!(in_slice > 0, "nobody left in the middle of a slice");
}

#[test]
fn a_replay_in_real_pace_is_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("paced.wkr");
    let lines = (0..20).map(|n| (n * 40, b"uptime\n".to_vec())).collect();
    let mut paced = config(Guest::Minik, "", None);
    paced.pace = wkdb::machine::Pace::Real;
    let (_, totals) = record(paced, Typist { lines, leaves: Some(900) }, &path);
    assert!(totals.time.0 > 0);
    for pace in [wkdb::machine::Pace::Warp, wkdb::machine::Pace::Real] {
        let verified = verify(&path, Guest::Minik, |config| config.pace = pace);
        assert!(verified.unwrap_or_else(|divergence| panic!("{pace:?}: {divergence}")).end);
    }
}

#[test]
fn another_seed_does_not_pass_for_the_recorded_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("seed.wkr");
    let mut one = config(Guest::Minik, "nr_cpus=8", Some("expect \"minik# \"\nsend \"stress 2\\n\"\nexpect \"ok\"\n"));
    one.journal = Some(JournalConfig { check_ticks: 100_000, ..JournalConfig::default() });
    record(one, Typist::default(), &path);
    let found = verify(&path, Guest::Minik, |config| config.seed = 1).unwrap_err();
    assert!(found.at.tick.0 < 5_000_000, "it is found early: {found}");
}

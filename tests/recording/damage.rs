//! Damaged recordings: a clear error or a prefix of the truth; never a panic, and never a replay that claims success.
//!
//! For `WKDB_FUZZ_SECONDS` seconds (3 if unset) a recording is damaged at random and read; a few are replayed through
//! the program. `WKDB_FUZZ_SEED` chooses the damage.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use wkdb_tracer::recording::{Ending, Entry, Position, Recording};

use crate::program::{call, kernel, run};

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0 >> 11) * limit as u128) >> 53) as usize
    }

    /// A damaged copy.
    fn damage(&mut self, whole: &[u8]) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for _ in 0..=self.below(3) {
            if bytes.is_empty() {
                break;
            }
            let at = self.below(bytes.len());
            let len = self.below(64).min(bytes.len() - at);
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << self.below(8),
                2 => bytes[at..at + len].fill([0, 0xff][self.below(2)]),
                3 => drop(bytes.drain(at..at + len)),
                4 => {
                    let copy = bytes[at..at + len].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, copy);
                }
                _ => bytes.extend(vec![0; self.below(300)]),
            }
        }
        bytes
    }
}

/// What can be read of a recording: its entries, and whether it seems to be whole.
fn read(bytes: &[u8]) -> (Vec<(Position, Entry)>, bool) {
    let Ok(mut recording) = Recording::open(Cursor::new(bytes)) else { return (Vec::new(), false) };
    let mut whole = matches!(recording.ending(), Ending::Complete(_));
    let mut entries = Vec::new();
    for entry in recording.entries() {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                assert!(!error.to_string().is_empty());
                whole = false;
            }
        }
    }
    for number in 0..recording.header().files.len().min(4) {
        whole &= recording.file(number, &mut Vec::new()).is_ok();
    }
    (entries, whole)
}

fn recording() -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.wkr");
    let kernel = kernel(
        r#"(local $n i32)
           (loop $more
             (call $hello)
             (call $sleep (i64.const 400_000_000))
             (local.set $n (i32.add (local.get $n) (i32.const 1)))
             (br_if $more (i32.lt_u (local.get $n) (i32.const 40))))
           (call $no_init)"#,
    );
    run(&kernel, &["--record", path.to_str().unwrap()]);
    let bytes = std::fs::read(&path).unwrap();
    (folder, bytes)
}

#[test]
fn whatever_is_done_to_a_file_reading_it_gives_a_prefix_and_notices() {
    let (_folder, whole) = recording();
    let (entries, is_whole) = read(&whole);
    assert!(is_whole && entries.len() > 50, "{}", entries.len());
    let seed = setting("WKDB_FUZZ_SEED", 1);
    let mut random = Random(seed);
    let until = Instant::now() + Duration::from_secs(setting("WKDB_FUZZ_SECONDS", 3));
    let mut tried = 0u64;
    while Instant::now() < until {
        let damaged = random.damage(&whole);
        let looked = catch_unwind(AssertUnwindSafe(|| {
            let (got, seems_whole) = read(&damaged);
            assert!(entries.starts_with(&got), "what is read was never recorded");
            assert!(!seems_whole || damaged == whole, "the damage is not noticed");
        }));
        if looked.is_err() {
            let kept = std::env::temp_dir().join(format!("damaged-{seed}-{tried}.wkr"));
            std::fs::write(&kept, &damaged).unwrap();
            panic!("number {tried} of seed {seed} is kept in {}", kept.display());
        }
        tried += 1;
    }
    assert!(tried > 100, "only {tried} were tried");
}

#[test]
fn a_damaged_recording_is_replayed_up_to_its_damage_and_never_called_whole() {
    let (folder, whole) = recording();
    let path = folder.path().join("damaged.wkr");
    let mut random = Random(7);
    let (mut replayed, mut refused) = (0, 0);
    // How much can be replayed depends on where the blocks end, and that on how busy the machine was.
    for number in 0..600 {
        if number >= 60 && replayed > 3 && refused > 20 {
            break;
        }
        let damaged = random.damage(&whole);
        if damaged == whole {
            continue;
        }
        std::fs::write(&path, &damaged).unwrap();
        let ended = call(&["replay", path.to_str().unwrap(), "--verify", "--json"]);
        match ended.code {
            Some(0) => {
                // Cut off between two blocks or in one: it says so.
                let json = ended.json();
                assert_eq!(json["complete"], false, "{ended:?}");
                assert!(ended.stderr.contains("was cut off"), "{}", ended.stderr);
                replayed += 1;
            }
            Some(1) => {
                assert!(ended.stderr.contains("wkdb: "), "{}", ended.stderr);
                refused += 1;
            }
            other => panic!("exit code {other:?}: {}", ended.stderr),
        }
    }
    assert!(replayed > 3 && refused > 20, "{replayed} replayed, {refused} refused");
}

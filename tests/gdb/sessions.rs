//! The transcripts in `sessions`, played with every gdb.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::debuggers::{gdb, gdbs};
use crate::transcript::{Transcript, assert_all_played};

/// The place of a fixture; one that is kept compressed is unpacked.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if path.exists() {
        return path;
    }
    let packed = std::fs::read(path.with_extension("wasm.zst")).unwrap();
    // Others unpack it as well: they are to see all of it or nothing.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let unpacked = directory.join(name);
    let mut part = tempfile::NamedTempFile::new_in(directory).unwrap();
    std::io::Write::write_all(&mut part, &zstd::decode_all(&packed[..]).unwrap()).unwrap();
    part.persist(&unpacked).unwrap();
    unpacked
}

#[test]
fn the_guest_of_64_bits_was_built_from_its_sources() {
    let folder = fixture("wasm64");
    let list = std::fs::read_to_string(folder.join("SOURCES.sha256")).unwrap();
    assert_eq!(list.lines().count(), 2);
    for line in list.lines() {
        let (hash, name) = line.split_once("  ").unwrap();
        let digest = Sha256::digest(std::fs::read(folder.join(name)).unwrap());
        let now: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(now, hash, "{name} changed: run build.sh in {}", folder.display());
    }
}

fn play(name: &str) {
    let transcript = Transcript::read("sessions", name);
    for program in gdbs() {
        let guest = transcript.start("--gdb");
        let commands = transcript.commands("(gdb) ", guest.port);
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        let said = gdb(&program, guest.port, &commands);
        transcript.check("(gdb) ", guest.port, &said, &program.display().to_string());
    }
}

macro_rules! sessions {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {
        $($(#[doc = $doc])* #[test] fn $name() {
            play(stringify!($name));
        })*

        #[test]
        fn every_transcript_is_played() {
            assert_all_played("sessions", &[$(stringify!($name)),*]);
        }
    };
}

sessions! {
    boot;
    tasks;
    watch;
    conditions;
    changes;
    script;
    bug;
    linux;
    linux_boot;
    crowd;
    monitor;
    locking;
    /// The same looks at the demo guest without and with more optimisation.
    level0;
    level2;
    /// Addresses of 64 bits: gdb's x86-64.
    wasm64_level0;
    wasm64_level2;
    /// The machine stops before a new program runs, and gdb is told of a new library.
    pending;
    user;
    values;
}

//! The transcripts in `sessions`: the guest in the first lines, then commands and lines of their answers.
//!
//! ```text
//! # wkdb demo --gdb-wait
//! (gdb) tbreak start_kernel
//! Temporary breakpoint 1 at …
//! ```
//!
//! A second line `# when the console shows TEXT` lets the guest run until then.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::debuggers::{assert_lines, gdb, gdbs};
use crate::guest::Guest;

/// A command and lines of what it prints.
struct Step<'a> {
    command: &'a str,
    expected: Vec<&'a str>,
}

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

/// `{NAME}` stands for a fixture, `{initramfs}` for the demo guest's programs.
fn with_fixtures(arguments: &str) -> String {
    let word = |word: &str| match word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        Some("initramfs") => concat!(env!("CARGO_MANIFEST_DIR"), "/src/demo/initramfs.cpio").to_owned(),
        Some(name) => fixture(name).display().to_string(),
        None => word.to_owned(),
    };
    arguments.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb/sessions").join(name).with_extension("txt");
    let text = std::fs::read_to_string(&path).unwrap();
    let header = |what: &str| text.lines().find_map(|line| line.strip_prefix("# ")?.strip_prefix(what));
    let arguments = with_fixtures(header("wkdb ").expect("the first line says how the guest is started"));
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("# ") && !line.is_empty()) {
        match (line.strip_prefix("(gdb) "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command, expected: Vec::new() }),
            (None, Some(step)) => step.expected.push(line),
            (None, None) => panic!("{name}: a line before the first command: {line}"),
        }
    }
    let commands: Vec<&str> = steps.iter().map(|step| step.command).collect();
    for program in gdbs() {
        let guest = Guest::start(&arguments);
        if let Some(text) = header("when the console shows ") {
            guest.shows(text);
            guest.comes_to_rest();
        }
        let whole = gdb(&program, guest.port, &commands);
        let mut rest = whole.as_str();
        for (n, step) in steps.iter().enumerate() {
            let (_, after) = rest.split_once(&format!("(gdb) {}\n", step.command)).unwrap_or_else(|| {
                panic!("{name}, {}: gdb did not come to `{}`:\n{whole}", program.display(), step.command)
            });
            let end = steps.get(n + 1).and_then(|next| after.find(&format!("(gdb) {}\n", next.command)));
            let answer = &after[..end.unwrap_or(after.len())];
            assert_lines(answer, &step.expected, &format!("{}: {}\n{whole}", program.display(), step.command));
            rest = after;
        }
    }
}

macro_rules! sessions {
    ($($(#[doc = $doc:literal])* $name:ident;)*) => {
        $($(#[doc = $doc])* #[test] fn $name() {
            play(stringify!($name));
        })*

        #[test]
        fn every_transcript_is_played() {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gdb/sessions");
            for file in std::fs::read_dir(directory).unwrap() {
                let name = file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
                assert!([$(stringify!($name)),*].contains(&name.as_str()), "{name}.txt is no test");
            }
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

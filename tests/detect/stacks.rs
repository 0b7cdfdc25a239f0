//! Stores into the stacks of others that are planted in a kernel and in programs, compiled without optimising and with:
//! `tests/fixtures/stacks`. Where variables are, and whether they are in memory at all, is different in the two.

use std::path::{Path, PathBuf};

use crate::command_line::wkdb;

/// The levels of optimising.
const LEVELS: [&str; 2] = ["O0", "O2"];

/// A kernel of a level, and the programs that go with it.
struct Guest {
    folder: tempfile::TempDir,
}

impl Guest {
    fn new(level: &str) -> Guest {
        let folder = tempfile::tempdir().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stacks");
        for kind in ["wasm", "cpio"] {
            let packed = std::fs::read(fixtures.join(format!("{level}.{kind}.zst"))).unwrap();
            std::fs::write(folder.path().join(kind), zstd::decode_all(&packed[..]).unwrap()).unwrap();
        }
        Guest { folder }
    }

    fn path(&self, kind: &str) -> PathBuf {
        self.folder.path().join(kind)
    }

    /// What a run finds, and all that it says.
    fn run(&self, append: &str, seed: u32, detectors: &str) -> (Vec<String>, String) {
        let (kernel, initrd, seed) = (self.path("wasm"), self.path("cpio"), seed.to_string());
        let output = wkdb(&[
            "run",
            kernel.to_str().unwrap(),
            "--initrd",
            initrd.to_str().unwrap(),
            "--append",
            &format!("console=hvc nr_cpus=8 {append}"),
            "--seed",
            &seed,
            "--until",
            "time=3s",
            "--detect",
            detectors,
        ]);
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let found =
            said.split("wkdb: finding: ").skip(1).map(|text| text.lines().take(9).collect::<Vec<_>>().join("\n"));
        (found.collect(), said)
    }
}

/// Runs something wrong at both levels, on some seeds. The first finding, of `number`, has all of `said`.
fn finds(append: &str, number: usize, said: &[&str]) {
    for level in LEVELS {
        let guest = Guest::new(level);
        for seed in 1..=3 {
            let (found, all) = guest.run(append, seed, "stack-contents");
            assert_eq!(found.len(), number, "{append}, {level}, seed {seed}: {all}");
            for part in said {
                assert!(found[0].contains(part), "{append}, {level}, seed {seed}: no {part:?} in {}", found[0]);
            }
        }
    }
}

#[test]
fn a_variable_whose_address_is_nobody_elses_is_not_to_be_written_by_others() {
    finds(
        "trespass=table",
        1,
        &[
            "stack-contents: stray writes 4 bytes at ",
            "into the kernel stack of keeper, where nothing is anybody else's",
            "that is in the frame of keep_table (drivers/quota.c:31), which gives nobody the address of table",
            "quota_account (drivers/quota.c:",
        ],
    );
}

#[test]
fn a_popped_frame_is_written_below_the_stack_pointer_or_into_what_has_taken_its_place() {
    finds(
        "trespass=popped",
        1,
        &[
            "stack-contents: stray writes 4 bytes at ",
            "into the kernel stack of keeper, below its stack pointer, where nothing is in use",
            "quota_account (drivers/quota.c:",
        ],
    );
    finds(
        "trespass=reused",
        1,
        &[
            "into the kernel stack of keeper, where nothing is anybody else's",
            "that is in the frame of keep_table",
            "quota_account (drivers/quota.c:",
        ],
    );
}

/// With optimising it is not in memory.
#[test]
fn a_parameter_that_the_compiler_keeps_on_the_stack_is_not_to_be_written_by_others() {
    let (found, all) = Guest::new("O0").run("trespass=parameter", 1, "stack-contents");
    let [found] = &found[..] else { panic!("{all}") };
    assert!(found.contains("which gives nobody the address of seed"), "{found}");
    assert!(found.contains("quota_account (drivers/quota.c:"), "{found}");
}

#[test]
fn a_program_may_not_write_there() {
    finds(
        "trespass=program init=/bin/poke",
        1,
        &[" writes 4 bytes at ", "into the kernel stack of keeper, which no program may", "poke (user/poke.c:"],
    );
}

#[test]
fn what_is_put_on_a_stack_for_others_they_may_write() {
    for level in LEVELS {
        let guest = Guest::new(level);
        for seed in 1..=3 {
            let (found, all) = guest.run("trespass=legal", seed, "all");
            assert!(found.is_empty(), "{level}, seed {seed}: {all}");
            assert_eq!(all.matches("quota: all answers are there").count(), 4, "{level}, seed {seed}: {all}");
        }
    }
}

#[test]
fn a_heap_that_grows_into_the_stack_of_its_program_is_found_where_it_grows() {
    finds(
        "init=/bin/own",
        1,
        &[
            "stack-contents: the heap of ",
            " bytes into the stack that it uses",
            "grow_heap (user/heap.c:",
            "main (user/heap.c:",
        ],
    );
}

/// What the first program runs on was a thread of the kernel's, whose name the host knows it by.
#[test]
fn a_heap_on_the_stack_of_another_thread_is_found_where_it_grows_and_where_it_is_written() {
    for detectors in ["stack-contents", "all"] {
        for level in LEVELS {
            let (found, all) = Guest::new(level).run("init=/bin/thread", 1, detectors);
            let [grown, written @ ..] = &found[..] else { panic!("{level}, {detectors}: {all}") };
            for part in [
                "the heap of thread reaches ",
                " bytes into the stack that swapper/0 uses",
                "and the stack pointer of swapper/0 (0x",
                "grow_heap (user/heap.c:",
                "worker (user/heap.c:",
            ] {
                assert!(grown.contains(part), "{level}, {detectors}: no {part:?} in {grown}");
            }
            // The compiler may make more than one store of it.
            assert!(!written.is_empty(), "{level}, {detectors}: {all}");
            for written in written {
                for part in [
                    "stack-contents: thread writes ",
                    "into the user stack of swapper/0, where its heap lies, too",
                    "that is the stack of swapper/0 (0x",
                    "clear_heap (user/heap.c:",
                ] {
                    assert!(written.contains(part), "{level}, {detectors}: no {part:?} in {written}");
                }
            }
        }
    }
}

#[test]
fn a_heap_on_the_stack_of_another_process_is_found_where_it_grows() {
    for level in LEVELS {
        let (found, all) = Guest::new(level).run("init=/bin/other trespass=brk", 1, "stack-contents");
        let [own, others] = &found[..] else { panic!("{level}: {all}") };
        for (found, part) in [
            (own, " bytes into the stack that it uses"),
            (others, " bytes into the stack that other uses"),
            (others, "and the stack pointer of other (0x"),
            (others, "grow_heap (user/heap.c:"),
        ] {
            assert!(found.contains("the heap of swapper/0 reaches ") && found.contains(part), "{level}: {found}");
        }
    }
}

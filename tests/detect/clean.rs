//! A guest without mistakes: nothing is found, whatever it does.

use std::path::Path;

use crate::command_line::wkdb;

#[test]
fn nothing_is_found_in_a_guest_that_does_nothing_wrong() {
    for seed in ["1", "2", "3"] {
        for sched in ["fair", "random"] {
            let output = wkdb(&[
                "demo",
                "--seed",
                seed,
                "--sched",
                sched,
                "--append",
                "stress=12 tasks=24",
                "--detect",
                "all",
                "--until",
                "time=4s",
            ]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("finding"), "seed {seed}, {sched}: {said}");
            assert_eq!(output.status.code(), Some(0), "seed {seed}, {sched}: {said}");
        }
    }
}

/// Where all variables are in memory, and where the compiler has moved most of them out of it.
#[test]
fn nothing_is_found_on_the_stacks_of_a_guest_that_was_compiled_with_and_without_optimising() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let initrd = root.join("src/demo/initramfs.cpio");
    for level in ["O0", "O2"] {
        let packed = std::fs::read(root.join(format!("tests/fixtures/minik-{level}.wasm.zst"))).unwrap();
        let kernel = folder.path().join(format!("{level}.wasm"));
        std::fs::write(&kernel, zstd::decode_all(&packed[..]).unwrap()).unwrap();
        for seed in 1..=10 {
            let seed = seed.to_string();
            let options = ["--seed", &seed, "--sched", "random", "--until", "time=4s", "--detect", "stack-contents"];
            let guest = ["run", kernel.to_str().unwrap(), "--initrd", initrd.to_str().unwrap()];
            let output = wkdb(&[&guest[..], &["--append", "nr_cpus=8 stress=12 tasks=24"], &options].concat());
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!said.contains("finding"), "{level}, seed {seed}: {said}");
            assert_eq!(output.status.code(), Some(0), "{level}, seed {seed}: {said}");
        }
    }
}

//! The benchmark's guests are committed compiled: they must be what their sources compile to.

use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Compares the hashes of everything in `tests/bench` with those recorded when the guests were compiled.
/// `BLESS=1` records them anew: run `tests/bench/build.sh` before.
#[test]
fn compiled_benchmark_guests_match_their_sources() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").file_name().into_string().expect("names are ASCII"))
        .filter(|name| [".c", ".h", ".sh", ".wasm"].iter().any(|extension| name.ends_with(extension)))
        .collect();
    names.sort();
    let mut hashes = String::new();
    for name in &names {
        let hash = blake3::hash(&fs::read(folder.join(name)).expect("the file can be read"));
        writeln!(hashes, "{}  {name}", hash.to_hex()).expect("a string takes everything");
    }
    let record = folder.join("files.b3");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&record, &hashes).expect("the record can be written");
    }
    let recorded = fs::read_to_string(&record).unwrap_or_default();
    assert!(
        recorded == hashes,
        "files in tests/bench have changed: run tests/bench/build.sh, then this test with BLESS=1\n{hashes}"
    );
}

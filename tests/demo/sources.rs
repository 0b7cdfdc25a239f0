//! The committed guest is what its sources make.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn files(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

fn hash(path: &Path) -> String {
    Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_committed_guest_was_built_from_these_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("scripts/build-demo.sh")];
    files(&root.join("src/demo/minik"), &mut paths);
    files(&root.join("tests/fixtures/stacks"), &mut paths);
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "zst"));
    let name = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let there: BTreeMap<_, _> = paths.iter().map(|path| (name(path), hash(path))).collect();
    let list = std::fs::read_to_string(root.join("src/demo/SOURCES.sha256")).unwrap();
    let built: BTreeMap<_, _> =
        list.lines().filter_map(|line| line.split_once("  ")).map(|(hash, name)| (name.into(), hash.into())).collect();
    assert!(built.len() > 20, "the list is too short");
    assert_eq!(there, built, "run scripts/build-demo.sh and commit what it makes");
}

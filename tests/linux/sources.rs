//! The bundled Linux is what its sources make.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

fn files(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, into) } else { into.push(path) }
    }
}

#[test]
fn the_bundled_linux_was_built_from_these_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    files(&root.join("scripts/linux-guest"), &mut paths);
    let name = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    let hash = |path: &Path| -> String {
        Sha256::digest(std::fs::read(path).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let there: BTreeMap<_, _> =
        paths.iter().map(|path| (name(path), hash(path))).filter(|(name, _)| !name.ends_with(".md")).collect();
    let list = std::fs::read_to_string(root.join("src/demo/linux/SOURCES.sha256")).unwrap();
    let built: BTreeMap<_, _> =
        list.lines().filter_map(|line| line.split_once("  ")).map(|(hash, name)| (name.into(), hash.into())).collect();
    assert!(built.len() > 40, "the list is too short");
    assert_eq!(there, built, "run scripts/linux-guest/build.sh --bundle and commit what it makes");
}

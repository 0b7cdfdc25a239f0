use std::path::Path;

/// The fixtures were made of these sources: a changed source without a new build would test nothing.
#[test]
fn the_fixtures_were_built_from_these_sources() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/zoo");
    let list = std::fs::read_to_string(folder.join("SOURCES.sha256")).unwrap();
    assert_eq!(list.lines().count(), 5);
    for line in list.lines() {
        let (hash, name) = line.split_once("  ").unwrap();
        let bytes = std::fs::read(folder.join(name)).unwrap();
        assert_eq!(super::sha256(&bytes), hash, "{name} changed: run build.sh in {}", folder.display());
    }
}

//! The store, in directories of its own.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime};

use object::write::{Object, StandardSection};
use object::{Architecture, BinaryFormat, Endianness};
use rustix::fs::{Advice, FlockOperation, fadvise, flock};
use rustix::io::{ReadWriteFlags, preadv2};

use super::store::{DEFAULT_LIMIT, settings};
use super::*;

fn key(name: &str) -> CodeKey {
    CodeKey::of(&[name.as_bytes()])
}

/// A store in a directory that does not exist yet.
fn store(limit: u64) -> (tempfile::TempDir, CodeStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = CodeStore::open_at(directory.path().join("wkdb/code"), limit).unwrap();
    (directory, store)
}

/// Makes a file look as if it had last been used this long ago.
fn age(path: &Path, seconds: u64) {
    File::open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(seconds)).unwrap();
}

fn names(store: &CodeStore) -> Vec<String> {
    let files = fs::read_dir(store.directory()).unwrap();
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_put_is_got() {
    let (_guard, store) = store(DEFAULT_LIMIT);
    assert_eq!(store.get(&key("a"), Artifact::Code), None);
    let path = store.put(&key("a"), Artifact::Code, b"code").unwrap();
    assert_eq!(store.get(&key("a"), Artifact::Code), Some(path.clone()));
    assert_eq!(store.get(&key("a"), Artifact::OffsetMap), None);
    assert_eq!(fs::read(&path).unwrap(), b"code");
    store.put(&key("a"), Artifact::Code, b"newer").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"newer");
    assert_eq!(names(&store).len(), 1, "no temporary file is left");
    store.remove(&key("a"), Artifact::Code).unwrap();
    store.remove(&key("a"), Artifact::Code).unwrap();
    assert_eq!(store.get(&key("a"), Artifact::Code), None);
}

#[test]
fn keys_depend_on_where_a_part_ends() {
    assert_ne!(CodeKey::of(&[b"ab", b"c"]), CodeKey::of(&[b"a", b"bc"]));
    assert_ne!(CodeKey::of(&[b"ab"]), CodeKey::of(&[b"ab", b""]));
    assert_eq!(CodeKey::of(&[b"a", b"b"]), CodeKey::of(&[b"a", b"b"]));
    assert_eq!(key("a").to_string().len(), 64);
}

#[test]
fn the_least_recently_used_go_first() {
    let (_guard, store) = store(250);
    let paths: Vec<_> =
        ["a", "b"].iter().map(|name| store.put(&key(name), Artifact::Code, &[0; 100]).unwrap()).collect();
    age(&paths[0], 1000);
    age(&paths[1], 2000);
    // Using the older one makes it the newer one.
    store.get(&key("b"), Artifact::Code).unwrap();
    age(&paths[1], 500);
    store.put(&key("c"), Artifact::Code, &[0; 100]).unwrap();
    assert_eq!(store.get(&key("a"), Artifact::Code), None);
    assert!(store.get(&key("b"), Artifact::Code).is_some());
    assert!(store.get(&key("c"), Artifact::Code).is_some());
}

#[test]
fn a_use_is_remembered() {
    let (_guard, store) = store(DEFAULT_LIMIT);
    let path = store.put(&key("a"), Artifact::Code, b"x").unwrap();
    age(&path, 5000);
    store.get(&key("a"), Artifact::Code).unwrap();
    let used = fs::metadata(&path).unwrap().modified().unwrap();
    assert!(used.elapsed().unwrap() < Duration::from_secs(60));
}

#[test]
fn what_is_in_use_stays_beyond_the_limit() {
    let (_guard, store) = store(10);
    for name in ["a", "b", "c"] {
        store.put(&key(name), Artifact::Code, &[0; 100]).unwrap();
    }
    assert_eq!(names(&store).len(), 3);
    store.tidy(SystemTime::now() + Duration::from_secs(120));
    assert_eq!(names(&store).len(), 0);
}

#[test]
fn other_peoples_files_are_never_removed() {
    let (_guard, store) = store(0);
    for name in ["README", "notes.cwasm", &format!("{}.txt", key("a"))] {
        let path = store.directory().join(name);
        fs::write(&path, "x").unwrap();
        age(&path, 100_000);
    }
    store.tidy(SystemTime::now());
    assert_eq!(names(&store).len(), 3);
}

#[test]
fn what_a_killed_process_left_is_removed() {
    let (_guard, store) = store(DEFAULT_LIMIT);
    let [left, young, written] = [".new-left", ".new-young", ".new-written"].map(|name| store.directory().join(name));
    for path in [&left, &young, &written] {
        fs::write(path, "x").unwrap();
    }
    age(&left, 1000);
    age(&written, 1000);
    let writer = File::open(&written).unwrap();
    flock(&writer, FlockOperation::NonBlockingLockExclusive).unwrap();
    store.put(&key("a"), Artifact::Code, b"x").unwrap();
    assert_eq!((left.exists(), young.exists(), written.exists()), (false, true, true));
    drop(writer);
    store.tidy(SystemTime::now());
    assert!(!written.exists());
}

#[test]
fn the_directory_is_made_closed_to_others() {
    let (_guard, store) = store(DEFAULT_LIMIT);
    assert_eq!(fs::metadata(store.directory()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = CodeStore::open_at(directory.path(), 1).unwrap_err().to_string();
    assert!(error.contains("other users can write to it; run: chmod go-w "), "{error}");
}

#[test]
fn a_directory_of_another_user_is_refused() {
    // /proc/1 is the first process's, but under root that is ourselves: give a directory away instead.
    let directory = tempfile::tempdir().unwrap();
    let theirs = if rustix::process::geteuid().is_root() {
        let path = directory.path().join("theirs");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        path
    } else {
        "/".into()
    };
    let error = CodeStore::open_at(theirs, 1).unwrap_err().to_string();
    assert!(error.contains("belongs to another user; set WKDB_CACHE_DIR"), "{error}");
}

#[test]
fn a_place_without_room_is_an_error_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(CodeStore::open_at(&file, 1).unwrap_err().to_string().contains("it is not a directory"));
    assert!(CodeStore::open_at(file.join("below"), 1).is_err());

    let store = CodeStore::open_at(directory.path().join("code"), 1).unwrap();
    fs::remove_dir(store.directory()).unwrap();
    let error = store.put(&key("a"), Artifact::Code, b"x").unwrap_err().to_string();
    assert!(error.starts_with("cannot write to the code cache "), "{error}");
    assert_eq!(store.get(&key("a"), Artifact::Code), None);
}

/// Code of a module of one function, in a file of its own.
fn compiled(engine: &wasmtime::Engine, path: &Path) {
    let wasm = wat::parse_str("(module (func (export \"f\") (result i32) i32.const 7))").unwrap();
    File::create(path).unwrap().write_all(&engine.precompile_module(&wasm).unwrap()).unwrap();
}

#[test]
fn the_code_in_a_file_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("code");
    let engine = wasmtime::Engine::default();
    compiled(&engine, &path);
    let file = fs::read(&path).unwrap();
    let text = resident::text(&file).expect("a text section");
    // SAFETY: this process compiled it.
    #[expect(unsafe_code)]
    let module = unsafe { wasmtime::Module::deserialize_file(&engine, &path) }.unwrap();
    assert_eq!(file[text], *module.text());
}

#[test]
fn code_that_is_brought_in_is_there() {
    // Beside this program and not among temporary files, which may be in memory alone.
    let program = std::env::current_exe().unwrap();
    let directory = tempfile::tempdir_in(program.parent().unwrap()).unwrap();
    let path = directory.path().join("code");
    let mut elf = Object::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    let section = elf.section_id(StandardSection::Text);
    // Much more than the kernel reads ahead where the file's ends are looked at.
    elf.set_section_data(section, vec![0x90; 32 << 20], 4096);
    fs::write(&path, elf.write().unwrap()).unwrap();
    let text = resident::text(&fs::read(&path).unwrap()).expect("a text section");
    assert_eq!(text.len(), 32 << 20);
    let file = File::open(&path).unwrap();
    // Asked once for each place: the question alone makes the kernel read what is around.
    let is_there = |quarter: usize| {
        let (mut byte, offset) = ([0], text.start + text.len() / 4 * quarter);
        preadv2(&file, &mut [io::IoSliceMut::new(&mut byte)], offset as u64, ReadWriteFlags::NOWAIT) == Ok(1)
    };
    // What is not on the disk yet is not forgotten.
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
    let says_so = !is_there(1);
    resident::bring_in(&path).unwrap();
    // Some file systems cannot say what is there.
    assert!(is_there(2) || !says_so);
}

#[test]
fn what_is_no_code_is_not_brought_in() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("code");
    assert!(resident::bring_in(&path).is_err(), "there is no such file");
    for contents in [&b""[..], b"no code", b"\x7fELF"] {
        fs::write(&path, contents).unwrap();
        assert!(resident::bring_in(&path).is_err(), "{contents:?}");
    }
}

#[test]
fn the_environment_decides() {
    let read = |dir: &str, limit: &str| {
        settings(|name| match name {
            "WKDB_CACHE_DIR" => Some(dir.into()),
            "WKDB_CACHE_LIMIT" => Some(limit.into()),
            _ => None,
        })
    };
    assert_eq!(read("/x", "1.5GiB").unwrap(), ("/x".into(), 3 << 29));
    let (default, limit) = read("", "").unwrap();
    assert!(default.ends_with("wkdb/code") && limit == DEFAULT_LIMIT, "{default:?}");
    assert!(read("/x", "much").unwrap_err().to_string().starts_with("WKDB_CACHE_LIMIT: \"much\" is not a size"));
}

#[test]
fn many_at_once_see_whole_files_only() {
    let (_guard, store) = store(2000);
    thread::scope(|scope| {
        for worker in 0..4u8 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..50u8 {
                    let name = key(&format!("{}", round % 5));
                    let path = store.put(&name, Artifact::Code, &[worker; 600]).unwrap();
                    if let Some(path) = store.get(&name, Artifact::Code)
                        && let Ok(bytes) = fs::read(path)
                    {
                        assert!(bytes.len() == 600 && bytes.iter().all(|byte| *byte == bytes[0]));
                    }
                    // It is long ago now, so the others may remove it: the store has room for three of the five.
                    if let Ok(file) = File::open(&path) {
                        file.set_modified(SystemTime::now() - Duration::from_secs(1000)).unwrap();
                    }
                }
            });
        }
    });
    let left = names(&store);
    assert!(left.iter().all(|name| name.ends_with(".cwasm")), "{left:?}");
    store.tidy(SystemTime::now());
    assert!(names(&store).len() <= 3, "{left:?}");
}

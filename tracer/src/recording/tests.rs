use std::io::{self, Cursor, Write};

use proptest::prelude::*;

use super::block::file_header;
use super::*;
use crate::{Context, Cpu, Event, GuestTime, Outcome, RunnerId, TaskId, Tick, Totals};

const FILE: &[u8] = b"\0asm and a whole kernel, kernel, kernel, kernel, kernel";

fn header() -> Header {
    Header {
        wkdb: "0.1.0".into(),
        semantics: 1,
        recorded_at: 1_790_000_000,
        files: vec![GuestFile {
            role: FileRole::Kernel,
            name: "vmlinux.wasm".into(),
            len: FILE.len() as u64,
            hash: "00".repeat(32),
            embedded: true,
        }],
        machine: serde_json::json!({ "seed": u64::MAX }),
    }
}

fn end() -> End {
    let totals = Totals {
        ticks: Tick(9),
        time: GuestTime(10),
        seed: 1,
        memory_hash: u64::MAX,
        schedule_hash: 2,
        console_hash: 3,
        slices: 4,
        tasks: 5,
        tasks_alive: 6,
        cpus: 7,
    };
    End { outcome: Outcome::Panic, totals }
}

fn position(n: u64) -> Position {
    Position { slices: n, tick: Tick(n * 50_000), time: GuestTime(n * 500_000) }
}

fn check(n: u64) -> Entry {
    Entry::Check(Check { memory: n.is_multiple_of(2).then_some(n), schedule: n ^ 7, console: n })
}

fn born(n: u64) -> Entry {
    let context = Context {
        runner: RunnerId(n as u32),
        task: TaskId(n),
        comm: "sh".into(),
        cpu: Cpu(0),
        tick: Tick(n),
        time: GuestTime(n),
    };
    Entry::Event(Box::new(Event::TaskBorn { context }))
}

/// A recording of these entries, a block after every `flush_every` of them.
fn recording(entries: &[(Position, Entry)], flush_every: usize) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    writer.file(0, &pack(FILE).unwrap()).unwrap();
    for (number, (position, entry)) in entries.iter().enumerate() {
        if number.is_multiple_of(flush_every) {
            writer.flush().unwrap();
        }
        writer.entry(*position, entry).unwrap();
    }
    writer.end(&end()).unwrap()
}

fn open(bytes: &[u8]) -> Result<Recording<Cursor<&[u8]>>, OpenError> {
    Recording::open(Cursor::new(bytes))
}

type Read = (Vec<(Position, Entry)>, Option<ReadError>);

fn read(recording: &mut Recording<Cursor<&[u8]>>) -> Read {
    let (mut entries, mut error) = (Vec::new(), None);
    for entry in recording.entries() {
        match entry {
            Ok(entry) => entries.push(entry),
            Err(found) => error = Some(found),
        }
    }
    (entries, error)
}

fn sample() -> Vec<(Position, Entry)> {
    let entries = [
        (0, Entry::Console(b"Linux version".to_vec())),
        (1, born(1)),
        (1, Entry::Input(b"ls\r".to_vec())),
        (1, Entry::Intervention(Intervention::Only(Some(RunnerId(3))))),
        (2, Entry::Intervention(Intervention::WriteMemory { address: 4096, bytes: vec![1, 2, 3] })),
        (20_000, check(8)),
        (20_001, check(9)),
        (1 << 40, Entry::Intervention(Intervention::Quit)),
    ];
    entries.into_iter().map(|(n, entry)| (position(n), entry)).collect()
}

#[test]
fn what_is_written_is_read_back() {
    for flush_every in [1, 2, 100] {
        let bytes = recording(&sample(), flush_every);
        let mut recording = open(&bytes).unwrap();
        assert_eq!(recording.header(), &header());
        assert_eq!(recording.ending(), &Ending::Complete(Box::new(end())));
        let (entries, error) = read(&mut recording);
        assert!(error.is_none(), "{error:?}");
        assert_eq!(entries, sample());
        let mut file = Vec::new();
        recording.file(0, &mut file).unwrap();
        assert_eq!(file, FILE);
        assert!(matches!(recording.file(1, &mut file), Err(ReadError::Missing { .. })));
    }
}

#[test]
fn reading_from_a_tick_on_leaves_out_what_comes_long_before() {
    let entries: Vec<_> = (0..1000).map(|n| (position(n), check(n))).collect();
    let bytes = recording(&entries, 10);
    let mut recording = open(&bytes).unwrap();
    for n in [0u64, 1, 9, 10, 11, 555, 999] {
        let got: Vec<_> = recording.entries_from(position(n).tick).map(Result::unwrap).collect();
        assert!(got.len() <= 1000 - n as usize + 10, "{n}: {} entries", got.len());
        assert_eq!(got, entries[1000 - got.len()..], "{n}");
        assert!(got[0].0 <= position(n));
    }
}

#[test]
fn a_file_of_many_pieces_and_an_entry_of_many_parts() {
    let file: Vec<u8> = (0..(3 * PIECE + 7)).map(|n| ((n * n) >> 9) as u8).collect();
    let packed = pack(&file).unwrap();
    assert_eq!(Packed::from_bytes(packed.as_bytes().to_vec()), Some(packed.clone()));
    let mut damaged = packed.as_bytes().to_vec();
    damaged[100] ^= 1;
    assert_eq!(Packed::from_bytes(damaged), None);

    let mut header = header();
    header.files[0].len = file.len() as u64;
    let mut writer = Writer::new(Vec::new(), &header).unwrap();
    writer.file(0, &packed).unwrap();
    let text = vec![b'x'; 1_000_000];
    writer.entry(position(1), &Entry::Console(text.clone())).unwrap();
    let bytes = writer.into_sink().unwrap();
    let mut recording = open(&bytes).unwrap();
    assert_eq!(recording.share(BlockKind::Piece).blocks, 4);
    let mut got = Vec::new();
    recording.file(0, &mut got).unwrap();
    assert_eq!(got, file);
    let (entries, _) = read(&mut recording);
    let printed = entries.iter().flat_map(|(_, entry)| match entry {
        Entry::Console(bytes) => bytes.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(printed.collect::<Vec<_>>(), text);
}

#[test]
fn other_versions_and_other_files_are_refused_with_advice() {
    let say = |bytes: &[u8]| open(bytes).unwrap_err().to_string();
    let mut newer = recording(&sample(), 1);
    newer[..16].copy_from_slice(&file_header(FORMAT_VERSION + 1).0);
    assert_eq!(
        say(&newer),
        format!(
            "the recording has version {} of the format and this wkdb reads up to {FORMAT_VERSION}: use a newer wkdb, \
             at least the one that recorded it",
            FORMAT_VERSION + 1
        )
    );
    newer[..16].copy_from_slice(&file_header(0).0);
    assert!(say(&newer).contains("there never was"));
    assert_eq!(say(b""), "this is no recording of wkdb's: it does not begin like one");
    assert_eq!(say(b"\0asm\x01\0\0\0 and so on"), "this is no recording of wkdb's: it does not begin like one");
    assert!(say(&recording(&sample(), 1)[..40]).contains("cut off after 40 bytes"));
}

#[test]
fn a_small_block_that_claims_to_unpack_to_gigabytes_is_refused_before_it_does() {
    // A zstd frame of 1 GiB of zeros, in a block that says so, and in one that says less.
    let bomb = zstd::bulk::compress(&vec![0; 1 << 24], 3).unwrap();
    for body in [u32::MAX, 1 << 10] {
        let (start, chain) = file_header(FORMAT_VERSION);
        let mut bytes = start.to_vec();
        let json = serde_json::to_vec(&header()).unwrap();
        let first = block::BlockHeader::of(BlockKind::Header, false, &json, json.len() as u32, chain);
        bytes.extend(first.to_bytes(chain));
        bytes.extend(&json);
        let at = bytes.len() as u64;
        let payload = [&[0; 24][..], &bomb].concat();
        let second = block::BlockHeader::of(BlockKind::Entries, true, &payload, body, first.checksum);
        bytes.extend(second.to_bytes(first.checksum));
        bytes.extend(payload);
        let mut recording = open(&bytes).unwrap();
        let (entries, error) = read(&mut recording);
        assert!(entries.is_empty());
        match recording.ending() {
            Ending::Damaged { at: found, .. } => assert_eq!(*found, at),
            _ => assert!(matches!(error, Some(ReadError::Damaged { at: found, .. }) if found == at), "{error:?}"),
        }
    }
}

/// A disk that is full after `room` bytes. What was written stays there to be looked at.
struct Small {
    room: usize,
    bytes: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
}

impl Write for Small {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.bytes.lock().unwrap();
        let fits = bytes.len().min(self.room - disk.len());
        disk.extend(&bytes[..fits]);
        if fits == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(fits) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Small {
    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_once_and_leaves_whole_blocks() {
    let disk = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let writer = Writer::new(Small { room: 3000, bytes: disk.clone() }, &header()).unwrap();
    let mut recorder = Recorder::start(|| Ok(writer)).unwrap();
    let mut random = 1u64;
    let mut problem = None;
    for n in 0..200_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        recorder.entry(position(n), check(random));
        problem = problem.or_else(|| recorder.problem());
    }
    let told = problem.expect("it is told while the run goes on").to_string();
    assert!(told.starts_with("the recording cannot be written: "), "{told}");
    assert!(recorder.problem().is_none());
    assert!(recorder.finish().unwrap().is_none());
    let bytes = disk.lock().unwrap().clone();
    let mut recording = open(&bytes).unwrap();
    assert_eq!(recording.ending(), &Ending::Cut { at: bytes.len() as u64, lost: 0 });
    assert!(read(&mut recording).1.is_none());
}

#[test]
fn what_is_recorded_is_in_the_file_a_second_later() {
    let disk = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let writer = Writer::new(Small { room: 1 << 20, bytes: disk.clone() }, &header()).unwrap();
    let mut recorder = Recorder::start(|| Ok(writer)).unwrap();
    for (position, entry) in sample() {
        recorder.entry(position, entry);
    }
    let started = std::time::Instant::now();
    loop {
        let bytes = disk.lock().unwrap().clone();
        if open(&bytes).is_ok_and(|mut recording| read(&mut recording).0 == sample()) {
            break;
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(20), "it is not written");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    drop(recorder);
}

#[test]
fn an_entry_before_the_last_is_refused() {
    let mut writer = Writer::new(Vec::new(), &header()).unwrap();
    writer.entry(position(5), &check(1)).unwrap();
    assert!(writer.entry(position(4), &check(1)).is_err());
}

mod verify {
    use super::*;

    fn compare(replayed: &[(Position, Entry)], complete: bool) -> Result<Verified, Divergence> {
        let mut verifier = Verifier::new(sample().into_iter().map(Ok), complete);
        for (position, entry) in replayed {
            verifier.entry(*position, entry)?;
        }
        let End { outcome, totals } = end();
        verifier.end((&outcome, &totals), (&outcome, &totals))
    }

    #[test]
    fn the_same_run_is_verified() {
        let verified = compare(&sample(), true).unwrap();
        assert_eq!(verified, Verified { checks: 3, memory_checks: 2, console: 13, events: 1, end: true });
        // Output in other portions is the same output.
        let mut portions = sample();
        portions.splice(
            ..1,
            [(position(0), Entry::Console(b"Lin".to_vec())), (position(0), Entry::Console(b"ux version".to_vec()))],
        );
        assert_eq!(compare(&portions, true), Ok(verified));
    }

    #[test]
    fn every_difference_is_found_where_it_is() {
        for changed in 0..sample().len() {
            let mut missing = sample();
            missing.remove(changed);
            compare(&missing, true).unwrap_err();
            let mut late = sample();
            match late[changed].1 {
                Entry::Console(_) | Entry::Event(_) => late[changed].0.slices += 1,
                _ => late[changed].0.time.0 += 1,
            }
            let found = compare(&late, true).unwrap_err();
            assert_eq!(found.at, late[changed].0, "{found}");
            let mut twice = sample();
            twice.insert(changed, twice[changed].clone());
            compare(&twice, true).unwrap_err();
        }
        let mut other = sample();
        other[5].1 = Entry::Check(Check { memory: Some(9), schedule: 8 ^ 7, console: 8 });
        let found = compare(&other, true).unwrap_err();
        assert_eq!(found.difference, Difference::Hash { of: "memory", recorded: 8, replayed: 9 });
        assert_eq!((found.at, found.good), (position(20_000), Position::default()));
        assert_eq!(
            found.to_string(),
            "at tick 1000000000, guest time 10.000000, slice 20000: the hash of the memory was 0000000000000008 when it \
             was recorded and is 0000000000000009"
        );
        other[0].1 = Entry::Console(b"Linux Version".to_vec());
        let found = compare(&other, true).unwrap_err().difference;
        let (recorded, replayed) = (b"version".to_vec(), b"Version".to_vec());
        assert_eq!(found, Difference::Console { offset: 6, recorded, replayed });
    }

    #[test]
    fn another_end_is_another_run() {
        let good = end();
        let mut verifier = Verifier::new(std::iter::empty(), true);
        let found = verifier.end((&good.outcome, &good.totals), (&Outcome::Quit, &good.totals)).unwrap_err();
        assert!(matches!(found.difference, Difference::Outcome { .. }));
        let other = Totals { memory_hash: 0, ..good.totals.clone() };
        let found = verifier.end((&good.outcome, &good.totals), (&good.outcome, &other)).unwrap_err();
        let hash = Difference::Hash { of: "memory", recorded: u64::MAX, replayed: 0 };
        assert_eq!(found.difference, hash);
    }

    #[test]
    fn a_recording_that_was_cut_off_says_nothing_of_what_follows() {
        let more: Vec<_> = sample().into_iter().chain([(position(1 << 41), check(0))]).collect();
        assert!(compare(&more, true).is_err());
        assert!(compare(&more, false).is_ok());
    }
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..100).prop_map(Entry::Input),
        prop::collection::vec(any::<u8>(), 1..100).prop_map(Entry::Console),
        any::<u64>().prop_map(check),
        any::<u64>().prop_map(born),
        Just(Entry::Intervention(Intervention::Quit)),
    ]
}

fn entries() -> impl Strategy<Value = Vec<(Position, Entry)>> {
    prop::collection::vec((0u64..3, entry()), 0..60).prop_map(|steps| {
        let mut n = 0;
        let placed = steps.into_iter().map(|(step, entry)| {
            n += step;
            (position(n), entry)
        });
        placed.collect()
    })
}

proptest! {
    #[test]
    fn any_run_comes_back(entries in entries(), flush_every in 1usize..70) {
        let bytes = recording(&entries, flush_every);
        let mut recording = open(&bytes).unwrap();
        let (got, error) = read(&mut recording);
        prop_assert!(error.is_none());
        prop_assert_eq!(got, entries);
    }

    #[test]
    fn a_recording_cut_anywhere_gives_a_prefix(entries in entries(), flush_every in 1usize..9, cut in any::<prop::sample::Index>()) {
        let whole = recording(&entries, flush_every);
        let cut = cut.index(whole.len());
        match open(&whole[..cut]) {
            Err(error) => prop_assert!(matches!(error, OpenError::NotARecording | OpenError::Empty(_)), "{error}"),
            Ok(mut recording) => {
                let (got, error) = read(&mut recording);
                prop_assert!(error.is_none());
                prop_assert!(entries.starts_with(&got));
                let ending = recording.ending().clone();
                let Ending::Cut { at, lost } = ending else { panic!("{ending:?}") };
                prop_assert_eq!(at + lost, cut as u64);
            }
        }
    }

    #[test]
    fn damage_anywhere_is_found_and_what_is_read_is_a_prefix(
        entries in entries(),
        flush_every in 1usize..9,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
    ) {
        let whole = recording(&entries, flush_every);
        let mut bytes = whole.clone();
        for (at, bit) in flips {
            bytes[at.index(whole.len())] ^= 1 << bit;
        }
        prop_assume!(bytes != whole);
        if let Ok(mut recording) = open(&bytes) {
            let (got, error) = read(&mut recording);
            prop_assert!(entries.starts_with(&got));
            let mut file = Vec::new();
            let file = recording.file(0, &mut file).map(|()| file);
            let in_file = file.is_err();
            prop_assert!(error.is_some() || in_file || !matches!(recording.ending(), Ending::Complete(_)), "not noticed");
            if let Ok(file) = file {
                prop_assert_eq!(file, FILE);
            }
        }
    }

    #[test]
    fn blocks_with_right_checksums_may_hold_anything(
        blocks in prop::collection::vec((0usize..4, any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..6),
    ) {
        let (start, mut chain) = file_header(FORMAT_VERSION);
        let mut bytes = start.to_vec();
        let json = serde_json::to_vec(&header()).unwrap();
        let blocks = blocks.into_iter().map(|(kind, packed, prefixed, mut body)| {
            let kind = [BlockKind::Header, BlockKind::Piece, BlockKind::Entries, BlockKind::End][kind];
            let len = body.len() as u32;
            if packed {
                body = zstd::bulk::compress(&body, 1).unwrap();
            }
            let prefix = if prefixed { vec![0; kind.prefix()] } else { Vec::new() };
            (kind, packed, [prefix, body].concat(), len)
        });
        let first = (BlockKind::Header, false, json.clone(), json.len() as u32);
        for (kind, packed, payload, len) in std::iter::once(first).chain(blocks) {
            let header = block::BlockHeader::of(kind, packed, &payload, len, chain);
            bytes.extend(header.to_bytes(chain));
            bytes.extend(payload);
            chain = header.checksum;
        }
        let mut recording = open(&bytes).unwrap();
        let (entries, _) = read(&mut recording);
        prop_assert!(entries.windows(2).all(|pair| pair[0].0.slices <= pair[1].0.slices));
        let mut file = Vec::new();
        if recording.file(0, &mut file).is_ok() {
            prop_assert_eq!(file.len(), FILE.len());
        }
    }

    #[test]
    fn anything_at_all_can_be_opened_without_harm(start in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = bytes;
        if start {
            bytes.splice(..0, file_header(FORMAT_VERSION).0);
        }
        if let Ok(mut recording) = open(&bytes) {
            read(&mut recording);
        }
    }
}

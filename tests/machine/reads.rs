//! Watched reads, kinds and conditions through the whole machine.

use wkdb::machine::MachineConfig;
use wkdb_debugger::inferior::{PlaceFilter, Places, WatchCondition, WatchKind, WatchSpec};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::{AccessKind, ModuleId, RunnerId, Writer};

use crate::guest::{Run, boot, kernel, user_image};

fn spec(address: u64, len: u64, kind: WatchKind) -> WatchSpec {
    WatchSpec { address, len, kind, condition: WatchCondition::default(), stop: false }
}

fn watch(specs: Vec<WatchSpec>) -> impl FnOnce(&mut MachineConfig) {
    |config| config.watch_specs = specs
}

/// Innermost function, watch, kind, address, and bytes afterwards of each hit.
fn hits(run: &Run) -> Vec<(String, u32, AccessKind, u64, Vec<u8>)> {
    let hit = |hit: &&wkdb_tracer::WatchHit| {
        let who = match &hit.writer {
            Writer::Guest { stack } => run.functions(&stack[..1]).remove(0),
            Writer::Host { action } => format!("host: {action}"),
        };
        (who, hit.watch, hit.kind, hit.address, hit.new.clone())
    };
    run.hits().iter().map(hit).collect()
}

/// Every instruction that reads memory, with its operands behind an address, and how many bytes it reads.
fn loads() -> Vec<(String, u64)> {
    let mut loads: Vec<(String, u64)> = Vec::new();
    for (name, len) in [
        ("i32.load", 4),
        ("i64.load", 8),
        ("f32.load", 4),
        ("f64.load", 8),
        ("i32.load8_s", 1),
        ("i32.load8_u", 1),
        ("i32.load16_s", 2),
        ("i32.load16_u", 2),
        ("i64.load8_s", 1),
        ("i64.load8_u", 1),
        ("i64.load16_s", 2),
        ("i64.load16_u", 2),
        ("i64.load32_s", 4),
        ("i64.load32_u", 4),
        ("i32.atomic.load", 4),
        ("i64.atomic.load", 8),
        ("i32.atomic.load8_u", 1),
        ("i32.atomic.load16_u", 2),
        ("i64.atomic.load8_u", 1),
        ("i64.atomic.load16_u", 2),
        ("i64.atomic.load32_u", 4),
        ("v128.load", 16),
        ("v128.load8x8_s", 8),
        ("v128.load8x8_u", 8),
        ("v128.load16x4_s", 8),
        ("v128.load16x4_u", 8),
        ("v128.load32x2_s", 8),
        ("v128.load32x2_u", 8),
        ("v128.load8_splat", 1),
        ("v128.load16_splat", 2),
        ("v128.load32_splat", 4),
        ("v128.load64_splat", 8),
        ("v128.load32_zero", 4),
        ("v128.load64_zero", 8),
    ] {
        loads.push((format!("(drop ({name} offset=8 ADDRESS))"), len));
    }
    for (bits, len) in [(8, 1), (16, 2), (32, 4), (64, 8)] {
        loads.push((format!("(drop (v128.load{bits}_lane offset=8 1 ADDRESS (v128.const i64x2 1 2)))"), len));
    }
    for (ty, widths) in [("i32", &["8", "16", ""][..]), ("i64", &["8", "16", "32", ""])] {
        for width in widths {
            let len = width.parse::<u64>().map_or(if ty == "i32" { 4 } else { 8 }, |bits| bits / 8);
            let suffix = if width.is_empty() { "" } else { "_u" };
            // Both read: the second finds something else than it expects.
            loads.push((format!("(drop ({ty}.atomic.rmw{width}.or{suffix} offset=8 ADDRESS ({ty}.const 0)))"), len));
            let expected = format!("({ty}.const 1) ({ty}.const 2)");
            loads.push((format!("(drop ({ty}.atomic.rmw{width}.cmpxchg{suffix} offset=8 ADDRESS {expected}))"), len));
        }
    }
    loads
}

const SLOTS: u64 = 0x11000;

/// Functions `$load_N` that read 8 bytes into a slot of 32 bytes each, and `$all`, which calls them.
fn functions() -> String {
    let mut text = String::new();
    let mut all = String::from("(func $all ");
    for (n, (load, _)) in loads().iter().enumerate() {
        let address = format!("(i32.const {})", SLOTS + 32 * n as u64);
        text.push_str(&format!("(func $load_{n} {})\n", load.replace("ADDRESS", &address)));
        all.push_str(&format!("(call $load_{n})"));
    }
    format!("{text} {all})")
}

/// What every byte of the slots holds.
const FILLED: u8 = 0x77;

fn check(run: &Run, module: ModuleId) {
    let loads = loads();
    let hits: Vec<_> = run.hits().into_iter().filter(|hit| hit.watch == 0).collect();
    assert_eq!(hits.len(), loads.len());
    for (n, (hit, (load, len))) in hits.iter().zip(&loads).enumerate() {
        let address = SLOTS + 32 * n as u64 + 8;
        let Writer::Guest { stack } = &hit.writer else { panic!("{hit:?}") };
        assert_eq!(run.functions(&stack[..2]), [format!("load_{n}"), "all".into()], "{load}");
        assert_eq!(stack[0].address.module, module);
        assert_eq!((hit.kind, hit.address, hit.store_address), (AccessKind::Read, address, address), "{load}");
        assert_eq!((hit.store_len, &hit.new), (*len, &vec![FILLED; *len as usize]), "{load}");
    }
    // One that is about both tells of each instruction once as well, and of the fill.
    assert_eq!(run.hits().iter().filter(|hit| hit.watch == 1).count(), loads.len() + 1);
}

fn whole_arena() -> Vec<WatchSpec> {
    let len = 32 * loads().len() as u64;
    vec![spec(SLOTS, len, WatchKind::Read), spec(SLOTS, len, WatchKind::Access)]
}

fn start() -> String {
    let len = 32 * loads().len();
    format!("(memory.fill (i32.const {SLOTS}) (i32.const {FILLED}) (i32.const {len})) (call $all) (call $done)")
}

#[test]
fn every_load_of_the_kernel() {
    let kernel = kernel(&format!(r#"{} (func $_start (export "_start") {})"#, functions(), start()));
    let run = boot(&kernel, watch(whole_arena()));
    run.done();
    check(&run, ModuleId::KERNEL);
}

#[test]
fn every_load_of_a_user_program() {
    let image = user_image(&format!(r#"{} (func (export "_start") {})"#, functions(), start()));
    let run = boot(&kernel("").init(image), watch(whole_arena()));
    run.done();
    check(&run, ModuleId(1));
}

#[test]
fn an_exchange_is_one_hit_and_a_copy_two_at_most() {
    let kernel = kernel(
        r#"(func $exchange (drop (i32.atomic.rmw.add (i32.const 0x11000) (i32.const 5))))
           (func $fails (drop (i32.atomic.rmw.cmpxchg (i32.const 0x11000) (i32.const 1) (i32.const 9))))
           (func $works (drop (i32.atomic.rmw.cmpxchg (i32.const 0x11000) (i32.const 5) (i32.const 9))))
           (func $copies (memory.copy (i32.const 0x11100) (i32.const 0x11000) (i32.const 4)))
           (func $over (memory.copy (i32.const 0x11001) (i32.const 0x11000) (i32.const 3)))
           (func $_start (export "_start")
             (call $exchange) (call $fails) (call $works) (call $copies) (call $over) (call $done))"#,
    );
    let specs = vec![
        spec(0x11000, 4, WatchKind::Access),
        spec(0x11000, 1, WatchKind::Read),
        spec(0x11100, 4, WatchKind::Write),
    ];
    let run = boot(&kernel, watch(specs));
    run.done();
    let (read, wrote) = (AccessKind::Read, AccessKind::Write);
    let expected = [
        ("exchange", 0, wrote, 0x11000, vec![5, 0, 0, 0]),
        ("exchange", 1, read, 0x11000, vec![0]),
        ("fails", 0, read, 0x11000, vec![5, 0, 0, 0]),
        ("fails", 1, read, 0x11000, vec![5]),
        ("works", 0, wrote, 0x11000, vec![9, 0, 0, 0]),
        ("works", 1, read, 0x11000, vec![5]),
        ("copies", 0, read, 0x11000, vec![9, 0, 0, 0]),
        ("copies", 1, read, 0x11000, vec![9]),
        ("copies", 2, wrote, 0x11100, vec![9, 0, 0, 0]),
        ("over", 0, wrote, 0x11001, vec![9, 0, 0]),
        ("over", 1, read, 0x11000, vec![9]),
    ];
    assert_eq!(hits(&run), expected.map(|(who, watch, kind, at, new)| (who.to_owned(), watch, kind, at, new)));
}

#[test]
fn waits_and_the_host_read_too() {
    let kernel = kernel(
        r#"(func $waits (drop (memory.atomic.wait32 (i32.const 0x11000) (i32.const 7) (i64.const 1))))
           (func $_start (export "_start")
             (call $waits) (drop (call $put (i32.const 0x11002) (i32.const 3))) (call $done))"#,
    );
    let run = boot(&kernel, watch(vec![spec(0x11000, 4, WatchKind::Read)]));
    run.done();
    let expected = [("waits", 0x11000, vec![0; 4]), ("host: console output", 0x11002, vec![0; 2])];
    let expected = expected.map(|(who, at, read)| (who.to_owned(), 0, AccessKind::Read, at, read));
    assert_eq!(hits(&run), expected);
}

#[test]
fn active_data_segments_are_writes_of_the_host() {
    let image = user_image(r#"(data (global.get $__memory_base) "abcd") (func (export "_start") (call $done))"#);
    let run = boot(&kernel("").init(image), watch(vec![spec(0x80001, 2, WatchKind::Write)]));
    run.done();
    let expected = ("host: data segments".to_owned(), 0, AccessKind::Write, 0x80001, b"bc".to_vec());
    assert_eq!(hits(&run), [expected]);
}

#[test]
fn conditions_hold_back_what_they_do_not_let_through() {
    let text = r#"(func $inside (i32.store (i32.const 0x11000) (i32.const 1)))
        (func $outside (i32.store (i32.const 0x11000) (i32.const 2)))
        (func $_start_secondary (export "_start_secondary") (param i32)
          (call $inside) (call $sleep (i64.const -1)))
        (func $_start (export "_start")
          (call $inside) (call $inside) (call $outside)
          (call $start_cpu (i32.const 3) (i32.const 0x13000) (i32.const 0))
          (call $sleep (i64.const 1000_000_000))
          (drop (call $get (i32.const 0x11000) (i32.const 4)))
          (call $done))"#;
    let kernel = kernel(text);
    let wasm = kernel.wasm();
    let symbols = Symbols::load(wasm).expect("the kernel is valid");
    let function = symbols.functions_named("inside").remove(0);
    let places = Places(vec![(ModuleId::KERNEL, function.start..function.end)]);
    let conditions = [
        WatchCondition { changed: true, ..Default::default() },
        WatchCondition { equals: Some(vec![2, 0, 0, 0]), ..Default::default() },
        WatchCondition { cpus: Some(vec![wkdb_tracer::Cpu(3)]), ..Default::default() },
        WatchCondition { runners: Some(vec![RunnerId(0)]), ..Default::default() },
        WatchCondition { places: Some(PlaceFilter::In(places.clone())), ..Default::default() },
        WatchCondition { places: Some(PlaceFilter::NotIn(places)), ..Default::default() },
    ];
    let specs = conditions.map(|condition| WatchSpec { condition, ..spec(0x11000, 4, WatchKind::Write) });
    let run = boot(&kernel, watch(specs.into()));
    run.done();
    let of = |watch: u32| -> Vec<String> {
        hits(&run)
            .into_iter()
            .filter(|hit| hit.1 == watch)
            .map(|(who, _, _, _, new)| format!("{who} {}", new[0]))
            .collect()
    };
    assert_eq!(of(0), ["inside 1", "outside 2", "inside 1"]);
    assert_eq!(of(1), ["outside 2"]);
    assert_eq!(of(2), ["inside 1"]);
    assert_eq!(of(3), ["inside 1", "inside 1", "outside 2"]);
    assert_eq!(of(4), ["inside 1", "inside 1", "inside 1"]);
    assert_eq!(of(5), ["outside 2"]);
}

#[test]
fn accesses_that_share_a_check_are_each_told_by_their_own_instruction() {
    // All off one base, in one piece of code: all four are hits, and each is told with its own bytes and place.
    let kernel = kernel(
        r#"(func $fields (param $o i32)
             (i32.store offset=4 (local.get $o) (i32.const 1))
             (i64.store offset=8 (local.get $o) (i64.const -1))
             (i32.store8 (local.get $o) (i32.const 3))
             (i32.store16 offset=6 (i32.add (local.get $o) (i32.const 64)) (i32.const 0x505))
             (i32.store offset=4 (local.get $o) (i32.const 6)))
           (func $_start (export "_start") (call $fields (i32.const 0x11000)) (call $done))"#,
    );
    let run = boot(&kernel, |config| {
        config.watch = vec![
            wkdb::machine::WatchRange { address: 0x11000, len: 12 },
            wkdb::machine::WatchRange { address: 0x11047, len: 1 },
        ];
    });
    run.done();
    let seen: Vec<_> =
        run.hits().iter().map(|hit| (hit.watch, hit.address, hit.old.clone(), hit.new.clone())).collect();
    assert_eq!(
        seen,
        [
            (0, 0x11004, vec![0; 4], vec![1, 0, 0, 0]),
            (0, 0x11008, vec![0; 4], vec![0xff; 4]),
            (0, 0x11000, vec![0], vec![3]),
            (1, 0x11047, vec![0], vec![5]),
            (0, 0x11004, vec![1, 0, 0, 0], vec![6, 0, 0, 0]),
        ]
    );
    let offsets: Vec<_> = run
        .hits()
        .iter()
        .map(|hit| match &hit.writer {
            Writer::Guest { stack } => stack[0].address.offset,
            Writer::Host { .. } => panic!("{hit:?}"),
        })
        .collect();
    assert!(offsets.is_sorted_by(|a, b| a < b), "each has its own place: {offsets:?}");
}

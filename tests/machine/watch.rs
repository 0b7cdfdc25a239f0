//! Watchpoints through the whole machine: every way to write memory, and who did it.

use wkdb::machine::{Command, WatchRange};
use wkdb_tracer::{ModuleId, WatchHit, Writer};

use crate::guest::{Era, Run, boot, boot_wasm, kernel, user_image};

/// Each instruction that writes memory, with its operands behind an address, and how many bytes it writes.
fn stores() -> Vec<(String, u64)> {
    let mut stores = Vec::new();
    let mut add = |text: String, len| stores.push((text, len));
    for (name, value, len) in [
        ("i32.store8", "(i32.const 0x1a1b1c1d)", 1),
        ("i32.store16", "(i32.const 0x1a1b1c1d)", 2),
        ("i32.store", "(i32.const 0x1a1b1c1d)", 4),
        ("i64.store8", "(i64.const 0x2a2b2c2d2e2f3031)", 1),
        ("i64.store16", "(i64.const 0x2a2b2c2d2e2f3031)", 2),
        ("i64.store32", "(i64.const 0x2a2b2c2d2e2f3031)", 4),
        ("i64.store", "(i64.const 0x2a2b2c2d2e2f3031)", 8),
        ("f32.store", "(f32.const 1.5)", 4),
        ("f64.store", "(f64.const 1.5)", 8),
        ("v128.store", "(v128.const i64x2 1 2)", 16),
        ("i32.atomic.store8", "(i32.const 0x1a1b1c1d)", 1),
        ("i32.atomic.store16", "(i32.const 0x1a1b1c1d)", 2),
        ("i32.atomic.store", "(i32.const 0x1a1b1c1d)", 4),
        ("i64.atomic.store8", "(i64.const 0x2a2b2c2d2e2f3031)", 1),
        ("i64.atomic.store16", "(i64.const 0x2a2b2c2d2e2f3031)", 2),
        ("i64.atomic.store32", "(i64.const 0x2a2b2c2d2e2f3031)", 4),
        ("i64.atomic.store", "(i64.const 0x2a2b2c2d2e2f3031)", 8),
    ] {
        add(format!("({name} ADDRESS {value})"), len);
    }
    for (lanes, len) in [(8, 1), (16, 2), (32, 4), (64, 8)] {
        add(
            format!("(v128.store{lanes}_lane 1 ADDRESS (v128.const i64x2 0x3132333435363738 0x4142434445464748))"),
            len,
        );
    }
    for (ty, narrow) in [("i32", &[(8, 1), (16, 2)][..]), ("i64", &[(8, 1), (16, 2), (32, 4)])] {
        let value = format!("({ty}.const 0x51525388)");
        for op in ["add", "sub", "and", "or", "xor", "xchg"] {
            for (bits, len) in narrow {
                add(format!("(drop ({ty}.atomic.rmw{bits}.{op}_u ADDRESS {value}))"), *len);
            }
            add(format!("(drop ({ty}.atomic.rmw.{op} ADDRESS {value}))"), if ty == "i32" { 4 } else { 8 });
        }
        // What is expected is what is there.
        for (bits, len) in narrow {
            let load = format!("({ty}.load{bits}_u ADDRESS)");
            add(format!("(drop ({ty}.atomic.rmw{bits}.cmpxchg_u ADDRESS {load} {value}))"), *len);
        }
        let len = if ty == "i32" { 4 } else { 8 };
        add(format!("(drop ({ty}.atomic.rmw.cmpxchg ADDRESS ({ty}.load ADDRESS) {value}))"), len);
    }
    add("(memory.fill ADDRESS (i32.const 0x61) (i32.const 11))".into(), 11);
    add("(memory.copy ADDRESS (i32.const 0x10000) (i32.const 13))".into(), 13);
    add("(memory.init $watched ADDRESS (i32.const 2) (i32.const 7))".into(), 7);
    stores
}

/// Where the slots are, of 32 bytes each; an instruction writes from the 8th on.
const SLOTS: u64 = 0x11000;

/// Functions `$store_N`, one for each instruction, and `$all`, which fills the slots and calls them.
fn functions() -> String {
    let mut text = String::from("(data $watched \"0123456789abcdef\")");
    let mut all = String::from("(func $all ");
    for (n, (store, _)) in stores().iter().enumerate() {
        let address = SLOTS + 32 * n as u64 + 8;
        // The address in two parts, to see the offset counted.
        let split = match store.starts_with("(memory.") {
            true => store.replace("ADDRESS", &format!("(i32.const {address})")),
            false => store
                .replace("_lane 1 ADDRESS", &format!("_lane offset=8 1 (i32.const {})", address - 8))
                .replace(" ADDRESS", &format!(" offset=8 (i32.const {})", address - 8)),
        };
        text.push_str(&format!("(func $store_{n} {split})\n"));
        all.push_str(&format!("(call $store_{n})"));
    }
    format!("{text} {all})")
}

/// What every byte of the slots holds before.
const BEFORE: u8 = 0x77;

fn fill() -> String {
    let len = 32 * stores().len();
    format!("(memory.fill (i32.const {SLOTS}) (i32.const {BEFORE}) (i32.const {len}))")
}

/// Compares what was told of `$store_N` with what each instruction does.
fn check(run: &Run, module: ModuleId) {
    let hits = run.hits();
    let stores = stores();
    // The first is the fill.
    assert_eq!(hits.len(), stores.len() + 1, "{:?}", hits.iter().map(|h| writer(run, h)).collect::<Vec<_>>());
    for (n, (hit, (store, len))) in hits[1..].iter().zip(&stores).enumerate() {
        let address = SLOTS + 32 * n as u64 + 8;
        let Writer::Guest { stack } = &hit.writer else { panic!("{hit:?}") };
        assert_eq!(run.functions(&stack[..2]), [format!("store_{n}"), "all".into()], "{store}");
        assert_eq!(stack[0].address.module, module);
        let present = run.machine.memory().read_vec(address, *len).unwrap();
        assert_eq!((hit.store_address, hit.store_len, hit.address), (address, *len, address), "{store}");
        assert_eq!(hit.old, vec![BEFORE; *len as usize], "{store}");
        assert_eq!(hit.new, present, "{store}");
        assert_ne!(hit.new, hit.old, "{store}");
    }
}

fn writer(run: &Run, hit: &WatchHit) -> String {
    match &hit.writer {
        Writer::Guest { stack } => run.functions(&stack[..1])[0].clone(),
        Writer::Host { action } => format!("host: {action}"),
    }
}

/// Writers, with what they changed.
fn changes(run: &Run) -> Vec<(String, u32, u64, Vec<u8>, Vec<u8>)> {
    let change = |hit: &&WatchHit| (writer(run, hit), hit.watch, hit.address, hit.old.clone(), hit.new.clone());
    run.hits().iter().map(change).collect()
}

fn watch(ranges: &[(u64, u64)]) -> impl FnOnce(&mut wkdb::machine::MachineConfig) {
    let ranges = ranges.iter().map(|&(address, len)| WatchRange { address, len }).collect();
    |config| config.watch = ranges
}

#[test]
fn every_store_of_the_kernel() {
    let kernel =
        kernel(&format!(r#"{} (func $_start (export "_start") {} (call $all) (call $done))"#, functions(), fill()));
    let run = boot(&kernel, watch(&[(SLOTS, 32 * stores().len() as u64)]));
    run.done();
    check(&run, ModuleId::KERNEL);
}

#[test]
fn every_store_of_a_user_program() {
    let image = user_image(&format!(r#"{} (func (export "_start") {} (call $all) (call $done))"#, functions(), fill()));
    let run = boot(&kernel("").init(image), watch(&[(SLOTS, 32 * stores().len() as u64)]));
    run.done();
    check(&run, ModuleId(1));
}

#[test]
fn a_store_that_straddles_the_edge_of_a_range() {
    let kernel = kernel(
        r#"(func $start (v128.store (i32.const 0x10ff1) (v128.const i8x16 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)))
           (func $end (i64.store (i32.const 0x11003) (i64.const 0x0807060504030201)))
           (func $inside (i32.store16 (i32.const 0x11001) (i32.const 0x4241)))
           (func $around (memory.fill (i32.const 0x10f00) (i32.const 0x55) (i32.const 0x200)))
           (func $below (i64.store (i32.const 0x10ff8) (i64.const -1)) (i32.store8 (i32.const 0x10fff) (i32.const 1)))
           (func $above (i64.store (i32.const 0x11004) (i64.const -1)) (memory.fill (i32.const 0x11004) (i32.const 1) (i32.const 9)))
           (func $nothing
             (memory.fill (i32.const 0x11000) (i32.const 1) (i32.const 0))
             (memory.copy (i32.const 0x11001) (i32.const 0) (i32.const 0)))
           (func $_start (export "_start")
             (call $start) (call $end) (call $inside) (call $around)
             (call $below) (call $above) (call $nothing) (call $done))"#,
    );
    let run = boot(&kernel, watch(&[(0x11000, 4)]));
    run.done();
    let fives = vec![0x55; 4];
    assert_eq!(
        changes(&run),
        [
            ("start".to_owned(), 0, 0x11000, vec![0], vec![16]),
            ("end".to_owned(), 0, 0x11003, vec![0], vec![1]),
            ("inside".to_owned(), 0, 0x11001, vec![0, 0], vec![0x41, 0x42]),
            ("around".to_owned(), 0, 0x11000, vec![16, 0x41, 0x42, 1], fives),
        ]
    );
}

#[test]
fn several_ranges_each_tell_their_own() {
    let kernel = kernel(
        r#"(func $_start (export "_start")
             (i64.store (i32.const 0x11000) (i64.const 0x0101010101010101))
             (i32.store (i32.const 0x11ff0) (i32.const 2))
             (i32.store8 (i32.const 0x1f0000) (i32.const 3))
             (i32.store8 (i32.const 0x1effff) (i32.const 3))
             (call $done))"#,
    );
    let run = boot(&kernel, watch(&[(0x11006, 4), (0x1f0000, 1), (0x11000, 2), (0x11001, 1)]));
    run.done();
    let who = || "_start".to_owned();
    assert_eq!(
        changes(&run),
        [
            (who(), 0, 0x11006, vec![0, 0], vec![1, 1]),
            (who(), 2, 0x11000, vec![0, 0], vec![1, 1]),
            (who(), 3, 0x11001, vec![0], vec![1]),
            (who(), 1, 0x1f0000, vec![0], vec![3]),
        ]
    );
}

#[test]
fn a_compare_exchange_that_fails_is_no_store() {
    for (ty, widths) in [("i32", &["8", "16", ""][..]), ("i64", &["8", "16", "32", ""])] {
        for width in widths {
            let suffix = if width.is_empty() { "" } else { "_u" };
            // The second expects what is there; the third too, with bits above the width that do not count.
            let high = match *width {
                "8" => "0x1105",
                "16" => "0x110005",
                "32" => "0x1100000005",
                _ => "5",
            };
            let exchange = |expected: &str, new: &str| {
                format!(
                    "(drop ({ty}.atomic.rmw{width}.cmpxchg{suffix} (i32.const 0x11000) ({ty}.const {expected}) ({ty}.const {new})))"
                )
            };
            let kernel = kernel(&format!(
                r#"(func $fails {}) (func $works {}) (func $wraps {})
                   (func $_start (export "_start") (call $fails) (call $works) (call $wraps) (call $done))"#,
                exchange("1", "9"),
                exchange("0", "5"),
                exchange(high, "6"),
            ));
            let run = boot(&kernel, watch(&[(0x11000, 8)]));
            run.done();
            let stored = run.machine.memory().read_u32(0x11000).unwrap();
            assert_eq!(stored, 6, "{ty} {width}");
            let who: Vec<_> = changes(&run).into_iter().map(|c| (c.0, c.3[0], c.4[0])).collect();
            assert_eq!(who, [("works".to_owned(), 0, 5), ("wraps".to_owned(), 5, 6)], "{ty} {width}");
        }
    }
}

#[test]
fn a_store_of_the_same_value_is_told_too() {
    let kernel =
        kernel(r#"(func $_start (export "_start") (i32.store (i32.const 0x11000) (i32.const 0)) (call $done))"#);
    let run = boot(&kernel, watch(&[(0x11000, 4)]));
    run.done();
    assert_eq!(changes(&run), [("_start".to_owned(), 0, 0x11000, vec![0; 4], vec![0; 4])]);
}

#[test]
fn what_the_host_writes_for_the_guest() {
    let kernel = kernel(
        r#"(func $_start (export "_start")
             (drop (call $get (i32.const 0x11000) (i32.const 4)))
             (drop (call $random (i32.const 0x11010) (i32.const 4)))
             (call $dump (i32.const 0x11020) (i32.const 5))
             (drop (call $get (i32.const 0x11000) (i32.const 4)))
             (call $done))"#,
    )
    .era(Era::V7_0);
    let mut initrd = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut initrd, b"cpio").unwrap();
    let ranges: Vec<_> = [0x10200, 0x200000, 0x10400, 0x10404, 0x11000, 0x11010, 0x11020]
        .map(|address| WatchRange { address, len: 4 })
        .into();
    let run = boot_wasm(
        kernel.wasm(),
        |config| (config.watch, config.initrd) = (ranges, Some(initrd.path().into())),
        vec![Command::Input(b"ab".to_vec())],
    );
    run.done();
    let seen: Vec<_> = changes(&run).into_iter().map(|(who, watch, .., new)| (who, watch, new)).collect();
    let random = run.machine.memory().read_vec(0x11010, 4).unwrap();
    assert_eq!(
        seen,
        [
            ("host: kernel command line".to_owned(), 0, b"cons".to_vec()),
            ("host: initramfs".to_owned(), 1, b"cpio".to_vec()),
            ("host: pointer initrd_start".to_owned(), 2, 0x200000_u32.to_le_bytes().to_vec()),
            ("host: pointer initrd_end".to_owned(), 3, 0x200004_u32.to_le_bytes().to_vec()),
            ("host: console input".to_owned(), 4, b"ab".to_vec()),
            ("host: random numbers".to_owned(), 5, random),
            ("host: stack trace".to_owned(), 6, b"    ".to_vec()),
        ]
    );
}

#[test]
fn the_first_copy_of_the_kernels_data() {
    let kernel = kernel(r#"(func $_start (export "_start") {{hello}} (call $done))"#);
    let run = boot(&kernel, watch(&[(0x20001, 3), (0x10500, 4)]));
    assert_eq!(run.done(), "hello");
    assert_eq!(
        changes(&run),
        [
            ("init".to_owned(), 1, 0x10500, vec![0; 4], vec![1, 0, 0, 0]),
            ("init".to_owned(), 0, 0x20001, vec![0; 3], b"ell".to_vec()),
        ]
    );
    assert_eq!(run.hits()[1].context.as_ref().unwrap().comm, "swapper/0");
}

#[test]
fn a_hit_tells_who_when_and_where() {
    let kernel = kernel(
        r#"(func $guilty (i32.store (i32.const 0x11000) (i32.const 1)))
           (func $_start_secondary (export "_start_secondary") (param i32)
             (call $sleep (i64.const 1_000_000))
             (call $guilty) (call $done))
           (func $_start (export "_start")
             (call $start_cpu (i32.const 3) (i32.const 0x13000) (i32.const 0))
             (call $sleep (i64.const -1)))"#,
    );
    let run = boot(&kernel, watch(&[(0x11000, 4)]));
    run.done();
    let [hit] = run.hits()[..] else { panic!("{:?}", run.hits()) };
    let context = hit.context.as_ref().unwrap();
    assert_eq!((context.task.0, context.cpu.0, context.comm.as_str()), (0x13000, 3, "swapper/3"));
    // Of the ticks, those of $done and what it calls are still to come: its own entry and no more.
    assert_eq!((run.totals.ticks.0 - context.tick.0, run.totals.time.0 - context.time.0), (1, 10));
    let Writer::Guest { stack } = &hit.writer else { panic!() };
    assert_eq!(run.functions(stack), ["guilty", "_start_secondary"]);
}

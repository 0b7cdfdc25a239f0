//! Every function that the host offers to a kernel.

use wkdb::machine::Command;
use wkdb_tracer::{Cpu, Event, Outcome, TaskId};

use crate::guest::{Era, INITRD, boot, kernel};

#[test]
fn the_command_line_is_where_the_kernel_looks_for_it() {
    let kernel = kernel(
        r#"(func $_start (export "_start") (drop (call $put (i32.const 0x10200) (i32.const 20))) (call $done))"#,
    );
    let run = boot(&kernel, |config| config.command_line = "console=hvc quiet".into());
    assert_eq!(run.done(), "console=hvc quiet\0\0\0");
}

#[test]
fn the_initramfs_is_behind_the_memory_that_the_kernel_asked_for() {
    let mut initrd = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut initrd, &[b'x'; 70_000]).unwrap();
    let kernel = kernel(
        r#"(func $_start (export "_start")
             (call $say (memory.size))
             (call $say (i32.load (i32.const 0x10400)))
             (call $say (i32.load (i32.const 0x10404)))
             (drop (call $put (i32.sub (i32.load (i32.const 0x10404)) (i32.const 1)) (i32.const 2)))
             (call $done))"#,
    )
    .pages("32 100");
    let run = boot(&kernel, |config| config.initrd = Some(initrd.path().into()));
    let (start, end) = (32 * 65536, 32 * 65536 + 70_000);
    assert_eq!(run.done(), format!("34 {start} {end} x\0"));
    assert_eq!(run.machine.memory().read_u32(u64::from(INITRD)), Ok(start));
}

#[test]
fn an_initramfs_without_room_ends_the_run_with_its_size() {
    let mut initrd = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut initrd, &[b'x'; 70_000]).unwrap();
    let kernel = kernel(r#"(func $_start (export "_start") (call $done))"#).pages("32 33");
    let run = boot(&kernel, |config| config.initrd = Some(initrd.path().into()));
    let Outcome::Broken(reason) = &run.outcome else { panic!("{:?}", run.outcome) };
    assert!(reason.contains("the initramfs of 70000 bytes does not fit"), "{reason}");
}

#[test]
fn the_clock_is_ticks_times_their_length() {
    // Two calls with one function entry between them: one tick.
    let body = r#"
        (func $nothing)
        (func $_start (export "_start")
          (local $t i64)
          (local.set $t (call $clock))
          (call $nothing)
          (call $say64 (i64.sub (call $clock) (local.get $t)))
          (local.set $t (call $clock))
          (call $say64 (i64.sub (call $clock) (local.get $t)))
          (call $say64 (call $clock))
          (call $done))"#;
    for ns in [1, 10, 777] {
        let run = boot(&kernel(body), |config| config.ns_per_tick = ns);
        assert_eq!(run.totals.time.0, run.totals.ticks.0 * u64::from(ns));
        let console = run.done();
        let numbers: Vec<u64> = console.split_whitespace().map(|n| n.parse().unwrap()).collect();
        assert_eq!(numbers[..2], [u64::from(ns), 0]);
        assert!(numbers[2] % u64::from(ns) == 0 && numbers[2] >= 5 * u64::from(ns), "{console}");
    }
}

#[test]
fn the_clock_is_one_for_all_cpus_and_never_goes_back() {
    // Two CPUs take turns in storing the time where the other compares it; both are pre-empted all the time.
    let kernel = kernel(
        r#"
        (func $look (local $now i64)
          (local.set $now (call $clock))
          (if (i64.lt_u (local.get $now) (i64.load (i32.const 0x10600))) (then {{backwards}}))
          (i64.store (i32.const 0x10600) (local.get $now)))
        (func $often (local $i i32)
          (loop $more
            (call $look)
            (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3000)))))
        (func $_start_secondary (export "_start_secondary") (param i32)
          (call $often)
          (if (i32.atomic.rmw.add (i32.const 0x10608) (i32.const 1)) (then (call $done)))
          (call $sleep (i64.const -1)))
        (func $_start (export "_start")
          (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
          (call $often)
          (if (i32.atomic.rmw.add (i32.const 0x10608) (i32.const 1)) (then (call $done)))
          (call $sleep (i64.const -1)))"#,
    );
    let run = boot(&kernel, |config| config.slice = 7);
    assert_eq!(run.done(), "");
    assert!(run.totals.slices > 100);
}

#[test]
fn the_console_takes_every_byte_and_says_how_many() {
    let kernel = kernel(
        r#"(data $bytes "a\00\ffz")
           (func $_start (export "_start")
             (memory.init $bytes (i32.const 0x10600) (i32.const 0) (i32.const 4))
             (call $say (call $put (i32.const 0x10600) (i32.const 4)))
             (call $say (call $put (i32.const 0x10600) (i32.const 0)))
             (call $done))"#,
    );
    assert_eq!(kernel.console(), "a\0\u{fffd}z4 0 ");
}

#[test]
fn console_input_is_read_in_pieces_and_never_waited_for() {
    let kernel = kernel(
        r#"(func $_start (export "_start")
             (call $say (call $get (i32.const 0x10600) (i32.const 3)))
             (call $say (call $get (i32.const 0x10603) (i32.const 100)))
             (call $say (call $get (i32.const 0x10600) (i32.const 100)))
             (drop (call $put (i32.const 0x10600) (i32.const 6)))
             (call $done))"#,
    );
    assert_eq!(kernel.run_with(vec![Command::Input(b"hello".to_vec())]).done(), "3 2 0 hello\0");
    assert_eq!(kernel.console(), "0 0 0 \0\0\0\0\0\0");
}

#[test]
fn random_bytes_come_from_the_seed() {
    let kernel = kernel(
        r#"(func $_start (export "_start")
             (call $say (call $random (i32.const 0x10600) (i32.const 65536)))
             (call $say (call $random (i32.const 0x10600) (i32.const 65537)))
             (call $say (call $random (i32.const 0x10600) (i32.const 0)))
             (call $say (call $random (i32.const 0x10600) (i32.const -1)))
             (call $say64 (i64.load (i32.const 0x10600)))
             (call $say64 (i64.load (i32.const 0x205f8)))
             (call $say (i32.load8_u (i32.const 0x20600)))
             (call $done))"#,
    )
    .era(Era::V7_0);
    let run = |seed| boot(&kernel, |config| config.seed = seed).done();
    let console = run(1);
    let numbers: Vec<i64> = console.split_whitespace().map(|n| n.parse().unwrap()).collect();
    assert_eq!(numbers[..4], [65536, -1, 0, -1]);
    assert!(numbers[4] != 0 && numbers[5] != 0 && numbers[4] != numbers[5], "{console}");
    assert_eq!(numbers[6], 0, "no byte too many");
    assert_eq!(run(1), console);
    assert_ne!(run(2), console);
}

#[test]
fn absent_system_calls_are_not_implemented_whatever_their_type() {
    let kernel = kernel(
        r#"(func $_start (export "_start")
             (call $say (call $none))
             (call $say64 (call $wide (i64.const 1) (f32.const 2) (f64.const 3)))
             (call $say (i32.trunc_f32_s (call $single)))
             (call $say64 (i64.trunc_f64_s (call $double)))
             (call $nothing (i32.const 1))
             (call $two)
             (call $say)
             (call $say64)
             (call $done))"#,
    )
    .imports(
        r#"(import "env" "sys_bpf" (func $none (result i32)))
           (import "env" "sys_wide" (func $wide (param i64 f32 f64) (result i64)))
           (import "env" "sys_f32" (func $single (result f32)))
           (import "env" "sys_f64" (func $double (result f64)))
           (import "env" "sys_nothing" (func $nothing (param i32)))
           (import "env" "sys_two" (func $two (result i64 i32)))"#,
    );
    assert_eq!(kernel.console(), "-38 -38 -38 -38 -38 -38 ");
}

#[test]
fn a_host_call_with_a_bad_pointer_is_the_guests_fault() {
    for call in [
        "(drop (call $put (i32.const 0x1ffff0) (i32.const 17)))",
        "(drop (call $put (i32.const -1) (i32.const 2)))",
        "(drop (call $random (i32.const 0x1ffff0) (i32.const 17)))",
        "(call $dump (i32.const -16) (i32.const 1000))",
    ] {
        let kernel = kernel(&format!(r#"(func $_start (export "_start") {call})"#)).era(Era::V7_0);
        let run = kernel.run();
        run.died();
        let [(reason, functions)] = &run.traps()[..] else { panic!("{call}: {:?}", run.events) };
        assert!(reason.contains("bad pointer") && reason.contains("outside the guest's memory"), "{call}: {reason}");
        assert_eq!(functions, &["_start"], "{call}");
    }
    let read = kernel(r#"(func $_start (export "_start") (drop (call $get (i32.const 0x1fffff) (i32.const 2))))"#);
    let run = read.run_with(vec![Command::Input(b"ab".to_vec())]);
    assert!(run.traps()[0].0.contains("bad pointer"), "{:?}", run.events);
}

#[test]
fn a_panic_is_told_with_its_text_and_its_stack_and_stops_everything() {
    let kernel = kernel(
        r#"(data $text "Kernel panic - not syncing: VFS\0a\00")
           (func $_start_secondary (export "_start_secondary") (param i32)
             (loop $for_ever (i32.store (i32.const 0x10700) (i32.const 1)) (br $for_ever)))
           (func $vfs (call $panic (i32.const 0x10600)) {{after}})
           (func $_start (export "_start")
             (memory.init $text (i32.const 0x10600) (i32.const 0) (i32.const 33))
             (call $start_cpu (i32.const 1) (i32.const 0x11000) (i32.const 0))
             (call $vfs))"#,
    );
    let run = kernel.run();
    assert_eq!((&run.outcome, run.console.as_str()), (&Outcome::Panic, ""));
    let [Event::CpuStarted { .. }, Event::Panic { context, message, stack }] = &run.events[..] else {
        panic!("{:?}", run.events)
    };
    assert_eq!(message, "Kernel panic - not syncing: VFS");
    assert_eq!((context.task, context.cpu), (TaskId(0x10000), Cpu(0)));
    assert_eq!(context.tick, run.totals.ticks);
    assert_eq!(run.functions(stack), ["vfs", "_start"]);
}

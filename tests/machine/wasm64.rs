//! The 64-bit kernels of the 7.0 era: addresses, `long` and the memory's index are i64.

use wkdb::machine::{Command, WatchRange};
use wkdb_tracer::{Event, RunnerState, Writer};

use crate::guest::boot_wasm;

/// All imports, a program with signals on a second task, and everything that touches memory.
const KERNEL: &str = r#"
(module $kernel
  (import "env" "memory" (memory i64 32 65536 shared))
  (import "env" "wasm_start_cpu" (func $start_cpu (param i64 i64)))
  (import "env" "wasm_stop_cpu" (func $stop_cpu (param i64)))
  (import "env" "wasm_create_and_run_task" (func $create (param i64 i64 i64 i64 i64 i64 i64) (result i64)))
  (import "env" "wasm_serialize_tasks" (func $switch (param i64 i64) (result i64)))
  (import "env" "wasm_release_task" (func $release (param i64)))
  (import "env" "wasm_panic" (func $panic (param i64)))
  (import "env" "wasm_dump_stacktrace" (func $dump (param i64 i64)))
  (import "env" "wasm_load_executable" (func $load (param i64 i64 i64 i64)))
  (import "env" "wasm_user_mode_tail" (func $user_mode_tail (param i32)))
  (import "env" "wasm_cpu_clock_get_monotonic" (func $clock (result i64)))
  (import "env" "wasm_driver_hvc_put" (func $put (param i64 i64) (result i64)))
  (import "env" "wasm_driver_hvc_get" (func $get (param i64 i64) (result i64)))
  (import "env" "wasm_random_get_bytes" (func $random (param i64 i64) (result i64)))
  (import "env" "sys_missing" (func $sys_missing (param i64) (result i64)))
  (global (export "init_task") i64 (i64.const 0x10000))
  (global (export "boot_command_line") i64 (i64.const 0x10200))
  (global (export "initrd_start") i64 (i64.const 0x10400))
  (global (export "initrd_end") i64 (i64.const 0x10408))
  (global $__stack_pointer (mut i64) (i64.const 0x1f000))
  (global $user_sp (mut i64) (i64.const 0x7fff0))
  (data $image "IMAGE")
  (data $done "done\00")
  (start $init)
  (func $init
    (memory.init $image (i64.const 0x40000) (i32.const 0) (i32.const IMAGE_LEN))
    (memory.init $done (i64.const 0x10520) (i32.const 0) (i32.const 5)))
  (func $digit (param $d i64)
    (i64.store8 (i64.const 0x10510) (i64.add (i64.const 48) (local.get $d)))
    (drop (call $put (i64.const 0x10510) (i64.const 1))))
  (func $dec (param $n i64)
    (if (i64.ge_u (local.get $n) (i64.const 10)) (then (call $dec (i64.div_u (local.get $n) (i64.const 10)))))
    (call $digit (i64.rem_u (local.get $n) (i64.const 10))))
  (func $say (param $n i64)
    (if (i64.lt_s (local.get $n) (i64.const 0))
      (then (call $digit (i64.const -3)) (local.set $n (i64.sub (i64.const 0) (local.get $n)))))
    (call $dec (local.get $n)) (call $digit (i64.const -16)))
  (func $say32 (param $n i32) (call $say (i64.extend_i32_s (local.get $n))))
  (func (export "_start_secondary") (param $idle i64)
    (call $say (local.get $idle))
    (i64.atomic.store (i64.const 0x10600) (i64.const 1))
    (call $say32 (memory.atomic.notify (i64.const 0x10600) (i32.const 5)))
    (drop (memory.atomic.wait32 (i64.const 0x10700) (i32.const 0) (i64.const -1))))
  (func (export "ret_from_fork") (param $prev i64) (param $new i64) (result i32)
    (call $say (local.get $prev))
    (call $load (i64.const 0x40000) (i64.const IMAGE_END) (i64.const 0x80000) (i64.const 16))
    (i32.const 0))
  (func $start (export "_start")
    (call $say (i64.load offset=2 (i64.const 0x101fe)))
    (call $say (i64.sub (i64.load (i64.const 0x10408)) (i64.load (i64.const 0x10400))))
    (call $start_cpu (i64.const 1) (i64.const 0x11000))
    (call $say32 (memory.atomic.wait64 (i64.const 0x10600) (i64.const 0) (i64.const -1)))
    (call $stop_cpu (i64.const 1))
    (call $say (memory.grow (i64.const 1)))
    (i64.store (i64.sub (i64.shl (memory.size) (i64.const 16)) (i64.const 8)) (i64.const 5))
    (call $say (memory.size))
    (call $say (memory.grow (i64.const 0x100000000)))
    (memory.fill (i64.const 0x10800) (i32.const 7) (i64.const 9))
    (memory.copy (i64.const 0x10804) (i64.const 0x10800) (i64.const 8))
    (call $say (i64.load (i64.const 0x10804)))
    (call $say (call $sys_missing (i64.const 0)))
    (call $say (call $random (i64.const 0x10900) (i64.const 0x10001)))
    (call $say (call $get (i64.const 0x10900) (i64.const 4)))
    (call $dump (i64.const 0x10900) (i64.const 100))
    (drop (call $put (i64.const 0x10900) (i64.const 13)))
    (call $say (call $create (i64.const 0x10000) (i64.const 0x12000) (i64.const 0x10520) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)))
    (call $release (i64.const 0x12000))
    (call $panic (i64.const 0x10520)))
  (func $raise_exception (export "raise_exception")
    (drop (call $switch (i64.const 0x12000) (i64.const 0x10000))))
  (func (export "get_user_stack_pointer") (result i64) (global.get $user_sp))
  (func (export "get_user_tls_base") (result i64) (i64.const 0x123456789a))
  SYSCALLS
  (func $sys (param $sp i64) (param $nr i64) (param $a i64) (result i64)
    (global.set $user_sp (local.get $sp))
    (if (i64.eq (local.get $nr) (i64.const 1)) (then (call $say (local.get $a))))
    (if (i64.eq (local.get $nr) (i64.const 2)) (then (call $user_mode_tail (i32.const 1))))
    (if (i64.eq (local.get $nr) (i64.const 3)) (then (call $user_mode_tail (i32.const 2))))
    (i64.const 0)))
"#;

/// Says where it is, handles a signal, and dies of a load behind the end of memory.
const IMAGE: &str = r#"
(module $user (@dylink.0 (mem-info))
  (import "env" "memory" (memory i64 1 65536 shared))
  (import "env" "__memory_base" (global $base i64))
  (import "env" "__table_base" (global $table i64))
  (import "env" "__table_base32" (global $table32 i32))
  (import "env" "__stack_pointer" (global $sp (mut i64)))
  (import "env" "__indirect_function_table" (table i64 1 funcref))
  (import "env" "__wasm_syscall_1" (func $sys1 (param i64 i64 i64 i64) (result i64)))
  (global $tls (mut i64) (i64.const 0))
  (func $call (param $nr i64) (param $a i64)
    (drop (call $sys1 (global.get $sp) (global.get $tls) (local.get $nr) (local.get $a))))
  (func (export "__set_tls_base") (param i64) (global.set $tls (local.get 0)))
  (func (export "__libc_handle_signal")
    (call $call (i64.const 1) (global.get $tls))
    (call $call (i64.const 3) (i64.const 0)))
  (func $main (export "_start")
    (call $call (i64.const 1) (global.get $base))
    (call $call (i64.const 1) (global.get $table))
    (call $call (i64.const 1) (i64.extend_i32_u (global.get $table32)))
    (call $call (i64.const 1) (global.get $sp))
    (call $call (i64.const 1) (table.size 0))
    (call $call (i64.const 2) (i64.const 0))
    (drop (i64.load (i64.const 0x100000000)))))
"#;

fn kernel() -> Vec<u8> {
    let image = wat::parse_str(IMAGE).unwrap();
    let escaped: String = image.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let syscall = |n: usize| {
        let argument = if n == 0 { "(i64.const 0)" } else { "(local.get 3)" };
        format!(
            "(func (export \"wasm_syscall_{n}\") (param {}) (result i64) (call $sys (local.get 0) (local.get 2) {argument}))\n",
            "i64 ".repeat(n + 3)
        )
    };
    let text = KERNEL
        .replace("IMAGE_LEN", &image.len().to_string())
        .replace("IMAGE_END", &(0x40000 + image.len()).to_string())
        .replace("\"IMAGE\"", &format!("\"{escaped}\""))
        .replace("SYSCALLS", &(0..=6).map(syscall).collect::<String>());
    wat::parse_str(text).unwrap()
}

#[test]
fn the_whole_contract_in_64_bits() {
    let mut initrd = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut initrd, b"070701").unwrap();
    let mut totals = Vec::new();
    for (store_checks, debug) in [(false, false), (true, false), (false, true), (true, true)] {
        let run = boot_wasm(
            kernel(),
            |config| {
                config.store_checks = store_checks;
                config.engine.debug = debug;
                config.initrd = Some(initrd.path().into());
            },
            vec![Command::Input(b"xy".to_vec())],
        );
        let command_line = u64::from_le_bytes(*b"console=");
        let expected = format!(
            "{command_line} 6 69632 1 0 33 34 -1 506381209866536711 -38 -1 2     at start 65536 {} 16 16 {} 4096 {} 73728 ",
            0x80000, 0x7fff0, 0x0012_3456_789a_i64
        );
        assert_eq!(run.done(), expected);
        assert_eq!(run.traps(), [("out of bounds memory access", vec!["main".to_owned()])]);
        totals.push(run.totals);
    }
    assert!(totals.iter().all(|t| *t == totals[0]), "{totals:#?}");
}

#[test]
fn stores_and_waits_have_64_bit_addresses() {
    let set = |config: &mut wkdb::machine::MachineConfig| {
        config.watch = vec![WatchRange { address: 0x10808, len: 2 }];
    };
    let mut run = boot_wasm(kernel(), set, Vec::new());
    let seen: Vec<_> = run
        .hits()
        .into_iter()
        .map(|hit| {
            let Writer::Guest { stack } = &hit.writer else { panic!("{hit:?}") };
            (run.functions(stack), hit.store_address, hit.store_len, hit.old.clone(), hit.new.clone())
        })
        .collect();
    let start = || vec!["start".to_owned()];
    assert_eq!(
        seen,
        [(start(), 0x10800, 9, vec![0], vec![7]), (start(), 0x10804, 8, vec![7, 0], vec![7, 7])],
        "the first store covers one byte of the range"
    );
    // CPU 1 waited when it was stopped.
    let states: Vec<_> = run.machine.reports().into_iter().map(|report| (report.context.cpu.0, report.state)).collect();
    assert_eq!(states, [(0, RunnerState::Stopped), (1, RunnerState::Stopped)]);
    assert!(run.events.iter().any(|e| matches!(e, Event::CpuStopped { context } if context.cpu.0 == 1)));
}

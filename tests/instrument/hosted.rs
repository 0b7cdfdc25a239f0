//! Waits, memory and ticks as the host sees them, in modules written for the purpose.

use wasmtime::{Caller, Extern, Instance, Linker, Memory, MemoryType, Module, Store, Val};
use wkdb::instrument::{HostMemory, Options, RuntimeGlobals, TickCounter, rewrite};

use crate::machine::engine;

fn rewritten(text: &str, options: &Options) -> Vec<u8> {
    let module = wat::parse_str(text).expect("the test's module is well-formed");
    rewrite(&module, options).unwrap_or_else(|error| panic!("{error}")).wasm
}

/// Arguments as numbers, whatever their width.
fn numbers(arguments: &[Val]) -> Vec<i64> {
    let number = |value: &Val| value.i32().map_or_else(|| value.unwrap_i64(), i64::from);
    arguments.iter().map(number).collect()
}

/// The calls of the host: function and arguments.
type Calls = Vec<(String, Vec<i64>)>;

/// Calls `run` of a module whose host functions note their arguments and return 7.
fn host_calls(text: &str, memory: MemoryType) -> Calls {
    let engine = engine();
    let options = Options { host_waits: true, host_memory: HostMemory::Import, ..Options::identity() };
    let module = Module::new(&engine, rewritten(text, &options)).expect("the rewritten module compiles");
    let mut store = Store::new(&engine, Calls::new());
    let mut linker = Linker::new(&engine);
    let memory = Memory::new(&mut store, memory).expect("the memory is small");
    linker.define(&store, "env", "memory", memory).expect("it is not there yet");
    for import in module.imports().filter(|import| import.module() == "wkdb") {
        let ty = import.ty().unwrap_func().clone();
        let (name, returned) = (import.name().to_owned(), ty.result(0).is_some_and(|ty| ty.is_i64()));
        let function = move |mut caller: Caller<'_, Calls>, arguments: &[Val], results: &mut [Val]| {
            caller.data_mut().push((name.clone(), numbers(arguments)));
            results[0] = if returned { Val::I64(7) } else { Val::I32(7) };
            Ok(())
        };
        linker.func_new("wkdb", import.name(), ty, function).expect("it is not there yet");
    }
    let instance = linker.instantiate(&mut store, &module).expect("everything is there");
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").expect("it is exported");
    assert_eq!(run.call(&mut store, ()).expect("nothing traps"), 4 * 7);
    store.into_data()
}

const WAITS: &str = r#"(module
    (import "env" "memory" (memory INDEX 1 2 shared))
    (func (export "run") (result i32)
        (memory.atomic.wait32 offset=12 (INDEX.const 100) (i32.const -5) (i64.const -1))
        (memory.atomic.wait64 (INDEX.const -8) (i64.const 0x123456789) (i64.const 1000))
        (memory.atomic.notify offset=4294967292 (INDEX.const 4) (i32.const 3))
        (memory.grow (INDEX.const 1)) WRAP
        i32.add i32.add i32.add))"#;

#[test]
fn waits_are_calls_with_the_offset_beside() {
    let expected = |address: i64| -> Calls {
        vec![
            ("wait32".to_owned(), vec![100, -5, -1, 12]),
            ("wait64".to_owned(), vec![-8, 0x1_2345_6789, 1000, 0]),
            ("notify".to_owned(), vec![4, 3, address]),
            ("memory_grow".to_owned(), vec![1]),
        ]
    };
    // The memory is not shared any more.
    let narrow = WAITS.replace("WRAP", "").replace("memory INDEX", "memory").replace("INDEX", "i32");
    assert_eq!(host_calls(&narrow, MemoryType::new(1, Some(2))), expected(-4));
    let wide = WAITS.replace("WRAP", "i32.wrap_i64").replace("INDEX", "i64");
    assert_eq!(host_calls(&wide, MemoryType::new64(1, Some(2))), expected(4_294_967_292));
}

/// Ticks of a call of `run`, with a slice of `slice` ticks each time, and how often the host was called for one.
fn count(text: &str, tick_counter: TickCounter, slice: i32) -> (i64, i64) {
    let engine = engine();
    let options = Options { ticks: true, stores: true, tick_counter, ..Options::identity() };
    let module = Module::new(&engine, rewritten(text, &options)).expect("the rewritten module compiles");
    let mut store = Store::new(&engine, 0i64);
    let mut linker = Linker::new(&engine);
    let tick = move |mut caller: Caller<'_, i64>| {
        *caller.data_mut() += 1;
        let ticks = caller.get_export("wkdb:ticks").and_then(Extern::into_global).expect("it is exported");
        assert_eq!(ticks.get(&mut caller).unwrap_i32(), 0);
        ticks.set(&mut caller, Val::I32(slice)).expect("it is mutable");
    };
    linker.func_wrap("wkdb", "tick", tick).expect("it is not there yet");
    linker.define_unknown_imports_as_traps(&module).expect("the rest is not called");
    let instance = linker.instantiate(&mut store, &module).expect("everything is there");
    let ticks = instance.get_global(&mut store, "wkdb:ticks").expect("it is exported");
    ticks.set(&mut store, Val::I32(slice)).expect("it is mutable");
    let run = instance.get_func(&mut store, "run").expect("it is exported");
    let _ = run.call(&mut store, &[], &mut []);
    let left = ticks.get(&mut store).unwrap_i32();
    let slices = *store.data();
    (slices * i64::from(slice) + i64::from(slice - left), slices)
}

/// Both ways of counting give this count, for slices of every length.
fn check_count(text: &str, expected: i64) {
    for tick_counter in [TickCounter::Local, TickCounter::Global] {
        for slice in [1, 2, 3, 7, 1000] {
            let slices = expected / i64::from(slice);
            assert_eq!(count(text, tick_counter, slice), (expected, slices), "{tick_counter:?}, slices of {slice}");
        }
    }
}

#[test]
fn ticks_of_nested_loops_and_calls() {
    check_count(
        r#"(module
            (func $leaf)
            (func $inner (param $n i32)
                loop
                    call $leaf
                    (local.tee $n (i32.sub (local.get $n) (i32.const 1)))
                    br_if 0
                end)
            (func (export "run") (local $i i32)
                (local.set $i (i32.const 5))
                loop
                    (call $inner (i32.const 3))
                    (local.tee $i (i32.sub (local.get $i) (i32.const 1)))
                    br_if 0
                end))"#,
        // run, 5 rounds of: the header, inner, 3 rounds of: the header and leaf
        1 + 5 * (1 + 1 + 3 * 2),
    );
}

#[test]
fn ticks_of_loops_with_parameters() {
    check_count(
        r#"(module
            (func (export "run") (local $n i32)
                i32.const 4
                i64.const 1
                loop $again (param i32 i64)
                    drop
                    i32.const 1
                    i32.sub
                    local.tee $n
                    i64.const 2
                    (br_if $again (local.get $n))
                    drop
                    drop
                end))"#,
        1 + 4,
    );
}

#[test]
fn ticks_up_to_a_trap_are_counted() {
    check_count(
        r#"(module
            (memory 1)
            (func (export "run") (local $at i32)
                (local.set $at (i32.const 65520))
                loop
                    (drop (i32.load (local.get $at)))
                    (local.set $at (i32.add (local.get $at) (i32.const 4)))
                    br 0
                end))"#,
        // 65520, 65524, 65528, 65532, and 65536 traps
        1 + 5,
    );
}

#[test]
fn ticks_of_callees_that_throw_are_counted() {
    check_count(
        r#"(module
            (tag $e)
            (func $throws (local $n i32)
                loop
                    (local.tee $n (i32.add (local.get $n) (i32.const 1)))
                    (br_if 0 (i32.lt_u (i32.const 4)))
                end
                throw $e)
            (func (export "run") (local $i i32)
                loop
                    block $caught
                        try_table (catch $e $caught)
                            call $throws
                        end
                    end
                    (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if 0 (i32.lt_u (i32.const 3)))
                end))"#,
        1 + 3 * (1 + 1 + 4),
    );
}

#[test]
fn tail_calls_tick_like_calls() {
    check_count(
        r#"(module
            (func $down (param $n i32)
                (if (i32.eqz (local.get $n)) (then return))
                (return_call $down (i32.sub (local.get $n) (i32.const 1))))
            (func (export "run") (return_call $down (i32.const 10))))"#,
        1 + 11,
    );
}

#[test]
fn any_host_call_may_set_the_counter() {
    let engine = engine();
    let options =
        Options { ticks: true, host_waits: true, host_memory: HostMemory::Import, stores: true, ..Options::identity() };
    // One host call in the middle of each, between two loop headers.
    let calls = [
        "(drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const 0)))",
        "(drop (memory.atomic.wait64 (i32.const 0) (i64.const 0) (i64.const 0)))",
        "(drop (memory.atomic.notify (i32.const 0) (i32.const 0)))",
        "(drop (memory.grow (i32.const 0)))",
        "(i32.store (i32.const 0) (i32.const 0))",
        "(drop (i32.atomic.rmw.cmpxchg (i32.const 0) (i32.const 0) (i32.const 0)))",
        "(memory.fill (i32.const 0) (i32.const 0) (i32.const 1))",
        "call $own",
        "(call_indirect (i32.const 0))",
    ];
    for call in calls {
        let text = format!(
            r#"(module (import "env" "memory" (memory 1 1 shared)) (import "env" "own" (func $own))
                (table funcref (elem $own))
                (func (export "run") loop end {call} loop end))"#
        );
        let module = Module::new(&engine, rewritten(&text, &options)).expect("the rewritten module compiles");
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let memory = Memory::new(&mut store, MemoryType::new(1, Some(1))).expect("the memory is small");
        linker.define(&store, "env", "memory", memory).expect("it is not there yet");
        for import in module.imports().filter(|import| import.ty().func().is_some()) {
            let function = |mut caller: Caller<'_, ()>, _: &[Val], results: &mut [Val]| {
                let ticks = caller.get_export("wkdb:ticks").and_then(Extern::into_global).expect("it is exported");
                results.fill(Val::I32(0));
                ticks.set(&mut caller, Val::I32(500))
            };
            let ty = import.ty().unwrap_func().clone();
            linker.func_new(import.module(), import.name(), ty, function).expect("it is not there yet");
        }
        let instance = linker.instantiate(&mut store, &module).expect("everything is there");
        let ticks = instance.get_global(&mut store, "wkdb:ticks").expect("it is exported");
        ticks.set(&mut store, Val::I32(1000)).expect("it is mutable");
        let map = instance.get_memory(&mut store, "wkdb:watch_map").expect("it is exported");
        map.data_mut(&mut store)[0] = 1;
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").expect("it is exported");
        run.call(&mut store, ()).expect("nothing traps");
        let ticks = instance.get_global(&mut store, "wkdb:ticks").expect("it is exported");
        assert_eq!(ticks.get(&mut store).unwrap_i32(), 499, "{call}");
    }
}

#[test]
fn what_the_host_watches_anew_in_a_report_is_seen_at_the_next_access() {
    // Two groups, one within the other. The report of the first access begins to watch what the second group writes.
    let text = r#"(module
        (memory (export "memory") 1)
        (func (export "run") (param i32 i32)
            (i32.store offset=4 (local.get 1) (i32.const 1))
            (i32.store (local.get 0) (i32.const 2))
            (i32.store offset=8 (local.get 1) (i32.const 3))
            (i32.store offset=4 (local.get 0) (i32.const 4))
            (i32.store offset=12 (local.get 1) (i32.const 5))))"#;
    let engine = engine();
    let options = Options { stores: true, ..Options::identity() };
    let module = Module::new(&engine, rewritten(text, &options)).expect("the rewritten module compiles");
    let mut store = Store::new(&engine, Vec::new());
    let mut linker = Linker::new(&engine);
    let stored = |mut caller: Caller<'_, Vec<i32>>, address: i32, _: i32| {
        caller.data_mut().push(address);
        let map = caller.get_export("wkdb:watch_map").and_then(Extern::into_memory).expect("it is exported");
        // The 64 bytes from 4096 on, where parameter 1 points.
        map.data_mut(&mut caller)[4096 / 64] = 0xff;
    };
    linker.func_wrap("wkdb", "stored", stored).expect("it is not there yet");
    linker.define_unknown_imports_as_traps(&module).expect("the rest is not called");
    let instance = linker.instantiate(&mut store, &module).expect("everything is there");
    let map = instance.get_memory(&mut store, "wkdb:watch_map").expect("it is exported");
    // The 8 bytes from 64 on, where parameter 0 points.
    map.data_mut(&mut store)[1] = 1;
    let run = instance.get_typed_func::<(i32, i32), ()>(&mut store, "run").expect("it is exported");
    run.call(&mut store, (64, 4096)).expect("nothing traps");
    assert_eq!(*store.data(), [64, 4104, 68, 4108]);
}

#[test]
fn what_lies_between_watched_ranges_costs_no_call() {
    // Of each 32 bytes the first 24 are written, and the last 8 watched.
    let text = r#"(module
        (memory (export "memory") 1)
        (func (export "beside") (param $at i32)
            (loop
                (i64.store (local.get $at) (i64.const -1))
                (v128.store offset=8 (local.get $at) (v128.const i64x2 1 2))
                (local.set $at (i32.add (local.get $at) (i32.const 32)))
                (br_if 0 (i32.lt_u (local.get $at) (i32.const 60000)))))
        (func (export "touches") (i32.store16 (i32.const 4119) (i32.const 1))))"#;
    let engine = engine();
    let module = Module::new(&engine, rewritten(text, &Options { stores: true, ..Options::identity() }));
    let module = module.expect("the rewritten module compiles");
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&module).expect("there are no others");
    let instance = linker.instantiate(&mut store, &module).expect("everything is there");
    let map = instance.get_memory(&mut store, "wkdb:watch_map").expect("it is exported");
    map.data_mut(&mut store)[..1024].fill(0b1000_1000);
    let beside = instance.get_typed_func::<i32, ()>(&mut store, "beside").expect("it is exported");
    beside.call(&mut store, 0).expect("the host is not called");
    let touches = instance.get_typed_func::<(), ()>(&mut store, "touches").expect("it is exported");
    touches.call(&mut store, ()).expect_err("the host is called");
}

#[test]
fn a_user_module_shares_the_counter() {
    let engine = engine();
    let define = Options { ticks: true, ..Options::identity() };
    let import = Options { runtime_globals: RuntimeGlobals::Import, ..define };
    let kernel = r#"(module (func (export "f") loop end))"#;
    let user = r#"(module
        (import "kernel" "f" (func $f))
        (global $g (mut i32) (i32.const 5))
        (func (export "run") (result i32)
            loop
                call $f
                (global.set $g (i32.sub (global.get $g) (i32.const 1)))
                (br_if 0 (global.get $g))
            end
            (i32.add (global.get $g) (i32.const 77))))"#;
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    linker.func_wrap("wkdb", "tick", || ()).expect("it is not there yet");
    let kernel = Module::new(&engine, rewritten(kernel, &define)).expect("it compiles");
    let kernel: Instance = linker.instantiate(&mut store, &kernel).expect("everything is there");
    let ticks = kernel.get_global(&mut store, "wkdb:ticks").expect("it is exported");
    linker.define(&store, "wkdb", "ticks", ticks).expect("it is not there yet");
    linker.instance(&mut store, "kernel", kernel).expect("it is not there yet");
    let user = Module::new(&engine, rewritten(user, &import)).expect("it compiles");
    let user = linker.instantiate(&mut store, &user).expect("everything is there");
    ticks.set(&mut store, Val::I32(1000)).expect("it is mutable");
    let run = user.get_typed_func::<(), i32>(&mut store, "run").expect("it is exported");
    assert_eq!(run.call(&mut store, ()).expect("nothing traps"), 77);
    assert_eq!(ticks.get(&mut store).unwrap_i32(), 1000 - (1 + 5 * (1 + 2)));
}

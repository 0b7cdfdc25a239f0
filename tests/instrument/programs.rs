//! Random programs with checked accesses, against the same programs that tell of each access themselves.
//!
//! The programs have what decides which accesses share a check: addresses that differ by constants, variables that
//! change, blocks, branches, loops, calls. The reference is written out by the generator: behind each access it calls
//! `touch` with the address, computed anew in 64 bits, and the host compares all of memory with what it was before.

use proptest::prelude::*;
use wasmtime::{Caller, Extern, Linker, Memory, Module, Store};
use wkdb::instrument::{Options, TickCounter, WATCH_MAP_EXPORT, rewrite};

use crate::machine::{engine, mark, overlap};

/// How many variables a program has, each an address.
const VARIABLES: u32 = 4;

/// Accesses: the operator, its operands behind the address, how many bytes, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Stores,
    Loads,
    Exchanges,
    /// A compare-exchange with the value that is expected.
    Compares,
}

const ACCESSES: [(&str, &str, u64, Does); 18] = [
    ("i32.store8", "(i32.const 0x4d)", 1, Does::Stores),
    ("i32.store16", "(i32.const 0x1234)", 2, Does::Stores),
    ("i32.store", "(i32.const 0x1020304)", 4, Does::Stores),
    ("i64.store", "(i64.const 0x1122334455667788)", 8, Does::Stores),
    ("f64.store", "(f64.const 1.25)", 8, Does::Stores),
    ("v128.store", "(v128.const i64x2 7 8)", 16, Does::Stores),
    ("v128.store16_lane", "(v128.const i64x2 0x99887766 8)", 2, Does::Stores),
    ("i32.load8_u", "", 1, Does::Loads),
    ("i32.load16_s", "", 2, Does::Loads),
    ("i32.load", "", 4, Does::Loads),
    ("i64.load", "", 8, Does::Loads),
    ("v128.load", "", 16, Does::Loads),
    ("v128.load32_lane", "(v128.const i64x2 1 2)", 4, Does::Loads),
    ("i32.atomic.store", "(i32.const 0x77)", 4, Does::Stores),
    ("i64.atomic.load", "", 8, Does::Loads),
    ("i32.atomic.rmw.add", "(i32.const 0x101)", 4, Does::Exchanges),
    ("i32.atomic.rmw8.cmpxchg_u", "(i32.const 0) (i32.const 0x33)", 1, Does::Compares),
    ("i64.atomic.rmw.cmpxchg", "(i64.const 0) (i64.const 0x44)", 8, Does::Compares),
];

/// A statement of a program. Variables are numbers below [`VARIABLES`].
#[derive(Debug, Clone)]
enum Statement {
    /// `to = from + constant`
    Move {
        to: u32,
        from: u32,
        plus: i32,
    },
    /// `to = a number in the arena that no one knows beforehand`, made of a variable.
    Scramble {
        to: u32,
        from: u32,
    },
    Set {
        to: u32,
        value: u32,
    },
    /// At `variable + plus + offset`, the sum of the first two computed before, or in the middle of it all.
    Access {
        which: usize,
        base: u32,
        plus: i32,
        offset: u64,
    },
    Fill {
        base: u32,
        len: u32,
    },
    Copy {
        to: u32,
        from: u32,
        len: u32,
    },
    /// A block that is left early if the lowest bits of a variable are zero.
    Block {
        exit: u32,
        before: Vec<Statement>,
        after: Vec<Statement>,
    },
    If {
        condition: u32,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    Loop {
        rounds: u32,
        body: Vec<Statement>,
    },
    /// Of a function that accesses memory too.
    Call,
}

fn statements() -> impl Strategy<Value = Vec<Statement>> {
    let variable = || 0..VARIABLES;
    let plus = || prop_oneof![12 => -40..40i32, 2 => -700..700i32];
    let offset =
        || prop_oneof![150 => 0..64u64, 30 => 0..700u64, 10 => 0..0xe000u64, 1 => 0xffff_0000..0x1_0000_0000u64];
    let access =
        || {
            (0..ACCESSES.len(), variable(), plus(), offset())
                .prop_map(|(which, base, plus, offset)| Statement::Access { which, base, plus, offset })
        };
    let simple = prop_oneof![
        12 => access(),
        2 => (variable(), variable(), plus()).prop_map(|(to, from, plus)| Statement::Move { to, from, plus }),
        1 => (variable(), variable()).prop_map(|(to, from)| Statement::Scramble { to, from }),
        1 => (variable(), 1024..2048u32).prop_map(|(to, value)| Statement::Set { to, value }),
        1 => (variable(), 0..80u32).prop_map(|(base, len)| Statement::Fill { base, len }),
        1 => (variable(), variable(), 0..80u32).prop_map(|(to, from, len)| Statement::Copy { to, from, len }),
        1 => Just(Statement::Call),
    ];
    let nested = simple.prop_recursive(3, 60, 8, move |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..8);
        prop_oneof![
            (variable(), some(), some()).prop_map(|(exit, before, after)| Statement::Block { exit, before, after }),
            (variable(), some(), some()).prop_map(|(condition, then, otherwise)| Statement::If {
                condition,
                then,
                otherwise
            }),
            (1..4u32, some()).prop_map(|(rounds, body)| Statement::Loop { rounds, body }),
            inner,
        ]
    });
    prop::collection::vec(nested, 1..30)
}

/// Writes a program, with the calls that tell of each access or without.
struct Text {
    wat: String,
    wide: bool,
    tells: bool,
    loops: u32,
}

impl Text {
    fn ty(&self) -> &'static str {
        if self.wide { "i64" } else { "i32" }
    }

    fn all(&mut self, statements: &[Statement]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    /// Remembers an address for [`Self::touch`]: modulo 2³² where addresses have 32 bits, plus the offset without.
    fn remember(&mut self, local: &str, address: &str, offset: u64) {
        if self.tells {
            let address = if self.wide { address.to_owned() } else { format!("(i64.extend_i32_u {address})") };
            self.wat.push_str(&format!("(local.set ${local} (i64.add {address} (i64.const {offset})))\n"));
        }
    }

    fn touch(&mut self, code: &str, len: &str) {
        if self.tells {
            let text =
                format!("(call $touch (i32.const {code}) (local.get $at) (local.get $from) (i64.const {len}))\n");
            self.wat.push_str(&text);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        let ty = self.ty();
        match statement {
            Statement::Move { to, from, plus } => {
                self.wat.push_str(&format!("(local.set {to} ({ty}.add (local.get {from}) ({ty}.const {plus})))\n"));
            }
            Statement::Scramble { to, from } => {
                self.wat.push_str(&format!(
                    "(local.set {to} ({ty}.or ({ty}.const 0x400) \
                     ({ty}.and ({ty}.mul (local.get {from}) ({ty}.const 77)) ({ty}.const 0x7ff))))\n"
                ));
            }
            Statement::Set { to, value } => self.wat.push_str(&format!("(local.set {to} ({ty}.const {value}))\n")),
            &Statement::Access { which, base, plus, offset } => self.access(which, base, plus, offset),
            &Statement::Fill { base, len } => {
                let address = format!("(local.get {base})");
                self.remember("at", &address, 0);
                self.wat.push_str(&format!("(memory.fill {address} (i32.const 0x5a) ({ty}.const {len}))\n"));
                self.touch("3", &len.to_string());
            }
            &Statement::Copy { to, from, len } => {
                let (to, from) = (format!("(local.get {to})"), format!("(local.get {from})"));
                self.remember("at", &to, 0);
                self.remember("from", &from, 0);
                self.wat.push_str(&format!("(memory.copy {to} {from} ({ty}.const {len}))\n"));
                self.touch("4", &len.to_string());
            }
            Statement::Block { exit, before, after } => {
                self.wat.push_str("(block\n");
                self.all(before);
                self.wat.push_str(&format!("(br_if 0 ({ty}.eqz ({ty}.and (local.get {exit}) ({ty}.const 3))))\n"));
                self.all(after);
                self.wat.push_str(")\n");
            }
            Statement::If { condition, then, otherwise } => {
                self.wat.push_str(&format!("(if ({ty}.eqz ({ty}.and (local.get {condition}) ({ty}.const 2))) (then\n"));
                self.all(then);
                self.wat.push_str(") (else\n");
                self.all(otherwise);
                self.wat.push_str("))\n");
            }
            Statement::Loop { rounds, body } => {
                self.loops += 1;
                let counter = self.loops;
                self.wat.push_str(&format!("(local.set $n{counter} (i32.const {rounds}))\n(loop\n"));
                self.all(body);
                self.wat.push_str(&format!(
                    "(br_if 0 (local.tee $n{counter} (i32.sub (local.get $n{counter}) (i32.const 1)))))\n"
                ));
            }
            Statement::Call => self.wat.push_str("(call $other (local.get 1))\n"),
        }
    }

    fn access(&mut self, which: usize, base: u32, plus: i32, offset: u64) {
        let (name, operands, len, does) = ACCESSES[which];
        let ty = self.ty();
        let mut address = match plus {
            0 => format!("(local.get {base})"),
            _ if plus % 3 == 0 => format!("({ty}.sub (local.get {base}) ({ty}.const {}))", -plus),
            _ => format!("({ty}.add ({ty}.const {plus}) (local.get {base}))"),
        };
        let mut offset = offset;
        if name.contains("atomic") {
            address = format!("({ty}.and {address} ({ty}.const -8))");
            offset &= !7;
        }
        let lane = if name.contains("_lane") { " 1" } else { "" };
        self.remember("at", &address, offset);
        let operator = format!("({name} offset={offset}{lane} {address} {operands})");
        match does {
            Does::Stores => self.wat.push_str(&format!("{operator}\n")),
            Does::Loads | Does::Exchanges => self.wat.push_str(&format!("(drop {operator})\n")),
            Does::Compares => {
                let result = &name[..3];
                self.wat.push_str(&format!("(local.set $old_{result} {operator})\n"));
            }
        }
        match does {
            Does::Stores => self.touch("0", &len.to_string()),
            Does::Loads => self.touch("1", &len.to_string()),
            Does::Exchanges => self.touch("2", &len.to_string()),
            // It expects 0 and replaces that.
            Does::Compares if self.tells => self.wat.push_str(&format!(
                "(call $touch (i32.add (i32.const 1) ({ty}.eqz (local.get $old_{ty}))) (local.get $at) (i64.const 0) (i64.const {len}))\n",
                ty = &name[..3]
            )),
            Does::Compares => {}
        }
    }
}

fn module(statements: &[Statement], wide: bool, tells: bool) -> Vec<u8> {
    let mut text = Text { wat: String::new(), wide, tells, loops: 0 };
    text.all(statements);
    let body = std::mem::take(&mut text.wat);
    let loops = std::mem::take(&mut text.loops);
    for which in [2, 9, 3] {
        text.access(which, 0, 4, 8);
    }
    let other = std::mem::take(&mut text.wat);
    let ty = text.ty();
    let counters: String = (1..=loops).map(|n| format!("(local $n{n} i32)")).collect();
    let (import, memory) = match tells {
        true => {
            (r#"(import "test" "touch" (func $touch (param i32 i64 i64 i64)))"#, if wide { "i64 1 1" } else { "1 1" })
        }
        false => ("", if wide { "i64 1 1" } else { "1 1" }),
    };
    let locals = "(local $at i64) (local $from i64) (local $old_i32 i32) (local $old_i64 i64)";
    let wat = format!(
        r#"(module {import} (memory (export "memory") {memory})
            (func $other (param {ty}) {locals} {other})
            (func (export "run") (local {ty} {ty} {ty} {ty}) {locals} {counters}
                (local.set 0 ({ty}.const 1024)) (local.set 1 ({ty}.const 1027))
                (local.set 2 ({ty}.const 1500)) (local.set 3 ({ty}.const 1742))
                {body}))"#
    );
    wat::parse_str(&wat).unwrap_or_else(|error| panic!("{error}\n{wat}"))
}

/// What was seen of a run: accesses to what is watched, in order, with what memory held there afterwards; how it ended;
/// and what memory held then.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    accesses: Vec<(&'static str, u64, u64, Vec<u8>)>,
    trap: Option<String>,
    memory: Vec<u8>,
    watch: (u64, u64),
    /// Whether reads are of interest.
    loads: bool,
}

impl Seen {
    fn access(&mut self, kind: &'static str, address: u64, from: u64, len: u64, memory: &[u8]) {
        let kind = match kind {
            "loaded" if !self.loads => return,
            "exchanged" if !self.loads => "stored",
            "bulk_copied" if !self.loads => "bulk_stored",
            same => same,
        };
        let touches = |address| overlap(self.watch, (address, len));
        if len > 0 && (touches(address) || kind == "bulk_copied" && touches(from)) {
            let bytes = memory[address as usize..(address + len) as usize].to_vec();
            self.accesses.push((kind, address, len, bytes));
        }
    }
}

fn memory(caller: &mut Caller<'_, Seen>) -> Memory {
    caller.get_export("memory").and_then(Extern::into_memory).expect("the memory is exported")
}

fn finish(mut store: Store<Seen>, linker: &Linker<Seen>, module: &Module) -> Seen {
    let instance = linker.instantiate(&mut store, module).expect("everything is there");
    if let Some(map) = instance.get_memory(&mut store, WATCH_MAP_EXPORT) {
        let (map, seen) = map.data_and_store_mut(&mut store);
        mark(map, seen.watch);
    }
    let run = instance.get_typed_func::<(), ()>(&mut store, "run").expect("it is exported");
    let trap = run.call(&mut store, ()).err().map(|error| error.root_cause().to_string());
    let memory = instance.get_memory(&mut store, "memory").expect("it is exported").data(&store).to_vec();
    Seen { trap, memory, ..store.into_data() }
}

/// Runs the program that tells by itself.
fn reference(statements: &[Statement], wide: bool, watch: (u64, u64), loads: bool) -> Seen {
    let engine = engine();
    let module = Module::new(&engine, module(statements, wide, true)).expect("the program is valid");
    let mut linker = Linker::new(&engine);
    let touch = |mut caller: Caller<'_, Seen>, code: i32, at: u64, from: u64, len: u64| {
        let now = memory(&mut caller).data(&caller).to_vec();
        let kind = ["stored", "loaded", "exchanged", "bulk_stored", "bulk_copied"][code as usize];
        let seen = caller.data_mut();
        seen.memory.resize(now.len(), 0);
        let changed = (0..now.len() as u64).filter(|&at| now[at as usize] != seen.memory[at as usize]);
        for byte in changed {
            assert!(kind != "loaded" && (at..at + len).contains(&byte), "{kind} {len} at {at:#x} changed {byte:#x}");
        }
        seen.access(kind, at, from, len, &now);
        seen.memory = now;
    };
    linker.func_wrap("test", "touch", touch).expect("it is not there yet");
    finish(Store::new(&engine, Seen { watch, loads, ..Seen::default() }), &linker, &module)
}

/// Runs the rewritten program.
fn checked(statements: &[Statement], wide: bool, watch: (u64, u64), options: &Options) -> Seen {
    let engine = engine();
    let wasm = rewrite(&module(statements, wide, false), options).unwrap_or_else(|error| panic!("{error}")).wasm;
    let module = Module::new(&engine, wasm).expect("the rewritten module compiles");
    let mut linker = Linker::new(&engine);
    for import in module.imports() {
        let (name, ty) = (import.name().to_owned(), import.ty().unwrap_func().clone());
        let function = move |mut caller: Caller<'_, Seen>, arguments: &[wasmtime::Val], _: &mut [wasmtime::Val]| {
            let number = |n: usize| match arguments[n] {
                wasmtime::Val::I32(value) => u64::from(value.cast_unsigned()),
                ref value => value.unwrap_i64().cast_unsigned(),
            };
            let now = memory(&mut caller).data(&caller).to_vec();
            let seen = caller.data_mut();
            match name.as_str() {
                "tick" => {}
                "stored" => seen.access("stored", number(0), 0, number(1), &now),
                "loaded" => seen.access("loaded", number(0), 0, number(1), &now),
                "exchanged" => seen.access("exchanged", number(0), 0, number(1), &now),
                "bulk_stored" => seen.access("bulk_stored", number(0), 0, number(1), &now),
                _ => seen.access("bulk_copied", number(0), number(1), number(2), &now),
            }
            Ok(())
        };
        linker.func_new("wkdb", import.name(), ty, function).expect("it is not there yet");
    }
    finish(Store::new(&engine, Seen { watch, loads: options.loads, ..Seen::default() }), &linker, &module)
}

proptest! {
    #![proptest_config(crate::generated::config(60))]

    #[test]
    fn what_is_reported_is_what_happened(
        statements in statements(),
        wide in any::<bool>(),
        lo in prop_oneof![4 => 1000..1100u64, 4 => 1480..1560u64, 4 => 1720..1800u64, 2 => 900..2600u64, 1 => 0..65536u64],
        len in prop_oneof![4 => 1..32u64, 2 => 1..600u64, 1 => Just(65536u64)],
    ) {
        for loads in [false, true] {
            let expected = reference(&statements, wide, (lo, len), loads);
            let (local, global) = (TickCounter::Local, TickCounter::Global);
            for (tick_counter, footprint) in [(local, false), (global, false), (global, true)] {
                let all = Options { stores: true, loads, ticks: true, ..Options::identity() };
                let options = Options { tick_counter, footprint, ..all };
                let seen = checked(&statements, wide, (lo, len), &options);
                prop_assert_eq!(&seen.trap, &expected.trap);
                prop_assert!(seen.memory == expected.memory, "memory differs");
                prop_assert_eq!(&seen.accesses, &expected.accesses, "{:?}", options);
            }
        }
    }
}

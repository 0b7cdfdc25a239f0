//! The companion ELF under a real gdb: what it says of the fixtures' code, types and data, and of frames of a guest that
//! stands still. Fixtures: `tests/fixtures/companion/frames.c`.

mod gdb;
mod kernels;
mod stub;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use object::{Object, ObjectSymbol};
use stub::{Frame, Guest};
use wkdb_debugger::companion::layout::{FrameStack, Layout, Slot, WordSize};
use wkdb_debugger::companion::{self, Companion, CompanionModule, InstancePlace};
use wkdb_tracer::ModuleId;

/// A fixture, its file for the debugger, and that on disk.
struct Built {
    layout: Layout,
    companion: Companion,
    file: PathBuf,
}

impl Built {
    fn new(name: &str) -> Built {
        Built::with(name, |module, layout| companion::build_kernel(module, layout).expect("it is a module"))
    }

    fn with(name: &str, build: impl Fn(&CompanionModule<'_>, &Layout) -> Companion) -> Built {
        let wasm = std::fs::read(format!("tests/fixtures/companion/frames-{name}.wasm")).expect("it is there");
        Built::of(name, &wasm, build)
    }

    fn of(name: &str, wasm: &[u8], build: impl Fn(&CompanionModule<'_>, &Layout) -> Companion) -> Built {
        let mut layout = Layout::new(companion::word_size(wasm).expect("a module"));
        let id = layout.add_module(companion::code_len(wasm).expect("a module")).expect("room");
        let companion = build(&CompanionModule { id, wasm }, &layout);
        assert_eq!(companion.problems, Vec::<String>::new());
        // Tests run in parallel.
        static BUILT: AtomicU32 = AtomicU32::new(0);
        let number = BUILT.fetch_add(1, Ordering::Relaxed);
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("companion-{number}-{name}.elf"));
        std::fs::write(&file, &companion.elf).expect("it can be written");
        Built { layout, companion, file }
    }

    fn address(&self, symbol: &str) -> u64 {
        let elf = object::File::parse(&*self.companion.elf).expect("it is an ELF file");
        elf.symbol_by_name(symbol).unwrap_or_else(|| panic!("no {symbol}")).address()
    }

    /// A guest in `leaf`, called by `middle`, called by the host. `locals` are those of `leaf`.
    fn in_leaf(&self, locals: Vec<u64>) -> Guest {
        let frame = |pc, locals: Vec<u64>| Frame { pc, stack_pointer: STACK, locals, operands: Vec::new() };
        Guest {
            layout: self.layout.clone(),
            frames: vec![
                frame(self.address("leaf") + 12, locals),
                frame(self.address("middle") + 20, vec![0x10020, 3, STACK, STACK, STACK, STACK, STACK, STACK]),
            ],
            memory: BTreeMap::new(),
            globals: vec![vec![STACK]],
            written: Default::default(),
        }
    }
}

const STACK: u64 = 0x8000;
const ALL: [&str; 5] = ["O0", "O2", "O2-dwarf4", "O0-wasm64", "O2-wasm64"];

fn assert_says(output: &str, expected: &[&str]) {
    for line in expected {
        assert!(output.contains(line), "no {line:?} in:\n{output}");
    }
}

#[test]
fn gdb_reads_all_debug_information_without_a_complaint() {
    let Some(gdb) = gdb::gdb() else { return };
    for name in ALL {
        let built = Built::new(name);
        let output = gdb::run(
            gdb,
            &built.file,
            &["maint expand-symtabs", "maint check-symtabs", "maint check-psymtabs", "info line leaf", "quit"],
        );
        let rest: Vec<&str> = output
            .lines()
            // Newer ones check without being told.
            .filter(|line| !line.starts_with("Line ") && !line.starts_with("Undefined maintenance command"))
            .collect();
        assert_eq!(rest, Vec::<&str>::new(), "{name}");
    }
}

#[test]
fn a_breakpoint_is_never_before_the_first_instruction() {
    let Some(gdb) = gdb::gdb() else { return };
    for name in ALL {
        let built = Built::new(name);
        let output = gdb::run(gdb, &built.file, &["break leaf", "break frames.c:50", "info line leaf"]);
        let leaf = built.address("leaf");
        assert_says(&output, &["Breakpoint 1 at 0x", "Breakpoint 2 at 0x", "file frames.c, line"]);
        let at = output.split("Breakpoint 1 at ").nth(1).and_then(|rest| rest.split(':').next()).expect("an address");
        let at = u64::from_str_radix(at.trim_start_matches("0x"), 16).expect("hexadecimal");
        assert!(at >= leaf, "{name}: {at:#x} is before {leaf:#x}");
        assert_says(&output, &[&format!("starts at address {leaf:#x} <leaf>")]);
    }
}

#[test]
fn gdb_knows_types_data_and_what_function_pointers_are_of() {
    let Some(gdb) = gdb::gdb() else { return };
    for name in ALL {
        let built = Built::new(name);
        let output = gdb::run(
            gdb,
            &built.file,
            &[
                "ptype struct request",
                "print sizeof(struct request)",
                "print sizeof(long)",
                "print &requests[1].sector",
                "info symbol &ticks",
                "print &nr_done",
                "print (void (*)(void)) 1",
                "whatis handler",
                "info address outer",
                "print (enum state) 7",
                "list leaf",
            ],
        );
        let wide = name.ends_with("64");
        assert_says(
            &output,
            &[
                "enum state state : 4;",
                "u32 urgent : 1;",
                "void (*done)(struct request *);",
                if wide { "$1 = 56" } else { "$1 = 40" },
                if wide { "$2 = 8" } else { "$2 = 4" },
                "<requests+",
                "ticks in section .data",
                "<nr_done>",
                "(void (*)(void)) 0x1 <complete>",
                "type = void (* volatile)(struct request *)",
                "Symbol \"outer\" is a function at address 0x",
                "= BUSY",
            ],
        );
    }
}

#[test]
fn arguments_and_variables_of_optimised_code_are_read_from_wasm_locals() {
    let Some(gdb) = gdb::gdb() else { return };
    for name in ["O2", "O2-dwarf4", "O2-wasm64"] {
        let built = Built::new(name);
        let guest = built.in_leaf(vec![0x10020, 0x1122_3344_5566_7788, 2.5_f64.to_bits(), 41, 0, 0, 0, 0]);
        let port = guest.serve();
        let remote = format!("target remote 127.0.0.1:{port}");
        let output = gdb::run(
            gdb,
            &built.file,
            &[&remote, "bt", "info locals", "print/x next", "print/x low", "print odd", "up", "print count", "detach"],
        );
        assert_says(
            &output,
            &[
                " in leaf (request=0x10020 <requests>, sector=1234605616436508552, weight=2.5, count=41)",
                "in middle (request=",
                "in [host] ()",
                "$1 = 0x112233445566778d",
                "$2 = 0x55667788",
                "$3 = 40",
            ],
        );
        let frames = output.lines().filter(|line| line.starts_with('#')).count();
        assert_eq!(frames, 4, "three of bt, one of up: {output}");
    }
}

#[test]
fn variables_of_unoptimised_code_are_read_from_the_guests_stack() {
    let Some(gdb) = gdb::gdb() else { return };
    // Where clang has put them, from the frame base.
    for (name, request, sector, weight, count) in [("O0", 44, 32, 24, 20), ("O0-wasm64", 40, 32, 24, 20)] {
        let built = Built::new(name);
        // Whichever local holds the frame base.
        let mut guest = built.in_leaf(vec![STACK; 40]);
        guest.frames[0].pc = built.address("leaf") + 0x30;
        guest.put(STACK + request, &0x10020_u64.to_le_bytes());
        guest.put(STACK + sector, &0x1122_3344_5566_7788_u64.to_le_bytes());
        guest.put(STACK + weight, &2.5_f64.to_le_bytes());
        guest.put(STACK + count, &41_u32.to_le_bytes());
        let port = guest.serve();
        let remote = format!("target remote 127.0.0.1:{port}");
        let output = gdb::run(gdb, &built.file, &[&remote, "bt", "info locals", "detach"]);
        assert_says(
            &output,
            &[
                "leaf (request=0x10020 <requests>, sector=1234605616436508552, weight=2.5, count=41)",
                "in middle (request=",
                "in [host] ()",
                "next = 0",
                "nr_calls = 0",
            ],
        );
    }
}

#[test]
fn to_set_a_variable_is_to_write_the_slot_of_its_local() {
    let Some(gdb) = gdb::gdb() else { return };
    for name in ["O2", "O2-wasm64"] {
        let built = Built::new(name);
        let guest = built.in_leaf(vec![0x10020, 1, 0, 41, 0, 0]);
        let written = guest.written.clone();
        let port = guest.serve();
        let remote = format!("target remote 127.0.0.1:{port}");
        gdb::run(gdb, &built.file, &[&remote, "set var sector = 0x0102030405060708", "detach"]);
        let stack = FrameStack::new(built.layout.word(), 7, &[6, 8]);
        let local = stack.address(0, Slot::Local(1)).expect("it is there");
        let written = written.lock().expect("not poisoned");
        assert_eq!(*written, [(local, vec![8, 7, 6, 5, 4, 3, 2, 1])], "{name}");
    }
}

#[test]
fn one_file_serves_all_instances_of_a_user_module_and_another_just_one() {
    let Some(gdb) = gdb::gdb() else { return };
    let open =
        Built::with("pic", |module, layout| companion::build_user(module, layout, None).expect("it is a module"));
    for memory_base in [0x20000_u64, 0x50000] {
        let place = InstancePlace { memory_base, table_base: 9 };
        let fixed = Built::with("pic", |module, layout| {
            companion::build_user(module, layout, Some(place)).expect("it is a module")
        });
        let ticks = fixed.address("ticks");
        assert!(ticks >= memory_base);
        for (built, table) in [(&open, false), (&fixed, true)] {
            let mut guest = built.in_leaf(vec![memory_base + 32, 1, 0, 41, 0, 0]);
            guest.globals = vec![vec![memory_base; 16]];
            guest.put(ticks, &77_u64.to_le_bytes());
            let port = guest.serve();
            let remote = format!("target remote 127.0.0.1:{port}");
            let commands =
                [remote.as_str(), "print ticks", "print &ticks", "print (void(*)(void)) 9", "bt 1", "detach"];
            let output = gdb::run(gdb, &built.file, &commands);
            assert_says(&output, &["$1 = 77", &format!("{ticks:#x}"), " in leaf (request="]);
            assert_eq!(output.contains("0x9 <complete>"), table, "{output}");
        }
    }
}

#[test]
fn add_symbol_file_puts_a_user_module_beside_the_kernel() {
    let Some(gdb) = gdb::gdb() else { return };
    let kernel = std::fs::read("tests/fixtures/companion/frames-O2.wasm").expect("it is there");
    let user = std::fs::read("tests/fixtures/companion/frames-pic.wasm").expect("it is there");
    let mut layout = Layout::new(WordSize::Four);
    for wasm in [&kernel, &user] {
        layout.add_module(companion::code_len(wasm).expect("a module")).expect("room");
    }
    let place = InstancePlace { memory_base: 0x40000, table_base: 100 };
    let kernel = companion::build_kernel(&CompanionModule { id: ModuleId(0), wasm: &kernel }, &layout).expect("built");
    let user = companion::build_user(&CompanionModule { id: ModuleId(1), wasm: &user }, &layout, Some(place));
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let files = [folder.join("beside-kernel.elf"), folder.join("beside-user.elf")];
    std::fs::write(&files[0], kernel.elf).expect("written");
    std::fs::write(&files[1], user.expect("built").elf).expect("written");
    let add = format!("add-symbol-file {}", files[1].display());
    let output = gdb::run(gdb, &files[0], &[&add, "break leaf", "info breakpoints", "info symbol 0x40010"]);
    assert_says(&output, &["2 locations", "1.1", "1.2", "frames.c:"]);
    let user_code = layout.code_base(ModuleId(1)).expect("placed");
    assert!(output.contains(&format!("{user_code:#x}")[..7]), "{output}");
    assert!(!output.contains("No symbol matches"), "{output}");
}

#[test]
fn lldb_knows_functions_lines_and_variables() {
    let Some(lldb) = gdb::lldb() else { return };
    for name in ALL {
        let built = Built::new(name);
        let leaf = built.address("leaf");
        let output = gdb::run_lldb(
            lldb,
            &built.file,
            &[
                "breakpoint set -n leaf",
                "breakpoint set -f frames.c -l 50",
                &format!("image lookup -v -a {:#x}", leaf + 0x30),
                "image lookup -t 'struct request'",
                "image lookup -s ticks",
            ],
        );
        assert_says(
            &output,
            &[
                "Breakpoint 1: where = ",
                "`leaf",
                "at frames.c:50",
                "name = \"sector\", type = \"u64\"",
                "name = \"count\", type = \"u32\"",
                "u64 sector;",
                "1 symbols match 'ticks'",
            ],
        );
        assert!(!output.contains("error:"), "{output}");
    }
}

//! Symbols and address spaces of the file.

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use wkdb_tracer::ModuleId;

use super::super::layout::{Layout, WordSize};
use super::super::{CompanionError, CompanionModule, InstancePlace, build_kernel, build_user};
use super::{built, fixture, layout, minik};

const NAMES_ALONE: &str = r#"
    (module
      (import "env" "memory" (memory 2))
      (import "env" "print" (func $print))
      (table 4 funcref)
      (global (export "jiffies_64") i32 (i32.const 1040))
      (global (export "system_state") i32 (i32.const 1100))
      (elem (i32.const 1) func $tick $print)
      (data $pools (i32.const 1024) "0123456789abcdef")
      (func $tick (export "timer_tick") (local i64) nop nop)
      (func $idle nop))"#;

#[test]
fn a_module_without_dwarf_gives_symbols_alone() {
    let wasm = wat::parse_str(NAMES_ALONE).expect("well-formed");
    let companion = built(&wasm);
    assert_eq!(companion.problems, Vec::<String>::new());
    let elf = object::File::parse(&*companion.elf).expect("it is an ELF file");
    assert!(elf.section_by_name(".debug_info").is_none());
    assert!(elf.section_by_name(".debug_frame").is_some());
    let base = layout(&wasm).code_base(ModuleId::KERNEL).expect("placed");
    let mut symbols: Vec<(&str, u64, u64, SymbolKind)> = elf
        .symbols()
        .map(|symbol| (symbol.name().expect("UTF-8"), symbol.address(), symbol.size(), symbol.kind()))
        .collect();
    symbols.sort_by_key(|&(_, address, ..)| address);
    // Bodies: the count of bodies, a length, the locals of $tick, two nops and the end.
    assert_eq!(
        symbols,
        [
            ("tick", 1, 1, SymbolKind::Data),
            ("print", 2, 1, SymbolKind::Data),
            ("pools", 1024, 16, SymbolKind::Data),
            ("jiffies_64", 1040, 60, SymbolKind::Data),
            ("system_state", 1100, 1, SymbolKind::Data),
            ("tick", base + 5, 3, SymbolKind::Text),
            ("timer_tick", base + 5, 3, SymbolKind::Text),
            ("idle", base + 10, 2, SymbolKind::Text),
            ("[host]", 0xefff_f000, 16, SymbolKind::Text),
        ]
    );
}

#[test]
fn spaces_do_not_overlap_and_hold_their_symbols() {
    for wasm in [fixture("O2"), fixture("O2-wasm64"), minik(), wat::parse_str(NAMES_ALONE).expect("well-formed")] {
        let companion = built(&wasm);
        let elf = object::File::parse(&*companion.elf).expect("it is an ELF file");
        let mut spaces: Vec<(u64, u64)> = elf
            .sections()
            .filter(|section| section.address() != 0)
            .map(|section| (section.address(), section.address() + section.size()))
            .collect();
        spaces.sort_unstable();
        assert!(spaces.len() >= 3);
        assert!(spaces.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spaces:x?}");
        for symbol in elf.symbols() {
            let section = symbol.section_index().unwrap_or_else(|| panic!("{symbol:?} is nowhere"));
            let section = elf.section_by_index(section).expect("it is there");
            assert!((section.address()..section.address() + section.size()).contains(&symbol.address()));
        }
    }
}

#[test]
fn variables_have_the_sizes_of_their_types() {
    let companion = built(&fixture("O2"));
    let elf = object::File::parse(&*companion.elf).expect("it is an ELF file");
    for (name, size) in [("ticks", 8), ("requests", 80), ("nr_done", 4), ("handler", 4), ("nr_calls", 4)] {
        let symbol = elf.symbol_by_name(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(symbol.size(), size, "{name}");
    }
    assert!(elf.symbol_by_name("ticks").expect("there").is_global());
    assert!(!elf.symbol_by_name("nr_done").expect("there").is_global());
}

#[test]
fn table_indices_that_reach_into_the_data_share_its_space() {
    let wasm = wat::parse_str(
        r#"(module (memory 1) (table 40 funcref) (elem (i32.const 1) func 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0)
             (data $early (i32.const 16) "abcd") (func $f))"#,
    )
    .expect("well-formed");
    let companion = built(&wasm);
    let elf = object::File::parse(&*companion.elf).expect("it is an ELF file");
    let space = |name| elf.section_by_name(name).map(|section| (section.address(), section.size()));
    assert_eq!(space(".functab"), Some((1, 15)));
    assert_eq!(space(".data"), Some((16, 5)));
}

#[test]
fn the_data_of_a_user_module_are_where_its_instance_is() {
    let wasm = fixture("pic");
    let layout = layout(&wasm);
    let module = CompanionModule { id: ModuleId::KERNEL, wasm: &wasm };
    let ticks = |memory_base| {
        let place = InstancePlace { memory_base, table_base: 4 };
        let companion = build_user(&module, &layout, Some(place)).expect("it is a module");
        let elf = object::File::parse(&*companion.elf).expect("it is an ELF file");
        assert_eq!(elf.symbols().find(|symbol| symbol.address() == 4).and_then(|s| s.name().ok()), Some("complete"));
        elf.symbol_by_name("ticks").expect("it is there").address()
    };
    assert_eq!(ticks(0x70000) - ticks(0x30000), 0x40000);
    let open = build_user(&module, &layout, None).expect("it is a module");
    let elf = object::File::parse(&*open.elf).expect("it is an ELF file");
    assert!(elf.symbol_by_name("ticks").is_none(), "nobody knows where");
    assert!(elf.symbol_by_name("leaf").is_some());
}

#[test]
fn what_has_no_place_is_refused_with_the_reason() {
    let wasm = fixture("O2");
    let module = CompanionModule { id: ModuleId(3), wasm: &wasm };
    assert_eq!(build_kernel(&module, &layout(&wasm)), Err(CompanionError::NoPlace(ModuleId(3))));
    let mut wide = Layout::new(WordSize::Eight);
    wide.add_module(1000).expect("room");
    let module = CompanionModule { id: ModuleId(0), wasm: &wasm };
    assert_eq!(build_kernel(&module, &wide), Err(CompanionError::WordSize { module: 4, layout: 8 }));
    let cut = CompanionModule { id: ModuleId(0), wasm: &wasm[..100] };
    assert!(matches!(build_kernel(&cut, &layout(&wasm)), Err(CompanionError::Malformed { .. })));
}

#[test]
fn the_same_module_gives_the_same_file() {
    for wasm in [fixture("O0"), minik()] {
        assert!(built(&wasm) == built(&wasm));
    }
}

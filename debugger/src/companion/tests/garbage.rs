//! Debug information that is damaged: what of it can be used is, what cannot be is told, and nothing else happens.

use object::Object;
use proptest::prelude::*;
use wkdb_tracer::ModuleId;

use super::super::bytes::Put;
use super::super::{CompanionModule, build_kernel};
use super::reading::{borrow, of_elf, read_all};
use super::{built, fixture, layout, minik};

/// A module with its debug sections changed.
fn with_sections(wasm: &[u8], mut change: impl FnMut(&str, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = wasm[..8].to_vec();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.expect("the fixture is well-formed");
        if let wasmparser::Payload::CustomSection(custom) = &payload
            && custom.name().starts_with(".debug_")
        {
            let mut data = custom.data().to_vec();
            change(custom.name(), &mut data);
            let mut section = Vec::new();
            section.uleb(custom.name().len() as u64);
            section.extend_from_slice(custom.name().as_bytes());
            section.extend_from_slice(&data);
            out.u8(0);
            out.uleb(section.len() as u64);
            out.extend_from_slice(&section);
        } else if let Some((id, range)) = payload.as_section() {
            out.u8(id);
            out.uleb(range.len() as u64);
            out.extend_from_slice(&wasm[range]);
        }
    }
    out
}

/// Something that is done to a section.
#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
}

impl Damage {
    fn apply(&self, data: &mut Vec<u8>) {
        let len = data.len();
        if len == 0 {
            return;
        }
        match self {
            Damage::Set(at, byte) => data[at % len] = *byte,
            Damage::Cut(at) => data.truncate(at % len),
            Damage::Insert(at, bytes) => {
                let at = at % len;
                data.splice(at..at, bytes.iter().copied());
            }
            Damage::Remove(at, count) => {
                let at = at % len;
                data.drain(at..(at + count).min(len));
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0..4096_usize;
    prop_oneof![
        6 => (at.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => at.clone().prop_map(Damage::Cut),
        1 => (at.clone(), prop::collection::vec(any::<u8>(), 1..9)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (at, 1..9_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
    ]
}

/// What is written of a module, all of which can be read.
fn check(wasm: &[u8]) -> Result<(), TestCaseError> {
    let module = CompanionModule { id: ModuleId::KERNEL, wasm };
    let companion = build_kernel(&module, &layout(wasm)).expect("its code is whole");
    let elf = object::File::parse(&*companion.elf).expect("it is an ELF file");
    prop_assert!(elf.symbol_by_name("leaf").is_some(), "symbols do not hang on debug information");
    let dwarf = of_elf(&companion.elf);
    let read = read_all(&borrow(&dwarf));
    prop_assert!(read.is_ok(), "{read:?} of what is written; told: {:?}", companion.problems);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damaged_debug_information_gives_whole_debug_information(
        name in prop::sample::select(vec!["O0", "O2", "O2-dwarf4", "pic"]),
        section in prop::sample::select(vec![
            ".debug_info", ".debug_info", ".debug_info", ".debug_abbrev", ".debug_abbrev", ".debug_line", ".debug_loclists",
            ".debug_loc", ".debug_rnglists", ".debug_ranges", ".debug_addr", ".debug_str_offsets", ".debug_str",
        ]),
        damage in prop::collection::vec(damage(), 1..6),
    ) {
        let wasm = with_sections(&fixture(name), |this, data| {
            if this == section {
                damage.iter().for_each(|damage| damage.apply(data));
            }
        });
        check(&wasm)?;
    }

    #[test]
    fn sections_of_noise_give_nothing_bad(
        info in prop::collection::vec(any::<u8>(), 0..200),
        abbreviations in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        // A header that leads into the noise.
        let mut unit = Vec::new();
        unit.u32(info.len() as u32 + 8);
        unit.u16(5);
        unit.extend_from_slice(&[1, 4]);
        unit.u32(0);
        unit.extend_from_slice(&info);
        let wasm = with_sections(&fixture("O2"), |name, data| match name {
            ".debug_info" => *data = unit.clone(),
            ".debug_abbrev" => *data = abbreviations.clone(),
            _ => {}
        });
        check(&wasm)?;
    }
}

#[test]
fn a_broken_unit_is_left_out_and_told_and_the_others_stay() {
    let whole = minik();
    let count = |wasm: &[u8]| {
        let companion = built(wasm);
        let dwarf = of_elf(&companion.elf);
        let dwarf = borrow(&dwarf);
        let mut units = dwarf.units();
        let mut count = 0;
        while units.next().expect("readable").is_some() {
            count += 1;
        }
        (count, companion.problems)
    };
    let (units, problems) = count(&whole);
    assert!(units > 5 && problems.is_empty());
    // The first unit's first entry: an abbreviation that is not there.
    let broken = with_sections(&whole, |name, data| {
        if name == ".debug_info" {
            data[12] = 0x7f;
        }
    });
    let (left, problems) = count(&broken);
    assert_eq!(left, units - 1);
    assert!(problems[0].starts_with("the unit at 0x0 of .debug_info is left out: "), "{problems:?}");
}

#[test]
fn a_unit_that_refers_to_one_left_out_is_left_out_too() {
    // Two units; the entry of the second has the type of an entry of the first. Both are of a compiler like any other.
    let unit = |abbreviations: u32, body: &[u8]| {
        let mut unit = Vec::new();
        unit.u32(body.len() as u32 + 8);
        unit.u16(5);
        unit.extend_from_slice(&[1, 4]);
        unit.u32(abbreviations);
        unit.extend_from_slice(body);
        unit
    };
    let abbreviations = [
        // compile_unit with children; base_type with byte_size; variable with a type in any unit.
        &[1, 0x11, 1, 0, 0][..],
        &[2, 0x24, 0, 0x0b, 0x0b, 0, 0],
        &[3, 0x34, 0, 0x49, 0x10, 0, 0],
        &[0],
    ]
    .concat();
    let first = unit(0, &[1, 2, 4, 0]);
    let mut second = vec![1, 3];
    second.u32(13);
    second.u8(0);
    let second = unit(0, &second);
    for (broken, left) in [(false, 2), (true, 0)] {
        let mut info = [first.clone(), second.clone()].concat();
        if broken {
            info[12] = 0x33;
        }
        let wasm = with_sections(&fixture("O2"), |name, data| match name {
            ".debug_info" => *data = info.clone(),
            ".debug_abbrev" => *data = abbreviations.clone(),
            _ => data.clear(),
        });
        let companion = built(&wasm);
        let dwarf = of_elf(&companion.elf);
        let dwarf = borrow(&dwarf);
        let mut units = dwarf.units();
        let mut count = 0;
        while units.next().expect("readable").is_some() {
            count += 1;
        }
        assert_eq!(count, left, "{:?}", companion.problems);
        assert_eq!(companion.problems.len(), if broken { 2 } else { 0 }, "{:?}", companion.problems);
    }
}

#[test]
fn lists_that_are_referred_to_without_end_do_not_fill_the_memory() {
    // Ten thousand variables, all with the one location list, which is long.
    let mut abbreviations = vec![1, 0x11, 1, 0x11, 0x01, 0, 0];
    abbreviations.extend_from_slice(&[2, 0x34, 0, 0x02, 0x17, 0, 0, 0]);
    let mut body = vec![1];
    body.u32(0);
    for _ in 0..10_000 {
        body.u8(2);
        body.u32(12);
    }
    body.u8(0);
    let mut info = Vec::new();
    info.u32(body.len() as u32 + 8);
    info.u16(5);
    info.extend_from_slice(&[1, 4]);
    info.u32(0);
    info.extend_from_slice(&body);
    let mut lists = Vec::new();
    lists.extend_from_slice(&[0; 4]);
    lists.u16(5);
    lists.extend_from_slice(&[4, 0, 0, 0, 0, 0]);
    for _ in 0..10_000 {
        // offset_pair of leaf, a literal.
        lists.extend_from_slice(&[4, 8, 16, 2, 0x31, 0x9f]);
    }
    lists.u8(0);
    let wasm = with_sections(&fixture("O2"), |name, data| match name {
        ".debug_info" => *data = info.clone(),
        ".debug_abbrev" => *data = abbreviations.clone(),
        ".debug_loclists" => *data = lists.clone(),
        _ => data.clear(),
    });
    let companion = built(&wasm);
    assert!(companion.elf.len() < 4 << 20, "{} bytes", companion.elf.len());
    assert!(companion.problems[0].contains("its lists overlap"), "{:?}", companion.problems);
}

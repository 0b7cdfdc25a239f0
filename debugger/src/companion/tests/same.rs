//! Entry by entry, the output has what the input has: the same tree, names, constants and references, and the same
//! ranges of code, moved.

use std::collections::HashMap;

use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, LittleEndian, Unit, UnitOffset};

use super::super::wasm::Wasm;
use super::reading::{Slice, borrow, of_elf};
use super::{built, fixture, layout, minik};

/// A unit, with its entries in order, without call sites.
struct Read<'m> {
    unit: Unit<Slice<'m>>,
    entries: Vec<(isize, DebuggingInformationEntry<Slice<'m>>)>,
    ordinals: HashMap<UnitOffset, usize>,
}

fn read<'m>(dwarf: &Dwarf<Slice<'m>>) -> Vec<Read<'m>> {
    let mut units = Vec::new();
    let mut headers = dwarf.units();
    while let Some(header) = headers.next().expect("readable") {
        let unit = dwarf.unit(header).expect("readable");
        let mut entries = Vec::new();
        let mut ordinals = HashMap::new();
        let mut skipped = None;
        let mut cursor = unit.entries();
        while let Some(entry) = cursor.next_dfs().expect("readable") {
            let depth = entry.depth();
            if skipped.is_some_and(|skipped| depth > skipped) {
                continue;
            }
            skipped = None;
            if matches!(entry.tag(), gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site) {
                skipped = Some(depth);
                continue;
            }
            ordinals.insert(entry.offset(), entries.len());
            entries.push((depth, entry.clone()));
        }
        units.push(Read { unit, entries, ordinals });
    }
    units
}

fn text(dwarf: &Dwarf<Slice<'_>>, unit: &Read<'_>, value: AttributeValue<Slice<'_>>) -> Option<String> {
    let string = match value {
        AttributeValue::String(string) => string,
        AttributeValue::DebugStrRef(offset) => dwarf.string(offset).ok()?,
        AttributeValue::DebugStrOffsetsIndex(index) => {
            dwarf.string(dwarf.string_offset(&unit.unit, index).ok()?).ok()?
        }
        _ => return None,
    };
    Some(string.to_string_lossy().into_owned())
}

/// Compares what the two files say; how many entries, and how many ranges of locations.
fn compare(wasm: &[u8]) -> (usize, usize) {
    let outline = Wasm::read(wasm, &mut Vec::new()).expect("a module");
    let section = |id: gimli::SectionId| {
        let bytes = outline.debug.get(id.name()).copied().unwrap_or_default();
        Ok::<_, ()>(Slice::new(bytes, LittleEndian))
    };
    let before = Dwarf::load(section).expect("nothing fails");
    let companion = built(wasm);
    let sections = of_elf(&companion.elf);
    let after = borrow(&sections);
    let base = layout(wasm).code_base(wkdb_tracer::ModuleId::KERNEL).expect("placed");
    // Slowly, and from what the binary format says, not as the writer does it.
    let moved = |address: u64| {
        let declared = outline.functions.iter().find(|f| (u64::from(f.start)..u64::from(f.first)).contains(&address));
        base + declared.map_or(address, |function| u64::from(function.first))
    };
    let exists = |address: u64| outline.functions.iter().any(|f| (f.start..f.end).contains(&(address as u32)));
    let (mut entries, mut ranges) = (0, 0);
    let (old_units, new_units) = (read(&before), read(&after));
    assert_eq!(old_units.len(), new_units.len());
    for (old_unit, new_unit) in old_units.iter().zip(&new_units) {
        let added = new_unit.entries.len() - old_unit.entries.len();
        assert!(added <= 1, "no more than the base type of 8 bytes is added");
        for ((old_depth, old), (new_depth, new)) in old_unit.entries.iter().zip(&new_unit.entries) {
            entries += 1;
            assert_eq!((old_depth, old.tag()), (new_depth, new.tag()));
            for attribute in old.attrs() {
                let Some(value) = new.attr_value(attribute.name()) else {
                    let name = attribute.name().static_string().unwrap_or("?");
                    let gone = ["_base", "_call_", "_calls", "sibling"].iter().any(|part| name.contains(part));
                    assert!(gone, "{name} is gone");
                    continue;
                };
                match (attribute.value(), value) {
                    (AttributeValue::UnitRef(old), AttributeValue::UnitRef(new)) => {
                        assert_eq!(old_unit.ordinals[&old], new_unit.ordinals[&new]);
                    }
                    (AttributeValue::Udata(old), AttributeValue::Udata(new))
                        if attribute.name() != gimli::DW_AT_high_pc =>
                    {
                        assert_eq!(old, new);
                    }
                    (old, AttributeValue::Addr(new)) if *old_depth > 0 => {
                        let old = before.attr_address(&old_unit.unit, old).expect("readable").expect("an address");
                        assert_eq!(new, if exists(old) { moved(old) } else { 0 });
                    }
                    (old, new @ AttributeValue::RangeListsRef(_)) => {
                        let mut old = before.attr_ranges(&old_unit.unit, old).expect("readable").expect("a list");
                        let mut new = after.attr_ranges(&new_unit.unit, new).expect("readable").expect("a list");
                        while let Some(range) = old.next().expect("readable") {
                            let expected = (moved(range.begin), moved(range.end));
                            if !exists(range.begin) || expected.0 >= expected.1 {
                                continue;
                            }
                            let range = new.next().expect("readable").expect("as many");
                            assert_eq!((range.begin, range.end), expected);
                        }
                        assert_eq!(new.next(), Ok(None), "no more than there were");
                    }
                    (old, new @ AttributeValue::LocationListsRef(_)) => {
                        let mut old = before.attr_locations(&old_unit.unit, old).expect("readable").expect("a list");
                        let mut new = after.attr_locations(&new_unit.unit, new).expect("readable").expect("a list");
                        while let Some(entry) = old.next().expect("readable") {
                            let expected = (moved(entry.range.begin), moved(entry.range.end));
                            if !exists(entry.range.begin) || expected.0 >= expected.1 || says_nothing(entry.data) {
                                continue;
                            }
                            let entry = new.next().expect("readable").expect("as many");
                            assert_eq!((entry.range.begin, entry.range.end), expected);
                            assert!(!entry.data.0.is_empty());
                            ranges += 1;
                        }
                        assert!(new.next().expect("readable").is_none(), "no more than there were");
                    }
                    (AttributeValue::Exprloc(old), AttributeValue::Exprloc(new)) => {
                        assert_eq!(old.0.is_empty() || says_nothing(old) || is_dropped(old), new.0.is_empty());
                    }
                    (AttributeValue::Flag(old), AttributeValue::Flag(new)) => assert_eq!(old, new),
                    (old, new) if attribute.name() == gimli::DW_AT_name => {
                        let old = text(&before, old_unit, old).expect("a string");
                        assert_eq!(Some(old), text(&after, new_unit, new));
                    }
                    _ => {}
                }
            }
        }
    }
    (entries, ranges)
}

/// Entry values, of which nobody knows the calls.
fn says_nothing(expression: gimli::Expression<Slice<'_>>) -> bool {
    expression.0.slice().iter().any(|byte| [0xa3, 0xf3].contains(byte))
}

/// The address that the linker gives to what it drops; the fixtures have no index to one.
fn is_dropped(expression: gimli::Expression<Slice<'_>>) -> bool {
    matches!(expression.0.slice(), [3, 0xff, 0xff, 0xff, 0xff])
}

#[test]
fn the_output_has_the_entries_references_and_ranges_of_the_input() {
    for (wasm, optimised) in [
        (fixture("O0"), false),
        (fixture("O2"), true),
        (fixture("O2-dwarf4"), true),
        (fixture("O2-wasm64"), true),
        (minik(), true),
    ] {
        let (entries, ranges) = compare(&wasm);
        assert!(entries > 60, "{entries} entries");
        assert!(ranges > 5 || !optimised, "{ranges} ranges");
    }
}

//! The rewritten DWARF says the same of every instruction as the input does.

use std::borrow::Cow;
use std::collections::BTreeMap;

use gimli::{AttributeValue, Dwarf, DwarfSections, EndianSlice, LittleEndian};
use object::{Object, ObjectSection};

use super::super::layout::Layout;
use super::super::wasm::Wasm;
use super::{built, fixture, layout, minik};

pub(super) type Slice<'m> = EndianSlice<'m, LittleEndian>;

/// The DWARF of an ELF file.
pub(super) fn of_elf(elf: &[u8]) -> DwarfSections<Vec<u8>> {
    let file = object::File::parse(elf).expect("it is an ELF file");
    let section = |id: gimli::SectionId| {
        let data = file.section_by_name(id.name()).and_then(|section| section.data().ok());
        Ok::<_, ()>(data.unwrap_or_default().to_vec())
    };
    DwarfSections::load(section).expect("nothing fails")
}

pub(super) fn borrow(dwarf: &DwarfSections<Vec<u8>>) -> Dwarf<Slice<'_>> {
    dwarf.borrow(|bytes| Slice::new(bytes, LittleEndian))
}

/// Reads all of it: what gimli cannot read, no debugger can.
pub(super) fn read_all(dwarf: &Dwarf<Slice<'_>>) -> Result<usize, gimli::Error> {
    let mut units = dwarf.units();
    let mut count = 0;
    while let Some(header) = units.next()? {
        let unit = dwarf.unit(header)?;
        let expression = |expression: gimli::Expression<Slice<'_>>| -> Result<(), gimli::Error> {
            let mut operations = expression.operations(unit.encoding());
            while let Some(operation) = operations.next()? {
                match operation {
                    gimli::Operation::Convert { base_type } if base_type.0 != 0 => {
                        assert_eq!(unit.entry(base_type)?.tag(), gimli::DW_TAG_base_type);
                    }
                    gimli::Operation::WasmLocal { .. }
                    | gimli::Operation::WasmGlobal { .. }
                    | gimli::Operation::WasmStack { .. } => panic!("the Wasm machine shows: {operation:?}"),
                    _ => {}
                }
            }
            Ok(())
        };
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            count += 1;
            for attribute in entry.attrs() {
                match attribute.value() {
                    AttributeValue::UnitRef(offset) => {
                        unit.entry(offset)?;
                    }
                    AttributeValue::DebugInfoRef(offset) => {
                        dwarf.unit_header(offset).err();
                    }
                    AttributeValue::Exprloc(bytes) => expression(bytes)?,
                    value @ AttributeValue::LocationListsRef(_) => {
                        let mut list = dwarf.attr_locations(&unit, value)?.expect("it is a list");
                        while let Some(entry) = list.next()? {
                            expression(entry.data)?;
                        }
                    }
                    value @ AttributeValue::RangeListsRef(_) => {
                        let mut list = dwarf.attr_ranges(&unit, value)?.expect("it is a list");
                        while list.next()?.is_some() {}
                    }
                    _ => {}
                }
            }
        }
        if let Some(program) = unit.line_program.clone() {
            let mut rows = program.rows();
            while rows.next_row()?.is_some() {}
        }
    }
    Ok(count)
}

/// File, line and column of every address that has some, by the rows that cover it.
fn lines(dwarf: &Dwarf<Slice<'_>>) -> BTreeMap<u64, (String, u64, u64)> {
    let mut lines = BTreeMap::new();
    let mut units = dwarf.units();
    while let Some(header) = units.next().expect("readable") {
        let unit = dwarf.unit(header).expect("readable");
        let Some(program) = unit.line_program.clone() else { continue };
        let mut rows = program.rows();
        let mut last: Option<(u64, (String, u64, u64))> = None;
        while let Some((header, row)) = rows.next_row().expect("readable") {
            if let Some((start, place)) = last.take() {
                lines.extend((start..row.address()).map(|address| (address, place.clone())));
            }
            if row.end_sequence() {
                continue;
            }
            let file = row.file(header).map_or(Cow::Borrowed("?"), |file| {
                let name = dwarf.attr_string(&unit, file.path_name()).expect("readable");
                Cow::Owned(format!("{}:{}", file.directory_index(), name.to_string_lossy()))
            });
            let column = match row.column() {
                gimli::ColumnType::LeftEdge => 0,
                gimli::ColumnType::Column(column) => column.get(),
            };
            last = Some((row.address(), (file.into_owned(), row.line().map_or(0, u64::from), column)));
        }
    }
    lines
}

#[test]
fn every_instruction_keeps_its_line() {
    for wasm in [fixture("O0"), fixture("O2"), fixture("O2-dwarf4"), fixture("O2-wasm64"), minik()] {
        let outline = Wasm::read(&wasm, &mut Vec::new()).expect("a module");
        let section = |id: gimli::SectionId| {
            let bytes = outline.debug.get(id.name()).copied().unwrap_or_default();
            Ok::<_, ()>(Slice::new(bytes, LittleEndian))
        };
        let before = lines(&Dwarf::load(section).expect("nothing fails"));
        let companion = built(&wasm);
        let dwarf = of_elf(&companion.elf);
        let after = lines(&borrow(&dwarf));
        let base = layout(&wasm).code_base(wkdb_tracer::ModuleId::KERNEL).expect("placed");
        let mut checked = 0;
        for function in &outline.functions {
            for offset in u64::from(function.start)..u64::from(function.end) {
                if offset < u64::from(function.first) {
                    assert_eq!(after.get(&(base + offset)), None, "a line before the first instruction");
                    continue;
                }
                assert_eq!(before.get(&offset), after.get(&(base + offset)), "at {offset:#x}");
                checked += usize::from(before.contains_key(&offset));
            }
        }
        assert!(checked > 100);
    }
}

#[test]
fn all_of_the_output_can_be_read_and_every_function_begins_at_its_first_instruction() {
    for wasm in [fixture("O0"), fixture("O2"), fixture("O2-dwarf4"), fixture("O2-wasm64"), fixture("pic"), minik()] {
        let outline = Wasm::read(&wasm, &mut Vec::new()).expect("a module");
        let companion = built(&wasm);
        assert_eq!(companion.problems, Vec::<String>::new());
        let dwarf = of_elf(&companion.elf);
        let dwarf = borrow(&dwarf);
        assert!(read_all(&dwarf).expect("readable") > 50);
        let layout: Layout = layout(&wasm);
        let base = layout.code_base(wkdb_tracer::ModuleId::KERNEL).expect("placed");
        let mut units = dwarf.units();
        let mut found = 0;
        while let Some(header) = units.next().expect("readable") {
            let unit = dwarf.unit(header).expect("readable");
            let mut entries = unit.entries();
            while let Some(entry) = entries.next_dfs().expect("readable") {
                assert!(
                    ![gimli::DW_TAG_call_site, gimli::DW_TAG_GNU_call_site].contains(&entry.tag()),
                    "a call site is left"
                );
                let Some(AttributeValue::Addr(low)) = entry.attr_value(gimli::DW_AT_low_pc) else { continue };
                if entry.tag() != gimli::DW_TAG_subprogram || low == 0 {
                    continue;
                }
                let function = outline.function_at(low - base).expect("it is a function's");
                assert_eq!(low - base, u64::from(function.first));
                let len = entry.attr_value(gimli::DW_AT_high_pc).and_then(|len| len.udata_value());
                assert_eq!(len, Some(u64::from(function.end - function.first)));
                found += 1;
            }
        }
        assert!(found >= 3, "{found} functions");
    }
}

#[test]
fn producers_are_known_to_gdb_and_pointers_have_sizes() {
    for name in ["O2", "O2-dwarf4"] {
        let companion = built(&fixture(name));
        let dwarf = of_elf(&companion.elf);
        let dwarf = borrow(&dwarf);
        let header = dwarf.units().next().expect("readable").expect("a unit");
        let unit = dwarf.unit(header).expect("readable");
        let mut entries = unit.entries();
        let mut pointers = 0;
        while let Some(entry) = entries.next_dfs().expect("readable") {
            if let Some(producer) = entry.attr_value(gimli::DW_AT_producer) {
                let producer = dwarf.attr_string(&unit, producer).expect("readable");
                assert!(producer.slice().starts_with(b"clang version 22"), "{producer:?}");
            }
            if entry.tag() == gimli::DW_TAG_pointer_type {
                let size = entry.attr_value(gimli::DW_AT_byte_size).and_then(|size| size.udata_value());
                assert_eq!(size, Some(4));
                pointers += 1;
            }
        }
        assert!(pointers > 1);
    }
}

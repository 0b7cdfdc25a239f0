//! The units of a module's DWARF, read when they are first needed, and what every question needs of their entries:
//! names, references, ranges.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use gimli::{
    AttributeValue, DebugInfoOffset, DebugTypeSignature, DebuggingInformationEntry, DwAt, Dwarf, EndianArcSlice,
    EndianSlice, LittleEndian, Reader, Unit, UnitHeader, UnitOffset, UnitRef, UnitType,
};
use serde::{Deserialize, Serialize};
use wkdb_tracer::CodeOffset;

use super::super::module::DebugSections;

/// Sections that keep the module's bytes alive.
pub(super) type Shared = EndianArcSlice<LittleEndian>;
/// Sections for one pass over all of them: quicker.
pub(super) type Borrowed<'m> = EndianSlice<'m, LittleEndian>;
pub(super) type Entry = DebuggingInformationEntry<Shared>;

/// How many entries of one kind are followed to one another (specification, origin): longer chains are circular.
pub(super) const MAX_CHAIN: usize = 64;

/// The place of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(u32, usize)", into = "(u32, usize)")]
pub(in super::super) struct Die {
    /// The unit's position in the module.
    pub(super) unit: u32,
    pub(super) offset: UnitOffset,
}

impl From<(u32, usize)> for Die {
    fn from((unit, offset): (u32, usize)) -> Die {
        Die { unit, offset: UnitOffset(offset) }
    }
}

impl From<Die> for (u32, usize) {
    fn from(die: Die) -> (u32, usize) {
        (die.unit, die.offset.0)
    }
}

impl Die {
    /// The unit's position in the module.
    pub(in super::super) fn unit(self) -> u32 {
        self.unit
    }
}

/// All unit headers, in the order of their offsets, those of `.debug_types` last; and why there are no more.
pub(super) fn headers<R: Reader>(dwarf: &Dwarf<R>) -> (Vec<UnitHeader<R>>, Option<gimli::Error>) {
    let mut all = Vec::new();
    let mut units = dwarf.units();
    loop {
        match units.next() {
            Ok(Some(header)) => all.push(header),
            Ok(None) => break,
            // The next header's place is known only from this one.
            Err(error) => return (all, Some(error)),
        }
    }
    let mut units = dwarf.type_units();
    loop {
        match units.next() {
            Ok(Some(header)) => all.push(header),
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(error)),
        }
    }
}

/// The type that a type unit is about.
pub(super) fn type_with_signature<R: Reader<Offset = usize>>(
    headers: &[UnitHeader<R>],
    wanted: DebugTypeSignature,
) -> Option<Die> {
    (0..).zip(headers).find_map(|(unit, header)| match header.type_() {
        UnitType::Type { type_signature, type_offset } if type_signature == wanted => {
            Some(Die { unit, offset: type_offset })
        }
        _ => None,
    })
}

/// The units of a module.
pub(in super::super) struct DebugInfo {
    dwarf: Dwarf<Shared>,
    headers: Vec<UnitHeader<Shared>>,
    units: Vec<OnceCell<Option<Unit<Shared>>>>,
    /// The code of the units: range, unit; in order.
    code: OnceCell<Vec<(Range<u64>, u32)>>,
    /// The functions with code of each unit.
    functions: Vec<OnceCell<FunctionRanges>>,
}

/// The code of functions.
type FunctionRanges = Vec<(Range<u64>, Die)>;

impl DebugInfo {
    /// Finds the units of a module; `None` if it has no DWARF. What follows a broken header is left out.
    pub(in super::super) fn open(
        module: &Arc<[u8]>,
        sections: &DebugSections,
        problems: &mut Vec<String>,
    ) -> Option<DebugInfo> {
        let whole = Shared::new(Arc::clone(module), LittleEndian);
        let dwarf = match super::open(sections, |range| whole.range(range)) {
            Ok(dwarf) => dwarf?,
            Err(error) => {
                problems.push(format!("DWARF is ignored: {error}"));
                return None;
            }
        };
        let (headers, error) = headers(&dwarf);
        if let Some(error) = error {
            problems.push(format!("what follows the {}th unit is unknown: {error}", headers.len()));
        }
        let units = headers.iter().map(|_| OnceCell::new()).collect();
        let functions = headers.iter().map(|_| OnceCell::new()).collect();
        Some(DebugInfo { dwarf, headers, units, code: OnceCell::new(), functions })
    }

    /// How many units there are.
    pub(in super::super) fn len(&self) -> u32 {
        u32::try_from(self.headers.len()).unwrap_or(u32::MAX)
    }

    /// A unit; `None` if it cannot be read.
    pub(super) fn unit(&self, unit: u32) -> Option<UnitRef<'_, Shared>> {
        let index = usize::try_from(unit).ok()?;
        let read = || self.dwarf.unit(self.headers[index].clone()).ok();
        Some(self.units.get(index)?.get_or_init(read).as_ref()?.unit_ref(&self.dwarf))
    }

    /// An entry; `None` if it cannot be read.
    pub(in super::super) fn entry(&self, die: Die) -> Option<Entry> {
        self.unit(die.unit)?.entry(die.offset).ok()
    }

    /// The entry at an offset in `.debug_info`.
    pub(super) fn find(&self, offset: DebugInfoOffset) -> Option<Die> {
        let start = |header: &UnitHeader<Shared>| header.debug_info_offset().map_or(usize::MAX, |start| start.0);
        let index = self.headers.partition_point(|header| start(header) <= offset.0).checked_sub(1)?;
        let offset = offset.to_unit_offset(&self.headers[index])?;
        Some(Die { unit: u32::try_from(index).ok()?, offset })
    }

    /// Where an attribute that names another entry points.
    pub(super) fn reference(&self, unit: u32, entry: &Entry, attribute: DwAt) -> Option<Die> {
        match entry.attr_value(attribute)? {
            AttributeValue::UnitRef(offset) => Some(Die { unit, offset }),
            AttributeValue::DebugInfoRef(offset) => self.find(offset),
            AttributeValue::DebugTypesRef(signature) => type_with_signature(&self.headers, signature),
            _ => None,
        }
    }

    /// The entry and those that it completes or is an instance of, nearest first.
    pub(super) fn chain(&self, die: Die) -> Vec<(Die, Entry)> {
        let mut chain = Vec::new();
        let mut next = Some(die);
        while let Some(die) = next.filter(|_| chain.len() < MAX_CHAIN) {
            let Some(entry) = self.entry(die) else { break };
            next = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification]
                .into_iter()
                .find_map(|attribute| self.reference(die.unit, &entry, attribute));
            chain.push((die, entry));
        }
        chain
    }

    /// The first value of an attribute in a chain, and the unit that it stands in.
    pub(super) fn chained(chain: &[(Die, Entry)], attribute: DwAt) -> Option<(u32, AttributeValue<Shared>)> {
        chain.iter().find_map(|(die, entry)| Some((die.unit, entry.attr_value(attribute)?)))
    }

    /// A string attribute of an entry.
    pub(super) fn string(&self, unit: u32, value: AttributeValue<Shared>) -> Option<String> {
        let string = self.unit(unit)?.attr_string(value).ok()?;
        string.to_string_lossy().ok().map(|string| string.into_owned())
    }

    /// The entry's own name.
    pub(super) fn own_name(&self, unit: u32, entry: &Entry) -> Option<String> {
        self.string(unit, entry.attr_value(gimli::DW_AT_name)?)
    }

    /// The name of an entry, or of what it completes.
    pub(in super::super) fn name(&self, die: Die) -> Option<String> {
        let chain = self.chain(die);
        let (unit, value) = Self::chained(&chain, gimli::DW_AT_name)?;
        self.string(unit, value)
    }

    /// The entry of the type of an entry, or of what it completes.
    pub(in super::super) fn type_of(&self, die: Die) -> Option<Die> {
        self.chain(die).iter().find_map(|(die, entry)| self.reference(die.unit, entry, gimli::DW_AT_type))
    }

    /// The code of an entry; without what the linker dropped.
    pub(in super::super) fn ranges(&self, unit: u32, entry: &Entry) -> Vec<Range<u64>> {
        let Some(unit) = self.unit(unit) else { return Vec::new() };
        let Some(mut ranges) = super::code_ranges(unit, entry) else { return Vec::new() };
        let mut all = Vec::new();
        while let Ok(Some(range)) = ranges.next() {
            if range.begin < range.end && range.begin > 0 && range.end <= u64::from(u32::MAX) {
                all.push(range.begin..range.end);
            }
        }
        all
    }

    /// The source file that a unit was made from, as the compiler was told.
    pub(in super::super) fn unit_name(&self, unit: u32) -> Option<String> {
        let unit = self.unit(unit)?;
        Some(unit.name.as_ref()?.to_string_lossy().ok()?.into_owned())
    }

    /// The names of the functions that hold an entry: their own and inlined ones.
    pub(in super::super) fn functions_around(&self, die: Die) -> Vec<String> {
        let mut around: Vec<(isize, Die)> = Vec::new();
        let mut read = || -> Result<(), gimli::Error> {
            let Some(unit) = self.unit(die.unit) else { return Ok(()) };
            let mut entries = unit.entries_raw(None)?;
            while !entries.is_empty() && entries.next_offset() <= die.offset {
                let (offset, depth) = (entries.next_offset(), entries.next_depth());
                let Some(abbreviation) = entries.read_abbreviation()? else { continue };
                entries.skip_attributes(abbreviation.attributes())?;
                around.retain(|(outer, _)| *outer < depth);
                if matches!(abbreviation.tag(), gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine) {
                    around.push((depth, Die { unit: die.unit, offset }));
                }
            }
            Ok(())
        };
        // Where the unit is damaged, what is known so far.
        let _ = read();
        around.into_iter().filter_map(|(_, die)| self.name(die)).collect()
    }

    /// The entry that an instance of a function has its parameters from.
    pub(in super::super) fn origin(&self, die: Die) -> Die {
        self.chain(die).last().map_or(die, |(die, _)| *die)
    }

    /// The functions of a unit that have code, by their ranges.
    pub(super) fn functions(&self, unit: u32) -> &[(Range<u64>, Die)] {
        let Some(cell) = self.functions.get(unit as usize) else { return &[] };
        cell.get_or_init(|| {
            let mut functions = Vec::new();
            // What comes before the damage is still true.
            let _ = self.read_functions(unit, &mut functions);
            functions
        })
    }

    /// The code of a unit's functions, inlined copies too, that are declared in some files: `is_wanted` is given the
    /// unit and the number of a file in it.
    pub(in super::super) fn code_declared_in(
        &self,
        unit: u32,
        is_wanted: &dyn Fn(u32, u64) -> bool,
    ) -> Vec<(Range<u64>, Die)> {
        let mut code = Vec::new();
        let Some(parsed) = self.unit(unit) else { return code };
        let Ok(mut entries) = parsed.entries_raw(None) else { return code };
        while !entries.is_empty() {
            let offset = entries.next_offset();
            let tag = match entries.read_abbreviation() {
                Ok(Some(abbreviation)) if entries.skip_attributes(abbreviation.attributes()).is_ok() => {
                    abbreviation.tag()
                }
                Ok(None) => continue,
                // What comes before the damage is still true.
                _ => break,
            };
            if !matches!(tag, gimli::DW_TAG_subprogram | gimli::DW_TAG_inlined_subroutine) {
                continue;
            }
            let die = Die { unit, offset };
            let Some(entry) = self.entry(die) else { continue };
            let ranges = self.ranges(unit, &entry);
            if ranges.is_empty() {
                continue;
            }
            let file = match Self::chained(&self.chain(die), gimli::DW_AT_decl_file) {
                Some((unit, AttributeValue::FileIndex(file))) => Some((unit, file)),
                Some((unit, value)) => value.udata_value().map(|file| (unit, file)),
                None => None,
            };
            if file.is_some_and(|(unit, file)| is_wanted(unit, file)) {
                code.extend(ranges.into_iter().map(|range| (range, die)));
            }
        }
        code
    }

    fn read_functions(&self, number: u32, functions: &mut Vec<(Range<u64>, Die)>) -> Result<(), gimli::Error> {
        let Some(unit) = self.unit(number) else { return Ok(()) };
        let mut entries = unit.entries_raw(None)?;
        while !entries.is_empty() {
            let offset = entries.next_offset();
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            entries.skip_attributes(abbreviation.attributes())?;
            if abbreviation.tag() == gimli::DW_TAG_subprogram {
                let ranges = self.ranges(number, &unit.entry(offset)?);
                functions.extend(ranges.into_iter().map(|range| (range, Die { unit: number, offset })));
            }
        }
        Ok(())
    }

    /// The units whose code may hold an offset. More than one if a linker left dropped code's information behind.
    pub(in super::super) fn units_at(&self, offset: CodeOffset) -> Vec<u32> {
        let code = self.code.get_or_init(|| self.code_of_units());
        let offset = u64::from(offset.0);
        let mut units: Vec<u32> =
            code.iter().filter(|(range, _)| range.contains(&offset)).map(|&(_, unit)| unit).collect();
        units.dedup();
        units
    }

    fn code_of_units(&self) -> Vec<(Range<u64>, u32)> {
        let mut code = Vec::new();
        for number in 0..self.len() {
            let Some(unit) = self.unit(number) else { continue };
            let Ok(mut entries) = unit.entries_tree(None) else { continue };
            let Ok(root) = entries.root() else { continue };
            let Some(mut ranges) = super::code_ranges(unit, root.entry()) else { continue };
            while let Ok(Some(range)) = ranges.next() {
                if range.begin < range.end {
                    code.push((range.begin..range.end, number));
                }
            }
        }
        code
    }
}

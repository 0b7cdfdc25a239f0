//! Rewrites one unit of `.debug_info`: entry by entry, copying what stays the same, then filling in references.

mod attributes;

use gimli::{AttributeValue, Dwarf, EndianSlice, EntriesRaw, LittleEndian, Unit, UnitOffset, UnitType};

use super::super::bytes::Put;
use super::super::wasm::Function;
use super::expression::{Expressions, TypeFixup, TypeRef};
use super::lists::add_aranges;
use super::output::Output;
use super::plan::{GLOBAL, LOCAL, MAX_CODE, Plan, Step, wide_type};
use super::target::{Target, Terms};
use super::{UnitError, Variable, variables};

type Slice<'m> = EndianSlice<'m, LittleEndian>;

/// Where base types are referred to by location lists, by the version of the lists.
type ListFixups = Vec<TypeFixup>;

/// Marks the places of base types.
const BASE_TYPE: u32 = 1 << 31;

/// What is kept from unit to unit, for it would be costly to allocate.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Places of entries in the output's unit by their places in the input's, and whether they are base types; 0 where
    /// there is none.
    places: Vec<u32>,
    expression: Vec<u8>,
    fixups: Vec<TypeFixup>,
}

/// The rewriting of one unit.
pub(super) struct UnitRewriter<'r, 'm> {
    dwarf: &'r Dwarf<Slice<'m>>,
    unit: &'r Unit<Slice<'m>>,
    /// The unit's bytes in the input, with its header.
    input: &'m [u8],
    target: Target<'m>,
    expressions: Expressions<'r, 'm>,
    out: &'r mut Output,
    scratch: &'r mut Scratch,
    /// How many bytes of lists are believed.
    list_limit: usize,
    /// Where the unit is in `out.info`.
    start: usize,
    plans: Vec<Option<Plan>>,
    /// References to entries of this unit: their places in `out.info`, and what they refer to in the input.
    references: Vec<(usize, u32)>,
    /// Base types in expressions of `out.info`.
    types: Vec<TypeFixup>,
    /// Base types in the location lists of this unit's version.
    list_types: ListFixups,
    /// The functions that hold the entry under way, and the depths of their entries.
    functions: Vec<(isize, Option<&'m Function>)>,
    /// Where the first entry's base belongs.
    base: Option<usize>,
    /// The unit's code as its first entry tells it, else as those of functions do.
    unit_ranges: Vec<(u64, u64)>,
    function_ranges: Vec<(u64, u64)>,
    /// Entries of variables with a fixed address.
    variables: Vec<(UnitOffset, u64)>,
}

/// What is known of the entry under way.
struct Entering<'m> {
    depth: isize,
    low_pc: Option<u64>,
    /// Where its length is to be written, and `high_pc`.
    high_pc: Option<(usize, AttributeValue<Slice<'m>>)>,
    offset: UnitOffset,
}

impl<'r, 'm> UnitRewriter<'r, 'm> {
    pub(super) fn new(
        dwarf: &'r Dwarf<Slice<'m>>,
        unit: &'r Unit<Slice<'m>>,
        input: &'m [u8],
        target: Target<'m>,
        out: &'r mut Output,
        scratch: &'r mut Scratch,
        list_limit: usize,
    ) -> Self {
        let start = out.info.len();
        UnitRewriter {
            dwarf,
            unit,
            input,
            target,
            expressions: Expressions { dwarf, unit, target },
            out,
            scratch,
            list_limit,
            start,
            plans: Vec::new(),
            references: Vec::new(),
            types: Vec::new(),
            list_types: Vec::new(),
            functions: Vec::new(),
            base: None,
            unit_ranges: Vec::new(),
            function_ranges: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Writes the unit to the end of the output.
    pub(super) fn rewrite(mut self) -> Result<(), UnitError> {
        let encoding = self.unit.encoding();
        if encoding.format != gimli::Format::Dwarf32 {
            return Err(UnitError::Unsupported("64-bit DWARF"));
        }
        if !(4..=5).contains(&encoding.version) {
            return Err(UnitError::Unsupported("DWARF before version 4"));
        }
        if u64::from(encoding.address_size) != self.target.word.bytes() {
            return Err(UnitError::Unsupported("addresses of another size than the module's"));
        }
        let type_offset = self.header()?;
        self.scratch.places.clear();
        self.scratch.places.resize(self.input.len() + 1, 0);
        let wide_place = self.entries()?;
        self.abbreviations_end();
        self.resolve(wide_place)?;
        if let Some((at, offset)) = type_offset {
            let place = self.place(offset)?;
            self.out.info.patch_u32(at, place);
        }
        let len = u32::try_from(self.out.info.len() - self.start - 4).map_err(|_| UnitError::TooLarge)?;
        if len >= BASE_TYPE {
            return Err(UnitError::TooLarge);
        }
        self.out.info.patch_u32(self.start, len);
        u32::try_from(self.out.info.len()).map_err(|_| UnitError::TooLarge)?;

        let ranges = if self.unit_ranges.is_empty() { &mut self.function_ranges } else { &mut self.unit_ranges };
        ranges.sort_unstable();
        ranges.dedup();
        if let (Some(at), Some(&(first, _))) = (self.base, ranges.first()) {
            self.out.info.patch_word(self.target.word, at, first);
        }
        add_aranges(&mut self.out.aranges, self.target.word, self.start as u32, ranges);
        self.add_variables();
        Ok(())
    }

    /// Writes the header; where the place of a type unit's type belongs, and its place in the input.
    fn header(&mut self) -> Result<Option<(usize, u32)>, UnitError> {
        let encoding = self.unit.encoding();
        let info = &mut self.out.info;
        let abbreviations = self.out.abbrev.len() as u32;
        info.u32(0);
        info.u16(encoding.version);
        if encoding.version < 5 {
            info.u32(abbreviations);
            info.u8(encoding.address_size);
            return match self.unit.header.type_() {
                UnitType::Compilation => Ok(None),
                _ => Err(UnitError::Unsupported("type units of DWARF 4")),
            };
        }
        let (code, ty) = match self.unit.header.type_() {
            UnitType::Compilation => (gimli::DW_UT_compile, None),
            UnitType::Partial => (gimli::DW_UT_partial, None),
            UnitType::Type { type_signature, type_offset } => (gimli::DW_UT_type, Some((type_signature, type_offset))),
            _ => return Err(UnitError::Unsupported("split DWARF")),
        };
        info.u8(code.0);
        info.u8(encoding.address_size);
        info.u32(abbreviations);
        Ok(ty.map(|(signature, offset)| {
            info.u64(signature.0);
            info.u32(0);
            (info.len() - 4, offset.0 as u32)
        }))
    }

    /// Writes all entries; where the base type of 8 bytes is, if one was needed.
    fn entries(&mut self) -> Result<Option<u32>, UnitError> {
        let unit = self.unit;
        let unit_offset = unit.header.debug_info_offset().map_or(0, |offset| offset.0);
        let mut entries = unit.entries_raw(None)?;
        let mut started = false;
        let mut wide = None;
        if entries.is_empty() {
            return Err(UnitError::Broken);
        }
        while !entries.is_empty() && (entries.next_depth() > 0 || !started) {
            started = true;
            let depth = entries.next_depth();
            let offset = entries.next_offset();
            while self.functions.last().is_some_and(|&(function, _)| function >= depth) {
                self.functions.pop();
            }
            let Some(abbreviation) = entries.read_abbreviation()? else {
                if depth == 0 {
                    return Err(UnitError::Broken);
                }
                if depth == 1 {
                    wide = self.wide_type();
                }
                self.out.info.u8(0);
                continue;
            };
            let code = abbreviation.code();
            if code >= if self.target.terms == Terms::Wasm { LOCAL } else { MAX_CODE } {
                return Err(UnitError::Unsupported("abbreviation codes so large"));
            }
            let index = code as usize;
            if self.plans.len() <= index {
                self.plans.resize_with(index + 1, || None);
            }
            let encoding = unit.encoding();
            let plan = match self.plans[index].take() {
                Some(plan) => plan,
                None => Plan::new(
                    abbreviation,
                    encoding.version,
                    encoding.address_size,
                    self.target.terms,
                    &mut self.out.abbrev,
                ),
            };
            if depth == 0 && !is_unit(plan.tag) {
                return Err(UnitError::Broken);
            }
            if plan.dropped {
                skip(&mut entries, &plan, depth)?;
            } else {
                let place = self.out.info.len() - self.start;
                let base_type = if plan.tag == gimli::DW_TAG_base_type { BASE_TYPE } else { 0 };
                self.scratch.places[offset.0] = place as u32 & !BASE_TYPE | base_type;
                self.out.entries.push(((unit_offset + offset.0) as u32, self.out.info.len() as u32));
                if plan.or_global {
                    self.variable(code, &plan, &mut entries, depth, offset)?;
                } else {
                    self.out.info.uleb(code);
                    self.entry(&plan, &mut entries, depth, offset)?;
                }
            }
            self.plans[index] = Some(plan);
        }
        // What is cut short is closed.
        for depth in (1..=entries.next_depth()).rev() {
            if depth == 1 {
                wide = self.wide_type();
            }
            self.out.info.u8(0);
        }
        Ok(wide)
    }

    fn entry(
        &mut self,
        plan: &Plan,
        entries: &mut EntriesRaw<'_, Slice<'m>>,
        depth: isize,
        offset: UnitOffset,
    ) -> Result<(), UnitError> {
        let mut entering = Entering { depth, low_pc: None, high_pc: None, offset };
        for step in &plan.steps {
            match step {
                Step::Copy(run) => {
                    let start = entries.next_offset().0;
                    entries.skip_attributes(&plan.specs[run.clone()])?;
                    let bytes = self.input.get(start..entries.next_offset().0).ok_or(UnitError::Broken)?;
                    self.out.info.extend_from_slice(bytes);
                }
                Step::Change(index, change) => {
                    let attribute = entries.read_attribute(plan.specs[*index])?;
                    self.attribute(plan, *change, &attribute, &mut entering)?;
                }
            }
        }
        if let Some(size) = plan.byte_size {
            self.out.info.u8(size);
        }
        if let (Some(low), Some((at, high))) = (entering.low_pc, entering.high_pc) {
            let high = match high.udata_value() {
                Some(len) => low.saturating_add(len),
                None => self.dwarf.attr_address(self.unit, high)?.unwrap_or(0),
            };
            if let Some((start, end)) = self.target.range(low, high) {
                self.out.info.patch_u32(at, u32::try_from(end - start).unwrap_or(u32::MAX));
                if depth == 0 {
                    self.unit_ranges.push((start, end));
                } else if plan.tag == gimli::DW_TAG_subprogram {
                    self.function_ranges.push((start, end));
                }
            }
        }
        Ok(())
    }

    /// Writes a variable: with the abbreviation for global ones, if it has an address.
    fn variable(
        &mut self,
        code: u64,
        plan: &Plan,
        entries: &mut EntriesRaw<'_, Slice<'m>>,
        depth: isize,
        offset: UnitOffset,
    ) -> Result<(), UnitError> {
        let long = |code: u64| [code as u8 | 0x80, (code >> 7) as u8];
        let (at, known) = (self.out.info.len(), self.variables.len());
        self.out.info.extend_from_slice(&long(code + LOCAL));
        self.entry(plan, entries, depth, offset)?;
        if self.variables.len() > known {
            self.out.info[at..at + 2].copy_from_slice(&long(code + GLOBAL));
            // The second name.
            self.out.info.u8(0);
        }
        Ok(())
    }

    /// Ends the unit's abbreviations.
    fn abbreviations_end(&mut self) {
        self.out.abbrev.u8(0);
    }

    /// Writes the base type of 8 bytes, if an expression wants it.
    fn wide_type(&mut self) -> Option<u32> {
        let fixups = self.types.iter().chain(&self.list_types);
        fixups.into_iter().find(|fixup| fixup.to == TypeRef::Wide)?;
        // Only codes that were met are in the output.
        let code = self.plans.len() as u64;
        wide_type(&mut self.out.abbrev, code);
        let place = (self.out.info.len() - self.start) as u32;
        self.out.info.uleb(code);
        self.out.info.string(b"DW_ATE_unsigned_64");
        self.out.info.u8(gimli::DW_ATE_unsigned.0);
        self.out.info.u8(8);
        Some(place)
    }

    fn place(&self, offset: u32) -> Result<u32, UnitError> {
        match self.scratch.places.get(offset as usize) {
            Some(&place) if place != 0 => Ok(place & !BASE_TYPE),
            _ => Err(UnitError::Reference(offset)),
        }
    }

    /// The place of a type that an expression names.
    fn base_type(&self, offset: u32) -> Result<u32, UnitError> {
        match self.scratch.places.get(offset as usize) {
            Some(&place) if place & BASE_TYPE != 0 => Ok(place & !BASE_TYPE),
            _ => Err(UnitError::BaseType(offset)),
        }
    }

    /// Fills in what refers to entries of this unit.
    fn resolve(&mut self, wide: Option<u32>) -> Result<(), UnitError> {
        for index in 0..self.references.len() {
            let (at, offset) = self.references[index];
            let place = self.place(offset)?;
            self.out.info.patch_u32(at, place);
        }
        let type_place = |to: TypeRef| match to {
            TypeRef::Input(offset) => self.base_type(offset),
            TypeRef::Wide => wide.ok_or(UnitError::Broken),
        };
        let mut patches = Vec::with_capacity(self.types.len() + self.list_types.len());
        for fixup in self.types.iter().chain(&self.list_types) {
            patches.push((fixup.at, type_place(fixup.to)?));
        }
        let (types, list_types) = patches.split_at(self.types.len());
        let v5 = self.unit.encoding().version >= 5;
        let lists = if v5 { &mut self.out.loclists.bytes } else { &mut self.out.loc.bytes };
        for (section, patches) in [(&mut self.out.info, types), (lists, list_types)] {
            for &(at, place) in patches {
                if !section.patch_uleb(at, place) {
                    return Err(UnitError::TooLarge);
                }
            }
        }
        Ok(())
    }

    fn add_variables(&mut self) {
        for &(offset, address) in &self.variables {
            // One without a name or with a broken type has none among the symbols; the debug information still has it.
            if let Ok(Some((name, size, external))) = variables::describe(self.dwarf, self.unit, offset) {
                self.out.variables.push(Variable { name, address, size, external });
            }
        }
    }
}

fn is_unit(tag: gimli::DwTag) -> bool {
    matches!(tag, gimli::DW_TAG_compile_unit | gimli::DW_TAG_partial_unit | gimli::DW_TAG_type_unit)
}

/// Reads over an entry and all that is in it.
fn skip(entries: &mut EntriesRaw<'_, Slice<'_>>, plan: &Plan, depth: isize) -> Result<(), UnitError> {
    entries.skip_attributes(&plan.specs)?;
    while entries.next_depth() > depth && !entries.is_empty() {
        if let Some(abbreviation) = entries.read_abbreviation()? {
            entries.skip_attributes(abbreviation.attributes())?;
        }
    }
    Ok(())
}

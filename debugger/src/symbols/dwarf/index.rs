//! The names of a module: one pass over all its entries, made when a name is first asked for.

use std::collections::HashMap;

use gimli::{
    AttributeValue, DebugInfoOffset, DebuggingInformationEntry, DwAt, Dwarf, LittleEndian, Operation, Unit, UnitHeader,
};

use serde::{Deserialize, Serialize};

use super::super::module::ModuleNames;
use super::info::{Borrowed, Die, MAX_CHAIN, headers, type_with_signature};

type Entry<'m> = DebuggingInformationEntry<Borrowed<'m>>;

/// How deep namespaces are followed.
const MAX_NAMESPACES: usize = 32;

/// What a name of a type is preceded by in C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(in super::super) enum TypeSpace {
    Struct,
    Union,
    Enum,
    /// Typedefs, base types; and in C++ and Rust all others too.
    Plain,
}

/// A variable with a fixed address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Variable {
    pub(in super::super) name: String,
    pub(in super::super) address: u64,
    /// In bytes.
    pub(in super::super) size: Option<u64>,
    pub(in super::super) external: bool,
    pub(in super::super) die: Die,
}

/// Where the names of a module stand.
#[derive(Debug, Default)]
pub(in super::super) struct NameIndex {
    /// Complete types, in the order of their units.
    types: HashMap<TypeSpace, HashMap<String, Vec<Die>>>,
    /// Functions that have code, and those that were only inlined: the abstract instance.
    functions: HashMap<String, Vec<Die>>,
    /// Instances of inlined functions, by the place of the abstract one.
    inlined: HashMap<Die, Vec<Die>>,
    enumerators: HashMap<String, Vec<Die>>,
    /// In the order of their units.
    pub(in super::super) variables: Vec<Variable>,
    variable_names: HashMap<String, Vec<u32>>,
    /// Variables of whole units that have a value, but no fixed address.
    elsewhere: HashMap<String, Vec<Die>>,
}

impl NameIndex {
    pub(in super::super) fn read(module: &[u8], names: &ModuleNames, problems: &mut Vec<String>) -> NameIndex {
        let bytes = |range| Borrowed::new(module.get(range).unwrap_or_default(), LittleEndian);
        // What cannot be opened was told when the units were.
        let Ok(Some(dwarf)) = super::open(names.debug_sections(), bytes) else { return NameIndex::default() };
        let headers = headers(&dwarf).0;
        let mut reading = Reading {
            dwarf: &dwarf,
            headers: &headers,
            units: HashMap::new(),
            memory_base: names.memory_base(),
            index: NameIndex::default(),
            instances: Vec::new(),
            sizes: HashMap::new(),
        };
        for (unit, header) in (0..).zip(&headers) {
            let read = dwarf.unit(*header).and_then(|parsed| reading.unit(unit, &parsed));
            if let Err(error) = read {
                problems.push(format!("some names of the {}th unit are unknown: {error}", unit + 1));
            }
        }
        reading.finish()
    }

    /// The complete types with a name.
    pub(in super::super) fn types(&self, space: TypeSpace, name: &str) -> &[Die] {
        self.types.get(&space).and_then(|types| types.get(name)).map_or(&[], Vec::as_slice)
    }

    /// The functions with a name that have code of their own or inlined.
    pub(in super::super) fn functions(&self, name: &str) -> &[Die] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// The inlined instances of a function, by its abstract instance.
    pub(in super::super) fn inlined(&self, origin: Die) -> &[Die] {
        self.inlined.get(&origin).map_or(&[], Vec::as_slice)
    }

    /// The entries of enumerators with a name: of their enumeration types.
    pub(in super::super) fn enumerators(&self, name: &str) -> &[Die] {
        self.enumerators.get(name).map_or(&[], Vec::as_slice)
    }

    /// The variables with a name and a fixed address.
    pub(in super::super) fn variables_named(&self, name: &str) -> impl Iterator<Item = &Variable> {
        let found = self.variable_names.get(name).into_iter().flatten();
        found.filter_map(|&index| self.variables.get(index as usize))
    }

    /// The variables with a name that have no fixed address, but a value: constants that were folded, thread-local ones.
    pub(in super::super) fn elsewhere(&self, name: &str) -> &[Die] {
        self.elsewhere.get(name).map_or(&[], Vec::as_slice)
    }

    /// All names of functions.
    pub(in super::super) fn function_names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// All names of variables.
    pub(in super::super) fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.variable_names.keys().chain(self.elsewhere.keys()).map(String::as_str)
    }

    /// All names of types of a kind.
    pub(in super::super) fn type_names(&self, space: TypeSpace) -> impl Iterator<Item = &str> {
        self.types.get(&space).into_iter().flat_map(|types| types.keys().map(String::as_str))
    }
}

struct Reading<'d, 'm> {
    dwarf: &'d Dwarf<Borrowed<'m>>,
    headers: &'d [UnitHeader<Borrowed<'m>>],
    /// Those that references from other units lead to.
    units: HashMap<u32, Option<Unit<Borrowed<'m>>>>,
    /// The global that a position-independent module's addresses are relative to.
    memory_base: Option<u32>,
    index: NameIndex,
    /// Functions with code whose name stands at their abstract instance: that, and the function.
    instances: Vec<(Die, Die)>,
    /// Sizes of types that are known already.
    sizes: HashMap<Die, Option<u64>>,
}

impl<'m> Reading<'_, 'm> {
    fn unit(&mut self, number: u32, unit: &Unit<Borrowed<'m>>) -> Result<(), gimli::Error> {
        let mut entries = unit.entries_raw(None)?;
        let mut entry = Entry::null();
        // The namespaces around the next entry, with their depths.
        let mut namespaces: Vec<(isize, String)> = Vec::new();
        let mut enumeration = None;
        while !entries.is_empty() {
            let depth = entries.next_depth();
            let offset = entries.next_offset();
            let mut ahead = entries.clone();
            let Some(abbreviation) = ahead.read_abbreviation()? else {
                entries = ahead;
                continue;
            };
            let tag = abbreviation.tag();
            if !is_named(tag) {
                ahead.skip_attributes(abbreviation.attributes())?;
                entries = ahead;
                continue;
            }
            entries.read_entry(&mut entry)?;
            while namespaces.last().is_some_and(|(outer, _)| *outer >= depth) {
                namespaces.pop();
            }
            let die = Die { unit: number, offset };
            match tag {
                gimli::DW_TAG_namespace => {
                    if let Some(name) = self.name(unit, &entry)
                        && namespaces.len() < MAX_NAMESPACES
                    {
                        namespaces.push((depth, name));
                    }
                }
                gimli::DW_TAG_variable => {
                    let has_value = |entry: &Entry<'m>| {
                        [gimli::DW_AT_location, gimli::DW_AT_const_value].iter().any(|&name| entry.has_attr(name))
                    };
                    if let Some(variable) = self.variable(die, unit, &entry)? {
                        self.index.variables.push(variable);
                    } else if depth == 1 + namespaces.len() as isize
                        && has_value(&entry)
                        && !self.is_dropped(unit, &entry)
                        && let Some(name) = self.name(unit, &entry)
                    {
                        self.index.elsewhere.entry(name).or_default().push(die);
                    }
                }
                gimli::DW_TAG_subprogram => self.function(die, unit, &entry, &namespaces),
                gimli::DW_TAG_inlined_subroutine => {
                    if let Some(origin) = self.reference(number, &entry, gimli::DW_AT_abstract_origin) {
                        self.index.inlined.entry(origin).or_default().push(die);
                    }
                }
                gimli::DW_TAG_enumerator => {
                    if let (Some(name), Some(enumeration)) = (self.name(unit, &entry), enumeration) {
                        self.index.enumerators.entry(name).or_default().push(enumeration);
                    }
                }
                _ => {
                    if tag == gimli::DW_TAG_enumeration_type {
                        enumeration = Some(die);
                    }
                    self.type_entry(die, unit, &entry, &namespaces);
                }
            }
        }
        Ok(())
    }

    fn type_entry(&mut self, die: Die, unit: &Unit<Borrowed<'m>>, entry: &Entry<'m>, namespaces: &[(isize, String)]) {
        if entry.attr(gimli::DW_AT_declaration).is_some() {
            return;
        }
        let Some(name) = self.name(unit, entry) else { return };
        let space = match entry.tag() {
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => TypeSpace::Struct,
            gimli::DW_TAG_union_type => TypeSpace::Union,
            gimli::DW_TAG_enumeration_type => TypeSpace::Enum,
            _ => TypeSpace::Plain,
        };
        if let Some(qualified) = qualified(namespaces, &name) {
            self.index.types.entry(space).or_default().entry(qualified).or_default().push(die);
        }
        self.index.types.entry(space).or_default().entry(name).or_default().push(die);
    }

    fn function(&mut self, die: Die, unit: &Unit<Borrowed<'m>>, entry: &Entry<'m>, namespaces: &[(isize, String)]) {
        let has_code = entry.attr(gimli::DW_AT_low_pc).is_some() || entry.attr(gimli::DW_AT_ranges).is_some();
        let inlined = entry.attr(gimli::DW_AT_inline).is_some();
        if !has_code && !inlined {
            return;
        }
        match self.name(unit, entry) {
            Some(name) => {
                if let Some(qualified) = qualified(namespaces, &name) {
                    self.index.functions.entry(qualified).or_default().push(die);
                }
                self.index.functions.entry(name).or_default().push(die);
            }
            None => {
                let origin = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification]
                    .into_iter()
                    .find_map(|attribute| self.reference(die.unit, entry, attribute));
                self.instances.extend(origin.map(|origin| (origin, die)));
            }
        }
    }

    fn finish(mut self) -> NameIndex {
        for (origin, die) in std::mem::take(&mut self.instances) {
            if let Some(name) = self.name_of(origin) {
                self.index.functions.entry(name).or_default().push(die);
            }
        }
        for dies in self.index.functions.values_mut() {
            dies.sort_unstable();
        }
        for (number, variable) in (0..).zip(&self.index.variables) {
            self.index.variable_names.entry(variable.name.clone()).or_default().push(number);
        }
        self.index
    }

    fn name(&self, unit: &Unit<Borrowed<'m>>, entry: &Entry<'m>) -> Option<String> {
        let name = self.dwarf.attr_string(unit, entry.attr_value(gimli::DW_AT_name)?).ok()?;
        Some(String::from_utf8_lossy(name.slice()).into_owned())
    }

    /// The name of an entry of any unit, or of what it completes.
    fn name_of(&mut self, mut die: Die) -> Option<String> {
        for _ in 0..MAX_CHAIN {
            let entry = self.entry(die)?;
            if let Some(name) = entry.attr_value(gimli::DW_AT_name) {
                let dwarf = self.dwarf;
                let name = dwarf.attr_string(self.other_unit(die.unit)?, name).ok()?;
                return Some(String::from_utf8_lossy(name.slice()).into_owned());
            }
            die = [gimli::DW_AT_abstract_origin, gimli::DW_AT_specification]
                .into_iter()
                .find_map(|attribute| self.reference(die.unit, &entry, attribute))?;
        }
        None
    }

    fn other_unit(&mut self, unit: u32) -> Option<&Unit<Borrowed<'m>>> {
        let (dwarf, headers) = (self.dwarf, self.headers);
        let read = || dwarf.unit(*headers.get(unit as usize)?).ok();
        self.units.entry(unit).or_insert_with(read).as_ref()
    }

    fn entry(&mut self, die: Die) -> Option<Entry<'m>> {
        self.other_unit(die.unit)?.entry(die.offset).ok()
    }

    /// Where an attribute that names another entry points.
    fn reference(&self, unit: u32, entry: &Entry<'m>, attribute: DwAt) -> Option<Die> {
        match entry.attr_value(attribute)? {
            AttributeValue::UnitRef(offset) => Some(Die { unit, offset }),
            AttributeValue::DebugInfoRef(offset) => self.find(offset),
            AttributeValue::DebugTypesRef(signature) => type_with_signature(self.headers, signature),
            _ => None,
        }
    }

    fn find(&self, offset: DebugInfoOffset) -> Option<Die> {
        let start = |header: &UnitHeader<Borrowed<'m>>| header.debug_info_offset().map_or(usize::MAX, |start| start.0);
        let unit = self.headers.partition_point(|header| start(header) <= offset.0).checked_sub(1)?;
        Some(Die { unit: u32::try_from(unit).ok()?, offset: offset.to_unit_offset(&self.headers[unit])? })
    }

    /// A variable with a fixed address. Its name and type may stand at a declaration that it completes.
    fn variable(
        &mut self,
        die: Die,
        unit: &Unit<Borrowed<'m>>,
        entry: &Entry<'m>,
    ) -> Result<Option<Variable>, gimli::Error> {
        let Some(address) = self.fixed_address(unit, entry)? else { return Ok(None) };
        let declaration = [gimli::DW_AT_specification, gimli::DW_AT_abstract_origin]
            .into_iter()
            .find_map(|attribute| self.reference(die.unit, entry, attribute));
        let declared = declaration.and_then(|declaration| self.entry(declaration));
        let name = match (self.name(unit, entry), declaration) {
            (Some(name), _) => name,
            (None, Some(declaration)) => match self.name_of(declaration) {
                Some(name) => name,
                None => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        let is_external =
            |entry: &Entry<'m>| matches!(entry.attr_value(gimli::DW_AT_external), Some(AttributeValue::Flag(true)));
        let external = is_external(entry) || declared.as_ref().is_some_and(is_external);
        let ty = self.reference(die.unit, entry, gimli::DW_AT_type).or_else(|| {
            let (die, entry) = (declaration?, declared.as_ref()?);
            self.reference(die.unit, entry, gimli::DW_AT_type)
        });
        let size = ty.and_then(|ty| self.size(ty));
        Ok(Some(Variable { name, address, size, external, die }))
    }

    /// Whether the variable was dropped by the linker: its location begins with an address that means that.
    fn is_dropped(&self, unit: &Unit<Borrowed<'m>>, entry: &Entry<'m>) -> bool {
        let Some(AttributeValue::Exprloc(expression)) = entry.attr_value(gimli::DW_AT_location) else { return false };
        let address = match expression.operations(unit.encoding()).next() {
            Ok(Some(Operation::Address { address })) => address,
            Ok(Some(Operation::AddressIndex { index })) => self.dwarf.address(unit, index).unwrap_or(0),
            _ => return false,
        };
        is_dropped(address, unit.encoding().address_size, false)
    }

    /// The address, if the variable's location is nothing but one: `addr`, or `memory_base + addr` where code is
    /// position-independent. Thread-local variables are relative to another global.
    fn fixed_address(&self, unit: &Unit<Borrowed<'m>>, entry: &Entry<'m>) -> Result<Option<u64>, gimli::Error> {
        let Some(AttributeValue::Exprloc(expression)) = entry.attr_value(gimli::DW_AT_location) else {
            return Ok(None);
        };
        let mut operations = expression.operations(unit.encoding());
        let mut first = operations.next()?;
        let relative = match first {
            Some(Operation::WasmGlobal { index }) if Some(index) == self.memory_base => {
                first = operations.next()?;
                true
            }
            _ => false,
        };
        let address = match first {
            Some(Operation::Address { address }) => address,
            Some(Operation::AddressIndex { index }) => self.dwarf.address(unit, index)?,
            _ => return Ok(None),
        };
        let whole = (!relative || matches!(operations.next()?, Some(Operation::Plus))) && operations.next()?.is_none();
        let dropped = is_dropped(address, unit.encoding().address_size, relative);
        Ok((whole && !dropped).then_some(address))
    }

    /// The size of a type in bytes.
    fn size(&mut self, ty: Die) -> Option<u64> {
        if let Some(&size) = self.sizes.get(&ty) {
            return size;
        }
        let size = self.size_of_chain(ty);
        self.sizes.insert(ty, size);
        size
    }

    /// Follows typedefs, qualifiers and arrays down to a type that has a size.
    fn size_of_chain(&mut self, mut ty: Die) -> Option<u64> {
        let mut elements: u64 = 1;
        for _ in 0..MAX_CHAIN {
            let entry = self.entry(ty)?;
            if let Some(definition) = self.reference(ty.unit, &entry, gimli::DW_AT_signature) {
                ty = definition;
                continue;
            }
            if let Some(size) = entry.attr_value(gimli::DW_AT_byte_size) {
                return size.udata_value()?.checked_mul(elements);
            }
            match entry.tag() {
                gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => {
                    return elements.checked_mul(u64::from(self.other_unit(ty.unit)?.encoding().address_size));
                }
                gimli::DW_TAG_array_type => elements = self.count(ty)?.checked_mul(elements)?,
                gimli::DW_TAG_typedef
                | gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_restrict_type
                | gimli::DW_TAG_atomic_type => {}
                _ => return None,
            }
            ty = self.reference(ty.unit, &entry, gimli::DW_AT_type)?;
        }
        None
    }

    /// How many elements an array has, in all its dimensions together; `None` for one of open length.
    fn count(&mut self, array: Die) -> Option<u64> {
        let unit = self.other_unit(array.unit)?;
        let mut tree = unit.entries_tree(Some(array.offset)).ok()?;
        let mut dimensions = tree.root().ok()?.children();
        let mut product: Option<u64> = None;
        while let Some(dimension) = dimensions.next().ok()? {
            let entry = dimension.entry();
            if entry.tag() == gimli::DW_TAG_subrange_type {
                product = Some(product.unwrap_or(1).checked_mul(element_count(|name| entry.attr_value(name))?)?);
            }
        }
        product
    }
}

/// The number of elements of an array's dimension.
pub(super) fn element_count<R: gimli::Reader>(attribute: impl Fn(DwAt) -> Option<AttributeValue<R>>) -> Option<u64> {
    let last = || attribute(gimli::DW_AT_upper_bound)?.udata_value()?.checked_add(1);
    attribute(gimli::DW_AT_count).and_then(|count| count.udata_value()).or_else(last)
}

/// Whether an address of data means that the linker dropped them: all ones or, from older ones, 0, where nothing else
/// lives.
pub(super) fn is_dropped(address: u64, address_size: u8, relative: bool) -> bool {
    let all_ones = if address_size == 8 { u64::MAX } else { u64::from(u32::MAX) };
    address >= all_ones - 1 || (address == 0 && !relative)
}

fn qualified(namespaces: &[(isize, String)], name: &str) -> Option<String> {
    let mut path = String::new();
    for (_, namespace) in namespaces {
        path.push_str(namespace);
        path.push_str("::");
    }
    (!path.is_empty()).then(|| path + name)
}

fn is_named(tag: gimli::DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_namespace
            | gimli::DW_TAG_variable
            | gimli::DW_TAG_subprogram
            | gimli::DW_TAG_inlined_subroutine
            | gimli::DW_TAG_structure_type
            | gimli::DW_TAG_class_type
            | gimli::DW_TAG_union_type
            | gimli::DW_TAG_enumeration_type
            | gimli::DW_TAG_enumerator
            | gimli::DW_TAG_typedef
            | gimli::DW_TAG_base_type
    )
}

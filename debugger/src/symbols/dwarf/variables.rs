//! The variables with a fixed address: globals, and statics of files and functions.

use std::collections::HashMap;

use gimli::{
    AttributeValue, DebugInfoOffset, DebuggingInformationEntry, Dwarf, EndianSlice, LittleEndian, Operation, Unit,
    UnitOffset,
};

use super::super::module::ModuleNames;

type Slice<'m> = EndianSlice<'m, LittleEndian>;
type Entry<'m> = DebuggingInformationEntry<Slice<'m>>;

/// How long a chain of types is followed: longer ones are circular.
const MAX_TYPE_CHAIN: usize = 64;

/// A variable with a fixed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Variable {
    pub(in super::super) name: String,
    pub(in super::super) address: u64,
    /// In bytes.
    pub(in super::super) size: Option<u64>,
    pub(in super::super) external: bool,
}

/// Reads all variables with a fixed address. Units that cannot be read are left out and told in `problems`.
pub(in super::super) fn variables(module: &[u8], names: &ModuleNames, problems: &mut Vec<String>) -> Vec<Variable> {
    let bytes = |range| Slice::new(module.get(range).unwrap_or_default(), LittleEndian);
    match super::open(names.debug_sections(), bytes) {
        Ok(Some(dwarf)) => Units::read(&dwarf, names.memory_base(), problems).variables(problems),
        Ok(None) => Vec::new(),
        Err(error) => {
            problems.push(format!("DWARF is ignored: {error}"));
            Vec::new()
        }
    }
}

struct Units<'d, 'm> {
    dwarf: &'d Dwarf<Slice<'m>>,
    /// The global that a position-independent module's addresses are relative to.
    memory_base: Option<u32>,
    /// In the order of their offsets.
    units: Vec<Unit<Slice<'m>>>,
    /// Sizes of types that are known already, by the unit and the type's place in it.
    sizes: HashMap<(usize, UnitOffset), Option<u64>>,
}

impl<'d, 'm> Units<'d, 'm> {
    fn read(dwarf: &'d Dwarf<Slice<'m>>, memory_base: Option<u32>, problems: &mut Vec<String>) -> Self {
        let mut units = Vec::new();
        let mut headers = dwarf.units();
        loop {
            match headers.next().and_then(|header| header.map(|header| dwarf.unit(header)).transpose()) {
                Ok(Some(unit)) => units.push(unit),
                Ok(None) => break,
                // The next header's place is known only from this one, unless just its unit is broken.
                Err(error) => {
                    problems.push(format!("the variables after the {}th unit are unknown: {error}", units.len()));
                    break;
                }
            }
        }
        Units { dwarf, memory_base, units, sizes: HashMap::new() }
    }

    fn variables(mut self, problems: &mut Vec<String>) -> Vec<Variable> {
        let mut variables = Vec::new();
        for unit in 0..self.units.len() {
            if let Err(error) = self.unit_variables(unit, &mut variables) {
                problems.push(format!("some variables of the {}th unit are unknown: {error}", unit + 1));
            }
        }
        variables
    }

    fn unit_variables(&mut self, unit: usize, variables: &mut Vec<Variable>) -> Result<(), gimli::Error> {
        let mut found = Vec::new();
        let mut entries = self.units[unit].entries();
        while let Some(entry) = entries.next_dfs()? {
            if entry.tag() == gimli::DW_TAG_variable
                && let Some(address) = self.fixed_address(unit, entry)?
            {
                found.push((address, entry.clone()));
            }
        }
        for (address, entry) in found {
            if let Some(variable) = self.variable(unit, address, &entry)? {
                variables.push(variable);
            }
        }
        Ok(())
    }

    /// The address, if the variable's location is nothing but one: `addr`, or `memory_base + addr` where code is
    /// position-independent. Thread-local variables are relative to another global.
    fn fixed_address(&self, unit: usize, entry: &Entry<'m>) -> Result<Option<u64>, gimli::Error> {
        let unit = &self.units[unit];
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
        // What the linker dropped has an address of all ones or, from older ones, of 0, where nothing else lives.
        let all_ones = if unit.encoding().address_size == 8 { u64::MAX } else { u64::from(u32::MAX) };
        let dropped = address >= all_ones - 1 || (address == 0 && !relative);
        Ok((whole && !dropped).then_some(address))
    }

    /// The name and the type may stand at a declaration that the entry completes.
    fn variable(&mut self, unit: usize, address: u64, entry: &Entry<'m>) -> Result<Option<Variable>, gimli::Error> {
        let declaration = match self.reference(unit, entry, gimli::DW_AT_specification) {
            Some(place) => Some(place),
            None => self.reference(unit, entry, gimli::DW_AT_abstract_origin),
        };
        let declaration = match declaration {
            Some((unit, offset)) => Some((unit, self.units[unit].entry(offset)?)),
            None => None,
        };
        let sources: Vec<(usize, &Entry<'m>)> =
            [(unit, entry)].into_iter().chain(declaration.as_ref().map(|(unit, entry)| (*unit, entry))).collect();
        let name = sources.iter().find_map(|&(unit, entry)| Some((unit, entry.attr_value(gimli::DW_AT_name)?)));
        let Some((name_unit, name)) = name else { return Ok(None) };
        let name = self.dwarf.attr_string(&self.units[name_unit], name)?.to_string_lossy().into_owned();
        let external = sources
            .iter()
            .any(|(_, entry)| matches!(entry.attr_value(gimli::DW_AT_external), Some(AttributeValue::Flag(true))));
        let ty = sources.iter().find_map(|&(unit, entry)| self.reference(unit, entry, gimli::DW_AT_type));
        let size = match ty {
            Some((unit, offset)) => self.size(unit, offset)?,
            None => None,
        };
        Ok(Some(Variable { name, address, size, external }))
    }

    /// Where an attribute that names another entry points.
    fn reference(&self, unit: usize, entry: &Entry<'m>, attribute: gimli::DwAt) -> Option<(usize, UnitOffset)> {
        match entry.attr_value(attribute)? {
            AttributeValue::UnitRef(offset) => Some((unit, offset)),
            AttributeValue::DebugInfoRef(offset) => self.find(offset),
            _ => None,
        }
    }

    fn find(&self, offset: DebugInfoOffset) -> Option<(usize, UnitOffset)> {
        let start = |unit: &Unit<Slice<'m>>| unit.header.debug_info_offset().map_or(usize::MAX, |start| start.0);
        let unit = self.units.partition_point(|unit| start(unit) <= offset.0).checked_sub(1)?;
        Some((unit, offset.to_unit_offset(&self.units[unit].header)?))
    }

    /// The size of a type in bytes.
    fn size(&mut self, unit: usize, offset: UnitOffset) -> Result<Option<u64>, gimli::Error> {
        if let Some(&size) = self.sizes.get(&(unit, offset)) {
            return Ok(size);
        }
        let size = self.size_of_chain(unit, offset)?;
        self.sizes.insert((unit, offset), size);
        Ok(size)
    }

    /// Follows typedefs, qualifiers and arrays down to a type that has a size.
    fn size_of_chain(&self, mut unit: usize, mut offset: UnitOffset) -> Result<Option<u64>, gimli::Error> {
        let mut elements: u64 = 1;
        for _ in 0..MAX_TYPE_CHAIN {
            let entry = self.units[unit].entry(offset)?;
            if let Some(size) = entry.attr_value(gimli::DW_AT_byte_size) {
                return Ok(size.udata_value().and_then(|size| size.checked_mul(elements)));
            }
            match entry.tag() {
                gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => {
                    return Ok(elements.checked_mul(u64::from(self.units[unit].encoding().address_size)));
                }
                gimli::DW_TAG_array_type => match self.count(unit, offset)?.and_then(|n| n.checked_mul(elements)) {
                    Some(count) => elements = count,
                    None => return Ok(None),
                },
                gimli::DW_TAG_typedef
                | gimli::DW_TAG_const_type
                | gimli::DW_TAG_volatile_type
                | gimli::DW_TAG_restrict_type
                | gimli::DW_TAG_atomic_type => {}
                _ => return Ok(None),
            }
            match self.reference(unit, &entry, gimli::DW_AT_type) {
                Some(next) => (unit, offset) = next,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// How many elements an array has, in all its dimensions together; `None` for one of open length.
    fn count(&self, unit: usize, array: UnitOffset) -> Result<Option<u64>, gimli::Error> {
        let mut tree = self.units[unit].entries_tree(Some(array))?;
        let mut dimensions = tree.root()?.children();
        let mut product: Option<u64> = None;
        while let Some(dimension) = dimensions.next()? {
            let entry = dimension.entry();
            if entry.tag() != gimli::DW_TAG_subrange_type {
                continue;
            }
            let number = |attribute| entry.attr_value(attribute).and_then(|value| value.udata_value());
            let last = number(gimli::DW_AT_upper_bound).and_then(|last| last.checked_add(1));
            let Some(count) = number(gimli::DW_AT_count).or(last) else { return Ok(None) };
            product = product.unwrap_or(1).checked_mul(count);
            if product.is_none() {
                return Ok(None);
            }
        }
        Ok(product)
    }
}

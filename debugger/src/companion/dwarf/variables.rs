//! Names and sizes of variables, for symbols.

use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, EndianSlice, LittleEndian, Unit, UnitOffset};

type Slice<'m> = EndianSlice<'m, LittleEndian>;
type Entry<'m> = DebuggingInformationEntry<Slice<'m>>;

/// How long a chain of types is followed: longer ones are circular.
const MAX_CHAIN: usize = 64;

/// The name of a variable, its size in bytes, if its type tells, and whether it can be seen in other files. The name and
/// the type may stand at a declaration that the entry completes.
pub(super) fn describe(
    dwarf: &Dwarf<Slice<'_>>,
    unit: &Unit<Slice<'_>>,
    offset: UnitOffset,
) -> Result<Option<(String, Option<u64>, bool)>, gimli::Error> {
    let mut entries = vec![unit.entry(offset)?];
    for attribute in [gimli::DW_AT_specification, gimli::DW_AT_abstract_origin] {
        if let Some(AttributeValue::UnitRef(declaration)) = entries[0].attr_value(attribute) {
            entries.push(unit.entry(declaration)?);
        }
    }
    let value = |name| entries.iter().find_map(|entry| entry.attr_value(name));
    let Some(name) = value(gimli::DW_AT_name) else { return Ok(None) };
    let name = dwarf.attr_string(unit, name)?.to_string_lossy().into_owned();
    let external = matches!(value(gimli::DW_AT_external), Some(AttributeValue::Flag(true)));
    let size = match value(gimli::DW_AT_type) {
        Some(AttributeValue::UnitRef(ty)) => size(unit, ty)?,
        _ => None,
    };
    Ok(Some((name, size, external)))
}

/// Follows typedefs, qualifiers and arrays down to a type that has a size.
fn size(unit: &Unit<Slice<'_>>, mut offset: UnitOffset) -> Result<Option<u64>, gimli::Error> {
    let mut elements: u64 = 1;
    for _ in 0..MAX_CHAIN {
        let entry = unit.entry(offset)?;
        if let Some(size) = entry.attr_value(gimli::DW_AT_byte_size) {
            return Ok(size.udata_value().and_then(|size| size.checked_mul(elements)));
        }
        match entry.tag() {
            gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => {
                return Ok(elements.checked_mul(u64::from(unit.encoding().address_size)));
            }
            gimli::DW_TAG_array_type => match count(unit, offset)?.and_then(|count| count.checked_mul(elements)) {
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
        match entry.attr_value(gimli::DW_AT_type) {
            Some(AttributeValue::UnitRef(next)) => offset = next,
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// How many elements an array has, in all its dimensions together; `None` for one of open length.
fn count(unit: &Unit<Slice<'_>>, array: UnitOffset) -> Result<Option<u64>, gimli::Error> {
    let mut tree = unit.entries_tree(Some(array))?;
    let mut dimensions = tree.root()?.children();
    let mut product: Option<u64> = None;
    while let Some(dimension) = dimensions.next()? {
        let entry: &Entry<'_> = dimension.entry();
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

//! Types out of their entries.

use gimli::{AttributeValue, Operation, UnitOffset};

use super::super::Symbols;
use super::super::types::{BitRange, Composite, Encoding, Member, Type, TypeId, TypeKind, Variants};
use super::index::{TypeSpace, element_count};
use super::info::{DebugInfo, Die, Entry, MAX_CHAIN};

/// The most members, enumerators or parameters that are read of one type.
const MAX_CHILDREN: usize = 65_536;
/// The most dimensions of an array.
const MAX_DIMENSIONS: usize = 16;

/// Reads a type.
pub(in super::super) fn read_type(symbols: &Symbols, die: Die) -> Type {
    let unknown = |what: String| Type { name: None, size: None, kind: TypeKind::Unknown(what) };
    let Some(info) = symbols.info() else { return unknown("a type of nothing".into()) };
    let Some(entry) = info.entry(die) else { return unknown("a type that cannot be read".into()) };
    let reading = Reading { symbols, info, die, entry: &entry };
    let size = entry.attr_value(gimli::DW_AT_byte_size).and_then(|size| size.udata_value());
    let kind = match entry.tag() {
        gimli::DW_TAG_base_type => TypeKind::Base(encoding(&entry)),
        gimli::DW_TAG_unspecified_type => TypeKind::Void,
        gimli::DW_TAG_pointer_type => TypeKind::Pointer { to: reading.target(), reference: false },
        gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type => {
            TypeKind::Pointer { to: reading.target(), reference: true }
        }
        gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type | gimli::DW_TAG_class_type => {
            return reading.composite(size);
        }
        gimli::DW_TAG_enumeration_type => return reading.enumeration(size),
        gimli::DW_TAG_array_type => return reading.array(size),
        gimli::DW_TAG_typedef => TypeKind::Typedef(reading.target()),
        gimli::DW_TAG_const_type => TypeKind::Qualified("const", reading.target()),
        gimli::DW_TAG_volatile_type => TypeKind::Qualified("volatile", reading.target()),
        gimli::DW_TAG_restrict_type => TypeKind::Qualified("restrict", reading.target()),
        gimli::DW_TAG_atomic_type => TypeKind::Qualified("_Atomic", reading.target()),
        gimli::DW_TAG_subroutine_type | gimli::DW_TAG_subprogram => reading.function(),
        other => TypeKind::Unknown(other.static_string().unwrap_or("a type of an unknown kind").into()),
    };
    let size = size.or_else(|| match kind {
        TypeKind::Pointer { .. } => Some(symbols.address_size()),
        _ => None,
    });
    Type { name: info.own_name(die.unit, &entry), size, kind }
}

fn encoding(entry: &Entry) -> Encoding {
    match entry.attr_value(gimli::DW_AT_encoding) {
        Some(AttributeValue::Encoding(encoding)) => match encoding {
            gimli::DW_ATE_boolean => Encoding::Bool,
            gimli::DW_ATE_signed => Encoding::Signed,
            gimli::DW_ATE_signed_char => Encoding::SignedChar,
            gimli::DW_ATE_unsigned_char | gimli::DW_ATE_UTF | gimli::DW_ATE_ASCII => Encoding::UnsignedChar,
            gimli::DW_ATE_float => Encoding::Float,
            _ => Encoding::Unsigned,
        },
        _ => Encoding::Unsigned,
    }
}

struct Reading<'s> {
    symbols: &'s Symbols,
    info: &'s DebugInfo,
    die: Die,
    entry: &'s Entry,
}

impl Reading<'_> {
    /// What the entry's type attribute names; nothing is `void`.
    fn target(&self) -> TypeId {
        match self.info.reference(self.die.unit, self.entry, gimli::DW_AT_type) {
            Some(die) => self.symbols.types.of_die(die),
            None => self.symbols.void(),
        }
    }

    fn type_of(&self, entry: &Entry) -> TypeId {
        match self.info.reference(self.die.unit, entry, gimli::DW_AT_type) {
            Some(die) => self.symbols.types.of_die(die),
            None => self.symbols.unsettled_type(),
        }
    }

    fn children(&self, of: UnitOffset) -> Vec<Entry> {
        children(self.info, Die { unit: self.die.unit, offset: of })
    }

    fn name(&self, entry: &Entry) -> Option<String> {
        self.info.own_name(self.die.unit, entry)
    }

    /// The base type behind the typedefs of an entry's type. Types that are being read are not asked for: where the
    /// description is damaged, they may be this one.
    fn underlying(&self, entry: &Entry) -> Option<Entry> {
        let mut next = self.info.reference(self.die.unit, entry, gimli::DW_AT_type)?;
        for _ in 0..MAX_CHAIN {
            let entry = self.info.entry(next)?;
            if entry.tag() == gimli::DW_TAG_base_type || entry.tag() == gimli::DW_TAG_enumeration_type {
                return Some(entry);
            }
            next = self.info.reference(next.unit, &entry, gimli::DW_AT_type)?;
        }
        None
    }

    /// A declaration is completed by the definition with its signature, or else with its name.
    fn completed(&self, space: TypeSpace) -> Option<Type> {
        self.entry.attr(gimli::DW_AT_declaration)?;
        let signature = self.info.reference(self.die.unit, self.entry, gimli::DW_AT_signature);
        let by_name = || {
            let name = self.name(self.entry)?;
            let dies = self.symbols.types_called(space, &name);
            dies.iter().find(|die| die.unit == self.die.unit).or(dies.first()).copied()
        };
        let die = signature.or_else(by_name).filter(|&die| die != self.die)?;
        // A definition is no declaration, so this comes to an end; a damaged one might be.
        let entry = self.info.entry(die)?;
        let definition = entry.attr(gimli::DW_AT_declaration).is_none();
        (definition && entry.tag() == self.entry.tag()).then(|| read_type(self.symbols, die))
    }

    fn composite(&self, size: Option<u64>) -> Type {
        let (keyword, space) = match self.entry.tag() {
            gimli::DW_TAG_union_type => ("union", TypeSpace::Union),
            gimli::DW_TAG_class_type => ("class", TypeSpace::Struct),
            _ => ("struct", TypeSpace::Struct),
        };
        if let Some(completed) = self.completed(space) {
            return completed;
        }
        let incomplete = self.entry.attr(gimli::DW_AT_declaration).is_some();
        let mut members = Vec::new();
        let mut variants = None;
        for child in self.children(self.die.offset) {
            match child.tag() {
                gimli::DW_TAG_member | gimli::DW_TAG_inheritance => members.extend(self.member(&child)),
                gimli::DW_TAG_variant_part => variants = Some(self.variants(&child)),
                _ => {}
            }
        }
        let kind = TypeKind::Composite(Composite { keyword, members, variants, incomplete });
        Type { name: self.name(self.entry), size: size.filter(|_| !incomplete), kind }
    }

    /// A member; `None` for those of the class itself.
    fn member(&self, entry: &Entry) -> Option<Member> {
        let is_static = entry.attr(gimli::DW_AT_external).is_some() || entry.attr(gimli::DW_AT_declaration).is_some();
        if is_static {
            return None;
        }
        let number = |name| entry.attr_value(name).and_then(|value| value.udata_value());
        let at = match entry.attr_value(gimli::DW_AT_data_member_location) {
            Some(AttributeValue::Exprloc(expression)) => {
                let unit = self.info.unit(self.die.unit)?;
                match expression.operations(unit.encoding()).next() {
                    Ok(Some(Operation::PlusConstant { value } | Operation::UnsignedConstant { value })) => value,
                    _ => return None,
                }
            }
            Some(value) => value.udata_value()?,
            None => 0,
        };
        let ty = self.type_of(entry);
        let (mut offset, mut bits) = (at, None);
        if let Some(len) = number(gimli::DW_AT_bit_size) {
            let first = match number(gimli::DW_AT_data_bit_offset) {
                Some(first) => at.checked_mul(8)?.checked_add(first)?,
                None => {
                    // The old way counts from the highest bit of a storage unit.
                    let storage = number(gimli::DW_AT_byte_size).or_else(|| {
                        let base = self.underlying(entry)?;
                        base.attr_value(gimli::DW_AT_byte_size)?.udata_value()
                    })?;
                    let from_top = number(gimli::DW_AT_bit_offset).unwrap_or(0);
                    let last = storage.checked_mul(8)?.checked_sub(from_top)?.checked_sub(len)?;
                    at.checked_mul(8)?.checked_add(last)?
                }
            };
            let len = u8::try_from(len).ok().filter(|&len| len <= 64)?;
            (offset, bits) = (first / 8, Some(BitRange { first: (first % 8) as u8, len }));
        }
        Some(Member { name: self.name(entry), ty, offset, bits })
    }

    fn variants(&self, part: &Entry) -> Variants {
        let children = self.children(part.offset());
        let discriminant = match part.attr_value(gimli::DW_AT_discr) {
            Some(AttributeValue::UnitRef(offset)) => children.iter().find(|child| child.offset() == offset),
            _ => None,
        };
        let mut variants = Vec::new();
        for child in children.iter().filter(|child| child.tag() == gimli::DW_TAG_variant) {
            let value = child.attr_value(gimli::DW_AT_discr_value).and_then(|value| constant(&value, false));
            let members = self.children(child.offset());
            variants.push((value, members.iter().filter_map(|member| self.member(member)).collect()));
        }
        Variants { discriminant: discriminant.and_then(|member| self.member(member)), variants }
    }

    fn enumeration(&self, size: Option<u64>) -> Type {
        if let Some(completed) = self.completed(TypeSpace::Enum) {
            return completed;
        }
        let underlying = self.underlying(self.entry);
        let children = self.children(self.die.offset);
        let values = || children.iter().filter_map(|child| child.attr_value(gimli::DW_AT_const_value));
        let signed = match &underlying {
            Some(base) => matches!(encoding(base), Encoding::Signed | Encoding::SignedChar),
            None => values().any(|value| matches!(value, AttributeValue::Sdata(value) if value < 0)),
        };
        let enumerators = children
            .iter()
            .filter(|child| child.tag() == gimli::DW_TAG_enumerator)
            .filter_map(|child| {
                let value = constant(&child.attr_value(gimli::DW_AT_const_value)?, signed)?;
                Some((self.name(child)?, value))
            })
            .collect();
        let size = size.or_else(|| underlying?.attr_value(gimli::DW_AT_byte_size)?.udata_value());
        Type { name: self.name(self.entry), size, kind: TypeKind::Enum { signed, enumerators } }
    }

    fn array(&self, size: Option<u64>) -> Type {
        let mut counts: Vec<Option<u64>> = self
            .children(self.die.offset)
            .iter()
            .filter(|child| child.tag() == gimli::DW_TAG_subrange_type)
            .map(|child| element_count(|name| child.attr_value(name)))
            .take(MAX_DIMENSIONS)
            .collect();
        let outer = if counts.is_empty() { None } else { counts.remove(0) };
        let element = match self.info.reference(self.die.unit, self.entry, gimli::DW_AT_type) {
            Some(die) => self.symbols.types.of_die(die),
            None => self.symbols.unsettled_type(),
        };
        let element = counts.iter().rev().fold(element, |inner, &count| self.symbols.array_of(inner, count));
        Type { name: self.name(self.entry), size, kind: TypeKind::Array { element, count: outer } }
    }

    fn function(&self) -> TypeKind {
        let mut parameters = Vec::new();
        let mut variadic = false;
        for child in self.children(self.die.offset) {
            match child.tag() {
                gimli::DW_TAG_formal_parameter => parameters.push(self.type_of(&child)),
                gimli::DW_TAG_unspecified_parameters => variadic = true,
                _ => {}
            }
        }
        TypeKind::Function { returns: self.target(), parameters, variadic }
    }
}

/// The entries right below one.
pub(super) fn children(info: &DebugInfo, die: Die) -> Vec<Entry> {
    let mut found = Vec::new();
    let mut read = || -> Result<(), gimli::Error> {
        let Some(unit) = info.unit(die.unit) else { return Ok(()) };
        let mut entries = unit.entries_at_offset(die.offset)?;
        match entries.next_entry()? {
            true if entries.current().is_some_and(Entry::has_children) => {}
            _ => return Ok(()),
        }
        let mut next = entries.next_dfs()?.filter(|first| first.depth() == 1).cloned();
        while let Some(entry) = next.filter(|_| found.len() < MAX_CHILDREN) {
            found.push(entry);
            next = entries.next_sibling()?.cloned();
        }
        Ok(())
    };
    // What comes before the damage is still true.
    let _ = read();
    found
}

/// A constant of an attribute. Fixed-size forms do not say whether they are signed.
pub(super) fn constant<R: gimli::Reader>(value: &AttributeValue<R>, signed: bool) -> Option<i128> {
    Some(match *value {
        AttributeValue::Data1(value) if signed => i128::from(value.cast_signed()),
        AttributeValue::Data2(value) if signed => i128::from(value.cast_signed()),
        AttributeValue::Data4(value) if signed => i128::from(value.cast_signed()),
        AttributeValue::Data8(value) if signed => i128::from(value.cast_signed()),
        AttributeValue::Data16(value) => value.cast_signed(),
        AttributeValue::Sdata(value) => i128::from(value),
        ref other => i128::from(other.udata_value()?),
    })
}

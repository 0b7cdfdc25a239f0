//! What becomes of each attribute of an entry, decided once for every abbreviation.

use std::ops::Range;

use gimli::{Abbreviation, AttributeSpecification, DwAt, DwForm, DwTag};

use super::super::bytes::Put;
use super::expression::Purpose;
use super::target::Terms;

/// Abbreviation codes are below this: lldb reads no larger ones, and compilers count from 1.
pub(super) const MAX_CODE: u64 = 0xffff;

/// Added to the code of an abbreviation, in the one for variables that are in memory for as long as the guest runs. lldb knows
/// those by the operation that gives their address, which it cannot always be given in its own terms of Wasm; and by a
/// second name. It takes others for parts of a frame: it stops watching them when the function returns.
pub(super) const GLOBAL: u64 = 0x2000;
/// The same for all other variables. Which of the two a variable has is known once it is written: both codes have two bytes,
/// and no more than they need, which lldb relies on.
pub(super) const LOCAL: u64 = 0x1000;

/// How an attribute is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// An address of code.
    Code,
    /// An address of code that is the base of the unit's lists: becomes the first of its ranges.
    Base,
    /// `high_pc`: becomes a length.
    HighPc,
    Expression(Purpose),
    Locations,
    Ranges,
    Lines,
    /// To an entry of this unit.
    Reference,
    /// To an entry of any unit.
    FarReference,
    /// Of a function: gdb takes no value from one that does as it likes.
    Convention,
    /// Becomes one by which gdb knows that prologues are to be found by the line table.
    Producer,
    /// Not in the output.
    Drop,
}

/// What is done with some attributes that follow one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// These are as they were.
    Copy(Range<usize>),
    /// This one is changed.
    Change(usize, Change),
}

/// What is done with the entries of an abbreviation.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) tag: DwTag,
    /// Not in the output, nor what is in it.
    pub(super) dropped: bool,
    pub(super) has_children: bool,
    pub(super) specs: Vec<AttributeSpecification>,
    pub(super) steps: Vec<Step>,
    /// A size that is added, where the abbreviation cannot carry it.
    pub(super) byte_size: Option<u8>,
    /// The abbreviation's code is larger by [`LOCAL`], and there is another for global variables, larger by [`GLOBAL`]: with
    /// an empty second name at the end.
    pub(super) or_global: bool,
}

impl Plan {
    /// Plans the entries of an abbreviation, and writes what it is in the output to `abbreviations`.
    pub(super) fn new(
        abbreviation: &Abbreviation,
        version: u16,
        address_size: u8,
        terms: Terms,
        abbreviations: &mut Vec<u8>,
    ) -> Plan {
        let tag = abbreviation.tag();
        let specs = abbreviation.attributes().to_vec();
        let mut plan = Plan {
            tag,
            dropped: is_dropped(tag),
            has_children: abbreviation.has_children(),
            specs,
            steps: Vec::new(),
            byte_size: None,
            or_global: terms == Terms::Wasm && may_be_global(abbreviation),
        };
        if plan.dropped {
            return plan;
        }
        let code = abbreviation.code() + if plan.or_global { LOCAL } else { 0 };
        begin(abbreviations, code, tag, plan.has_children);
        let attributes = abbreviations.len();
        // Beside ranges, that of a unit is but the base of its lists.
        let ranges = plan.specs.iter().any(|spec| spec.name() == gimli::DW_AT_ranges);
        let base = ranges.then_some(gimli::DW_AT_low_pc);
        for (index, spec) in plan.specs.iter().enumerate() {
            let change = match change(spec.name(), spec.form()) {
                Some(Change::Code) if Some(spec.name()) == base => Some(Change::Base),
                change => change,
            };
            let Some(change) = change else {
                attribute(abbreviations, spec.name(), spec.form());
                if let Some(value) = spec.implicit_const_value() {
                    abbreviations.sleb(value);
                }
                match plan.steps.last_mut() {
                    Some(Step::Copy(run)) => run.end = index + 1,
                    _ => plan.steps.push(Step::Copy(index..index + 1)),
                }
                continue;
            };
            plan.steps.push(Step::Change(index, change));
            if let Some(form) = form(change, terms) {
                attribute(abbreviations, spec.name(), form);
            }
        }
        if is_pointer(tag) && !plan.specs.iter().any(|spec| spec.name() == gimli::DW_AT_byte_size) {
            if version >= 5 {
                attribute(abbreviations, gimli::DW_AT_byte_size, gimli::DW_FORM_implicit_const);
                abbreviations.sleb(i64::from(address_size));
            } else {
                attribute(abbreviations, gimli::DW_AT_byte_size, gimli::DW_FORM_data1);
                plan.byte_size = Some(address_size);
            }
        }
        end(abbreviations);
        if plan.or_global {
            let same = abbreviations[attributes..abbreviations.len() - END.len()].to_vec();
            begin(abbreviations, abbreviation.code() + GLOBAL, tag, plan.has_children);
            abbreviations.extend(same);
            attribute(abbreviations, gimli::DW_AT_linkage_name, gimli::DW_FORM_string);
            end(abbreviations);
        }
        plan
    }
}

/// Writes the abbreviation of the base type of 8 bytes that a unit may be given.
pub(super) fn wide_type(abbreviations: &mut Vec<u8>, code: u64) {
    begin(abbreviations, code, gimli::DW_TAG_base_type, false);
    attribute(abbreviations, gimli::DW_AT_name, gimli::DW_FORM_string);
    attribute(abbreviations, gimli::DW_AT_encoding, gimli::DW_FORM_data1);
    attribute(abbreviations, gimli::DW_AT_byte_size, gimli::DW_FORM_data1);
    end(abbreviations);
}

fn begin(abbreviations: &mut Vec<u8>, code: u64, tag: DwTag, has_children: bool) {
    abbreviations.uleb(code);
    abbreviations.uleb(u64::from(tag.0));
    abbreviations.u8(u8::from(has_children));
}

fn attribute(abbreviations: &mut Vec<u8>, name: DwAt, form: DwForm) {
    abbreviations.uleb(u64::from(name.0));
    abbreviations.uleb(u64::from(form.0));
}

const END: [u8; 2] = [0, 0];

fn end(abbreviations: &mut Vec<u8>) {
    abbreviations.extend_from_slice(&END);
}

fn may_be_global(abbreviation: &Abbreviation) -> bool {
    let has = |name: DwAt| abbreviation.attributes().iter().find(|spec| spec.name() == name);
    abbreviation.tag() == gimli::DW_TAG_variable
        && has(gimli::DW_AT_location).is_some_and(|spec| spec.form() == gimli::DW_FORM_exprloc)
        && has(gimli::DW_AT_linkage_name).is_none()
}

/// Call sites tell where arguments were before a call, in terms of a machine with registers.
fn is_dropped(tag: DwTag) -> bool {
    matches!(
        tag,
        gimli::DW_TAG_call_site
            | gimli::DW_TAG_call_site_parameter
            | gimli::DW_TAG_GNU_call_site
            | gimli::DW_TAG_GNU_call_site_parameter
    )
}

fn is_pointer(tag: DwTag) -> bool {
    matches!(tag, gimli::DW_TAG_pointer_type | gimli::DW_TAG_reference_type | gimli::DW_TAG_rvalue_reference_type)
}

/// How an attribute is changed; `None` if it stays as it is.
fn change(name: DwAt, form: DwForm) -> Option<Change> {
    match name {
        // What call sites would tell, accelerators, macros, and the bases of sections that the output does not have.
        gimli::DW_AT_call_all_calls
        | gimli::DW_AT_call_all_source_calls
        | gimli::DW_AT_call_all_tail_calls
        | gimli::DW_AT_GNU_all_call_sites
        | gimli::DW_AT_GNU_all_tail_call_sites
        | gimli::DW_AT_GNU_all_source_call_sites
        | gimli::DW_AT_GNU_pubnames
        | gimli::DW_AT_GNU_pubtypes
        | gimli::DW_AT_macro_info
        | gimli::DW_AT_macros
        | gimli::DW_AT_GNU_macros
        | gimli::DW_AT_addr_base
        | gimli::DW_AT_GNU_addr_base
        | gimli::DW_AT_loclists_base
        | gimli::DW_AT_rnglists_base
        | gimli::DW_AT_GNU_ranges_base
        | gimli::DW_AT_sibling => return Some(Change::Drop),
        gimli::DW_AT_high_pc => return Some(Change::HighPc),
        gimli::DW_AT_producer => return Some(Change::Producer),
        gimli::DW_AT_calling_convention if form == gimli::DW_FORM_data1 => return Some(Change::Convention),
        gimli::DW_AT_str_offsets_base => return (form != gimli::DW_FORM_sec_offset).then_some(Change::Drop),
        _ => {}
    }
    match form {
        gimli::DW_FORM_addr
        | gimli::DW_FORM_addrx
        | gimli::DW_FORM_addrx1
        | gimli::DW_FORM_addrx2
        | gimli::DW_FORM_addrx3
        | gimli::DW_FORM_addrx4
        | gimli::DW_FORM_GNU_addr_index => match name {
            gimli::DW_AT_low_pc | gimli::DW_AT_entry_pc => Some(Change::Code),
            _ => Some(Change::Drop),
        },
        // An entry given as a distance from a beginning that moves.
        _ if name == gimli::DW_AT_entry_pc => Some(Change::Drop),
        gimli::DW_FORM_exprloc if name == gimli::DW_AT_frame_base => Some(Change::Expression(Purpose::FrameBase)),
        gimli::DW_FORM_exprloc => Some(Change::Expression(Purpose::Location)),
        // Before DWARF 4 these were expressions.
        gimli::DW_FORM_block | gimli::DW_FORM_block1 | gimli::DW_FORM_block2 | gimli::DW_FORM_block4
            if name.0 < gimli::DW_AT_lo_user.0 =>
        {
            let plain = matches!(name, gimli::DW_AT_const_value | gimli::DW_AT_discr_list);
            (!plain).then_some(Change::Drop)
        }
        gimli::DW_FORM_loclistx => Some(list(name, Change::Locations)),
        gimli::DW_FORM_rnglistx => Some(list(name, Change::Ranges)),
        gimli::DW_FORM_sec_offset => Some(section_offset(name).unwrap_or(Change::Drop)),
        // Old compilers' offsets, and still taken for that.
        gimli::DW_FORM_data4 | gimli::DW_FORM_data8 if name != gimli::DW_AT_data_member_location => {
            section_offset(name).or_else(|| is_other_offset(name).then_some(Change::Drop))
        }
        gimli::DW_FORM_ref1
        | gimli::DW_FORM_ref2
        | gimli::DW_FORM_ref4
        | gimli::DW_FORM_ref8
        | gimli::DW_FORM_ref_udata => Some(Change::Reference),
        gimli::DW_FORM_ref_addr => Some(Change::FarReference),
        gimli::DW_FORM_ref_sup4
        | gimli::DW_FORM_ref_sup8
        | gimli::DW_FORM_strp_sup
        | gimli::DW_FORM_GNU_ref_alt
        | gimli::DW_FORM_GNU_strp_alt
        | gimli::DW_FORM_GNU_str_index => Some(Change::Drop),
        _ => None,
    }
}

/// How an offset in another section is changed, if it is one that the output has.
fn section_offset(name: DwAt) -> Option<Change> {
    Some(match name {
        gimli::DW_AT_stmt_list => Change::Lines,
        gimli::DW_AT_ranges => Change::Ranges,
        gimli::DW_AT_location
        | gimli::DW_AT_frame_base
        | gimli::DW_AT_string_length
        | gimli::DW_AT_return_addr
        | gimli::DW_AT_static_link
        | gimli::DW_AT_use_location
        | gimli::DW_AT_vtable_elem_location
        | gimli::DW_AT_data_member_location => Change::Locations,
        _ => return None,
    })
}

/// How an index of a list is changed: an offset in its place is taken for one of the kind that the attribute has.
fn list(name: DwAt, kind: Change) -> Change {
    section_offset(name).filter(|&change| change == kind).unwrap_or(Change::Drop)
}

/// Whether a number would be an offset in a section that the output does not have.
fn is_other_offset(name: DwAt) -> bool {
    matches!(name, gimli::DW_AT_start_scope | gimli::DW_AT_segment)
}

/// The form that a changed attribute has in the output.
fn form(change: Change, terms: Terms) -> Option<DwForm> {
    Some(match change {
        Change::Code | Change::Base => gimli::DW_FORM_addr,
        Change::HighPc => gimli::DW_FORM_data4,
        Change::Expression(_) => gimli::DW_FORM_exprloc,
        // lldb does not know where in their functions outer frames are: the choice is made in an expression.
        Change::Locations if terms == Terms::Wasm => gimli::DW_FORM_exprloc,
        Change::Locations | Change::Ranges | Change::Lines => gimli::DW_FORM_sec_offset,
        Change::Reference => gimli::DW_FORM_ref4,
        Change::FarReference => gimli::DW_FORM_ref_addr,
        Change::Producer => gimli::DW_FORM_strp,
        Change::Convention => gimli::DW_FORM_data1,
        Change::Drop => return None,
    })
}

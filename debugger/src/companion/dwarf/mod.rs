//! Rewrites DWARF for Wasm as DWARF for the architecture that the debugger is shown.
//!
//! ```text
//! .debug_info      entry by entry: addresses, expressions, lists and references anew, all else as it is
//! .debug_abbrev    the forms of what is anew
//! .debug_line      files as they are, programs with moved addresses
//! lists, aranges   anew, with absolute addresses
//! strings          as they are
//! ```
//!
//! Every address of code is moved to where the debugger has the code, and from the beginning of a function's body, where
//! its locals are declared, to its first instruction: a breakpoint before that would never be hit.
//!
//! A unit that cannot be read is left out as a whole, with those that refer to it.

mod expression;
mod lines;
mod lists;
mod output;
mod plan;
mod selection;
mod target;
mod unit;
mod variables;

use std::collections::{BTreeMap, BTreeSet};

use gimli::{Dwarf, EndianSlice, LittleEndian, UnitHeader};
use thiserror::Error;

use super::bytes::Put;
use output::Output;
use unit::{Scratch, UnitRewriter};

pub(super) use target::{DataBase, Target, Terms};

type Slice<'m> = EndianSlice<'m, LittleEndian>;

/// How often units are left out because they refer to ones that are left out, until all that refer to others are.
const MAX_ROUNDS: usize = 4;

/// A variable with a fixed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) address: u64,
    /// In bytes, if it is known.
    pub(super) size: Option<u64>,
    pub(super) external: bool,
}

/// What became of a module's DWARF.
#[derive(Debug, Default)]
pub(super) struct Rewritten {
    pub(super) sections: Vec<(&'static str, Vec<u8>)>,
    pub(super) variables: Vec<Variable>,
    /// The places of the functions that have an entry, as the input counts.
    pub(super) described: Vec<u32>,
}

/// Why a unit is left out.
#[derive(Debug, Error)]
enum UnitError {
    #[error("{0}")]
    Dwarf(#[from] gimli::Error),
    #[error("{0} is not supported: build with -gdwarf-4 or -gdwarf-5")]
    Unsupported(&'static str),
    #[error("an attribute has a value that it cannot have")]
    Broken,
    #[error("a reference to {0:#x}, where no entry is")]
    Reference(u32),
    #[error("an expression with {0:#x} for a type, where no base type is")]
    BaseType(u32),
    #[error("a reference to another unit's {0:#x}, where no entry is")]
    FarReference(usize),
    #[error("its lists overlap again and again")]
    Lists,
    #[error("it is too large")]
    TooLarge,
}

/// Rewrites the DWARF of a module, as far as it can be read. What cannot be is told in `problems`.
pub(super) fn rewrite(target: Target<'_>, problems: &mut Vec<String>) -> Rewritten {
    let section = |name: &str| target.wasm.debug.get(name).copied().unwrap_or_default();
    if section(".debug_info").is_empty() {
        return Rewritten::default();
    }
    let load = |id: gimli::SectionId| Ok::<_, gimli::Error>(Slice::new(section(id.name()), LittleEndian));
    let dwarf = match Dwarf::load(load) {
        Ok(dwarf) => dwarf,
        Err(error) => {
            problems.push(format!("the DWARF is ignored: {error}"));
            return Rewritten::default();
        }
    };
    if !section(".debug_types").is_empty() {
        problems.push("the type units of DWARF 4 are left out: build with -gdwarf-5, or without type units".into());
    }

    let mut left_out = BTreeSet::new();
    let mut rounds = 0;
    let out = loop {
        let mut pass = Pass::run(&dwarf, section(".debug_info"), target, &left_out, problems);
        let dangling = pass.resolve_far_references(problems);
        if dangling.is_empty() {
            break pass.out;
        }
        left_out.extend(dangling);
        rounds += 1;
        if rounds == MAX_ROUNDS {
            left_out.extend(pass.referring_units());
        }
    };
    finish(out, target, &section)
}

/// One pass over all units.
struct Pass {
    out: Output,
    /// Where units begin, in the input and in the output.
    units: BTreeMap<usize, usize>,
}

impl Pass {
    fn run<'m>(
        dwarf: &Dwarf<Slice<'m>>,
        info: &'m [u8],
        target: Target<'m>,
        left_out: &BTreeSet<usize>,
        problems: &mut Vec<String>,
    ) -> Pass {
        let section_len = |name: &str| target.wasm.debug.get(name).map_or(0, |bytes| bytes.len());
        let lists: usize =
            [".debug_loc", ".debug_loclists", ".debug_ranges", ".debug_rnglists"].into_iter().map(section_len).sum();
        let list_limit = lists.saturating_mul(16).saturating_add(0x1_0000).min(u32::MAX as usize);
        let mut strings_start = section_len(".debug_str");
        // The last string is ended, if it was not.
        strings_start += usize::from(!ends_with_zero(target.wasm.debug.get(".debug_str").copied().unwrap_or(&[0])));
        let mut pass = Pass { out: Output::new(target.word, strings_start), units: BTreeMap::new() };
        pass.out.info.reserve(info.len() + info.len() / 4);
        let mut scratch = Scratch::default();
        let mut headers = dwarf.units();
        loop {
            let header = match headers.next() {
                Ok(Some(header)) => header,
                Ok(None) => return pass,
                // The next header's place is known only from this one.
                Err(error) => {
                    note(
                        problems,
                        format!("the debug information after the {}th unit is lost: {error}", pass.units.len()),
                    );
                    return pass;
                }
            };
            let offset = header.debug_info_offset().map_or(0, |offset| offset.0);
            if left_out.contains(&offset) {
                continue;
            }
            let mark = pass.out.mark();
            let start = pass.out.info.len();
            match pass.unit(dwarf, info, header, target, &mut scratch, list_limit) {
                Ok(()) => {
                    pass.units.insert(offset, start);
                }
                Err(error) => {
                    pass.out.roll_back(&mark);
                    note(problems, format!("the unit at {offset:#x} of .debug_info is left out: {error}"));
                }
            }
        }
    }

    fn unit<'m>(
        &mut self,
        dwarf: &Dwarf<Slice<'m>>,
        info: &'m [u8],
        header: UnitHeader<Slice<'m>>,
        target: Target<'m>,
        scratch: &mut Scratch,
        list_limit: usize,
    ) -> Result<(), UnitError> {
        let start = header.debug_info_offset().map_or(0, |offset| offset.0);
        let input = info.get(start..start + header.length_including_self()).ok_or(UnitError::Broken)?;
        let unit = dwarf.unit(header)?;
        UnitRewriter::new(dwarf, &unit, input, target, &mut self.out, scratch, list_limit).rewrite()
    }

    /// Fills in references from unit to unit; the units with some that lead nowhere.
    fn resolve_far_references(&mut self, problems: &mut Vec<String>) -> BTreeSet<usize> {
        let mut dangling = BTreeSet::new();
        let units = self.units_in_order();
        for &(at, to) in &self.out.far_references {
            let to32 = u32::try_from(to).unwrap_or(u32::MAX);
            match self.out.entries.binary_search_by_key(&to32, |&(from, _)| from) {
                Ok(index) => {
                    let place = self.out.entries[index].1;
                    self.out.info.patch_u32(at, place);
                }
                Err(_) => {
                    if let Some(unit) = unit_of(&units, at)
                        && dangling.insert(unit)
                    {
                        let error = UnitError::FarReference(to);
                        note(problems, format!("the unit at {unit:#x} of .debug_info is left out: {error}"));
                    }
                }
            }
        }
        dangling
    }

    /// The units with references to others.
    fn referring_units(&self) -> Vec<usize> {
        let units = self.units_in_order();
        self.out.far_references.iter().filter_map(|&(at, _)| unit_of(&units, at)).collect()
    }

    /// Where units are, in the input and in the output: the same order in both.
    fn units_in_order(&self) -> Vec<(usize, usize)> {
        self.units.iter().map(|(&from, &to)| (from, to)).collect()
    }
}

/// Where the unit that has a place in the output is in the input.
fn unit_of(units: &[(usize, usize)], at: usize) -> Option<usize> {
    let after = units.partition_point(|&(_, start)| start <= at);
    units.get(after.checked_sub(1)?).map(|&(unit, _)| unit)
}

fn finish<'m>(out: Output, target: Target<'m>, section: &impl Fn(&str) -> &'m [u8]) -> Rewritten {
    if out.info.is_empty() {
        return Rewritten { sections: Vec::new(), variables: out.variables, described: out.described };
    }
    let mut strings = section(".debug_str").to_vec();
    if !ends_with_zero(&strings) {
        strings.u8(0);
    }
    strings.extend_from_slice(&out.strings);
    let mut sections = vec![
        (".debug_info", out.info),
        (".debug_abbrev", out.abbrev),
        (".debug_line", out.line),
        (".debug_aranges", out.aranges),
        (".debug_str", strings),
    ];
    for name in [".debug_line_str", ".debug_str_offsets"] {
        let bytes = target.wasm.debug.get(name).map(|bytes| bytes.to_vec());
        sections.extend(bytes.map(|bytes| (name, bytes)));
    }
    for (name, lists) in [
        (".debug_ranges", out.ranges),
        (".debug_rnglists", out.rnglists),
        (".debug_loc", out.loc),
        (".debug_loclists", out.loclists),
    ] {
        sections.extend(lists.finish().map(|bytes| (name, bytes)));
    }
    Rewritten { sections, variables: out.variables, described: out.described }
}

fn ends_with_zero(strings: &[u8]) -> bool {
    strings.last().is_none_or(|&last| last == 0)
}

/// How many problems are told of.
const MAX_PROBLEMS: usize = 32;

fn note(problems: &mut Vec<String>, problem: String) {
    if problems.len() < MAX_PROBLEMS && !problems.contains(&problem) {
        problems.push(problem);
    }
}

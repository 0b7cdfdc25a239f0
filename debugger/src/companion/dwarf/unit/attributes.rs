//! The attributes of an entry that are not as they were.

use gimli::{Attribute, AttributeValue, Section};

use super::super::super::bytes::Put;
use super::super::super::wasm::Function;
use super::super::expression::{Purpose, TypeFixup};
use super::super::lists::Entry;
use super::super::plan::{Change, Plan};
use super::super::selection::Selection;
use super::super::target::Terms;
use super::super::{UnitError, lines};
use super::{Entering, Scratch, Slice, UnitRewriter};

impl<'m> UnitRewriter<'_, 'm> {
    /// Writes an attribute, and keeps what other parts of the unit want to know of it.
    pub(super) fn attribute(
        &mut self,
        plan: &Plan,
        change: Change,
        attribute: &Attribute<Slice<'m>>,
        entering: &mut Entering<'m>,
    ) -> Result<(), UnitError> {
        let value = attribute.value();
        match change {
            Change::Drop => {}
            Change::Code => {
                let address = self.dwarf.attr_address(self.unit, value)?.ok_or(UnitError::Broken)?;
                if attribute.name() == gimli::DW_AT_low_pc {
                    entering.low_pc = Some(address);
                    if plan.tag == gimli::DW_TAG_subprogram {
                        let function = self.target.function(address);
                        self.functions.push((entering.depth, function));
                        self.out.described.extend(function.map(|function| function.start));
                    }
                }
                // Without a section at 0, that is nowhere.
                self.out.info.word(self.target.word, self.target.code(address).unwrap_or(0));
            }
            // Lists are absolute here, but gdb 13 misses a base, and gdb 18 takes it for an entry point, which must be in
            // the ranges.
            Change::Base => {
                if entering.depth == 0 {
                    self.base = Some(self.out.info.len());
                }
                self.out.info.word(self.target.word, 0);
            }
            Change::HighPc => {
                entering.high_pc = Some((self.out.info.len(), value));
                self.out.info.u32(0);
            }
            Change::Expression(purpose) => {
                let AttributeValue::Exprloc(expression) = value else { return Err(UnitError::Broken) };
                if plan.tag == gimli::DW_TAG_variable
                    && attribute.name() == gimli::DW_AT_location
                    && let Some(address) = self.expressions.address(expression)
                {
                    self.variables.push((entering.offset, address));
                }
                let function = self.functions.last().and_then(|&(_, function)| function);
                self.convert(expression, purpose, function);
                self.out.info.uleb(self.scratch.expression.len() as u64);
                let at = self.out.info.len();
                self.out.info.extend_from_slice(&self.scratch.expression);
                self.types.extend(self.scratch.fixups.iter().map(|fixup| TypeFixup { at: at + fixup.at, ..*fixup }));
            }
            Change::Locations if self.target.terms == Terms::Wasm => self.selection(value)?,
            Change::Locations => {
                let place = self.locations(value)?;
                self.out.info.u32(place);
            }
            Change::Ranges => {
                let place = self.ranges(value, entering.depth)?;
                self.out.info.u32(place);
            }
            Change::Lines => {
                let place = self.lines(value)?;
                self.out.info.u32(place);
            }
            Change::Reference => {
                let AttributeValue::UnitRef(offset) = value else { return Err(UnitError::Broken) };
                let offset = u32::try_from(offset.0).map_err(|_| UnitError::Broken)?;
                self.references.push((self.out.info.len(), offset));
                self.out.info.u32(0);
            }
            Change::FarReference => {
                let AttributeValue::DebugInfoRef(offset) = value else { return Err(UnitError::Broken) };
                self.out.far_references.push((self.out.info.len(), offset.0));
                self.out.info.u32(0);
            }
            Change::Convention => {
                let AttributeValue::CallingConvention(mut convention) = value else { return Err(UnitError::Broken) };
                let function = self.functions.last().filter(|(depth, _)| *depth == entering.depth);
                // Whatever an optimiser did to a function's arguments, what it returns is on the operand stack.
                if convention == gimli::DW_CC_nocall
                    && function.is_some_and(|(_, function)| function.is_some_and(|function| function.returns))
                {
                    convention = gimli::DW_CC_normal;
                }
                self.out.info.u8(convention.0);
            }
            Change::Producer => {
                let producer = self.dwarf.attr_string(self.unit, value)?;
                let place = self.out.string(&known_producer(producer.slice()));
                self.out.info.u32(place);
            }
        }
        Ok(())
    }

    /// Converts an expression into the scratch: nothing, if there is nothing that it could say.
    fn convert(
        &mut self,
        expression: gimli::Expression<Slice<'m>>,
        purpose: Purpose,
        function: Option<&Function>,
    ) -> bool {
        let Scratch { expression: bytes, fixups, .. } = &mut *self.scratch;
        bytes.clear();
        fixups.clear();
        let converted = self.expressions.convert(expression, purpose, function, bytes, fixups).is_some();
        if !converted {
            bytes.clear();
            fixups.clear();
        }
        converted
    }

    fn locations(&mut self, value: AttributeValue<Slice<'m>>) -> Result<u32, UnitError> {
        let v5 = self.unit.encoding().version >= 5;
        let mut list = self.dwarf.attr_locations(self.unit, value)?.ok_or(UnitError::Broken)?;
        let place = if v5 { self.out.loclists.begin() } else { self.out.loc.begin() };
        while let Some(entry) = list.next()? {
            let everywhere = entry.range.end == u64::MAX;
            let range = self.target.range(entry.range.begin, entry.range.end);
            if range.is_none() && !everywhere {
                continue;
            }
            let function = match everywhere {
                true => self.functions.last().and_then(|&(_, function)| function),
                false => self.target.function(entry.range.begin),
            };
            if !self.convert(entry.data, Purpose::Location, function) || self.scratch.expression.len() > 0xffff {
                continue;
            }
            let bytes = &self.scratch.expression;
            let entry = match range {
                Some((start, end)) if !everywhere => Entry::Location(start, end, bytes),
                _ => Entry::Default(bytes),
            };
            let lists = if v5 { &mut self.out.loclists } else { &mut self.out.loc };
            if let Some(at) = lists.add(entry) {
                let fixups = self.scratch.fixups.iter().map(|fixup| TypeFixup { at: at + fixup.at, ..*fixup });
                self.list_types.extend(fixups);
            }
            self.check_lists()?;
        }
        if v5 {
            self.out.loclists.end()
        } else {
            self.out.loc.end()
        }
        Ok(place)
    }

    /// A location list as one expression, which looks where in its function the frame is.
    fn selection(&mut self, value: AttributeValue<Slice<'m>>) -> Result<(), UnitError> {
        let mut list = self.dwarf.attr_locations(self.unit, value)?.ok_or(UnitError::Broken)?;
        let mut selection = Selection::new();
        while let Some(entry) = list.next()? {
            let everywhere = entry.range.end == u64::MAX;
            let range = self.target.range(entry.range.begin, entry.range.end);
            if range.is_none() && !everywhere {
                continue;
            }
            let function = match everywhere {
                true => self.functions.last().and_then(|&(_, function)| function),
                false => self.target.function(entry.range.begin),
            };
            if self.convert(entry.data, Purpose::Location, function) {
                let range = range.filter(|_| !everywhere);
                selection.add(range, &self.scratch.expression, &self.scratch.fixups);
            }
        }
        let (bytes, fixups) = selection.finish();
        self.out.info.uleb(bytes.len() as u64);
        let at = self.out.info.len();
        self.out.info.extend_from_slice(&bytes);
        self.types.extend(fixups.into_iter().map(|fixup| TypeFixup { at: at + fixup.at, ..fixup }));
        Ok(())
    }

    fn ranges(&mut self, value: AttributeValue<Slice<'m>>, depth: isize) -> Result<u32, UnitError> {
        let mut list = self.dwarf.attr_ranges(self.unit, value)?.ok_or(UnitError::Broken)?;
        let v5 = self.unit.encoding().version >= 5;
        let place = if v5 { self.out.rnglists.begin() } else { self.out.ranges.begin() };
        while let Some(range) = list.next()? {
            let Some((start, end)) = self.target.range(range.begin, range.end) else { continue };
            let lists = if v5 { &mut self.out.rnglists } else { &mut self.out.ranges };
            lists.add(Entry::Range(start, end));
            if depth == 0 {
                self.unit_ranges.push((start, end));
            }
            self.check_lists()?;
        }
        if v5 {
            self.out.rnglists.end()
        } else {
            self.out.ranges.end()
        }
        Ok(place)
    }

    fn check_lists(&self) -> Result<(), UnitError> {
        if self.out.list_bytes() > self.list_limit { Err(UnitError::Lists) } else { Ok(()) }
    }

    fn lines(&mut self, value: AttributeValue<Slice<'m>>) -> Result<u32, UnitError> {
        let AttributeValue::DebugLineRef(offset) = value else { return Err(UnitError::Broken) };
        if let Some(&place) = self.out.line_places.get(&offset.0) {
            return Ok(place);
        }
        let place = self.out.line.len() as u32;
        let program = self.unit.line_program.as_ref().ok_or(UnitError::Broken)?;
        let input = self.dwarf.debug_line.reader().slice().get(offset.0..).ok_or(UnitError::Broken)?;
        lines::write(&mut self.out.line, input, program, &self.target)?;
        self.out.line_places.insert(offset.0, place);
        Ok(place)
    }
}

/// gdb knows clang by the producer's beginning, and else analyses prologues as if they were of its architecture.
fn known_producer(producer: &[u8]) -> Vec<u8> {
    const CLANG: &[u8] = b"clang ";
    match producer.windows(CLANG.len()).position(|window| window == CLANG) {
        Some(at) => producer[at..].to_vec(),
        None => [CLANG, producer].concat(),
    }
}

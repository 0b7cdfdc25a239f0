//! Source lines and instructions, as listings.

use wkdb_tracer::{CodeAddress, CodeOffset};

use super::Debugger;
use super::command::List;
use super::disassembly::disassemble;
use super::error::{CommandError, Result};
use super::location::LocationSpec;
use super::output::{Output, Style};
use super::points::{address_text, spec_text};
use super::resolving::first_line;
use crate::inferior::Inferior;
use crate::symbols::SourcePosition;

/// Lines of a listing.
const LINES: u32 = 10;

/// What was listed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    /// The file; the line is the one that a line number without a file is meant with.
    pub(super) position: SourcePosition,
    /// The first line shown.
    first: u32,
    /// The line behind the last one shown.
    next: u32,
}

impl Debugger {
    /// `list`.
    pub(super) fn list(&mut self, inferior: &mut dyn Inferior, what: List) -> Result<Output> {
        let around = |line: u32| (line.saturating_sub(LINES / 2)).max(1);
        let (position, first, next) = match (what, self.listing.clone()) {
            (List::More, Some(last)) => (last.position, last.next, last.next + LINES),
            (List::Before, Some(last)) => {
                if last.first <= 1 {
                    return Err(CommandError::refused("this is the beginning of the file"));
                }
                (last.position, last.first.saturating_sub(LINES).max(1), last.first)
            }
            (List::More | List::Before, None) => {
                let position = self.current_source(inferior)?;
                let first = around(position.line.unwrap_or(1));
                (position, first, first + LINES)
            }
            (List::Range(first, last), _) => {
                if first == 0 || last < first {
                    return Err(CommandError::refused("the range of lines is empty: use FIRST,LAST, from 1"));
                }
                (self.current_source(inferior)?, first, last.saturating_add(1))
            }
            (List::Around(spec), _) => {
                let position = self.source_of(inferior, spec)?;
                let first = around(position.line.unwrap_or(1));
                (position, first, first + LINES)
            }
        };
        let lines = self.sources.lines(&position).ok_or_else(|| {
            CommandError::refused(format!(
                "the source file {} was not found: `directory DIR` names a directory to look in",
                position.file
            ))
        })?;
        let count = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        if first > count {
            return Err(CommandError::refused(format!("{} has only {count} lines", position.file)));
        }
        let next = next.min(count.saturating_add(1));
        let selected = self.selected_frame(inferior).ok().and_then(|(_, view)| view.source);
        let here = selected.filter(|source| source.file == position.file).and_then(|source| source.line);
        let mut out = Output::new();
        for (number, line) in (first..next).zip(&lines[first as usize - 1..next as usize - 1]) {
            let mark = if here == Some(number) { Some(Style::Here) } else { None };
            match mark {
                Some(style) => out.mark(style, number.to_string()),
                None => out.push(number.to_string()),
            };
            out.push("\t").line(line);
        }
        self.listing = Some(Listing { position, first, next });
        Ok(out)
    }

    /// Where a location is in the source.
    fn source_of(&mut self, inferior: &mut dyn Inferior, spec: LocationSpec) -> Result<SourcePosition> {
        let spec = self.absolute(inferior, spec)?;
        let places = self.resolve(inferior, &spec)?;
        let place = places.first().ok_or_else(|| CommandError::missing("code at", spec_text(&spec)))?;
        let symbols = self.modules.symbols(inferior, place.address.module);
        let source = symbols.and_then(|symbols| first_line(&symbols, place.address.offset));
        let mut source = source.ok_or_else(|| CommandError::refused(format!("{} has no source lines", place.text)))?;
        if let LocationSpec::Line { line, .. } = spec {
            source.line = Some(line);
        }
        Ok(source)
    }

    /// `disassemble`.
    pub(super) fn disassembly(&mut self, inferior: &mut dyn Inferior, spec: Option<LocationSpec>) -> Result<Output> {
        let here = self.selected_frame(inferior).ok().map(|(_, view)| view.address);
        let address = match spec {
            Some(spec) => {
                let spec = self.absolute(inferior, spec)?;
                let places = self.resolve(inferior, &spec)?;
                places.first().ok_or_else(|| CommandError::missing("code at", spec_text(&spec)))?.address
            }
            None => here.ok_or_else(|| CommandError::refused("no frame is selected: name a function"))?,
        };
        self.function_text(inferior, address, here, None)
    }

    /// The instructions of the function at an address: all, or so many from there.
    pub(super) fn function_text(
        &mut self,
        inferior: &mut dyn Inferior,
        address: CodeAddress,
        here: Option<CodeAddress>,
        count: Option<usize>,
    ) -> Result<Output> {
        let location = self.modules.locate(inferior, address);
        let function = location.and_then(|location| location.function);
        let function = function
            .ok_or_else(|| CommandError::refused(format!("there is no function at *{}", address_text(address))))?;
        let module = inferior.module(address.module)?;
        let range = function.start..function.end;
        let lines = disassemble(&module, range).map_err(CommandError::Refused)?;
        let mut out = Output::new();
        if count.is_none() {
            out.line(format!("{} ({} to {}):", function.name, function.start, function.end));
        }
        let from = if count.is_some() { address.offset } else { CodeOffset(0) };
        let mut source = None;
        for line in lines.iter().filter(|line| line.offset >= from).take(count.unwrap_or(usize::MAX)) {
            let at = CodeAddress { module: address.module, offset: line.offset };
            let frame = self.modules.locate(inferior, at).and_then(|location| location.frames.into_iter().next());
            let position = frame.and_then(|frame| frame.source).filter(|source| source.line.is_some());
            if position.is_some() && position != source {
                let same_line = matches!((&position, &source), (Some(new), Some(old))
                    if new.line == old.line && new.file == old.file);
                if !same_line && let Some(position) = &position {
                    out.push("  ; ").mark(Style::Place, position.to_string());
                    if let Some(text) = self.sources.line(position) {
                        out.push(format!("  {}", text.trim()));
                    }
                    out.push("\n");
                }
                source = position;
            }
            match here == Some(at) {
                true => out.mark(Style::Here, format!("=> {}", address_text(at))),
                false => out.push("   ").mark(Style::Address, address_text(at)),
            };
            out.push("\t").line(&line.text);
        }
        Ok(out)
    }
}

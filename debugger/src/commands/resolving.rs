//! From locations to code, and back.

use wkdb_tracer::{CodeAddress, CodeOffset, ModuleId};

use super::Debugger;
use super::error::{CommandError, Result};
use super::location::LocationSpec;
use super::output::{Output, Style, Table};
use super::points::{BreakPlace, address_text, spec_text};
use crate::inferior::{Inferior, Places};
use crate::symbols::{CodePlace, PlaceNotFound, SourcePosition, Symbols};

impl Debugger {
    /// A location that does not depend on what is selected.
    pub(super) fn absolute(&mut self, inferior: &mut dyn Inferior, spec: LocationSpec) -> Result<LocationSpec> {
        let line = match &spec {
            LocationSpec::Line { file: None, line } => i64::from(*line),
            LocationSpec::Offset(lines) => *lines,
            _ => return Ok(spec),
        };
        let here = self.current_source(inferior)?;
        let line = match spec {
            LocationSpec::Offset(_) => i64::from(here.line.unwrap_or(0)) + line,
            _ => line,
        };
        let line = u32::try_from(line).ok().filter(|&line| line > 0);
        let line = line.ok_or_else(|| CommandError::refused("there is no such line: lines are counted from 1"))?;
        Ok(LocationSpec::Line { file: Some(here.file), line })
    }

    /// Where the selected frame is in the source, or what was listed last.
    pub(super) fn current_source(&mut self, inferior: &mut dyn Inferior) -> Result<SourcePosition> {
        if let Some(listing) = &self.listing {
            return Ok(listing.position.clone());
        }
        let frame = self.selected_frame(inferior).ok().and_then(|(_, view)| view.source);
        frame.ok_or_else(|| {
            CommandError::refused("there is no current source file: use FILE:LINE, or select a frame that has one")
        })
    }

    /// The selected frame's next instruction.
    pub(super) fn here(&mut self, inferior: &mut dyn Inferior) -> Result<LocationSpec> {
        let (_, view) = self.selected_frame(inferior)?;
        Ok(LocationSpec::Address(view.address.module, view.address.offset))
    }

    /// The code of a location, in all modules. None means that it may come with a module that is not there yet.
    pub(super) fn resolve(&mut self, inferior: &mut dyn Inferior, spec: &LocationSpec) -> Result<Vec<BreakPlace>> {
        if let LocationSpec::Address(module, offset) = spec {
            let address = CodeAddress { module: *module, offset: *offset };
            let text = match self.modules.locate(inferior, address) {
                Some(location) if location.function.is_none() => {
                    return Err(CommandError::refused(format!("there is no code at *{}", address_text(address))));
                }
                Some(location) => location.frames.first().map(|frame| match &frame.source {
                    Some(source) => format!("{} ({source})", frame.function),
                    None => frame.function.clone(),
                }),
                None => return Err(CommandError::missing("module", module.0)),
            };
            return Ok(vec![BreakPlace { address, text: text.unwrap_or_default(), id: None }]);
        }
        let mut places = Vec::new();
        let mut nearest: Option<PlaceNotFound> = None;
        for (module, symbols) in self.modules.all(inferior) {
            let found = match spec {
                LocationSpec::Line { file: Some(file), line } => symbols.line_places(file, *line),
                LocationSpec::Function { file, name } => symbols.function_places(name).map(|places| {
                    let in_file = |place: &CodePlace| match (file, &place.file) {
                        (Some(wanted), Some(file)) => std::path::Path::new(file).ends_with(wanted),
                        (Some(_), None) => false,
                        (None, _) => true,
                    };
                    places.into_iter().filter(in_file).collect()
                }),
                _ => continue,
            };
            match found {
                Ok(found) => places.extend(found.into_iter().map(|place| break_place(module, &symbols, place))),
                // The kernel's answer is the most helpful one.
                Err(error) => nearest = nearest.or(Some(error)),
            }
        }
        match nearest {
            // Most likely a slip: names like it are known. Otherwise it may come with a module.
            Some(PlaceNotFound::NoFile { nearest, .. } | PlaceNotFound::NoFunction { nearest, .. })
                if places.is_empty() && !nearest.is_empty() && !self.resolving_again =>
            {
                Err(CommandError::Missing { what: "place", name: spec_text(spec), near: nearest })
            }
            Some(error @ PlaceNotFound::NoLine { .. }) if places.is_empty() => {
                Err(CommandError::refused(error.to_string()))
            }
            _ => Ok(places),
        }
    }

    /// The code of a file or a function, for watches.
    pub(super) fn code_of(&mut self, inferior: &mut dyn Inferior, place: &str) -> Result<Places> {
        let mut code = Vec::new();
        let mut near = Vec::new();
        for (module, symbols) in self.modules.all(inferior) {
            let functions = symbols.functions_named(place);
            code.extend(functions.into_iter().map(|function| (module, function.start..function.end)));
            match symbols.code_of_file(place) {
                Ok(ranges) => code.extend(ranges.into_iter().map(|range| (module, range))),
                Err(PlaceNotFound::NoFile { nearest, .. }) => near.extend(nearest),
                Err(_) => {}
            }
        }
        if code.is_empty() {
            near.dedup();
            return Err(CommandError::Missing { what: "file or function", name: place.to_owned(), near });
        }
        Ok(Places(code))
    }

    /// The first instruction of a function behind what sets up its frame.
    pub(super) fn body_start(
        &mut self,
        inferior: &mut dyn Inferior,
        module: ModuleId,
        function: u32,
    ) -> Option<CodeOffset> {
        let symbols = self.modules.symbols(inferior, module)?;
        Some(symbols.breakpoint_in(&symbols.function(function)?))
    }

    /// `info line`.
    pub(super) fn line_info(&mut self, inferior: &mut dyn Inferior, location: Option<LocationSpec>) -> Result<Output> {
        let mut out = Output::new();
        let places = match location {
            Some(spec) => {
                let spec = self.absolute(inferior, spec)?;
                let places = self.resolve(inferior, &spec)?;
                if places.is_empty() {
                    return Err(CommandError::missing("code at", spec_text(&spec)));
                }
                places.into_iter().map(|place| place.address).collect()
            }
            None => vec![self.selected_frame(inferior)?.1.address],
        };
        for address in places {
            let Some(symbols) = self.modules.symbols(inferior, address.module) else { continue };
            let location = symbols.locate(address.offset);
            let frame = location.frames.first();
            let place = match frame.map(|frame| (&frame.function, &frame.source)) {
                Some((function, Some(source))) => format!("{source} ({function})"),
                Some((function, None)) => format!("{function}, which has no lines,"),
                None => "code without a name".to_owned(),
            };
            match symbols.statement_at(address.offset) {
                Some(range) => out.line(format!("{place} is code {} to {}", range.start, range.end)),
                None => out.line(format!("{place} at {}", address_text(address))),
            };
        }
        Ok(out)
    }

    /// `info source`.
    pub(super) fn source_info(&mut self, inferior: &mut dyn Inferior) -> Result<Output> {
        let position = self.current_source(inferior)?;
        let mut out = Output::from(format!("Current source file is {}\n", position.file));
        if let Some(directory) = &position.directory {
            out.line(format!("Compiled in {directory}"));
        }
        match self.sources.lines(&position) {
            Some(lines) => out.line(format!("{} lines", lines.len())),
            None => out.line("It was not found: `directory DIR` names a directory to look in"),
        };
        Ok(out)
    }

    /// `info modules`.
    pub(super) fn module_list(&mut self, inferior: &mut dyn Inferior) -> Result<Output> {
        let mut table = Table::new(["Id", "Bytes", "Symbols", "What"]);
        for module in (0..inferior.module_count()?).map(ModuleId) {
            let bytes = inferior.module(module)?.len();
            let symbols = match self.modules.symbols(inferior, module) {
                Some(symbols) if symbols.has_dwarf() => "DWARF".to_owned(),
                Some(_) => "names only".to_owned(),
                None => format!("none: {}", self.modules.problems(module).join("; ")),
            };
            let what = if module == ModuleId::KERNEL { "the kernel" } else { "a user program" };
            table.row([module.0.to_string(), bytes.to_string(), symbols, what.to_owned()].map(|cell| (cell, None)));
        }
        let mut out = table.into_output();
        for module in (0..inferior.module_count()?).map(ModuleId) {
            for problem in self.modules.problems(module) {
                out.mark(Style::Problem, format!("module {}: {problem}", module.0)).push("\n");
            }
        }
        Ok(out)
    }

    /// `info files`.
    pub(super) fn files_like(&mut self, inferior: &mut dyn Inferior, pattern: &str) -> Result<Output> {
        let mut files: Vec<String> = Vec::new();
        for (_, symbols) in self.modules.all(inferior) {
            files.extend(symbols.source_files());
        }
        files.retain(|file| matches_pattern(pattern, file));
        files.sort_unstable();
        files.dedup();
        if files.is_empty() {
            return Err(CommandError::missing("source file like", pattern));
        }
        Ok(Output::from(files.join("\n") + "\n"))
    }

    /// `info functions`.
    pub(super) fn functions_like(&mut self, inferior: &mut dyn Inferior, pattern: &str) -> Result<Output> {
        let mut table = Table::default();
        let mut any = false;
        for (module, symbols) in self.modules.all(inferior) {
            let pattern = if pattern.contains(['*', '?']) { pattern.to_owned() } else { format!("*{pattern}*") };
            for function in symbols.functions_like(&pattern) {
                any = true;
                let address = CodeAddress { module, offset: function.start };
                let source = first_line(&symbols, symbols.breakpoint_in(&function));
                table.row([
                    (address_text(address), Some(Style::Address)),
                    (function.name, Some(Style::Function)),
                    (source.map(|source| source.to_string()).unwrap_or_default(), Some(Style::Place)),
                ]);
            }
        }
        if !any {
            return Err(CommandError::missing("function like", pattern));
        }
        Ok(table.into_output())
    }
}

/// As many bytes as the declaration of a function's locals may have.
const LOCALS: usize = 64;

/// The first source line at or behind the start of a function: before its first instruction are only the declarations of
/// its locals, which have none.
pub(super) fn first_line(symbols: &Symbols, offset: CodeOffset) -> Option<SourcePosition> {
    (offset.0..).take(LOCALS).find_map(|at| {
        let location = symbols.locate(CodeOffset(at));
        location.frames.into_iter().next()?.source.filter(|source| source.line.is_some())
    })
}

fn break_place(module: ModuleId, symbols: &Symbols, place: CodePlace) -> BreakPlace {
    let CodePlace { offset, function, mut file, mut line, inlined } = place;
    if line.is_none()
        && let Some(source) = first_line(symbols, offset)
    {
        (file, line) = (Some(source.file), source.line);
    }
    let mut text = match (file, line) {
        (Some(file), Some(line)) => format!("{function} ({file}:{line})"),
        (Some(file), None) => format!("{function} ({file})"),
        (None, _) => function,
    };
    if inlined {
        text.push_str(" [inlined]");
    }
    BreakPlace { address: CodeAddress { module, offset }, text, id: None }
}

/// Whether a name matches a pattern with `*`; without one, whether it contains it.
pub(super) fn matches_pattern(pattern: &str, name: &str) -> bool {
    if !pattern.contains('*') {
        return name.contains(pattern);
    }
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, matches) in [
            ("*", "x", true),
            ("fork", "kernel/fork.c", true),
            ("kernel/*.c", "kernel/fork.c", true),
            ("kernel/*.h", "kernel/fork.c", false),
            ("*fork*", "kernel/fork.c", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("ab*b", "ab", false),
        ] {
            assert_eq!(matches_pattern(pattern, name), matches, "{pattern} {name}");
        }
    }
}

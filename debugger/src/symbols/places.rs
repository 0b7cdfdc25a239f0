//! From the source to the code: lines, functions and files as ranges of instructions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use thiserror::Error;
use wkdb_tracer::CodeOffset;

use super::dwarf::{Die, Row, SourceFile, function_at, has_memory_frame, instance_at};
use super::{FunctionSymbol, Symbols};

/// How many names are suggested for one that is unknown.
const MAX_SUGGESTIONS: usize = 4;

/// Where a breakpoint belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePlace {
    /// The instruction to stop before; or what lies before it, without an instruction of its own.
    pub offset: CodeOffset,
    /// The function of the source: an inlined one, where it is inlined.
    pub function: String,
    /// The source file.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// Whether it is a copy inlined into another function.
    pub inlined: bool,
}

/// Why a place in the source has no code.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlaceNotFound {
    /// There is no debug information to look in.
    #[error("the module has no line information: build it with -g, or give its file with --symbols")]
    NoLines,
    /// No source file ends with this.
    #[error("no source file is called {file}{}", suggest(.nearest))]
    NoFile {
        /// What was asked for.
        file: String,
        /// Names like it.
        nearest: Vec<String>,
    },
    /// The file has no code at or after the line.
    #[error("no code at or after line {line} of {file}; its last line with code is {last}")]
    NoLine {
        /// The file.
        file: String,
        /// What was asked for.
        line: u32,
        /// The last line that has some; 0 if none has.
        last: u32,
    },
    /// No function is called this.
    #[error("no function is called {name}{}", suggest(.nearest))]
    NoFunction {
        /// What was asked for.
        name: String,
        /// Names like it.
        nearest: Vec<String>,
    },
}

/// `; did you mean …?`
pub(crate) fn suggest(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        some => format!("; did you mean {}?", some.join(", ")),
    }
}

impl Symbols {
    /// All source files that the debug information names, sorted.
    pub fn source_files(&self) -> Vec<String> {
        let files: BTreeSet<&str> =
            self.all_files().flat_map(|(_, files)| files).flatten().map(|file| file.shown.as_str()).collect();
        files.into_iter().map(str::to_owned).collect()
    }

    /// Where to stop for a line of a source file: at the line, or the next one that has code. One place for every
    /// function that the line is part of and every copy of it that was inlined. The file is matched by the last
    /// components of its path.
    ///
    /// # Errors
    /// There is no such file, or no code there.
    pub fn line_places(&self, file: &str, line: u32) -> Result<Vec<CodePlace>, PlaceNotFound> {
        let info = self.info().ok_or(PlaceNotFound::NoLines)?;
        let mut matching: Vec<(u32, &Row, &SourceFile)> = Vec::new();
        let (mut found, mut last) = (None, 0);
        for (unit, files) in self.all_files() {
            let wanted = |row: &Row| files.get(row.file as usize)?.as_ref().filter(|name| name.ends_with(file));
            if !files.iter().flatten().any(|name| name.ends_with(file)) {
                continue;
            }
            found = found.or_else(|| files.iter().flatten().find(|name| name.ends_with(file)));
            for row in self.line_tables(info).rows(info, &self.names, unit) {
                if let Some(name) = wanted(row).filter(|_| row.is_stmt && row.line > 0) {
                    last = last.max(row.line);
                    if row.line >= line {
                        matching.push((unit, row, name));
                    }
                }
            }
        }
        let Some(found) = found else {
            let all = self.source_files();
            return Err(PlaceNotFound::NoFile {
                file: file.into(),
                nearest: nearest(file, all.iter().map(String::as_str)),
            });
        };
        let Some(actual) = matching.iter().map(|(_, row, _)| row.line).min() else {
            return Err(PlaceNotFound::NoLine { file: found.shown.clone(), line, last });
        };
        // The lowest address in each function or inlined copy: a loop's line comes several times.
        let mut by_instance: BTreeMap<(u32, Option<Die>), CodePlace> = BTreeMap::new();
        for (_, row, name) in matching.into_iter().filter(|(_, row, _)| row.line == actual) {
            let offset = CodeOffset(row.code.start);
            let Some(function) = self.names.function_at(offset) else { continue };
            let instance = instance_at(info, offset, &function);
            let die = instance.map(|(die, _)| die);
            let inlined = instance.is_some_and(|(_, inlined)| inlined);
            let shown = die.and_then(|die| info.name(die)).unwrap_or_else(|| function.name.clone());
            let place = CodePlace {
                offset: self.past_prologue(offset, &function),
                function: shown,
                file: Some(name.shown.clone()),
                line: Some(actual),
                inlined,
            };
            by_instance
                .entry((function.index, die))
                .and_modify(|known| {
                    if place.offset < known.offset {
                        *known = place.clone();
                    }
                })
                .or_insert(place);
        }
        let mut places: Vec<CodePlace> = by_instance.into_values().collect();
        places.sort_by_key(|place| place.offset);
        Ok(places)
    }

    /// A breakpoint on the line that a function begins on means after its prologue.
    fn past_prologue(&self, offset: CodeOffset, function: &FunctionSymbol) -> CodeOffset {
        let after = self.breakpoint_in(function);
        let first = self.first_row(function).is_some_and(|(_, row)| row.code.start >= offset.0);
        if first && after > offset { after } else { offset }
    }

    fn first_row(&self, function: &FunctionSymbol) -> Option<(u32, &Row)> {
        let info = self.info()?;
        // The rows begin behind the declaration of locals.
        let (unit, rows) = info.units_at(function.start).into_iter().find_map(|unit| {
            let rows = self.line_tables(info).rows(info, &self.names, unit);
            let first = rows.partition_point(|row| row.code.start < function.start.0);
            (rows.get(first)?.code.start < function.end.0).then_some((unit, &rows[first..]))
        })?;
        Some((unit, rows.first()?))
    }

    /// All code of the statement around an instruction: the neighbouring instructions of the same line, in the function.
    /// For stepping by lines.
    pub fn statement_at(&self, offset: CodeOffset) -> Option<Range<CodeOffset>> {
        let info = self.info()?;
        let function = self.names.function_at(offset)?;
        let (_, rows, at) = self.line_tables(info).row_at(info, &self.names, offset)?;
        // Code of no line belongs to the line before it.
        let named = |mut row: usize| {
            while rows[row].line == 0 && row > 0 && rows[row - 1].code.end == rows[row].code.start {
                row -= 1;
            }
            (rows[row].file, rows[row].line)
        };
        let inside = |row: usize| rows[row].code.start >= function.start.0 && rows[row].code.end <= function.end.0;
        let line = named(at);
        let (mut first, mut last) = (at, at);
        while first > 0
            && rows[first - 1].code.end == rows[first].code.start
            && inside(first - 1)
            && named(first - 1) == line
        {
            first -= 1;
        }
        while let Some(next) = rows.get(last + 1)
            && next.code.start == rows[last].code.end
            && inside(last + 1)
            && (next.line == 0 || (next.file, next.line) == line)
        {
            last += 1;
        }
        Some(CodeOffset(rows[first].code.start)..CodeOffset(rows[last].code.end))
    }

    /// Where to stop for a function: in it, once its arguments can be read, and in every copy that was inlined.
    ///
    /// # Errors
    /// No function of this name has code.
    pub fn function_places(&self, name: &str) -> Result<Vec<CodePlace>, PlaceNotFound> {
        let mut functions = self.functions_named(name);
        let mut inlined = Vec::new();
        if let Some(info) = self.info() {
            for &die in self.index().functions(name) {
                let Some(entry) = info.entry(die) else { continue };
                // The name section's name may be another than the source's.
                for range in info.ranges(die.unit(), &entry) {
                    let start = u32::try_from(range.start).ok().and_then(|at| self.names.function_at(CodeOffset(at)));
                    functions.extend(start.filter(|function| u64::from(function.start.0) == range.start));
                }
                for &copy in self.index().inlined(die) {
                    let Some(entry) = info.entry(copy) else { continue };
                    let ranges = info.ranges(copy.unit(), &entry);
                    let first = ranges.iter().map(|range| range.start).min();
                    let first = first.and_then(|first| u32::try_from(first).ok()).map(CodeOffset);
                    inlined.extend(first.filter(|&first| {
                        let function = self.names.function_at(first);
                        function.is_some_and(|function| function_at(info, first, &function).is_some())
                    }));
                }
            }
        }
        functions.sort_by_key(|function| function.start);
        functions.dedup_by_key(|function| function.start);
        let mut places: Vec<CodePlace> = functions
            .iter()
            .map(|function| {
                let offset = self.breakpoint_in(function);
                self.place_of(offset, name, false)
            })
            .chain(inlined.into_iter().map(|offset| self.place_of(offset, name, true)))
            .collect();
        places.sort_by_key(|place| place.offset);
        places.dedup_by_key(|place| place.offset);
        if places.is_empty() {
            let module = self.names.all_function_names();
            let nearest = nearest(name, module.chain(self.index().function_names()));
            return Err(PlaceNotFound::NoFunction { name: name.into(), nearest });
        }
        Ok(places)
    }

    fn place_of(&self, offset: CodeOffset, name: &str, inlined: bool) -> CodePlace {
        let location = self.locate(offset);
        let source = location.frames.first().and_then(|frame| frame.source.clone());
        CodePlace {
            offset,
            function: name.to_owned(),
            line: source.as_ref().and_then(|source| source.line),
            file: source.map(|source| source.file),
            inlined,
        }
    }

    /// Where to stop for a whole function: its first instruction; or behind its prologue, if its variables are in a
    /// frame in memory, which the prologue makes.
    pub fn breakpoint_in(&self, function: &FunctionSymbol) -> CodeOffset {
        let after = || {
            let info = self.info()?;
            let die = function_at(info, function.start, function)?;
            if !has_memory_frame(info, die) {
                return None;
            }
            let (unit, first) = self.first_row(function)?;
            let rows = self.line_tables(info).rows(info, &self.names, unit);
            let rows = || {
                let body = rows.iter().skip_while(|row| row.code.start < first.code.start);
                body.take_while(|row| row.code.start < function.end.0)
            };
            // Without a mark, the second line is behind it.
            let marked = rows().find(|row| row.prologue_end);
            let second = || rows().find(|row| row.line != first.line && row.line > 0);
            Some(CodeOffset(marked.or_else(second)?.code.start))
        };
        let first = || self.names.first_instruction(&self.module, function);
        after().or_else(first).unwrap_or(function.start)
    }

    /// The functions whose names match a pattern: `*` stands for any text, `?` for a character.
    pub fn functions_like(&self, pattern: &str) -> Vec<FunctionSymbol> {
        self.names.functions().filter(|function| glob(pattern, &function.name)).collect()
    }

    /// The functions that files of the source define, with what is inlined into them.
    ///
    /// # Errors
    /// There is no such file.
    pub fn functions_of_file(&self, file: &str) -> Result<Vec<FunctionSymbol>, PlaceNotFound> {
        let starts = self.code_of_file(file)?;
        let mut functions: Vec<FunctionSymbol> = starts
            .iter()
            .filter_map(|range| self.names.function_at(range.start).filter(|function| function.start == range.start))
            .collect();
        functions.dedup_by_key(|function| function.index);
        Ok(functions)
    }

    /// The code that functions defined in a file became: their own, with what is inlined into it, and where they are
    /// inlined into functions of other files. The file is matched by the last components of its path.
    ///
    /// # Errors
    /// There is no such file.
    pub fn code_of_file(&self, file: &str) -> Result<Vec<Range<CodeOffset>>, PlaceNotFound> {
        let info = self.info().ok_or(PlaceNotFound::NoLines)?;
        let mut ranges: Vec<Range<u32>> = Vec::new();
        let mut any = false;
        for (unit, files) in self.all_files() {
            if !files.iter().flatten().any(|name| name.ends_with(file)) {
                continue;
            }
            any = true;
            let tables = self.line_tables(info);
            let is_wanted = |unit, number: u64| {
                let name =
                    usize::try_from(number).ok().and_then(|number| tables.files(info, unit).get(number)?.as_ref());
                name.is_some_and(|name| name.ends_with(file))
            };
            for (range, die) in info.code_declared_in(unit, &is_wanted) {
                // Offsets of dropped code lie in other functions.
                let at = u32::try_from(range.start).ok().map(CodeOffset);
                let function = at.and_then(|at| self.names.function_at(at));
                let (Some(at), Some(function)) = (at, function) else { continue };
                if function_at(info, at, &function).is_some_and(|around| around.unit() == die.unit()) {
                    let end = u32::try_from(range.end).unwrap_or(u32::MAX).min(function.end.0);
                    ranges.push(at.0..end);
                }
            }
        }
        if !any {
            let all = self.source_files();
            return Err(PlaceNotFound::NoFile {
                file: file.into(),
                nearest: nearest(file, all.iter().map(String::as_str)),
            });
        }
        ranges.sort_by_key(|range| (range.start, std::cmp::Reverse(range.end)));
        let mut joined: Vec<Range<CodeOffset>> = Vec::new();
        for range in ranges {
            match joined.last_mut() {
                // What is inlined into one of the file's functions is in there already.
                Some(last) if range.end <= last.end.0 => {}
                _ => joined.push(CodeOffset(range.start)..CodeOffset(range.end)),
            }
        }
        Ok(joined)
    }

    fn all_files(&self) -> impl Iterator<Item = (u32, &[Option<SourceFile>])> {
        let info = self.info();
        let count = info.map_or(0, super::dwarf::DebugInfo::len);
        (0..count).filter_map(move |unit| Some((unit, self.line_tables(info?).files(info?, unit))))
    }
}

/// The names most like one that is unknown: the same but for case or a few letters, or that begin with it.
pub(crate) fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Vec<String> {
    let lower = wanted.to_lowercase();
    let limit = (wanted.chars().count() / 3).clamp(1, 3);
    let mut ranked: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let distance = distance(&lower, &name.to_lowercase(), limit)?;
            Some((distance, name))
        })
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
}

/// How many letters have to be changed, if no more than `limit`. A name that goes on counts as one.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    if a.len() >= 4 && b.starts_with(a) {
        return Some(usize::from(a.len() != b.len()));
    }
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
        if row.iter().min().is_some_and(|least| *least > limit) {
            return None;
        }
    }
    row.last().copied().filter(|&distance| distance <= limit)
}

/// Whether a name matches a pattern of `*` and `?`.
fn glob(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&letter) if letter == b'?' || letter == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&letter| letter == b'*')
}

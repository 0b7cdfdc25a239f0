//! The line tables, as tables: which instructions belong to a line. (`lines` has the way back, with inlined calls.)

use std::cell::OnceCell;
use std::ops::Range;

use gimli::{FileEntry, LineProgramHeader, LineRow, Reader, UnitRef};
use wkdb_tracer::CodeOffset;

use super::super::module::ModuleNames;
use super::info::{DebugInfo, Shared};

/// The most rows of a unit that are read: a damaged program can make millions of a few bytes.
const MAX_ROWS: usize = 4_000_000;

/// Some instructions of one place in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Row {
    pub(in super::super) code: Range<u32>,
    /// The place in the unit's list.
    pub(in super::super) file: u32,
    /// 0: of no line.
    pub(in super::super) line: u32,
    pub(in super::super) is_stmt: bool,
    pub(in super::super) prologue_end: bool,
}

/// A source file as a unit names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in super::super) struct SourceFile {
    /// The whole path, as far as it is known.
    pub(in super::super) path: String,
    /// Relative to where the compiler ran, if it lies there.
    pub(in super::super) shown: String,
}

impl SourceFile {
    /// Whether the last components of the path are these.
    pub(in super::super) fn ends_with(&self, suffix: &str) -> bool {
        let suffix = suffix.trim_start_matches("./");
        !suffix.is_empty()
            && self
                .path
                .strip_suffix(suffix)
                .is_some_and(|before| before.is_empty() || before.ends_with('/') || suffix.starts_with('/'))
    }
}

/// The lines of one unit.
#[derive(Debug, Default)]
struct UnitLines {
    files: OnceCell<Vec<Option<SourceFile>>>,
    rows: OnceCell<Vec<Row>>,
}

/// The lines of a module, by unit; read when first asked for.
pub(in super::super) struct LineTables {
    units: Vec<UnitLines>,
}

impl LineTables {
    pub(in super::super) fn new(info: &DebugInfo) -> LineTables {
        LineTables { units: (0..info.len()).map(|_| UnitLines::default()).collect() }
    }

    /// The source files of a unit, by their numbers.
    pub(in super::super) fn files(&self, info: &DebugInfo, unit: u32) -> &[Option<SourceFile>] {
        let Some(lines) = self.units.get(unit as usize) else { return &[] };
        lines.files.get_or_init(|| info.unit(unit).map(files).unwrap_or_default())
    }

    /// The rows of a unit, in the order of their code.
    pub(in super::super) fn rows(&self, info: &DebugInfo, names: &ModuleNames, unit: u32) -> &[Row] {
        let Some(lines) = self.units.get(unit as usize) else { return &[] };
        lines.rows.get_or_init(|| {
            let mut rows = Vec::new();
            if let Some(unit) = info.unit(unit) {
                // What comes before the damage is still true.
                let _ = read_rows(unit, names, &mut rows);
            }
            rows.sort_by_key(|row| row.code.start);
            rows
        })
    }

    /// The rows of the unit that an instruction belongs to, and the number of its row.
    pub(in super::super) fn row_at(
        &self,
        info: &DebugInfo,
        names: &ModuleNames,
        offset: CodeOffset,
    ) -> Option<(u32, &[Row], usize)> {
        // Rows of dropped and replaced functions were left out, so those of the right unit remain.
        info.units_at(offset).into_iter().find_map(|unit| {
            let rows = self.rows(info, names, unit);
            let at = rows.partition_point(|row| row.code.start <= offset.0).checked_sub(1)?;
            rows[at].code.contains(&offset.0).then_some((unit, rows, at))
        })
    }
}

fn files(unit: UnitRef<'_, Shared>) -> Vec<Option<SourceFile>> {
    let Some(program) = unit.line_program.as_ref() else { return Vec::new() };
    let header = program.header();
    let directory = unit.comp_dir.as_ref().and_then(|directory| Some(directory.to_string_lossy().ok()?.into_owned()));
    // DWARF 5 counts files from 0, those before from 1.
    let count = header.file_names().len() + usize::from(header.version() <= 4);
    (0..count as u64)
        .map(|number| {
            let path = path(unit, header, header.file(number)?, directory.as_deref())?;
            let inside = directory.as_deref().map(normal).and_then(|directory| {
                let rest = path.strip_prefix(directory.as_str())?;
                Some(rest.strip_prefix('/')?.to_owned())
            });
            Some(SourceFile { shown: inside.unwrap_or_else(|| path.clone()), path })
        })
        .collect()
}

fn path(
    unit: UnitRef<'_, Shared>,
    header: &LineProgramHeader<Shared>,
    file: &FileEntry<Shared>,
    compiled_in: Option<&str>,
) -> Option<String> {
    let text = |value| Some(unit.attr_string(value).ok()?.to_string_lossy().ok()?.into_owned());
    let mut path = compiled_in.unwrap_or_default().to_owned();
    if let Some(directory) = file.directory(header).and_then(text) {
        join(&mut path, &directory);
    }
    join(&mut path, &text(file.path_name())?);
    Some(normal(&path))
}

fn join(path: &mut String, part: &str) {
    if part.starts_with('/') {
        path.clear();
    } else if !path.is_empty() && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(part);
}

/// Without `.` and, where that is possible, `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let start = if path.starts_with('/') { "/" } else { "" };
    format!("{start}{}", parts.join("/"))
}

/// Reads the rows of the code that the linker kept.
fn read_rows(unit: UnitRef<'_, Shared>, names: &ModuleNames, all: &mut Vec<Row>) -> Result<(), gimli::Error> {
    let Some(program) = unit.line_program.clone() else { return Ok(()) };
    let mut rows = program.rows();
    let mut sequence: Vec<Row> = Vec::new();
    while let Some((_, row)) = rows.next_row()? {
        let address = u32::try_from(row.address()).unwrap_or(u32::MAX);
        if let Some(last) = sequence.last_mut() {
            last.code.end = address.max(last.code.start);
        }
        if row.end_sequence() {
            // Code that was dropped begins at 0 for some linkers, and so seems to lie in the first functions; but only
            // what is really there ends where a body ends.
            if names.is_body_end(address) {
                all.extend(sequence.drain(..).filter(|row| !row.code.is_empty()));
            }
            sequence.clear();
        } else {
            sequence.push(from_row(row, address));
        }
        if all.len() + sequence.len() > MAX_ROWS {
            break;
        }
    }
    Ok(())
}

fn from_row(row: &LineRow, address: u32) -> Row {
    Row {
        code: address..address,
        file: u32::try_from(row.file_index()).unwrap_or(u32::MAX),
        line: row.line().and_then(|line| u32::try_from(line.get()).ok()).unwrap_or(0),
        is_stmt: row.is_stmt(),
        prologue_end: row.prologue_end(),
    }
}

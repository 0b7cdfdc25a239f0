//! From an instruction to the functions and lines of the source.

use std::sync::Arc;

use addr2line::{Context, Frame};
use gimli::{EndianArcSlice, LittleEndian, Reader, UnitRef};
use wkdb_tracer::CodeOffset;

use super::super::module::DebugSections;
use super::super::{FunctionSymbol, SourceFrame, SourcePosition};

type Slice = EndianArcSlice<LittleEndian>;

/// The line information of a module. Units are read when an instruction of theirs is first asked for.
pub(in super::super) struct Lines {
    context: Context<Slice>,
}

impl Lines {
    /// Opens a module's line information; `None` if it has no DWARF.
    pub(in super::super) fn read(module: &Arc<[u8]>, sections: &DebugSections) -> Result<Option<Lines>, gimli::Error> {
        let whole = Slice::new(Arc::clone(module), LittleEndian);
        let Some(dwarf) = super::open(sections, |range| whole.range(range))? else { return Ok(None) };
        Ok(Some(Lines { context: Context::from_dwarf(dwarf)? }))
    }

    /// The functions of the source that are active at an instruction, innermost first; empty if nothing is known, or if
    /// what is found is another function's.
    pub(in super::super) fn frames(
        &self,
        offset: CodeOffset,
        function: &FunctionSymbol,
    ) -> Result<Vec<SourceFrame>, gimli::Error> {
        let probe = u64::from(offset.0);
        let unit = self.context.find_dwarf_and_unit(probe).skip_all_loads();
        let mut found = self.context.find_frames(probe).skip_all_loads()?;
        let mut frames = Vec::new();
        let mut outermost = None;
        while let Some(frame) = found.next()? {
            outermost = frame.dw_die_offset;
            // A place without a function is an assembler's: the module knows its name.
            let name = frame.function.as_ref().map(|name| name.raw_name().map(|name| name.into_owned())).transpose()?;
            frames.push(SourceFrame {
                function: name.unwrap_or_else(|| function.name.clone()),
                source: position(&frame, unit)?,
                inlined: true,
            });
        }
        if let (Some(unit), Some(entry)) = (unit, outermost)
            && !belongs(unit, entry, function)?
        {
            return Ok(Vec::new());
        }
        if let Some(last) = frames.last_mut() {
            last.inlined = false;
        }
        Ok(frames)
    }
}

/// Whether a subprogram's code is that of the function. Some linkers leave the debug information of dropped functions
/// in place with an address of 0, where it covers the first functions that were kept; and that of a weak function gets
/// the address of the one that replaced it.
fn belongs(
    unit: UnitRef<'_, Slice>,
    entry: gimli::UnitOffset<usize>,
    function: &FunctionSymbol,
) -> Result<bool, gimli::Error> {
    let mut ranges = unit.die_ranges(&unit.entry(entry)?)?;
    let body = u64::from(function.start.0)..u64::from(function.end.0);
    while let Some(range) = ranges.next()? {
        if range.begin == body.start && range.end == body.end {
            return Ok(true);
        }
    }
    Ok(false)
}

fn position(
    frame: &Frame<'_, Slice>,
    unit: Option<UnitRef<'_, Slice>>,
) -> Result<Option<SourcePosition>, gimli::Error> {
    let Some(location) = &frame.location else { return Ok(None) };
    let Some(path) = location.file else { return Ok(None) };
    let directory = match unit.and_then(|unit| unit.comp_dir.as_ref()) {
        Some(directory) => Some(directory.to_string_lossy()?.into_owned()),
        None => None,
    };
    let relative = directory.as_deref().and_then(|directory| path.strip_prefix(directory)?.strip_prefix('/'));
    Ok(Some(SourcePosition {
        file: relative.unwrap_or(path).to_owned(),
        directory: directory.clone().filter(|_| relative.is_some()),
        line: location.line,
        // DWARF's column 0 means that there is none.
        column: location.column.filter(|&column| column > 0),
    }))
}

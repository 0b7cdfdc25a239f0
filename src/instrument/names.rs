//! The name section: indices that moved, and names for what was added.

use wasm_encoder::Encode;
use wasmparser::{BinaryReader, Naming, SectionLimited};

use super::exports::Kept;
use super::host::{EXPORT_PREFIX, Host, IMPORT_MODULE};
use super::map::Shift;
use super::splice::Splice;
use super::survey::Survey;

/// Identifiers of the subsections whose indices can move.
mod subsection {
    pub(super) const FUNCTION: u8 = 1;
    pub(super) const LOCAL: u8 = 2;
    pub(super) const LABEL: u8 = 3;
    pub(super) const GLOBAL: u8 = 7;
}

/// The name section's data (behind its own name) with the indices of the rewritten module.
///
/// Names are no part of what a module does, so a malformed section is no error: what follows the first mistake is
/// left out, rather than kept with indices that are now wrong.
pub(super) fn rewrite_names(survey: &Survey<'_>, kept: &Kept, host: &Host, data: std::ops::Range<usize>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reader = BinaryReader::new(&survey.module[data.clone()], data.start);
    while !reader.eof() {
        let Some(end) = rewrite_subsection(survey, kept, host, &mut reader, &mut out) else { break };
        debug_assert_eq!(end, reader.original_position());
    }
    out
}

/// Appends the next subsection to `out`; the offset behind it, or `None` if it is malformed.
fn rewrite_subsection(
    survey: &Survey<'_>,
    kept: &Kept,
    host: &Host,
    reader: &mut BinaryReader<'_>,
    out: &mut Vec<u8>,
) -> Option<usize> {
    let kind = reader.read_u8().ok()?;
    let contents = reader.read_reader().ok()?.range();
    let rewritten = match kind {
        // Labels are numbered by the blocks of a function, and inserted branches are blocks.
        subsection::LABEL if !host.functions.is_empty() => return Some(contents.end),
        subsection::FUNCTION => {
            let names = host.functions.iter().map(|f| format!("{IMPORT_MODULE}.{}", f.name())).collect();
            direct(survey, contents.clone(), u32::MAX, host.function_shift, names)?
        }
        subsection::GLOBAL if host.global_shift.added > 0 || kept.drops_globals(survey) => {
            let added = host.globals.iter().take(host.global_shift.added as usize);
            let names = added.map(|g| format!("{EXPORT_PREFIX}{}", g.name())).collect();
            direct(survey, contents.clone(), kept.globals, host.global_shift, names)?
        }
        subsection::LOCAL | subsection::LABEL => indirect(survey, contents.clone(), host.function_shift)?,
        _ => survey.module[contents.clone()].to_vec(),
    };
    out.push(kind);
    rewritten.as_slice().encode(out);
    Some(contents.end)
}

/// A map from indices, those from `end` on left out, to names, with `added` names for the indices that were inserted
/// behind the imported ones.
fn direct(
    survey: &Survey<'_>,
    contents: std::ops::Range<usize>,
    end: u32,
    shift: Shift,
    added: Vec<String>,
) -> Option<Vec<u8>> {
    let reader = BinaryReader::new(&survey.module[contents.clone()], contents.start);
    let old: SectionLimited<'_, Naming<'_>> = SectionLimited::new(reader).ok()?;
    let mut names = Vec::new();
    for naming in old {
        let naming = naming.ok()?;
        if naming.index < end {
            names.push((shift.apply(naming.index), naming.name.to_owned()));
        }
    }
    let at = names.partition_point(|(index, _)| *index < shift.imported);
    names.splice(at..at, added.into_iter().enumerate().map(|(i, name)| (shift.imported + i as u32, name)));
    let mut out = Vec::new();
    names.len().encode(&mut out);
    for (index, name) in names {
        index.encode(&mut out);
        name.as_str().encode(&mut out);
    }
    Some(out)
}

/// A map from function indices to maps within the functions: only the function indices move.
fn indirect(survey: &Survey<'_>, contents: std::ops::Range<usize>, shift: Shift) -> Option<Vec<u8>> {
    let mut reader = BinaryReader::new(&survey.module[contents.clone()], contents.start);
    let mut splice = Splice::new(survey.module, contents.start);
    for _ in 0..reader.read_var_u32().ok()? {
        let start = reader.original_position();
        let function = reader.read_var_u32().ok()?;
        splice.replace_u32(start..reader.original_position(), shift.apply(function));
        for _ in 0..reader.read_var_u32().ok()? {
            reader.read_var_u32().ok()?;
            reader.skip_string().ok()?;
        }
    }
    reader.eof().then(|| splice.finish(contents.end))
}

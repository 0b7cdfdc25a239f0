//! Rewrites the code section, function by function.

use std::collections::HashMap;

use wasm_encoder::Encode;
use wasmparser::{BranchHint, FunctionBody};

use super::Options;
use super::body::{Function, Scan};
use super::emit::{Emitted, Emitter};
use super::error::InstrumentError;
use super::hints::FunctionHints;
use super::host::Host;
use super::lookup::lookup;
use super::map::{FunctionPlace, MAX_FILE, MapBuilder, RunKind};
use super::probes::wrapper;
use super::recursion::Recursion;
use super::sections::{Section, leb_width};
use super::splice::write_u32_at_least;
use super::survey::Survey;

/// The size of a function's body that engines accept, in bytes.
const MAX_FUNCTION_SIZE: usize = 7_654_321;

/// The rewritten code section.
pub(super) struct Code {
    /// The section's contents.
    pub(super) contents: Vec<u8>,
    pub(super) map: MapBuilder,
    /// Hints for all functions that have some, in the order of their indices.
    pub(super) hints: Vec<FunctionHints>,
}

/// Rewrites all functions.
///
/// `hints` are those of the original module, by function index.
///
/// # Errors
/// A function cannot be rewritten or becomes too large.
pub(super) fn rewrite_code(
    survey: &Survey<'_>,
    section: &Section,
    host: &Host,
    options: &Options,
    hints: &HashMap<u32, Vec<BranchHint>>,
) -> Result<Code, InstrumentError> {
    let module = survey.module;
    let base = section.contents.start;
    let count_width = leb_width(&module[base..]).unwrap_or(1);
    let mut contents = Vec::new();
    let added = host.lookups.len() + host.probed.len();
    let count = survey.types.as_ref().function_count() - survey.imported_functions + added as u32;
    write_u32_at_least(&mut contents, count, count_width);
    let mut code = Code { contents, map: MapBuilder::default(), hints: Vec::new() };
    let (mut scan, mut emitted) = (Scan::default(), Emitted::default());
    let mut behind_last = base + count_width;
    let recursion = options.call_stack.map(|_| Recursion::find(survey)).transpose()?;
    for (index, body) in survey.entries::<FunctionBody>(&section.contents)?.into_iter().enumerate() {
        let body = body?;
        let range = body.range();
        // The validator has counted them: there are fewer than 2³² functions.
        let function = survey.imported_functions + index as u32;
        let frame = recursion.as_ref().and_then(|recursion| recursion.frame(index));
        scan.read(Function { index: function, frame }, &body, survey, host, options, base)?;
        let emitter = Emitter {
            module,
            code_section: base,
            host,
            ticks: options.ticks,
            loads: options.loads,
            sites: options.sites,
            faults: options.faults,
            stores: options.checks_stores(),
            scan: &scan,
            function,
            parameters: survey.parameters(function),
            body: range.clone(),
        };
        emitter.emit(&mut emitted)?;
        if emitted.bytes.len() > MAX_FUNCTION_SIZE {
            let what = format!("the size of function {function}");
            return Err(InstrumentError::TooLarge { what, limit: MAX_FUNCTION_SIZE });
        }
        if code.contents.len() + emitted.bytes.len() >= MAX_FILE {
            return Err(InstrumentError::TooLarge { what: "the code section".to_owned(), limit: MAX_FILE });
        }
        code.append(&emitted, &scan, range.start - behind_last, [range.start - base, range.end - base]);
        let original_hints = hints.get(&function).map_or(&[][..], Vec::as_slice);
        let merged = emitted.merge_hints(original_hints, (range.start - base) as u32);
        if !merged.is_empty() {
            code.hints.push(FunctionHints { function: host.function_shift.apply(function), hints: merged });
        }
        behind_last = range.end;
    }
    for &function in &host.lookups {
        lookup(host, function).encode(&mut code.contents);
    }
    for &function in &host.probed {
        wrapper(survey, host, options.runtime_globals, function).encode(&mut code.contents);
    }
    Ok(code)
}

impl Code {
    /// Appends a body with its size in front, and enters it in the map.
    fn append(&mut self, emitted: &Emitted, scan: &Scan, size_width: usize, original: [usize; 2]) {
        // All sizes and offsets are below MAX_FILE, and so fit in u32.
        write_u32_at_least(&mut self.contents, emitted.bytes.len() as u32, size_width);
        let start = self.contents.len() as u32;
        for run in &emitted.runs {
            self.map.run(start + run.rewritten, run.original, run.kind);
        }
        self.contents.extend_from_slice(&emitted.bytes);
        let code_length = (scan.code.end - scan.code.start) as u32;
        self.map.function(FunctionPlace {
            original_body: original[0] as u32,
            original_code: original[1] as u32 - code_length,
            original_end: original[1] as u32,
            rewritten_body: start,
            rewritten_end: self.contents.len() as u32,
        });
    }
}

impl Emitted {
    /// The hints for the inserted branches together with the original ones, which move with their operators.
    ///
    /// `body` is the offset of the original body in the original code section.
    fn merge_hints(&self, original: &[BranchHint], body: u32) -> Vec<BranchHint> {
        let mut merged = self.hints.clone();
        for hint in original {
            let Some(at) = hint.func_offset.checked_add(body) else { continue };
            // Branches themselves are never changed, so they are in verbatim runs.
            let run = self.runs.iter().rev().find(|r| r.kind == RunKind::Verbatim && r.original <= at);
            if let Some(run) = run {
                merged.push(BranchHint { func_offset: run.rewritten + (at - run.original), taken: hint.taken });
            }
        }
        merged.sort_by_key(|hint| hint.func_offset);
        merged.dedup_by_key(|hint| hint.func_offset);
        merged
    }
}

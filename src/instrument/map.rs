//! The map between places in the original code and in the rewritten code.

use std::ops::Range;

use thiserror::Error;
use wkdb_tracer::CodeOffset;

/// How the bytes of a run relate to the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunKind {
    /// Original bytes, one for one.
    Verbatim = 0,
    /// The rewritten form of one operator, of another length.
    Replaced = 1,
    /// Bytes inserted before or after an operator.
    Inserted = 2,
}

impl RunKind {
    const SHIFT: u32 = 30;
    const OFFSET_MASK: u32 = (1 << Self::SHIFT) - 1;

    fn of(tagged: u32) -> RunKind {
        match tagged >> Self::SHIFT {
            0 => RunKind::Verbatim,
            1 => RunKind::Replaced,
            _ => RunKind::Inserted,
        }
    }
}

/// The longest file that a map can describe, in bytes: engines accept no longer modules either.
pub(super) const MAX_FILE: usize = 1 << RunKind::SHIFT;

const MAGIC: u32 = u32::from_le_bytes(*b"wkom");
const FORMAT: u32 = 2;
const HEADER_WORDS: usize = 9;
const FUNCTION_WORDS: usize = 5;

/// Where a function's code lies on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FunctionPlace {
    /// Its locals' declarations in the original: where DWARF says that the function begins.
    pub(super) original_body: u32,
    /// Its first operator in the original.
    pub(super) original_code: u32,
    /// Behind its last operator in the original.
    pub(super) original_end: u32,
    /// Its locals' declarations in the rewritten code section's contents.
    pub(super) rewritten_body: u32,
    /// Behind its last operator there.
    pub(super) rewritten_end: u32,
}

/// The exact relation between the operators of a module and those of its rewritten form.
///
/// *Original* offsets are [`CodeOffset`]s, as DWARF counts them: from the start of the contents of the original code
/// section. *Rewritten* offsets count from the start of the rewritten file, as Wasmtime's `FrameInfo::module_offset`
/// does. Inserted code belongs to the operator that it serves.
///
/// Stored as runs in flat sorted arrays, about 8 bytes for each changed place in the code; a lookup is a binary search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetMap {
    /// Where the contents of the rewritten code section start in the rewritten file.
    rewritten_base: u32,
    imported_functions: u32,
    added_functions: u32,
    imported_globals: u32,
    added_globals: u32,
    /// How many of the original's globals the rewritten module has, imported ones among them: the first ones.
    kept_globals: u32,
    functions: Vec<FunctionPlace>,
    /// The start of each run in the rewritten code section's contents, strictly ascending.
    run_rewritten: Vec<u32>,
    /// The original offset of each run, ascending; the kind in the two upper bits.
    run_original: Vec<u32>,
}

/// Bytes that are no [`OffsetMap`]: a cached file is damaged or of another version. Rewrite the module again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not an offset map of this version, or a damaged one: {0}; rewrite the module again")]
pub struct BadOffsetMap(&'static str);

impl OffsetMap {
    /// The original operator that the byte at `rewritten` of the rewritten file belongs to.
    ///
    /// A byte inside an operator that was copied gives the same byte of the original; the declarations of a function's
    /// locals give its first operator. `None` outside of functions' bodies.
    pub fn original(&self, rewritten: u32) -> Option<CodeOffset> {
        let at = rewritten.checked_sub(self.rewritten_base)?;
        let index = self.functions.partition_point(|f| f.rewritten_body <= at).checked_sub(1)?;
        let function = self.functions.get(index).filter(|f| at < f.rewritten_end)?;
        let run = self.run_rewritten.partition_point(|&start| start <= at).checked_sub(1);
        let original = run.map_or(0, |run| self.run_offset(run, at));
        Some(CodeOffset(original.clamp(function.original_code, function.original_end.saturating_sub(1))))
    }

    /// The first byte, in the rewritten file, of what belongs to the operator at `original`: of the code inserted
    /// before it if there is any.
    ///
    /// An offset in the declarations of a function's locals, where DWARF lets functions begin, stands for the
    /// function's first operator. `None` outside of functions' bodies.
    pub fn rewritten(&self, original: CodeOffset) -> Option<u32> {
        self.place(original).map(|(first, _)| first)
    }

    /// The operator itself in the rewritten file, without what was inserted before it. Else as [`Self::rewritten`].
    pub fn rewritten_operator(&self, original: CodeOffset) -> Option<u32> {
        self.place(original).map(|(_, operator)| operator)
    }

    /// The function that holds the offset, as an index of the original module's function index space.
    pub fn function_at(&self, original: CodeOffset) -> Option<u32> {
        let index = self.function_slot(original.0)?;
        self.imported_functions.checked_add(u32::try_from(index).ok()?)
    }

    /// The body of a function, locals' declarations included, by its index in the original module. `None` for
    /// imported functions and for indices beyond the last.
    pub fn function_range(&self, index: u32) -> Option<Range<CodeOffset>> {
        let slot = index.checked_sub(self.imported_functions)? as usize;
        let function = self.functions.get(slot)?;
        Some(CodeOffset(function.original_body)..CodeOffset(function.original_end))
    }

    /// The index in the original module of the function that has index `rewritten` in the rewritten one. `None` for
    /// the functions that the rewritten module imports from the workbench, and for those that were added to it.
    pub fn original_function(&self, rewritten: u32) -> Option<u32> {
        let defined = |index: u32| index.checked_sub(self.imported_functions).map(|slot| slot as usize);
        unshift(rewritten, self.imported_functions, self.added_functions)
            .filter(|&index| defined(index).is_none_or(|slot| slot < self.functions.len()))
    }

    /// The index in the rewritten module of a function of the original one.
    pub fn rewritten_function(&self, original: u32) -> u32 {
        shift(original, self.imported_functions, self.added_functions)
    }

    /// The index in the rewritten module of a global of the original one, as DWARF's `DW_OP_WASM_location` names it.
    /// `None` for one that [`Exports::Only`](super::Exports::Only) left out.
    pub fn rewritten_global(&self, original: u32) -> Option<u32> {
        (original < self.kept_globals).then(|| shift(original, self.imported_globals, self.added_globals))
    }

    /// The map as bytes, for a cache. The format is private to this version of the program.
    pub fn to_bytes(&self) -> Vec<u8> {
        let words =
            HEADER_WORDS + FUNCTION_WORDS * self.functions.len() + self.run_rewritten.len() + self.run_original.len();
        let mut bytes = Vec::with_capacity(4 * words);
        let mut put = |word: u32| bytes.extend_from_slice(&word.to_le_bytes());
        // The counts fit: there is less than one function and one run for each byte of a file below MAX_FILE.
        let header = [MAGIC, FORMAT, self.rewritten_base, self.imported_functions, self.added_functions];
        header.into_iter().for_each(&mut put);
        let globals = [self.imported_globals, self.added_globals, self.kept_globals];
        globals.into_iter().chain([self.functions.len() as u32]).for_each(&mut put);
        for f in &self.functions {
            [f.original_body, f.original_code, f.original_end, f.rewritten_body, f.rewritten_end]
                .into_iter()
                .for_each(&mut put);
        }
        self.run_rewritten.iter().chain(&self.run_original).copied().for_each(put);
        bytes
    }

    /// Reads back what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes are not a map of this version, or are damaged in a way that lookups would notice.
    pub fn from_bytes(bytes: &[u8]) -> Result<OffsetMap, BadOffsetMap> {
        let (words, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(BadOffsetMap("its length is odd"));
        }
        let word = |i: usize| words.get(i).map(|w| u32::from_le_bytes(*w));
        let (Some(header), Some(MAGIC), Some(FORMAT)) = (words.get(..HEADER_WORDS), word(0), word(1)) else {
            return Err(BadOffsetMap("it has another header"));
        };
        let header: Vec<u32> = header.iter().map(|w| u32::from_le_bytes(*w)).collect();
        let body = &words[HEADER_WORDS..];
        let function_words = (header[8] as usize).checked_mul(FUNCTION_WORDS).filter(|&n| n <= body.len());
        let Some(function_words) = function_words.filter(|&n| (body.len() - n) % 2 == 0) else {
            return Err(BadOffsetMap("it is too short"));
        };
        let (functions, runs) = body.split_at(function_words);
        let (run_rewritten, run_original) = runs.split_at(runs.len() / 2);
        let numbers = |words: &[[u8; 4]]| words.iter().map(|w| u32::from_le_bytes(*w)).collect::<Vec<_>>();
        let functions = numbers(functions)
            .as_chunks::<FUNCTION_WORDS>()
            .0
            .iter()
            .map(|&[original_body, original_code, original_end, rewritten_body, rewritten_end]| FunctionPlace {
                original_body,
                original_code,
                original_end,
                rewritten_body,
                rewritten_end,
            })
            .collect();
        let map = OffsetMap {
            rewritten_base: header[2],
            imported_functions: header[3],
            added_functions: header[4],
            imported_globals: header[5],
            added_globals: header[6],
            kept_globals: header[7],
            functions,
            run_rewritten: numbers(run_rewritten),
            run_original: numbers(run_original),
        };
        map.check()?;
        Ok(map)
    }

    /// What lookups rely on: everything ascends.
    fn check(&self) -> Result<(), BadOffsetMap> {
        let mut last = (0, 0);
        for f in &self.functions {
            let original = [last.0, f.original_body, f.original_code, f.original_end];
            let rewritten = [last.1, f.rewritten_body, f.rewritten_end];
            if !original.is_sorted() || !rewritten.is_sorted() || f.original_code == f.original_end {
                return Err(BadOffsetMap("its functions are out of order"));
            }
            last = (f.original_end, f.rewritten_end);
        }
        let originals_ascend = self.run_original.is_sorted_by_key(|o| o & RunKind::OFFSET_MASK);
        if !self.run_rewritten.is_sorted_by(|a, b| a < b) || !originals_ascend {
            return Err(BadOffsetMap("its runs are out of order"));
        }
        if self.rewritten_base.checked_add(last.1).is_none() {
            return Err(BadOffsetMap("it goes beyond the largest file"));
        }
        Ok(())
    }

    fn function_slot(&self, original: u32) -> Option<usize> {
        let index = self.functions.partition_point(|f| f.original_body <= original).checked_sub(1)?;
        (original < self.functions[index].original_end).then_some(index)
    }

    /// The original offset for the byte `at` of the rewritten code section's contents, which lies in `run`.
    fn run_offset(&self, run: usize, at: u32) -> u32 {
        let tagged = self.run_original[run];
        let original = tagged & RunKind::OFFSET_MASK;
        match RunKind::of(tagged) {
            RunKind::Verbatim => original.saturating_add(at - self.run_rewritten[run]),
            RunKind::Replaced | RunKind::Inserted => original,
        }
    }

    /// Where what belongs to an operator starts, and the operator itself, in the rewritten file.
    fn place(&self, original: CodeOffset) -> Option<(u32, u32)> {
        let function = self.functions[self.function_slot(original.0)?];
        let at = original.0.max(function.original_code);
        let start = |run: usize| self.run_original[run] & RunKind::OFFSET_MASK;
        let behind = self.run_original.partition_point(|o| o & RunKind::OFFSET_MASK <= at);
        // All runs that start with the operator at or before `at`: [insertions] operator [insertions], or insertions
        // only, if they are behind an operator in the middle of a verbatim run.
        let first = (0..behind).rev().take_while(|&run| start(run) == start(behind - 1)).last()?;
        let operator = (first..behind).find(|&run| RunKind::of(self.run_original[run]) != RunKind::Inserted);
        let (first, run) = match operator {
            Some(run) => (first, run),
            None => (first.checked_sub(1)?, first.checked_sub(1)?),
        };
        let in_file = |rewritten: u32| self.rewritten_base.checked_add(rewritten);
        let operator = match RunKind::of(self.run_original[run]) {
            RunKind::Verbatim => self.run_rewritten[run].checked_add(at - start(run))?,
            RunKind::Replaced | RunKind::Inserted => self.run_rewritten[run],
        };
        // Inserted code in front counts only for the operator at the very start of its run.
        let before = if start(run) == at { self.run_rewritten[first] } else { operator };
        Some((in_file(before)?, in_file(operator)?))
    }
}

fn shift(index: u32, imported: u32, added: u32) -> u32 {
    if index < imported { index } else { index.saturating_add(added) }
}

fn unshift(index: u32, imported: u32, added: u32) -> Option<u32> {
    if index < imported { Some(index) } else { index.checked_sub(added).filter(|&i| i >= imported) }
}

/// Collects runs in the order of the code.
#[derive(Debug, Default)]
pub(super) struct MapBuilder {
    functions: Vec<FunctionPlace>,
    run_rewritten: Vec<u32>,
    run_original: Vec<u32>,
}

/// How many indices were inserted behind the imported ones of an index space.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shift {
    /// The original module's imports.
    pub(super) imported: u32,
    /// The imports added behind them.
    pub(super) added: u32,
}

impl Shift {
    /// The index in the rewritten module.
    pub(super) fn apply(self, index: u32) -> u32 {
        shift(index, self.imported, self.added)
    }
}

impl MapBuilder {
    /// Notes that the bytes from `rewritten` on relate to `original` in this way, up to the next call.
    pub(super) fn run(&mut self, rewritten: u32, original: u32, kind: RunKind) {
        if let (Some(&last_rewritten), Some(&last)) = (self.run_rewritten.last(), self.run_original.last()) {
            let last_original = last & RunKind::OFFSET_MASK;
            let goes_on = match kind {
                RunKind::Verbatim => rewritten - last_rewritten == original - last_original,
                RunKind::Replaced => false,
                RunKind::Inserted => original == last_original,
            };
            if goes_on && RunKind::of(last) == kind {
                return;
            }
        }
        self.run_rewritten.push(rewritten);
        self.run_original.push(original | (kind as u32) << RunKind::SHIFT);
    }

    /// Notes where a function lies, in the functions' order.
    pub(super) fn function(&mut self, place: FunctionPlace) {
        self.functions.push(place);
    }

    /// The map, once it is known where the contents of the code section start in the rewritten file.
    ///
    /// `kept_globals` of the original's globals are in it.
    pub(super) fn finish(self, rewritten_base: u32, functions: Shift, globals: Shift, kept_globals: u32) -> OffsetMap {
        OffsetMap {
            rewritten_base,
            imported_functions: functions.imported,
            added_functions: functions.added,
            imported_globals: globals.imported,
            added_globals: globals.added,
            kept_globals,
            functions: self.functions,
            run_rewritten: self.run_rewritten,
            run_original: self.run_original,
        }
    }
}

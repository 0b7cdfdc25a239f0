//! The `metadata.code.branch_hint` section: which branches are hardly ever, or nearly always, taken.

use std::collections::HashMap;

use wasm_encoder::{BranchHints, Encode};
use wasmparser::{BinaryReader, BranchHint, BranchHintSectionReader};

/// The name of the custom section.
pub(super) const SECTION: &str = "metadata.code.branch_hint";

/// The hints for one function.
pub(super) struct FunctionHints {
    /// The function's index in the rewritten module.
    pub(super) function: u32,
    /// Ascending by offset, which counts from the function's locals on.
    pub(super) hints: Vec<BranchHint>,
}

/// Reads the hints of the original module by function index; `None` if they are malformed: engines ignore them then.
pub(super) fn read(data: BinaryReader<'_>) -> Option<HashMap<u32, Vec<BranchHint>>> {
    let mut functions = HashMap::new();
    for function in BranchHintSectionReader::new(data).ok()? {
        let function = function.ok()?;
        let hints = function.hints.into_iter().collect::<Result<Vec<_>, _>>().ok()?;
        // Engines take the first entry of a function that is listed twice.
        functions.entry(function.func).or_insert(hints);
    }
    Some(functions)
}

/// The custom section, from its identifier on.
pub(super) fn encode(functions: &[FunctionHints]) -> Vec<u8> {
    let mut section = BranchHints::new();
    for FunctionHints { function, hints } in functions {
        let hints = hints.iter().map(|hint| wasm_encoder::BranchHint {
            branch_func_offset: hint.func_offset,
            branch_hint_value: u32::from(hint.taken),
        });
        section.function_hints(*function, hints);
    }
    let mut bytes = vec![super::sections::id::CUSTOM];
    section.encode(&mut bytes);
    bytes
}

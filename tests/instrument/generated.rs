//! Modules from wasm-smith.

use arbitrary::Unstructured;
use proptest::prelude::*;
use wasm_smith::{Config, MemoryOffsetChoices, Module};

/// As many cases as asked for, or as the variable `PROPTEST_CASES` says: for long runs.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => default,
        None => ProptestConfig { cases, ..default },
    }
}

/// The bytes that a generated module is drawn from.
pub(crate) fn entropy() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1024..16384)
}

/// A module of any kind: every proposal that the rewriting knows, with indices in wasteful encodings sometimes.
pub(crate) fn any_module(entropy: &[u8]) -> Option<Vec<u8>> {
    let mut entropy = Unstructured::new(entropy);
    let config = Config {
        allow_start_export: true,
        custom_page_sizes_enabled: true,
        generate_custom_sections: true,
        max_memories: entropy.int_in_range(0..=3).ok()?,
        max_tables: 4,
        min_funcs: 4,
        min_uleb_size: entropy.int_in_range(1..=5).ok()?,
        wide_arithmetic_enabled: true,
        ..small()
    };
    Some(Module::new(config, &mut entropy).ok()?.to_bytes())
}

/// Little of everything but code: what there is of entropy is to become operators.
fn small() -> Config {
    Config {
        max_data_segments: 4,
        max_element_segments: 4,
        max_elements: 10,
        max_exports: 10,
        max_funcs: 12,
        max_globals: 10,
        max_imports: 10,
        max_instructions: 400,
        max_tags: 4,
        max_types: 10,
        max_values: 4,
        max_type_size: 100,
        ..Config::default()
    }
}

/// A module that ends in any case, calls only imported functions that can be faked, and is quick to run.
pub(crate) fn runnable_module(entropy: &[u8]) -> Option<Vec<u8>> {
    let mut entropy = Unstructured::new(entropy);
    let config = Config {
        allow_start_export: true,
        export_everything: true,
        gc_enabled: false,
        max_imports: 6,
        max_memories: 1,
        max_memory32_bytes: 1 << 18,
        max_memory64_bytes: 1 << 18,
        max_table_elements: 100,
        memory_max_size_required: true,
        memory_offset_choices: MemoryOffsetChoices(95, 4, 1),
        min_exports: 1,
        min_funcs: 4,
        table_max_size_required: true,
        // A wait would block the test for as long as the module says.
        threads_enabled: false,
        ..small()
    };
    let mut module = Module::new(config, &mut entropy).ok()?;
    module.ensure_termination(1500).ok()?;
    Some(module.to_bytes())
}

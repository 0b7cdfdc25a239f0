//! Data that a module's instantiation writes into memory before any of its code runs.

use std::ops::Range;

use wasmparser::{DataKind, Parser, Payload, TypeRef};

use super::const_eval;

/// The ranges of memory 0 that the active data segments of a valid module are written to, in their order. A module of
/// the contract has none, but nothing keeps it from having some.
///
/// `memory_base` is the value of an imported global of that name. A segment whose place depends on anything else that is
/// imported is left out.
pub fn active_data(module: &[u8], memory_base: u64) -> Vec<Range<u64>> {
    let (mut globals, mut ranges) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module).map_while(Result::ok) {
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports().map_while(Result::ok) {
                    if let TypeRef::Global(_) = import.ty {
                        globals.push((import.name == "__memory_base").then_some(memory_base));
                    }
                }
            }
            Payload::GlobalSection(section) => {
                for global in section.into_iter().map_while(Result::ok) {
                    let known = |index: u32| *globals.get(index as usize)?;
                    let value = const_eval::evaluate(&global.init_expr, known);
                    globals.push(value);
                }
            }
            Payload::DataSection(section) => {
                for data in section.into_iter().map_while(Result::ok) {
                    let DataKind::Active { memory_index: 0, offset_expr } = data.kind else { continue };
                    let known = |index: u32| *globals.get(index as usize)?;
                    if let Some(start) = const_eval::evaluate(&offset_expr, known)
                        && !data.data.is_empty()
                    {
                        ranges.push(start..start.saturating_add(data.data.len() as u64));
                    }
                }
            }
            _ => {}
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_active_segments() {
        let module = wat::parse_str(
            r#"(module
                (import "env" "other" (global $other i32))
                (import "env" "__memory_base" (global $base i32))
                (memory 1) (memory $second 1)
                (global $own i32 (i32.add (global.get $base) (i32.const 16)))
                (data "passive")
                (data (global.get $base) "abc")
                (data (global.get $other) "unknown")
                (data (memory $second) (i32.const 0) "elsewhere")
                (data (i32.add (global.get $own) (i32.const 1)) "de")
                (data (i32.const 7) ""))"#,
        )
        .unwrap();
        assert_eq!(active_data(&module, 0x8000), [0x8000..0x8003, 0x8011..0x8013]);
        assert_eq!(active_data(b"\0asm", 0), []);
    }
}

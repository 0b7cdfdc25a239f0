//! Damaged debug information and senseless expressions: errors, never a panic, never without end.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use wkdb_debugger::expr::{Evaluator, Format};
use wkdb_debugger::symbols::Symbols;
use wkdb_tracer::{CodeOffset, WasmValue};

use super::fake::{FRAME, Fake};
use super::{ALL, O0, O2, load};

const QUESTIONS: [&str; 12] = [
    "workers",
    "*workers[0].hidden",
    "workers[1].next->works[0]",
    "counter",
    "message",
    "handlers",
    "callback",
    "total",
    "number",
    "sizeof(struct worker)",
    "(struct work *)16",
    "F_A",
];

/// Where the custom sections begin: behind the data.
fn first_custom(module: &[u8]) -> usize {
    let name = b".debug_";
    module.windows(name.len()).position(|window| window == name).unwrap()
}

/// Asks everything there is to ask.
fn interrogate(module: &[u8]) {
    let Ok(symbols) = Symbols::load(module) else { return };
    let mut fake = Fake::new(O2);
    fake.locals = vec![WasmValue::I32(FRAME), WasmValue::I64(5), WasmValue::F32(0), WasmValue::F64(0)];
    let _ = (symbols.source_files(), symbols.function_places("twice"), symbols.line_places("zoo.c", 30));
    let _ = (symbols.code_of_file("zoo.h"), symbols.functions_of_file("zoo.c"), symbols.types_like("worker"));
    for offset in (0..700).step_by(3).map(CodeOffset) {
        let _ = (symbols.locate(offset), symbols.statement_at(offset));
        fake.pc = Some(offset);
        Evaluator::new(&symbols, &mut fake).scope_text(offset);
    }
    for offset in [0x60, 0xb0, 0x100, 0x150, 0x200] {
        fake.pc = Some(CodeOffset(offset));
        let mut evaluator = Evaluator::new(&symbols, &mut fake);
        let format = Format { max_elements: 20, max_depth: 6, ..Format::default() };
        evaluator.locals_text(false, &format);
        evaluator.locals_text(true, &format);
        for question in QUESTIONS {
            if let Ok(value) = evaluator.evaluate(question) {
                evaluator.format(&value, &format);
                let _ = (evaluator.lvalue(&value), evaluator.type_text(value.ty));
            }
            let _ = evaluator.ptype(question);
        }
    }
}

proptest! {
    // A failing input is printed; there is no source folder here to keep it in.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn damaged_debug_information_ends_in_errors(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        which in 0..3_usize,
    ) {
        let mut module = ALL[which].to_vec();
        let first = first_custom(&module);
        for (index, byte) in damage {
            let at = first + index.index(module.len() - first);
            module[at] = byte;
        }
        let start = Instant::now();
        interrogate(&module);
        prop_assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    #[test]
    fn any_text_is_an_expression_or_an_error(text in r#"[-+*/%&|^~!<>=?:,.()\[\]@$'"a-c0-9 ]{0,40}|.{0,30}"#) {
        let symbols = load(O0);
        let mut fake = Fake::new(O0);
        fake.print(&symbols, &text);
    }

    #[test]
    fn arithmetic_is_that_of_c(a in any::<i32>(), b in any::<i32>(), c in any::<u32>(), shift in 0..32_u32) {
        let symbols = load(O0);
        let mut fake = Fake::new(O0);
        let mut is = |text: String, value: String| {
            let printed = fake.print(&symbols, &text);
            prop_assert_eq!(printed, value, "{}", text);
            Ok(())
        };
        is(format!("({a}) + ({b})"), a.wrapping_add(b).to_string())?;
        is(format!("(int)({a}) * (int)({b})"), a.wrapping_mul(b).to_string())?;
        is(format!("(int)({a}) >> {shift}"), (a >> shift).to_string())?;
        is(format!("{c}u >> {shift}"), (c >> shift).to_string())?;
        is(format!("(int)({a}) < {c}u"), i32::from((a as u32) < c).to_string())?;
        is(format!("(long long)({a}) * ({b})"), (i64::from(a) * i64::from(b)).to_string())?;
        is(format!("(int)({a}) ^ (int)({b}) & 255"), (a ^ (b & 255)).to_string())?;
        if b != 0 && (a, b) != (i32::MIN, -1) {
            is(format!("(int)({a}) / (int)({b})"), (a / b).to_string())?;
            is(format!("(int)({a}) % (int)({b})"), (a % b).to_string())?;
        }
    }
}

#[test]
fn what_nests_too_deep_or_is_too_long_is_refused() {
    let symbols = load(O0);
    let mut fake = Fake::new(O0);
    for text in [
        "(".repeat(5000),
        "-".repeat(5000) + "1",
        "1+".repeat(5000) + "1",
        "workers".to_owned() + &"[0]".repeat(3000),
        "1 ? ".repeat(500) + "1",
        "(int)".repeat(400) + "1",
        "sizeof ".repeat(400) + "1",
        "a = ".repeat(300) + "1",
        "x".repeat(100_000),
    ] {
        let printed = fake.print(&symbols, &text);
        assert!(printed.starts_with("error: "), "{}: {printed}", &text[..20]);
    }
}

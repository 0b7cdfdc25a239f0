use wkdb_debugger::expr::{Evaluator, Format};
use wkdb_debugger::symbols::{Place, PlaceError, Slot, Symbols, Whereabouts};
use wkdb_tracer::{CodeOffset, WasmValue};

use super::fake::{FRAME, Fake};
use super::{ALL, O0, O2, ZOO_C, function, line_of, load};

fn i32(value: u32) -> WasmValue {
    WasmValue::I32(value)
}

#[test]
fn variables_of_unoptimized_code_are_in_the_frame_in_memory() {
    let symbols = load(O0);
    let line = symbols.line_places("zoo.c", line_of(ZOO_C, "return a + b + c + d")).unwrap();
    // The frame base is in a local; which one, the function's description says. All of them have it here.
    let mut fake = Fake::new(O0).at(line[0].offset, &[i32(FRAME); 16]);
    // Where llvm-dwarfdump shows them: fbreg +44, +32, +28, +16, +8.
    fake.put(FRAME + 44, &(-7_i32).to_le_bytes());
    fake.put(FRAME + 32, &(1_i64 << 40).to_le_bytes());
    fake.put(FRAME + 28, &2.5_f32.to_le_bytes());
    fake.put(FRAME + 16, &(-0.125_f64).to_le_bytes());
    fake.put(FRAME + 8, b"local\0\0\0");
    fake.put(FRAME, &FRAME.to_le_bytes());
    for (text, printed) in [
        ("a", "-7".to_owned()),
        ("b", "1099511627776".into()),
        ("c", "2.5".into()),
        ("d", "-0.125".into()),
        ("text", "\"local\"".into()),
        ("&a", format!("(int *) {:#x}", FRAME + 44)),
        ("here.next == &here", "1".into()),
        ("a + b", "1099511627769".into()),
        ("c * 2 + d", "4.875".into()),
    ] {
        assert_eq!(fake.print(&symbols, text), printed, "{text}");
    }
    assert_eq!(fake.print(&symbols, "a = 12"), "12");
    assert_eq!(fake.memory[FRAME as usize + 44], 12);
    let mut evaluator = Evaluator::new(&symbols, &mut fake);
    assert_eq!(evaluator.locals_text(true, &Format::default()), "a = 12\nb = 1099511627776\nc = 2.5\nd = -0.125\n");
    assert_eq!(evaluator.arguments_text(), "a=12, b=1099511627776, c=2.5, d=-0.125");
    let locals = evaluator.locals_text(false, &Format::default());
    assert!(locals.starts_with("text = \"local\"\nhere = {next = 0x8000, prev = 0x0}\n"), "{locals}");
    let scope = evaluator.scope_text(line[0].offset);
    assert!(scope.contains("a is a parameter of type int: memory at 0x802c, length 4\n"), "{scope}");
}

#[test]
fn blocks_have_their_own_variables() {
    let symbols = load(O0);
    let names = |text: &str| -> Vec<Vec<String>> {
        let places = symbols.line_places("zoo.c", line_of(ZOO_C, text)).unwrap();
        let scopes = symbols.scopes(places[0].offset);
        scopes.iter().map(|scope| scope.variables.iter().map(|variable| variable.name.clone()).collect()).collect()
    };
    let outer: Vec<String> = ["numbers", "count", "total"].map(str::to_owned).into();
    assert_eq!(names("total += twice(number)"), [vec!["number".to_owned()], vec!["i".to_owned()], outer.clone()]);
    assert_eq!(names("return total"), [outer]);
}

#[test]
fn inlined_functions_have_frames_of_their_own() {
    for module in ALL {
        let symbols = load(module);
        let place = symbols.line_places("zoo.h", super::line_of(super::ZOO_H, "number * 2")).unwrap();
        let place = place.iter().find(|place| symbols.locate(place.offset).function.unwrap().name == "sum").unwrap();
        let scopes = symbols.scopes(place.offset);
        let frames = symbols.locate(place.offset).frames;
        assert_eq!(frames.iter().map(|frame| frame.function.as_str()).collect::<Vec<_>>(), ["twice", "sum"]);
        let functions: Vec<_> =
            scopes.iter().filter_map(|scope| Some((scope.frame, scope.function.clone()?))).collect();
        assert_eq!(functions, [(0, "twice".to_owned()), (1, "sum".to_owned())]);
        let inner = symbols.local_named("number", place.offset, 0).unwrap();
        assert!(inner.parameter, "that of twice");
        let outer = symbols.local_named("number", place.offset, 1);
        assert!(outer.is_none_or(|outer| !outer.parameter), "that of sum's block");
        assert_eq!(symbols.local_named("count", place.offset, 0), None, "twice has none");
        assert!(symbols.local_named("count", place.offset, 1).unwrap().parameter);
    }
}

/// Where a variable is at every offset of a function.
fn places(symbols: &Symbols, name: &str, variable: &str, fake: &mut Fake) -> Vec<Result<Place, PlaceError>> {
    let function = function(symbols, name);
    (function.start.0..function.end.0)
        .map(CodeOffset)
        .filter_map(|at| {
            let frames = symbols.locate(at).frames.len();
            let variable = symbols.local_named(variable, at, frames - 1)?;
            Some(symbols.place(&variable, Some(at), fake))
        })
        .collect()
}

#[test]
fn variables_of_optimized_code_are_in_locals_while_they_live() {
    for module in [O2, super::DWARF_4] {
        let symbols = load(module);
        let mut fake = Fake::new(module).at(CodeOffset(0), &[i32(1), i32(2), i32(3), i32(4), i32(5), i32(6)]);
        let counts = places(&symbols, "sum", "count", &mut fake);
        let local = |slot: Slot| {
            move |place: &Result<Place, PlaceError>| match place {
                Ok(place) => matches!(&place.0[..], [piece] if piece.at == Whereabouts::Slot(slot)),
                Err(_) => false,
            }
        };
        assert!(local(Slot::Local(1))(&counts[0]), "{counts:?}");
        let totals = places(&symbols, "sum", "total", &mut fake);
        assert!(
            totals.iter().any(|place| matches!(place, Ok(place) if matches!(place.0[0].at, Whereabouts::Bytes(_))))
        );
        assert!(totals.iter().any(|place| matches!(place, Ok(place) if matches!(place.0[0].at, Whereabouts::Slot(_)))));

        // 64 bits and floats, and the same by name.
        let function = function(&symbols, "mixed");
        let pc = CodeOffset(function.end.0 - 1);
        let values =
            [i32(9), WasmValue::I64(1 << 40), WasmValue::F32(0.5_f32.to_bits()), WasmValue::F64(4.0_f64.to_bits())];
        let locals: Vec<WasmValue> = values.into_iter().chain([i32(FRAME); 4]).collect();
        let mut fake = Fake::new(module).at(pc, &locals);
        let found: Vec<String> = (function.start.0..function.end.0)
            .map(|at| {
                fake.pc = Some(CodeOffset(at));
                ["a", "b", "c", "d"].map(|name| fake.print(&symbols, name)).join(" ")
            })
            .collect();
        assert!(found.contains(&"9 1099511627776 0.5 4".to_owned()), "{found:?}");
        // What is in a local can be set, in the width of its type.
        fake.pc = (function.start.0..function.end.0).map(CodeOffset).find(|&at| {
            let variable = symbols.local_named("b", at, 0);
            variable.is_some_and(|variable| symbols.place(&variable, Some(at), &mut Fake::new(module)).is_ok())
        });
        assert_eq!(fake.print(&symbols, "b = -2"), "-2");
        assert_eq!(fake.set, [(Slot::Local(1), WasmValue::I64(-2_i64 as u64))]);
    }
}

#[test]
fn what_was_optimized_out_says_so() {
    for module in [O2, super::DWARF_4] {
        let symbols = load(module);
        let function = function(&symbols, "lives");
        let mut fake = Fake::new(module).at(function.start, &[i32(9), i32(4), i32(FRAME), i32(FRAME), i32(FRAME)]);
        let mut seen = |text: &str| -> Vec<String> {
            let offsets = (function.start.0..function.end.0).map(CodeOffset);
            let mut printed: Vec<String> = offsets
                .map(|at| {
                    fake.pc = Some(at);
                    fake.print(&symbols, text)
                })
                .collect();
            printed.dedup();
            printed
        };
        // A structure that is in two locals, or half of it in one.
        let gone = "error: pair: optimized out";
        let half = "{low = 9, high = <optimized out>}";
        assert_eq!(seen("pair"), [gone, half, "{low = 9, high = 4}", half]);
        let gone = "error: a part of the value is optimized out";
        assert_eq!(seen("pair.high + 1")[1..], [gone, "5", gone]);
        assert_eq!(seen("pair = pair").last().unwrap(), "error: a part of the value is optimized out");
        // A constant while its loop begins, and then nowhere.
        assert!(seen("i").contains(&"0".to_owned()) && seen("i").contains(&"error: i: optimized out".to_owned()));
    }
}

use std::collections::BTreeSet;

use wkdb_debugger::symbols::{PlaceNotFound, Symbols};
use wkdb_tracer::CodeOffset;

use super::{ALL, O0, O2, OTHER_C, STRIPPED, ZOO_C, ZOO_H, function, line_of, load};

fn line_at(symbols: &Symbols, offset: CodeOffset) -> (String, u32) {
    let frame = symbols.locate(offset).frames[0].clone();
    let source = frame.source.unwrap();
    (source.file, source.line.unwrap())
}

#[test]
fn a_line_has_a_place_where_that_line_begins() {
    for module in ALL {
        let symbols = load(module);
        let line = line_of(OTHER_C, "return hidden->secret");
        let places = symbols.line_places("other.c", line).unwrap();
        let [place] = &places[..] else { panic!("{places:?}") };
        assert_eq!((place.function.as_str(), place.line, place.inlined), ("hidden_value", Some(line), false));
        assert_eq!(place.file.as_deref(), Some("other.c"));
        assert_eq!(line_at(&symbols, place.offset), ("other.c".into(), line));
        // By more of its path, and by the whole.
        for path in ["kernel/other.c", "/linux/kernel/other.c", "./other.c"] {
            assert_eq!(symbols.line_places(path, line).unwrap(), places, "{path}");
        }
        assert_eq!(symbols.problems(), [""; 0]);
    }
}

#[test]
fn a_line_without_code_means_the_next_one() {
    for module in ALL {
        let symbols = load(module);
        let blank = line_of(ZOO_C, "static int nr_calls") + 1;
        let next = line_of(ZOO_C, "nr_calls++");
        let places = symbols.line_places("zoo.c", blank).unwrap();
        assert_eq!((places.len(), places[0].line), (1, Some(next)));
        assert_eq!(places, symbols.line_places("zoo.c", next).unwrap());
    }
}

#[test]
fn an_inlined_line_has_a_place_in_every_copy() {
    for module in ALL {
        let symbols = load(module);
        let places = symbols.line_places("zoo.h", line_of(ZOO_H, "number * 2")).unwrap();
        let holders: BTreeSet<String> =
            places.iter().map(|place| symbols.locate(place.offset).function.unwrap().name).collect();
        assert_eq!(holders, ["handle", "hidden_value", "sum"].map(str::to_owned).into());
        assert!(places.iter().all(|place| place.inlined && place.function == "twice"), "{places:?}");
        let copies = symbols.function_places("twice").unwrap();
        let holders_of_copies: BTreeSet<String> =
            copies.iter().map(|place| symbols.locate(place.offset).function.unwrap().name).collect();
        assert_eq!(holders_of_copies, holders);
    }
}

#[test]
fn a_breakpoint_on_a_function_comes_after_its_prologue_if_its_variables_are_in_memory() {
    let symbols = load(O0);
    for (name, text) in [("sum", "u32 total = 0"), ("hidden_value", "return hidden->secret")] {
        let function = function(&symbols, name);
        let at = symbols.breakpoint_in(&function);
        assert!(at > function.start);
        let source = if name == "sum" { ZOO_C } else { OTHER_C };
        assert_eq!(line_at(&symbols, at).1, line_of(source, text), "{name}");
    }
    // Where they are in Wasm's locals, its first instruction.
    let symbols = load(O2);
    let sum = function(&symbols, "sum");
    let at = symbols.breakpoint_in(&sum);
    assert!(at > sum.start && at.0 < sum.start.0 + 8, "behind the declaration of its locals: {at} in {sum:?}");
    assert!(!symbols.scopes(at).is_empty());
    let places = symbols.function_places("sum").unwrap();
    assert_eq!((places.len(), places[0].offset), (1, at));
}

#[test]
fn the_line_that_opens_a_function_means_after_its_prologue() {
    let symbols = load(O0);
    let line = line_of(ZOO_C, "u32 sum(const u32");
    let places = symbols.line_places("zoo.c", line).unwrap();
    assert_eq!(places[0].offset, symbols.breakpoint_in(&function(&symbols, "sum")));
}

#[test]
fn a_statement_is_all_of_its_line_and_no_more() {
    for module in ALL {
        let symbols = load(module);
        for name in ["sum", "handle", "mixed", "run", "hidden_value"] {
            let function = function(&symbols, name);
            let first = symbols.breakpoint_in(&function);
            for offset in (first.0..function.end.0).map(CodeOffset) {
                let Some(statement) = symbols.statement_at(offset) else { continue };
                assert!(statement.contains(&offset));
                assert!(statement.start >= function.start && statement.end <= function.end);
                let lines: BTreeSet<u32> = (statement.start.0..statement.end.0)
                    .filter_map(|at| symbols.locate(CodeOffset(at)).frames[0].source.as_ref()?.line)
                    .collect();
                assert_eq!(lines.len(), 1, "{name} {offset}: {statement:?} has lines {lines:?}");
            }
        }
    }
}

#[test]
fn the_code_of_a_file_holds_its_functions_and_its_inlined_copies() {
    for module in ALL {
        let symbols = load(module);
        let names = |file: &str| -> BTreeSet<String> {
            symbols.functions_of_file(file).unwrap().into_iter().map(|function| function.name).collect()
        };
        assert_eq!(names("zoo.c"), ["handle", "lives", "mixed", "run", "sum"].map(str::to_owned).into());
        assert_eq!(names("other.c"), ["hidden_value"].map(str::to_owned).into());
        assert!(names("zoo.h").is_empty(), "its function is only inlined");
        let inlined = symbols.code_of_file("zoo.h").unwrap();
        let whole = symbols.code_of_file("kernel/other.c").unwrap();
        let other = function(&symbols, "hidden_value");
        assert_eq!(whole, [other.start..other.end]);
        for range in inlined {
            let frames = symbols.locate(range.start).frames;
            assert_eq!(frames[0].function, "twice");
            assert!(frames.len() == 2, "{frames:?}");
        }
        assert_eq!(
            symbols.functions_like("h*e").iter().map(|function| function.name.as_str()).collect::<Vec<_>>(),
            ["handle", "hidden_value"]
        );
        assert_eq!(symbols.functions_like("su?").len(), 1);
        assert_eq!(symbols.source_files(), ["other.c", "zoo.c", "zoo.h"]);
    }
}

#[test]
fn what_has_no_code_is_told_with_what_is_near() {
    let symbols = load(O2);
    assert_eq!(
        symbols.line_places("zoo.cc", 1),
        Err(PlaceNotFound::NoFile { file: "zoo.cc".into(), nearest: vec!["zoo.c".into(), "zoo.h".into()] })
    );
    assert!(symbols.line_places("o.c", 1).is_err(), "only whole components match");
    let last = line_of(ZOO_C, "return sum(numbers, 3)");
    assert_eq!(
        symbols.line_places("zoo.c", 1000).unwrap_err().to_string(),
        format!("no code at or after line 1000 of zoo.c; its last line with code is {last}")
    );
    assert_eq!(
        symbols.function_places("handel").unwrap_err().to_string(),
        "no function is called handel; did you mean handle?"
    );
    assert_eq!(load(STRIPPED).line_places("zoo.c", 1), Err(PlaceNotFound::NoLines));
    assert_eq!(load(STRIPPED).function_places("sum").unwrap().len(), 1, "the name section has it");
}

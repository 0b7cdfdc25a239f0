use std::collections::BTreeSet;

use wkdb_debugger::symbols::{Symbols, TypeKind};

use super::{check_functions, demo, print, work_out_variables};

#[test]
fn every_variable_of_minik_is_somewhere_or_optimized_out() {
    let symbols = Symbols::load(demo("minik-7.0.wasm")).unwrap();
    let (known, gone) = work_out_variables(&symbols, 1, &[]);
    assert!(known > 10_000 && gone > 100, "{known} {gone}");
    assert!(check_functions(&symbols) > 400);
    assert_eq!(symbols.problems(), [""; 0]);
}

#[test]
fn lines_of_minik_lead_to_code_of_these_lines() {
    let symbols = Symbols::load(demo("minik-6.4.wasm")).unwrap();
    let source = String::from_utf8(demo("minik/kernel/workqueue.c")).unwrap();
    let mut found = 0;
    let functions: BTreeSet<String> =
        symbols.functions_of_file("kernel/workqueue.c").unwrap().into_iter().map(|function| function.name).collect();
    for line in 1..=source.lines().count() as u32 {
        let Ok(places) = symbols.line_places("kernel/workqueue.c", line) else { continue };
        for place in places.iter().filter(|place| place.line == Some(line)) {
            found += 1;
            let frames = symbols.locate(place.offset).frames;
            let lines: Vec<_> = frames.iter().filter_map(|frame| frame.source.as_ref()?.line).collect();
            assert!(lines.contains(&line) || lines[0] > line, "{place:?}: {frames:?}");
            assert!(functions.contains(&frames.last().unwrap().function), "{place:?}: {frames:?}");
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn the_shapes_of_minik_are_known() {
    let symbols = Symbols::load(demo("minik-7.0.wasm")).unwrap();
    let task = symbols.type_named("struct task_struct", None).unwrap();
    let TypeKind::Composite(shape) = &symbols.resolve(task).1.kind else { panic!() };
    assert!(shape.members.iter().any(|member| member.name.as_deref() == Some("comm")));
    assert!(symbols.size_of(task).unwrap() > 32);
    let init = &symbols.variables_named("init_task")[0];
    // The same shape from another unit.
    assert_eq!(symbols.resolve(init.ty).1.name.as_deref(), Some("task_struct"));
    assert_eq!(symbols.size_of(init.ty), symbols.size_of(task));
    let printed = print(&symbols, "init_task");
    assert!(printed.contains("comm = \"\\001\\001") && !printed.contains("<error"), "{printed}");
    assert_eq!(symbols.file_of(init).as_deref().map(|file| file.ends_with(".c")), Some(true));
}

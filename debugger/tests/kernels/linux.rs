use std::time::Instant;

use wkdb_debugger::symbols::{Symbols, TypeKind};
use wkdb_tracer::CodeOffset;

use super::{check_functions, demo, print, work_out_variables};

fn linux() -> Symbols {
    Symbols::load(zstd::decode_all(&demo("linux/vmlinux.wasm.zst")[..]).unwrap()).unwrap()
}

#[test]
fn linux_is_opened_at_once_and_its_names_are_read_once() {
    let bytes = zstd::decode_all(&demo("linux/vmlinux.wasm.zst")[..]).unwrap();
    let start = Instant::now();
    let symbols = Symbols::load(bytes).unwrap();
    let loaded = start.elapsed();
    let function = symbols.functions_named("schedule")[0].clone();
    symbols.locate(symbols.breakpoint_in(&function));
    let first_place = start.elapsed();
    let task = symbols.type_named("struct task_struct", None).unwrap();
    let names = start.elapsed();
    assert!(symbols.size_of(task).unwrap() > 1000);
    let start = Instant::now();
    assert!(symbols.type_named("struct worker_pool", None).is_some());
    let again = start.elapsed();
    println!("opened in {loaded:?}, a place after {first_place:?}, names after {names:?}, the next in {again:?}");
    assert!(again < names / 10, "the names are read once: {again:?} after {names:?}");
}

#[test]
fn every_variable_of_linux_is_somewhere_or_optimized_out() {
    let symbols = linux();
    // In __hvc_poll, clang says of `ch` that it is 0x3f more than nothing.
    let (known, gone) = work_out_variables(&symbols, 97, &["ch"]);
    assert!(known > 50_000 && gone > 10_000, "{known} {gone}");
    assert_eq!(symbols.problems(), [""; 0]);
}

#[test]
fn functions_of_linux_have_the_scopes_that_are_active() {
    assert!(check_functions(&linux()) > 5000);
}

#[test]
fn names_and_lines_of_linux_are_found() {
    let symbols = linux();
    let places = symbols.function_places("queue_work_on").unwrap();
    let file = places[0].file.as_deref().unwrap();
    assert!(!places[0].inlined && file.ends_with("kernel/workqueue.c"), "{places:?}");
    assert!(symbols.function_places("list_add_tail").unwrap().len() > 50, "it is inlined everywhere");

    let watched = symbols.code_of_file("kernel/workqueue.c").unwrap();
    let inside = |offset: CodeOffset| watched.iter().any(|range| range.contains(&offset));
    assert!(places.iter().all(|place| inside(place.offset)));
    let schedule = symbols.functions_named("schedule")[0].start;
    assert!(!inside(schedule));
    assert!(watched.windows(2).all(|pair| pair[0].end <= pair[1].start), "in order, none in another");

    let line = places.iter().find(|place| !place.inlined).unwrap().line.unwrap();
    let again = symbols.line_places("workqueue.c", line).unwrap();
    assert!(again.iter().any(|place| place.function == "queue_work_on"), "{again:?}");
    let statement = symbols.statement_at(again[0].offset).unwrap();
    assert!(statement.contains(&again[0].offset) && statement.end.0 - statement.start.0 < 200);
}

#[test]
fn shapes_of_linux_are_known_across_its_units() {
    let symbols = linux();
    // Declared in most units, defined in workqueue.c alone.
    let worker = symbols.type_named("struct worker", None).unwrap();
    let TypeKind::Composite(shape) = &symbols.resolve(worker).1.kind else { panic!() };
    let pool = shape.members.iter().find(|member| member.name.as_deref() == Some("pool")).unwrap();
    let TypeKind::Pointer { to, .. } = symbols.resolve(pool.ty).1.kind else { panic!() };
    assert!(symbols.size_of(to).is_some_and(|size| size > 100));
    let jiffies = &symbols.variables_named("jiffies_64")[0];
    assert_eq!(symbols.size_of(jiffies.ty), Some(8));
    assert!(symbols.enumerator_named("PIDTYPE_PID", None).is_some());
    assert!(symbols.names_like("init_tsk").contains(&"init_task".to_owned()));
}

#[test]
fn expressions_over_linux_know_its_shapes() {
    let symbols = linux();
    for text in ["init_task", "*init_task.parent", "per_cpu(runqueues, 1)", "init_mm", "per_cpu(hrtimer_bases, 0)"] {
        let printed = print(&symbols, text);
        assert!(printed.starts_with('{') && printed.ends_with('}') && printed.len() > 1000, "{text}: {printed}");
        assert!(!printed.contains("<error") && !printed.contains("incomplete"), "{text}: {printed}");
    }
    let at = symbols.data_symbol("init_task").unwrap().address;
    for (text, printed) in [
        ("jiffies_64 == 0x0101010101010101", "1".to_owned()),
        ("&init_task", format!("(struct task_struct *) {at:#x} <init_task>")),
        ("container_of(&init_task.tasks, struct task_struct, tasks) == &init_task", "1".into()),
        ("(u8)init_task.comm[3]", "1 '\\001'".into()),
        ("sizeof(((struct worker *)0)->desc)", "32".into()),
        ("((struct worker_pool *)0x1000)->cpu", "16843009".into()),
        ("per_cpu(runqueues, 1).curr == (void *)0x01010101", "1".into()),
        ("PIDTYPE_TGID", "PIDTYPE_TGID".into()),
    ] {
        assert_eq!(print(&symbols, text), printed, "{text}");
    }
}

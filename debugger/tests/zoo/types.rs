use wkdb_debugger::expr::Evaluator;
use wkdb_debugger::symbols::TypeKind;

use super::fake::Fake;
use super::{ALL, O2, load};

#[test]
fn types_are_written_as_c_writes_them() {
    for module in ALL {
        let symbols = load(module);
        let mut fake = Fake::new(module);
        let mut evaluator = Evaluator::new(&symbols, &mut fake);
        for (text, written) in [
            ("workers", "struct worker [2]"),
            ("workers[0].name", "char [16]"),
            ("&workers[0].name", "char (*)[16]"),
            ("matrix", "int [2][3]"),
            ("matrix[0]", "int [3]"),
            ("&matrix[0]", "int (*)[3]"),
            ("handlers", "work_fn [2]"),
            ("*handlers", "work_fn"),
            ("*handlers[1]", "void (struct work *)"),
            ("callback", "int (* volatile)(const struct hidden *)"),
            ("hidden_value", "int (const struct hidden *)"),
            ("message", "const char *"),
            ("workers[0].next", "const struct worker *"),
            ("odd_flags", "volatile enum flags"),
            ("1 + 1", "int"),
            ("1u", "unsigned int"),
            ("1 + 1.0", "double"),
            ("counter + 1", "unsigned long long"),
            ("&workers[1] - workers", "long"),
            ("sizeof(int)", "unsigned long"),
            ("2147483648", "long long"),
            ("0x80000000", "unsigned int"),
            ("struct worker *", "struct worker *"),
            ("unsigned long int", "unsigned long"),
            ("u32[4]", "u32 [4]"),
        ] {
            assert_eq!(evaluator.whatis(text).as_deref(), Ok(written), "{text}");
        }
    }
}

#[test]
fn types_are_written_out() {
    for module in ALL {
        let symbols = load(module);
        let mut fake = Fake::new(module);
        let mut evaluator = Evaluator::new(&symbols, &mut fake);
        let work = "struct work {\n    struct list_head entry;\n    work_fn fn;\n    union {\n        u32 data;\n        \
                    u8 bytes[4];\n    };\n    u32 pending : 1;\n    u32 cpu : 6;\n    int delta : 5;\n    u64 wide : \
                    40;\n}";
        assert_eq!(evaluator.ptype("struct work").unwrap(), work);
        assert_eq!(evaluator.ptype("&workers[0].works[0]").unwrap(), format!("{work} *"));
        assert_eq!(evaluator.ptype("some_flags").unwrap(), "enum flags {F_A = 1, F_B, F_C = 8}");
        assert_eq!(evaluator.ptype("enum state").unwrap(), "enum state {IDLE, BUSY = 5, GONE = -1}");
        assert_eq!(evaluator.ptype("work_fn").unwrap(), "void (*)(struct work *)");
        assert_eq!(evaluator.ptype("u32").unwrap(), "unsigned int");
        assert!(evaluator.ptype("struct worker").unwrap().contains("    u8 tail[];\n"));
    }
}

#[test]
fn a_declared_type_is_completed_from_another_unit() {
    for module in ALL {
        let symbols = load(module);
        let pointer = symbols.type_named("struct worker", None).map(|ty| symbols.resolve(ty).1).unwrap();
        let TypeKind::Composite(worker) = &pointer.kind else { panic!("{pointer:?}") };
        let hidden = worker.members.iter().find(|member| member.name.as_deref() == Some("hidden")).unwrap();
        let TypeKind::Pointer { to, .. } = symbols.resolve(hidden.ty).1.kind else { panic!() };
        assert_eq!(symbols.size_of(to), Some(12), "zoo.c only declares it");
    }
}

#[test]
fn asking_for_a_type_changes_and_reads_nothing() {
    let symbols = load(O2);
    let mut fake = Fake::new(O2);
    let before = fake.memory.clone();
    for (text, printed) in [("sizeof(counter = 5)", "8"), ("sizeof(*(struct work *)0x7fffffff)", "24")] {
        assert_eq!(fake.print(&symbols, text), printed, "{text}");
    }
    let mut evaluator = Evaluator::new(&symbols, &mut fake);
    for (text, written) in [
        ("counter = 5", "u64"),
        ("((struct worker *)0x7fffffff)->next->next->works[1].entry.next", "struct list_head *"),
        ("**(work_fn *)0x7fffffff", "void (struct work *)"),
        ("(typeof(counter = 6))1", "u64"),
    ] {
        assert_eq!(evaluator.whatis(text).as_deref(), Ok(written), "{text}");
    }
    assert_eq!(evaluator.evaluate("counter").map(|value| evaluator.integer(&value)), Ok(Ok(0xffff_ffff_ffff_fff0)));
    assert!(fake.memory == before);
}

#[test]
fn the_function_table_is_known_both_ways() {
    let symbols = load(O2);
    let handle = symbols.functions_named("handle")[0].index;
    let place = symbols.table_place(handle).unwrap();
    assert_eq!(symbols.table_function(place), Some(handle));
    assert_eq!(symbols.table_function(0), None, "a null pointer");
    assert_eq!(symbols.table_place(symbols.functions_named("run")[0].index), None);
}

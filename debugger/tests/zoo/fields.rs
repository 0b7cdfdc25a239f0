use wkdb_debugger::expr::Evaluator;

use super::fake::Fake;
use super::{ALL, load};

/// The fields of what an expression is, from one byte of it to another: where each begins in it, how long it is, what leads
/// to it, its type and its value.
fn fields(module: &[u8], text: &str, from: u64, to: u64) -> Vec<(u64, u64, String, String, String)> {
    let symbols = load(module);
    let mut fake = Fake::new(module);
    let mut evaluator = Evaluator::new(&symbols, &mut fake);
    let value = evaluator.evaluate(text).unwrap();
    let (at, _) = evaluator.lvalue(&value).unwrap();
    let within = at + from..at + to;
    let fields = evaluator.fields(value.ty, at, &within);
    let told = fields.iter().map(|field| {
        let value = evaluator.field_text(field, 0, &[]);
        (field.address - at, field.size, field.path.clone(), evaluator.type_text(field.ty), value)
    });
    told.collect()
}

#[test]
fn a_structure_is_taken_apart_into_its_numbers_pointers_and_texts() {
    for module in ALL {
        let at = load(module).data_symbol("workers").unwrap().address;
        let told = fields(module, "workers[0].works[0]", 0, 24);
        let field = |path: &str| {
            let found: Vec<_> = told.iter().filter(|(.., called, _, _)| called == path).collect();
            assert_eq!(found.len(), 1, "{path}: {told:?}");
            let (offset, size, _, ty, value) = found[0].clone();
            (offset, size, ty, value)
        };
        let pointer = |to: u64| format!("{:#x} <workers+{to}>", at + to);
        assert_eq!(field(".entry.next"), (0, 4, "struct list_head *".into(), pointer(24)));
        assert_eq!(field(".entry.prev"), (4, 4, "struct list_head *".into(), pointer(48)));
        let (offset, size, ty, value) = field(".fn");
        assert_eq!((offset, size, ty.as_str()), (8, 4, "work_fn"));
        assert!(value.starts_with("0x") && value.ends_with(" <handle>"), "{value}");
        // All members of a union, where it is.
        assert_eq!(field(".data"), (12, 4, "u32".into(), "67305985".into()));
        assert_eq!(field(".bytes"), (12, 4, "u8 [4]".into(), r#""\001\002\003\004""#.into()));
        // Of bit-fields, the bytes that they are in.
        assert_eq!(field(".pending"), (16, 1, "u32".into(), "1".into()));
        assert_eq!(field(".cpu"), (16, 1, "u32".into(), "33".into()));
        assert_eq!(field(".delta").3, "-3");
        assert_eq!(field(".wide").3, 0x81_2345_6789_u64.to_string());
        let order: Vec<u64> = told.iter().map(|(offset, ..)| *offset).collect();
        assert!(order.is_sorted(), "{order:?}");
    }
}

#[test]
fn only_what_is_in_the_window_is_taken_apart() {
    for module in ALL {
        let paths = |text: &str, from, to| -> Vec<String> {
            fields(module, text, from, to).into_iter().map(|(_, _, path, ..)| path).collect()
        };
        assert_eq!(paths("matrix", 4, 16), ["[0][1]", "[0][2]", "[1][0]"]);
        assert_eq!(paths("matrix", 6, 7), ["[0][1]"], "a byte of it is enough");
        assert_eq!(paths("matrix", 24, 40), [""; 0]);
        assert_eq!(paths("many", 4 * 38, 4 * 60), ["[38]", "[39]"]);
        assert_eq!(paths("workers", 0, 17), ["[0].name", "[0].state"]);
        assert_eq!(paths("counter", 0, 8), [""], "it is a field itself");
    }
}

#[test]
fn bytes_that_are_known_are_not_read_again() {
    for module in ALL {
        let symbols = load(module);
        let mut fake = Fake::new(module);
        let mut evaluator = Evaluator::new(&symbols, &mut fake);
        let value = evaluator.evaluate("matrix").unwrap();
        let (at, _) = evaluator.lvalue(&value).unwrap();
        let fields = evaluator.fields(value.ty, at, &(at..at + 8));
        let bytes = [9, 0, 0, 0, 8, 0, 0];
        assert_eq!(evaluator.field_text(&fields[0], at, &bytes), "9");
        assert_eq!(evaluator.field_text(&fields[1], at, &bytes), "2", "one that is not all there");
    }
}

#[test]
fn variables_are_found_by_name_and_place() {
    for module in ALL {
        let symbols = load(module);
        let mut fake = Fake::new(module);
        let mut evaluator = Evaluator::new(&symbols, &mut fake);
        let at = symbols.data_symbol("matrix").unwrap().address;
        let variable = evaluator.variable_placed("matrix", at).unwrap();
        assert_eq!(evaluator.type_text(variable.ty), "int [2][3]");
        assert_eq!(evaluator.variable_placed("matrix", at + 4), None);
        assert_eq!(evaluator.variable_placed("nothing", at), None);
    }
}

use wkdb_debugger::expr::Evaluator;

use super::fake::Fake;
use super::{BIRDS, O0, load};

#[test]
fn classes_namespaces_and_references_are_understood() {
    let symbols = load(BIRDS);
    let mut fake = Fake::new(BIRDS);
    let at = symbols.data_symbol("pingu").unwrap().address;
    for (text, printed) in [
        ("pingu", format!("{{{{legs = 2}}, mate = {at:#x} <pingu>, colour = White}}")),
        ("pingu.legs", "2".to_owned()),
        ("pingu.mate->mate->legs + 1", "3".into()),
        ("alias", format!("(class Penguin &) @{at:#x}: {{{{legs = 2}}, mate = {at:#x} <pingu>, colour = White}}")),
        ("alias.colour == White", "1".into()),
        ("count", "9".into()),
        ("sizeof(class birds::Penguin)", "12".into()),
        ("sizeof(class Penguin)", "12".into()),
    ] {
        assert_eq!(fake.print(&symbols, text), printed, "{text}");
    }
    let mut evaluator = Evaluator::new(&symbols, &mut fake);
    assert_eq!(
        evaluator.ptype("pingu").unwrap(),
        "class Penguin {\n    struct Animal;\n    class Penguin *mate;\n    enum Colour colour;\n}"
    );
    let places = symbols.function_places("weigh").unwrap();
    assert_eq!((places.len(), places[0].line), (1, Some(24)));
    assert!(symbols.function_places("birds::Penguin::weigh").is_err(), "only namespaces qualify");
}

/// clang makes type units for other targets than Wasm; other producers may make them for it.
#[test]
fn types_in_units_of_their_own_are_found() {
    for module in [
        &include_bytes!("../fixtures/zoo/birds-types-dwarf4.wasm")[..],
        include_bytes!("../fixtures/zoo/birds-types-dwarf5.wasm"),
    ] {
        let symbols = load(module);
        let mut fake = Fake::new(O0);
        let at = symbols.data_symbol("pingu").unwrap().address;
        let penguin = "class Penguin {\n    struct Animal;\n    class Penguin *mate;\n    enum Colour colour;\n}";
        for text in ["pingu", "class Penguin", "*pingu.mate"] {
            assert_eq!(Evaluator::new(&symbols, &mut fake).ptype(text).as_deref(), Ok(penguin), "{text}");
        }
        assert_eq!(fake.print(&symbols, "&pingu.mate"), format!("(class Penguin **) {:#x} <pingu+4>", at + 4));
        assert_eq!(fake.print(&symbols, "sizeof(pingu)"), "12");
        assert_eq!(fake.print(&symbols, "(enum Colour)3"), "White");
        assert_eq!(symbols.problems(), [""; 0]);
    }
}

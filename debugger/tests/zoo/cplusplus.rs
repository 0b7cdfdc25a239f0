use wkdb_debugger::expr::Evaluator;

use super::fake::Fake;
use super::{BIRDS, load};

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

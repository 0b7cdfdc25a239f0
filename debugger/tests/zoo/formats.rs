use wkdb_debugger::expr::{Evaluator, Examine, Format};

use super::fake::Fake;
use super::{ALL, O2, load};

#[test]
fn structures_print_as_gdb_prints_them() {
    for module in ALL {
        let symbols = load(module);
        let mut fake = Fake::new(module);
        let at = symbols.data_symbol("workers").unwrap().address;
        let hidden = symbols.data_symbol("the_hidden").unwrap().address;
        let place = symbols.table_place(symbols.functions_named("handle")[0].index).unwrap();
        assert_eq!(
            fake.print(&symbols, "workers[0].works[0]"),
            format!(
                "{{entry = {{next = {:#x} <workers+24>, prev = {:#x} <workers+48>}}, fn = {place:#x} <handle>, {{data \
                 = 67305985, bytes = \"\\001\\002\\003\\004\"}}, pending = 1, cpu = 33, delta = -3, wide = 554642532233}}",
                at + 24,
                at + 48
            )
        );
        let worker = fake.print(&symbols, "workers[0]");
        assert!(worker.starts_with("{name = \"kworker/0\", state = BUSY, works = {{entry = {"), "{worker}");
        assert!(
            worker.ends_with(&format!(
                "hidden = {hidden:#x} <the_hidden>, next = 0x0, load = 1.5, ratio = 0.25, bound = true, tail = \
                 {:#x} <workers+{}> \"\"}}",
                at + symbols.data_symbol("workers").unwrap().size.unwrap() / 2 - 3,
                symbols.data_symbol("workers").unwrap().size.unwrap() / 2 - 3
            )),
            "{worker}"
        );
        assert_eq!(fake.print(&symbols, "*workers[0].hidden"), "{secret = 42, list = {next = 0x0, prev = 0x0}}");
        assert_eq!(symbols.problems(), [""; 0]);
    }
}

#[test]
fn texts_enums_and_pointers_print_as_gdb_prints_them() {
    for module in ALL {
        let symbols = load(module);
        let mut fake = Fake::new(module);
        let at = symbols.data_symbol("workers").unwrap().address;
        let place = symbols.table_place(symbols.functions_named("handle")[0].index).unwrap();
        let code = symbols.functions_named("handle")[0].start;
        for (text, printed) in [
            ("workers[1].name", "\"exactly 16 bytes\"".to_owned()),
            ("workers[1].name[0]", "101 'e'".into()),
            ("workers[0].state", "BUSY".into()),
            ("workers[1].state", "GONE".into()),
            ("some_flags", "(F_A | F_C)".into()),
            ("odd_flags", "(F_B | unknown: 0x10)".into()),
            ("(enum state)7", "7".into()),
            ("&workers[0]", format!("(struct worker *) {at:#x} <workers>")),
            ("&workers[0].state", format!("(enum state *) {:#x} <workers+16>", at + 16)),
            ("workers[1].next", format!("(const struct worker *) {at:#x} <workers>")),
            ("matrix", "{{1, 2, 3}, {4, 5, 6}}".into()),
            ("many", {
                let zeros = "0 <repeats 27 times>";
                format!("{{7 <repeats 12 times>, 1, {zeros}}}")
            }),
            ("handlers", format!("{{0x0, {place:#x} <handle>}}")),
            ("handlers[1]", format!("(work_fn) {place:#x} <handle>")),
            ("handle", format!("{{void (struct work *)}} {code} <handle>")),
            ("*handlers[1]", format!("{{void (struct work *)}} {code} <handle>")),
            ("small", "-2 '\\376'".into()),
            ("counter", "18446744073709551600".into()),
            ("workers[0].bound", "true".into()),
            ("1.5f", "1.5".into()),
            ("(void *)0", "(void *) 0x0".into()),
        ] {
            assert_eq!(fake.print(&symbols, text), printed, "{text}");
        }
        let message = fake.print(&symbols, "message");
        assert!(message.starts_with("0x") && message.ends_with("\"hello\\n\\\"world\\\"\""), "{message}");
    }
}

#[test]
fn letters_choose_how_numbers_are_written() {
    let symbols = load(O2);
    let mut fake = Fake::new(O2);
    for (text, letter, printed) in [
        ("counter", 'x', "0xfffffffffffffff0"),
        ("counter", 'd', "-16"),
        ("small", 'u', "254"),
        ("small", 'x', "0xfe"),
        ("small", 't', "11111110"),
        ("matrix", 'x', "{{0x1, 0x2, 0x3}, {0x4, 0x5, 0x6}}"),
        ("97", 'c', "97 'a'"),
        ("8", 'o', "010"),
        ("0x10", 'z', "0x00000010"),
        ("1.75", 'd', "4610560118520545280"),
        ("1.75f", 'x', "0x3fe00000"),
        ("1.75", 'f', "1.75"),
        ("workers[0].state", 'd', "5"),
        ("workers[0].works[0].delta", 'x', "0xfffffffd"),
        ("workers[0].name", 's', "\"kworker/0\""),
        ("workers[0].name[0]@4", 'd', "{107, 119, 111, 114}"),
    ] {
        assert_eq!(fake.print_as(&symbols, text, Some(letter)), printed, "{text} /{letter}");
    }
}

#[test]
fn width_and_depth_have_limits() {
    let symbols = load(O2);
    let mut fake = Fake::new(O2);
    let mut evaluator = Evaluator::new(&symbols, &mut fake);
    let mut print = |text: &str, format: Format| {
        let value = evaluator.evaluate(text).unwrap();
        evaluator.format(&value, &format)
    };
    let short = Format { max_elements: 2, ..Format::default() };
    assert_eq!(print("matrix[0]", short.clone()), "{1, 2, ...}");
    assert_eq!(print("workers[1].name", short), "\"ex\"...");
    let flat = Format { max_depth: 1, ..Format::default() };
    assert_eq!(print("the_hidden", flat), "{secret = 42, list = {...}}");
    let pretty = Format { pretty: true, ..Format::default() };
    let lines = "{\n  secret = 42,\n  list = {\n    next = 0x0,\n    prev = 0x0\n  }\n}";
    assert_eq!(print("the_hidden", pretty), lines);
}

#[test]
fn memory_is_examined_in_units_with_symbols() {
    let symbols = load(O2);
    let mut fake = Fake::new(O2);
    let at = symbols.data_symbol("matrix").unwrap().address;
    let message = symbols.data_symbol("message").unwrap().address;
    let mut evaluator = Evaluator::new(&symbols, &mut fake);
    let mut examine = |address: u64, what: &str| {
        evaluator.examine(address, Examine::parse(what, 4).unwrap()).map(|(text, _)| text).map_err(|e| e.to_string())
    };
    assert_eq!(
        examine(at, "6xw").unwrap(),
        format!(
            "{at:#x} <matrix>:\t0x00000001\t0x00000002\t0x00000003\t0x00000004\n{:#x} \
             <matrix+16>:\t0x00000005\t0x00000006\n",
            at + 16
        )
    );
    assert_eq!(examine(at + 4, "2db").unwrap(), format!("{:#x} <matrix+4>:\t2\t0\n", at + 4));
    let text = examine(message, "xw").unwrap();
    let pointer = u64::from_str_radix(text.trim().rsplit_once("0x").unwrap().1, 16).unwrap();
    assert!(examine(pointer, "s").unwrap().ends_with(":\t\"hello\\n\\\"world\\\"\"\n"));
    assert_eq!(examine(0x1f_fffc, "4xw").unwrap_err(), "no memory at 0x1ffffc");
    // The rest is missing: what is there is shown.
    assert!(examine(0x1_fffc, "4xw").unwrap().contains("0x00000000\nno memory at 0x20000"));
    assert!(Examine::parse("8qw", 4).unwrap_err().to_string().starts_with("q is no format"));
}
